//! All SIP sockets of one agent: binds them, sends what the core has to say, hands up what arrives.
use super::dial::Dialler;
use super::listen::{Door, Listen};
use super::pool::{Pool, Shared};
use super::router::Router;
use super::tls::TlsError;
use super::udp::Udp;
use crate::base::net::{Flow, Received, Transmit, Transport};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Messages waiting for the core; a datagram beyond that is dropped and counted, a connection waits.
const INBOX: usize = 1024;

/// How long a peer may take to accept a connection, and then for each handshake.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default)]
pub struct NetConfig {
    /// The address to bind; all addresses of both families when `None`.
    pub address: Option<IpAddr>,
    /// The port for UDP and TCP; 0 lets the system choose.
    pub port: u16,
    /// The ways in of the accounts; [`crate::sip::locate::AccessId`] is the position.
    pub access: Vec<Access>,
    /// The differentiated services code point of our messages (RFC 4594 §4.1); 0 marks nothing.
    pub dscp: u8,
    /// The name server to ask; those of the system when `None`.
    pub name_server: Option<SocketAddr>,
    /// More doors, for those who run a server; with all addresses bound they are open on IPv4 only.
    pub listen: Vec<Listen>,
}

/// How one account's connections are opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Certificates of authorities that are trusted beside those of the system (PEM).
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, with those it is built on, and its private key (PEM): shown to servers that ask.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The path of the WebSocket, `/ws`.
    pub websocket_path: String,
}

#[derive(Debug)]
pub enum NetEvent {
    Received(Received),
    /// A flow broke, or never came up.
    Refused {
        flow: Flow,
        error: String,
    },
    /// The peer answered a keep-alive.
    Alive {
        flow: Flow,
    },
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    #[error("cannot open a SIP socket on {address}: {source}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("no way to {remote}: {source}")]
    NoRoute { remote: SocketAddr, source: io::Error },
    #[error(transparent)]
    Certificate(#[from] TlsError),
    #[error("a protected door needs a certificate")]
    NoCertificate,
}

pub struct Net {
    /// The port all sockets share.
    port: u16,
    doors: Vec<(Transport, u16)>,
    address: Option<IpAddr>,
    name_server: Option<SocketAddr>,
    udp: Vec<Udp>,
    inbox: mpsc::Receiver<NetEvent>,
    pool: Pool,
    shared: Arc<Shared>,
    /// Those that read datagrams and accept connections; they end with this.
    _tasks: JoinSet<()>,
    /// What the user should know about the sockets, in words.
    pub notice: Option<String>,
}

impl Net {
    /// Binds UDP and TCP on the same port; when it is taken, on a free one, and `notice` says so.
    ///
    /// # Errors
    /// [`NetError::Bind`] when not even a free port can be had on that address.
    pub fn bind(config: &NetConfig) -> Result<Self, NetError> {
        let (sockets, notice) = match Sockets::bind(config, config.port) {
            Ok(sockets) => (sockets, None),
            Err(first) => {
                // A free UDP port may be taken for TCP: hence more than one try.
                let other = (0..16).find_map(|_| Sockets::bind(config, 0).ok());
                let sockets = other.ok_or(first)?;
                let notice = format!("SIP port {} is taken; using port {}", config.port, sockets.port);
                (sockets, Some(notice))
            }
        };
        let (sender, inbox) = mpsc::channel(INBOX);
        let shared = Arc::new(Shared::new(sender));
        let (mut tasks, mut udp) = (JoinSet::new(), Vec::new());
        let bind_error = |source| NetError::Bind {
            address: SocketAddr::new(config.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), sockets.port),
            source,
        };
        for socket in sockets.udp {
            let (socket, reader) = Udp::new(socket, config.address, Arc::clone(&shared)).map_err(bind_error)?;
            udp.push(socket);
            tasks.spawn(reader);
        }
        for listener in sockets.tcp {
            let listener = TcpListener::from_std(listener).map_err(bind_error)?;
            tasks.spawn(Door::tcp(listener, sockets.port, config.dscp).accept(Arc::clone(&shared)));
        }
        let mut doors = Vec::new();
        for listen in &config.listen {
            let door = Door::open(listen, config.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), config.dscp)?;
            doors.push((listen.transport, door.port()));
            tasks.spawn(door.accept(Arc::clone(&shared)));
        }
        Ok(Self {
            port: sockets.port,
            doors,
            address: config.address,
            name_server: config.name_server,
            udp,
            inbox,
            pool: Pool::new(Arc::clone(&shared), Dialler::new(config.access.clone(), config.dscp, PATIENCE)),
            shared,
            _tasks: tasks,
            notice,
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The doors that were asked for beside UDP and TCP, with their ports.
    pub fn doors(&self) -> &[(Transport, u16)] {
        &self.doors
    }

    /// Messages refused by the rate limit or dropped because the core was busy.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped()
    }

    /// The next thing that happened; never ends while the manager lives.
    pub async fn next(&mut self) -> NetEvent {
        loop {
            if let Some(event) = self.inbox.recv().await {
                return event;
            }
        }
    }

    /// A copy of what is needed to find flows elsewhere.
    pub fn router(&self) -> Router {
        Router { address: self.address, port: self.port, name_server: self.name_server, pool: self.pool.clone() }
    }

    /// Sends without waiting. What cannot be sent comes back as [`NetEvent::Refused`].
    pub fn send(&mut self, transmit: Transmit) {
        let flow = transmit.flow;
        match flow.transport {
            Transport::Udp => {
                let Some(socket) = self.udp.iter().find(|socket| socket.serves(&flow.remote)) else {
                    return self.refuse(flow, "no socket of that address family".to_owned());
                };
                match socket.send(&transmit) {
                    Ok(()) => {}
                    // A full send buffer is a lost packet: the transaction sends it again.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.shared.count_dropped();
                    }
                    Err(error) => self.refuse(flow, error.to_string()),
                }
            }
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                if let Err(error) = self.pool.send(flow, transmit.bytes) {
                    self.refuse(flow, error);
                }
            }
        }
    }

    /// From now on the accounts' connections are opened so; [`crate::sip::locate::AccessId`] is the position.
    pub fn set_access(&mut self, access: Vec<Access>) {
        self.pool.set_access(access);
    }

    /// Ends a connection that was found dead; the next message on its flow opens a new one.
    pub fn close(&mut self, flow: &Flow) {
        self.pool.close(flow);
    }

    /// Waits until the connections have written what they were given, for a moment at most.
    pub async fn flush(&self) {
        self.pool.flush().await;
    }

    fn refuse(&self, flow: Flow, error: String) {
        // A full inbox has plenty of other news; the transaction's own timer ends it then.
        self.shared.offer(NetEvent::Refused { flow, error });
    }
}

struct Sockets {
    port: u16,
    udp: Vec<std::net::UdpSocket>,
    tcp: Vec<std::net::TcpListener>,
}

impl Sockets {
    fn bind(config: &NetConfig, port: u16) -> Result<Self, NetError> {
        match config.address {
            Some(address) => Self::bind_one(SocketAddr::new(address, port), config.dscp),
            None => {
                let mut sockets = Self::bind_one((Ipv4Addr::UNSPECIFIED, port).into(), config.dscp)?;
                // A host without IPv6 is a host with IPv4 only.
                if let Ok(six) = Self::bind_one((Ipv6Addr::UNSPECIFIED, sockets.port).into(), config.dscp) {
                    sockets.udp.extend(six.udp);
                    sockets.tcp.extend(six.tcp);
                }
                Ok(sockets)
            }
        }
    }

    fn bind_one(address: SocketAddr, dscp: u8) -> Result<Self, NetError> {
        let open = || -> io::Result<Self> {
            let (udp, port) = socket(address, socket2::Type::DGRAM, dscp)?;
            let (tcp, _) = socket(SocketAddr::new(address.ip(), port), socket2::Type::STREAM, dscp)?;
            tcp.listen(128)?;
            Ok(Self { port, udp: vec![udp.into()], tcp: vec![tcp.into()] })
        };
        open().map_err(|source| NetError::Bind { address, source })
    }
}

pub fn socket(address: SocketAddr, kind: socket2::Type, dscp: u8) -> io::Result<(socket2::Socket, u16)> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if kind == socket2::Type::STREAM {
        // A restarted phone takes its port again although old connections linger.
        socket.set_reuse_address(true)?;
    }
    mark(&socket, address.is_ipv6(), dscp);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let port = socket.local_addr()?.as_socket().map_or(0, |a| a.port());
    Ok((socket, port))
}

/// Marks what leaves a socket with a code point; one that accepts connections hands its mark on. It is a wish: a kernel
/// that does not grant it costs quality, not the call.
pub fn mark(socket: &socket2::Socket, is_ipv6: bool, dscp: u8) {
    let octet = u32::from(dscp) << 2;
    let _ = if is_ipv6 { socket.set_tclass_v6(octet) } else { socket.set_tos_v4(octet) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Server;
    use crate::net::pool::INCOMING_OF_ONE;
    use crate::sip::locate::AccessId;
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test);
    }

    fn bind() -> Net {
        Net::bind(&NetConfig { address: Some(HERE), ..NetConfig::default() }).expect("a free port")
    }

    #[test]
    fn one_address_does_not_take_all_connections() {
        run(async {
            let net = bind();
            let mut open = Vec::new();
            for _ in 0..INCOMING_OF_ONE {
                let mut stream = TcpStream::connect((HERE, net.port())).await.expect("accepted");
                // The answer to the ping shows that it is served.
                stream.write_all(b"\r\n\r\n").await.expect("written");
                stream.read_exact(&mut [0; 2]).await.expect("a pong");
                open.push(stream);
            }
            let mut refused = TcpStream::connect((HERE, net.port())).await.expect("the system accepts");
            assert_eq!(refused.read(&mut [0; 2]).await.unwrap_or(0), 0, "closed at once");
        });
    }

    #[test]
    fn what_is_queued_is_written_before_the_end() {
        run(async {
            let (mut net, peer) = (bind(), TcpListener::bind((HERE, 0)).await.expect("a port"));
            let remote = peer.local_addr().expect("bound");
            let flow = net
                .router()
                .flow(Transport::Tcp, remote, &Server { name: "a".into(), access: AccessId::default() })
                .expect("a way");
            let mut told = Vec::new();
            let (mut accepted, _) = {
                net.send(Transmit { flow, bytes: Bytes::from_static(b"good") });
                peer.accept().await.expect("connected")
            };
            net.send(Transmit { flow, bytes: Bytes::from_static(b"bye") });
            net.flush().await;
            drop(net);
            accepted.read_to_end(&mut told).await.expect("read");
            assert_eq!(told, b"goodbye");
        });
    }

    /// The next event; fails the test where there is none.
    async fn next(net: &mut Net) -> NetEvent {
        tokio::time::timeout(Duration::from_secs(5), net.next()).await.expect("told")
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_port_nobody_listens_at_is_told_and_others_are_still_served() {
        run(async {
            for home in [HERE, IpAddr::V6(Ipv6Addr::LOCALHOST)] {
                let Ok(mut net) = Net::bind(&NetConfig { address: Some(home), ..NetConfig::default() }) else {
                    assert!(home.is_ipv6(), "only IPv6 may be missing on this machine");
                    continue;
                };
                let alive = tokio::net::UdpSocket::bind((home, 0)).await.expect("a port");
                let dead = {
                    let socket = std::net::UdpSocket::bind((home, 0)).expect("a port");
                    socket.local_addr().expect("bound")
                };
                let flow = |remote| Flow::new(Transport::Udp, SocketAddr::new(home, net.port()), remote);
                let (to_dead, to_alive) = (flow(dead), flow(alive.local_addr().expect("bound")));
                for _ in 0..3 {
                    net.send(Transmit { flow: to_dead, bytes: Bytes::from_static(b"\r\n\r\n") });
                    // The error of the datagram before is not this one's.
                    net.send(Transmit { flow: to_alive, bytes: Bytes::from_static(b"hello") });
                    let mut buffer = [0; 16];
                    let (length, from) = alive.recv_from(&mut buffer).await.expect("arrived");
                    assert_eq!(&buffer[..length], b"hello");
                    let NetEvent::Refused { flow, error } = next(&mut net).await else { panic!("refused first") };
                    assert_eq!((flow, error), (to_dead, format!("nothing listens at {dead}")));
                    alive.send_to(b"there", from).await.expect("sent");
                    let NetEvent::Received(received) = next(&mut net).await else { panic!("told twice") };
                    assert_eq!(&received.bytes[..], b"there");
                }
            }
        });
    }

    #[test]
    fn messages_are_marked() {
        run(async {
            for home in [HERE, IpAddr::V6(Ipv6Addr::LOCALHOST)] {
                for dscp in [0, 24, 40] {
                    let Ok(sockets) = Sockets::bind_one(SocketAddr::new(home, 0), dscp) else {
                        assert!(home.is_ipv6(), "only IPv6 may be missing on this machine");
                        continue;
                    };
                    let all = sockets.udp.iter().map(socket2::SockRef::from);
                    for socket in all.chain(sockets.tcp.iter().map(socket2::SockRef::from)) {
                        let octet = if home.is_ipv6() { socket.tclass_v6() } else { socket.tos_v4() };
                        assert_eq!(octet.expect("readable"), u32::from(dscp) << 2, "{home}");
                    }
                }
            }
        });
    }
}
