//! Allocates an address at the relay, over each transport, and gives it back.
use crate::app::doctor::relay::{Attempt, Refusal, Relay};
use crate::base::rng::Rng;
use crate::nat::candidate::{ServerTransport, TurnServer};
use crate::nat::turn::{Client, Event, TurnError};
use crate::net::dns::Resolver;
use crate::net::helper::{self, Io, Roots};
use crate::sip::locate::Purpose;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long a relay may take over one transport.
const PATIENCE: Duration = Duration::from_secs(4);
/// The ports of relays (RFC 8656 §19).
const PORT: u16 = 3478;
const TLS_PORT: u16 = 5349;
const CHUNK: usize = 4_096;

/// Tries what the account and the records of the relay's domain say, and other transports where that is not reached.
///
/// - `name_server`: asked for the name; those of the system when `None`.
pub async fn relay(turn: &TurnServer, name_server: Option<SocketAddr>, mut rng: Rng) -> Relay {
    let (host, port) = (turn.server.host.clone(), turn.server.port);
    let mut relay = Relay { server: format!("{host}:{port}"), tried: Vec::new(), has_user: !turn.user.is_empty() };
    let mut resolver = Resolver::new(name_server);
    let named = (!turn.any_transport).then_some(turn.transport);
    let mut found = helper::locate(&mut resolver, Purpose::Turn, &turn.server, named, rng.fork()).await;
    // What has IPv4 is asked there first, as most can.
    found.sort_by_key(|(_, address)| address.is_ipv6());
    let Some(&(transport, address)) = found.first() else {
        let result = Err(Refusal::Unreached("its name has no address".to_owned()));
        relay.tried.push(Attempt { transport: turn.transport, port, result });
        return relay;
    };
    relay.tried.push(attempt(turn, transport, address, rng.fork()).await);
    if matches!(relay.tried.first().map(|first| &first.result), Some(Err(Refusal::Unreached(_)))) {
        let plain = if transport == ServerTransport::Tls { PORT } else { address.port() };
        let others = [(ServerTransport::Udp, plain), (ServerTransport::Tcp, plain), (ServerTransport::Tls, TLS_PORT)];
        let mut rows = others.into_iter().filter(|(other, _)| *other != transport);
        if let (Some((a, a_port)), Some((b, b_port))) = (rows.next(), rows.next()) {
            let (one, two) = (rng.fork(), rng.fork());
            let at = |port| SocketAddr::new(address.ip(), port);
            let (one, two) = tokio::join!(attempt(turn, a, at(a_port), one), attempt(turn, b, at(b_port), two));
            relay.tried.extend([one, two]);
        }
    }
    relay
}

async fn attempt(turn: &TurnServer, transport: ServerTransport, address: SocketAddr, rng: Rng) -> Attempt {
    let (began, port) = (Instant::now(), address.port());
    let silent = || Err(Refusal::Unreached("no answer".to_owned()));
    let result = timeout(PATIENCE, allocate(turn, address, transport, rng)).await;
    Attempt { transport, port, result: result.unwrap_or_else(|_| silent()).map(|relayed| (relayed, began.elapsed())) }
}

/// How octets get to the relay and back.
enum Link {
    Datagrams(UdpSocket),
    Stream(Box<dyn Io>),
}

impl Link {
    async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Datagrams(socket) => socket.send(bytes).await.map(|_| ()),
            Self::Stream(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn receive(&mut self, chunk: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Datagrams(socket) => socket.recv(chunk).await,
            Self::Stream(stream) => match stream.read(chunk).await? {
                0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
                length => Ok(length),
            },
        }
    }
}

async fn allocate(
    turn: &TurnServer,
    address: SocketAddr,
    transport: ServerTransport,
    rng: Rng,
) -> Result<SocketAddr, Refusal> {
    let broken = |error: std::io::Error| {
        Refusal::Unreached(match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
            std::io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
            _ => error.to_string(),
        })
    };
    let mut link = match transport {
        ServerTransport::Udp => {
            let any: IpAddr =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((any, 0)).await.map_err(broken)?;
            socket.connect(address).await.map_err(broken)?;
            Link::Datagrams(socket)
        }
        ServerTransport::Tcp | ServerTransport::Tls => {
            let tls = (transport == ServerTransport::Tls).then(|| (turn.server.host.clone(), turn.authorities.clone()));
            Link::Stream(helper::connect(address, tls, &Roots::default()).await.map_err(Refusal::Unreached)?)
        }
    };
    let streamed = transport != ServerTransport::Udp;
    let mut client = Client::new(Instant::now(), &turn.user, &turn.password, streamed, false, rng);
    let mut chunk = [0; CHUNK];
    loop {
        while let Some(bytes) = client.poll_transmit() {
            link.send(&bytes).await.map_err(broken)?;
        }
        match client.poll_event() {
            Some(Event::Allocated { relayed, .. }) => {
                client.close(Instant::now());
                while let Some(bytes) = client.poll_transmit() {
                    // It expires anyway.
                    let _ = link.send(&bytes).await;
                }
                return Ok(relayed);
            }
            Some(Event::Failed(TurnError::Silent)) => return Err(Refusal::Unreached(TurnError::Silent.to_string())),
            Some(Event::Failed(error)) => return Err(Refusal::Said(error.to_string())),
            None => {}
        }
        let due = client.poll_timeout().unwrap_or_else(|| Instant::now() + PATIENCE);
        tokio::select! {
            got = link.receive(&mut chunk) => {
                let length = got.map_err(broken)?;
                client.handle_input(Instant::now(), chunk.get(..length).unwrap_or_default());
            }
            () = tokio::time::sleep_until(due.into()) => client.handle_timeout(Instant::now()),
        }
    }
}
