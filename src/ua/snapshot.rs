//! What is true of the user agent now, as plain and sanitised facts: the only thing the screen draws.
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::Transport;
use crate::base::netem::{Impairment, Truth};
use crate::qos::snapshot::CallQuality;
use crate::ua::contacts::Contacts;
use crate::ua::handling::Forwarding;
use crate::ua::identity::Identity;
use crate::ua::ladder::{CallLadder, Rows};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub accounts: Vec<AccountView>,
    /// In the order they began.
    pub calls: Vec<CallView>,
    /// The call that is talked on, or that rings.
    pub focus: Option<CallNumber>,
    pub muted: bool,
    /// \[dB\]
    pub capture_gain: f32,
    pub playback_gain: f32,
    /// Peak levels of the last 100 ms \[dBov\].
    pub capture_level: Option<f32>,
    pub playback_level: Option<f32>,
    /// The phones of others that are watched, in the order of the configuration.
    pub watched: Vec<WatchView>,
    /// What those who watch us are told.
    pub presence: PresenceView,
    /// Whom the user knows.
    pub contacts: Arc<Contacts>,
    /// The messages of the calls of this run, also of those that are over; in the order the calls began.
    pub ladders: Arc<Vec<Arc<CallLadder>>>,
    pub devices: DeviceView,
    pub counters: Counters,
    /// The simulated network of the demonstration: what was asked for and what it really did.
    pub simulation: Option<(Impairment, Truth)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AccountView {
    pub id: AccountId,
    pub name: String,
    /// `1001@pbx.example`
    pub address: String,
    /// Of the best flow: one that works is enough.
    pub state: RegistrationState,
    /// The ways the server reaches us by; empty before the first is known.
    pub flows: Vec<FlowView>,
    /// Where its calls go instead of ringing here.
    pub forwarding: Forwarding,
    /// Its calls are refused as busy.
    pub do_not_disturb: bool,
    /// `None`: nobody told.
    pub mailbox: Option<MailboxView>,
    /// What was said to register it.
    pub messages: Rows,
}

/// What a mailbox is known to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxView {
    pub waiting: bool,
    /// `None`: not told.
    pub new: Option<u32>,
    pub old: Option<u32>,
}

/// What somebody said of itself when asked by OPTIONS; each list sanitised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapabilitiesView {
    pub status: u16,
    pub methods: Vec<String>,
    pub extensions: Vec<String>,
    pub bodies: Vec<String>,
    pub events: Vec<String>,
    pub software: String,
}

/// What is told of us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresenceView {
    pub state: OwnState,
    /// The user's own words; empty: none.
    pub note: String,
    /// The accounts whose servers are told, and whether they know, in words.
    pub published: Vec<(AccountId, String)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnState {
    #[default]
    Free,
    OnThePhone,
    Away,
    Busy,
    /// No call rings.
    DoNotDisturb,
}

impl OwnState {
    pub fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::OnThePhone => "on the phone",
            Self::Away => "away",
            Self::Busy => "busy",
            Self::DoNotDisturb => "do not disturb",
        }
    }
}

/// A text, sent or received (RFC 3428).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextView {
    /// Its own, whatever becomes of it.
    pub key: String,
    pub account: AccountId,
    pub account_name: String,
    pub outgoing: bool,
    pub peer_name: String,
    /// `bob@pbx.example`
    pub peer_address: String,
    /// How sure it is who wrote it, in words; empty in ours.
    pub trust: String,
    pub at: SystemTime,
    /// One line or several, each fit for the screen.
    pub text: String,
    pub state: TextState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextState {
    Received,
    Sending,
    /// The other side has it (200).
    Delivered,
    /// A server keeps it for the other side (202).
    Accepted,
    /// Why, in words.
    Failed(String),
}

impl TextState {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Accepted => "accepted",
            Self::Failed(_) => "failed",
        }
    }
}

impl WatchView {
    /// What the user calls them, else as it is written in the configuration.
    pub fn name(&self) -> &str {
        self.contact.as_deref().unwrap_or(&self.label)
    }
}

/// Somebody who is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchView {
    pub account: AccountId,
    /// As it is written in the configuration.
    pub label: String,
    /// What the user calls them.
    pub contact: Option<String>,
    pub lamp: Lamp,
    /// Their own words, or why nothing is known.
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lamp {
    Unknown,
    Free,
    Ringing,
    Busy,
    /// Not on a phone that could ring.
    Away,
}

impl Lamp {
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Free => "free",
            Self::Ringing => "ringing",
            Self::Busy => "busy",
            Self::Away => "away",
        }
    }
}

/// One way to the registrar (RFC 5626).
#[derive(Clone, Debug, PartialEq)]
pub struct FlowView {
    pub transport: Transport,
    pub server: SocketAddr,
    /// Nobody on the way can read or change what is said.
    pub secure: bool,
    pub state: RegistrationState,
    /// Registered without a break since then.
    pub since: Option<Instant>,
    /// When the server last confirmed it.
    pub confirmed: Option<Instant>,
    /// A sign of life is asked for at least this often.
    pub keep_alive: Duration,
    /// Where the server reaches us; empty until it is known.
    pub contact: String,
    /// Our address that leads here from everywhere (RFC 5627), and the way out (RFC 3608); empty unless the server gave them.
    pub gruu: String,
    pub service_route: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RegistrationState {
    /// Not wanted: direct calls only, or unregistered by the user.
    Off,
    Registering,
    Registered {
        expires: Instant,
    },
    /// `cause` says what happened, in words; `retry` when the next try is due, none while it runs.
    Failed {
        cause: String,
        status: Option<u16>,
        retry: Option<Instant>,
    },
    Unregistering,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CallView {
    pub number: CallNumber,
    pub account: AccountId,
    pub outgoing: bool,
    pub state: CallState,
    /// What is shown first of [`Identity`]: its name, and its address (`sip:` left out; empty when withheld).
    pub peer_name: String,
    pub peer_address: String,
    /// Who the other party is, and how sure that is.
    pub identity: Identity,
    pub started: Instant,
    pub answered: Option<Instant>,
    pub held_by_us: bool,
    pub held_by_peer: bool,
    /// It and all others marked so hear each other.
    pub in_conference: bool,
    /// The file it is recorded into, empty until that is there; `None` while it is not recorded.
    pub recording: Option<String>,
    /// An incoming call the user silenced.
    pub ignored: bool,
    /// Answered by itself, or about to be, since its caller is on the list of those who may ask for that.
    pub unattended: bool,
    /// `PCMU 8k`, `Opus 48k`; empty until negotiated.
    pub codec: String,
    /// What protects the media: `DTLS-SRTP AES-256-GCM`, `SDES-SRTP AES-128 (keys sent in clear)`, `none`; empty until
    /// negotiated.
    pub security: String,
    /// The media profile, and what shares a port: `UDP/TLS/RTP/SAVPF, BUNDLE, rtcp-mux`; empty until negotiated.
    pub profile: String,
    /// Of the certificates of a DTLS handshake: ours, and what the peer's signalling told of its own. Who hears the
    /// other read the same two knows that nobody stands between.
    pub fingerprints: Option<(String, String)>,
    /// Where sound comes from and goes to.
    pub media_remote: String,
    /// The way it takes, where one had to be found: `host`, `reflexive`, `relayed via turn.example`; else empty.
    pub media_path: String,
    /// The pair of addresses of that way, and its round trip; empty while there is none.
    pub media_pair: String,
    /// The SDP session name and information lines, when they say anything.
    pub session_name: String,
    pub session_information: String,
    /// What the peer says of itself in RTCP SDES, as `item: text`.
    pub participant: Vec<(String, String)>,
    pub digits_received: String,
    /// What is still to be sent of the digits dialled; `digits_wait`: when the user says so.
    pub digits_left: String,
    pub digits_wait: bool,
    /// A transfer under way, in words: to whom, and how it fares.
    pub transfer: Option<String>,
    pub media_flowing: bool,
    /// How long after the answer their sound arrived; zero when it was there before.
    pub first_media: Option<Duration>,
    pub quality: Arc<CallQuality>,
    /// Its messages; those of other calls of the same story are in `Snapshot::ladders`.
    pub ladder: Rows,
    /// What is being done to keep the call, in words: `address changed: asking the peer to follow`; usually empty.
    pub recovery: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CallState {
    /// Waiting for the account, the address or the ports.
    Preparing,
    Calling,
    /// 18x received (outgoing) or sent (incoming).
    Ringing {
        early_media: bool,
    },
    /// The target moved: the user is asked whether to call this one.
    Redirected {
        target: String,
    },
    /// Answered by us, the ACK is awaited.
    Answering,
    Established,
    Ending,
    Ended(Arc<CallSummary>),
}

/// How a call ended and how it was.
#[derive(Clone, Debug, PartialEq)]
pub struct CallSummary {
    pub account: AccountId,
    pub account_name: String,
    pub outgoing: bool,
    pub peer_name: String,
    pub peer_address: String,
    /// Who was talked with, and how sure that is.
    pub identity: Identity,
    pub started: SystemTime,
    /// Time from answer to end; `None` when never answered.
    pub duration: Option<Duration>,
    pub end: CallEnd,
    /// The final SIP status of the INVITE, and the Reason given with it or with the BYE.
    pub status: Option<u16>,
    /// In plain words: who ended it and why.
    pub cause: String,
    /// Answered by itself: nobody here chose to.
    pub unattended: bool,
    /// What to try next time; empty when nothing helps.
    pub advice: String,
    /// Who refused it, as far as that can be told; empty: it cannot.
    pub refused_by: String,
    pub codec: String,
    pub quality: Arc<CallQuality>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// Talked, then one side hung up.
    Normal,
    /// Incoming, never answered.
    Missed,
    /// Incoming, refused here.
    Rejected,
    /// Incoming, taken by another phone of ours.
    AnsweredElsewhere,
    /// Outgoing, given up by us before an answer.
    Cancelled,
    /// Outgoing, the peer or a server refused (`status`).
    Refused,
    /// No answer from the network, or media never came.
    Failed,
    /// Media stopped and did not come back.
    NoMedia,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceView {
    pub capture: String,
    pub playback: String,
    /// One line for the user when something is not as asked for.
    pub notice: Option<String>,
    /// Which of the two does not work.
    pub capture_fails: bool,
    pub playback_fails: bool,
    /// What [`crate::ua::command::Command::ListDevices`] found last.
    pub found: Arc<Found>,
}

/// The names of the devices this machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub microphones: Vec<String>,
    pub speakers: Vec<String>,
}

/// What was dropped, by kind: shown in the log page and in the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub malformed: u64,
    /// Requests from strangers that were refused or ignored.
    pub strangers: u64,
    pub retransmissions: u64,
    pub rate_limited: u64,
}
