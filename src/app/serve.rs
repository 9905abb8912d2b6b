//! `offhook proxy`: the embedded registrar and proxy by itself.
use crate::app::headless;
use crate::app::run::{Failure, complain};
use crate::base::secret::Secret;
use crate::cli::{DigestChoice, ExitCode, Proxy};
use crate::proxy::{Access, ProxyConfig};
use crate::runtime::clock;
use crate::runtime::proxy_server::ProxyServer;
use crate::sip::auth::{Hash, Password};
use crate::sip::message::Host;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// Where none is named.
const PORT: u16 = 5060;
/// How often signals are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Serves until an interrupt.
pub fn run(options: &Proxy) -> Result<ExitCode, Failure> {
    let mut rng = clock::seeded_by_system().map_err(|error| Failure::new(ExitCode::Failed, error))?;
    let access = match &options.users {
        Some(path) => Access::Users(users(path)?),
        None => Access::Loopback,
    };
    let interrupted = headless::catch_signals()?;
    let ip = options.bind.address.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let address = Host::Ip(ip);
    let domain = options.domain.as_ref().map(|name| Host::Name(name.to_ascii_lowercase()));
    let config = |bound| ProxyConfig {
        domains: domain.into_iter().chain([address]).collect(),
        access,
        hashes: match options.digest {
            DigestChoice::Both => vec![Hash::Sha256, Hash::Md5],
            DigestChoice::Sha256 => vec![Hash::Sha256],
            DigestChoice::Md5 => vec![Hash::Md5],
        },
        ..ProxyConfig::loopback(Host::Ip(ip), bound)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = {
        let _context = runtime.enter();
        ProxyServer::bind(ip, options.bind.port.unwrap_or(PORT), config, rng.fork())
            .map_err(|error| Failure::new(ExitCode::Network, error))?
    };
    if let Some(notice) = server.notice() {
        complain(notice);
    }
    let _ = writeln!(io::stdout().lock(), "serving {} on UDP and TCP port {}", ip, server.port());
    let (stop, stopped) = oneshot::channel();
    runtime.block_on(async move {
        let watch = async move {
            while !interrupted.load(Ordering::Relaxed) {
                tokio::time::sleep(TICK).await;
            }
            // The server may have ended first.
            let _ = stop.send(());
        };
        tokio::join!(server.run(stopped), watch);
    });
    Ok(ExitCode::Ended)
}

fn users(path: &Path) -> Result<BTreeMap<String, Password>, Failure> {
    let failure = |words: String| Failure::new(ExitCode::Configuration, format!("{}: {words}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failure(error.to_string()))?;
    let mut users = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (user, password) = line
            .split_once(':')
            .filter(|(user, password)| !user.is_empty() && !password.is_empty())
            .ok_or_else(|| failure(format!("line {}: name:password expected", number + 1)))?;
        if users.insert(user.to_owned(), Password::Plain(Secret::new(password))).is_some() {
            return Err(failure(format!("line {}: the user {user} stands there twice", number + 1)));
        }
    }
    Ok(users)
}
