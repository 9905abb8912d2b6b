//! In which order servers are tried: services, priorities and weights, address families (RFC 2782, RFC 3263 §4.1,
//! RFC 8305 §4).
use super::Purpose;
use super::record::{Naptr, Srv};
use crate::base::net::Transport;
use crate::base::rng::Rng;
use std::net::IpAddr;

/// What NAPTR records call our transports (RFC 3263 §4.1, RFC 7118 §6).
const SERVICES: [(&str, Transport); 5] = [
    ("SIPS+D2T", Transport::Tls),
    ("SIP+D2T", Transport::Tcp),
    ("SIP+D2U", Transport::Udp),
    ("SIPS+D2W", Transport::Wss),
    ("SIP+D2W", Transport::Ws),
];
/// And what they call those of a relay (RFC 5928 §3): one record may name several.
const RELAY: &str = "RELAY";
const RELAYS: [(&str, Transport); 3] =
    [("turn.udp", Transport::Udp), ("turn.tcp", Transport::Tcp), ("turn.tls", Transport::Tls)];

/// A transport of a domain, and the name of its SRV records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub transport: Transport,
    pub name: String,
}

/// The services that NAPTR records offer us, the preferred first. Later orders are kept for when all before them fail:
/// domains order their transports so, and mean the others too.
pub fn services(purpose: Purpose, records: &[Naptr], secure: bool) -> Vec<Service> {
    let usable = |record: &&Naptr| record.flags.eq_ignore_ascii_case("s") && record.regexp.is_empty();
    let mut records: Vec<&Naptr> = records.iter().filter(usable).collect();
    records.sort_by_key(|record| (record.order, record.preference));
    let named = |record: &Naptr| -> Vec<Service> {
        let name = record.replacement.trim_end_matches('.').to_ascii_lowercase();
        let offered = |transport: &Transport| !name.is_empty() && (transport.is_secure() || !secure);
        let service = |transport| Service { transport, name: name.clone() };
        transports(purpose, &record.services).into_iter().filter(offered).map(service).collect()
    };
    let mut services: Vec<Service> = Vec::new();
    for service in records.into_iter().flat_map(named) {
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}

/// What the services field of a NAPTR record means to us.
fn transports(purpose: Purpose, services: &str) -> Vec<Transport> {
    let of = |known: &[(&str, Transport)], word: &str| {
        known.iter().find(|(token, _)| word.eq_ignore_ascii_case(token)).map(|(_, transport)| *transport)
    };
    match purpose {
        Purpose::Sip => of(&SERVICES, services).into_iter().collect(),
        // RFC 5389 knows no such records.
        Purpose::Stun => Vec::new(),
        Purpose::Turn => {
            let mut words = services.split(':');
            let relays = words.next().is_some_and(|word| word.eq_ignore_ascii_case(RELAY));
            words.take(RELAYS.len()).filter(|_| relays).filter_map(|word| of(&RELAYS, word)).collect()
        }
    }
}

/// The services of a domain that has no NAPTR records: what is protected first, then what notices a dead server. WebSockets
/// are for those who ask for them.
pub fn usual_services(purpose: Purpose, host: &str, secure: bool) -> Vec<Service> {
    let transports = match purpose {
        Purpose::Sip => [Transport::Tls, Transport::Tcp, Transport::Udp],
        // What relays sound had better not wait for what was lost.
        Purpose::Stun | Purpose::Turn => [Transport::Udp, Transport::Tcp, Transport::Tls],
    };
    transports.into_iter().filter(|t| t.is_secure() || !secure).map(|t| service(purpose, t, host)).collect()
}

/// The SRV name of one transport (RFC 3263 §4.1; by analogy for WebSockets).
pub fn service(purpose: Purpose, transport: Transport, host: &str) -> Service {
    let name = match (purpose, transport.is_secure()) {
        (Purpose::Sip, false) => "sip",
        (Purpose::Sip, true) => "sips",
        (Purpose::Stun, false) => "stun",
        (Purpose::Stun, true) => "stuns",
        (Purpose::Turn, false) => "turn",
        (Purpose::Turn, true) => "turns",
    };
    let below = match transport {
        Transport::Udp => "udp",
        Transport::Tcp | Transport::Tls => "tcp",
        Transport::Ws | Transport::Wss => "ws",
    };
    Service { transport, name: format!("_{name}._{below}.{host}") }
}

/// Priorities in order, and within one by weight: each is drawn with the probability of its weight among those left;
/// weight 0 stands first in the row and so has a small chance (RFC 2782). Those alike stand in any order.
pub fn by_weight(mut records: Vec<Srv>, rng: &mut Rng) -> Vec<Srv> {
    records.sort_by_cached_key(|record| (record.priority, record.weight > 0, rng.u32()));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let row = records.iter().take_while(|record| record.priority == priority);
        let weights: Vec<u32> = row.map(|record| record.weight.into()).collect();
        let drawn = rng.range(0, weights.iter().sum());
        let mut running = 0;
        let at = weights.iter().position(|weight| {
            running += weight;
            running >= drawn
        });
        ordered.push(records.remove(at.unwrap_or(0)));
    }
    ordered
}

/// Both families by turns, IPv6 first; on this very host IPv4 first, where servers listen that know no better.
pub fn interleaved(four: &[IpAddr], six: &[IpAddr]) -> Vec<IpAddr> {
    let own = four.iter().any(IpAddr::is_loopback) && six.iter().any(IpAddr::is_loopback);
    let (first, second) = if own { (four, six) } else { (six, four) };
    let longest = first.len().max(second.len());
    (0..longest).flat_map(|at| [first.get(at), second.get(at)]).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naptr(order: u16, preference: u16, flags: &str, services: &str, regexp: &str, replacement: &str) -> Naptr {
        let text = str::to_owned;
        Naptr {
            order,
            preference,
            flags: text(flags),
            services: text(services),
            regexp: text(regexp),
            replacement: text(replacement),
        }
    }

    fn srv(priority: u16, weight: u16, target: &str) -> Srv {
        Srv { priority, weight, port: 5060, target: target.to_owned() }
    }

    #[test]
    fn services_of_naptr_records() {
        let tls = || naptr(50, 50, "s", "SIPS+D2T", "", "_sips._tcp.example.com.");
        let tcp = || naptr(90, 50, "s", "SIP+D2T", "", "_sip._tcp.example.com.");
        let udp = || naptr(100, 50, "S", "sip+d2u", "", "_SIP._udp.Example.com.");
        let rows: Vec<(Vec<Naptr>, bool, Vec<&str>)> = vec![
            (vec![naptr(1, 1, "s", "SIP+D2S", "", "_sip._sctp.example.com.")], false, vec![]),
            (vec![naptr(1, 1, "s", "E2U+sip", "", "_sip._udp.example.com.")], false, vec![]),
            (vec![naptr(1, 1, "u", "SIP+D2U", "", "_sip._udp.example.com.")], false, vec![]),
            (vec![naptr(1, 1, "", "SIP+D2U", "", "example.org.")], false, vec![]),
            (vec![naptr(1, 1, "a", "SIP+D2U", "", "a.example.com.")], false, vec![]),
            (vec![naptr(1, 1, "s", "SIP+D2U", "!^.*$!sip:x@example.com!", ".")], false, vec![]),
            (vec![naptr(1, 1, "s", "SIP+D2U", "", ".")], false, vec![]),
            (vec![tcp(), udp()], true, vec![]),
            // RFC 3263 §4.1, and the same for sips.
            (
                vec![udp(), tcp(), tls()],
                false,
                vec!["tls _sips._tcp.example.com", "tcp _sip._tcp.example.com", "udp _sip._udp.example.com"],
            ),
            (vec![udp(), tcp(), tls()], true, vec!["tls _sips._tcp.example.com"]),
            (
                vec![naptr(1, 9, "s", "SIP+D2U", "", "u.x."), naptr(1, 2, "s", "SIP+D2W", "", "w.x."), tcp(), tcp()],
                false,
                vec!["ws w.x", "udp u.x", "tcp _sip._tcp.example.com"],
            ),
            (vec![naptr(1, 2, "s", "SIPS+D2W", "", "w.x.")], true, vec!["wss w.x"]),
        ];
        for (records, secure, expected) in rows {
            let got: Vec<String> = services(Purpose::Sip, &records, secure)
                .iter()
                .map(|s| format!("{} {}", s.transport.name(), s.name))
                .collect();
            assert_eq!(got, expected, "{records:?}");
        }
    }

    #[test]
    fn relays_of_naptr_records() {
        let row = |order, services: &str| naptr(order, 1, "s", services, "", "_turn.example.com.");
        for (services_field, expected) in [
            ("SIP+D2U", vec![]),
            ("RELAY", vec![]),
            ("relay:turn.sctp", vec![]),
            ("turn.udp", vec![]),
            ("RELAY:turn.udp", vec!["udp"]),
            ("RELAY:turn.tls:turn.tcp", vec!["tls", "tcp"]),
        ] {
            let got: Vec<&str> =
                services(Purpose::Turn, &[row(1, services_field)], false).iter().map(|s| s.transport.name()).collect();
            assert_eq!(got, expected, "{services_field}");
            assert!(services(Purpose::Stun, &[row(1, services_field)], false).is_empty());
        }
        let two = [row(20, "RELAY:turn.udp"), row(10, "RELAY:turn.tls")];
        let got = services(Purpose::Turn, &two, true);
        assert_eq!(
            got.iter().map(|s| s.transport).collect::<Vec<_>>(),
            [Transport::Tls],
            "what is not protected stays out"
        );
        assert_eq!(service(Purpose::Turn, Transport::Tls, "x").name, "_turns._tcp.x");
        assert_eq!(service(Purpose::Stun, Transport::Udp, "x").name, "_stun._udp.x");
    }

    #[test]
    fn priorities_come_before_weights() {
        let mut rng = Rng::from_u64(1);
        for _ in 0..100 {
            let records = vec![srv(20, 65_535, "c"), srv(10, 0, "a"), srv(30, 1, "d"), srv(10, 65_535, "b")];
            let order: Vec<u16> = by_weight(records, &mut rng).iter().map(|r| r.priority).collect();
            assert_eq!(order, [10, 10, 20, 30]);
        }
        assert!(by_weight(Vec::new(), &mut rng).is_empty());
    }

    /// How often each of the records was first, in 10,000 draws.
    fn first_of(records: &[Srv]) -> Vec<u32> {
        let mut rng = Rng::from_u64(7);
        let mut counts = vec![0; records.len()];
        for _ in 0..10_000 {
            let first = by_weight(records.to_vec(), &mut rng).remove(0);
            let at = records.iter().position(|record| *record == first).expect("one of them");
            counts[at] += 1;
        }
        counts
    }

    #[test]
    fn weights_are_probabilities() {
        // RFC 2782 draws from 0 up to the sum of n, both included: weight w has w/(n+1), and what stands first one part more.
        let part = |weight: f64| (weight + 1.0 / 3.0) / 101.0;
        let rows: [(&[u16], &[f64]); 6] = [
            (&[5], &[1.0]),
            (&[0, 99], &[0.01, 0.99]),
            (&[0, 0], &[0.5, 0.5]),
            (&[1, 1], &[0.5, 0.5]),
            (&[10, 30, 60], &[part(10.0), part(30.0), part(60.0)]),
            (&[65_535, 65_535], &[0.5, 0.5]),
        ];
        for (weights, expected) in rows {
            let records: Vec<Srv> = weights.iter().enumerate().map(|(n, w)| srv(1, *w, &format!("host{n}"))).collect();
            for (count, share) in first_of(&records).iter().zip(expected) {
                // Four standard deviations.
                let slack = 4.0 * (share * (1.0 - share) / 10_000.0).sqrt();
                let got = f64::from(*count) / 10_000.0;
                assert!((got - share).abs() <= slack, "{weights:?}: {got} instead of {share}");
            }
        }
    }

    #[test]
    fn families_take_turns() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let rows: [(&[&str], &[&str], &[&str]); 5] = [
            (&[], &[], &[]),
            (&["192.0.2.1"], &[], &["192.0.2.1"]),
            (&["192.0.2.1", "192.0.2.2"], &["2001:db8::1"], &["2001:db8::1", "192.0.2.1", "192.0.2.2"]),
            (
                &["192.0.2.1"],
                &["2001:db8::1", "2001:db8::2", "2001:db8::3"],
                &["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"],
            ),
            (&["127.0.0.1"], &["::1"], &["127.0.0.1", "::1"]),
        ];
        for (four, six, expected) in rows {
            let parse = |texts: &[&str]| texts.iter().map(|t| ip(t)).collect::<Vec<_>>();
            assert_eq!(interleaved(&parse(four), &parse(six)), parse(expected));
        }
    }
}
