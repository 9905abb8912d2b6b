//! The UDP sockets: datagrams in and out (RFC 3261 §18).
use super::manager::{NetEvent, Shared, local_address};
use crate::base::net::{Flow, Received, Transmit, Transport};
use bytes::Bytes;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// The largest datagram there is.
const DATAGRAM: usize = 65_535;

/// One bound socket, as those who send use it.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    local: SocketAddr,
}

impl Udp {
    /// Takes a bound socket over. The future reads it until it is dropped; it reports with `configured` as our end, if
    /// that is an address, else with the address that leads to the sender.
    pub fn new(
        socket: UdpSocket,
        configured: Option<IpAddr>,
        shared: Arc<Shared>,
    ) -> io::Result<(Self, impl Future<Output = ()> + use<>)> {
        let local = socket.local_addr()?;
        // The core's replies leave at once, whatever the reader waits for: hence a handle of our own.
        let own = socket.try_clone()?;
        let configured = configured.filter(|address| !address.is_unspecified());
        let reader = read(tokio::net::UdpSocket::from_std(socket)?, local, configured, shared);
        Ok((Self { socket: own, local }, reader))
    }

    /// Whether datagrams to `remote` can leave here.
    pub fn serves(&self, remote: &SocketAddr) -> bool {
        self.local.is_ipv4() == remote.is_ipv4()
    }

    /// Sends without waiting; `WouldBlock` when the send buffer is full.
    pub fn send(&self, transmit: &Transmit) -> io::Result<()> {
        self.socket.send_to(&transmit.bytes, transmit.flow.remote).map(|_| ())
    }
}

async fn read(socket: tokio::net::UdpSocket, local: SocketAddr, configured: Option<IpAddr>, shared: Arc<Shared>) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let Ok((length, remote)) = socket.recv_from(&mut buffer).await else {
            // An ICMP error of an earlier datagram; it is not about this socket.
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        if !shared.admit(remote.ip()) {
            continue;
        }
        let here = configured.or_else(|| local_address(remote).ok()).unwrap_or(local.ip());
        let flow = Flow::new(Transport::Udp, SocketAddr::new(here, local.port()), remote);
        let bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
        shared.offer(NetEvent::Received(Received { flow, bytes }));
    }
}
