//! The allocations of one stream, one for each component (RFC 8656).
use super::{Event, Order, Outgoing, Socket, Traversal, preference, reaches};
use crate::nat::candidate::{Kind, ServerTransport, TurnServer};
use crate::nat::ice::{Base, Via};
use crate::nat::stun::{self, Message};
use crate::nat::turn;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// Allocations of one stream.
const MOST_RELAYS: usize = 4;

#[derive(Debug)]
pub(super) struct Relay {
    pub component: u8,
    /// The socket of its datagrams; over a stream, the one whose component it serves.
    pub socket: u8,
    pub server: SocketAddr,
    pub streamed: bool,
    /// Not before the connection is there.
    pub client: Option<turn::Client>,
    /// Address of ours that the server sees.
    pub mapped: Option<SocketAddr>,
    pub over: bool,
}

impl Traversal {
    /// One allocation, of the family that the addresses are of (RFC 8656 §7.1).
    pub(super) fn relay(
        &mut self,
        now: Instant,
        (turn, transport): (&TurnServer, ServerTransport),
        component: u8,
        addresses: &[SocketAddr],
    ) {
        let own = |socket: &&(usize, &Socket)| socket.1.component == component;
        let sockets: Vec<(usize, &Socket)> = self.sockets.iter().enumerate().collect();
        let place = sockets.iter().filter(own).find_map(|(number, socket)| {
            let server = addresses.iter().find(|server| reaches(socket.local, **server))?;
            Some((*number as u8, *server))
        });
        let Some((socket, server)) = place.filter(|_| self.relays.len() < MOST_RELAYS) else { return };
        let streamed = transport != ServerTransport::Udp;
        let number = self.relays.len() as u8;
        let client = (!streamed)
            .then(|| turn::Client::new(now, &turn.user, &turn.password, false, server.is_ipv6(), self.rng.fork()));
        if streamed {
            let tls = (transport == ServerTransport::Tls).then(|| (turn.server.host.clone(), turn.authorities.clone()));
            self.orders.push_back(Order::Connect { connection: number, address: server, tls });
        }
        self.relays.push(Relay { component, socket, server, streamed, client, mapped: None, over: false });
    }

    pub(super) fn relayed(&mut self, now: Instant, number: usize, bytes: &[u8]) {
        if let Some(client) = self.relays.get_mut(number).and_then(|relay| relay.client.as_mut()) {
            client.handle_input(now, bytes);
        }
        self.hear_relay(now, number);
    }

    /// What the server told, and what peers sent through it.
    pub(super) fn hear_relay(&mut self, now: Instant, number: usize) {
        let via = Via::Relay(number as u8);
        while let Some(event) = self.relays.get_mut(number).and_then(|relay| relay.client.as_mut()?.poll_event()) {
            match event {
                turn::Event::Allocated { relayed, mapped } => self.allocated(now, number, relayed, mapped),
                turn::Event::Failed(error) => {
                    self.events.push_back(Event::Trouble(format!("{} {error}", self.server_name())));
                    self.end_relay(now, number);
                }
            }
        }
        while let Some((peer, payload)) =
            self.relays.get_mut(number).and_then(|relay| relay.client.as_mut()?.poll_data())
        {
            if stun::is_stun(&payload) {
                if let Ok(message) = Message::parse(&payload) {
                    self.handle_stun(now, via, peer, &message);
                }
            } else if self.agent.as_ref().is_some_and(|agent| agent.accepts(via, peer))
                && let Some(component) = self.relays.get(number).map(|relay| relay.component)
            {
                self.data.push_back((component, peer, payload));
            }
        }
    }

    pub(super) fn allocated(&mut self, now: Instant, number: usize, relayed: SocketAddr, mapped: SocketAddr) {
        let Some(relay) = self.relays.get_mut(number) else { return };
        relay.mapped = Some(mapped);
        if let Some(client) = &mut relay.client {
            self.peers.iter().for_each(|peer| client.permit(now, *peer));
        }
        let base = Base {
            via: Via::Relay(number as u8),
            component: relay.component,
            address: relayed,
            kind: Kind::Relayed,
            preference: preference(number),
        };
        if let Some(agent) = &mut self.agent {
            agent.add_base(now, base);
        }
        self.check_gathered(now);
    }

    pub(super) fn end_relay(&mut self, now: Instant, number: usize) {
        if let Some(relay) = self.relays.get_mut(number) {
            (relay.over, relay.client) = (true, None);
            if relay.streamed {
                self.orders.push_back(Order::Close { connection: number as u8 });
            }
        }
        if let Some(agent) = &mut self.agent {
            agent.drop_via(now, Via::Relay(number as u8));
        }
        self.check_gathered(now);
    }
}

pub(super) fn flush(relay: &mut Relay, number: u8, out: &mut VecDeque<Outgoing>, orders: &mut VecDeque<Order>) {
    let Some(client) = &mut relay.client else { return };
    while let Some(bytes) = client.poll_transmit() {
        if relay.streamed {
            orders.push_back(Order::Send { connection: number, bytes });
        } else {
            out.push_back(Outgoing { socket: relay.socket, destination: relay.server, bytes });
        }
    }
}
