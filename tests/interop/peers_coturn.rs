//! coturn: a STUN and TURN server over UDP, TCP and TLS that knows one user; on loopback, or in a network of its own.
use crate::certificates::{Authority, Identity};
use crate::harness::{Case, on_path};
use crate::namespaces;
use crate::process::{Process, wait_for};
use crate::tools;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub const USER: &str = "lab";
pub const PASSWORD: &str = "labpw";

pub fn missing() -> Option<String> {
    on_path("turnserver").is_none().then(|| "`turnserver` (coturn) is not installed".to_owned())
}

/// Where it listens, and relays from.
struct Place<'a> {
    namespace: Option<&'a str>,
    /// The first is the one accounts name.
    addresses: &'a [&'a str],
    port: u16,
    tls_port: u16,
    relayed: (u16, u16),
}

pub struct Coturn {
    pub port: u16,
    pub tls_port: u16,
    address: String,
    /// Who signed its certificate, which names `localhost`, and its address.
    pub authority: Authority,
    log: PathBuf,
    _process: Process,
}

impl Coturn {
    /// - `options`: more of its options.
    pub fn start(case: &Case, options: &[&str]) -> Self {
        Self::start_at(case, "127.0.0.1", options)
    }

    /// - `address`: of this host.
    pub fn start_at(case: &Case, address: &str, options: &[&str]) -> Self {
        let place = Place {
            namespace: None,
            addresses: &[address],
            port: tools::free_port(),
            tls_port: tools::free_port(),
            relayed: tools::free_range(40),
        };
        Self::run(case, &place, options)
    }

    /// In a namespace, where the ports are the usual ones, and TLS has that of web pages. With two addresses it can tell how
    /// a NAT behaves (RFC 5780).
    pub fn start_in(case: &Case, namespace: &str, addresses: &[&str]) -> Self {
        let place =
            Place { namespace: Some(namespace), addresses, port: 3478, tls_port: 443, relayed: (40_000, 49_999) };
        Self::run(case, &place, &[])
    }

    fn run(case: &Case, place: &Place<'_>, options: &[&str]) -> Self {
        let &Place { namespace, addresses, port, tls_port, relayed: (first, last) } = place;
        let folder = case.folder();
        let address = addresses.first().expect("an address").to_string();
        let authority = Authority::new(&folder, "authority");
        let Identity { certificate, key } = authority.identity(&["localhost", &address]);
        let log = folder.join("coturn.log");
        let mut command =
            namespace.map_or_else(|| Command::new("turnserver"), |name| namespaces::inside(name, "turnserver"));
        command
            .args(addresses.iter().map(|address| format!("--listening-ip={address}")))
            .arg(format!("--relay-ip={address}"))
            .args(["-n", "--lt-cred-mech", "--realm=turn.test", "--allow-loopback-peers", "--cli-password=none"])
            .args(["--no-cli", "--fingerprint", "--log-file=stdout", "--verbose", "--no-dtls", "--pidfile=/dev/null"])
            .arg(format!("--user={USER}:{PASSWORD}"))
            .arg(format!("--listening-port={port}"))
            .arg(format!("--tls-listening-port={tls_port}"))
            .arg(format!("--min-port={first}"))
            .arg(format!("--max-port={last}"))
            .arg(format!("--cert={}", certificate.display()))
            .arg(format!("--pkey={}", key.display()))
            .arg(format!("--userdb={}", folder.join("turndb").display()))
            .args(options);
        let process = Process::start("coturn", &mut command, &log);
        let answers = || TcpStream::connect((address.as_str(), port)).ok().map(drop);
        wait_for("coturn to listen", Duration::from_secs(10), || match namespace {
            Some(name) => namespaces::visit(name, answers),
            None => answers(),
        });
        Self { port, tls_port, address, authority, log, _process: process }
    }

    /// The lines of an account that uses it by this transport.
    pub fn account(&self, transport: &str, password: &str) -> String {
        let (address, port) = (&self.address, self.port);
        let named = if address == "127.0.0.1" { "localhost" } else { address };
        let server = match transport {
            "udp" => format!("turn:{address}:{port}"),
            "tcp" => format!("turn:{address}:{port}?transport=tcp"),
            _ => format!("turns:{named}:{}", self.tls_port),
        };
        format!(
            "{}turn_server = \"{server}\"\nturn_user = \"{USER}\"\nturn_password = \"{password}\"\ntls_ca = {:?}\n",
            self.stun(),
            self.authority.file
        )
    }

    /// The line of an account that asks it for addresses only.
    pub fn stun(&self) -> String {
        format!("stun_server = \"{}:{}\"\n", self.address, self.port)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
