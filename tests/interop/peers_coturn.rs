//! coturn on loopback: a STUN and TURN server over UDP, TCP and TLS that knows one user.
use crate::certificates::{Authority, Identity};
use crate::harness::{Case, on_path};
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

pub struct Coturn {
    pub port: u16,
    pub tls_port: u16,
    /// Who signed its certificate, which names `localhost`.
    pub authority: PathBuf,
    log: PathBuf,
    _process: Process,
}

impl Coturn {
    /// - `options`: more of its options.
    pub fn start(case: &Case, options: &[&str]) -> Self {
        let folder = case.folder();
        let authority = Authority::new(&folder, "authority");
        let Identity { certificate, key } = authority.identity(&["localhost"]);
        let (port, tls_port) = (tools::free_port(), tools::free_port());
        let (first, last) = tools::free_range(40);
        let log = folder.join("coturn.log");
        let mut command = Command::new("turnserver");
        command
            .args(["-n", "--lt-cred-mech", "--realm=turn.test", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"])
            .args(["--allow-loopback-peers", "--cli-password=none", "--no-cli", "--fingerprint", "--log-file=stdout"])
            .args(["--verbose", "--no-dtls", "--pidfile=/dev/null"])
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
        wait_for("coturn to listen", Duration::from_secs(10), || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { port, tls_port, authority: authority.file.clone(), log, _process: process }
    }

    /// The lines of an account that uses it by this transport.
    pub fn account(&self, transport: &str, password: &str) -> String {
        let server = match transport {
            "udp" => format!("turn:127.0.0.1:{}", self.port),
            "tcp" => format!("turn:127.0.0.1:{}?transport=tcp", self.port),
            _ => format!("turns:localhost:{}", self.tls_port),
        };
        format!(
            "stun_server = \"127.0.0.1:{}\"\nturn_server = \"{server}\"\nturn_user = \"{USER}\"\n\
             turn_password = \"{password}\"\ntls_ca = {:?}\n",
            self.port, self.authority
        )
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
