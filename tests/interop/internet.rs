//! A small Internet in network namespaces: a public network, and homes behind routers with every kind of NAT.
//!
//! ```text
//!   public 203.0.113.1, .2, .3 (servers)          home number N, from 11
//!     bridge ---- veth ---- router 203.0.113.N | 192.168.N.1 ---- veth ---- phone 192.168.N.2
//!            \--- veth ---- phone 203.0.113.N (a home without NAT)
//! ```
//! The kernel's own NAT keeps the port of the inside while it is free, whoever is sent to, and lets in what answers:
//! a port restricted cone. The others are that and a rule more; a STUN server is asked what they really are.
use crate::namespaces::{inside, ip};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// As RFC 3489 §5 has them. RFC 4787 says how each maps and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nat {
    None,
    FullCone,
    AddressRestricted,
    PortRestricted,
    Symmetric,
}

impl Nat {
    pub const ALL: [Self; 5] =
        [Self::None, Self::FullCone, Self::AddressRestricted, Self::PortRestricted, Self::Symmetric];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::FullCone => "full cone",
            Self::AddressRestricted => "address restricted",
            Self::PortRestricted => "port restricted",
            Self::Symmetric => "symmetric",
        }
    }
}

/// What a router does not let out, whatever its NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    Open,
    NoUdp,
    /// All but what looks like web pages.
    OnlyTls,
}

pub struct Internet {
    /// Before the names of its namespaces.
    prefix: String,
    namespaces: Vec<String>,
}

/// One phone's network.
pub struct Home {
    /// Where phones run.
    pub phone: String,
    /// What stands between; the phone itself where nothing does.
    pub router: String,
    /// In the addresses of this home.
    number: usize,
    /// The address phones see.
    pub inner: String,
    pub firewall: Firewall,
}

impl Internet {
    /// The addresses of its servers.
    pub const SERVERS: [&str; 3] = ["203.0.113.1", "203.0.113.2", "203.0.113.3"];

    pub fn new() -> Self {
        sweep();
        let prefix = format!("offhook-{}", std::process::id());
        let mut internet = Self { prefix, namespaces: Vec::new() };
        let public = internet.namespace("public");
        ip(&["-n", &public, "link", "add", "name", "wan", "type", "bridge"]);
        ip(&["-n", &public, "link", "set", "wan", "up"]);
        for address in Self::SERVERS {
            ip(&["-n", &public, "address", "add", &format!("{address}/24"), "dev", "wan"]);
        }
        // What is sent to an address that nobody has is lost, as it is out there.
        ip(&["-n", &public, "link", "add", "name", "nowhere", "type", "veth", "peer", "name", "hole"]);
        ip(&["-n", &public, "link", "set", "hole", "up"]);
        ip(&["-n", &public, "link", "set", "nowhere", "arp", "off", "up"]);
        ip(&["-n", &public, "route", "add", "default", "dev", "nowhere"]);
        internet
    }

    pub fn public(&self) -> &str {
        self.namespaces.first().expect("made first")
    }

    fn namespace(&mut self, role: &str) -> String {
        let name = format!("{}-{role}", self.prefix);
        ip(&["netns", "add", &name]);
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        self.namespaces.push(name.clone());
        name
    }

    /// A home of its own address.
    pub fn home(&mut self, nat: Nat, firewall: Firewall) -> Home {
        let number = 10 + self.namespaces.len();
        let public = format!("203.0.113.{number}");
        let phone = self.namespace(&format!("phone{number}"));
        if nat == Nat::None {
            assert_eq!(firewall, Firewall::Open, "nothing stands between");
            self.plug(&phone, "eth", number);
            ip(&["-n", &phone, "address", "add", &format!("{public}/24"), "dev", "eth"]);
            return Home { router: phone.clone(), phone, number, inner: public, firewall };
        }
        let router = self.namespace(&format!("router{number}"));
        self.plug(&router, "wan", number);
        ip(&["-n", &router, "address", "add", &format!("{public}/24"), "dev", "wan"]);
        let inner = format!("192.168.{number}.2");
        ip(&["-n", &router, "link", "add", "name", "lan", "type", "veth", "peer", "name", "eth", "netns", &phone]);
        ip(&["-n", &router, "address", "add", &format!("192.168.{number}.1/24"), "dev", "lan"]);
        ip(&["-n", &phone, "address", "add", &format!("{inner}/24"), "dev", "eth"]);
        ip(&["-n", &router, "link", "set", "lan", "up"]);
        ip(&["-n", &phone, "link", "set", "eth", "up"]);
        ip(&["-n", &phone, "route", "add", "default", "via", &format!("192.168.{number}.1")]);
        shell(&router, "echo 1 >/proc/sys/net/ipv4/ip_forward");
        load(&router, &rules(nat, firewall, &inner));
        Home { phone, router, number, inner, firewall }
    }

    /// A wire from the bridge to an interface of that name.
    fn plug(&self, namespace: &str, interface: &str, number: usize) {
        let (public, port) = (self.public(), format!("port{number}"));
        ip(&[
            "-n", public, "link", "add", "name", &port, "type", "veth", "peer", "name", interface, "netns", namespace,
        ]);
        ip(&["-n", public, "link", "set", &port, "master", "wan", "up"]);
        ip(&["-n", namespace, "link", "set", interface, "up"]);
    }
}

impl Home {
    /// What a STUN server of two addresses finds out from in here (RFC 5780): how the NAT maps and how it filters.
    ///
    /// The tool waits 3 s for each answer that a filter keeps away.
    pub fn behaviour(&self, server: &str) -> String {
        let mut command = inside(&self.phone, "turnutils_natdiscovery");
        let output =
            command.args(["-m", "-f", "-L", &self.inner, "-l", "5555", server]).output().expect("coturn's tool");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter(|line| line.ends_with('!')).collect::<Vec<_>>().join(" ")
    }

    /// The phone has another address in the same home.
    pub fn move_inside(&self) {
        let (phone, number) = (self.phone.as_str(), self.number);
        ip(&["-n", phone, "address", "flush", "dev", "eth"]);
        ip(&["-n", phone, "address", "add", &format!("192.168.{number}.3/24"), "dev", "eth"]);
        ip(&["-n", phone, "route", "add", "default", "via", &format!("192.168.{number}.1")]);
    }

    /// The router gets another address, and forgets whom its phones talk to; nobody tells them, and their connections are
    /// dead.
    pub fn move_outside(&self) {
        let router = self.router.as_str();
        shell(router, "echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose");
        // Neighbours find the old one for a while yet.
        let old = self.public();
        self.rule(&format!(
            "table ip gone {{
                chain old {{
                    type filter hook prerouting priority -300
                    ip daddr {old} drop
                }}
            }}\n"
        ));
        ip(&["-n", router, "address", "flush", "dev", "wan"]);
        ip(&["-n", router, "address", "add", &format!("203.0.113.{}/24", 120 + self.number), "dev", "wan"]);
        self.restart_router();
    }

    /// The address the Internet sees.
    pub fn public(&self) -> String {
        format!("203.0.113.{}", self.number)
    }

    /// The router has forgotten whom its phones talk to.
    pub fn restart_router(&self) {
        let output = inside(&self.router, "conntrack").arg("-F").output().expect("conntrack runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Adds rules of nftables to the router.
    pub fn rule(&self, rules: &str) {
        load(&self.router, rules);
    }

    /// How many packets a named counter of such rules has seen.
    pub fn counted(&self, table: &str, counter: &str) -> u64 {
        let output =
            inside(&self.router, "nft").args(["list", "counter", "ip", table, counter]).output().expect("nft runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = text.split_whitespace().skip_while(|word| *word != "packets").nth(1).and_then(|n| n.parse().ok());
        number.unwrap_or_else(|| panic!("no counter {counter}: {text}"))
    }

    /// How long the router remembers who was sent to over UDP \[s\].
    pub fn forgets_after(&self, seconds: u32) {
        for timeout in ["udp_timeout", "udp_timeout_stream"] {
            shell(&self.router, &format!("echo {seconds} >/proc/sys/net/netfilter/nf_conntrack_{timeout}"));
        }
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.namespaces.iter().for_each(|name| remove(name));
    }
}

/// The rules of a router.
fn rules(nat: Nat, firewall: Firewall, inner: &str) -> String {
    let whole = format!("iifname wan meta l4proto udp dnat to {inner}");
    // Where UDP goes that was not asked for, and what of it comes in.
    let (before, invited) = match nat {
        Nat::FullCone => (whole.as_str(), "iifname wan udp dport @used accept"),
        Nat::AddressRestricted => (whole.as_str(), "iifname wan ip saddr . udp dport @sent_to accept"),
        Nat::None | Nat::PortRestricted | Nat::Symmetric => ("", ""),
    };
    let after = match nat {
        Nat::Symmetric => "oifname wan meta l4proto udp masquerade fully-random",
        Nat::None | Nat::FullCone | Nat::AddressRestricted | Nat::PortRestricted => "",
    };
    let out = match firewall {
        Firewall::Open => "accept",
        Firewall::NoUdp => "meta l4proto != udp accept",
        Firewall::OnlyTls => "tcp dport 443 accept",
    };
    format!(
        "table ip home {{
            set used {{ type inet_service; flags dynamic,timeout; timeout 60s; size 4096; }}
            set sent_to {{ type ipv4_addr . inet_service; flags dynamic,timeout; timeout 60s; size 4096; }}
            chain here {{
                type filter hook input priority 0
                iifname wan ct state new drop
            }}
            chain across {{
                type filter hook forward priority 0; policy drop
                iifname lan meta l4proto udp update @used {{ udp sport }} update @sent_to {{ ip daddr . udp sport }}
                iifname lan {out}
                iifname wan ct state established,related accept
                {invited}
            }}
            chain before {{
                type nat hook prerouting priority dstnat
                {before}
            }}
            chain after {{
                type nat hook postrouting priority srcnat
                {after}
                oifname wan masquerade
            }}
        }}\n"
    )
}

/// Adds rules to a router.
fn load(router: &str, rules: &str) {
    let mut nft = inside(router, "nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft runs");
    nft.stdin.take().expect("piped").write_all(rules.as_bytes()).expect("it reads");
    assert!(nft.wait().expect("own child").success(), "nft does not take {rules}");
}

fn shell(namespace: &str, line: &str) {
    let status = inside(namespace, "sh").args(["-c", line]).status().expect("sh runs");
    assert!(status.success(), "{line}");
}

fn remove(namespace: &str) {
    Command::new("ip").args(["netns", "del", namespace]).status().ok();
}

/// Removes what runs left behind that were killed.
fn sweep() {
    let Ok(entries) = fs::read_dir("/run/netns") else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let run = name.strip_prefix("offhook-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if run.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            remove(&name);
        }
    }
}
