//! Asterisk 22 out of a chroot of its own distribution release, on loopback, with ports of its own.
use crate::certificates::Authority;
use crate::common::sound::Sound;
use crate::harness;
use crate::namespaces::{self, Network};
use crate::phone;
use crate::process::{Process, wait_for};
use crate::tools;
use offhook::base::net::Transport;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::{env, fs};

/// What `scripts/setup test` fills: a folder outside the repository, kept between runs.
pub fn lab() -> PathBuf {
    let cache = || {
        env::var_os("XDG_CACHE_HOME")
            .map_or_else(|| PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache"), PathBuf::from)
    };
    env::var_os("OFFHOOK_LAB").map_or_else(|| cache().join("offhook-lab"), PathBuf::from)
}

fn chroot() -> PathBuf {
    lab().join("asterisk")
}

pub fn missing() -> Option<String> {
    let root = chroot();
    if !root.join("usr/sbin/asterisk").is_file() {
        return Some(format!("Asterisk is not installed in {}", root.display()));
    }
    // SAFETY: asks for a number, changes nothing.
    let user = unsafe { libc::geteuid() };
    (user != 0).then(|| "Asterisk runs in a chroot, which needs root".to_owned())
}

static SHARED: Mutex<Option<Arc<Asterisk>>> = Mutex::new(None);

/// One Asterisk for all cases; started with the first.
pub fn shared() -> Arc<Asterisk> {
    Arc::clone(SHARED.lock().expect("no panic inside").get_or_insert_with(|| Arc::new(Asterisk::start())))
}

/// No case leaves a binding behind: the next one would call a phone that is gone; nor a call, which it would count.
pub fn expect_idle() {
    let Some(asterisk) = SHARED.lock().expect("no panic inside").clone() else { return };
    wait_for("all who registered to sign off", Duration::from_secs(5), || {
        (!asterisk.contacts().contains("/sip:")).then_some(())
    });
    let mut channels = asterisk.channels();
    let end = Instant::now() + Duration::from_secs(10);
    while !channels.is_empty() {
        assert!(Instant::now() < end, "there are still calls at Asterisk: {channels:#?}");
        std::thread::sleep(Duration::from_millis(20));
        channels = asterisk.channels();
    }
}

pub fn stop_shared() {
    SHARED.lock().expect("no panic inside").take();
}

pub struct Asterisk {
    root: PathBuf,
    /// The instance's folder as seen inside the chroot.
    inside: String,
    /// The network namespace it runs in, if not everybody's.
    namespace: Option<String>,
    host: IpAddr,
    /// UDP and TCP, TLS, WS, WSS.
    ports: [u16; 4],
    process: Mutex<Option<Process>>,
}

impl Asterisk {
    pub fn start() -> Self {
        Self::run(IpAddr::from([127, 0, 0, 1]), None)
    }

    /// In a network of its own.
    pub fn start_in(network: &Network) -> Self {
        Self::run(Network::SERVER, Some(network.server.clone()))
    }

    /// In a namespace, at one of its addresses.
    pub fn start_at(namespace: &str, host: IpAddr) -> Self {
        Self::run(host, Some(namespace.to_owned()))
    }

    fn run(host: IpAddr, namespace: Option<String>) -> Self {
        let root = chroot();
        let ports: [u16; 4] = std::array::from_fn(|_| tools::free_port());
        let ([sip, tls, ws, wss], (first, last)) = (ports, tools::free_range(400));
        let inside = format!("/var/lib/offhook-interop/{}-{sip}", std::process::id());
        let folder = root.join(inside.trim_start_matches('/'));
        for name in ["cache", "db", "lib", "log", "moh", "run", "spool"] {
            fs::create_dir_all(folder.join(name)).expect("a folder in the chroot");
        }
        let values = [
            ("DIR", inside.clone()),
            ("HOST", host.to_string()),
            ("SIP", sip.to_string()),
            ("TLS", tls.to_string()),
            ("WS", ws.to_string()),
            ("WSS", wss.to_string()),
            ("RTP_FIRST", first.to_string()),
            ("RTP_LAST", last.to_string()),
        ];
        tools::render(&tools::peers().join("asterisk"), &folder.join("etc"), &values);
        Sound::tone(8000, 12.0, 330.0, -12.0).write(&folder.join("moh/tone.wav"));
        let identity = Authority::new(&folder.join("tls"), "authority").identity(&["localhost", "127.0.0.1"]);
        fs::copy(&identity.certificate, folder.join("tls/server.crt")).expect("copies");
        fs::copy(&identity.key, folder.join("tls/server.key")).expect("copies");
        let asterisk = Self { root, inside, namespace, host, ports, process: Mutex::new(None) };
        asterisk.boot();
        asterisk
    }

    /// For UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address_for(Transport::Udp)
    }

    pub fn address_for(&self, transport: Transport) -> SocketAddr {
        let [sip, tls, ws, wss] = self.ports;
        let port = match transport {
            Transport::Udp | Transport::Tcp => sip,
            Transport::Tls => tls,
            Transport::Ws => ws,
            Transport::Wss => wss,
        };
        SocketAddr::new(self.host, port)
    }

    /// An account of `user`, for a configuration file; its certificate says `localhost`.
    pub fn account(&self, user: &str, transport: Transport) -> String {
        let authority = self.folder().join("tls/authority.pem");
        phone::account(user, "localhost", self.address_for(transport), transport, &authority)
    }

    /// `sip:USER@HOST:PORT`
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.address())
    }

    pub fn boot(&self) {
        fs::create_dir_all(harness::root()).expect("a folder");
        let mut command = self.command();
        command.arg("-f").process_group(0);
        *self.process() = Some(Process::start("asterisk", &mut command, &harness::root().join("asterisk.log")));
        wait_for("Asterisk to boot", Duration::from_secs(30), || {
            self.cli("core waitfullybooted").contains("fully booted").then_some(())
        });
    }

    /// Stops and starts it: registrations are gone, as after a power cut.
    pub fn restart(&self, pause: Duration) {
        self.cli("database deltree registrar");
        self.process().take();
        std::thread::sleep(pause);
        self.boot();
    }

    /// Ends it at once, as when the power goes: it forgets its calls and says no goodbye.
    pub fn kill(&self) {
        if let Some(mut process) = self.process().take() {
            process.kill_group();
        }
    }

    /// Runs a command of its console; what it printed.
    pub fn cli(&self, line: &str) -> String {
        let output = self.command().args(["-rx", line]).output().expect("chroot runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        let path = self.folder().join("log/full");
        fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits for a line with all of `parts` that was logged after `mark` (see [`Asterisk::mark`]).
    pub fn expect_log(&self, mark: usize, parts: &[&str], limit: Duration) -> String {
        wait_for(&format!("Asterisk to log {parts:?}"), limit, || {
            let log = self.log();
            let found = log.get(mark..)?.lines().find(|line| parts.iter().all(|part| line.contains(part)));
            found.map(str::to_owned)
        })
    }

    /// Where the log ends now.
    pub fn mark(&self) -> usize {
        self.log().len()
    }

    /// Waits until `user` has a reachable contact.
    pub fn expect_registered(&self, user: &str, limit: Duration) {
        wait_for(&format!("{user} to be registered"), limit, || self.is_registered(user).then_some(()));
    }

    /// Waits until `user` has no call there.
    pub fn expect_hung_up(&self, user: &str) {
        let leg = format!("PJSIP/{user}-");
        wait_for(&format!("{user} to have no call"), Duration::from_secs(5), || {
            (!self.channels().iter().any(|channel| channel.starts_with(&leg))).then_some(())
        });
    }

    /// The legs of its calls; the channel it keeps for texts is none.
    fn channels(&self) -> Vec<String> {
        let lines = self.cli("core show channels concise");
        let legs = lines.lines().filter(|line| line.contains('!') && !line.starts_with("Message/"));
        legs.map(str::to_owned).collect()
    }

    /// Who is registered, and where.
    pub fn contacts(&self) -> String {
        self.cli("pjsip show contacts")
    }

    pub fn is_registered(&self, user: &str) -> bool {
        self.contacts().contains(&format!("{user}/sip:"))
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().expect("no panic inside")
    }

    fn folder(&self) -> PathBuf {
        self.root.join(self.inside.trim_start_matches('/'))
    }

    fn command(&self) -> Command {
        let mut command = match &self.namespace {
            Some(namespace) => namespaces::inside(namespace, "chroot"),
            None => Command::new("chroot"),
        };
        let config = Path::new(&self.inside).join("etc/asterisk.conf");
        command.arg(&self.root).args(["/usr/sbin/asterisk", "-C"]).arg(config);
        command
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        let log = self.log();
        fs::write(harness::root().join("asterisk-full.log"), log).ok();
        self.process().take();
        fs::remove_dir_all(self.folder()).ok();
    }
}
