//! One dialog's side of offer/answer (RFC 3264 §4, RFC 6337 §2): what was said last, by whom, and what follows from it.
//!
//! ```text
//!            offer()                  handle_answer()
//!   Fresh -------------> Offered ------------------------> Agreed --+
//!     |    <------------    |  <-------------------------   |  ^    | answer()
//!     |      withdraw()     +------ withdraw() ---------->--+  |    | handle_answer(): the same answer again
//!     +---------------------------- answer() ------------------+<---+
//! ```
use super::SdpError;
use super::agreed::{Negotiated, own_address};
use super::answer::answered_lines;
use super::attribute::View;
use super::bundle;
use super::candidate::{self, LocalIce};
use super::keying;
use super::payload_types::PayloadTypes;
use super::protection::Protection;
use super::session::{Host, MediaLine, Origin, Session};
use crate::base::rng::Rng;
use crate::base::untrusted::Untrusted;
use crate::media::dtls::certificate::Certificate;
use crate::media::spec::{Codec, Direction, OpusParameters, Profile};
use crate::media::srtp::sdes::Policy;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Names of one dialog that are remembered.
const MAX_HOSTS: usize = 8;

/// What we can do and want: the ground of an offer or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where the peer shall send to.
    pub address: IpAddr,
    pub rtp_port: u16,
    pub rtcp_port: u16,
    /// In order of preference. An answer keeps the order of the offer (RFC 3264 §6.1).
    pub codecs: Vec<Codec>,
    /// What we ask of the peer's Opus encoder.
    pub opus: OpusParameters,
    /// Whether RFC 4733 events are offered and accepted.
    pub events: bool,
    /// Length of the packets we want to get; also of those we send, unless the peer asks for another.
    pub ptime: Duration,
    /// What we want to do; the agreed direction never goes beyond it.
    pub direction: Direction,
    pub rtcp_mux: bool,
    /// Whether browsers are met, and how.
    pub profile: Profile,
    /// Our side of ICE, where it is wanted.
    pub ice: Option<LocalIce>,
    /// Whether the stream is encrypted.
    pub srtp: Policy,
    /// Whether keys may stand in descriptions (RFC 4568).
    pub sdes: bool,
    /// What we show in a DTLS handshake; without it keys are not agreed on that way.
    pub certificate: Option<Arc<Certificate>>,
}

#[derive(Clone, Debug)]
enum State {
    Fresh,
    /// Our offer waits for its answer; `previous` is what holds until then.
    Offered {
        offer: Box<Session>,
        previous: Option<Box<Agreed>>,
    },
    Agreed(Box<Agreed>),
}

#[derive(Clone, Debug)]
struct Agreed {
    local: Session,
    /// Our offer was answered, so that its answer may come once more.
    offered_by_us: bool,
    remote: Session,
}

/// Offers and answers of one dialog. A copy serves each dialog that one forked INVITE makes.
#[derive(Clone, Debug)]
pub struct Negotiator {
    session_id: u64,
    /// The version of `described`.
    version: u64,
    /// What we said last, whatever became of it.
    described: Option<Session>,
    pub(super) payload_types: PayloadTypes,
    /// Place of the media line that carries our audio.
    pub(super) audio: Option<usize>,
    generation: u32,
    /// Names in `c=` lines that were looked up.
    hosts: Vec<(String, IpAddr)>,
    pub(super) protection: Protection,
    /// What our last offer asked for.
    policy: Policy,
    state: State,
}

impl Negotiator {
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            // Positive in 32 bits too: not every peer reads more.
            session_id: u64::from(rng.range(1, 0x7fff_ffff)),
            version: 0,
            described: None,
            payload_types: PayloadTypes::default(),
            audio: None,
            generation: 0,
            hosts: Vec::new(),
            protection: Protection::new(rng.fork()),
            policy: Policy::Off,
            state: State::Fresh,
        }
    }

    /// Makes an offer.
    ///
    /// # Errors
    /// `OfferPending` while an earlier one is unanswered.
    pub fn offer(&mut self, local: &LocalMedia) -> Result<String, SdpError> {
        let previous = match std::mem::replace(&mut self.state, State::Fresh) {
            State::Fresh => None,
            State::Agreed(agreed) => Some(agreed),
            offered @ State::Offered { .. } => {
                self.state = offered;
                return Err(SdpError::OfferPending);
            }
        };
        self.policy = local.srtp;
        self.protection.show(local.certificate.as_ref());
        let media = self.offered_lines(local, previous.as_ref().map(|p| &p.local));
        let before = previous.as_ref().and_then(|p| Some((&p.local, p.local.media.get(self.audio?)?)));
        let bundled = match before.filter(|(_, line)| line.port != 0) {
            Some((session, line)) => bundle::is_bundled(session, line),
            None => local.profile.is_offered(),
        };
        let offer = self.describe(local.address, "0 0", media, bundled);
        let text = offer.to_string();
        self.state = State::Offered { offer: Box::new(offer), previous };
        Ok(text)
    }

    /// Takes the answer to our offer. The same answer may come more than once: in an unreliable 18x first, in the 2xx
    /// again; the last one counts.
    ///
    /// # Errors
    /// The answer cannot be used; the offer stays open (see [`Self::withdraw`]), or what was agreed stays agreed.
    pub fn handle_answer(&mut self, body: &[u8]) -> Result<Negotiated, SdpError> {
        let local = match &self.state {
            State::Offered { offer, .. } => offer,
            State::Agreed(agreed) if agreed.offered_by_us => &agreed.local,
            State::Agreed(_) | State::Fresh => return Err(SdpError::NoOffer),
        };
        let remote = self.read(body)?;
        let line = self.answered_line(&remote)?;
        let (ours, theirs) = (View::at(local, line), View::at(&remote, line));
        if ours.is_some_and(|view| view.is_mux_only()) && !theirs.is_some_and(|view| view.rtcp_mux()) {
            return Err(SdpError::MuxRefused);
        }
        let answered = keying::answered(local, &remote, line, self.policy)?;
        let mut negotiated = Negotiated::of(local, &remote, line, None)?;
        let local = Session::clone(local);
        negotiated.srtp = self.protection.agree(answered, negotiated.addresses(own_address(&local, line)));
        match &self.state {
            State::Agreed(agreed) if agreed.remote == remote => {}
            State::Agreed(_) | State::Offered { .. } | State::Fresh => self.generation += 1,
        }
        negotiated.generation = self.generation;
        self.learn(&remote);
        self.state = State::Agreed(Box::new(Agreed { local, offered_by_us: true, remote }));
        Ok(negotiated)
    }

    /// Answers an offer of the peer. Without `Negotiated` the peer took the audio away, or has offered nothing yet (RFC
    /// 3725 calls begin so): no stream runs until a later exchange brings one.
    ///
    /// # Errors
    /// The offer is refused with [`SdpError::status`]; what was agreed before still holds.
    pub fn answer(&mut self, body: &[u8], local: &LocalMedia) -> Result<(String, Option<Negotiated>), SdpError> {
        if matches!(self.state, State::Offered { .. }) {
            return Err(SdpError::OfferPending);
        }
        let remote = self.read(body)?;
        let chosen = self.choose(&remote, local, matches!(self.state, State::Agreed(_)))?;
        let local = chosen.as_ref().map_or(local, |chosen| &chosen.local);
        let mut trial = self.clone();
        trial.protection.show(local.certificate.as_ref());
        let own = SocketAddr::new(local.address, local.rtp_port);
        let addresses = chosen.as_ref().and_then(|chosen| chosen.reach.addresses(own));
        let accepted = chosen.as_ref().and_then(|chosen| chosen.accepted.clone());
        let accepted = accepted.map(|accepted| trial.protection.accept(accepted, addresses)).transpose()?;
        let (answered, protection) = accepted.unzip();
        let media = answered_lines(&remote, chosen.as_ref(), &protection.unwrap_or_default());
        trial.audio = chosen.as_ref().map(|chosen| chosen.at);
        let line = trial.audio.and_then(|at| View::at(&remote, at));
        let bundled = line.is_some_and(|view| bundle::is_bundled(&remote, view.line));
        let answer = trial.describe(local.address, &remote.timing, media, bundled);
        let agreed = chosen.map(|chosen| Negotiated::of(&answer, &remote, chosen.at, Some(chosen.reach)));
        let mut negotiated = agreed.transpose()?;
        if let Some(negotiated) = &mut negotiated {
            negotiated.srtp = trial.protection.agree(answered, addresses);
        }
        trial.generation += 1;
        if let Some(negotiated) = &mut negotiated {
            negotiated.generation = trial.generation;
        }
        trial.learn(&remote);
        let text = answer.to_string();
        trial.state = State::Agreed(Box::new(Agreed { local: answer, offered_by_us: false, remote }));
        *self = trial;
        Ok((text, negotiated))
    }

    /// Our offer was refused or never sent: what was agreed before it holds again (RFC 3261 §14.1).
    pub fn withdraw(&mut self) {
        if let State::Offered { previous, .. } = &mut self.state {
            self.state = previous.take().map_or(State::Fresh, State::Agreed);
        }
    }

    pub fn is_offer_pending(&self) -> bool {
        matches!(self.state, State::Offered { .. })
    }

    /// Tells what a name of [`SdpError::HostName`] stands for; give the same description again then.
    pub fn host_resolved(&mut self, name: &str, ip: IpAddr) {
        self.hosts.retain(|(known, _)| known != name);
        self.hosts.truncate(MAX_HOSTS - 1);
        self.hosts.insert(0, (name.to_owned(), ip));
    }

    fn read(&self, body: &[u8]) -> Result<Session, SdpError> {
        let mut session = Session::parse(body)?;
        bundle::spread(&mut session);
        let connections = session.media.iter_mut().map(|line| &mut line.connection);
        for host in connections.chain([&mut session.connection]).flatten() {
            let known = |name: &str| self.hosts.iter().find(|(n, _)| n == name).map(|(_, ip)| Host::Ip(*ip));
            if let Host::Name { name, .. } = host
                && let Some(ip) = known(name)
            {
                *host = ip;
            }
        }
        Ok(session)
    }

    /// Puts a description together; its version rises when it differs from the one before (RFC 3264 §8).
    ///
    /// - `bundled`: our audio is in a BUNDLE group.
    fn describe(&mut self, address: IpAddr, timing: &str, media: Vec<MediaLine>, bundled: bool) -> Session {
        let pacing = media.iter().any(|line| line.attribute("ice-ufrag").is_some()).then(candidate::pacing);
        let group = self.audio.and_then(|at| media.get(at)).filter(|_| bundled).and_then(bundle::attribute);
        let mut session = Session {
            origin: Origin {
                username: "-".to_owned(),
                session_id: self.session_id.to_string(),
                version: self.version.to_string(),
                address: Host::Ip(address),
            },
            name: Untrusted::new("-"),
            information: Untrusted::default(),
            connection: Some(Host::Ip(address)),
            bandwidths: Vec::new(),
            timing: timing.to_owned(),
            attributes: group.into_iter().chain(pacing).collect(),
            media,
        };
        if !self.described.as_ref().is_some_and(|last| last.says_the_same(&session)) {
            self.version += 1;
            session.origin.version = self.version.to_string();
            self.learn(&session);
            self.described = Some(session.clone());
        }
        session
    }

    fn learn(&mut self, session: &Session) {
        if let Some(line) = self.audio.and_then(|at| session.media.get(at)) {
            self.payload_types.learn(line);
        }
    }
}
