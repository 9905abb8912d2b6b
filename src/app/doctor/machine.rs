//! This computer's own network: addresses, VPNs, the ports the phone wants.
use super::finding::{Finding, Topic};
use crate::config::PortRange;
use crate::runtime::interfaces::Interface;
use std::net::IpAddr;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Machine {
    pub interfaces: Vec<Interface>,
    /// The address that leads to the Internet, by family; none where there is no way.
    pub four: Option<IpAddr>,
    pub six: Option<IpAddr>,
    /// The longest packet of the interface that leads there \[octets\].
    pub mtu: Option<u32>,
    /// The address of the configuration.
    pub wanted: Option<IpAddr>,
    pub sip_port: u16,
    /// Why the SIP port cannot be had, in words.
    pub sip_taken: Option<String>,
    pub rtp: PortRange,
    /// Even ports of the range that were tried, and how many of them are free.
    pub rtp_tried: usize,
    pub rtp_free: usize,
}

/// Packets shorter than this cut up many a message over UDP \[octets\].
const SHORT: u32 = 1_400;

/// As VPNs call their interfaces.
const TUNNELS: [&str; 9] = ["tun", "tap", "wg", "ppp", "utun", "tailscale", "zt", "vpn", "nordlynx"];

fn is_tunnel(interface: &Interface) -> bool {
    interface.is_point_to_point || TUNNELS.iter().any(|prefix| interface.name.starts_with(prefix))
}

pub fn judge(machine: &Machine) -> Vec<Finding> {
    let topic = Topic::Machine;
    let mut out = Vec::new();
    let real: Vec<&Interface> = machine.interfaces.iter().filter(|one| !one.ip.is_loopback()).collect();
    let details: Vec<String> = real.iter().map(|one| format!("{}: {}", one.name, one.ip)).collect();
    if real.is_empty() {
        out.push(
            Finding::problem(topic, "This computer is in no network.")
                .means("Nobody can be called but on this computer itself.")
                .advice("Plug in the cable, or switch the radio on."),
        );
    } else {
        let way = match (machine.four, machine.six) {
            (Some(four), Some(_)) => format!("IPv4 (from {four}) and IPv6"),
            (Some(four), None) => format!("IPv4 (from {four}), not IPv6"),
            (None, Some(six)) => format!("IPv6 (from {six}), not IPv4"),
            (None, None) => String::new(),
        };
        out.push(match way.as_str() {
            "" => Finding::note(topic, "There is a local network, and no way out of it.")
                .means("Servers and phones in this network can be reached, and none beyond.")
                .advice("If the server is not in this network: look at the router.")
                .details(details),
            way => Finding::ok(topic, format!("There is a way out over {way}.")).details(details),
        });
    }
    if let Some(wanted) = machine.wanted.filter(|ip| !ip.is_unspecified())
        && !machine.interfaces.iter().any(|one| one.ip == wanted)
    {
        out.push(
            Finding::problem(topic, format!("This computer does not have the address {wanted}."))
                .means("The phone does not start with it.")
                .advice("Take local_address out of [network], or --bind off the command line."),
        );
    }
    let tunnels: Vec<&Interface> = real.iter().copied().filter(|one| is_tunnel(one)).collect();
    if let Some(through) = tunnels.iter().find(|one| Some(one.ip) == machine.four || Some(one.ip) == machine.six) {
        out.push(
            Finding::note(topic, format!("The way out leads through a VPN ({}).", through.name))
                .means("Calls take it as well: that costs time, and many VPNs let no sound through.")
                .advice("If calls have no sound, try it without the VPN, or leave the server out of it."),
        );
    } else if let Some(tunnel) = tunnels.first() {
        out.push(Finding::ok(
            topic,
            format!("There is a VPN ({}); the way out does not lead through it.", tunnel.name),
        ));
    }
    if let Some(mtu) = machine.mtu.filter(|mtu| *mtu < SHORT) {
        out.push(
            Finding::note(topic, format!("Packets on the way out are at most {mtu} octets long."))
                .means("Long messages over UDP are cut into fragments, which many firewalls drop.")
                .advice(
                    "Set transport = \"tcp\" or \"tls\" in the account, if calls do not go out or never ring here.",
                ),
        );
    }
    out.push(match &machine.sip_taken {
        Some(words) => Finding::note(topic, format!("The SIP port {} is taken: {words}.", machine.sip_port))
            .means("Another program has it, or this phone is running already. The phone takes a free one instead.")
            .advice("Nothing has to be done, unless phones call this one directly at that port."),
        None if machine.sip_port == 0 => Finding::ok(topic, "The phone takes any free port for SIP."),
        None => Finding::ok(topic, format!("The SIP port {} is free.", machine.sip_port)),
    });
    let PortRange { low, high } = machine.rtp;
    let (free, tried) = (machine.rtp_free, machine.rtp_tried);
    out.push(if free == 0 {
        Finding::problem(topic, format!("No port of {low} to {high} is free for sound."))
            .means("Calls have no sound.")
            .advice("Set another range: rtp_ports in [network].")
    } else if free * 2 < tried {
        Finding::note(topic, format!("Most ports of {low} to {high} are taken ({free} of {tried} tried are free)."))
            .means("When none is free, calls have no sound.")
            .advice("Set another range: rtp_ports in [network].")
    } else {
        Finding::ok(topic, format!("The ports {low} to {high} are free for sound."))
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;

    fn interface(name: &str, ip: &str) -> Interface {
        Interface { name: name.into(), ip: ip.parse().expect("an address"), is_point_to_point: false }
    }

    fn machine(change: impl Fn(&mut Machine)) -> Machine {
        let mut machine = Machine {
            interfaces: vec![interface("lo", "127.0.0.1"), interface("eth0", "192.168.1.5")],
            four: "192.168.1.5".parse().ok(),
            six: None,
            mtu: Some(1_500),
            wanted: None,
            sip_port: 5060,
            sip_taken: None,
            rtp: PortRange { low: 4_000, high: 4_999 },
            rtp_tried: 100,
            rtp_free: 100,
        };
        change(&mut machine);
        machine
    }

    #[test]
    fn what_is_wrong_with_this_computer() {
        assert!(judge(&machine(|_| ())).iter().all(|finding| finding.severity == Severity::Ok));
        type Row<'a> = (&'a dyn Fn(&mut Machine), Severity, &'a str);
        let rows: [Row<'_>; 8] = [
            (&|m| m.mtu = Some(1_280), Severity::Note, "at most 1280 octets"),
            (&|m| m.interfaces.truncate(1), Severity::Problem, "in no network"),
            (&|m| m.four = None, Severity::Note, "no way out of it"),
            (&|m| m.wanted = "192.0.2.9".parse().ok(), Severity::Problem, "does not have the address 192.0.2.9"),
            (
                &|m| {
                    m.interfaces.push(interface("wg0", "10.8.0.2"));
                    m.four = "10.8.0.2".parse().ok();
                },
                Severity::Note,
                "through a VPN (wg0)",
            ),
            (&|m| m.sip_taken = Some("in use".into()), Severity::Note, "5060 is taken: in use"),
            (&|m| m.rtp_free = 0, Severity::Problem, "No port of 4000 to 4999"),
            (&|m| m.rtp_free = 9, Severity::Note, "9 of 100"),
        ];
        for (change, severity, words) in rows {
            let findings = judge(&machine(change));
            let odd: Vec<_> = findings.iter().filter(|finding| finding.severity != Severity::Ok).collect();
            assert!(odd.len() == 1 && odd[0].severity == severity && odd[0].found.contains(words), "{words}: {odd:?}");
        }
        let beside = judge(&machine(|m| m.interfaces.push(interface("tun3", "10.8.0.2"))));
        assert!(beside[1].found.contains("does not lead through it"), "{beside:?}");
    }
}
