//! Phones in virtual time: user agents on a network that delays, loses and doubles datagrams by a seed.
use offhook::base::id::{CallNumber, StreamId};
use offhook::base::net::{Flow, Received, Transmit, Transport};
use offhook::base::rng::Rng;
use offhook::base::secret::Secret;
use offhook::base::time::WallAnchor;
use offhook::media::event::MediaEvent;
use offhook::media::spec::{Codec, MediaCommand, SourceDescription, StreamSpec};
use offhook::nat::candidate::{Candidate, Kind, priority};
use offhook::sip::locate::{Located, Question};
use offhook::sip::message::Host;
use offhook::ua::UserAgent;
use offhook::ua::availability::Availability;
use offhook::ua::command::Command;
use offhook::ua::event::Event;
use offhook::ua::handling::Handling;
use offhook::ua::settings::{AccountSettings, Agreement, Dtmf, Password, Policy, Profile, RecordingSettings, Settings};
use offhook::ua::snapshot::{CallState, CallView};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// A network and the phones on it; phone `n` lives at 192.0.2.n:5060.
pub struct World {
    pub now: Instant,
    pub phones: Vec<Phone>,
    pub loss: f64,
    pub delay: Duration,
    /// A server on the way has lost its memory: requests of these methods within a dialog are answered 481 by it.
    pub forgets: &'static [&'static str],
    rng: Rng,
    on_their_way: BTreeMap<(Instant, u64), Transmit>,
    sent: u64,
    /// What name servers know, and for how long it is fresh.
    pub names: BTreeMap<String, Vec<(Transport, SocketAddr)>>,
    pub fresh: Duration,
    /// What was sent to addresses where no phone lives: a test that plays a server reads it here.
    pub mail: Vec<Transmit>,
    /// Connections the phones gave up.
    pub closed: Vec<Flow>,
    /// Every log line of every phone.
    pub log: Vec<String>,
    /// Every datagram that was sent, as `sender -> receiver: first line`.
    pub ladder: Vec<String>,
}

pub struct Phone {
    pub agent: UserAgent,
    pub address: SocketAddr,
    pub events: Vec<Event>,
    /// The streams as media was told to run them.
    pub streams: BTreeMap<StreamId, Option<StreamSpec>>,
    pub media: Vec<MediaCommand>,
    /// Media finds no ports.
    pub has_no_ports: bool,
    /// Media has not found all candidates when it tells its ports.
    pub finds_more: bool,
}

pub fn account(user: &str, server: SocketAddr, register: bool) -> AccountSettings {
    AccountSettings {
        name: user.to_owned(),
        user: user.to_owned(),
        display_name: String::new(),
        domain: Host::Ip(server.ip()),
        domain_port: None,
        registrar: None,
        outbound_proxy: None,
        transport: Some(Transport::Udp),
        outbound: false,
        register,
        expires: Duration::from_secs(600),
        auth_user: None,
        password: Some(Password::Plain(Secret::new("secret"))),
        realm: None,
        mailbox: false,
        watch: Vec::new(),
        codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
        dtmf: Dtmf::default(),
        srtp: Policy::Off,
        caller_id: Default::default(),
        keying: Agreement::Auto,
        profile: Profile::Auto,
        direct_calls: !register,
        handling: Handling::default(),
        availability: Availability::default(),
    }
}

pub fn settings(accounts: Vec<AccountSettings>) -> Settings {
    Settings {
        accounts,
        user_agent: "offhook test".to_owned(),
        instance: String::new(),
        description: SourceDescription { cname: "test".to_owned(), ..SourceDescription::default() },
        auto_answer: false,
        ptime: Duration::from_millis(20),
        rtcp_mux: true,
        brisk_reports: false,
        no_media_timeout: Duration::ZERO,
        contacts: Default::default(),
        certificate: None,
        recording: RecordingSettings::default(),
    }
}

pub fn address(n: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::from([192, 0, 2, n]), 5060)
}

impl World {
    /// Phones that call each other directly, numbered from 1.
    pub fn direct(count: u8, seed: u64) -> Self {
        let phones = (1..=count).map(|n| settings(vec![account(&format!("phone{n}"), address(n), false)]));
        Self::new(phones.collect(), seed)
    }

    pub fn new(phones: Vec<Settings>, seed: u64) -> Self {
        Self::with_names(phones, BTreeMap::new(), seed)
    }

    pub fn with_names(phones: Vec<Settings>, names: BTreeMap<String, Vec<(Transport, SocketAddr)>>, seed: u64) -> Self {
        let (now, mut rng) = (Instant::now(), Rng::from_u64(seed));
        let anchor = WallAnchor::new(now, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let phones = (1..).zip(phones).map(|(n, settings)| {
            let mut agent = UserAgent::new(settings, anchor, rng.fork());
            agent.start(now);
            Phone {
                agent,
                address: address(n),
                events: Vec::new(),
                streams: BTreeMap::new(),
                media: Vec::new(),
                has_no_ports: false,
                finds_more: false,
            }
        });
        let phones = phones.collect();
        let mut world = Self {
            now,
            phones,
            loss: 0.0,
            delay: Duration::from_millis(10),
            forgets: &[],
            rng,
            on_their_way: BTreeMap::new(),
            sent: 0,
            names,
            fresh: Duration::from_secs(60),
            mail: Vec::new(),
            closed: Vec::new(),
            log: Vec::new(),
            ladder: Vec::new(),
        };
        world.drain();
        world
    }

    pub fn command(&mut self, phone: usize, command: Command) {
        let now = self.now;
        self.phones[phone].agent.handle_command(now, command);
        self.drain();
    }

    /// Lets time pass, in steps of whatever is due next.
    pub fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        for _ in 0..200_000 {
            let timers = self.phones.iter().filter_map(|p| p.agent.poll_timeout());
            let arrivals = self.on_their_way.keys().map(|(at, _)| *at);
            let next = timers.chain(arrivals).min().filter(|at| *at <= until);
            let Some(at) = next else {
                self.now = until;
                return;
            };
            self.now = self.now.max(at);
            self.step();
        }
        panic!(
            "time stands still: timers {:?}",
            self.phones.iter().map(|p| p.agent.poll_timeout()).collect::<Vec<_>>()
        );
    }

    pub fn step(&mut self) {
        let now = self.now;
        while let Some(entry) = self.on_their_way.first_entry().filter(|e| e.key().0 <= now) {
            let Transmit { flow, bytes } = entry.remove();
            let sender = self.phones.iter_mut().find(|p| p.address == flow.local);
            if let (Some(answer), Some(sender)) = (lost(&bytes, self.forgets), sender) {
                sender.agent.handle_received(now, Received { flow, bytes: answer });
            } else if let Some(phone) = self.phones.iter_mut().find(|p| p.address == flow.remote) {
                let flow = Flow { local: flow.remote, remote: flow.local, ..flow };
                phone.agent.handle_received(now, Received { flow, bytes });
            } else {
                self.mail.push(Transmit { flow, bytes });
            }
        }
        for phone in &mut self.phones {
            if phone.agent.poll_timeout().is_some_and(|at| at <= now) {
                phone.agent.handle_timeout(now);
            }
        }
        self.drain();
    }

    pub fn drain(&mut self) {
        let now = self.now;
        for index in 0..self.phones.len() {
            loop {
                let phone = &mut self.phones[index];
                let mut quiet = true;
                while let Some(question) = phone.agent.poll_question() {
                    quiet = false;
                    let answer = locate(&question, phone.address, &self.names, self.fresh);
                    phone.agent.handle_located(now, &question, answer);
                }
                while let Some(command) = phone.agent.poll_media() {
                    quiet = false;
                    phone.obey(now, command);
                }
                self.closed.extend(std::iter::from_fn(|| phone.agent.poll_close()));
                while let Some(transmit) = phone.agent.poll_transmit(now) {
                    quiet = false;
                    Self::deliver(
                        &mut self.ladder,
                        &mut self.on_their_way,
                        &mut self.rng,
                        (self.loss, self.delay, &mut self.sent),
                        now,
                        transmit,
                    );
                }
                phone.events.extend(std::iter::from_fn(|| phone.agent.poll_event()));
                self.log.extend(std::iter::from_fn(|| phone.agent.poll_log()));
                if quiet {
                    break;
                }
            }
        }
    }

    fn deliver(
        ladder: &mut Vec<String>,
        queue: &mut BTreeMap<(Instant, u64), Transmit>,
        rng: &mut Rng,
        (loss, delay, sent): (f64, Duration, &mut u64),
        now: Instant,
        transmit: Transmit,
    ) {
        let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
        let first = text.lines().next().unwrap_or_default().to_owned();
        ladder.push(format!("{} -> {}: {first}", transmit.flow.local.ip(), transmit.flow.remote.ip()));
        if rng.unit() < loss {
            return;
        }
        *sent += 1;
        queue.insert((now + delay, *sent), transmit);
    }

    /// The only call of a phone, whatever its state.
    pub fn call(&self, phone: usize) -> CallView {
        let calls = self.phones[phone].agent.snapshot(self.now).calls;
        calls.last().cloned().unwrap_or_else(|| panic!("phone {phone} has no call"))
    }

    pub fn number(&self, phone: usize) -> CallNumber {
        self.call(phone).number
    }

    pub fn is_established(&self, phone: usize) -> bool {
        self.call(phone).state == CallState::Established
    }

    /// What the running stream of a phone's latest call was last told.
    pub fn spec(&self, phone: usize) -> StreamSpec {
        let stream = StreamId(self.number(phone).0);
        self.phones[phone].streams.get(&stream).cloned().flatten().unwrap_or_else(|| panic!("no stream on {phone}"))
    }
}

impl Phone {
    /// Media as signalling sees it: ports are bound at once.
    fn obey(&mut self, now: Instant, command: MediaCommand) {
        match &command {
            MediaCommand::Open { stream, .. } if self.has_no_ports => {
                let error = "none is free".to_owned();
                self.agent.handle_media(now, MediaEvent::OpenFailed { stream: *stream, error });
            }
            MediaCommand::Open { stream, local, gather } => {
                self.streams.insert(*stream, None);
                let port = 20_000 + 2 * u16::try_from(stream.0).unwrap_or(0);
                let (rtp, rtcp) = (SocketAddr::new(*local, port), SocketAddr::new(*local, port + 1));
                let candidate = |component, address| Candidate {
                    foundation: "1".to_owned(),
                    component,
                    priority: priority(Kind::Host, 65_535, component),
                    address,
                    kind: Kind::Host,
                    related: None,
                };
                let complete = !self.finds_more;
                let ice = gather.as_ref().is_some_and(|gather| gather.credentials.is_some());
                let candidates = if ice { vec![candidate(1, rtp), candidate(2, rtcp)] } else { Vec::new() };
                self.agent.handle_media(now, MediaEvent::Opened { stream: *stream, rtp, rtcp, candidates, complete });
            }
            MediaCommand::Configure { stream, spec } => {
                assert!(self.streams.contains_key(stream), "configured before it was opened: {stream:?}");
                self.streams.insert(*stream, Some((**spec).clone()));
            }
            MediaCommand::Close { stream, .. } => {
                assert!(self.streams.remove(stream).is_some(), "closed without being open: {stream:?}");
            }
            _ => {}
        }
        self.media.push(command);
    }
}

/// The answer of a server that does not know the dialog of this request.
fn lost(request: &[u8], methods: &[&str]) -> Option<bytes::Bytes> {
    let text = String::from_utf8_lossy(request);
    let mut lines = text.lines();
    let method = lines.next()?.split(' ').next()?;
    let kept = |line: &&str| ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name));
    let head: Vec<&str> = lines.take_while(|line| !line.is_empty()).filter(kept).collect();
    let in_dialog = head.iter().any(|line| line.starts_with("To:") && line.contains("tag="));
    let answer =
        format!("SIP/2.0 481 Call/Transaction Does Not Exist\r\n{}\r\nContent-Length: 0\r\n\r\n", head.join("\r\n"));
    (methods.contains(&method) && in_dialog).then(|| answer.into())
}

fn locate(
    question: &Question,
    local: SocketAddr,
    names: &BTreeMap<String, Vec<(Transport, SocketAddr)>>,
    fresh: Duration,
) -> Result<Located, String> {
    let targets = match &question.host {
        Host::Ip(ip) => {
            let transport = question.transport_or_default();
            vec![(transport, SocketAddr::new(*ip, question.port.unwrap_or(transport.default_port())))]
        }
        Host::Name(name) => names.get(name).cloned().ok_or("no such name")?,
    };
    let flow = |(transport, remote)| Flow::new(transport, local, remote);
    Ok(Located { flows: targets.into_iter().map(flow).collect(), fresh })
}
