//! Asks name servers for the records a search wants (RFC 1035): those of the system, or one that is named.
use crate::sip::locate::{Ask, Heard, Kind, Naptr, Record, Srv};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A lost question is asked again after this, so that there is time for it before a search ends.
const TIMEOUT: Duration = Duration::from_millis(1500);
const RETRIES: usize = 2;
/// How long what a file or the system says is used.
const FILED: Duration = Duration::from_secs(60);
/// What a change of the network changes.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// When the files were written that all this was read from.
type Stamp = [Option<SystemTime>; 2];

/// The way to the name servers.
pub struct Resolver {
    named: Option<SocketAddr>,
    current: Option<(Stamp, Arc<System>)>,
}

/// As the files are now.
struct System {
    resolver: Option<TokioResolver>,
    hosts: Hosts,
    /// The system may know names that no name server knows: of the local network above all.
    asks_system: bool,
    servers: Vec<SocketAddr>,
}

impl Resolver {
    /// Asks `named`, or those of the system.
    pub fn new(named: Option<SocketAddr>) -> Self {
        Self { named, current: None }
    }

    /// Asks; the answer needs no other input.
    pub fn ask(&mut self, ask: Ask) -> impl Future<Output = (Ask, Heard)> + Send + 'static {
        let system = self.system();
        async move {
            let heard = system.answer(&ask).await;
            (ask, heard)
        }
    }

    /// Who is asked, for the user to read.
    pub fn servers(&mut self) -> String {
        let words: Vec<String> = self.system().servers.iter().map(SocketAddr::to_string).collect();
        words.join(", ")
    }

    /// What the files say; read again when they have changed.
    fn system(&mut self) -> Arc<System> {
        let stamp = FILES.map(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok());
        match &self.current {
            Some((known, system)) if *known == stamp => Arc::clone(system),
            _ => {
                let system = Arc::new(System::read(self.named));
                self.current = Some((stamp, Arc::clone(&system)));
                system
            }
        }
    }
}

impl System {
    fn read(named: Option<SocketAddr>) -> Self {
        let name_server = |address: SocketAddr| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = address.port());
            NameServerConfig::new(address.ip(), true, connections)
        };
        // Without a word about name servers it is the one on this host (resolv.conf(5)).
        let here = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53);
        let alone = |address| (ResolverConfig::from_name_servers(vec![name_server(address)]), ResolverOpts::default());
        let (config, mut options) = match named {
            Some(address) => alone(address),
            None => system_conf::read_system_conf().unwrap_or_else(|_| alone(here)),
        };
        options.timeout = options.timeout.min(TIMEOUT);
        options.attempts = RETRIES;
        // Searches keep their answers themselves; the files are read here.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        let address = |server: &NameServerConfig| {
            SocketAddr::new(server.ip, server.connections.first().map_or(53, |connection| connection.port))
        };
        let servers = config.name_servers().iter().map(address).collect();
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build().ok();
        Self { resolver, hosts: Hosts::from_system().unwrap_or_default(), asks_system: named.is_none(), servers }
    }

    async fn answer(&self, ask: &Ask) -> Heard {
        // Names are whole: nothing is searched for in other domains.
        let Ok(name) = Name::from_utf8(format!("{}.", ask.name)) else { return Heard::NoSuchName };
        let kind = match ask.kind {
            Kind::Naptr => RecordType::NAPTR,
            Kind::Srv => RecordType::SRV,
            Kind::A => RecordType::A,
            Kind::Aaaa => RecordType::AAAA,
        };
        if let Some(heard) = self.filed(&name, kind) {
            return heard;
        }
        let address = matches!(ask.kind, Kind::A | Kind::Aaaa);
        // Of a name without a dot the system knows which domain is meant; `.local` names are asked of the neighbours.
        if address && self.asks_system && (!ask.name.contains('.') || ask.name.ends_with(".local")) {
            return ask_system(&ask.name, ask.kind).await;
        }
        let Some(resolver) = &self.resolver else { return Heard::Failed };
        match resolver.lookup(name, kind).await {
            Ok(lookup) => {
                // Aliases on the way have a time to live, too.
                let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
                let wanted = lookup.answers().iter().filter(|record| record.record_type() == kind);
                let records: Vec<Record> = wanted.filter_map(|record| read(&record.data)).collect();
                if records.is_empty() {
                    Heard::Nothing
                } else {
                    Heard::Records(records, Duration::from_secs(ttl.into()))
                }
            }
            Err(error) if error.is_nx_domain() => Heard::NoSuchName,
            Err(error) if error.is_no_records_found() => Heard::Nothing,
            Err(NetError::Dns(DnsError::ResponseCode(_))) => Heard::Failed,
            Err(_) => Heard::Silence,
        }
    }

    /// What the hosts file says: a name that is in it is asked of nobody.
    fn filed(&self, name: &Name, kind: RecordType) -> Option<Heard> {
        let of = |kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let (four, six) = (of(RecordType::A), of(RecordType::AAAA));
        if four.is_none() && six.is_none() {
            return None;
        }
        let lookup = match kind {
            RecordType::A => four,
            RecordType::AAAA => six,
            _ => None,
        };
        let records = lookup.map(|l| l.answers().iter().filter_map(|r| read(&r.data)).collect::<Vec<_>>());
        Some(records.filter(|r| !r.is_empty()).map_or(Heard::Nothing, |records| Heard::Records(records, FILED)))
    }
}

/// Asks as any other program of this system would.
async fn ask_system(name: &str, kind: Kind) -> Heard {
    match tokio::net::lookup_host((name, 0)).await {
        Ok(addresses) => {
            let mut of_kind: Vec<IpAddr> =
                addresses.map(|a| a.ip()).filter(|ip| ip.is_ipv4() == (kind == Kind::A)).collect();
            of_kind.dedup();
            let records: Vec<Record> = of_kind.into_iter().map(Record::Address).collect();
            if records.is_empty() { Heard::Nothing } else { Heard::Records(records, FILED) }
        }
        Err(_) => Heard::NoSuchName,
    }
}

fn read(data: &RData) -> Option<Record> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(match data {
        RData::A(a) => Record::Address(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Record::Address(IpAddr::V6(aaaa.0)),
        RData::SRV(srv) => Record::Srv(Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: srv.target.to_ascii(),
        }),
        RData::NAPTR(naptr) => Record::Naptr(Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: text(&naptr.flags),
            services: text(&naptr.services),
            regexp: text(&naptr.regexp),
            replacement: naptr.replacement.to_ascii(),
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UdpSocket;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test)
    }

    #[test]
    fn this_host_is_known_without_a_name_server() {
        run(async {
            // Nobody listens there.
            let nobody = UdpSocket::bind("127.0.0.1:0").await.and_then(|s| s.local_addr()).expect("a port");
            let mut resolver = Resolver::new(Some(nobody));
            let (_, heard) = resolver.ask(Ask::new(Kind::A, "localhost")).await;
            let Heard::Records(records, _) = heard else { panic!("{heard:?}") };
            assert!(records.contains(&Record::Address(Ipv4Addr::LOCALHOST.into())), "{records:?}");
            assert_eq!(resolver.servers(), nobody.to_string());
        });
    }

    #[test]
    fn refusals_are_told_from_names_that_are_none() {
        run(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
            let mut resolver = Resolver::new(socket.local_addr().ok());
            // SERVFAIL, NXDOMAIN, REFUSED, and no error without records.
            let rows = [(2, Heard::Failed), (3, Heard::NoSuchName), (5, Heard::Failed), (0, Heard::Nothing)];
            for (code, expected) in rows {
                let answering = async {
                    let mut query = [0; 512];
                    loop {
                        let Ok((length, from)) = socket.recv_from(&mut query).await else { continue };
                        // The question, sent back as its own answer without any record.
                        let mut reply = query[..length].to_vec();
                        (reply[2], reply[3]) = (0x81, 0x80 | code);
                        let _ = socket.send_to(&reply, from).await;
                    }
                };
                let asking = resolver.ask(Ask::new(Kind::Srv, "_sip._udp.example.com"));
                tokio::select! {
                    (_, heard) = asking => assert_eq!(heard, expected, "{code}"),
                    () = answering => {}
                }
            }
        });
    }

    #[test]
    fn what_is_no_name_is_asked_of_nobody() {
        let mut resolver = Resolver::new(Some(([127, 0, 0, 1], 9).into()));
        let long = "x".repeat(64);
        for name in ["a..b", long.as_str(), "a b\u{7f}..c"] {
            let (_, heard) = run(resolver.ask(Ask::new(Kind::A, name)));
            assert_eq!(heard, Heard::NoSuchName, "{name}");
        }
    }
}
