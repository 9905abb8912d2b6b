//! What the way to the server does to our messages: addresses translated (RFC 3581), and texts that somebody rewrites, as
//! routers with a "SIP helper" (ALG) do.
use super::finding::{Finding, Topic};
use crate::base::net::Transport;
use crate::sip::message::{Headers, Host, Request, Response};
use std::net::{IpAddr, SocketAddr};

/// What was sent, and what came back of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    pub transport: Transport,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Our address as the server saw it.
    pub seen: Option<SocketAddr>,
    /// Texts that came back as others: what, as sent, as it came back.
    pub changed: Vec<(&'static str, String, String)>,
}

impl Echo {
    /// Compares an answer with its request.
    pub fn of(transport: Transport, local: SocketAddr, remote: SocketAddr, sent: &Request, came: &Response) -> Self {
        let (ours, theirs) = (&sent.headers, &came.headers);
        let mut changed = Vec::new();
        let mut compare = |what, of: &dyn Fn(&Headers) -> Option<String>| {
            if let Some((sent, came)) = of(ours).zip(of(theirs))
                && sent != came
            {
                changed.push((what, sent, came));
            }
        };
        compare("Via", &|headers| {
            let via = headers.via().ok()?;
            Some(format!("{}:{}", via.host, via.port.unwrap_or(5060)))
        });
        compare("Via branch", &|headers| Some(headers.via().ok()?.branch()?.to_owned()));
        compare("Call-ID", &|headers| Some(headers.call_id().ok()?.to_owned()));
        compare("From", &|headers| Some(headers.from().ok()?.uri.to_string()));
        compare("tag of From", &|headers| Some(headers.from().ok()?.tag()?.to_owned()));
        compare("To", &|headers| Some(headers.to().ok()?.uri.to_string()));
        let via = theirs.via().ok();
        let seen = via.and_then(|via| {
            let stamped = via.received().is_some() || via.rport().is_some();
            let own = if let Host::Ip(ip) = via.host { Some(ip) } else { None };
            let ip = via.received().or(own).filter(|_| stamped)?;
            Some(SocketAddr::new(ip, via.rport().or(via.port).unwrap_or(5060)))
        });
        Self { transport, local, remote, seen, changed }
    }
}

/// - `outside`: our address from outside as a STUN server told it.
pub fn judge(echo: &Echo, outside: Option<IpAddr>) -> Vec<Finding> {
    let mut out = Vec::new();
    let local = echo.local.ip();
    if !echo.changed.is_empty() {
        let what: Vec<&str> = echo.changed.iter().map(|(what, ..)| *what).collect();
        let details = echo.changed.iter().map(|(what, sent, came)| format!("{what}: sent {sent}, came back as {came}"));
        out.push(
            rewritten(format!("Somebody on the way rewrites our messages ({}).", what.join(", "))).details(details),
        );
    } else if let (None, Some(outside)) = (echo.seen, outside)
        && outside != local
        && is_public(echo.remote.ip())
        && !echo.transport.is_secure()
    {
        // Who is behind a NAT and is not told so by the server looked to it as if it were not.
        out.push(rewritten(format!(
            "We are behind a NAT ({local} is {outside} from outside), and the server does not notice: something on the way \
             may have put its own address into our messages."
        )));
    }
    match echo.seen {
        Some(seen) if seen.ip() != local => out.push(
            Finding::ok(
                Topic::Nat,
                format!("The server sees us at {seen}; our own address is {local}: there is a NAT."),
            )
            .means("The phone asks the server to answer to where it sees us, and keeps the way open."),
        ),
        Some(seen) => {
            out.push(Finding::ok(Topic::Nat, format!("The server sees us at our own address ({}).", seen.ip())));
        }
        None => {}
    }
    out
}

fn rewritten(found: String) -> Finding {
    Finding::problem(Topic::Nat, found)
        .means("Such \"SIP helpers\" of routers break calls: no sound, calls that do not ring, calls that end after a while.")
        .advice("Turn off SIP ALG (SIP helper, SIP pass-through) in the router, or set transport = \"tls\".")
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_private() && !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_unique_local() && !ip.is_loopback() && !ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;
    use crate::sip::message::{Message, parse};
    use bytes::Bytes;

    const SENT: &str = "OPTIONS sip:pbx.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.5:5060;branch=z9hG4bKa;rport\r\n\
        From: <sip:a@pbx.example>;tag=1\r\nTo: <sip:pbx.example>\r\nCall-ID: x@192.168.1.5\r\nCSeq: 1 OPTIONS\r\n\r\n";

    fn echo(change: &dyn Fn(String) -> String) -> Echo {
        let Ok(Message::Request(sent)) = parse(&Bytes::from(SENT)) else { panic!() };
        let came = SENT.replace("OPTIONS sip:pbx.example SIP/2.0", "SIP/2.0 200 OK");
        let came = change(came.replace("To: <sip:pbx.example>", "To: <sip:pbx.example>;tag=2"));
        let Ok(Message::Response(came)) = parse(&Bytes::from(came)) else { panic!() };
        let (local, remote) = ("192.168.1.5:5060", "203.0.113.1:5060");
        let (local, remote) = (local.parse().expect("an address"), remote.parse().expect("an address"));
        Echo::of(Transport::Udp, local, remote, &sent, &came)
    }

    fn stamped(text: String, seen: &str) -> String {
        text.replace(";rport", seen)
    }

    #[test]
    fn an_answer_as_it_should_be() {
        let plain = echo(&|text| stamped(text, ";received=192.168.1.5;rport=5060"));
        assert_eq!((plain.changed.len(), plain.seen), (0, "192.168.1.5:5060".parse().ok()));
        assert_eq!(judge(&plain, None)[0].severity, Severity::Ok);
        let nat = echo(&|text| stamped(text, ";received=198.51.100.9;rport=40123"));
        assert_eq!(nat.seen, "198.51.100.9:40123".parse().ok());
        let findings = judge(&nat, "198.51.100.9".parse().ok());
        assert_eq!(findings.len(), 1);
        assert!(findings[0].severity == Severity::Ok && findings[0].found.contains("there is a NAT"), "{findings:?}");
    }

    #[test]
    fn what_somebody_rewrites_is_noticed() {
        let seen = ";received=198.51.100.9;rport=40123";
        let rows: [(&str, &str, &str); 4] = [
            ("192.168.1.5:5060;branch", "198.51.100.9:1024;branch", "(Via)"),
            ("x@192.168.1.5", "x@198.51.100.9", "(Call-ID)"),
            ("branch=z9hG4bKa", "branch=z9hG4bKalg", "(Via branch)"),
            ("<sip:a@pbx.example>", "<sip:a@198.51.100.9>", "(From)"),
        ];
        for (from, to, what) in rows {
            let findings = judge(&echo(&|text| stamped(text, seen).replace(from, to)), None);
            assert!(findings[0].severity == Severity::Problem && findings[0].found.contains(what), "{findings:?}");
        }
    }

    /// Rewritten on the way out and put back on the way in: only the missing stamp tells.
    #[test]
    fn a_helper_that_covers_its_traces() {
        let quiet = echo(&|text| stamped(text, ""));
        assert_eq!(quiet.seen, None);
        assert_eq!(judge(&quiet, None), []);
        assert_eq!(judge(&quiet, "192.168.1.5".parse().ok()), []);
        let findings = judge(&quiet, "198.51.100.9".parse().ok());
        assert!(
            findings[0].severity == Severity::Problem && findings[0].found.contains("does not notice"),
            "{findings:?}"
        );
    }
}
