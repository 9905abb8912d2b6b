//! Doors for connections: TCP, TLS, and WebSockets on either (RFC 3261 §18.2, RFC 7118 §4).
use super::dial::{Io, Link};
use super::manager::{NetError, mark};
use super::pool::{Shared, serve};
use super::{tls, websocket};
use crate::base::net::{Flow, Transport};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How long each handshake may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Another door beside UDP and TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// TLS or a WebSocket.
    pub transport: Transport,
    /// 0 lets the system choose.
    pub port: u16,
    /// Our certificate, with those it is built on, and its private key (PEM); needed where the transport is protected.
    pub certificate: Option<(PathBuf, PathBuf)>,
    pub pages: Pages,
}

/// Of which web pages a WebSocket is taken. A browser lets any page on the Internet open one to this machine, and says in
/// `Origin` which page it is (RFC 6455 §10.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pages {
    /// Pages of this machine, and programs that are no browsers.
    #[default]
    Local,
    /// Those, and pages of these origins, as `https://phone.example`.
    From(Vec<String>),
    /// Any: whoever comes proves himself by a password.
    Any,
}

impl Pages {
    /// - `origin`: of the page, as the browser says.
    pub fn admits(&self, origin: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        match self {
            Self::Any => true,
            Self::From(known) => known.iter().any(|one| one.eq_ignore_ascii_case(origin)) || is_local(origin),
            Self::Local => is_local(origin),
        }
    }
}

/// Whether a page is of this machine. `null` is a page that hides where it is from: it may be anybody's.
fn is_local(origin: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A door that is open.
pub struct Door {
    listener: TcpListener,
    transport: Transport,
    /// Our end, as flows name it.
    port: u16,
    tls: Option<TlsAcceptor>,
    pages: Pages,
    dscp: u8,
}

impl Door {
    /// A door that is bound already.
    pub fn tcp(listener: TcpListener, port: u16, dscp: u8) -> Self {
        Self { listener, transport: Transport::Tcp, port, tls: None, pages: Pages::Any, dscp }
    }

    /// Binds the sockets of one more door.
    ///
    /// # Errors
    /// [`NetError::Bind`], or [`NetError::Certificate`] when the files do not do.
    pub fn open(listen: &Listen, address: std::net::IpAddr, dscp: u8) -> Result<Self, NetError> {
        let at = SocketAddr::new(address, listen.port);
        let bind = |source| NetError::Bind { address: at, source };
        let tls = match &listen.certificate {
            Some((chain, key)) if listen.transport.is_secure() => Some(tls::acceptor(chain, key)?),
            _ if listen.transport.is_secure() => return Err(NetError::NoCertificate),
            _ => None,
        };
        let (socket, port) = super::manager::socket(at, socket2::Type::STREAM, dscp).map_err(bind)?;
        socket.listen(128).map_err(bind)?;
        let listener = TcpListener::from_std(socket.into()).map_err(bind)?;
        Ok(Self { listener, transport: listen.transport, port, tls, pages: listen.pages.clone(), dscp })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets connections in until it is dropped.
    pub async fn accept(self, shared: Arc<Shared>) {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok((stream, remote)) = self.listener.accept().await else {
                // Out of descriptors: wait for one to be closed.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(local) = stream.local_addr() else { continue };
            let flow = Flow::new(self.transport, SocketAddr::new(local.ip(), self.port), remote);
            // Not every system hands the mark of the listener on.
            mark(&socket2::SockRef::from(&stream), local.is_ipv6(), self.dscp);
            // A small message must not wait for the acknowledgement of the one before it.
            let _ = stream.set_nodelay(true);
            // It takes its place before the handshakes, so that those are bounded as well.
            let Some(outgoing) = shared.enter(flow, true) else { continue };
            let (tls, pages, shared) = (self.tls.clone(), self.pages.clone(), Arc::clone(&shared));
            connections.spawn(async move {
                match welcome(stream, flow.transport, tls, &pages).await {
                    Some(link) => serve(link, flow, outgoing, shared).await,
                    None => shared.forget(&flow, outgoing),
                }
            });
        }
    }
}

/// The handshakes of one connection; `None`: it does not speak what is spoken here, or takes too long.
async fn welcome(tcp: TcpStream, transport: Transport, tls: Option<TlsAcceptor>, pages: &Pages) -> Option<Link> {
    let stream: Box<dyn Io> = match tls {
        Some(acceptor) => Box::new(timeout(PATIENCE, acceptor.accept(tcp)).await.ok()?.ok()?),
        None => Box::new(tcp),
    };
    if !transport.is_websocket() {
        return Some(Link::Stream(stream));
    }
    let socket = timeout(PATIENCE, websocket::welcome(stream, pages)).await.ok()??;
    Some(Link::WebSocket(Box::new(socket)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Transmit;
    use crate::net::testing::{Authority, Folder, HERE, OPTIONS, run, server};
    use crate::net::{Access, Net, NetConfig, NetEvent};
    use crate::sip::message::MAX_MESSAGE;
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn request(headers: &str) -> String {
        format!(
            "GET /anything HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        )
    }

    fn listen(transport: Transport, certificate: Option<(PathBuf, PathBuf)>) -> Listen {
        Listen { transport, port: 0, certificate, pages: Pages::Local }
    }

    fn bind(listen: Vec<Listen>) -> Result<Net, NetError> {
        Net::bind(&NetConfig { address: Some(HERE), listen, ..NetConfig::default() })
    }

    #[test]
    fn a_web_socket_is_for_sip_and_for_pages_that_are_admitted() {
        run(async {
            let net = bind(vec![listen(Transport::Ws, None)]).expect("bound");
            let rows = [
                ("", "400"),
                ("Sec-WebSocket-Protocol: chat\r\n", "400"),
                ("Sec-WebSocket-Protocol: sip\r\nOrigin: https://evil.example\r\n", "403"),
                ("Sec-WebSocket-Protocol: sip\r\nOrigin: http://localhost:8000\r\n", "101"),
                ("Sec-WebSocket-Protocol: chat, sip\r\n", "101"),
                ("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: SIP\r\n", "101"),
            ];
            for (headers, status) in rows {
                let mut stream = TcpStream::connect((HERE, net.doors()[0].1)).await.expect("connected");
                stream.write_all(request(headers).as_bytes()).await.expect("written");
                let mut answer = [0; 1024];
                let length = stream.read(&mut answer).await.expect("an answer");
                let answer = String::from_utf8_lossy(&answer[..length]).to_ascii_lowercase();
                assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{headers}: {answer}");
                assert_eq!(answer.contains("sec-websocket-protocol: sip\r\n"), status == "101", "{headers}: {answer}");
            }
        });
    }

    /// RFC 6455 §5.1: an unmasked frame could be what a page makes a cache on the way take for an answer.
    #[test]
    fn who_does_not_mask_or_says_too_much_is_cut_off() {
        run(async {
            let mut net = bind(vec![listen(Transport::Ws, None)]).expect("bound");
            let long = |length: usize| [&[0x82, 0xff][..], &(length as u64).to_be_bytes(), &[0; 4]].concat();
            let frames = [
                [&[0x82, OPTIONS.len() as u8][..], OPTIONS].concat(),
                long(MAX_MESSAGE + 1),
                long(usize::MAX >> 1),
                // In two pieces, of which each would do.
                [&[0x02][..], &long(MAX_MESSAGE)[1..], &[b'x'; MAX_MESSAGE], &[0x80, 0x81, 0, 0, 0, 0, b'x']].concat(),
            ];
            for frame in frames {
                let mut stream = upgraded(&net).await;
                let _ = stream.write_all(&frame).await;
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                assert!(rest.len() < 200, "a farewell at most");
            }
            let mut stream = upgraded(&net).await;
            let masked = [&[0x82, 0x80 | OPTIONS.len() as u8, 0, 0, 0, 0][..], OPTIONS].concat();
            stream.write_all(&masked).await.expect("written");
            let received = loop {
                if let NetEvent::Received(received) = net.next().await {
                    break received;
                }
            };
            assert_eq!(received.flow.remote, stream.local_addr().expect("bound"), "nothing of the others");
            assert_eq!(&*received.bytes, OPTIONS);
        });
    }

    async fn upgraded(net: &Net) -> TcpStream {
        let mut stream = TcpStream::connect((HERE, net.doors()[0].1)).await.expect("connected");
        stream.write_all(request("Sec-WebSocket-Protocol: sip\r\n").as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.expect("an answer"));
        }
        stream
    }

    #[test]
    fn each_door_takes_messages_and_answers_on_the_same_connection() {
        run(async {
            let (authority, folder) = (Authority::new(), Folder::new());
            let credential = authority.name("phone.example");
            let files =
                (folder.write("certificate.pem", &credential.certificate), folder.write("key.pem", &credential.key));
            let doors = [Transport::Tls, Transport::Ws, Transport::Wss];
            let listen = doors.map(|transport| listen(transport, Some(files.clone())));
            let mut proxy = bind(listen.into()).expect("bound");
            let access = Access { websocket_path: "/ws".into(), ..folder.trusting(&authority.pem()) };
            let mut phone = Net::bind(&NetConfig { address: Some(HERE), access: vec![access], ..NetConfig::default() })
                .expect("bound");
            for (transport, port) in proxy.doors().to_vec() {
                let remote = SocketAddr::new(HERE, port);
                let flow = phone.router().flow(transport, remote, &server("phone.example")).expect("a flow");
                phone.send(Transmit { flow, bytes: Bytes::from_static(OPTIONS) });
                let NetEvent::Received(received) = proxy.next().await else { panic!("{transport:?} is refused") };
                assert_eq!(
                    (received.flow.transport, received.flow.local, &*received.bytes),
                    (transport, remote, OPTIONS)
                );
                proxy.send(Transmit { flow: received.flow, bytes: Bytes::from_static(OPTIONS) });
                let NetEvent::Received(answer) = phone.next().await else { panic!("{transport:?} is refused") };
                assert_eq!((answer.flow, &*answer.bytes), (flow, OPTIONS));
            }
        });
    }

    #[test]
    fn a_protected_door_needs_a_certificate_that_can_be_read() {
        run(async {
            assert!(matches!(bind(vec![listen(Transport::Wss, None)]), Err(NetError::NoCertificate)));
            let missing = (PathBuf::from("/nowhere/c.pem"), PathBuf::from("/nowhere/k.pem"));
            let Err(error) = bind(vec![listen(Transport::Tls, Some(missing))]) else { panic!("bound") };
            assert!(error.to_string().starts_with("certificate /nowhere/c.pem: "), "{error}");
        });
    }

    #[test]
    fn pages_of_strangers_are_not_admitted() {
        let known = Pages::From(vec!["https://phone.example".to_owned()]);
        // Origin, whether pages of this machine, those that are known, and any are admitted.
        let rows = [
            (Some("https://evil.example"), [false, false, true]),
            (Some("https://phone.example"), [false, true, true]),
            (Some("https://phone.example:8443"), [false, false, true]),
            (Some("null"), [false, false, true]),
            (Some("https://127.0.0.1.evil.example"), [false, false, true]),
            (Some("https://localhost.evil.example"), [false, false, true]),
            (Some("http://localhost:8000"), [true, true, true]),
            (Some("https://127.0.0.1"), [true, true, true]),
            (Some("http://[::1]:8000"), [true, true, true]),
            (None, [true, true, true]),
        ];
        for (origin, expected) in rows {
            assert_eq!(
                [Pages::Local, known.clone(), Pages::Any].map(|pages| pages.admits(origin)),
                expected,
                "{origin:?}"
            );
        }
    }
}
