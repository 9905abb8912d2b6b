//! The configuration: whether it is understood, and what in it does not go together.
use super::finding::{Finding, Topic, sentence};
use crate::config::{Account, Config, Host, PasswordSource, keyring};
use crate::nat::candidate::IceUse;
use crate::ua::settings::{Agreement, Policy};

/// Ports that serve fewer calls than this are soon used up; a call takes two.
const FEW_CALLS: u16 = 4;

/// - `file`: where it came from.
/// - `warnings`: what was said when it was read.
/// - `certificates`: what is wrong with the certificate files of the account.
/// - `others`: accounts that are not looked at.
pub fn judge(
    config: &Config,
    account: Option<&Account>,
    file: Option<String>,
    warnings: &[String],
    certificates: &[String],
    others: usize,
) -> Vec<Finding> {
    let topic = Topic::Configuration;
    let mut out = Vec::new();
    out.push(match file {
        Some(file) => Finding::ok(topic, format!("{file} has no mistakes.")),
        None => Finding::ok(topic, "There is no configuration file: the defaults hold."),
    });
    let note = |found: &str, means: &str, advice: &str| Finding::note(topic, found).means(means).advice(advice);
    out.extend(warnings.iter().map(|warning| Finding::note(topic, sentence(warning))));
    let rtp = config.network.rtp_ports;
    let calls = (rtp.high.saturating_sub(rtp.low).saturating_add(1)) / 2;
    if calls < FEW_CALLS {
        out.push(note(
            &format!("rtp_ports has room for {calls} calls at a time."),
            "Further calls have no sound, a held or waiting one among them.",
            "Make the range of rtp_ports in [network] wider.",
        ));
    }
    let Some(account) = account else {
        out.push(
            Finding::note(topic, "There is no account.")
                .means("Only phones whose address is known can be called: `offhook call sip:192.0.2.7`.")
                .advice("`offhook init` makes one; --account sip:USER@HOST tries one."),
        );
        return out;
    };
    let more = match others {
        0 => String::new(),
        1 => " There is one more: --account checks it.".to_owned(),
        n => format!(" There are {n} more: --account checks one of them."),
    };
    out.push(Finding::ok(topic, format!("Account \"{}\" ({}).{more}", account.name, account.address())));
    out.extend(certificates.iter().map(|words| {
        Finding::problem(topic, sentence(words)).means("The phone cannot connect to its server over TLS or WSS.")
    }));
    let reach = &account.handling.reach;
    let open = account.transport.is_some_and(|transport| !transport.is_secure());
    if account.register && account.password == PasswordSource::None {
        out.push(note(
            "The account has no password.",
            "Nearly all servers refuse phones without one.",
            if keyring::BUILT_IN {
                "Set password, password_keyring or password_command in the account, or OFFHOOK_PASSWORD with --account sip:.."
            } else {
                "Set password or password_command in the account, or OFFHOOK_PASSWORD with --account sip:.."
            },
        ));
    }
    if account.srtp != Policy::Off && account.keying == Agreement::Sdes && open {
        out.push(note(
            "Calls are encrypted, and their keys travel in the clear.",
            "Whoever reads the messages on the way can listen.",
            "Set transport = \"tls\", or keying = \"dtls\".",
        ));
    }
    let is_secure = account.transport.is_some_and(|transport| transport.is_secure());
    let is_numeric = matches!(account.registrar.as_ref().map_or(&account.domain, |server| &server.host), Host::Ip(_));
    if is_secure && is_numeric && account.tls_ca.is_none() {
        out.push(note(
            "The server is named by its address, and is to show a certificate.",
            "Certificates seldom name addresses: it will probably be refused.",
            "Set registrar to the server's name.",
        ));
    }
    if reach.ice == IceUse::Off && reach.turn.is_some() {
        out.push(note(
            "There is a relay (turn_server), and ICE is off.",
            "The relay is never used.",
            "Set ice = \"answer\" or \"offer\".",
        ));
    }
    if account.direct_calls && account.register {
        out.push(note(
            "Calls from anywhere ring (direct_calls).",
            "Machines that try all addresses of the Internet may ring at night.",
            "Leave direct_calls off unless phones call this one without the server.",
        ));
    }
    if !account.register {
        out.push(note(
            "The account does not register.",
            "Nobody reaches this phone through the server.",
            "Set register = true, unless that is what you want.",
        ));
    }
    if account.handling.do_not_disturb {
        out.push(note(
            "Do not disturb is on.",
            "No call rings: all are refused as busy.",
            "Set do_not_disturb = false.",
        ));
    }
    if account.handling.forwarding.always.is_some() {
        out.push(note("All calls are forwarded.", "No call rings here.", "Take forward_always out of the account."));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;
    use crate::base::net::Transport;
    use crate::base::secret::Secret;
    use crate::config::PortRange;
    use crate::nat::candidate::{Server, ServerTransport, TurnServer};

    fn account(change: impl Fn(&mut Account)) -> Account {
        let mut account = Account::new("1001", Host::Name("pbx.example".into()));
        account.password = PasswordSource::Text(Secret::new("x"));
        change(&mut account);
        account
    }

    fn notes(account: &Account) -> Vec<String> {
        let findings = judge(&Config::default(), Some(account), Some("c.toml".into()), &[], &[], 0);
        findings.into_iter().filter(|f| f.severity != Severity::Ok).map(|f| f.found).collect()
    }

    #[test]
    fn what_does_not_go_together_is_noted() {
        assert_eq!(notes(&account(|_| ())), [""; 0]);
        let relay = || TurnServer {
            server: Server { host: "t".into(), port: 1, by_records: false },
            any_transport: false,
            transport: ServerTransport::Udp,
            user: String::new(),
            password: Secret::new(""),
            authorities: None,
        };
        type Row<'a> = (&'a dyn Fn(&mut Account), &'a str);
        let rows: [Row<'_>; 8] = [
            (&|a| a.password = PasswordSource::None, "no password"),
            (
                &|a| (a.srtp, a.keying, a.transport) = (Policy::Required, Agreement::Sdes, Some(Transport::Udp)),
                "keys travel in the clear",
            ),
            (
                &|a| (a.transport, a.domain) = (Some(Transport::Tls), Host::Ip([192, 0, 2, 1].into())),
                "named by its address",
            ),
            (&|a| (a.handling.reach.ice, a.handling.reach.turn) = (IceUse::Off, Some(relay())), "ICE is off"),
            (&|a| a.direct_calls = true, "Calls from anywhere ring"),
            (&|a| a.register = false, "does not register"),
            (&|a| a.handling.do_not_disturb = true, "Do not disturb"),
            (&|a| a.handling.forwarding.always = Some("600".into()), "forwarded"),
        ];
        for (change, words) in rows {
            let notes = notes(&account(change));
            assert!(notes.len() == 1 && notes[0].contains(words), "{words}: {notes:?}");
        }
    }

    #[test]
    fn without_an_account_and_with_few_ports() {
        let mut config = Config::default();
        config.network.rtp_ports = PortRange { low: 4_000, high: 4_003 };
        let findings = judge(&config, None, None, &["it is so".into()], &[], 0);
        let texts: Vec<&str> = findings.iter().map(|finding| finding.found.as_str()).collect();
        assert_eq!(texts[1..], ["It is so.", "rtp_ports has room for 2 calls at a time.", "There is no account."]);
    }
}
