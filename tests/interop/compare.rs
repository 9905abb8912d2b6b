//! offhook beside baresip, measured the same way in the same run. Not a test: `scripts/compare` asks for it.
use crate::common::sip_text::SipText;
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_baresip::{Account, Baresip};
use crate::phone::Setup;
use crate::process::Process;
use offhook::media::codec::g711::linear_to_mu;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Runs only when named in full.
pub const CASE: Case = Case { name: "compare::beside_baresip", needs: &[Need::Baresip], run: compare };

const ROUNDS: usize = 5;
const CALL: Duration = Duration::from_secs(30);
const PTIME: Duration = Duration::from_millis(20);

/// One phone's figures.
#[derive(Default)]
struct Figures {
    /// [ms]
    start_to_register: Vec<f64>,
    invite_to_ok: Vec<f64>,
    /// [s]
    cpu_per_call_minute: f64,
    /// [MiB]
    resident: f64,
}

fn compare(case: &Case) {
    let offhook = measure(|registrar, _| {
        let setup = Setup::new(case, "phone", "answer").account("1001", "secret", registrar).silent();
        setup.arguments(&["--auto", "--codecs", "pcmu"]).start().process
    });
    let silence = Sound::silence(8_000, 60.0);
    let baresip = measure(|registrar, seconds| {
        let user = "1001".to_owned();
        let account = Account { user, password: "secret".into(), registrar, codecs: "PCMU", answers: true };
        Baresip::start(case, &account, &silence, None, seconds).process
    });
    let profile = if cfg!(debug_assertions) { " (a debug build: use scripts/compare)" } else { "" };
    let mut out = std::io::stdout().lock();
    let rows = [
        ("start to REGISTER [ms]", median(&offhook.start_to_register), median(&baresip.start_to_register)),
        ("INVITE to 200 [ms]", median(&offhook.invite_to_ok), median(&baresip.invite_to_ok)),
        ("CPU per PCMU call-minute [s]", offhook.cpu_per_call_minute, baresip.cpu_per_call_minute),
        ("resident in the call [MiB]", offhook.resident, baresip.resident),
    ];
    writeln!(out, "\n\n{:<30} {:>9} {:>9}{profile}", "", "offhook", "baresip").expect("standard output");
    for (name, ours, theirs) in rows {
        writeln!(out, "{name:<30} {ours:>9.2} {theirs:>9.2}").expect("standard output");
    }
}

/// - `start`: a phone that registers at an address and answers by itself; it may end by itself after so many seconds.
fn measure(start: impl Fn(SocketAddr, u32) -> Process) -> Figures {
    let mut figures = Figures::default();
    for round in 0..ROUNDS {
        let last = round + 1 == ROUNDS;
        let server = Server::bind();
        let begin = Instant::now();
        let process = start(server.address(), 60);
        let phone = server.expect_registration();
        figures.start_to_register.push(milliseconds(begin));
        sleep(Duration::from_millis(500));
        let begin = Instant::now();
        let call = server.call(&phone);
        figures.invite_to_ok.push(milliseconds(begin));
        if last {
            talk(&server.media, call.media, Duration::from_secs(3));
            let (cpu, begin) = (cpu_seconds(process.id()), Instant::now());
            talk(&server.media, call.media, CALL);
            figures.resident = resident(process.id());
            let minutes = begin.elapsed().as_secs_f64() / 60.0;
            figures.cpu_per_call_minute = (cpu_seconds(process.id()) - cpu) / minutes;
        }
        server.hang_up(&phone, &call);
    }
    figures
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A registrar that asks for no password, and calls whoever has registered.
struct Server {
    sip: UdpSocket,
    media: UdpSocket,
}

struct Registered {
    contact: String,
    address: SocketAddr,
}

struct Call {
    to: String,
    target: String,
    media: SocketAddr,
}

impl Server {
    fn bind() -> Self {
        let bind = || UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let server = Self { sip: bind(), media: bind() };
        server.sip.set_read_timeout(Some(Duration::from_secs(10))).expect("time-out");
        server
    }

    fn address(&self) -> SocketAddr {
        self.sip.local_addr().expect("bound")
    }

    fn receive(&self, fits: impl Fn(&SipText) -> bool) -> (SipText, SocketAddr) {
        let mut buffer = [0; 65_536];
        loop {
            let (length, from) = self.sip.recv_from(&mut buffer).expect("the phone says something");
            match SipText::parse(&buffer[..length]) {
                Some(message) if fits(&message) => return (message, from),
                _ => (),
            }
        }
    }

    fn expect_registration(&self) -> Registered {
        let (request, from) = self.receive(|message| message.lines[0].starts_with("REGISTER "));
        let contact = request.header("Contact").expect("a contact").to_owned();
        let header = |name: &str| request.header(name).expect("a header all requests have").to_owned();
        let answer = format!(
            "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=r\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: {contact};expires=600\r\nContent-Length: 0\r\n\r\n",
            header("Via"),
            header("From"),
            header("To"),
            header("Call-ID"),
            header("CSeq"),
        );
        self.sip.send_to(answer.as_bytes(), from).expect("sent");
        let uri = contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).expect("an address in <>").0;
        Registered { contact: uri.to_owned(), address: from }
    }

    fn request(&self, method: &str, sequence: u32, target: &str, to: &str, body: &str) -> String {
        let own = self.address();
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{method}{sequence};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:caller@{own}>;tag=c\r\nTo: {to}\r\nCall-ID: compare@{own}\r\n\
             CSeq: {sequence} {method}\r\nContact: <sip:caller@{own}>\r\n{}Content-Length: {}\r\n\r\n{body}",
            if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" },
            body.len()
        )
    }

    fn call(&self, phone: &Registered) -> Call {
        let port = self.media.local_addr().expect("bound").port();
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        );
        let to = format!("<{}>", phone.contact);
        let invite = self.request("INVITE", 1, &phone.contact, &to, &body);
        self.sip.send_to(invite.as_bytes(), phone.address).expect("sent");
        let (ok, _) = self.receive(|m| m.lines[0].starts_with("SIP/2.0 2") && m.header("CSeq") == Some("1 INVITE"));
        let (to, contact) = (ok.header("To").expect("a To").to_owned(), ok.header("Contact").expect("a contact"));
        let target = contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).expect("in <>").0.to_owned();
        let (host, port) = ok.audio().expect("an answer");
        let ack = self.request("ACK", 1, &target, &to, "");
        self.sip.send_to(ack.as_bytes(), phone.address).expect("sent");
        Call { to, target, media: format!("{host}:{port}").parse().expect("an address") }
    }

    fn hang_up(&self, phone: &Registered, call: &Call) {
        let bye = self.request("BYE", 2, &call.target, &call.to, "");
        self.sip.send_to(bye.as_bytes(), phone.address).expect("sent");
        self.receive(|m| m.header("CSeq") == Some("2 BYE"));
    }
}

/// Sends a tone in real time.
fn talk(media: &UdpSocket, to: SocketAddr, long: Duration) {
    media.set_nonblocking(true).expect("non-blocking");
    let (begin, mut buffer) = (Instant::now(), [0; 2_000]);
    let tone = Sound::tone(8_000, 1.0, 440.0, -10.0);
    let codes: Vec<u8> = tone.samples.iter().map(|s| linear_to_mu((s * 32_767.0) as i16)).collect();
    let packets = (long.as_millis() / PTIME.as_millis()) as u32;
    for number in 0..packets {
        let mut packet = vec![0x80, 0];
        packet.extend((number as u16).to_be_bytes());
        packet.extend((number * 160).to_be_bytes());
        packet.extend(7_u32.to_be_bytes());
        packet.extend(&codes[number as usize % 50 * 160..][..160]);
        media.send_to(&packet, to).ok();
        while media.recv_from(&mut buffer).is_ok() {}
        sleep((begin + PTIME * (number + 1)).saturating_duration_since(Instant::now()));
    }
}

/// User and system time of a process [s].
fn cpu_seconds(id: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).expect("the process runs");
    let fields: Vec<_> = text.rsplit_once(')').expect("a name in ()").1.split_whitespace().collect();
    // SAFETY: asks for a number.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    [11, 12].into_iter().map(|n: usize| fields[n].parse::<f64>().expect("a number")).sum::<f64>() / ticks
}

/// [MiB]
fn resident(id: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).expect("the process runs");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
    line.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).expect("a number of KiB") / 1024.0
}
