//! `offhook proxy`: the embedded registrar and proxy by itself.
use crate::app::run::{Failure, complain};
use crate::app::{certificate, headless};
use crate::base::net::Transport;
use crate::base::secret::Secret;
use crate::cli::{DigestChoice, ExitCode, Proxy};
use crate::config::Environment;
use crate::net::{Listen, NetConfig, NetError, Pages};
use crate::proxy::{Access, ProxyConfig};
use crate::runtime::clock;
use crate::runtime::proxy_server::ProxyServer;
use crate::sip::auth::{Hash, Password};
use crate::sip::message::Host;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// Where none is named.
const PORT: u16 = 5060;
/// How often signals are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Serves until an interrupt.
pub fn run(options: &Proxy, environment: &Environment) -> Result<ExitCode, Failure> {
    let mut rng = clock::seeded_by_system().map_err(|error| Failure::new(ExitCode::Failed, error))?;
    let access = match &options.users {
        Some(path) => Access::Users(users(path)?),
        None => Access::Loopback,
    };
    let interrupted = headless::catch_signals()?;
    let ip = options.bind.address.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let address = Host::Ip(ip);
    let net = NetConfig {
        address: Some(ip),
        port: options.bind.port.unwrap_or(PORT),
        listen: doors(options, ip, environment)?,
        ..NetConfig::default()
    };
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
        ProxyServer::bind(&net, config, rng.fork()).map_err(refused)?
    };
    if let Some(notice) = server.notice() {
        complain(notice);
    }
    let mut words = format!("serving {ip} on UDP and TCP port {}", server.port());
    for (transport, port) in server.doors() {
        words.push_str(&format!(", {} port {port}", transport.via_token()));
    }
    let _ = writeln!(io::stdout().lock(), "{words}");
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

/// The doors beside UDP and TCP, with the certificate for those that are protected.
fn doors(options: &Proxy, ip: IpAddr, environment: &Environment) -> Result<Vec<Listen>, Failure> {
    let asked = [(Transport::Tls, options.tls), (Transport::Ws, options.ws), (Transport::Wss, options.wss)];
    let certificate = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        _ if options.tls.is_some() || options.wss.is_some() => {
            let names = options.domain.iter().cloned().chain([ip.to_string(), "localhost".to_owned()]);
            let own = certificate::own(environment, names.collect())?;
            let _ = writeln!(io::stdout().lock(), "certificate {}", own.display());
            let _ = writeln!(
                io::stdout().lock(),
                "  it is signed by itself: browsers ask whether to trust it, phones take it as tls_ca"
            );
            Some((own.clone(), own))
        }
        _ => None,
    };
    // Passwords protect the users; without them a page on the Internet must not use the browser to call from here.
    let pages = match (&options.users, options.origin.as_slice()) {
        (Some(_), _) => Pages::Any,
        (None, []) => Pages::Local,
        (None, origins) => Pages::From(origins.to_vec()),
    };
    let open = |(transport, port): (Transport, Option<u16>)| {
        let certificate = certificate.clone().filter(|_| transport.is_secure());
        port.map(|port| Listen { transport, port, certificate, pages: pages.clone() })
    };
    Ok(asked.into_iter().filter_map(open).collect())
}

fn refused(error: NetError) -> Failure {
    let code = match error {
        NetError::Certificate(_) | NetError::NoCertificate => ExitCode::Configuration,
        _ => ExitCode::Network,
    };
    Failure::new(code, error)
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
