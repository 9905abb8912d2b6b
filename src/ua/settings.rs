//! What the user agent is told at its start: accounts and preferences, as plain validated data.
pub use super::availability::Availability;
use crate::base::net::Transport;
use crate::media::dtls::certificate::Certificate;
use crate::media::spec::{Codec, SourceDescription};
pub use crate::media::spec::{Dtmf, Profile};
pub use crate::media::srtp::sdes::{Agreement, Policy};
pub use crate::sip::auth::Password;
use crate::sip::message::Host;
use crate::ua::caller_id::CallerId;
use crate::ua::contacts::Contacts;
use crate::ua::handling::Handling;
pub use crate::ua::recording::RecordingSettings;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Settings {
    pub accounts: Vec<AccountSettings>,
    /// The User-Agent and Server header.
    pub user_agent: String,
    /// Names this phone for good, whatever its address: the URN of `+sip.instance` (RFC 5626 §4.1); empty: not told.
    pub instance: String,
    /// What we say of ourselves in RTCP.
    pub description: SourceDescription,
    /// Answer every call at once.
    pub auto_answer: bool,
    /// Length of the packets we send.
    pub ptime: Duration,
    /// Offer RTP and RTCP on one port (RFC 5761).
    pub rtcp_mux: bool,
    /// Report about once a second, where both ends are ours: the five seconds of RFC 3550 §6.2 are long to watch.
    pub brisk_reports: bool,
    /// A call without any media for so long is ended; zero never ends it.
    pub no_media_timeout: Duration,
    /// Whom the user knows.
    pub contacts: Contacts,
    /// What this run of the phone shows in DTLS handshakes; none are made without.
    pub certificate: Option<Arc<Certificate>>,
    pub recording: RecordingSettings,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AccountSettings {
    /// What the user calls it.
    pub name: String,
    pub user: String,
    pub display_name: String,
    /// The domain of the address-of-record.
    pub domain: Host,
    pub domain_port: Option<u16>,
    /// Where REGISTER goes, when it is not the domain.
    pub registrar: Option<(Host, Option<u16>)>,
    /// Where every request outside a dialog goes first.
    pub outbound_proxy: Option<(Host, Option<u16>)>,
    /// The only transport its requests take; else what the records of the domain say (RFC 3263).
    pub transport: Option<Transport>,
    /// Register over two flows where the server can (RFC 5626).
    pub outbound: bool,
    pub register: bool,
    /// Registration interval asked for.
    pub expires: Duration,
    pub auth_user: Option<String>,
    pub password: Option<Password>,
    /// The only realm credentials are given to; any when `None`.
    pub realm: Option<String>,
    /// Ask for the state of the mailbox.
    pub mailbox: bool,
    /// Whose phones are watched, as the user would dial them.
    pub watch: Vec<String>,
    /// In order of preference.
    pub codecs: Vec<Codec>,
    pub dtmf: Dtmf,
    /// Whether calls are encrypted.
    pub srtp: Policy,
    /// How their keys are agreed on.
    pub keying: Agreement,
    /// Whether browsers are met, and how.
    pub profile: Profile,
    /// Calls from anywhere ring, not only those of the account's server.
    pub direct_calls: bool,
    /// How the account is named to others.
    pub caller_id: CallerId,
    /// What becomes of its calls without being asked each time.
    pub handling: Handling,
    /// What it tells of itself, and whom.
    pub availability: Availability,
}
