//! A screen without a terminal, and a phone made by hand.
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::{Flow, Transport};
use crate::base::netem::{Impairment, Truth};
use crate::qos::snapshot::{CallQuality, DelayParts, DirectionQuality, Fault, Reading, Sound, TIMELINE, Verdict};
use crate::tui::action::{Action, Effect};
use crate::tui::input;
use crate::tui::keymap::Keymap;
use crate::tui::keymap::key::{Code, Key};
use crate::tui::model::{Model, Setup};
use crate::tui::theme::{Depth, Theme, UNICODE};
use crate::tui::update::update;
use crate::tui::view::view;
use crate::ua::command::Command;
use crate::ua::contacts::{Contact, Contacts, Number};
use crate::ua::handling::Forwarding;
use crate::ua::identity::{Identity, Source};
use crate::ua::ladder::{LadderEntry, Wire};
use crate::ua::snapshot::{
    AccountView, CallEnd, CallState, CallSummary, CallView, DeviceView, FlowView, Lamp, RegistrationState, Snapshot,
    WatchView,
};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use unicode_width::UnicodeWidthStr;

/// 2026-11-22 10:32:07 UTC
pub const WALL: u64 = 1_795_343_527;

pub fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// The screen with everything that left it.
pub struct Screen {
    pub model: Model,
    pub effects: Vec<Effect>,
    pub start: Instant,
}

impl Screen {
    pub fn new(columns: u16, rows: u16) -> Self {
        let start = Instant::now();
        let theme = |name| Theme::by_name(name, Depth::True).expect("a theme");
        let setup = Setup {
            now: start,
            wall: UNIX_EPOCH + secs(WALL),
            zone: |_| 0,
            size: (columns, rows),
            theme: theme("dark"),
            themes: Theme::NAMES.map(theme).to_vec(),
            glyphs: &UNICODE,
            keymap: Keymap::default(),
        };
        Self { model: Model::new(setup), effects: Vec::new(), start }
    }

    /// The screen of a phone with two accounts and some calls behind it.
    pub fn used(columns: u16, rows: u16) -> Self {
        let mut screen = Self::new(columns, rows);
        screen.act(Action::History(Arc::new(history())));
        screen.act(Action::Log(Arc::new((1..=60).map(|n| format!("10:31:{:02} work: line {n}", n % 60)).collect())));
        let snapshot = screen.idle();
        screen.shows(snapshot);
        screen.effects.clear();
        screen
    }

    pub fn act(&mut self, action: Action) {
        self.effects.extend(update(&mut self.model, action));
    }

    pub fn shows(&mut self, snapshot: Snapshot) {
        self.act(Action::Snapshot(Arc::new(snapshot)));
    }

    /// Changes what the phone says of itself.
    pub fn change(&mut self, change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = (*self.model.snapshot).clone();
        change(&mut snapshot);
        self.shows(snapshot);
    }

    pub fn pass(&mut self, time: Duration) {
        let (now, wall) = (self.model.now + time, self.model.wall + time);
        self.act(Action::Time { now, wall });
    }

    /// Presses keys as the keymap writes them: `x`, `f5`, `ctrl-u`.
    pub fn press(&mut self, keys: &[&str]) {
        for text in keys {
            let key = Key::parse(text).expect("a key");
            self.act(input::action(terminal_event(key)).expect("a key that is known"));
        }
    }

    pub fn types(&mut self, text: &str) {
        for c in text.chars() {
            let event = Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
            self.act(input::action(event).expect("a character"));
        }
    }

    /// The commands sent since this was asked last.
    pub fn sent(&mut self) -> Vec<Command> {
        let send = |effect| match effect {
            Effect::Send(command) => Some(command),
            _ => None,
        };
        std::mem::take(&mut self.effects).into_iter().filter_map(send).collect()
    }

    pub fn notice(&self) -> &str {
        self.model.notice.as_ref().map_or("", |notice| &notice.text)
    }

    fn idle(&self) -> Snapshot {
        let registered = RegistrationState::Registered { expires: self.start + secs(540) };
        let failed = RegistrationState::Failed {
            cause: "No answer from lab.example".into(),
            status: None,
            retry: Some(self.start + secs(4)),
        };
        let work = account(0, "work", "1001@pbx.example", registered.clone());
        let lab = account(1, "lab", "2003@lab.example", failed.clone());
        let tls = |host| flow(Transport::Tls, host, registered.clone());
        Snapshot {
            accounts: vec![
                AccountView { flows: vec![tls(10), tls(11)], ..work },
                AccountView { flows: vec![flow(Transport::Udp, 20, failed)], ..lab },
            ],
            devices: DeviceView {
                capture: "USB Headset".into(),
                playback: "Built-in Audio".into(),
                ..DeviceView::default()
            },
            ..Snapshot::default()
        }
    }

    /// A call that began `ago` seconds before the screen.
    pub fn call(&self, number: u32, name: &str, state: CallState, ago: u64) -> CallView {
        let established = state == CallState::Established;
        let began = self.start.checked_sub(secs(ago)).unwrap_or(self.start);
        CallView {
            number: CallNumber(number),
            account: AccountId(0),
            outgoing: true,
            state,
            peer_name: name.into(),
            peer_address: format!("{}@pbx.example", 1000 + number),
            identity: identity(name, &format!("{}@pbx.example", 1000 + number), Source::Dialled),
            started: began,
            answered: established.then_some(began),
            held_by_us: false,
            held_by_peer: false,
            in_conference: false,
            recording: None,
            ignored: false,
            unattended: false,
            codec: if established { "Opus 48k".into() } else { String::new() },
            security: "none".into(),
            profile: "RTP/AVP".into(),
            fingerprints: None,
            media_path: String::new(),
            media_pair: String::new(),
            media_remote: if established { "192.0.2.10:17002".into() } else { String::new() },
            session_name: String::new(),
            session_information: String::new(),
            participant: if established { vec![("tool".into(), "Asterisk 22".into())] } else { Vec::new() },
            digits_received: String::new(),
            digits_left: String::new(),
            digits_wait: false,
            transfer: None,
            media_flowing: established,
            first_media: established.then_some(Duration::from_millis(40)),
            quality: Arc::new(if established { quality() } else { CallQuality::default() }),
            ladder: Arc::new(self.ladder()),
            recovery: String::new(),
        }
    }

    pub fn incoming(&self, number: u32, name: &str) -> CallView {
        let state = CallState::Ringing { early_media: false };
        let call = self.call(number, name, state, 3);
        let identity = identity(name, &call.peer_address, Source::Claimed);
        CallView { outgoing: false, identity, ..call }
    }

    /// A screen on which one call is talked on.
    pub fn talking(columns: u16, rows: u16) -> Self {
        let mut screen = Self::used(columns, rows);
        let call = screen.call(1, "Alice Nováková", CallState::Established, 192);
        screen.change(|s| {
            s.calls.push(call);
            s.focus = Some(CallNumber(1));
            (s.playback_level, s.capture_level) = (Some(-18.0), Some(-41.0));
        });
        screen.effects.clear();
        screen
    }

    /// The same with a second call on hold.
    pub fn two_calls(columns: u16, rows: u16) -> Self {
        let mut screen = Self::talking(columns, rows);
        let held = CallView { held_by_us: true, ..screen.call(2, "Bob", CallState::Established, 600) };
        screen.change(|s| s.calls.push(held));
        screen.effects.clear();
        screen
    }

    /// Somebody calls.
    pub fn ringing(mut self) -> Self {
        let call = self.incoming(7, "Eva Malá");
        self.change(|s| {
            s.focus = s.focus.or(Some(call.number));
            s.calls.push(call);
        });
        self
    }

    pub fn simulated(mut self) -> Self {
        let asked = Impairment {
            loss: 0.05,
            burst: 1.0,
            delay: Duration::from_millis(60),
            jitter: Duration::from_millis(40),
            seed: 1,
            ..Impairment::default()
        };
        let truth = Truth { packets: 1000, lost: 52, jitter: 13.1, delay: 80.2 };
        self.change(|s| s.simulation = Some((asked, truth)));
        self
    }

    fn ladder(&self) -> Vec<Arc<LadderEntry>> {
        let labels = ["INVITE", "401 Unauthorized", "ACK", "INVITE", "100 Trying", "180 Ringing", "200 OK", "ACK"];
        let entry = |(index, label): (u64, &&str)| {
            let sent = !label.starts_with(|c: char| c.is_ascii_digit());
            let later = Duration::from_millis(index * 400);
            LadderEntry {
                at: self.start + later,
                wall: UNIX_EPOCH + secs(WALL - 200) + later,
                sent,
                label: (*label).into(),
                cseq: "1 INVITE".into(),
                call: Some(CallNumber(1)),
                remark: if *label == "INVITE" { "offer: Opus PCMU, sendrecv".into() } else { String::new() },
                flow: Some(Flow::new(Transport::Udp, ([192, 0, 2, 1], 5060).into(), ([192, 0, 2, 10], 5060).into())),
                repeats: u32::from(index == 0),
                again: Vec::new(),
                wire: Wire::new(&message(label).replace('\n', "\r\n").into()),
            }
        };
        (0..).zip(&labels).map(entry).map(Arc::new).collect()
    }

    pub fn frame(&self) -> Buffer {
        let (columns, rows) = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a backend");
        terminal.draw(|frame| view(&self.model, frame)).expect("a frame");
        terminal.backend().buffer().clone()
    }

    /// The screen as text.
    pub fn picture(&self) -> String {
        let buf = self.frame();
        rows(&buf, |cell| cell.symbol().to_owned())
    }

    /// The screen as letters, one for each role.
    pub fn roles(&self) -> String {
        let mut model = self.model.clone();
        model.theme = Theme::roles();
        let buf = Self { model, effects: Vec::new(), start: self.start }.frame();
        let letter = |cell: &ratatui::buffer::Cell| match (cell.fg, cell.bg) {
            _ if cell.symbol() == " " => " ".to_owned(),
            (ratatui::style::Color::Indexed(role), ground) => {
                // Past the letters come digits.
                let letter = char::from(if role < 26 { b'a' + role } else { b'0' + (role - 26) });
                let chosen = ground != ratatui::style::Color::Reset;
                if chosen { letter.to_ascii_uppercase().to_string() } else { letter.to_string() }
            }
            _ => "?".to_owned(),
        };
        rows(&buf, letter)
    }
}

fn rows(buf: &Buffer, show: impl Fn(&ratatui::buffer::Cell) -> String) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        let (mut row, mut x) = (String::new(), 0);
        while x < buf.area.width {
            let cell = buf.cell((x, y)).expect("inside");
            row.push_str(&show(cell));
            x += u16::try_from(cell.symbol().width().max(1)).expect("narrow");
        }
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

fn terminal_event(key: Key) -> Event {
    let code = match key.code {
        Code::Char(c) => KeyCode::Char(c),
        Code::F(n) => KeyCode::F(n),
        Code::Enter => KeyCode::Enter,
        Code::Esc => KeyCode::Esc,
        Code::Tab => KeyCode::Tab,
        Code::BackTab => KeyCode::BackTab,
        Code::Backspace => KeyCode::Backspace,
        Code::Delete => KeyCode::Delete,
        Code::Up => KeyCode::Up,
        Code::Down => KeyCode::Down,
        Code::Left => KeyCode::Left,
        Code::Right => KeyCode::Right,
        Code::Home => KeyCode::Home,
        Code::End => KeyCode::End,
        Code::PageUp => KeyCode::PageUp,
        Code::PageDown => KeyCode::PageDown,
        Code::AnyDigit => KeyCode::Char('5'),
        Code::AnyTone => KeyCode::Char('#'),
        Code::AnyText => KeyCode::Char('ž'),
    };
    let mut modifiers = KeyModifiers::NONE;
    modifiers.set(KeyModifiers::CONTROL, key.ctrl);
    modifiers.set(KeyModifiers::ALT, key.alt);
    Event::Key(KeyEvent::new(code, modifiers))
}

pub fn account(id: u16, name: &str, address: &str, state: RegistrationState) -> AccountView {
    AccountView {
        forwarding: Forwarding::default(),
        do_not_disturb: false,
        id: AccountId(id),
        name: name.into(),
        address: address.into(),
        state,
        flows: Vec::new(),
        mailbox: None,
        messages: Arc::default(),
    }
}

pub fn flow(transport: Transport, host: u8, state: RegistrationState) -> FlowView {
    let registered = match &state {
        RegistrationState::Registered { expires } => expires.checked_sub(secs(600)),
        _ => None,
    };
    FlowView {
        transport,
        server: ([192, 0, 2, host], transport.default_port()).into(),
        secure: transport.is_secure(),
        state,
        since: registered.and_then(|at| at.checked_sub(secs(7_200))),
        confirmed: registered,
        keep_alive: secs(20),
        contact: format!("sip:5a1c09b2e7f4@192.0.2.77:5060;transport={}", transport.uri_token()),
        gruu: registered
            .map_or(String::new(), |_| "sip:1001@pbx.example;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6".into()),
        service_route: String::new(),
    }
}

/// Two contacts, one of them watched.
pub fn known(snapshot: &mut Snapshot) {
    let number = |address: &str, label: &str| Number { address: address.into(), label: label.into() };
    let alice = Contact {
        name: "Alice Nováková".into(),
        numbers: vec![number("1002", "work"), number("+420 555 123 456", "mobile")],
        speed: Some("1".into()),
        note: "sales".into(),
        ..Contact::default()
    };
    let bob = Contact { name: "Bob".into(), numbers: vec![number("888", "")], watch: true, ..Contact::default() };
    snapshot.contacts = Arc::new(Contacts::new([alice, bob]));
    let (account, label) = (AccountId(0), "888".to_owned());
    snapshot.watched =
        vec![WatchView { account, label, contact: Some("Bob".into()), lamp: Lamp::Busy, note: String::new() }];
}

/// A party nobody knows more of.
pub fn identity(name: &str, address: &str, source: Source) -> Identity {
    let by = if source == Source::Asserted { "pbx.example" } else { "" };
    Identity { name: name.into(), address: address.into(), source, by: by.into(), ..Identity::default() }
}

/// Oldest first.
pub fn history() -> Vec<CallSummary> {
    let entry = |name: &str, address: &str, outgoing, end, ago: u64, cause: &str| CallSummary {
        account: AccountId(0),
        account_name: "work".into(),
        outgoing,
        peer_name: name.into(),
        peer_address: address.into(),
        identity: identity(name, address, if outgoing { Source::Dialled } else { Source::Asserted }),
        started: UNIX_EPOCH + secs(WALL - ago),
        duration: (end == CallEnd::Normal).then_some(secs(192)),
        end,
        status: None,
        cause: cause.into(),
        unattended: false,
        advice: String::new(),
        refused_by: String::new(),
        codec: "Opus 48k".into(),
        quality: Arc::new(quality()),
    };
    vec![
        entry("Carol", "carol@pbx.example", true, CallEnd::Refused, 90_000, "The number does not exist there (404)."),
        entry("+420555123456", "+420555123456@pbx.example", true, CallEnd::Normal, 9_000, "You hung up."),
        entry("Bob", "1003@pbx.example", false, CallEnd::Missed, 7_000, "Nobody answered here within 30 s."),
        entry("Echo test", "600@pbx.example", true, CallEnd::Normal, 3_600, "They hung up."),
        entry("Dave", "1009@pbx.example", false, CallEnd::Missed, 600, "The caller gave up after 12 s."),
    ]
}

/// A call with a burst of loss some seconds ago; the peer reports every five seconds.
pub fn quality() -> CallQuality {
    let now = |value| Some(Reading { value, age: Duration::from_millis(400) });
    let line = |of: &dyn Fn(usize) -> Option<f32>| (0..TIMELINE).map(of).collect::<Vec<_>>();
    let burst = |second: usize| (106..109).contains(&second);
    CallQuality {
        inbound: DirectionQuality {
            mos: now(4.21),
            rating: Some(86.0),
            loss: now(0.0),
            loss_total: Some(0.8),
            jitter: now(7.2),
            packets: 9600,
            lost: 77,
            mos_line: line(&|s| Some(if burst(s) { 3.2 } else { 4.2 })),
            loss_line: line(&|s| Some(if burst(s) { 12.0 } else { 0.0 })),
            jitter_line: line(&|s| Some(5.0 + 30.0 * f32::from(burst(s)) + (s % 4) as f32)),
        },
        outbound: DirectionQuality {
            mos: now(3.8),
            rating: Some(74.0),
            loss: now(2.4),
            loss_total: Some(1.9),
            jitter: now(12.0),
            packets: 9590,
            lost: 182,
            mos_line: line(&|s| (s >= 20).then_some(3.8 + 0.1 * ((s / 5) % 3) as f32)),
            loss_line: line(&|s| (s >= 20).then_some(((s / 5) % 3) as f32)),
            jitter_line: line(&|s| (s >= 20).then_some(10.0 + ((s / 5) % 3) as f32)),
        },
        round_trip: now(38.0),
        delay: DelayParts {
            total: Some(121.0),
            network: Some(19.0),
            buffer: Some(42.0),
            device: Some(20.0),
            codec: Some(40.0),
        },
        round_trip_line: line(&|s| Some(36.0 + ((s / 5) % 4) as f32)),
        delay_line: line(&|s| Some(if s > 106 { 121.0 } else { 101.0 })),
        diagnosis: "2.4 % of what you say does not arrive; most of it is concealed there.".into(),
        verdict: Verdict::Fair,
        fault: Fault::Network,
        sound: Sound { played: Some(192_000.0), concealed: Some(1_540.0), late: 3, ..Sound::default() },
    }
}

fn message(label: &str) -> String {
    let start = if label.starts_with(|c: char| c.is_ascii_digit()) {
        format!("SIP/2.0 {label}")
    } else {
        format!("{label} sip:1002@pbx.example SIP/2.0")
    };
    let via = "Via: SIP/2.0/UDP 192.0.2.77:5060;rport;branch=z9hG4bK-524287-1-e0e1f9a8d8d2c0b1a7";
    let rest = "Max-Forwards: 70\nFrom: \"Me\" <sip:1001@pbx.example>;tag=83f02a\nTo: <sip:1002@pbx.example>\n\
        Call-ID: 81f2c5e6d8a94f0b\nCSeq: 1 INVITE\nContact: <sip:r7Gd2k@192.0.2.77:5060>\n\
        Authorization: Digest username=\"1001\", response=\"(hidden)\"\nContent-Type: application/sdp\n\
        Content-Length: 178\n\nv=0\no=- 3921 1 IN IP4 192.0.2.77\ns=-\nc=IN IP4 192.0.2.77\nt=0 0\n\
        m=audio 40000 RTP/AVP 111 0 8 101\na=rtpmap:111 opus/48000/2\na=sendrecv\n";
    format!("{start}\n{via}\n{rest}")
}
