//! Opens a connection: TCP, TLS on it, a WebSocket on either (RFC 3261 §18.1, RFC 7118 §4).
use super::manager::{Access, mark};
use super::pool::lock;
use super::router::{Server, Servers};
use super::tls::{self, Roots, TlsError};
use super::websocket::{self, Socket, WebSocketError};
use crate::base::net::{Flow, Transport};
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// A byte stream, protected or not.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection that is up.
pub enum Link {
    Stream(Box<dyn Io>),
    WebSocket(Box<Socket>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    #[error("{0}")]
    Connect(io::Error),
    #[error("the address {0} is no longer ours")]
    Local(SocketAddr),
    #[error("no answer to the connection request")]
    Silent,
    #[error("it is not known who is to be reached there")]
    Stranger,
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the TLS handshake was begun and not finished; is this a TLS port?")]
    TlsSilent,
    #[error(transparent)]
    WebSocket(#[from] WebSocketError),
    #[error("no answer to the WebSocket handshake; is this a WebSocket port?")]
    WebSocketSilent,
}

/// What all connections are opened with.
#[derive(Debug)]
pub struct Dialler {
    servers: Servers,
    access: Mutex<Vec<Access>>,
    dscp: u8,
    roots: Roots,
    /// How long the peer may take to accept, and then for each handshake.
    patience: Duration,
}

impl Dialler {
    pub fn new(access: Vec<Access>, dscp: u8, patience: Duration) -> Self {
        Self { servers: Servers::default(), access: Mutex::new(access), dscp, roots: Roots::default(), patience }
    }

    /// From now on connections are opened so; those that are up stay.
    pub fn set_access(&self, access: Vec<Access>) {
        *lock(&self.access) = access;
    }

    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Opens the connection of a flow, handshakes included.
    pub async fn dial(&self, flow: &Flow) -> Result<Link, DialError> {
        let tcp = self.connect(flow).await?;
        if flow.transport == Transport::Tcp {
            return Ok(Link::Stream(Box::new(tcp)));
        }
        let server = self.servers.get(flow.peer).ok_or(DialError::Stranger)?;
        let access = lock(&self.access).get(usize::from(server.access.0)).cloned().unwrap_or_default();
        let stream: Box<dyn Io> = match flow.transport.is_secure() {
            true => {
                let session = tls::handshake(tcp, &server, &access, &self.roots);
                Box::new(timeout(self.patience, session).await.map_err(|_| DialError::TlsSilent)??)
            }
            false => Box::new(tcp),
        };
        if !flow.transport.is_websocket() {
            return Ok(Link::Stream(stream));
        }
        let authority = authority(flow, &server);
        let socket = websocket::handshake(stream, &authority, &access.websocket_path);
        let socket = timeout(self.patience, socket).await.map_err(|_| DialError::WebSocketSilent)??;
        Ok(Link::WebSocket(Box::new(socket)))
    }

    async fn connect(&self, flow: &Flow) -> Result<TcpStream, DialError> {
        let socket = if flow.remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(DialError::Connect)?;
        mark(&socket2::SockRef::from(&socket), flow.remote.is_ipv6(), self.dscp);
        // A small message must not wait for the acknowledgement of the one before it.
        let _ = socket.set_nodelay(true);
        // What we say of our end must be true, as long as the system can be told.
        if binds(&flow.local) {
            socket.bind(SocketAddr::new(flow.local.ip(), 0)).map_err(|_| DialError::Local(flow.local))?;
        }
        let connected = timeout(self.patience, socket.connect(flow.remote)).await;
        connected.map_err(|_| DialError::Silent)?.map_err(DialError::Connect)
    }
}

/// Whether a local address says all the system needs: a link-local one lacks its interface.
fn binds(local: &SocketAddr) -> bool {
    match local {
        SocketAddr::V4(local) => !local.ip().is_unspecified(),
        SocketAddr::V6(local) => !local.ip().is_unspecified() && !local.ip().is_unicast_link_local(),
    }
}

/// The Host header: the port only where it is not the one everybody expects (RFC 6455 §4.1).
fn authority(flow: &Flow, server: &Server) -> String {
    let name = server.bare_name();
    let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    match flow.remote.port() {
        port if port == flow.transport.default_port() => host,
        port => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::{listen, run};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    #[test]
    fn connections_are_marked() {
        run(async {
            for home in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
                if std::net::TcpListener::bind((home, 0)).is_err() {
                    assert!(home.is_ipv6(), "only IPv6 may be missing on this machine");
                    continue;
                }
                let at = listen(home, |_| async {}).await;
                let flow = Flow::new(Transport::Tcp, SocketAddr::new(home, 5060), at);
                for dscp in [0, 24, 46] {
                    let stream = Dialler::new(Vec::new(), dscp, Duration::from_secs(5)).connect(&flow).await;
                    let stream = stream.expect("connected");
                    let socket = socket2::SockRef::from(&stream);
                    let octet = if home.is_ipv6() { socket.tclass_v6() } else { socket.tos_v4() };
                    assert_eq!(octet.expect("readable"), u32::from(dscp) << 2, "{home}");
                }
            }
        });
    }

    #[test]
    fn the_host_header_names_the_port_only_where_it_must() {
        let rows = [
            (Transport::Ws, "192.0.2.1:80", "a.example", "a.example"),
            (Transport::Wss, "192.0.2.1:443", "a.example", "a.example"),
            (Transport::Wss, "192.0.2.1:80", "a.example", "a.example:80"),
            (Transport::Ws, "[2001:db8::1]:80", "2001:db8::1", "[2001:db8::1]"),
            (Transport::Ws, "[2001:db8::1]:80", "[2001:db8::1]", "[2001:db8::1]"),
            (Transport::Ws, "192.0.2.1:80", "a.example.", "a.example"),
            (Transport::Ws, "[2001:db8::1]:8088", "2001:db8::1", "[2001:db8::1]:8088"),
        ];
        for (transport, remote, name, host) in rows {
            let local = "192.0.2.2:5060".parse().expect("an address");
            let flow = Flow::new(transport, local, remote.parse().expect("an address"));
            assert_eq!(authority(&flow, &crate::net::testing::server(name)), host);
        }
    }
}
