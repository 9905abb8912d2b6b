//! The phone against real peers: Asterisk, Kamailio, baresip, Linphone, SIPp, Chromium, rtpengine, coturn, dnsmasq, PulseAudio, tshark.
//!
//! A peer that is not installed makes its cases `ignored`, with the reason at the end; with `OFFHOOK_INTEROP=required`
//! it makes them fail. `scripts/setup` installs them all.
#[path = "../common/mod.rs"]
mod common;

mod certificates;
mod harness;
mod namespaces;
mod peers_asterisk;
mod peers_baresip;
mod peers_browser;
mod peers_coturn;
mod peers_dnsmasq;
mod peers_kamailio;
mod peers_linphone;
mod peers_pulse;
mod peers_rtpengine;
mod peers_script;
mod peers_sipp;
mod peers_tshark;
mod phone;
mod process;
mod tools;

mod answering;
mod availability;
mod bridges;
mod browsers;
mod callers;
mod calling;
mod compare;
mod conferring;
mod demo;
mod devices;
mod digits;
mod doctor;
mod dtls;
mod edges;
mod explained;
mod freeswitch;
mod handling;
mod hostile;
mod identity;
mod internet;
mod kamailio;
mod keyring;
mod locating;
mod mailbox;
mod measuring;
mod moving;
mod nats;
mod networks;
mod peers_check;
mod proxy;
mod quality;
mod recovering;
mod registering;
mod secure;
mod signalling;
mod taping;
mod timers;
mod transfer;
mod transports;
mod trickling;
mod watching;
mod ways;

fn main() -> std::process::ExitCode {
    let together: [&[harness::Case]; 9] = [
        timers::CASES,
        freeswitch::CASES,
        recovering::CASES,
        edges::CASES,
        kamailio::CASES,
        callers::CASES,
        transports::CASES,
        locating::CASES,
        signalling::CASES,
    ];
    let alone = [
        measuring::CASES,
        peers_check::CASES,
        registering::CASES,
        keyring::CASES,
        calling::CASES,
        digits::CASES,
        answering::CASES,
        conferring::CASES,
        taping::CASES,
        transfer::CASES,
        handling::CASES,
        explained::CASES,
        identity::CASES,
        watching::CASES,
        mailbox::CASES,
        availability::CASES,
        secure::CASES,
        dtls::CASES,
        proxy::CASES,
        browsers::CASES,
        bridges::CASES,
        quality::CASES,
        devices::CASES,
        doctor::CASES,
        demo::CASES,
        hostile::CASES,
        networks::CASES,
        ways::CASES,
        nats::CASES,
        trickling::CASES,
        moving::CASES,
    ];
    harness::run(&together, &alone, &compare::CASE)
}
