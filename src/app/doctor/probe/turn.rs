//! Allocates an address at the relay, over each transport, and gives it back.
use super::stun::resolve;
use crate::app::doctor::relay::{Attempt, Refusal, Relay};
use crate::base::rng::Rng;
use crate::nat::candidate::{ServerTransport, TurnServer};
use crate::nat::turn::{Client, Event, TurnError};
use crate::net::helper::{self, Io, Roots};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long a relay may take over one transport.
const PATIENCE: Duration = Duration::from_secs(4);
/// The port for TLS (RFC 8656 §19).
const TLS_PORT: u16 = 5349;
const CHUNK: usize = 4_096;

/// Tries what the account says, and the other transports where that is not reached.
pub async fn relay(turn: &TurnServer, mut rng: Rng) -> Relay {
    let (host, port) = (turn.server.host.clone(), turn.server.port);
    let mut relay = Relay { server: format!("{host}:{port}"), tried: Vec::new(), has_user: !turn.user.is_empty() };
    let addresses = resolve(&turn.server).await;
    let Some(ip) = addresses.iter().find(|a| a.is_ipv4()).or(addresses.first()).map(SocketAddr::ip) else {
        let result = Err(Refusal::Unreached("its name has no address".to_owned()));
        relay.tried.push(Attempt { transport: turn.transport, port, result });
        return relay;
    };
    relay.tried.push(attempt(turn, ip, turn.transport, port, rng.fork()).await);
    if matches!(relay.tried.first().map(|first| &first.result), Some(Err(Refusal::Unreached(_)))) {
        let plain = if turn.transport == ServerTransport::Tls { 3478 } else { port };
        let others = [(ServerTransport::Udp, plain), (ServerTransport::Tcp, plain), (ServerTransport::Tls, TLS_PORT)];
        let mut rows = others.into_iter().filter(|(transport, _)| *transport != turn.transport);
        if let (Some((a, a_port)), Some((b, b_port))) = (rows.next(), rows.next()) {
            let (one, two) = (rng.fork(), rng.fork());
            let (one, two) = tokio::join!(attempt(turn, ip, a, a_port, one), attempt(turn, ip, b, b_port, two));
            relay.tried.extend([one, two]);
        }
    }
    relay
}

async fn attempt(turn: &TurnServer, ip: IpAddr, transport: ServerTransport, port: u16, rng: Rng) -> Attempt {
    let began = Instant::now();
    let silent = || Err(Refusal::Unreached("no answer".to_owned()));
    let result = timeout(PATIENCE, allocate(turn, (ip, port).into(), transport, rng)).await;
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
