//! Kamailio 5.6 on loopback: registrar and proxy, or edge proxy, with ports of its own. Each case starts what it needs: it
//! boots in a fraction of a second.
use crate::certificates::{Authority, Identity};
use crate::harness::Case;
use crate::phone;
use crate::process::{Process, wait_for};
use crate::tools;
use offhook::base::net::Transport;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// What it is the registrar of, and what its certificate says.
const DOMAIN: &str = "localhost";

pub fn missing() -> Option<String> {
    // Programs for administrators are not on everybody's path.
    let programs = ["/usr/sbin/kamailio", "/usr/sbin/kamcmd"].map(PathBuf::from);
    let libraries = PathBuf::from("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let modules = ["tls.so", "websocket.so", "outbound.so", "presence.so"]
        .map(|name| libraries.join("kamailio/modules").join(name));
    let absent = programs.into_iter().chain(modules).find(|path| !path.is_file());
    absent.map(|path| format!("{} is not installed", path.display()))
}

/// How it is to be.
pub struct Options<'a> {
    pub name: &'a str,
    /// What it shows to phones.
    pub identity: fn(&Authority) -> Identity,
    /// Phones must show a certificate.
    pub mutual: bool,
    /// It gives each phone a name of its own.
    pub gruu: bool,
    /// How long a nonce may be used.
    pub nonce_seconds: u32,
    /// It keeps the state of users for those who watch them.
    pub presence: bool,
    /// It joins browsers and phones by the rtpengine whose control port this is.
    pub bridge: Option<u16>,
    /// Towards phones as well, which it meets by ICE of its light kind (RFC 8445 §2.5).
    pub lite: bool,
    /// It is an edge proxy before this registrar.
    pub edge_of: Option<SocketAddr>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        let identity = |authority: &Authority| authority.identity(&[DOMAIN, "127.0.0.1"]);
        Self {
            name: "kamailio",
            identity,
            mutual: false,
            gruu: true,
            nonce_seconds: 300,
            presence: false,
            bridge: None,
            lite: false,
            edge_of: None,
        }
    }
}

pub struct Kamailio {
    /// UDP and TCP, TLS, WS, WSS.
    ports: [u16; 4],
    control: u16,
    folder: PathBuf,
    log: PathBuf,
    edge: bool,
    presence: bool,
    bridge: bool,
    lite: bool,
    process: Option<Process>,
    /// Who signed its certificate, and whom it believes on phones.
    pub authority: Authority,
}

impl Kamailio {
    pub fn start(case: &Case) -> Self {
        Self::start_with(case, &Options::default())
    }

    pub fn start_with(case: &Case, options: &Options) -> Self {
        let folder = case.folder().join(options.name);
        let authority = Authority::new(&folder, "authority");
        let identity = (options.identity)(&authority);
        let ports = std::array::from_fn(|_| tools::free_port());
        let control = tools::free_port();
        let [sip, tls, ws, wss] = ports;
        let registrar = options.edge_of.map_or_else(String::new, |address| address.to_string());
        let values = [
            ("DOMAIN", DOMAIN.to_owned()),
            ("SIP", sip.to_string()),
            ("TLS", tls.to_string()),
            ("WS", ws.to_string()),
            ("WSS", wss.to_string()),
            ("CONTROL", control.to_string()),
            ("CERTIFICATE", identity.certificate.display().to_string()),
            ("KEY", identity.key.display().to_string()),
            ("CA", authority.file.display().to_string()),
            ("MUTUAL", u8::from(options.mutual).to_string()),
            ("GRUU", u8::from(options.gruu).to_string()),
            ("NONCE_SECONDS", options.nonce_seconds.to_string()),
            ("REGISTRAR", registrar),
            ("RTPENGINE", options.bridge.unwrap_or_default().to_string()),
            ("TABLES", folder.join("tables").display().to_string()),
        ];
        tools::render(&tools::peers().join("kamailio"), &folder, &values);
        let log = case.folder().join(format!("{}.log", options.name));
        let edge = options.edge_of.is_some();
        let (presence, bridge, lite) = (options.presence, options.bridge.is_some(), options.lite);
        let mut kamailio = Self { ports, control, folder, log, edge, presence, bridge, lite, process: None, authority };
        kamailio.forget();
        kamailio.boot();
        kamailio
    }

    /// Whom it has known: nobody any more. It must not run.
    pub fn forget(&self) {
        let tables = self.folder.join("tables");
        fs::remove_dir_all(&tables).ok();
        fs::create_dir_all(&tables).expect("a folder");
        for table in ["version", "presentity", "active_watchers", "watchers", "xcap", "pua"] {
            let empty = PathBuf::from("/usr/share/kamailio/dbtext/kamailio").join(table);
            fs::copy(&empty, tables.join(table)).unwrap_or_else(|error| panic!("{}: {error}", empty.display()));
        }
    }

    /// Starts it again after [`Kamailio::kill`]; it remembers nobody.
    pub fn boot(&mut self) {
        let mut command = Command::new("/usr/sbin/kamailio");
        command.args(["-DD", "-E", "-m", "32", "-M", "8", "-f"]).arg(self.folder.join("kamailio.cfg"));
        command.arg("-Y").arg(&self.folder).arg("-P").arg(self.folder.join("kamailio.pid"));
        let defines = [("EDGE", self.edge), ("PRESENCE", self.presence), ("BRIDGE", self.bridge), ("LITE", self.lite)];
        for (define, wanted) in defines {
            if wanted {
                command.args(["-A", define]);
            }
        }
        command.process_group(0);
        let process = self.process.insert(Process::start("kamailio", &mut command, &self.log));
        let control = ("127.0.0.1", self.control);
        wait_for("Kamailio to boot", Duration::from_secs(15), || {
            assert!(process.is_running(), "Kamailio ended: {}", process.log_text());
            TcpStream::connect(control).is_ok().then_some(())
        });
        wait_for("Kamailio to serve", Duration::from_secs(5), || {
            Self::answers(self.control, &["core.uptime"]).contains("uptime").then_some(())
        });
    }

    /// Ends it as when the power goes.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill_group();
    }

    pub fn address(&self, transport: Transport) -> SocketAddr {
        let [sip, tls, ws, wss] = self.ports;
        let port = match transport {
            Transport::Udp | Transport::Tcp => sip,
            Transport::Tls => tls,
            Transport::Ws => ws,
            Transport::Wss => wss,
        };
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// An account of `user`, for a configuration file.
    pub fn account(&self, user: &str, transport: Transport) -> String {
        phone::account(user, DOMAIN, self.address(transport), transport, &self.authority.file)
    }

    /// `sip:USER@HOST:PORT`, as seen over UDP and TCP.
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.address(Transport::Udp))
    }

    /// Answers every request with this status from now on; 0 serves again, 1 is silent.
    pub fn answer_with(&self, mode: u16) {
        Self::answers(self.control, &["cfg.set_now_int", "mode", "answer", &mode.to_string()]);
    }

    /// The bindings of all users, as its console prints them.
    pub fn bindings(&self) -> String {
        Self::answers(self.control, &["ul.dump"])
    }

    /// How many bindings `user` has.
    pub fn bindings_of(&self, user: &str) -> usize {
        let all = self.bindings();
        let own = all.split("AoR: ").find(|part| part.lines().next().is_some_and(|aor| aor.trim() == user));
        own.map_or(0, |part| part.matches("Address: ").count())
    }

    /// Adds a binding nobody has registered.
    pub fn bind(&self, user: &str, contact: &str, seconds: u32) {
        let seconds = seconds.to_string();
        Self::answers(self.control, &["ul.add", "location", user, contact, &seconds, "1.0", "s:", "0", "0", "0"]);
    }

    pub fn expect_bindings(&self, user: &str, number: usize, limit: Duration) {
        wait_for(&format!("{number} bindings of {user}"), limit, || (self.bindings_of(user) == number).then_some(()));
    }

    /// Everything it has logged: one line for each request.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The requests it got that have all of `parts` in their line.
    pub fn requests(&self, parts: &[&str]) -> Vec<String> {
        let fits = |line: &&str| line.contains("got ") && parts.iter().all(|part| line.contains(part));
        self.log().lines().filter(fits).map(str::to_owned).collect()
    }

    fn answers(control: u16, arguments: &[&str]) -> String {
        let mut command = Command::new("/usr/sbin/kamcmd");
        let output = command.arg("-s").arg(format!("tcp:127.0.0.1:{control}")).args(arguments).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }
}
