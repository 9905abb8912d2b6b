//! A network of its own for a case: one namespace with a server, one with a phone whose address can change.
//!
//! ```text
//!   server 10.99.1.1/24 ---- veth ---- phone 10.99.1.2/24, later 10.99.2.2/24
//!          10.99.2.1/24
//! ```
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::thread;

pub struct Network {
    pub server: String,
    pub phone: String,
}

/// Why none can be made.
pub fn missing() -> Option<String> {
    let name = format!("offhook-probe-{}", std::process::id());
    let output = Command::new("ip").args(["netns", "add", &name]).output();
    if !output.is_ok_and(|output| output.status.success()) {
        return Some("network namespaces cannot be made here: it needs root, and a kernel that allows it".to_owned());
    }
    Command::new("ip").args(["netns", "del", &name]).output().ok();
    None
}

impl Network {
    pub const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 1, 1));

    pub fn new() -> Self {
        let own = |role: &str| format!("offhook-{role}-{}", std::process::id());
        let network = Self { server: own("server"), phone: own("phone") };
        let (server, phone) = (network.server.as_str(), network.phone.as_str());
        ip(&["netns", "add", server]);
        ip(&["netns", "add", phone]);
        ip(&["-n", server, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", phone]);
        for namespace in [server, phone] {
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
            ip(&["-n", namespace, "link", "set", "wire", "up"]);
        }
        ip(&["-n", server, "address", "add", "10.99.1.1/24", "dev", "wire"]);
        ip(&["-n", server, "address", "add", "10.99.2.1/24", "dev", "wire"]);
        network.move_phone(1);
        network
    }

    /// The phone's only address becomes 10.99.NET.2.
    pub fn move_phone(&self, net: u8) {
        let phone = self.phone.as_str();
        ip(&["-n", phone, "address", "flush", "dev", "wire"]);
        ip(&["-n", phone, "address", "add", &format!("10.99.{net}.2/24"), "dev", "wire"]);
        ip(&["-n", phone, "route", "add", "default", "via", &format!("10.99.{net}.1")]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in [&self.server, &self.phone] {
            Command::new("ip").args(["netns", "del", namespace]).output().ok();
        }
    }
}

/// A command that will run inside.
pub fn inside(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

/// Does something inside, on a thread that ends with it.
pub fn visit<T: Send>(namespace: &str, act: impl FnOnce() -> T + Send) -> T {
    let path = format!("/run/netns/{namespace}");
    thread::scope(|scope| {
        let visitor = scope.spawn(|| {
            let door = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            // SAFETY: a plain system call, which concerns this thread alone.
            let entered = unsafe { libc::setns(door.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "{path}: {}", std::io::Error::last_os_error());
            act()
        });
        visitor.join().expect("no panic inside")
    })
}

pub fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip runs");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
