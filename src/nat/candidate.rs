//! Where a peer may be reached, as plain data: candidates and credentials of ICE (RFC 8445 §5.1, §5.3), and the servers
//! that help to find them.
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Candidates of the peer that are looked at; more are dropped.
pub const MOST_CANDIDATES: usize = 32;
/// Between two checks, unless both sides say that it may be shorter (RFC 8445 §14.2).
pub const PACE: Duration = Duration::from_millis(50);
/// What we say we can do (RFC 8839 §5.5, RFC 8445 §14: never below 5 ms).
pub const OWN_PACE: Duration = Duration::from_millis(20);

/// Component identifiers (RFC 8445 §5.1.1.1).
pub const RTP: u8 = 1;
pub const RTCP: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Host,
    ServerReflexive,
    PeerReflexive,
    Relayed,
}

impl Kind {
    /// The type preference recommended in RFC 8445 §5.1.2.2.
    fn preference(self) -> u32 {
        match self {
            Self::Host => 126,
            Self::PeerReflexive => 110,
            Self::ServerReflexive => 100,
            Self::Relayed => 0,
        }
    }

    /// As written behind `typ` (RFC 8839 §5.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Host, Self::ServerReflexive, Self::PeerReflexive, Self::Relayed]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// For the screen.
    pub fn words(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive | Self::PeerReflexive => "reflexive",
            Self::Relayed => "relayed",
        }
    }
}

/// One address that may lead somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The same for candidates of one kind from one host by one server.
    pub foundation: String,
    /// [`RTP`] or [`RTCP`].
    pub component: u8,
    pub priority: u32,
    pub address: SocketAddr,
    pub kind: Kind,
    /// The address behind it, for those who search for faults.
    pub related: Option<SocketAddr>,
}

/// RFC 8445 §5.1.2.1.
pub fn priority(kind: Kind, local_preference: u16, component: u8) -> u32 {
    (kind.preference() << 24) + (u32::from(local_preference) << 8) + (256 - u32::from(component.max(1)))
}

/// What one side proves itself with in checks (RFC 8445 §5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub ufrag: String,
    pub password: Secret,
}

impl Credentials {
    /// 48 bits of randomness in the name, 144 in the password.
    pub fn new(rng: &mut Rng) -> Self {
        const CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = |length: usize| -> String {
            (0..length).filter_map(|_| CHARS.get((rng.u32() >> 26) as usize)).map(|octet| char::from(*octet)).collect()
        };
        Self { ufrag: text(8), password: Secret::new(text(24)) }
    }
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerTransport {
    Udp,
    Tcp,
    Tls,
}

/// A STUN or TURN server by name or address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    pub host: String,
    pub port: u16,
    /// The records of the domain may name others (RFC 8489 §8): the user named no port.
    pub by_records: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnServer {
    pub server: Server,
    pub transport: ServerTransport,
    /// The records of the domain may name another transport (RFC 5928): the user named none.
    pub any_transport: bool,
    pub user: String,
    pub password: Secret,
    /// Certificates of authorities to trust beside those of the system (PEM).
    pub authorities: Option<PathBuf>,
}

/// What is to be found out about a stream's addresses before they are told to the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gather {
    /// For ICE; without them only the reflexive addresses of the stream's two ports are asked for.
    pub credentials: Option<Credentials>,
    pub stun: Option<Server>,
    pub turn: Option<TurnServer>,
    /// Nothing but relayed candidates: the peer does not learn where we are.
    pub relay_only: bool,
    /// The peer takes candidates later, too: nothing is waited for.
    pub trickle: bool,
    /// Which search of the call it is: what comes late may be of another.
    pub round: u32,
}

/// Whether ICE is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IceUse {
    Off,
    /// When the peer offers it.
    #[default]
    Answer,
    /// It is offered, too.
    Offer,
}

/// How an account's calls are to be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    pub ice: IceUse,
    pub stun: Option<Server>,
    pub turn: Option<TurnServer>,
    pub relay_only: bool,
}

/// ICE as an offer and its answer agreed on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceSpec {
    pub local: Credentials,
    pub remote: Credentials,
    /// At most [`MOST_CANDIDATES`].
    pub candidates: Vec<Candidate>,
    /// The role we begin with (RFC 8445 §6.1.1).
    pub controlling: bool,
    /// The peer checks nothing itself.
    pub remote_is_lite: bool,
    /// Between two checks of ours.
    pub pace: Duration,
}

/// How far the search for a way is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathState {
    Checking,
    Chosen(PathView),
    /// No pair works.
    Failed,
    /// The peer does not agree to be sent to any more, or is gone (RFC 7675).
    Lost,
}

/// What is suspected of a way that was found before: sound stopped coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// We are seen at another address than before: what leads to us must be found anew.
    Moved,
    /// Nothing answers on it.
    ///
    /// - `unmoved`: we are where we were; if somebody moved, it was the peer, who knows it.
    Silent { unmoved: bool },
    /// It works again.
    Dispelled,
}

/// The pair of addresses in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathView {
    pub local: SocketAddr,
    pub local_kind: Kind,
    pub remote: SocketAddr,
    pub remote_kind: Kind,
    /// Of the last check that was answered.
    pub round_trip: Option<Duration>,
    /// Our TURN server, when it relays.
    pub server: Option<String>,
    /// Both sides have settled on it.
    pub nominated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_those_of_the_rfc() {
        // RFC 8445 Appendix: host 65535 component 1 is the number every client sends.
        assert_eq!(priority(Kind::Host, 65_535, RTP), 2_130_706_431);
        assert_eq!(priority(Kind::Host, 65_535, RTCP), 2_130_706_430);
        let falling = [Kind::Host, Kind::PeerReflexive, Kind::ServerReflexive, Kind::Relayed];
        assert!(falling.windows(2).all(|w| priority(w[0], 0, RTP) > priority(w[1], 65_535, RTP)));
        assert_eq!(Kind::from_name("SRFLX"), Some(Kind::ServerReflexive));
        assert_eq!(Kind::from_name("upnp"), None);
    }

    #[test]
    fn credentials_are_long_enough_and_differ() {
        let mut rng = Rng::from_u64(1);
        let (one, two) = (Credentials::new(&mut rng), Credentials::new(&mut rng));
        assert_ne!(one, two);
        assert_eq!((one.ufrag.len(), one.password.reveal().len()), (8, 24));
        let ice_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
        assert!(one.ufrag.chars().chain(one.password.reveal().chars()).all(ice_char));
    }
}
