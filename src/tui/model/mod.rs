//! All that the screen knows. The view draws it, `update` changes it, nothing else does.
pub mod line;
pub mod messages;
pub mod meter;
mod place;
mod texts;

use crate::base::id::{AccountId, CallNumber};
use crate::tui::keymap::{Context, Keymap, When};
use crate::tui::model::line::Line;
use crate::tui::model::messages::Messages;
use crate::tui::model::meter::Meter;
use crate::tui::theme::{Glyphs, Theme};
use crate::ua::contacts::{Contact, Number};
use crate::ua::identity::Source;
use crate::ua::ladder::{self, LadderEntry};
use crate::ua::snapshot::{
    CallEnd, CallState, CallSummary, CallView, RegistrationState, Snapshot, TextView, WatchView,
};
pub use place::{Knob, Open, Page, Pane, Popup, Spot};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
pub use texts::{Peer, Reading, Thread};

/// How long an ended call stays on the main screen.
pub const ENDED_STAYS: Duration = Duration::from_secs(8);
/// How long a notice stays.
pub const NOTICE_STAYS: Duration = Duration::from_secs(8);
/// How long the second key press that ends the program with calls up is waited for.
pub const QUIT_ASKED: Duration = Duration::from_secs(4);
/// How long the phone may take to say goodbye to its servers.
pub const GOODBYE: Duration = Duration::from_secs(5);
/// Between two frames while meters move and after a key.
pub const FRAME: Duration = Duration::from_millis(33);
/// Between two frames while only facts change.
pub const CALM: Duration = Duration::from_millis(100);

/// One sentence for the user that goes away by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub text: String,
    /// Something did not work, rather than: something is good to know.
    pub is_trouble: bool,
    pub until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quit {
    No,
    /// Calls are up: the key must be pressed again before this moment.
    Asked(Instant),
    /// The phone was asked to shut down; at this moment it is left alone.
    Going(Instant),
}

#[derive(Clone, Debug)]
pub struct Model {
    pub now: Instant,
    pub wall: SystemTime,
    /// Seconds to add to UTC at a moment.
    pub zone: fn(SystemTime) -> i32,
    /// Columns and rows.
    pub size: (u16, u16),
    pub theme: Theme,
    /// The themes `:theme` may choose, made for this terminal.
    pub themes: Vec<Theme>,
    pub glyphs: &'static Glyphs,
    pub keymap: Keymap,
    pub snapshot: Arc<Snapshot>,
    /// When the snapshot came, to let the ages in it go on.
    pub snapshot_at: Instant,
    pub history: Arc<Vec<CallSummary>>,
    pub log: Arc<Vec<String>>,
    /// Texts sent and received, oldest first.
    pub texts: Arc<Vec<TextView>>,
    pub reading: Reading,
    pub page: Page,
    /// The page the help page covers.
    pub below_help: Page,
    /// The page the messages page covers, and what that one remembers.
    pub below_messages: Page,
    pub messages: Messages,
    pub pane: Pane,
    pub popup: Option<Popup>,
    pub open: Option<Open>,
    pub dial: Line,
    pub dial_account: Option<AccountId>,
    pub command: Line,
    pub transfer: Line,
    pub forward: Line,
    /// The text that is written.
    pub text: Line,
    pub knob: Option<Knob>,
    pub selected: Option<CallNumber>,
    /// Row in the list of recent calls, 0 is the newest.
    pub recent: usize,
    /// Row in the list of watched phones.
    pub lamp: usize,
    /// Row in the message ladder; `None` follows the newest.
    pub message: Option<usize>,
    pub account: usize,
    /// What the contacts are narrowed by, the row among them, and which of its numbers is called.
    pub filter: Line,
    pub contact: usize,
    pub number: usize,
    /// First line shown of the page or window on top; `usize::MAX` is its end.
    pub scroll: usize,
    /// Seconds the quality page looks back, and the call as it was when it was frozen.
    pub look_back: usize,
    pub frozen: Option<Frozen>,
    pub sound: Meter,
    pub mic: Meter,
    pub notice: Option<Notice>,
    /// Whether the user looks at this terminal; `None`: it does not say.
    pub focused: Option<bool>,
    pub quit: Quit,
    /// When each ended call was first seen ended.
    pub ended: Vec<(CallNumber, Instant)>,
    /// Missed calls that began after this were not looked at yet.
    pub missed_seen: SystemTime,
    pub title: String,
    /// Something visible changed since the last frame.
    pub dirty: bool,
}

/// The quality page, stopped.
#[derive(Clone, Debug)]
pub struct Frozen {
    pub wall: SystemTime,
    pub call: CallView,
}

/// What the environment gives the screen at its start.
#[derive(Clone, Debug)]
pub struct Setup {
    pub now: Instant,
    pub wall: SystemTime,
    pub zone: fn(SystemTime) -> i32,
    pub size: (u16, u16),
    pub theme: Theme,
    pub themes: Vec<Theme>,
    pub glyphs: &'static Glyphs,
    pub keymap: Keymap,
}

impl Model {
    pub fn new(setup: Setup) -> Self {
        let Setup { now, wall, zone, size, theme, themes, glyphs, keymap } = setup;
        Self {
            now,
            wall,
            zone,
            size,
            theme,
            themes,
            glyphs,
            keymap,
            snapshot: Arc::default(),
            snapshot_at: now,
            history: Arc::default(),
            log: Arc::default(),
            texts: Arc::default(),
            reading: Reading::new(wall),
            page: Page::Main,
            below_help: Page::Main,
            below_messages: Page::Main,
            messages: Messages::default(),
            pane: Pane::Calls,
            popup: None,
            open: None,
            dial: Line::default(),
            dial_account: None,
            command: Line::default(),
            transfer: Line::default(),
            forward: Line::default(),
            text: Line::default(),
            knob: None,
            selected: None,
            recent: 0,
            lamp: 0,
            message: None,
            account: 0,
            filter: Line::default(),
            contact: 0,
            number: 0,
            scroll: 0,
            look_back: 0,
            frozen: None,
            sound: Meter::default(),
            mic: Meter::default(),
            notice: None,
            focused: None,
            quit: Quit::No,
            ended: Vec::new(),
            missed_seen: wall,
            title: String::new(),
            dirty: true,
        }
    }

    /// Calls in the order they began; those ended long ago left out.
    pub fn calls(&self) -> impl Iterator<Item = &CallView> {
        self.snapshot.calls.iter().filter(|call| {
            let since = self.ended.iter().find(|(number, _)| *number == call.number).map(|(_, at)| *at);
            !is_over(call) || since.is_none_or(|at| self.now < at + ENDED_STAYS)
        })
    }

    pub fn live_calls(&self) -> impl Iterator<Item = &CallView> {
        self.snapshot.calls.iter().filter(|call| !is_over(call))
    }

    pub fn call(&self, number: CallNumber) -> Option<&CallView> {
        self.snapshot.calls.iter().find(|call| call.number == number)
    }

    /// The call the panel shows and the keys act on.
    pub fn selected_call(&self) -> Option<&CallView> {
        self.calls().find(|call| Some(call.number) == self.selected)
    }

    /// The call that rings and was not silenced: the oldest first.
    pub fn incoming(&self) -> Option<&CallView> {
        self.live_calls().find(|call| rings_here(call) && !call.ignored)
    }

    /// What the answering keys act on: what the band shows, else a silenced call that is selected.
    pub fn answerable(&self) -> Option<&CallView> {
        self.incoming().or_else(|| self.selected_call().filter(|call| rings_here(call)))
    }

    /// The call that asks whether to follow a redirection.
    pub fn question(&self) -> Option<&CallView> {
        self.live_calls().find(|call| matches!(call.state, CallState::Redirected { .. }))
    }

    /// The history entry under the cursor.
    pub fn recent_entry(&self) -> Option<&CallSummary> {
        self.recent_calls().nth(self.recent)
    }

    /// History, newest first.
    pub fn recent_calls(&self) -> impl ExactSizeIterator<Item = &CallSummary> {
        self.history.iter().rev()
    }

    /// Missed calls nobody looked at.
    pub fn missed(&self) -> usize {
        self.history.iter().filter(|c| c.end == CallEnd::Missed && c.started > self.missed_seen).count()
    }

    /// The messages of the selected call, and of all that belong to it.
    pub fn ladder(&self) -> Vec<Arc<LadderEntry>> {
        let Some(call) = self.selected_call() else { return Vec::new() };
        let story = ladder::story(&self.snapshot.ladders, call.number);
        if story.is_empty() { call.ladder.to_vec() } else { story }
    }

    /// Whether letters go into a line of text.
    pub fn is_typing(&self) -> bool {
        let keypad = matches!(self.popup, Some(Popup::Keypad { .. }));
        match self.page {
            Page::Main => keypad || (self.open.is_some() && self.popup.is_none()),
            Page::Contacts => true,
            Page::Messages => self.open.is_some(),
            Page::Texts => self.open == Some(Open::Text),
            Page::Quality | Page::Accounts | Page::Account | Page::Log | Page::Help => false,
        }
    }

    /// The line of text that is open and not covered by a page or window.
    pub fn open_line(&self) -> Option<Open> {
        let covered = match self.page {
            Page::Main => self.popup.is_some(),
            Page::Messages => false,
            Page::Texts => self.open != Some(Open::Text),
            Page::Quality | Page::Accounts | Page::Account | Page::Contacts | Page::Log | Page::Help => true,
        };
        self.open.filter(|_| !covered)
    }

    /// The active contexts, innermost first.
    pub fn contexts(&self) -> Vec<Context> {
        let mut stack = Vec::with_capacity(8);
        if self.answerable().is_some() {
            stack.push(Context::Incoming);
        }
        if self.question().is_some() {
            stack.push(Context::Question);
        }
        stack.extend_from_slice(self.place(self.page));
        stack.push(Context::Global);
        stack
    }

    /// The contexts of what the help page covers.
    pub fn place_below(&self) -> &'static [Context] {
        self.place(self.below_help)
    }

    fn place(&self, page: Page) -> &'static [Context] {
        use Context as C;
        match (page, &self.popup, self.open, self.knob, self.pane) {
            (Page::Quality, ..) => &[C::Quality],
            (Page::Accounts, ..) => &[C::Accounts, C::Scroll],
            (Page::Account, ..) => &[C::Account, C::Scroll],
            (Page::Contacts, ..) => &[C::Contacts, C::Edit],
            (Page::Log, ..) => &[C::Log, C::Scroll],
            (Page::Texts, _, Some(Open::Text), ..) => &[C::Text, C::Edit],
            (Page::Texts, ..) => &[C::Texts, C::Scroll],
            (Page::Help, ..) => &[C::Help, C::Scroll],
            (Page::Messages, _, Some(Open::Search), ..) => &[C::Search, C::Edit],
            (Page::Messages, _, Some(Open::Export), ..) => &[C::Export, C::Edit],
            (Page::Messages, _, Some(_), ..) => &[C::Command, C::Edit],
            (Page::Messages, Some(_), None, ..) => &[C::Message, C::Find, C::Scroll],
            (Page::Messages, None, None, ..) => &[C::Ladder, C::Find, C::Scroll],
            (Page::Main, Some(Popup::Keypad { .. }), ..) => &[C::Keypad],
            (Page::Main, Some(Popup::Message { .. }), ..) => &[C::Message, C::Scroll],
            (Page::Main, Some(Popup::Details), ..) => &[C::Details, C::Scroll],
            (Page::Main, None, Some(Open::Dial), ..) => &[C::Dial, C::Edit],
            (Page::Main, None, Some(Open::Command), ..) => &[C::Command, C::Edit],
            (Page::Main, None, Some(Open::Transfer(_)), ..) => &[C::Transfer, C::Edit],
            (Page::Main, None, Some(Open::Forward(_)), ..) => &[C::Forward, C::Edit],
            (Page::Main, None, Some(Open::Connect(..)), ..) => &[C::Connect],
            (Page::Main, None, Some(Open::Search), ..) => &[C::Search, C::Edit],
            (Page::Main, None, Some(Open::Export), ..) => &[C::Export, C::Edit],
            (Page::Main, None, Some(Open::Text), ..) => &[C::Scroll],
            (Page::Main, None, None, Some(_), _) => &[C::Simulation],
            (Page::Main, None, None, None, Pane::Calls) => &[C::Calls, C::Main, C::Scroll],
            (Page::Main, None, None, None, Pane::Recent) => &[C::Recent, C::Main, C::Scroll],
            (Page::Main, None, None, None, Pane::Messages) => &[C::Messages, C::Main, C::Scroll],
            (Page::Main, None, None, None, Pane::Watched) => &[C::Watched, C::Main, C::Scroll],
        }
    }

    /// Whether a row of the keymap is worth its place on the key bar now.
    pub fn holds(&self, when: When) -> bool {
        let live = self.selected_call().filter(|call| !is_over(call));
        match when {
            When::Always => true,
            When::Hidden => false,
            When::Idle => live.is_none(),
            When::Call => live.is_some(),
            When::Established => live.is_some_and(|call| call.state == CallState::Established),
            When::TwoCalls => self.live_calls().count() > 1,
            When::Simulated => self.snapshot.simulation.is_some(),
            When::Accounts => self.snapshot.accounts.len() > 1,
            When::Page => self.page != Page::Main || self.popup.is_some(),
        }
    }

    /// How much older every reading became since the snapshot was made.
    pub fn since_snapshot(&self) -> Duration {
        self.now.saturating_duration_since(self.snapshot_at)
    }

    /// The account calls are placed from: the chosen one, else the first.
    pub fn calling_account(&self) -> Option<&crate::ua::snapshot::AccountView> {
        let accounts = &self.snapshot.accounts;
        accounts.iter().find(|a| Some(a.id) == self.dial_account).or(accounts.first())
    }

    pub fn account_name(&self, id: AccountId) -> &str {
        self.snapshot.accounts.iter().find(|a| a.id == id).map_or("", |a| a.name.as_str())
    }

    /// The contacts that fit what is typed on their page.
    pub fn contacts(&self) -> Vec<&Contact> {
        self.snapshot.contacts.matching(self.filter.text())
    }

    /// The contact under the cursor.
    pub fn contact(&self) -> Option<&Contact> {
        let found = self.contacts();
        found.get(self.contact.min(found.len().saturating_sub(1))).copied()
    }

    /// The number that is called; of the one under the cursor another may be chosen than the first.
    pub fn number_of<'c>(&self, contact: &'c Contact, chosen: bool) -> Option<&'c Number> {
        contact.numbers.get(if chosen { self.number } else { 0 }).or(contact.numbers.first())
    }

    /// Whom a call of the past was with: by the name the user has for them by now.
    pub fn past_name<'c>(&'c self, entry: &'c CallSummary) -> &'c str {
        let withheld = entry.identity.source == Source::Withheld || entry.peer_address.is_empty();
        let own = entry.identity.from_server || entry.outgoing;
        let known = self.snapshot.contacts.find(&entry.peer_address, own).filter(|_| !withheld);
        match known {
            Some(contact) => &contact.name,
            None if entry.peer_name.is_empty() => &entry.peer_address,
            None => &entry.peer_name,
        }
    }

    /// What is known of a contact that is watched.
    pub fn watched(&self, contact: &Contact) -> Option<&WatchView> {
        self.snapshot.watched.iter().find(|view| view.contact.as_deref() == Some(contact.name.as_str()))
    }

    /// What the dial line would become by the suggestion: numbers dialled or seen that begin as it does, and names whatever
    /// their case.
    pub fn suggestion(&self) -> Option<&str> {
        let typed = self.dial.text();
        if typed.is_empty() || !self.dial.is_at_end() {
            return None;
        }
        let seen = self.recent_calls().map(|c| c.peer_address.as_str()).filter(|address| !address.is_empty());
        let dialled = self.dial.history().iter().rev().map(String::as_str);
        let names = self.snapshot.contacts.list().iter().map(|contact| contact.name.as_str());
        let begins = |text: &&str| text.len() > typed.len() && begins(text, typed);
        dialled
            .chain(seen)
            .find(|text| text.len() > typed.len() && text.starts_with(typed))
            .or_else(|| names.into_iter().find(begins))
    }

    /// What the suggestion adds to what is typed.
    pub fn suggested(&self) -> Option<&str> {
        self.suggestion()?.get(self.dial.text().len()..)
    }

    pub fn notify(&mut self, text: impl Into<String>, is_trouble: bool) {
        self.notice = Some(Notice { text: text.into(), is_trouble, until: self.now + NOTICE_STAYS });
        self.dirty = true;
    }

    /// Something on the screen counts seconds.
    pub fn counts_seconds(&self) -> bool {
        let retry = |state: &RegistrationState| matches!(state, RegistrationState::Failed { retry: Some(_), .. });
        self.calls().next().is_some()
            || self.notice.is_some()
            || self.page == Page::Account
            || self.quit != Quit::No
            || self.snapshot.accounts.iter().any(|a| retry(&a.state) || a.flows.iter().any(|flow| retry(&flow.state)))
    }

    /// How long a frame stays at least.
    ///
    /// - `hurry`: the user did something since it was drawn.
    pub fn pause(&self, hurry: bool) -> Duration {
        if hurry || self.sound.is_moving() || self.mic.is_moving() { FRAME } else { CALM }
    }

    /// When the picture changes although nothing happens.
    pub fn wake_at(&self) -> Instant {
        if self.sound.is_moving() || self.mic.is_moving() {
            return self.now + FRAME;
        }
        let since_epoch = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let into_second = Duration::from_nanos(u64::from(since_epoch.subsec_nanos()));
        let whole = if self.counts_seconds() { 1 } else { 60 - since_epoch.as_secs() % 60 };
        self.now + (Duration::from_secs(whole) - into_second)
    }
}

/// Whether it begins so, whatever the case; the rest of it stands behind as many bytes as were typed.
fn begins(text: &str, typed: &str) -> bool {
    text.get(..typed.len()).is_some_and(|start| start.to_lowercase() == typed.to_lowercase())
}

pub fn is_over(call: &CallView) -> bool {
    matches!(call.state, CallState::Ended(_))
}

/// An incoming call that can still be answered here.
pub fn rings_here(call: &CallView) -> bool {
    !call.outgoing && matches!(call.state, CallState::Ringing { .. })
}
