//! The sockets of all streams, with the simulated network that may lie between them and the world.
use crate::base::id::StreamId;
use crate::base::netem::{Impairment, Link, Stamp};
use crate::base::rng::Rng;
use crate::media::session::{Component, Datagram, MediaTransmit};
use crate::media::spec::StreamSpec;
use crate::runtime::media_socket::{BindError, MediaSocket, bind_pair};
use crate::runtime::media_thread::Truths;
use crate::runtime::media_thread::system::pollfd;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Instant;

/// Datagrams taken from one socket at a time: a flood must not stop the sound.
const BURST: usize = 64;
/// No datagram is longer.
const LARGEST: usize = 65_536;
/// Addresses of this machine beside the one that leads to the server.
const MOST_OTHERS: usize = 4;

pub struct Wires {
    ports: RangeInclusive<u16>,
    dscp: u8,
    rng: Rng,
    impairment: Option<Impairment>,
    /// In the order of the descriptors.
    streams: BTreeMap<StreamId, Wire>,
    buffer: Vec<u8>,
}

/// The sockets of one stream: those of RTP and RTCP first, then such pairs on other addresses of this machine.
struct Wire {
    halves: Vec<Half>,
    /// Payload type and clock rate of what the stream sends, for the truth's jitter.
    sends: Option<(u8, u32)>,
    /// Closed by the engine; packets may still be on their way out.
    closing: bool,
}

struct Half {
    component: Component,
    socket: MediaSocket,
    simulated: Option<Simulated>,
}

/// The network in both directions.
struct Simulated {
    inbound: Link<(SocketAddr, Vec<u8>)>,
    outbound: Link<(SocketAddr, Vec<u8>)>,
}

/// What became of a datagram that was to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    /// Its buffer may be used again.
    Yes(Vec<u8>),
    Later,
    Refused,
}

impl Wires {
    pub fn new(ports: RangeInclusive<u16>, dscp: u8, rng: Rng, impairment: Option<Impairment>) -> Self {
        Self { ports, dscp, rng, impairment, streams: BTreeMap::new(), buffer: vec![0; LARGEST] }
    }

    /// Binds a pair of ports; returns the addresses of RTP and RTCP. A stream that is open elsewhere moves here, with its
    /// ports where they are free; when it cannot, it stays as it is.
    pub fn open(&mut self, stream: StreamId, local: IpAddr) -> Result<(SocketAddr, SocketAddr), BindError> {
        if let Some(wire) = self.streams.get_mut(&stream)
            && let [rtp_half, rtcp_half, ..] = wire.halves.as_mut_slice()
        {
            let (rtp, rtcp) = (rtp_half.socket.local(), rtcp_half.socket.local());
            if rtp.ip() == local {
                return Ok((rtp, rtcp));
            }
            let again = |at: SocketAddr| MediaSocket::bind(local, at.port(), self.dscp);
            let moved = match again(rtp).and_then(|rtp| Ok((rtp, again(rtcp)?))) {
                Ok(moved) => moved,
                Err(_) => bind_pair(local, &self.ports, self.dscp, &mut self.rng)?,
            };
            (rtp_half.socket, rtcp_half.socket) = moved;
            return Ok((rtp_half.socket.local(), rtcp_half.socket.local()));
        }
        let (rtp, rtcp) = bind_pair(local, &self.ports, self.dscp, &mut self.rng)?;
        let addresses = (rtp.local(), rtcp.local());
        let half = |component, socket| Half { component, socket, simulated: None };
        let mut wire =
            Wire { halves: vec![half(Component::Rtp, rtp), half(Component::Rtcp, rtcp)], sends: None, closing: false };
        if let Some(impairment) = self.impairment {
            wire.impair(stream, impairment);
        }
        self.streams.insert(stream, wire);
        Ok(addresses)
    }

    /// As [`Wires::open`], with pairs of ports on these addresses too, as far as there are any; returns all sockets by
    /// their numbers. Those that were open on other addresses before are closed.
    pub fn open_all(
        &mut self,
        stream: StreamId,
        local: IpAddr,
        others: &[IpAddr],
    ) -> Result<Vec<(Component, SocketAddr)>, BindError> {
        self.open(stream, local)?;
        let mut more = Vec::new();
        for other in others.iter().filter(|other| **other != local).take(MOST_OTHERS) {
            // An address that cannot be used is one way less.
            if let Ok((rtp, rtcp)) = bind_pair(*other, &self.ports, self.dscp, &mut self.rng) {
                for (component, socket) in [(Component::Rtp, rtp), (Component::Rtcp, rtcp)] {
                    more.push(Half { component, socket, simulated: None });
                }
            }
        }
        let impairment = self.impairment;
        let Some(wire) = self.streams.get_mut(&stream) else { return Ok(Vec::new()) };
        wire.halves.truncate(2);
        wire.halves.append(&mut more);
        if let Some(impairment) = impairment {
            wire.impair(stream, impairment);
        }
        Ok(wire.halves.iter().map(|half| (half.component, half.socket.local())).collect())
    }

    pub fn configure(&mut self, stream: StreamId, spec: &StreamSpec) {
        if let Some(wire) = self.streams.get_mut(&stream) {
            wire.sends = Some((spec.send.payload_type, spec.send.codec.clock_rate()));
        }
    }

    /// Sets the simulated network of all streams, open ones and others.
    pub fn impair(&mut self, impairment: Impairment) {
        self.impairment = Some(impairment);
        for (stream, wire) in &mut self.streams {
            wire.impair(*stream, impairment);
        }
    }

    /// Closes the sockets as soon as nothing is on its way out of them.
    pub fn close(&mut self, stream: StreamId) {
        if let Some(wire) = self.streams.get_mut(&stream) {
            wire.closing = true;
        }
        self.sweep();
    }

    pub fn descriptors(&self) -> impl Iterator<Item = libc::pollfd> {
        self.streams.values().flat_map(|wire| &wire.halves).map(|half| pollfd(half.socket.fd()))
    }

    /// Reads the sockets that are ready and hands on what arrived, or what the simulated network lets arrive by now.
    ///
    /// - `ready`: in the order of [`Wires::descriptors`].
    pub fn receive(&mut self, now: Instant, ready: &[libc::pollfd], mut sink: impl FnMut(Datagram<'_>)) {
        let buffer = &mut self.buffer;
        let halves = self.streams.iter_mut().flat_map(|(stream, wire)| {
            wire.halves.iter_mut().enumerate().map(|(socket, half)| (*stream, socket as u8, half))
        });
        for ((stream, socket, half), descriptor) in halves.zip(ready) {
            if descriptor.revents != 0 {
                half.read((stream, socket), buffer, &mut sink);
            }
        }
        for (stream, wire) in &mut self.streams {
            for (socket, half) in wire.halves.iter_mut().enumerate() {
                let Some(simulated) = &mut half.simulated else { continue };
                while let Some((arrived, (source, bytes))) = simulated.inbound.poll(now) {
                    let component = half.component;
                    let (stream, socket) = (*stream, socket as u8);
                    sink(Datagram { stream, component, socket, source, arrived, bytes: &bytes });
                }
            }
        }
    }

    pub fn send(&mut self, now: Instant, transmit: MediaTransmit) -> Sent {
        let MediaTransmit { stream, component, socket, destination, bytes } = transmit;
        let Some(wire) = self.streams.get_mut(&stream) else { return Sent::Refused };
        let sends = wire.sends;
        let Some(half) = wire.halves.get_mut(usize::from(socket)) else { return Sent::Refused };
        let Some(simulated) = &mut half.simulated else {
            return match half.socket.send(destination, &bytes) {
                Ok(()) => Sent::Yes(bytes),
                Err(_) => Sent::Refused,
            };
        };
        let stamp = sends.and_then(|(payload_type, clock_rate)| {
            let own = bytes.get(1).is_some_and(|octet| octet & 0x7f == payload_type);
            Stamp::of_rtp(&bytes, clock_rate).filter(|_| own && component == Component::Rtp)
        });
        simulated.outbound.handle_packet(now, (destination, bytes), stamp);
        half.flush(now);
        Sent::Later
    }

    /// Sends what the simulated network held back until now.
    pub fn handle_timeout(&mut self, now: Instant) {
        for wire in self.streams.values_mut() {
            wire.halves.iter_mut().for_each(|half| half.flush(now));
        }
        self.sweep();
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let halves = self.streams.values().flat_map(|wire| &wire.halves);
        let links = halves.filter_map(|half| half.simulated.as_ref());
        links.flat_map(|s| [s.inbound.poll_timeout(), s.outbound.poll_timeout()]).flatten().min()
    }

    pub fn truths(&self) -> Truths {
        let simulated = |wire: &Wire| wire.halves.first()?.simulated.as_ref().map(|s| s.outbound.truth());
        self.streams.iter().filter_map(|(stream, wire)| Some((*stream, simulated(wire)?))).collect()
    }

    pub fn is_simulated(&self) -> bool {
        self.impairment.is_some()
    }

    fn sweep(&mut self) {
        self.streams.retain(|_, wire| !wire.closing || wire.halves.iter().any(Half::is_sending));
    }
}

impl Wire {
    fn impair(&mut self, stream: StreamId, impairment: Impairment) {
        for (socket, half) in self.halves.iter_mut().enumerate() {
            half.impair(stream, socket as u64, impairment);
        }
    }
}

impl Half {
    fn impair(&mut self, stream: StreamId, socket: u64, impairment: Impairment) {
        // Each link draws for itself, and the same from run to run.
        let own = |direction: u64| {
            let place = u64::from(stream.0) * 4 + 2 * socket + direction;
            Impairment { seed: impairment.seed.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15)), ..impairment }
        };
        match &mut self.simulated {
            Some(simulated) => {
                simulated.outbound.set_impairment(own(0));
                simulated.inbound.set_impairment(own(1));
            }
            None => self.simulated = Some(Simulated { outbound: Link::new(own(0)), inbound: Link::new(own(1)) }),
        }
    }

    fn read(&mut self, (stream, socket): (StreamId, u8), buffer: &mut [u8], sink: &mut impl FnMut(Datagram<'_>)) {
        for _ in 0..BURST {
            let Some(arrival) = self.socket.receive(buffer) else { return };
            let Some(bytes) = buffer.get(..arrival.length) else { continue };
            match &mut self.simulated {
                Some(simulated) => {
                    simulated.inbound.handle_packet(arrival.at, (arrival.source, bytes.to_vec()), None);
                }
                None => sink(Datagram {
                    stream,
                    component: self.component,
                    socket,
                    source: arrival.source,
                    arrived: arrival.at,
                    bytes,
                }),
            }
        }
    }

    fn flush(&mut self, now: Instant) {
        let Some(simulated) = &mut self.simulated else { return };
        while let Some((_, (destination, bytes))) = simulated.outbound.poll(now) {
            // On a real network the sender does not learn of it either.
            let _ = self.socket.send(destination, &bytes);
        }
    }

    fn is_sending(&self) -> bool {
        self.simulated.as_ref().is_some_and(|s| s.outbound.poll_timeout().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, UdpSocket};
    use std::time::Duration;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const STREAM: StreamId = StreamId(1);

    fn wires(impairment: Option<Impairment>) -> (Wires, UdpSocket, SocketAddr) {
        let mut wires = Wires::new(44_000..=44_999, 46, Rng::from_u64(11), impairment);
        let (rtp, _) = wires.open(STREAM, HOME).expect("free ports");
        let peer = UdpSocket::bind((HOME, 0)).expect("a port");
        peer.set_nonblocking(true).expect("set");
        (wires, peer, rtp)
    }

    fn packet(peer: &UdpSocket, component: Component) -> MediaTransmit {
        let destination = peer.local_addr().expect("bound");
        let socket = component.socket();
        let bytes = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9];
        MediaTransmit { stream: STREAM, component, socket, destination, bytes }
    }

    fn received(peer: &UdpSocket) -> usize {
        let mut buffer = [0; 64];
        std::iter::from_fn(|| peer.recv(&mut buffer).ok()).count()
    }

    fn all_ready(wires: &Wires) -> Vec<libc::pollfd> {
        wires.descriptors().map(|d| libc::pollfd { revents: libc::POLLIN, ..d }).collect()
    }

    #[test]
    fn without_a_simulation_packets_go_straight_through() {
        let (mut wires, peer, rtp) = wires(None);
        let now = Instant::now();
        assert!(matches!(wires.send(now, packet(&peer, Component::Rtp)), Sent::Yes(_)));
        assert_eq!(received(&peer), 1);
        let stranger = MediaTransmit { stream: StreamId(9), ..packet(&peer, Component::Rtp) };
        assert_eq!(wires.send(now, stranger), Sent::Refused);
        peer.send_to(b"hello", rtp).expect("sent");
        let mut seen = Vec::new();
        wires.receive(now, &all_ready(&wires), |d| seen.push((d.stream, d.component, d.bytes.to_vec())));
        assert_eq!(seen, [(STREAM, Component::Rtp, b"hello".to_vec())]);
        assert_eq!((wires.poll_timeout(), wires.truths().len()), (None, 0));
        wires.close(STREAM);
        assert_eq!(wires.descriptors().count(), 0);
    }

    #[test]
    fn a_stream_moves_to_another_address_and_keeps_its_ports() {
        let (mut wires, peer, rtp) = wires(None);
        assert_eq!(wires.open(STREAM, HOME).expect("open already").0, rtp);
        let foreign = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert!(wires.open(STREAM, foreign).is_err(), "not an address of ours");
        assert!(matches!(wires.send(Instant::now(), packet(&peer, Component::Rtp)), Sent::Yes(_)), "it stays");
        let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let (moved, rtcp) = wires.open(STREAM, other).expect("a loopback address");
        assert_eq!((moved, rtcp.ip()), (SocketAddr::new(other, rtp.port()), other));
        wires.send(Instant::now(), packet(&peer, Component::Rtp));
        let sources: Vec<_> = std::iter::from_fn(|| peer.recv_from(&mut [0; 64]).ok()).map(|(_, from)| from).collect();
        assert_eq!(sources, [rtp, moved]);
        peer.send_to(b"hello", moved).expect("sent");
        let mut seen = 0;
        wires.receive(Instant::now(), &all_ready(&wires), |_| seen += 1);
        assert_eq!(seen, 1);
    }

    #[test]
    fn a_simulated_network_delays_both_ways_and_tells_the_truth() {
        let delay = Duration::from_millis(60);
        let (mut wires, peer, rtp) = wires(Some(Impairment { delay, seed: 3, ..Impairment::default() }));
        let now = Instant::now();
        assert_eq!(wires.send(now, packet(&peer, Component::Rtp)), Sent::Later);
        assert_eq!((received(&peer), wires.poll_timeout()), (0, Some(now + delay)));
        // Goodbyes are not lost by closing.
        assert_eq!(wires.send(now, packet(&peer, Component::Rtcp)), Sent::Later);
        wires.handle_timeout(now + delay);
        assert_eq!(received(&peer), 2);
        let truth = wires.truths()[&STREAM];
        assert_eq!((truth.packets, truth.lost, truth.delay.round()), (1, 0, 60.0));
        peer.send_to(b"hello", rtp).expect("sent");
        let (mut seen, ready) = (Vec::new(), all_ready(&wires));
        wires.receive(now, &ready, |d| seen.push(d.arrived));
        assert!(seen.is_empty());
        let due = wires.poll_timeout().expect("on its way");
        wires.receive(due, &[], |d| seen.push(d.arrived));
        assert_eq!(seen, [due]);
        wires.send(due, packet(&peer, Component::Rtcp));
        wires.close(STREAM);
        assert_eq!(wires.descriptors().count(), 2, "a packet is still on its way");
        wires.handle_timeout(due + delay);
        assert_eq!((wires.descriptors().count(), received(&peer)), (0, 1));
    }

    #[test]
    fn a_simulation_may_be_set_and_changed_while_it_runs() {
        let (mut wires, peer, _) = wires(None);
        let now = Instant::now();
        wires.impair(Impairment { loss: 1.0, ..Impairment::default() });
        (0..5).for_each(|_| assert_eq!(wires.send(now, packet(&peer, Component::Rtp)), Sent::Later));
        wires.impair(Impairment::default());
        wires.send(now, packet(&peer, Component::Rtp));
        let truth = wires.truths()[&STREAM];
        assert_eq!((received(&peer), truth.packets, truth.lost), (1, 6, 5));
    }
}
