//! ICE in descriptions (RFC 8839): credentials, candidates, what the peer can do, and mismatches.
use super::attribute::{Address, View};
use super::normalise::MAX_LINES;
use super::session::{Attribute, Session};
use crate::base::secret::Secret;
use crate::nat::candidate::{Candidate, Credentials, Kind, MOST_CANDIDATES, OWN_PACE, PACE, RTP};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// So few are checked at our own pace although the peer tells none: all of it is less than a call sends (RFC 8445 §14.2
/// leaves it to us).
const FEW: usize = 8;

/// No more candidates follow (RFC 8840 §8).
pub(super) const END: &str = "end-of-candidates";

/// What our descriptions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalIce {
    pub credentials: Credentials,
    pub candidates: Vec<Candidate>,
    /// No others will follow (RFC 8838 §13).
    pub complete: bool,
    /// In an offer once a pair was chosen: the peer's half of it (RFC 8839 §5.2).
    pub remote: Vec<(u8, SocketAddr)>,
}

impl LocalIce {
    /// Where RTCP has no port of its own there is none to be tried (RFC 8858 §4.1).
    pub(super) fn of_one_port(mut self) -> Self {
        self.candidates.retain(|candidate| candidate.component == RTP);
        self
    }
}

/// What the peer's say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteIce {
    pub credentials: Credentials,
    /// At most [`MOST_CANDIDATES`]: those over UDP that have an address. Names (mDNS) are not looked up.
    pub candidates: Vec<Candidate>,
    pub lite: bool,
    pub pace: Duration,
    /// Candidates may follow the description, both ways (RFC 8840 §4.1).
    pub trickles: bool,
    /// How both descriptions call the line (RFC 5888), where they do.
    pub mid: Option<String>,
}

/// How a media line stands to ICE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ice {
    Not,
    /// Something on the way changed its addresses and knows nothing of ICE (RFC 8839 §4.2.5).
    Mismatch,
    Full(RemoteIce),
}

/// The lines of a media line.
pub(super) fn attributes(ice: &LocalIce) -> Vec<Attribute> {
    let mut out = vec![
        Attribute::new("ice-ufrag", Some(&ice.credentials.ufrag)),
        Attribute::new("ice-pwd", Some(ice.credentials.password.reveal())),
        Attribute::new("ice-options", Some("ice2 trickle")),
    ];
    out.extend(ice.candidates.iter().map(|candidate| Attribute::new("candidate", Some(&written(candidate)))));
    if ice.complete {
        out.push(Attribute::new(END, None));
    }
    if !ice.remote.is_empty() {
        let part = |(component, address): &(u8, SocketAddr)| format!("{component} {} {}", address.ip(), address.port());
        let parts: Vec<String> = ice.remote.iter().map(part).collect();
        out.push(Attribute::new("remote-candidates", Some(&parts.join(" "))));
    }
    out
}

/// The line of the session: how fast we check.
pub(super) fn pacing() -> Attribute {
    Attribute::new("ice-pacing", Some(&OWN_PACE.as_millis().to_string()))
}

pub(super) fn mismatch() -> Attribute {
    Attribute::new("ice-mismatch", None)
}

pub(super) fn read(view: View<'_>) -> Ice {
    let Some(credentials) = credentials(view) else { return Ice::Not };
    if view.line.attribute("ice-mismatch").is_some() {
        return Ice::Mismatch;
    }
    let lines = view.line.attributes.iter().filter(|a| a.name.eq_ignore_ascii_case("candidate")).take(MAX_LINES);
    let (mut candidates, mut named): (Vec<Candidate>, bool) = (Vec::new(), false);
    let default = match view.address() {
        Ok(Address::Ip(ip)) if view.line.port != 9 => Some(SocketAddr::new(ip, view.line.port)),
        // Nothing was known yet, or it is a name: whatever works counts.
        Ok(_) | Err(_) => None,
    };
    let mut found = default.is_none();
    for value in lines.filter_map(|line| line.value.as_deref()) {
        let Some(candidate) = candidate(value) else {
            named |= value.contains(".local");
            continue;
        };
        found |= Some(candidate.address) == default;
        if candidates.len() < MOST_CANDIDATES {
            candidates.push(candidate);
        }
    }
    if !found && !named {
        return Ice::Mismatch;
    }
    let session = |name: &str| view.session.attributes.iter().find(|a| a.name.eq_ignore_ascii_case(name));
    let told = session("ice-pacing").and_then(|a| a.value.as_deref()?.trim().parse().ok()).map(Duration::from_millis);
    // The slower of both (RFC 8839 §5.5).
    let usual = if candidates.len() <= FEW { OWN_PACE } else { PACE };
    let pace = told.unwrap_or(usual).clamp(OWN_PACE, Duration::from_secs(1));
    let options = view.line.attribute("ice-options").into_iter().chain(session("ice-options"));
    let words = options.filter_map(|a| a.value.as_deref()).flat_map(str::split_whitespace);
    let trickles = words.into_iter().any(|word| word == "trickle");
    let mid = super::bundle::mid(view.line).map(str::to_owned);
    Ice::Full(RemoteIce { credentials, candidates, lite: session("ice-lite").is_some(), pace, trickles, mid })
}

/// What the first audio line that is not refused says of ICE, when it does.
pub fn offered(body: &[u8]) -> Option<RemoteIce> {
    let mut session = Session::parse(body).ok()?;
    super::bundle::spread(&mut session);
    let audio = |line: &&super::session::MediaLine| line.kind == super::session::MediaKind::Audio && line.port != 0;
    let line = session.media.iter().find(audio)?;
    match read(View { session: &session, line }) {
        Ice::Full(ice) => Some(ice),
        Ice::Not | Ice::Mismatch => None,
    }
}

/// Of the line, else of the session (RFC 8839 §5.4).
fn credentials(view: View<'_>) -> Option<Credentials> {
    let of = |name: &str| {
        let session = || view.session.attributes.iter().find(|a| a.name.eq_ignore_ascii_case(name));
        view.line.attribute(name).or_else(session)?.value.as_deref()
    };
    from_text(of("ice-ufrag")?, of("ice-pwd")?)
}

pub(super) fn from_text(ufrag: &str, password: &str) -> Option<Credentials> {
    let ice_chars = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b));
    let fits = (4..=256).contains(&ufrag.len()) && (22..=256).contains(&password.len());
    (fits && ice_chars(ufrag) && ice_chars(password))
        .then(|| Credentials { ufrag: ufrag.to_owned(), password: Secret::new(password) })
}

pub(super) fn written(candidate: &Candidate) -> String {
    let Candidate { foundation, component, priority, address, kind, related } = candidate;
    let (ip, port, kind) = (address.ip(), address.port(), kind.name());
    let related = related.map(|r| format!(" raddr {} rport {}", r.ip(), r.port())).unwrap_or_default();
    format!("{foundation} {component} UDP {priority} {ip} {port} typ {kind}{related}")
}

/// RFC 8839 §5.1; `None` for what we cannot use: TCP, names, components we do not have.
pub(super) fn candidate(value: &str) -> Option<Candidate> {
    let mut words = value.split_whitespace();
    let foundation = words.next().filter(|text| text.len() <= 32)?.to_owned();
    let component: u8 = words.next()?.parse().ok().filter(|component| (1..=2).contains(component))?;
    words.next().filter(|transport| transport.eq_ignore_ascii_case("udp"))?;
    let priority = words.next()?.parse().ok().filter(|priority| *priority > 0)?;
    // IPv4 in the disguise of IPv6 is what it is, and no way around what follows.
    let ip = words.next()?.parse::<IpAddr>().ok()?.to_canonical();
    let port: u16 = words.next()?.parse().ok().filter(|port| *port != 0)?;
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255, 255, 255, 255]) {
        return None;
    }
    words.next().filter(|typ| typ.eq_ignore_ascii_case("typ"))?;
    let kind = Kind::from_name(words.next()?)?;
    let rest: Vec<&str> = words.collect();
    let of = |name: &str| rest.chunks(2).find(|pair| pair.first() == Some(&name)).and_then(|pair| pair.get(1)).copied();
    let related = of("raddr").and_then(|ip| ip.parse().ok()).zip(of("rport").and_then(|port| port.parse().ok()));
    let (address, related) = (SocketAddr::new(ip, port), related.map(|(ip, port)| SocketAddr::new(ip, port)));
    Some(Candidate { foundation, component, priority, address, kind, related })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_that_are_not_used() {
        for line in [
            "",
            "1 1 UDP",
            "1 1 TCP 2130706431 192.0.2.1 9 typ host tcptype active",
            "1 3 UDP 1 192.0.2.1 4000 typ host",
            "1 0 UDP 1 192.0.2.1 4000 typ host",
            "1 1 UDP 0 192.0.2.1 4000 typ host",
            "1 1 UDP 99999999999 192.0.2.1 4000 typ host",
            "1 1 UDP 1 192.0.2.1 0 typ host",
            "1 1 UDP 1 0.0.0.0 4000 typ host",
            "1 1 UDP 1 224.0.0.1 4000 typ host",
            "1 1 UDP 1 255.255.255.255 4000 typ host",
            "1 1 UDP 1 :: 4000 typ host",
            "1 1 UDP 1 ff02::1 4000 typ host",
            "1 1 UDP 1 ::ffff:0.0.0.0 4000 typ host",
            "1 1 UDP 1 ::ffff:224.0.0.1 4000 typ host",
            "1 1 UDP 1 ::ffff:255.255.255.255 4000 typ host",
            "1 1 UDP 1 3f1c.local 4000 typ host",
            "1 1 UDP 1 pbx.example 4000 typ host",
            "1 1 UDP 1 192.0.2.1 4000 host",
            "1 1 UDP 1 192.0.2.1 4000 typ magic",
            "123456789012345678901234567890123 1 UDP 1 192.0.2.1 4000 typ host",
        ] {
            assert_eq!(candidate(line), None, "{line}");
        }
        let line = "842163049 1 udp 1677729535 203.0.113.7 61000 typ srflx raddr 10.0.0.1 rport 4000 generation 0";
        let read = candidate(line).expect("as browsers write it");
        assert_eq!((read.kind, read.related), (Kind::ServerReflexive, "10.0.0.1:4000".parse().ok()));
        assert_eq!(candidate(&written(&read)), Some(read));
        let mapped = candidate("1 1 UDP 1 ::ffff:127.0.0.1 4000 typ host").expect("an address");
        assert!(mapped.address.ip().is_loopback(), "which only pairs with our own loopback");
    }

    fn session(lines: &str) -> Session {
        let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";
        Session::parse(format!("{head}{lines}").as_bytes()).expect("readable")
    }

    const PWD: &str = "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";

    #[test]
    fn how_a_line_stands_to_ice() {
        let audio = "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n";
        let own = "a=candidate:1 1 UDP 5 192.0.2.1 4000 typ host\r\n";
        let other = "a=candidate:1 1 UDP 5 192.0.2.2 4000 typ host\r\n";
        let mdns = "a=candidate:1 1 UDP 5 0b3a.local 4000 typ host\r\n";
        let hidden = "m=audio 9 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n";
        let ufrag = "a=ice-ufrag:8hhY\r\n";
        // What, lines, candidates when it is ICE.
        let rows = [
            ("nothing", format!("{audio}{own}"), Err(Ice::Not)),
            ("no password", format!("{audio}{ufrag}{own}"), Err(Ice::Not)),
            ("a name too short", format!("{audio}a=ice-ufrag:8hh\r\n{PWD}{own}"), Err(Ice::Not)),
            ("a password too short", format!("{audio}{ufrag}a=ice-pwd:short\r\n{own}"), Err(Ice::Not)),
            ("the default is no candidate", format!("{audio}{ufrag}{PWD}{other}"), Err(Ice::Mismatch)),
            ("told so", format!("{audio}{ufrag}{PWD}{own}a=ice-mismatch\r\n"), Err(Ice::Mismatch)),
            ("as it should be", format!("{audio}{ufrag}{PWD}{own}{other}"), Ok(2)),
            ("of the session", format!("{ufrag}{PWD}{audio}{own}"), Ok(1)),
            ("only hidden ones", format!("{hidden}{ufrag}{PWD}{mdns}"), Ok(0)),
            ("none yet", format!("{hidden}{ufrag}{PWD}"), Ok(0)),
        ];
        for (what, lines, expected) in rows {
            let session = session(&lines);
            let line = session.media.first().expect("one");
            match (read(View { session: &session, line }), expected) {
                (Ice::Full(ice), Ok(count)) => assert_eq!(ice.candidates.len(), count, "{what}"),
                (got, Err(expected)) => assert_eq!(got, expected, "{what}"),
                (got, Ok(_)) => panic!("{what}: {got:?}"),
            }
        }
    }

    #[test]
    fn a_flood_is_cut_and_the_slower_pace_counts() {
        let flood: String = (1..1_000).map(|n| format!("a=candidate:1 1 UDP 5 192.0.2.1 {n} typ host\r\n")).collect();
        for (pacing, pace) in [("", 50), ("a=ice-pacing:1\r\n", 20), ("a=ice-pacing:70\r\na=ice-lite\r\n", 70)] {
            let lines =
                format!("{pacing}m=audio 7 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\na=ice-ufrag:8hhY\r\n{PWD}{flood}");
            let session = session(&lines);
            let Ice::Full(ice) = read(View { session: &session, line: &session.media[0] }) else { panic!("ICE") };
            assert_eq!((ice.candidates.len(), ice.pace), (MOST_CANDIDATES, Duration::from_millis(pace)));
            assert_eq!(ice.lite, pace == 70);
        }
    }
}
