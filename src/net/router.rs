//! Which local address leads where, and whom a connection is opened to.
use super::manager::NetError;
use super::pool::{Pool, lock};
use crate::base::net::{Flow, PeerId, Transport};
use crate::sip::locate::AccessId;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;

/// Servers that are told apart: far more than anybody's domains; the one numbered first is forgotten.
const SERVERS: usize = 1024;

/// Whom a connection is opened to: the domain it was looked up for, which its certificate must name, and the account's way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// As it stands in a URI: an IPv6 address may have its brackets.
    pub name: String,
    pub access: AccessId,
}

impl Server {
    /// The name as certificates have it.
    pub fn bare_name(&self) -> &str {
        self.name.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.')
    }
}

/// Servers that have a number; no number is used twice.
#[derive(Debug, Default)]
pub struct Servers(Mutex<(u32, BTreeMap<PeerId, Server>)>);

impl Servers {
    /// The number of a server; a new one when it has none yet.
    pub fn number(&self, server: &Server) -> PeerId {
        let (last, known) = &mut *lock(&self.0);
        if let Some((number, _)) = known.iter().find(|(_, other)| *other == server) {
            return *number;
        }
        if known.len() >= SERVERS {
            known.pop_first();
        }
        *last = last.wrapping_add(1).max(1);
        known.insert(PeerId(*last), server.clone());
        PeerId(*last)
    }

    pub fn get(&self, number: PeerId) -> Option<Server> {
        lock(&self.0).1.get(&number).cloned()
    }
}

/// Finds flows, and opens connections ahead of the first message.
#[derive(Clone)]
pub struct Router {
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
    pub(super) name_server: Option<SocketAddr>,
    pub(super) pool: Pool,
}

impl Router {
    /// The address that leads to `remote` now.
    ///
    /// # Errors
    /// When the system knows no way there.
    pub fn local(&self, remote: SocketAddr) -> io::Result<IpAddr> {
        match self.address {
            Some(address) if !address.is_unspecified() => Ok(address),
            _ => local_address(remote),
        }
    }

    /// Who knows names; the system says when `None`.
    pub fn name_server(&self) -> Option<SocketAddr> {
        self.name_server
    }

    /// The flow to `remote`, where `server` is expected.
    ///
    /// # Errors
    /// [`NetError::NoRoute`] when the system knows no way there.
    pub fn flow(&self, transport: Transport, remote: SocketAddr, server: &Server) -> Result<Flow, NetError> {
        let local = match self.address {
            Some(address) if !address.is_unspecified() => address,
            _ => local_address(remote).map_err(|source| NetError::NoRoute { remote, source })?,
        };
        let flow = Flow::new(transport, SocketAddr::new(local, self.port), remote);
        // Only what is verified, or asked for by name, belongs to a server.
        Ok(match transport {
            Transport::Udp | Transport::Tcp => flow,
            Transport::Tls | Transport::Ws | Transport::Wss => {
                Flow { peer: self.pool.servers().number(server), ..flow }
            }
        })
    }

    /// Starts connecting to the flows of one name, the best first, until one is up, which stays open; that one comes first
    /// in the answer, and those that failed come last (RFC 8305). Flows that need no connection are left alone.
    pub async fn race(&self, flows: Vec<Flow>) -> Vec<Flow> {
        self.pool.race(flows).await
    }
}

/// The address the system would send from; asks the routing table, sends nothing.
pub fn local_address(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let probe = std::net::UdpSocket::bind(any)?;
    probe.connect(remote)?;
    Ok(probe.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_never_changes_its_server() {
        let servers = Servers::default();
        let server = |n: usize| Server { name: format!("s{n}.example"), access: AccessId(0) };
        let first = servers.number(&server(0));
        assert_eq!((servers.number(&server(0)), servers.get(first)), (first, Some(server(0))));
        for n in 1..=SERVERS {
            assert_ne!(servers.number(&server(n)), first);
        }
        assert_eq!(servers.get(first), None, "forgotten, and not another's");
        assert_ne!(servers.number(&server(0)), first);
        assert_eq!(lock(&servers.0).1.len(), SERVERS);
        assert_eq!(servers.get(PeerId::default()), None);
    }
}
