//! dnsmasq on loopback: a name server that knows what it is told, and nothing else.
use crate::harness::{Case, on_path};
use crate::process::{Process, wait_for};
use crate::tools;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The domain it answers for.
pub const DOMAIN: &str = "pbx.test";

pub fn missing() -> Option<String> {
    program().is_none().then(|| "`dnsmasq` is not installed".to_owned())
}

fn program() -> Option<PathBuf> {
    on_path("dnsmasq").or_else(|| Some("/usr/sbin/dnsmasq".into()).filter(|path: &PathBuf| path.is_file()))
}

pub struct Dnsmasq {
    pub address: SocketAddr,
    log: PathBuf,
    ttl: u32,
    process: Option<Process>,
}

impl Dnsmasq {
    /// - `ttl`: of all records [s].
    /// - `records`: options of dnsmasq that make records, without the dashes.
    pub fn start(case: &Case, ttl: u32, records: &[String]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
        let mut dnsmasq = Self { address, log: case.folder().join("dnsmasq.log"), ttl, process: None };
        dnsmasq.tell(records);
        dnsmasq
    }

    /// From now on these are its records.
    pub fn tell(&mut self, records: &[String]) {
        self.process = None;
        let mut command = Command::new(program().expect("it is installed"));
        command
            .args(["--keep-in-foreground", "--log-facility=-", "--log-queries", "--conf-file=/dev/null", "--pid-file="])
            .args(["--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1", "--user="])
            .arg(format!("--port={}", self.address.port()))
            .arg(format!("--local=/{DOMAIN}/"))
            .arg(format!("--local-ttl={}", self.ttl))
            .args(records.iter().map(|record| format!("--{record}")));
        self.process = Some(Process::start("dnsmasq", &mut command, &self.log));
        wait_for("dnsmasq to listen", Duration::from_secs(5), || UdpSocket::bind(self.address).err());
    }
}

/// The first server has the smallest priority.
pub fn srv(service: &str, priority: u16, weight: u16, port: u16) -> String {
    format!("srv-host={service}.{DOMAIN},server{port}.{DOMAIN},{port},{priority},{weight}")
}

pub fn host(port: u16) -> String {
    format!("host-record=server{port}.{DOMAIN},127.0.0.1")
}

pub fn naptr(order: u16, services: &str, service: &str) -> String {
    format!("naptr-record={DOMAIN},{order},50,S,{services},,{service}.{DOMAIN}")
}
