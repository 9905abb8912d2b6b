//! Connections to servers that help media through NATs: TURN over TCP and TLS (RFC 8656 §3.1).
pub use super::dial::Io;
use super::manager::Access;
use super::router::Server;
pub use super::tls::Roots;
use super::tls::handshake;
use crate::sip::locate::AccessId;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpStream;

/// Connects; over TLS where the server's name is given, which its certificate must have, with more authorities to trust.
///
/// # Errors
/// In words.
pub async fn connect(
    address: SocketAddr,
    tls: Option<(String, Option<PathBuf>)>,
    roots: &Roots,
) -> Result<Box<dyn Io>, String> {
    let tcp = TcpStream::connect(address).await.map_err(|error| format!("no connection: {error}"))?;
    // Sound is sent in small pieces that must not wait for more.
    let _ = tcp.set_nodelay(true);
    let Some((name, ca_file)) = tls else { return Ok(Box::new(tcp)) };
    let server = Server { name, access: AccessId::default() };
    let access = Access { ca_file, ..Access::default() };
    match handshake(tcp, &server, &access, roots).await {
        Ok(protected) => Ok(Box::new(protected)),
        Err(error) => Err(error.to_string()),
    }
}
