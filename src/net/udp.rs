//! The UDP sockets: datagrams in and out (RFC 3261 §18), and what the network says of those that did not arrive
//! (RFC 3261 §18.4, RFC 1122 §4.1.3.3).
use super::manager::NetEvent;
use super::pool::{Shared, lock};
use super::router::local_address;
use super::unreachable;
use crate::base::net::{Flow, Received, Transmit, Transport};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::Interest;

/// The largest datagram there is.
const DATAGRAM: usize = 65_535;
/// Datagrams remembered, and for how long: an error about any other is somebody else's.
const REMEMBERED: usize = 64;
const LATELY: Duration = Duration::from_secs(10);
/// How much of a datagram an error must quote, where the datagram is longer: beyond the random branch of its Via.
const QUOTED: usize = 256;
/// An error may be pending on the socket for every datagram that left before: so often a datagram is tried.
const TRIES: usize = 4;

/// One bound socket, as those who send use it.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    local: SocketAddr,
    sent: Arc<Mutex<Sent>>,
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
        // A system that cannot tell leaves it to the timers of the transactions.
        let _ = unreachable::ask(&socket);
        // The core's replies leave at once, whatever the reader waits for: hence a handle of our own.
        let own = socket.try_clone()?;
        let configured = configured.filter(|address| !address.is_unspecified());
        let sent = Arc::new(Mutex::new(Sent::default()));
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let reader = read(socket, local, configured, Arc::clone(&sent), shared);
        Ok((Self { socket: own, local, sent }, reader))
    }

    /// Whether datagrams to `remote` can leave here.
    pub fn serves(&self, remote: &SocketAddr) -> bool {
        self.local.is_ipv4() == remote.is_ipv4()
    }

    /// Sends without waiting; `WouldBlock` when the send buffer is full.
    pub fn send(&self, transmit: &Transmit) -> io::Result<()> {
        lock(&self.sent).remember(Instant::now(), transmit);
        let mut tries = 1;
        loop {
            match self.socket.send_to(&transmit.bytes, transmit.flow.remote) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // Told to whoever sends next, but about an earlier datagram: the reader hears of it too.
                Err(_) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

async fn read(
    socket: tokio::net::UdpSocket,
    local: SocketAddr,
    configured: Option<IpAddr>,
    sent: Arc<Mutex<Sent>>,
    shared: Arc<Shared>,
) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let Ok(ready) = socket.ready(Interest::READABLE | Interest::ERROR).await else { return };
        if ready.is_error() {
            while let Ok(notice) = socket.try_io(Interest::ERROR, || unreachable::next(&socket, &mut buffer)) {
                let Some((notice, quoted)) = notice else { continue };
                let about = lock(&sent).find(Instant::now(), notice.destination, quoted);
                if let Some(flow) = about {
                    shared.offer(NetEvent::Refused { flow, error: notice.words() });
                }
            }
        }
        match socket.try_recv_from(&mut buffer) {
            Ok((length, remote)) => {
                if !shared.admit(remote.ip()) {
                    continue;
                }
                let here = configured.or_else(|| local_address(remote).ok()).unwrap_or(local.ip());
                let flow = Flow::new(Transport::Udp, SocketAddr::new(here, local.port()), remote);
                let bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                shared.offer(NetEvent::Received(Received { flow, bytes }));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // An error of an earlier datagram, told once more; it is not about this socket.
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// The datagrams that left lately.
///
/// Anybody may send an ICMP message: the kernel compares only the ports it quotes, and ours and the server's are easily
/// guessed. What it quotes of the datagram must therefore be what was sent, to there, a moment ago; of a message that is the
/// random branch of its Via, which nobody off the path knows. A keep-alive has nothing random: an error about one can be
/// forged, and costs a probe, as a lost keep-alive does. Whoever is on the path could as well drop everything.
#[derive(Debug, Default)]
struct Sent(VecDeque<(Instant, Flow, Bytes)>);

impl Sent {
    fn remember(&mut self, now: Instant, transmit: &Transmit) {
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((now, transmit.flow, transmit.bytes.clone()));
    }

    /// The flow of the datagram that an error is about. Some of a datagram is told only once, so that a flood of copies
    /// of one error is one error.
    fn find(&mut self, now: Instant, destination: SocketAddr, quoted: &[u8]) -> Option<Flow> {
        let is_meant = |(at, flow, bytes): &(Instant, Flow, Bytes)| {
            now.saturating_duration_since(*at) < LATELY
                && flow.remote == destination
                && quoted.len() >= bytes.len().min(QUOTED)
                && bytes.starts_with(quoted)
        };
        let at = self.0.iter().rposition(is_meant)?;
        self.0.remove(at).map(|(_, flow, _)| flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(remote: &str) -> Flow {
        Flow::new(Transport::Udp, "192.0.2.1:5060".parse().expect("an address"), remote.parse().expect("an address"))
    }

    #[test]
    fn only_what_was_sent_lately_is_refused() {
        let (t0, server) = (Instant::now(), "192.0.2.9:5060");
        let message =
            Bytes::from("OPTIONS sip:pbx SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKrandom\r\n".repeat(9));
        let ping = Bytes::from_static(b"\r\n\r\n");
        let other = message.to_vec().iter().map(|b| b ^ 1).collect::<Vec<u8>>();
        // (destination of the error, what it quotes, seconds after, whether it is believed)
        let rows: [(&str, &[u8], u64, bool); 9] = [
            ("192.0.2.8:5060", &message, 0, false),
            ("192.0.2.9:5061", &message, 0, false),
            (server, &[], 0, false),
            (server, &message[..255], 0, false),
            (server, &other, 0, false),
            (server, b"\r\n\r", 0, false),
            (server, &message, 10, false),
            (server, &message[..256], 9, true),
            (server, &ping, 9, true),
        ];
        for (destination, quoted, after, believed) in rows {
            let mut sent = Sent::default();
            for bytes in [&ping, &message] {
                sent.remember(t0, &Transmit { flow: flow(server), bytes: bytes.clone() });
            }
            let destination = destination.parse().expect("an address");
            let now = t0 + Duration::from_secs(after);
            assert_eq!(
                sent.find(now, destination, quoted).is_some(),
                believed,
                "{destination} {} {after}",
                quoted.len()
            );
            assert!(sent.find(now, destination, quoted).is_none(), "one error, told once");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut sent = Sent::default();
        for n in 0..1_000_u32 {
            let bytes = Bytes::copy_from_slice(&n.to_be_bytes());
            sent.remember(Instant::now(), &Transmit { flow: flow("192.0.2.9:5060"), bytes });
        }
        assert_eq!(sent.0.len(), REMEMBERED);
    }
}
