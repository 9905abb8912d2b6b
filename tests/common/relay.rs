//! A SIP and media relay on loopback that impairs the media in passing, and keeps the truth of what it did.
//!
//! ```text
//! phone <--> [ front | relay | back ] <--> server        signalling: addresses rewritten
//! phone <--> [ near pair | links | far pair ] <--> server  RTP and RTCP, one pair of ports a side and call
//! ```
use super::sip_text::SipText;
use offhook::base::netem::{Impairment, Link, Stamp, Truth};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToPhone,
}

/// The ports a call's RTP runs through; RTCP is one above.
#[derive(Clone, Copy, Debug)]
pub struct MediaPorts {
    /// Where the phone sends to and hears from.
    pub near: u16,
    /// Where the server sends to and hears from.
    pub far: u16,
}

/// Runs until dropped.
pub struct Relay {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
    front: SocketAddr,
}

impl Relay {
    /// Relays between whoever talks to [`Relay::address`] and `server`.
    ///
    /// - `clock_rate`: of the codec, for the truth's jitter [Hz].
    pub fn start(server: SocketAddr, clock_rate: u32) -> Self {
        let (front, back) = (socket(0), socket(0));
        let address = front.local_addr().expect("bound");
        let shared = Arc::new(Mutex::new(Shared {
            running: true,
            server,
            phone: None,
            front,
            back,
            calls: HashMap::new(),
            to_server: Lane::new(),
            to_phone: Lane::new(),
            clock_rate,
        }));
        let inner = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("relay".into()).spawn(move || run(&inner)).expect("thread");
        Self { shared, thread: Some(thread), front: address }
    }

    /// What the phone takes for the server.
    pub fn address(&self) -> SocketAddr {
        self.front
    }

    /// Impairs RTP one way; RTCP gets the delay alone.
    pub fn impair(&self, way: Way, impairment: Impairment) {
        let mut shared = self.lock();
        let lane = shared.lane(way);
        lane.rtp.set_impairment(impairment);
        lane.rtcp.set_impairment(Impairment { delay: impairment.delay, ..Impairment::default() });
    }

    /// What was done to the RTP of one way.
    pub fn truth(&self, way: Way) -> Truth {
        self.lock().lane(way).rtp.truth()
    }

    pub fn media(&self) -> Vec<MediaPorts> {
        self.lock().calls.values().map(|call| call.ports).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("the relay's thread lives")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Ok(mut shared) = self.shared.lock() {
            shared.running = false;
        }
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// A packet on its way: through which socket, to whom.
struct Packet {
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    bytes: Vec<u8>,
}

struct Lane {
    rtp: Link<Packet>,
    rtcp: Link<Packet>,
}

impl Lane {
    fn new() -> Self {
        Self { rtp: Link::new(Impairment::default()), rtcp: Link::new(Impairment::default()) }
    }

    fn next(&self) -> Option<Instant> {
        [self.rtp.poll_timeout(), self.rtcp.poll_timeout()].into_iter().flatten().min()
    }

    fn deliver(&mut self, now: Instant) {
        for link in [&mut self.rtp, &mut self.rtcp] {
            while let Some((_, packet)) = link.poll(now) {
                // Nobody there any more: as on a real network, the packet is gone.
                packet.socket.send_to(&packet.bytes, packet.to).ok();
            }
        }
    }
}

struct Call {
    ports: MediaPorts,
    /// RTP and RTCP, as the phone sees them.
    near: [Arc<UdpSocket>; 2],
    far: [Arc<UdpSocket>; 2],
    /// Where the phone and the server want their RTP.
    phone: Option<SocketAddr>,
    server: Option<SocketAddr>,
}

struct Shared {
    running: bool,
    server: SocketAddr,
    phone: Option<SocketAddr>,
    front: UdpSocket,
    back: UdpSocket,
    /// By Call-ID.
    calls: HashMap<String, Call>,
    to_server: Lane,
    to_phone: Lane,
    clock_rate: u32,
}

impl Shared {
    fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::ToServer => &mut self.to_server,
            Way::ToPhone => &mut self.to_phone,
        }
    }

    fn signalling(&mut self, way: Way, from: SocketAddr, bytes: &[u8]) {
        if way == Way::ToServer {
            self.phone = Some(from);
        }
        let out = match SipText::parse(bytes) {
            Some(message) => self.rewrite(way, message).to_bytes(),
            None => bytes.to_vec(),
        };
        match (way, self.phone) {
            (Way::ToServer, _) => self.back.send_to(&out, self.server).ok(),
            (Way::ToPhone, Some(phone)) => self.front.send_to(&out, phone).ok(),
            (Way::ToPhone, None) => None,
        };
    }

    /// The phone shall go on talking to the relay, and media shall go through it. What the server answers to is the
    /// address it sees, so that nothing in the phone's messages but the media address needs a change.
    fn rewrite(&mut self, way: Way, mut message: SipText) -> SipText {
        if way == Way::ToPhone {
            let (server, front) = (self.server.to_string(), self.front.local_addr().expect("bound").to_string());
            for line in &mut message.lines {
                let lower = line.to_ascii_lowercase();
                if ["contact:", "m:", "record-route:"].iter().any(|name| lower.starts_with(name)) {
                    *line = line.replace(&server, &front);
                }
            }
        }
        // Answers to OPTIONS describe media too, but set none up.
        let sets_up = message.header("CSeq").is_some_and(|cseq| !cseq.ends_with("OPTIONS"));
        if let (Some((host, port)), Some(id)) = (message.audio(), message.header("Call-ID").map(str::to_owned))
            && sets_up
            && let Ok(address) = format!("{host}:{port}").parse::<SocketAddr>()
        {
            let call = self.calls.entry(id).or_insert_with(Call::open);
            let through = match way {
                Way::ToServer => {
                    call.phone = Some(address);
                    call.ports.far
                }
                Way::ToPhone => {
                    call.server = Some(address);
                    call.ports.near
                }
            };
            if port != 0 {
                message.set_audio("127.0.0.1", through);
            }
        }
        message
    }

    /// Reads all that has come on the media sockets.
    fn media(&mut self, now: Instant) {
        let clock_rate = self.clock_rate;
        for call in self.calls.values() {
            for (way, from, through, target) in
                [(Way::ToServer, &call.near, &call.far, call.server), (Way::ToPhone, &call.far, &call.near, call.phone)]
            {
                let lane = match way {
                    Way::ToServer => &mut self.to_server,
                    Way::ToPhone => &mut self.to_phone,
                };
                for (index, (from, through)) in from.iter().zip(through).enumerate() {
                    while let Some((bytes, _)) = receive(from) {
                        let Some(mut to) = target else { continue };
                        let stamp = Stamp::of_rtp(&bytes, clock_rate);
                        to.set_port(to.port() + index as u16);
                        let packet = Packet { socket: Arc::clone(through), to, bytes };
                        let link = if stamp.is_some() { &mut lane.rtp } else { &mut lane.rtcp };
                        link.handle_packet(now, packet, stamp);
                    }
                }
            }
        }
    }

    fn sockets(&self) -> Vec<i32> {
        let media = self.calls.values().flat_map(|call| call.near.iter().chain(&call.far)).map(|s| s.as_raw_fd());
        [self.front.as_raw_fd(), self.back.as_raw_fd()].into_iter().chain(media).collect()
    }
}

impl Call {
    fn open() -> Self {
        let ((near_port, near), (far_port, far)) = (pair(), pair());
        Self { ports: MediaPorts { near: near_port, far: far_port }, near, far, phone: None, server: None }
    }
}

/// A relay that waits for the processor adds a delay of its own. Where the system does not grant the priority, it has to
/// do without.
fn be_punctual() {
    let priority = libc::sched_param { sched_priority: 10 };
    // SAFETY: changes the calling thread alone; the parameter lives until the call returns.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &priority) };
}

fn run(shared: &Mutex<Shared>) {
    be_punctual();
    loop {
        let (sockets, next) = {
            let mut shared = shared.lock().expect("no panic in the relay");
            if !shared.running {
                return;
            }
            while let Some((bytes, from)) = receive(&shared.front) {
                shared.signalling(Way::ToServer, from, &bytes);
            }
            while let Some((bytes, from)) = receive(&shared.back) {
                shared.signalling(Way::ToPhone, from, &bytes);
            }
            let now = Instant::now();
            shared.media(now);
            shared.to_server.deliver(now);
            shared.to_phone.deliver(now);
            (shared.sockets(), [shared.to_server.next(), shared.to_phone.next()].into_iter().flatten().min())
        };
        // At the latest after 20 ms, to see that it shall end.
        let limit = Duration::from_millis(20);
        wait(&sockets, next.map_or(limit, |at| at.saturating_duration_since(Instant::now()).min(limit)));
    }
}

/// Waits until one of the sockets can be read, or the time is over: to the nanosecond, unlike `poll`.
fn wait(sockets: &[i32], limit: Duration) {
    let mut polled: Vec<_> =
        sockets.iter().map(|fd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 }).collect();
    let limit = libc::timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
    // SAFETY: the array and the time live until the call returns; no signal mask is given.
    unsafe { libc::ppoll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, &limit, std::ptr::null()) };
}

fn receive(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 65_536];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => return Some((buffer[..length].to_vec(), from)),
            // What a peer that has gone away makes of our last packet.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
            Err(_) => return None,
        }
    }
}

fn socket(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", port)).expect("a free port on loopback");
    socket.set_nonblocking(true).expect("non-blocking");
    socket
}

/// An even port and the one above.
fn pair() -> (u16, [Arc<UdpSocket>; 2]) {
    let found = (0..200).find_map(|_| {
        let first = socket(0);
        let port = first.local_addr().expect("bound").port();
        let second = UdpSocket::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
        second.set_nonblocking(true).expect("non-blocking");
        port.is_multiple_of(2).then(|| (port, [Arc::new(first), Arc::new(second)]))
    });
    found.expect("two neighbouring ports on loopback")
}
