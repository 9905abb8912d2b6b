//! What is written of a call, and what is said of one that fails: read by Wireshark's dissector, refused by real servers.
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_kamailio::Kamailio;
use crate::phone::{Setup, exit};
use offhook::base::net::Transport;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "explained::ladders_are_captures", needs: &[Need::Asterisk, Need::Tshark], run: ladders_are_captures },
    Case { name: "explained::protected_ladders_are_captures", needs: &[Need::Kamailio, Need::Tshark], run: protected },
    Case { name: "explained::statuses_in_words", needs: &[Need::Asterisk], run: statuses_in_words },
    Case { name: "explained::statuses_of_a_proxy", needs: &[Need::Kamailio], run: statuses_of_a_proxy },
];

/// A call with hold over UDP: each format holds every message, each is SIP to the dissector, and no secret is in it.
fn ladders_are_captures(case: &Case) {
    let asterisk = peers_asterisk::shared();
    for format in ["pcapng", "pcap", "txt"] {
        let file = case.folder().join(format!("call.{format}"));
        let name = file.display().to_string();
        let setup = Setup::new(case, format, "call").account("1001", "pw1001", asterisk.address());
        let target = asterisk.uri("600");
        let options = [&*target, "--duration", "3", "--hold-after", "1", "--hold-for", "1", "--ladder", &name];
        let mut phone = setup.silent().arguments(&options).start();
        assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
        let told = phone.lines().into_iter().find(|line| line["type"] == "ladder").expect("the file is told of");
        let count: usize = told["text"].as_str().and_then(|t| t.split(' ').next()?.parse().ok()).expect("a count");
        assert!(count >= 12, "{told}");
        assert_eq!(std::fs::metadata(&file).expect("written").permissions().mode() & 0o777, 0o600);
        if format == "txt" {
            let text = std::fs::read_to_string(&file).expect("text");
            assert!(text.contains("offer: ") && text.contains("hold (sendonly)"), "{text}");
            assert!(text.contains("response=\"xxxxxxxx"), "{text}");
        } else {
            is_sip(&file, count);
        }
    }
}

/// What TLS and secure WebSockets carried is read as SIP, too: the ladder is taken above them.
fn protected(case: &Case) {
    let kamailio = Kamailio::start(case);
    let setup = Setup::new(case, "bob", "answer").config(&kamailio.account("bob", Transport::Udp)).silent();
    let mut bob = setup.arguments(&["--auto"]).start();
    bob.expect_registered();
    for (transport, via, format) in [(Transport::Tls, "TLS", "pcapng"), (Transport::Wss, "WSS", "pcap")] {
        let file = case.folder().join(format!("{via}.{format}"));
        let name = file.display().to_string();
        let setup = Setup::new(case, via, "call").config(&kamailio.account("alice", transport)).silent();
        let options = ["bob", "--duration", "3", "--hold-after", "1", "--hold-for", "1", "--ladder", &name];
        let mut alice = setup.arguments(&options).start();
        assert_eq!(alice.wait(Duration::from_secs(25)), exit::ENDED);
        let told = alice.lines().into_iter().find(|line| line["type"] == "ladder").expect("the file is told of");
        let count: usize = told["text"].as_str().and_then(|t| t.split(' ').next()?.parse().ok()).expect("a count");
        assert!(count >= 12, "{told}");
        is_sip(&file, count);
        let filter = format!("sip.Via.transport == \"{via}\"");
        let output = Command::new("tshark").arg("-r").arg(&file).args(["-Y", &filter]).output().expect("tshark runs");
        assert!(String::from_utf8_lossy(&output.stdout).lines().count() >= count / 2, "{via} is not in Via");
    }
    bob.interrupt();
}

fn is_sip(file: &Path, count: usize) {
    let read = |options: &[&str]| {
        let output = Command::new("tshark").arg("-r").arg(file).args(options).output().expect("tshark runs");
        String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.is_empty()).count()
    };
    assert!(read(&["-Y", "sip"]) >= count, "every message is SIP");
    assert_eq!(read(&[]), read(&["-Y", "sip"]), "and nothing else is there");
    assert_eq!(read(&["-Y", "_ws.malformed || _ws.short"]), 0);
    assert!(read(&["-Y", "sip.Method == \"INVITE\" && sdp"]) >= 3, "the offers are read");
    assert_eq!(read(&["-Y", "sip.auth.digest.response && !(sip.auth.digest.response matches \"^.?x+.?$\")"]), 0);
}

/// 606NNN is refused by Asterisk with NNN: the summary says what that means, who refused, and what to try.
fn statuses_in_words(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let rows = [
        ("403", "forbids"),
        ("404", "nobody has this number"),
        ("480", "not reachable"),
        ("486", "busy"),
        ("503", "overloaded"),
        ("603", "declined"),
    ];
    for (status, words) in rows {
        let setup = Setup::new(case, status, "call").account("1001", "pw1001", asterisk.address());
        let mut phone = setup.silent().arguments(&[&asterisk.uri(&format!("606{status}"))]).start();
        assert_eq!(phone.wait(Duration::from_secs(25)), exit::CALL_REFUSED);
        let summary = phone.summary();
        let cause = summary["cause"].as_str().unwrap_or_default();
        // Asterisk says some refusals by another status; the words are those of what came.
        if summary["status"] == status.parse::<u16>().expect("a number") {
            assert!(cause.contains(words), "{status}: {cause}");
        }
        assert!(summary["refused_by"].as_str().is_some_and(|who| who.contains("Asterisk")), "{summary}");
        assert!(summary["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{summary}");
    }
}

/// Kamailio refuses a number of three digits with that status.
fn statuses_of_a_proxy(case: &Case) {
    let kamailio = Kamailio::start(case);
    let rows = [
        (402, "payment"),
        (405, "does not take calls"),
        (410, "no longer in use"),
        (420, "extension"),
        (433, "anonymous"),
        (438, "signature"),
        (482, "circles"),
        (484, "incomplete"),
        (485, "ambiguous"),
        (488, "we offered"),
        (500, "failed"),
        (600, "busy everywhere"),
        (604, "does not exist"),
        (606, "we offered"),
        (607, "does not want"),
    ];
    for (status, words) in rows {
        let account = kamailio.account("alice", Transport::Udp);
        let setup = Setup::new(case, &format!("alice-{status}"), "call").config(&account).silent();
        let mut alice = setup.arguments(&[&status.to_string()]).start();
        assert_eq!(alice.wait(Duration::from_secs(25)), exit::CALL_REFUSED, "{status}");
        let summary = alice.summary();
        assert_eq!(summary["status"], status);
        assert!(summary["cause"].as_str().is_some_and(|cause| cause.contains(words)), "{summary}");
        assert!(summary["refused_by"].as_str().is_some_and(|who| who.to_lowercase().contains("kamailio")), "{summary}");
        assert!(summary["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{summary}");
    }
}
