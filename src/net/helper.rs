//! Servers that help media through NATs: where they are, and connections to them: TURN over TCP and TLS (RFC 8656 §3.1).
pub use super::dial::Io;
use super::dns::Resolver;
use super::manager::Access;
use super::router::Server;
pub use super::tls::Roots;
use super::tls::handshake;
use crate::base::net::Transport;
use crate::base::rng::Rng;
use crate::nat::candidate::{self, ServerTransport};
use crate::sip::locate::{AccessId, Purpose, Question, Search};
use crate::sip::message::Host;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connects; over TLS where the server's name is given, which its certificate must have, with more authorities to trust.
///
/// # Errors
/// In words.
pub async fn connect(
    address: SocketAddr,
    tls: Option<(String, Option<PathBuf>)>,
    roots: &Roots,
) -> Result<Box<dyn Io>, String> {
    let tcp = TcpStream::connect(address).await.map_err(|error| format!("no connection: {error}"))?;
    // Sound is sent in small pieces that must not wait for more.
    let _ = tcp.set_nodelay(true);
    let Some((name, ca_file)) = tls else { return Ok(Box::new(tcp)) };
    let server = Server { name, access: AccessId::default() };
    let access = Access { ca_file, ..Access::default() };
    match handshake(tcp, &server, &access, roots).await {
        Ok(protected) => Ok(Box::new(protected)),
        Err(error) => Err(error.to_string()),
    }
}

/// Where a server is, the best first: by the records of its domain where no port was named (RFC 8489 §8, RFC 5928).
///
/// - `transport`: the only one that will do; `None`: what the records say.
pub async fn locate(
    resolver: &mut Resolver,
    purpose: Purpose,
    server: &candidate::Server,
    transport: Option<ServerTransport>,
    rng: Rng,
) -> Vec<(ServerTransport, SocketAddr)> {
    let transport = transport.map(|transport| match transport {
        ServerTransport::Udp => Transport::Udp,
        ServerTransport::Tcp => Transport::Tcp,
        ServerTransport::Tls => Transport::Tls,
    });
    let Some(host) = Host::parse(&server.host) else { return Vec::new() };
    let port = (!server.by_records).then_some(server.port);
    let question = Question { host, port, transport, secure: false, access: AccessId::default() };
    let mut search = Search::of(Instant::now(), question, purpose, rng);
    let mut asking = JoinSet::new();
    loop {
        while let Some(ask) = search.poll_ask() {
            asking.spawn(resolver.ask(ask));
        }
        if let Some(outcome) = search.poll_outcome() {
            let found = outcome.map(|found| found.targets).unwrap_or_default();
            let usable = |transport| match transport {
                Transport::Udp => Some(ServerTransport::Udp),
                Transport::Tcp => Some(ServerTransport::Tcp),
                Transport::Tls => Some(ServerTransport::Tls),
                Transport::Ws | Transport::Wss => None,
            };
            return found.into_iter().filter_map(|t| Some((usable(t.transport)?, t.address))).collect();
        }
        let due = search.poll_timeout();
        let sleep = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(Ok((ask, heard))) = asking.join_next() => search.handle_heard(Instant::now(), &ask, heard),
            () = sleep => search.handle_timeout(Instant::now()),
            else => return Vec::new(),
        }
    }
}
