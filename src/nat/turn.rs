//! A client of a TURN server (RFC 8656): one allocation, its permissions and channels, over datagrams or a stream.
//!
//! ```text
//!   Allocate --- 401 ---> Allocate with credentials ---> Allocated --- Refresh, each before it expires --+
//!                          |  438: new nonce, again        |  ^------------------------------------------+
//!                          |  437: freed, once more        +--- refused, or no answer ---> Failed
//!                          +--- 401, 403, 486, 508, ... ---> Failed
//! ```
//! What the server says without proving that it knows the password is believed only where the RFC has no proof.
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::nat::stun::{Builder, Class, Message, Method, TransactionId, attribute};
use md5::{Digest, Md5};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use thiserror::Error;
use zeroize::Zeroizing;

/// Asked for.
const LIFETIME: Duration = Duration::from_secs(600);
/// A permission lasts 5 min, a channel 10 min (RFC 8656 §9, §12).
const PERMISSION: Duration = Duration::from_secs(240);
const CHANNEL: Duration = Duration::from_secs(540);
/// What expires is renewed so long before.
const MARGIN: Duration = Duration::from_secs(60);
/// The first wait for an answer; a lost datagram must not cost the whole time for gathering.
const RTO: Duration = Duration::from_millis(250);
/// Requests sent in all until there is no server; over a stream once, and waited for as long.
const SENDS: u8 = 7;
/// New nonces in a row for one request.
const MOST_STALE: u8 = 3;
const MOST_PERMISSIONS: usize = 48;
const MOST_CHANNELS: u16 = 16;
const FIRST_CHANNEL: u16 = 0x4000;
/// Datagrams that wait for a permission.
const MOST_HELD: usize = 32;
/// \[octets\] of a stream that are not a whole message yet.
const MOST_BUFFERED: usize = 128 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TurnError {
    #[error("does not accept the user name or the password")]
    Credentials,
    #[error("forbids it (403)")]
    Forbidden,
    #[error("has no more allocations for this user (486)")]
    Quota,
    #[error("has no free ports (508)")]
    Capacity,
    #[error("cannot relay UDP (442)")]
    Transport,
    #[error("does not have addresses of this kind (440)")]
    Family,
    #[error("believes that we have an allocation already (437)")]
    Mismatch,
    #[error("changes its nonce at each request (438)")]
    Stale,
    #[error("sends us to another server (300), which is not followed")]
    Alternate,
    #[error("does not answer")]
    Silent,
    #[error("answers with {0}")]
    Status(u16),
    #[error("gives no address")]
    NoAddress,
    #[error("sends what is not TURN")]
    Garbled,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Allocated {
        relayed: SocketAddr,
        /// Our address as the server sees it.
        mapped: SocketAddr,
    },
    /// There is no allocation, or none any more.
    Failed(TurnError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Allocate,
    /// Frees what an earlier life of ours left (RFC 8656 §7.4).
    Free,
    Refresh,
    Permit(IpAddr),
    Bind(SocketAddr, u16),
}

#[derive(Debug)]
struct Request {
    purpose: Purpose,
    id: TransactionId,
    bytes: Vec<u8>,
    sends: u8,
    stale: u8,
    resend_at: Instant,
    rto: Duration,
    authenticated: bool,
}

#[derive(Debug)]
struct Permission {
    ip: IpAddr,
    granted: bool,
    renew_at: Instant,
}

#[derive(Debug)]
struct Channel {
    peer: SocketAddr,
    number: u16,
    bound: bool,
    renew_at: Instant,
}

/// What the server proves and asks to be proved.
#[derive(Debug)]
struct Realm {
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

#[derive(Debug)]
pub struct Client {
    rng: Rng,
    user: String,
    password: Secret,
    /// Over TCP or TLS: messages are cut out of a stream, and nothing is sent twice.
    streamed: bool,
    wants_ipv6: bool,
    realm: Option<Realm>,
    relayed: Option<SocketAddr>,
    freed: bool,
    over: bool,
    refresh_at: Option<Instant>,
    requests: Vec<Request>,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
    held: Vec<(SocketAddr, Vec<u8>)>,
    buffer: Vec<u8>,
    out: VecDeque<Vec<u8>>,
    data: VecDeque<(SocketAddr, Vec<u8>)>,
    events: VecDeque<Event>,
}

impl Client {
    /// Begins at once.
    ///
    /// - `wants_ipv6`: what kind of address is to be allocated.
    pub fn new(now: Instant, user: &str, password: &Secret, streamed: bool, wants_ipv6: bool, rng: Rng) -> Self {
        let mut client = Self {
            rng,
            user: user.to_owned(),
            password: password.clone(),
            streamed,
            wants_ipv6,
            realm: None,
            relayed: None,
            freed: false,
            over: false,
            refresh_at: None,
            requests: Vec::new(),
            permissions: Vec::new(),
            channels: Vec::new(),
            held: Vec::new(),
            buffer: Vec::new(),
            out: VecDeque::new(),
            data: VecDeque::new(),
            events: VecDeque::new(),
        };
        client.request(now, Purpose::Allocate, 0);
        client
    }

    pub fn relayed(&self) -> Option<SocketAddr> {
        self.relayed
    }

    /// Lets this peer's datagrams through, and ours to it.
    pub fn permit(&mut self, now: Instant, peer: IpAddr) {
        let fits = self.relayed.is_some_and(|relayed| relayed.is_ipv4() == peer.is_ipv4());
        if !fits || self.permissions.len() >= MOST_PERMISSIONS || self.permissions.iter().any(|p| p.ip == peer) {
            return;
        }
        self.permissions.push(Permission { ip: peer, granted: false, renew_at: now + PERMISSION });
        self.request(now, Purpose::Permit(peer), 0);
    }

    /// Makes what is exchanged with this peer cheap: four octets in place of thirty-six.
    pub fn bind(&mut self, now: Instant, peer: SocketAddr) {
        let count = self.channels.len() as u16;
        let fits = self.relayed.is_some_and(|relayed| relayed.is_ipv4() == peer.is_ipv4());
        if !fits || count >= MOST_CHANNELS || self.channels.iter().any(|channel| channel.peer == peer) {
            return;
        }
        let number = FIRST_CHANNEL + count;
        self.channels.push(Channel { peer, number, bound: false, renew_at: now + CHANNEL });
        self.request(now, Purpose::Bind(peer, number), 0);
    }

    /// Sends to a peer; the first datagrams wait until it is permitted.
    pub fn send(&mut self, now: Instant, peer: SocketAddr, payload: &[u8]) {
        if self.relayed.is_none() {
            return;
        }
        self.permit(now, peer.ip());
        if !self.permissions.iter().any(|permission| permission.ip == peer.ip() && permission.granted) {
            if self.held.len() < MOST_HELD {
                self.held.push((peer, payload.to_vec()));
            }
            return;
        }
        let bytes = match self.channels.iter().find(|channel| channel.peer == peer && channel.bound) {
            Some(channel) => {
                let mut bytes = Vec::with_capacity(payload.len() + 8);
                bytes.extend(channel.number.to_be_bytes());
                bytes.extend((payload.len() as u16).to_be_bytes());
                bytes.extend(payload);
                if self.streamed {
                    bytes.resize(bytes.len().next_multiple_of(4), 0);
                }
                bytes
            }
            None => Builder::new(Class::Indication, Method::Send, TransactionId::new(&mut self.rng))
                .xor_address(attribute::XOR_PEER_ADDRESS, peer)
                .attribute(attribute::DATA, payload)
                .finish(),
        };
        self.out.push_back(bytes);
    }

    /// Gives the allocation back.
    pub fn close(&mut self, now: Instant) {
        if self.relayed.take().is_some() {
            self.over = true;
            self.requests.clear();
            self.request(now, Purpose::Free, 0);
            // Whether it was heard is not waited for: it expires anyway.
            self.requests.clear();
        }
        self.refresh_at = None;
    }

    /// What the server sent: a datagram, or the next octets of the stream.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        if !self.streamed {
            return self.handle_message(now, bytes);
        }
        if self.buffer.len() + bytes.len() > MOST_BUFFERED {
            self.buffer.clear();
            return self.fail(TurnError::Garbled);
        }
        self.buffer.extend_from_slice(bytes);
        loop {
            let (Some(kind), Some(length)) = (self.u16_at(0), self.u16_at(2)) else { return };
            let (header, length) = (if kind < FIRST_CHANNEL { 20 } else { 4 }, usize::from(length));
            if kind >= 0x5000 {
                self.buffer.clear();
                return self.fail(TurnError::Garbled);
            }
            let whole = header + length;
            let padded = whole.next_multiple_of(4);
            if self.buffer.len() < padded {
                return;
            }
            let mut message: Vec<u8> = self.buffer.drain(..padded).collect();
            message.truncate(whole);
            self.handle_message(now, &message);
        }
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        self.buffer.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn handle_message(&mut self, now: Instant, bytes: &[u8]) {
        if let [0x40..=0x4f, _, a, b, payload @ ..] = bytes {
            let number = bytes.get(..2).and_then(|n| n.try_into().ok()).map_or(0, u16::from_be_bytes);
            let length = usize::from(u16::from_be_bytes([*a, *b]));
            let channel = self.channels.iter().find(|channel| channel.number == number);
            if let Some((channel, payload)) = channel.zip(payload.get(..length)) {
                self.data.push_back((channel.peer, payload.to_vec()));
            }
            return;
        }
        let Ok(message) = Message::parse(bytes) else { return };
        match (message.class, message.method) {
            (Class::Indication, Method::Data) => {
                let peer = message.xor_address(attribute::XOR_PEER_ADDRESS);
                if let Some((peer, payload)) = peer.zip(message.attribute(attribute::DATA))
                    && self.permissions.iter().any(|permission| permission.ip == peer.ip())
                {
                    self.data.push_back((peer, payload.to_vec()));
                }
            }
            (Class::Success | Class::Error, _) => self.handle_answer(now, &message),
            (Class::Request | Class::Indication, _) => {}
        }
    }

    fn handle_answer(&mut self, now: Instant, message: &Message<'_>) {
        let Some(at) = self.requests.iter().position(|request| request.id == message.id) else { return };
        let code = (message.class == Class::Error).then(|| message.error_code().unwrap_or(500));
        let asks = matches!(code, Some(401 | 438));
        let Some(request) = self.requests.get(at) else { return };
        // Only a question for credentials comes without the proof that it is the server's.
        let proven = self.realm.as_ref().is_some_and(|realm| message.is_authentic(&realm.key));
        if request.authenticated && !proven && (message.class == Class::Success || !asks && message.has_integrity()) {
            return;
        }
        let Request { purpose, stale, authenticated, .. } = self.requests.remove(at);
        match (purpose, code) {
            (purpose, Some(401)) if !authenticated => match self.learn(message) {
                true => self.request(now, purpose, 0),
                false => self.fail(TurnError::Credentials),
            },
            (_, Some(401)) => self.fail(TurnError::Credentials),
            (purpose, Some(438)) => match stale < MOST_STALE && self.learn(message) {
                true => self.request(now, purpose, stale + 1),
                false => self.fail(TurnError::Stale),
            },
            (Purpose::Allocate, Some(437)) if !self.freed => {
                self.freed = true;
                self.request(now, Purpose::Free, 0);
            }
            (Purpose::Free, _) => self.request(now, Purpose::Allocate, 0),
            (Purpose::Allocate, None) => self.allocated(now, message),
            (Purpose::Refresh, None) => self.renew_after(now, message),
            (Purpose::Permit(ip), None) => self.permitted(now, ip),
            (Purpose::Bind(peer, _), None) => {
                if let Some(channel) = self.channels.iter_mut().find(|channel| channel.peer == peer) {
                    (channel.bound, channel.renew_at) = (true, now + CHANNEL);
                }
            }
            // This peer may not be reached; others may.
            (Purpose::Permit(ip), Some(code)) if code != 437 => {
                self.permissions.retain(|permission| permission.ip != ip || permission.granted);
                self.held.retain(|(peer, _)| peer.ip() != ip);
            }
            (Purpose::Bind(peer, _), Some(code)) if code != 437 => {
                if let Some(channel) = self.channels.iter_mut().find(|channel| channel.peer == peer) {
                    channel.bound = false;
                }
            }
            (Purpose::Allocate | Purpose::Refresh | Purpose::Permit(_) | Purpose::Bind(..), Some(code)) => {
                self.fail(match code {
                    300 => TurnError::Alternate,
                    403 => TurnError::Forbidden,
                    437 => TurnError::Mismatch,
                    440 => TurnError::Family,
                    441 => TurnError::Credentials,
                    442 => TurnError::Transport,
                    486 => TurnError::Quota,
                    508 => TurnError::Capacity,
                    other => TurnError::Status(other),
                });
            }
        }
    }

    /// The realm and nonce of a challenge; `false` when there are none.
    fn learn(&mut self, message: &Message<'_>) -> bool {
        let realm = message.attribute(attribute::REALM);
        let realm = realm.map(<[u8]>::to_vec).or_else(|| self.realm.as_ref().map(|realm| realm.realm.clone()));
        let Some((realm, nonce)) = realm.zip(message.attribute(attribute::NONCE)) else { return false };
        let mut text = Zeroizing::new(format!("{}:", self.user).into_bytes());
        text.extend(&realm);
        text.push(b':');
        text.extend(self.password.reveal().as_bytes());
        let key = Zeroizing::new(Md5::digest(&*text).to_vec());
        self.realm = Some(Realm { realm, nonce: nonce.to_vec(), key });
        true
    }

    fn allocated(&mut self, now: Instant, message: &Message<'_>) {
        let addresses = message.xor_address(attribute::XOR_RELAYED_ADDRESS).zip(message.mapped_address());
        let Some((relayed, mapped)) = addresses else { return self.fail(TurnError::NoAddress) };
        self.relayed = Some(relayed);
        self.renew_after(now, message);
        self.events.push_back(Event::Allocated { relayed, mapped });
    }

    fn renew_after(&mut self, now: Instant, message: &Message<'_>) {
        let seconds = message.u32(attribute::LIFETIME).map_or(LIFETIME, |s| Duration::from_secs(s.into()));
        let lifetime = seconds.clamp(Duration::from_secs(2), LIFETIME * 6);
        self.refresh_at = Some(now + lifetime.saturating_sub(MARGIN).max(lifetime / 2));
    }

    fn permitted(&mut self, now: Instant, ip: IpAddr) {
        if let Some(permission) = self.permissions.iter_mut().find(|permission| permission.ip == ip) {
            (permission.granted, permission.renew_at) = (true, now + PERMISSION);
        }
        let (ready, waiting) = std::mem::take(&mut self.held).into_iter().partition(|(peer, _)| peer.ip() == ip);
        self.held = waiting;
        let ready: Vec<(SocketAddr, Vec<u8>)> = ready;
        ready.iter().for_each(|(peer, payload)| self.send(now, *peer, payload));
    }

    fn fail(&mut self, error: TurnError) {
        (self.relayed, self.refresh_at, self.over) = (None, None, true);
        self.requests.clear();
        self.permissions.clear();
        self.channels.clear();
        self.held.clear();
        self.events.push_back(Event::Failed(error));
    }

    fn request(&mut self, now: Instant, purpose: Purpose, stale: u8) {
        let id = TransactionId::new(&mut self.rng);
        let lifetime = |duration: Duration| (duration.as_secs() as u32).to_be_bytes();
        let method = match purpose {
            Purpose::Allocate => Method::Allocate,
            Purpose::Free | Purpose::Refresh => Method::Refresh,
            Purpose::Permit(_) => Method::CreatePermission,
            Purpose::Bind(..) => Method::ChannelBind,
        };
        let mut builder = Builder::new(Class::Request, method, id);
        builder = match purpose {
            Purpose::Allocate => {
                // UDP (RFC 8656 §18.8), and the address family where it is not IPv4.
                let builder = builder
                    .attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0])
                    .attribute(attribute::LIFETIME, &lifetime(LIFETIME));
                if self.wants_ipv6 {
                    builder.attribute(attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
                } else {
                    builder
                }
            }
            Purpose::Free => builder.attribute(attribute::LIFETIME, &lifetime(Duration::ZERO)),
            Purpose::Refresh => builder.attribute(attribute::LIFETIME, &lifetime(LIFETIME)),
            Purpose::Permit(ip) => builder.xor_address(attribute::XOR_PEER_ADDRESS, SocketAddr::new(ip, 0)),
            Purpose::Bind(peer, number) => {
                let [high, low] = number.to_be_bytes();
                builder
                    .attribute(attribute::CHANNEL_NUMBER, &[high, low, 0, 0])
                    .xor_address(attribute::XOR_PEER_ADDRESS, peer)
            }
        };
        if let Some(realm) = &self.realm {
            builder = builder
                .attribute(attribute::USERNAME, self.user.as_bytes())
                .attribute(attribute::REALM, &realm.realm)
                .attribute(attribute::NONCE, &realm.nonce)
                .integrity(&realm.key);
        }
        let bytes = builder.fingerprint().finish();
        let rto = if self.streamed { RTO * 32 } else { RTO };
        let sends = if self.streamed { SENDS } else { 1 };
        let authenticated = self.realm.is_some();
        self.requests.push(Request {
            purpose,
            id,
            bytes: bytes.clone(),
            sends,
            stale,
            resend_at: now + rto,
            rto,
            authenticated,
        });
        self.out.push_back(bytes);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let mut silent = false;
        for request in self.requests.iter_mut().filter(|request| request.resend_at <= now) {
            if request.sends >= SENDS {
                silent = true;
                continue;
            }
            request.sends += 1;
            request.rto *= 2;
            request.resend_at = now + request.rto;
            self.out.push_back(request.bytes.clone());
        }
        if silent {
            return self.fail(TurnError::Silent);
        }
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.refresh_at = None;
            self.request(now, Purpose::Refresh, 0);
        }
        let mut due = Vec::new();
        for permission in self.permissions.iter_mut().filter(|p| p.granted && p.renew_at <= now) {
            permission.renew_at = now + PERMISSION;
            due.push(Purpose::Permit(permission.ip));
        }
        for channel in self.channels.iter_mut().filter(|c| c.bound && c.renew_at <= now) {
            channel.renew_at = now + CHANNEL;
            due.push(Purpose::Bind(channel.peer, channel.number));
        }
        for purpose in due {
            self.request(now, purpose, 0);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let requests = self.requests.iter().map(|request| request.resend_at);
        let permissions = self.permissions.iter().filter(|p| p.granted).map(|p| p.renew_at);
        let channels = self.channels.iter().filter(|c| c.bound).map(|c| c.renew_at);
        requests.chain(permissions).chain(channels).chain(self.refresh_at).min()
    }

    /// To be sent to the server.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// What a peer sent through the server.
    pub fn poll_data(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.data.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
