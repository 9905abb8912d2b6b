//! A thousand calls at once between whole user agents, and ten random operations on each of them.
use crate::net::{self, Net, Node, Tally};
use crate::wire::Wire;
use offhook::base::id::{CallNumber, StreamId};
use offhook::base::net::{Received, Transmit, Transport};
use offhook::base::rng::Rng;
use offhook::base::time::WallAnchor;
use offhook::media::event::MediaEvent;
use offhook::media::spec::{Codec, MediaCommand, SourceDescription, StreamSpec};
use offhook::proxy::{Proxy, ProxyConfig, Rate};
use offhook::sip::locate::{Located, Question};
use offhook::sip::message::Host;
use offhook::ua::UserAgent;
use offhook::ua::availability::Availability;
use offhook::ua::command::{Command, Rejection};
use offhook::ua::event::Event;
use offhook::ua::handling::{Handling, When};
use offhook::ua::settings::{AccountSettings, Agreement, Policy, Profile, Settings};
use offhook::ua::snapshot::{CallEnd, CallState, CallView};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Each calls as many others as it is called by: 16 calls at a time are the most a phone has.
pub const PHONES: usize = 250;
const CALLS_EACH: usize = 4;
const OPERATIONS: u32 = 10;

struct Phone {
    agent: UserAgent,
    address: SocketAddr,
    wire: Wire,
    /// Open streams, and what they run.
    streams: BTreeMap<StreamId, Option<StreamSpec>>,
    events: Tally,
    digits: u32,
}

fn settings(number: usize, rng: &mut Rng) -> Settings {
    let mut codecs = vec![Codec::Opus, Codec::Pcmu, Codec::Pcma];
    codecs.rotate_left(rng.range(0, 2) as usize);
    let account = AccountSettings {
        name: format!("phone{number}"),
        user: format!("phone{number}"),
        display_name: String::new(),
        domain: Host::Ip(net::address(number).ip()),
        domain_port: None,
        registrar: None,
        outbound_proxy: None,
        transport: Some(Transport::Udp),
        outbound: false,
        register: false,
        expires: Duration::from_secs(600),
        auth_user: None,
        password: None,
        realm: None,
        mailbox: false,
        watch: Vec::new(),
        codecs,
        dtmf: Default::default(),
        srtp: Policy::Off,
        direct_calls: true,
        keying: Agreement::Sdes,
        profile: Profile::Auto,
        caller_id: Default::default(),
        handling: Handling::default(),
        availability: Availability::default(),
    };
    Settings {
        accounts: vec![account],
        user_agent: String::new(),
        instance: String::new(),
        description: SourceDescription { cname: "stress".to_owned(), ..SourceDescription::default() },
        auto_answer: false,
        ptime: Duration::from_millis(20),
        rtcp_mux: true,
        brisk_reports: false,
        no_media_timeout: Duration::ZERO,
        contacts: Default::default(),
        certificate: None,
        recording: Default::default(),
    }
}

impl Phone {
    fn new(now: Instant, number: usize, rng: &mut Rng) -> Self {
        let anchor = WallAnchor::new(now, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let mut agent = UserAgent::new(settings(number, rng), anchor, rng.fork());
        agent.start(now);
        Self {
            agent,
            address: net::address(number),
            wire: Wire::default(),
            streams: BTreeMap::new(),
            events: Tally::default(),
            digits: 0,
        }
    }

    fn command(&mut self, now: Instant, command: Command) {
        self.agent.handle_command(now, command);
        self.drain(now);
    }

    fn calls(&self, now: Instant) -> Vec<CallView> {
        self.agent.snapshot(now).calls
    }

    fn drain(&mut self, now: Instant) {
        loop {
            if let Some(question) = self.agent.poll_question() {
                let answer = self.locate(&question);
                self.agent.handle_located(now, &question, answer);
            } else if let Some(command) = self.agent.poll_media() {
                self.obey(now, command);
            } else if let Some(event) = self.agent.poll_event() {
                self.note(&event);
            } else {
                break;
            }
        }
        while self.agent.poll_log().is_some() || self.agent.poll_close().is_some() {}
    }

    fn locate(&self, question: &Question) -> Result<Located, String> {
        let Host::Ip(ip) = &question.host else { return Err("no such name".to_owned()) };
        let remote = SocketAddr::new(*ip, question.port.unwrap_or(5060));
        let flow = offhook::base::net::Flow::new(Transport::Udp, self.address, remote);
        Ok(Located { flows: vec![flow], fresh: Duration::from_secs(60) })
    }

    /// Media as signalling sees it: ports are bound at once.
    fn obey(&mut self, now: Instant, command: MediaCommand) {
        match command {
            MediaCommand::Open { stream, local, .. } => {
                assert!(self.streams.insert(stream, None).is_none(), "opened twice: {stream:?}");
                let port = 20_000 + 2 * u16::try_from(stream.0).expect("few calls");
                let (rtp, rtcp) = (SocketAddr::new(local, port), SocketAddr::new(local, port + 1));
                self.agent.handle_media(
                    now,
                    MediaEvent::Opened { stream, rtp, rtcp, candidates: Vec::new(), complete: true },
                );
            }
            MediaCommand::Configure { stream, spec } => {
                let slot = self.streams.get_mut(&stream).unwrap_or_else(|| panic!("not open: {stream:?}"));
                let before = slot.as_ref().map_or(0, |spec| spec.generation);
                assert!(spec.generation > before, "generation {} after {before}", spec.generation);
                *slot = Some(*spec);
            }
            MediaCommand::Close { stream, .. } => {
                assert!(self.streams.remove(&stream).is_some(), "closed without being open: {stream:?}");
            }
            MediaCommand::SendDigit { stream, .. } => {
                assert!(self.streams.get(&stream).is_some_and(Option::is_some), "a digit on no stream");
                self.digits += 1;
            }
            MediaCommand::Focus { streams } => {
                assert!(streams.iter().all(|stream| self.streams.contains_key(stream)), "heard, but not open");
            }
            _ => {}
        }
    }

    fn note(&mut self, event: &Event) {
        self.events.add(match event {
            Event::Incoming { .. } => "rang",
            Event::Established(_) => "established",
            Event::HoldChanged { .. } => "hold changed",
            Event::Transfer { over: true, status: 200..=299, .. } => "transfer done",
            Event::Transfer { over: true, .. } => "transfer failed",
            Event::Redirected { .. } => "redirected",
            Event::Ended { summary, .. } if summary.end == CallEnd::AnsweredElsewhere => "answered elsewhere",
            Event::Ended { .. } => "ended",
            _ => "other",
        });
    }
}

/// A phone, or the proxy behind which a number rings at two of them.
enum End {
    Phone(Box<Phone>),
    Proxy(Box<Proxy>),
}

impl Node for End {
    fn receive(&mut self, now: Instant, received: Received) {
        match self {
            Self::Phone(phone) => phone.receive(now, received),
            Self::Proxy(proxy) => proxy.handle_received(now, received),
        }
    }

    fn timeout(&mut self, now: Instant) {
        match self {
            Self::Phone(phone) => phone.timeout(now),
            Self::Proxy(proxy) => proxy.handle_timeout(now),
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        match self {
            Self::Phone(phone) => phone.poll_transmit(now),
            Self::Proxy(proxy) => proxy.poll_transmit(),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Phone(phone) => phone.poll_timeout(),
            Self::Proxy(proxy) => proxy.poll_timeout(),
        }
    }

    fn check(&mut self, _: Instant) {
        if let Self::Phone(phone) = self {
            phone.check();
        }
    }
}

/// The proxy at the address behind the last phone: group N rings at the phones N and N + 1, as long as the test runs.
fn proxy(now: Instant, phones: usize, rng: &mut Rng) -> Proxy {
    let address = net::address(phones);
    let config = ProxyConfig::loopback(Host::Ip(address.ip()), vec![address]);
    let rate = Rate { sustained: 1e6, burst: 1e6 };
    let mut proxy = Proxy::new(ProxyConfig { rate, ..config }, rng.fork());
    for group in 0..phones {
        for phone in [group, (group + 1) % phones] {
            let (at, call) = (net::address(phone), format!("{group}-{phone}"));
            let register = format!(
                "REGISTER sip:{ip} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
                 From: <sip:group{group}@{ip}>;tag=1\r\nTo: <sip:group{group}@{ip}>\r\nCall-ID: {call}\r\n\
                 CSeq: 1 REGISTER\r\nContact: <sip:phone{phone}@{at}>\r\nExpires: 1400\r\nContent-Length: 0\r\n\r\n",
                ip = address.ip()
            );
            let flow = net::flow(phones, phone);
            proxy.handle_received(now, Received { flow, bytes: register.into_bytes().into() });
            while proxy.poll_transmit().is_some() {}
        }
    }
    proxy
}

impl Phone {
    fn receive(&mut self, now: Instant, received: Received) {
        self.agent.handle_received(now, received);
        self.drain(now);
    }

    fn timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        self.drain(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        let transmit = self.agent.poll_transmit(now)?;
        self.wire.look(&transmit.bytes);
        Some(transmit)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.agent.poll_timeout()
    }

    fn check(&mut self) {
        assert!(self.streams.len() <= 16 + 8, "streams are left over: {:?}", self.streams.keys());
        assert!(self.wire.bytes < 8_192, "a message of {} bytes", self.wire.bytes);
    }
}

fn is_up(call: &CallView) -> bool {
    call.state == CallState::Established
}

fn is_over(call: &CallView) -> bool {
    matches!(call.state, CallState::Ended(_))
}

/// - `crowd`: how many phones.
pub fn run(seed: u64, crowd: usize) {
    println!("stress: {crowd} phones, seed {seed}");
    let mut rng = Rng::from_u64(seed);
    let start = Instant::now();
    let mut ends: Vec<End> =
        (0..crowd).map(|number| End::Phone(Box::new(Phone::new(start, number, &mut rng)))).collect();
    ends.push(End::Proxy(Box::new(proxy(start, crowd, &mut rng))));
    let mut net = Net::new(start, ends, seed);
    net.set_quality(0.05, 0.05, Duration::from_millis(300));
    let mut tally = Tally::default();

    // Everybody calls four others within two seconds, and answers most of those who call.
    let mut plan: BTreeMap<(Instant, u64), (usize, bool)> = BTreeMap::new();
    let mut schedule = |at, what| plan.insert((at, plan.len() as u64), what);
    for phone in 0..crowd {
        for _ in 0..CALLS_EACH {
            schedule(start + Duration::from_millis(u64::from(rng.range(0, 2_000))), (phone, true));
        }
        for _ in 0..OPERATIONS * CALLS_EACH as u32 {
            schedule(start + Duration::from_millis(u64::from(rng.range(3_000, 90_000))), (phone, false));
        }
    }
    let mut begun = vec![0; crowd];
    for ((at, _), (phone, calls)) in plan {
        net.run_until(at);
        if calls {
            begun[phone] += 1;
            let other = (phone + 7 * begun[phone]) % crowd;
            // The last one of every other phone rings at two.
            let target = match begun[phone] {
                CALLS_EACH if phone % 2 == 0 => format!("group{other}@{}", net::address(crowd).ip()),
                _ => format!("phone{other}@{}", net::address(other).ip()),
            };
            phone_of(&mut net, phone).command(at, Command::Call { account: None, target });
            net.settle(phone);
        } else {
            operate(&mut net, phone, &mut rng, &mut tally);
        }
    }
    let calls: u32 = phones(&net).map(|phone| phone.events.0.get("rang").copied().unwrap_or(0)).sum();
    assert!(calls as usize >= crowd * 18 / 5, "seed {seed}: {calls} calls rang");

    // The network recovers; transfers, back-offs and refreshes come to their end.
    net.set_quality(0.0, 0.0, Duration::from_millis(20));
    net.run(Duration::from_secs(1_100));
    let talking = agree(&net, seed);
    assert!(talking >= crowd / 4, "seed {seed}: {talking} ends of calls are up");

    for phone in 0..crowd {
        let now = net.now;
        let node = phone_of(&mut net, phone);
        for call in node.calls(now).iter().filter(|call| !is_over(call)) {
            node.command(now, Command::HangUp(call.number));
        }
        net.settle(phone);
    }
    net.run(Duration::from_secs(400));
    for (number, phone) in phones(&net).enumerate() {
        let calls = phone.calls(net.now);
        assert!(calls.is_empty(), "seed {seed}, phone {number}: {calls:?}");
        assert!(phone.streams.is_empty(), "seed {seed}, phone {number}: {:?}", phone.streams);
        let due = phone.agent.poll_timeout().map(|at| at.saturating_duration_since(net.now));
        assert_eq!(due, None, "seed {seed}, phone {number}: a timer is left over");
        for (kind, count) in &phone.events.0 {
            *tally.0.entry(kind).or_default() += count;
        }
        *tally.0.entry("digits").or_default() += phone.digits;
    }
    assert_eq!(net.next(), None, "seed {seed}: something is left over");
    println!("stress: seed {seed}: {} datagrams, {talking} ends at the end, {:?}", net.sent, tally.0);
    let kinds = ["answer", "reject", "cancel", "hold", "resume", "transfer", "connect", "join", "digits", "hang up"];
    let share = |least: usize| u32::try_from(least * crowd / PHONES).unwrap_or(0);
    tally.expect(&kinds.map(|kind| (kind, share(30))));
    tally.expect(
        &[("transfer done", 20), ("hold changed", 500), ("redirected", 10), ("established", 800)]
            .map(|(kind, least)| (kind, share(least))),
    );
    tally.expect(&[("answered elsewhere", share(20)), ("forks", share(50))]);
}

fn phones(net: &Net<End>) -> impl Iterator<Item = &Phone> {
    net.nodes.iter().filter_map(|end| match end {
        End::Phone(phone) => Some(&**phone),
        End::Proxy(_) => None,
    })
}

fn phone_of(net: &mut Net<End>, number: usize) -> &mut Phone {
    match &mut net.nodes[number] {
        End::Phone(phone) => phone,
        End::Proxy(_) => panic!("{number} is no phone"),
    }
}

/// The user of a phone does something with one of its calls.
fn operate(net: &mut Net<End>, phone: usize, rng: &mut Rng, tally: &mut Tally) {
    let (now, crowd) = (net.now, net.nodes.len() - 1);
    let calls: Vec<CallView> = phone_of(net, phone).calls(now).into_iter().filter(|call| !is_over(call)).collect();
    let Some(call) = calls.get(rng.range(0, u32::try_from(calls.len()).unwrap_or(1).max(1) - 1) as usize) else {
        return tally.add("nothing");
    };
    let up: Vec<CallNumber> = calls.iter().filter(|call| is_up(call)).map(|call| call.number).collect();
    let number = call.number;
    let other = up.iter().copied().find(|other| *other != number);
    let somebody = rng.range(0, crowd as u32 - 1) as usize;
    let target = format!("phone{somebody}@{}", net::address(somebody).ip());
    let group = format!("group{somebody}@{}", net::address(crowd).ip());
    let draw = rng.range(0, 99);
    let (kind, command) = match (&call.state, other) {
        (CallState::Established, _) if draw < 25 => ("hold", Command::Hold(number)),
        (CallState::Established, _) if draw < 50 => ("resume", Command::Resume(number)),
        (CallState::Established, _) if draw < 62 => ("digits", Command::Digits(number, "12#".to_owned())),
        (CallState::Established, _) if draw < 70 => ("transfer", Command::Transfer { call: number, target }),
        (CallState::Established, Some(other)) if draw < 78 => ("connect", Command::Connect(number, other)),
        (CallState::Established, Some(other)) if draw < 88 => ("join", Command::Join(number, other)),
        (CallState::Established, _) if draw < 93 => ("split", Command::Split(number)),
        (CallState::Established, _) if draw < 95 => ("forks", Command::Call { account: None, target: group }),
        (CallState::Established, _) if draw < 97 => ("hang up", Command::HangUp(number)),
        (CallState::Established, _) => {
            let (when, to) = if draw == 99 { (Some(When::Always), Some(target)) } else { (None, None) };
            ("forward", Command::Forward { account: None, when, to, after: None })
        }
        (CallState::Redirected { .. }, _) => ("follow", Command::Follow(number, draw < 80)),
        (CallState::Ringing { .. }, _) if call.outgoing && draw < 8 => ("cancel", Command::HangUp(number)),
        (CallState::Ringing { .. }, _) if call.outgoing => return tally.add("nothing"),
        (CallState::Ringing { .. }, _) if draw < 80 => ("answer", Command::Answer(number)),
        (CallState::Ringing { .. }, _) if draw < 90 => ("reject", Command::Reject(number, Rejection::Busy)),
        _ => return tally.add("nothing"),
    };
    tally.add(kind);
    phone_of(net, phone).command(now, command);
    net.settle(phone);
}

/// Looks for the other end of each call that is up, by where its sound goes: both ends see the same call.
fn agree(net: &Net<End>, seed: u64) -> usize {
    let mut ends = 0;
    for (number, phone) in phones(net).enumerate() {
        for call in phone.calls(net.now).iter().filter(|call| is_up(call)) {
            let at = || format!("seed {seed}, phone {number}, call {} with {}", call.number, call.peer_address);
            let (port, spec) = end(phone, call.number);
            let spec = spec.unwrap_or_else(|| panic!("{}: no stream runs", at()));
            let peer = phones(net).nth(net::index(spec.remote_rtp)).expect("a phone");
            let theirs = peer
                .streams
                .keys()
                .map(|stream| CallNumber(stream.0))
                .find(|other| end(peer, *other).0 == spec.remote_rtp.port());
            let theirs = theirs.unwrap_or_else(|| panic!("{}: its other end is over", at()));
            let other = peer.calls(net.now).into_iter().find(|other| other.number == theirs);
            let other = other.unwrap_or_else(|| panic!("{}: its other end is over", at()));
            let (_, other_spec) = end(peer, theirs);
            let other_spec = other_spec.unwrap_or_else(|| panic!("{}: no stream runs there", at()));
            assert!(is_up(&other), "{}: the other end is {:?}", at(), other.state);
            assert_eq!(
                other_spec.remote_rtp,
                SocketAddr::new(phone.address.ip(), port),
                "{}: the other end talks to somebody else",
                at()
            );
            assert_eq!(spec.send.codec, other_spec.send.codec, "{}", at());
            assert_eq!(spec.direction.sends(), other_spec.direction.receives(), "{}: {call:?} {other:?}", at());
            assert_eq!(call.held_by_us, other.held_by_peer, "{}: who holds whom", at());
            ends += 1;
        }
    }
    ends
}

/// The port a call hears at, and what it runs.
fn end(phone: &Phone, call: CallNumber) -> (u16, Option<&StreamSpec>) {
    let stream = StreamId(call.0);
    (20_000 + 2 * u16::try_from(call.0).unwrap_or(0), phone.streams.get(&stream).and_then(Option::as_ref))
}
