//! The user agent: accounts, calls and their media, as one pure machine.
//!
//! It hears commands, messages, media events, located hosts and the passing of time, and speaks through its `poll_*`
//! functions. After each input the runtime drains all of them.
mod account;
mod address_book;
pub mod availability;
mod call;
pub mod caller_id;
mod cause;
pub mod command;
mod conference;
pub mod contacts;
pub mod dial_plan;
pub mod dial_string;
mod dialling;
pub mod event;
mod failover;
mod farewell;
mod forwarding;
pub mod handling;
pub mod identity;
mod incoming;
mod intercom;
pub mod ladder;
mod liveness;
mod media_host;
mod outbox;
mod outgoing;
mod own_state;
mod parties;
mod pickup;
mod plan;
mod queries;
mod recording;
mod recovery;
mod refusal;
mod registering;
mod reload;
mod requests;
mod routes;
mod secure;
mod sending;
pub mod settings;
mod showing;
pub mod snapshot;
mod sound;
mod taking;
mod tapping;
pub mod target;
mod texting;
mod transfer;
mod trickle;
mod watch;
mod watchers;
mod ways;
pub mod words;

use crate::base::id::{AccountId, CallNumber};
use crate::base::net::{Flow, Received, Transmit};
use crate::base::rng::Rng;
use crate::base::time::WallAnchor;
use crate::media::event::MediaEvent;
use crate::media::spec::{MediaCommand, Tone};
use crate::media::stats::DeviceReport;
use crate::sip::key::SessionKey;
use crate::sip::locate::{Located, Question};
use crate::sip::{message, transaction};
use account::{Account, KeepAlives};
use call::Call;
use command::{Command, Rejection};
use contacts::Contacts;
use event::Event;
use outbox::Outbox;
use sending::Sending;
use settings::Settings;
use snapshot::Counters;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Calls at once that are not over.
const CALLS: usize = 16;
/// Calls that are over and still shown; the oldest goes first.
const EPITAPHS: usize = 16;
/// How long the busy tone sounds after a refusal.
const BUSY_TONE: Duration = Duration::from_secs(3);

pub struct UserAgent {
    settings: Settings,
    contacts: Arc<Contacts>,
    anchor: WallAnchor,
    rng: Rng,
    layer: transaction::Layer,
    accounts: Vec<Account>,
    /// Those of the configuration, in its order.
    order: Vec<AccountId>,
    calls: BTreeMap<CallNumber, Call>,
    sessions: BTreeMap<SessionKey, CallNumber>,
    next_call: u32,
    sending: Sending,
    /// Incoming calls that wait for a name server.
    held: Vec<media_host::Held>,
    queries: BTreeMap<u32, queries::Query>,
    next_query: u32,
    watching: watch::Watching,
    presences: own_state::Presences,
    texting: texting::Texting,
    watchers: watchers::Watchers,
    parking: Option<pickup::Parking>,
    ladders: ladder::Ladders,
    /// The call that is talked on.
    focus: Option<CallNumber>,
    /// The calls that hear each other, and who was last told to be in it.
    conference: BTreeSet<CallNumber>,
    told_conference: BTreeSet<CallNumber>,
    /// What media was told last, so that it is told only what changes.
    heard: Vec<CallNumber>,
    tone: Option<Tone>,
    busy_until: Option<Instant>,
    muted: bool,
    gain: (f32, f32),
    levels: (Option<f32>, Option<f32>),
    devices: DeviceReport,
    counters: Counters,
    stranger_noted: Option<Instant>,
    shutdown: Option<Instant>,
    finished: bool,
    /// Accounts whose server does not answer.
    dead: BTreeSet<AccountId>,
    questions: VecDeque<Question>,
    keep_alives: KeepAlives,
    pings: VecDeque<Transmit>,
    closes: VecDeque<Flow>,
    out: Outbox,
}

impl UserAgent {
    pub fn new(settings: Settings, anchor: WallAnchor, mut rng: Rng) -> Self {
        let layer = transaction::Layer::new(transaction::Config::default(), rng.fork());
        let accounts = registering::accounts(&settings, &layer, &mut rng);
        let watching = watch::Watching::new(&settings, &mut rng);
        let presences = own_state::Presences::new(&settings, &accounts, &mut rng);
        let contacts = Arc::new(settings.contacts.clone());
        Self {
            settings,
            contacts,
            anchor,
            rng,
            layer,
            order: accounts.iter().map(|a| a.id).collect(),
            accounts,
            calls: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_call: 1,
            sending: Sending::default(),
            held: Vec::new(),
            queries: BTreeMap::new(),
            next_query: 0,
            watching,
            presences,
            texting: texting::Texting::default(),
            watchers: watchers::Watchers::default(),
            parking: None,
            ladders: ladder::Ladders::default(),
            focus: None,
            conference: BTreeSet::new(),
            told_conference: BTreeSet::new(),
            heard: Vec::new(),
            tone: None,
            busy_until: None,
            muted: false,
            gain: (0.0, 0.0),
            levels: (None, None),
            devices: DeviceReport::default(),
            counters: Counters::default(),
            stranger_noted: None,
            shutdown: None,
            finished: false,
            dead: BTreeSet::new(),
            questions: VecDeque::new(),
            keep_alives: KeepAlives::default(),
            pings: VecDeque::new(),
            closes: VecDeque::new(),
            out: Outbox::default(),
        }
    }

    /// Registers every account that wants to be.
    pub fn start(&mut self, now: Instant) {
        self.watch_contacts(now);
        let wanted: Vec<AccountId> = self.accounts.iter().filter(|a| a.settings.register).map(|a| a.id).collect();
        for account in wanted {
            self.handle_command(now, Command::Register(account));
        }
    }

    pub fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Register(account) => self.register(now, account),
            Command::Unregister(account) => self.unregister(now, account),
            Command::Call { account, target } => self.place_call(now, account, &target, None),
            Command::CallAs { account, target, private } => self.place_call(now, account, &target, Some(private)),
            Command::Answer(call) => {
                self.focus_on(now, call);
                self.with_call(call, |c, anchor, out| c.answer(now, anchor, out));
            }
            Command::Reject(call, Rejection::Busy) => {
                self.with_call(call, |c, anchor, out| c.reject(now, 486, anchor, out));
            }
            Command::Reject(call, Rejection::Decline) => {
                self.with_call(call, |c, anchor, out| c.reject(now, 603, anchor, out));
            }
            Command::Ignore(call) => self.with_call(call, |c, _, _| c.ignored = true),
            Command::HangUp(call) => self.with_call(call, |c, anchor, out| c.hang_up(now, anchor, out)),
            Command::Hold(call) => self.hold(now, call),
            Command::Resume(call) | Command::Switch(call) => {
                if self.calls.get(&call).is_some_and(Call::is_ringing_in) {
                    return self.handle_command(now, Command::Answer(call));
                }
                self.talk_on(now, call);
            }
            Command::Join(call, other) => self.join(now, call, other),
            Command::Split(call) => self.split(now, call),
            Command::Follow(call, yes) => self.follow(now, call, yes),
            Command::Record(call, file) => self.record(call, file),
            Command::StopRecording(call) => self.stop_recording(call),
            Command::Transfer { call, target } => self.transfer(now, call, &target),
            Command::Connect(call, other) => self.connect(now, call, other),
            Command::Forward { account, when, to, after } => self.forward(account, when, to.as_deref(), after),
            Command::DoNotDisturb { account, on } => self.disturb(account, on),
            Command::Intercom { account, target } => self.call_intercom(now, account, &target),
            Command::PickUp { account, whom } => self.pick_up(now, account, whom.as_deref()),
            Command::Park { call, slot } => self.park(now, call, slot.as_deref()),
            Command::Unpark { account, slot } => self.unpark(now, account, &slot),
            Command::Plan { account, target } => self.tell_plan(account, &target),
            Command::Digits(call, digits) => self.with_call(call, |c, _, out| c.dial_digits(now, &digits, out)),
            Command::Contact(change) => self.change_contacts(now, change),
            Command::Continue(call) => self.with_call(call, |c, _, out| c.continue_digits(now, out)),
            Command::Mute(muted) => {
                self.muted = muted;
                self.out.media.push_back(MediaCommand::Mute(muted));
            }
            Command::Gain { capture, playback } => {
                let limit = |gain: f32| if gain.is_finite() { gain.clamp(-40.0, 40.0) } else { 0.0 };
                self.gain = (limit(capture), limit(playback));
                let factor = |gain: f32| 10_f32.powf(gain / 20.0);
                self.out
                    .media
                    .push_back(MediaCommand::Gain { capture: factor(self.gain.0), playback: factor(self.gain.1) });
            }
            Command::Text { account, target, text } => self.send_text(now, account, &target, &text),
            Command::Presence { wish, note } => self.set_presence(wish, &note),
            Command::Mailbox(account) => self.call_mailbox(now, account),
            Command::Query { account, target } => self.query(now, account, &target),
            Command::Device { .. } | Command::ListDevices => {
                self.out.refuse("the sound devices cannot be changed here")
            }
            Command::Reload => self.out.refuse("there is no configuration to be read here"),
            Command::Impair(_) => self.out.refuse("there is no simulated network here; `offhook demo` has one"),
            Command::Shutdown => self.shut_down(now),
        }
        self.settle(now);
    }

    pub fn handle_received(&mut self, now: Instant, received: Received) {
        self.keep_alives.handle_heard(&received.flow);
        // CRLF keep-alives and pings of other protocols carry nothing.
        if received.bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return;
        }
        let Received { flow, bytes } = received;
        let (known, calls) = (self.tap(now, flow, false, &bytes), self.next_call);
        match message::parse(&bytes) {
            Ok(message) => self.layer.handle_message(now, message, flow),
            // The layer answers what can be answered, and counts.
            Err(_) => self.layer.handle_received(now, Received { flow, bytes: bytes.clone() }),
        }
        self.settle(now);
        // The message began a call: it is the first of that call's ladder.
        if !known && self.next_call != calls {
            self.tap(now, flow, false, &bytes);
        }
    }

    /// Nothing can be sent on this flow.
    pub fn handle_refused(&mut self, now: Instant, flow: Flow, error: &str) {
        self.flow_failed(now, flow, error);
        self.settle(now);
    }

    pub fn handle_media(&mut self, now: Instant, event: MediaEvent) {
        match event {
            MediaEvent::Levels { capture, playback } => self.levels = (Some(capture), Some(playback)),
            MediaEvent::Device(report) => {
                for call in self.calls.values_mut() {
                    call.handle_devices(&report);
                }
                self.log_devices(&report);
                self.devices = report;
            }
            MediaEvent::Opened { stream, rtp, rtcp, candidates, complete } => {
                if let Some(call) = self.calls.get_mut(&CallNumber(stream.0)) {
                    call.plan.ways.gathered(candidates, complete);
                }
                self.media_opened(now, CallNumber(stream.0), rtp, rtcp);
            }
            MediaEvent::Recording { .. } | MediaEvent::Recorded { .. } => self.handle_recording(event),
            MediaEvent::OpenFailed { stream, error } => {
                if let Some(call) = self.calls.get_mut(&CallNumber(stream.0)) {
                    call.handle_open_failed(now, &self.anchor, &error, &mut self.out);
                }
            }
            MediaEvent::Unsecured { stream, cause } => {
                if let Some(call) = self.calls.get_mut(&CallNumber(stream.0)) {
                    call.handle_unsecured(now, &self.anchor, cause.to_string(), &mut self.out);
                }
            }
            MediaEvent::Flowing { stream }
            | MediaEvent::Path { stream, .. }
            | MediaEvent::Candidates { stream, .. }
            | MediaEvent::Doubt { stream, .. }
            | MediaEvent::Trouble { stream, .. }
            | MediaEvent::Secured { stream, .. }
            | MediaEvent::Digit { stream, .. }
            | MediaEvent::Goodbye { stream, .. }
            | MediaEvent::Report { stream, .. } => {
                if let Some(call) = self.calls.get_mut(&CallNumber(stream.0)) {
                    call.handle_media(now, event, &mut self.out);
                }
                self.follow_moves(now);
                self.watch_silence(now);
            }
        }
        self.settle(now);
    }

    /// The answer to [`UserAgent::poll_question`]: flows, the best first, or why there is none.
    pub fn handle_located(&mut self, now: Instant, question: &Question, answer: Result<Located, String>) {
        self.located(now, question, answer);
        self.settle(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.layer.handle_timeout(now);
        self.lose_patience(now);
        self.give_up_held(now);
        self.registrations_timeout(now);
        self.keep_alive(now);
        self.watching.handle_timeout(now);
        self.presences.handle_timeout(now);
        self.watchers.handle_timeout(now);
        self.divert_unanswered(now);
        self.answer_announced(now);
        let due: Vec<CallNumber> =
            self.calls.values().filter(|c| c.poll_timeout().is_some_and(|at| at <= now)).map(|c| c.number).collect();
        for number in due {
            self.with_call(number, |c, anchor, out| c.handle_timeout(now, anchor, out));
        }
        self.follow_moves(now);
        if self.busy_until.is_some_and(|at| at <= now) {
            self.busy_until = None;
        }
        self.settle(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let accounts = self.accounts.iter().map(Account::poll_timeout);
        let calls = self.calls.values().map(Call::poll_timeout);
        let own = [
            self.layer.poll_timeout(),
            self.sending.poll_timeout(),
            self.held.iter().map(|held| held.until).min(),
            self.keep_alives.poll_timeout(),
            self.watching.poll_timeout(),
            self.presences.poll_timeout(),
            self.watchers.poll_timeout(),
            self.busy_until,
            self.shutdown,
        ];
        accounts.chain(calls).chain(own).flatten().min()
    }

    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if let Some(transmit) = self.pings.pop_front() {
            return Some(transmit);
        }
        let transmit = self.layer.poll_transmit()?;
        self.tap(now, transmit.flow, true, &transmit.bytes);
        Some(transmit)
    }

    pub fn poll_media(&mut self) -> Option<MediaCommand> {
        self.out.media.pop_front()
    }

    pub fn poll_question(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    pub fn poll_log(&mut self) -> Option<String> {
        self.out.log.pop_front()
    }

    fn with_call(&mut self, number: CallNumber, act: impl FnOnce(&mut Call, &WallAnchor, &mut Outbox)) {
        match self.calls.get_mut(&number) {
            Some(call) => act(call, &self.anchor, &mut self.out),
            None => self.out.refuse(format!("there is no call {number}")),
        }
    }

    /// After each input: passes on what the machines have to say until none has anything left, then puts tones, focus
    /// and farewell in order.
    fn settle(&mut self, now: Instant) {
        loop {
            let mut quiet = true;
            while let Some(event) = self.layer.poll_event() {
                quiet = false;
                self.handle_layer(now, event);
            }
            quiet &= !self.send_candidates();
            quiet &= !self.drain_usages(now);
            quiet &= !self.watch_servers();
            quiet &= !self.drain_watches(now);
            quiet &= !self.drain_publications(now);
            quiet &= !self.drain_watchers(now);
            quiet &= !self.report_transfers(now);
            quiet &= !self.report_identities();
            quiet &= !self.drain_registrations(now);
            if quiet {
                break;
            }
        }
        self.weave_notes(now);
        self.bury();
        self.set_sound(now);
        self.record_all();
        self.calls.values_mut().for_each(|call| call.send_after_answer(now, &mut self.out));
        self.watch_flows(now);
        self.say_farewell(now);
    }

    /// Removes what is over and was shown long enough.
    fn bury(&mut self) {
        self.tidy_conference();
        let over = self.calls.values().filter(|c| c.is_over() && c.is_shown()).count();
        for call in self.calls.values_mut().filter(|c| c.is_over() && c.is_shown()).take(over.saturating_sub(EPITAPHS))
        {
            call.forget();
        }
        let gone: Vec<CallNumber> = self.calls.values().filter(|c| c.is_gone()).map(|c| c.number).collect();
        for number in gone {
            self.calls.remove(&number);
            self.sessions.retain(|_, of| *of != number);
            self.forget_texts(number);
        }
        let focus_is_over = self.focus.is_some_and(|n| self.calls.get(&n).is_none_or(Call::is_over));
        if focus_is_over || self.focus.is_none() {
            let alive = self.calls.values().filter(|c| !c.is_over());
            self.focus = alive.max_by_key(|c| (c.is_established(), c.outgoing)).map(|c| c.number);
        }
    }
}

/// The position of an account.
fn index(account: AccountId) -> usize {
    usize::from(account.0)
}

impl UserAgent {
    fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(index(id))
    }
}
