//! Asks a STUN server how we look from outside: drives the machine of `nat::behaviour` over two sockets.
use crate::app::doctor::nat::Stun;
use crate::base::rng::Rng;
use crate::config::PortRange;
use crate::nat::behaviour::lifetime::{self, Lifetime};
use crate::nat::behaviour::{Behaviour, Report, Socket};
use crate::nat::candidate::{Server, ServerTransport};
use crate::net::dns::Resolver;
use crate::net::helper;
use crate::sip::locate::Purpose;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// Longer than any answer \[octets\].
const DATAGRAM: usize = 2_048;

/// - `name_server`: asked for the name; those of the system when `None`.
/// - `own`: our address, where the configuration names one.
/// - `ports`: those of sound: what holds for them is to be found out.
pub async fn stun(
    server: &Server,
    name_server: Option<SocketAddr>,
    own: Option<IpAddr>,
    ports: PortRange,
    mut rng: Rng,
) -> Stun {
    let name = format!("{}:{}", server.host, server.port);
    let mut resolver = Resolver::new(name_server);
    let udp = Some(ServerTransport::Udp);
    let found = helper::locate(&mut resolver, Purpose::Stun, server, udp, rng.fork()).await;
    let addresses: Vec<SocketAddr> = found.into_iter().map(|(_, address)| address).collect();
    let preferred = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    let Some(&address) = preferred else { return Stun::Unresolved { server: name } };
    match drive(address, own, ports, rng).await {
        Ok(report) => Stun::Asked { server: name, address, report },
        Err(error) => Stun::NoSocket { server: name, words: error.to_string() },
    }
}

async fn drive(server: SocketAddr, own: Option<IpAddr>, ports: PortRange, rng: Rng) -> io::Result<Report> {
    let own = own.filter(|own| own.is_ipv4() == server.is_ipv4() && !own.is_unspecified());
    let ip = own.map_or_else(|| local_address(server), Ok)?;
    let first = bind(ip, ports).await?;
    let second = bind(ip, ports).await?;
    let mut machine = Behaviour::new(Instant::now(), server, [first.local_addr()?, second.local_addr()?], rng);
    let (mut one, mut two) = ([0; DATAGRAM], [0; DATAGRAM]);
    loop {
        while let Some(transmit) = machine.poll_transmit() {
            let socket = if transmit.socket == Socket::First { &first } else { &second };
            // What cannot be sent is not answered.
            let _ = socket.send_to(&transmit.bytes, transmit.to).await;
        }
        let Some(due) = machine.poll_timeout() else { return Ok(machine.report()) };
        tokio::select! {
            got = first.recv_from(&mut one) => {
                if let Ok((length, from)) = got {
                    machine.handle_datagram(Instant::now(), Socket::First, from, one.get(..length).unwrap_or_default());
                }
            }
            got = second.recv_from(&mut two) => {
                if let Ok((length, from)) = got {
                    machine.handle_datagram(Instant::now(), Socket::Second, from, two.get(..length).unwrap_or_default());
                }
            }
            () = tokio::time::sleep_until(due.into()) => machine.handle_timeout(Instant::now()),
        }
    }
}

/// Finds out for how long the NAT remembers silence, up to `longest`.
///
/// # Errors
/// When the sockets cannot be had.
pub async fn lifetime(server: SocketAddr, ip: IpAddr, longest: Duration, rng: Rng) -> io::Result<lifetime::Report> {
    let asking = UdpSocket::bind((ip, 0)).await?;
    let kept = [UdpSocket::bind((ip, 0)).await?, UdpSocket::bind((ip, 0)).await?, UdpSocket::bind((ip, 0)).await?];
    let silences = [longest / 4, longest / 2, longest];
    let mut machine = Lifetime::new(Instant::now(), server, &silences, rng);
    let [first, second, third] = &kept;
    let mut chunks = [[0; DATAGRAM]; 4];
    let [one, two, three, four] = &mut chunks;
    loop {
        while let Some(transmit) = machine.poll_transmit() {
            let socket = match transmit.socket {
                lifetime::Socket::Asking => Some(&asking),
                lifetime::Socket::Kept(number) => kept.get(number),
            };
            if let Some(socket) = socket {
                // What cannot be sent is not answered.
                let _ = socket.send_to(&transmit.bytes, server).await;
            }
        }
        let Some(due) = machine.poll_timeout() else { return Ok(machine.report()) };
        let (socket, got, chunk) = tokio::select! {
            got = asking.recv_from(one) => (lifetime::Socket::Asking, got, &*one),
            got = first.recv_from(two) => (lifetime::Socket::Kept(0), got, &*two),
            got = second.recv_from(three) => (lifetime::Socket::Kept(1), got, &*three),
            got = third.recv_from(four) => (lifetime::Socket::Kept(2), got, &*four),
            () = tokio::time::sleep_until(due.into()) => {
                machine.handle_timeout(Instant::now());
                continue;
            }
        };
        if let Ok((length, from)) = got {
            machine.handle_datagram(Instant::now(), socket, from, chunk.get(..length).unwrap_or_default());
        }
    }
}

/// The address the system would send from.
pub fn local_address(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

/// A port of the range, or any where all are taken.
async fn bind(ip: IpAddr, ports: PortRange) -> io::Result<UdpSocket> {
    for port in (ports.low..=ports.high).rev().take(32) {
        if let Ok(socket) = UdpSocket::bind((ip, port)).await {
            return Ok(socket);
        }
    }
    UdpSocket::bind((ip, 0)).await
}
