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
use super::attribute::{Address, View};
use super::bundle;
use super::candidate::{self, Ice, LocalIce, RemoteIce};
use super::codec::{self, Format};
use super::crypto::Crypto;
use super::direction;
use super::extmap;
use super::fingerprint::{Dtls, Setup};
use super::keying::{self, Accepted, Addresses, Answered, Associations};
use super::session::{Attribute, Host, Origin, Protocol, Session};
use crate::base::rng::Rng;
use crate::base::untrusted::Untrusted;
use crate::media::dtls::association::Role;
use crate::media::dtls::certificate::Certificate;
use crate::media::spec::{
    Codec, Direction, Extensions, Keying, OpusParameters, PayloadFormat, Profile, TelephoneEvent,
};
use crate::media::srtp::sdes::{Keys, MasterKey, Policy, Suite};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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

/// What an exchange agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Counts completed exchanges, from 1.
    pub generation: u32,
    /// As seen from us.
    pub direction: Direction,
    /// The peer does not want to hear us.
    pub held_by_peer: bool,
    /// Unspecified when the peer wants nothing sent (`c=0.0.0.0`); `direction` does not send then.
    pub remote_rtp: SocketAddr,
    pub remote_rtcp: SocketAddr,
    pub rtcp_mux: bool,
    /// RTCP packets need not be compound (RFC 5506).
    pub rtcp_reduced_size: bool,
    pub extensions: Extensions,
    /// As `m=` names it.
    pub profile: String,
    /// The line is in a BUNDLE group of both sides (RFC 9143).
    pub bundled: bool,
    /// Where the keys of both directions come from; clear when `None`.
    pub srtp: Option<Keying>,
    /// Both sides use ICE: what the peer said of itself.
    pub ice: Option<RemoteIce>,
    /// What we send, with what the peer asks of the encoder.
    pub send: PayloadFormat,
    pub receive: Vec<PayloadFormat>,
    /// With the clock of `send` where the peer has it.
    pub send_events: Option<TelephoneEvent>,
    pub receive_events: Vec<TelephoneEvent>,
    /// Length of the packets we send.
    pub ptime: Duration,
    /// [bit/s]
    pub rtcp_bandwidth: u32,
    /// Empty when the peer wrote only `-`.
    pub session_name: Untrusted,
    pub session_information: Untrusted,
}

impl Negotiated {
    /// What an association stands between.
    fn addresses(&self, own: SocketAddr) -> Addresses {
        self.ice.is_none().then_some((own, self.remote_rtp))
    }
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

/// The meaning a payload type has had; it may not change while the session lasts (RFC 3264 §8.3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    Audio(Codec),
    Event(u32),
    Unknown(String),
}

/// Offers and answers of one dialog. A copy serves each dialog that one forked INVITE makes.
#[derive(Clone, Debug)]
pub struct Negotiator {
    session_id: u64,
    /// The version of `described`.
    version: u64,
    /// What we said last, whatever became of it.
    described: Option<Session>,
    payload_types: Vec<(u8, Meaning)>,
    /// Place of the media line that carries our audio.
    pub(super) audio: Option<usize>,
    generation: u32,
    /// Names in `c=` lines that were looked up.
    hosts: Vec<(String, IpAddr)>,
    /// Where keys come from.
    rng: Rng,
    /// What we protect with, by suite: the same in every description until it must change.
    keys: Vec<(Suite, MasterKey)>,
    /// What the peer protects with by now.
    remote_key: Option<(Suite, MasterKey)>,
    /// The DTLS association, where keys come of one.
    associations: Associations,
    /// What our last offer asked for.
    policy: Policy,
    certificate: Option<Arc<Certificate>>,
    state: State,
}

impl Negotiator {
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            // Positive in 32 bits too: not every peer reads more.
            session_id: u64::from(rng.range(1, 0x7fff_ffff)),
            version: 0,
            described: None,
            payload_types: Vec::new(),
            audio: None,
            generation: 0,
            hosts: Vec::new(),
            rng: rng.fork(),
            keys: Vec::new(),
            remote_key: None,
            associations: Associations::default(),
            policy: Policy::Off,
            certificate: None,
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
        self.certificate.clone_from(&local.certificate);
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
        let answered = keying::answered(local, &remote, line, self.policy)?;
        let mut negotiated = self.agree(local, &remote, line)?;
        let local = Session::clone(local);
        let own = own_address(&local, line);
        negotiated.srtp = match answered {
            None => None,
            Some(Answered::Sdes(keys)) => Some(Keying::Sdes(keys)),
            Some(Answered::Dtls(theirs, role)) => self.associate(theirs, role, negotiated.addresses(own)),
        };
        match &self.state {
            State::Agreed(agreed) if agreed.remote == remote => {}
            State::Agreed(_) | State::Offered { .. } | State::Fresh => self.generation += 1,
        }
        negotiated.generation = self.generation;
        self.keep_keys(negotiated.srtp.as_ref());
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
        let line = chosen.and_then(|at| View::at(&remote, at));
        let local = &*line.map_or(Cow::Borrowed(local), |view| local.towards(view));
        let mut trial = self.clone();
        trial.certificate.clone_from(&local.certificate);
        let accepted = match chosen.and_then(|at| View::at(&remote, at)) {
            Some(view) => keying::choose(view, local)?.map(|accepted| (view, accepted)),
            None => None,
        };
        let own = SocketAddr::new(local.address, local.rtp_port);
        let mut protection = Vec::new();
        let answered = match accepted {
            None => None,
            Some((_, Accepted::Sdes(theirs))) => {
                let ours = trial.answering(&theirs);
                protection.push(ours.attribute());
                Some(Answered::Sdes(Keys { suite: theirs.suite, send: ours.key, receive: theirs.key }))
            }
            Some((view, Accepted::Dtls(theirs))) => {
                let role = Setup::answered(theirs.setup, trial.associations.role())?;
                let ice = local.ice.is_some() && matches!(candidate::read(view), Ice::Full(_));
                let theirs_is = reachable(view, Some(&Host::Ip(local.address)), ice)?;
                let addresses = (!ice).then_some((own, theirs_is));
                trial.associations.offered(&theirs, role, addresses);
                if let Some(certificate) = &local.certificate {
                    let ours = trial.associations.describe(&mut trial.rng, certificate, Setup::of(role));
                    protection = ours.attributes();
                    // A name in the answer only where the offer has one (RFC 8842 §5.3).
                    protection.retain(|a| a.name != "tls-id" || theirs.tls_id.is_some());
                }
                Some(Answered::Dtls(theirs, role))
            }
        };
        let media = trial.answered_lines(&remote, local, chosen, &protection);
        trial.audio = chosen;
        let bundled = chosen.and_then(|at| remote.media.get(at)).is_some_and(|line| bundle::is_bundled(&remote, line));
        let answer = trial.describe(local.address, &remote.timing, media, bundled);
        let mut negotiated = chosen.map(|line| trial.agree(&answer, &remote, line)).transpose()?;
        if let Some(negotiated) = &mut negotiated {
            negotiated.srtp = match answered {
                None => None,
                Some(Answered::Sdes(keys)) => Some(Keying::Sdes(keys)),
                Some(Answered::Dtls(theirs, role)) => trial.associate(theirs, role, negotiated.addresses(own)),
            };
            trial.keep_keys(negotiated.srtp.as_ref());
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
    fn describe(
        &mut self,
        address: IpAddr,
        timing: &str,
        media: Vec<super::session::MediaLine>,
        bundled: bool,
    ) -> Session {
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

    /// Joins what both descriptions say of the media line at `at`.
    fn agree(&self, local: &Session, remote: &Session, at: usize) -> Result<Negotiated, SdpError> {
        let ours = local.media.get(at).map(|line| View { session: local, line }).ok_or(SdpError::AnswerMismatch)?;
        let theirs = remote.media.get(at).map(|line| View { session: remote, line }).ok_or(SdpError::AnswerMismatch)?;
        let (our_formats, their_formats) = (codec::formats(ours.line), codec::formats(theirs.line));
        let receive = codec::audio(&our_formats);
        let send = codec::audio(&their_formats).into_iter().find(|t| receive.iter().any(|o| o.codec == t.codec));
        let send = send.ok_or_else(|| no_common_codec(&their_formats, &receive))?;
        let receive_events = codec::events(&our_formats);
        let usable = if receive_events.is_empty() { Vec::new() } else { codec::events(&their_formats) };
        let matching = usable.iter().find(|e| e.clock_rate == send.codec.clock_rate());

        let our_address = local.connection.as_ref();
        let ice = match candidate::read(theirs) {
            Ice::Full(ice) if ours.line.attribute("ice-ufrag").is_some() => Some(ice),
            Ice::Full(_) | Ice::Mismatch | Ice::Not => None,
        };
        let remote_rtp = reachable(theirs, our_address, ice.is_some())?;
        let their_direction = theirs.direction();
        let rtcp_mux = ours.rtcp_mux() && theirs.rtcp_mux();
        let (wanted, longest) = theirs.ptime();
        let said = [&remote.information, &theirs.line.information].into_iter().find(|text| !text.is_empty());
        Ok(Negotiated {
            generation: self.generation,
            direction: direction::common(ours.direction(), direction::reversed(their_direction)),
            held_by_peer: !their_direction.receives(),
            remote_rtp,
            remote_rtcp: if rtcp_mux { remote_rtp } else { theirs.rtcp(remote_rtp) },
            rtcp_mux,
            rtcp_reduced_size: [ours, theirs].iter().all(|view| view.line.attribute("rtcp-rsize").is_some()),
            extensions: extmap::agreed(ours, theirs),
            profile: ours.line.protocol.to_string(),
            bundled: bundle::is_bundled(local, ours.line) && bundle::is_bundled(remote, theirs.line),
            srtp: None,
            ice,
            send,
            receive,
            send_events: matching.or(usable.first()).copied(),
            receive_events,
            ptime: packet_time(wanted.or(ours.ptime().0), longest, send.codec),
            rtcp_bandwidth: theirs.rtcp_bandwidth(send.codec),
            session_name: if says_nothing(&remote.name) { Untrusted::default() } else { remote.name.clone() },
            session_information: said.cloned().unwrap_or_default(),
        })
    }

    /// How the media of our offer may be protected: by DTLS, and by the keys of these lines.
    pub(super) fn offered_protection(&mut self, local: &LocalMedia, protocol: &Protocol) -> Vec<Attribute> {
        if local.srtp == Policy::Off {
            return Vec::new();
        }
        let dtls = local
            .certificate
            .as_ref()
            .map(|certificate| self.associations.describe(&mut self.rng, certificate, Setup::ActPass).attributes());
        let both = dtls.is_some();
        let mut lines = dtls.unwrap_or_default();
        if local.sdes && !protocol.is_dtls() {
            lines.extend(self.offered_crypto(both).iter().map(Crypto::attribute));
        }
        lines
    }

    /// The lines of an offer: what runs comes first, and no key changes that need not.
    ///
    /// - `few`: beside the lines of DTLS, so that the INVITE still fits into a datagram.
    fn offered_crypto(&mut self, few: bool) -> Vec<Crypto> {
        let running = self.remote_key.as_ref().map(|(suite, _)| *suite);
        let others = Suite::OFFERED.into_iter().filter(|suite| Some(*suite) != running);
        let mut suites: Vec<Suite> = running.into_iter().chain(others).collect();
        suites.retain(|suite| !few || Some(*suite) == running || *suite != Suite::AeadAes128Gcm);
        (1..).zip(suites).map(|(tag, suite)| Crypto { tag, suite, key: self.key(suite) }).collect()
    }

    fn associate(&mut self, theirs: Dtls, role: Role, addresses: Addresses) -> Option<Keying> {
        let certificate = self.certificate.clone()?;
        Some(self.associations.agree(&certificate, theirs, role, addresses))
    }

    /// Our side of the line that is accepted, under its tag. A peer whose key is new may be another one, which knows
    /// nothing of our packets so far: it gets a new key too.
    fn answering(&mut self, theirs: &Crypto) -> Crypto {
        let same = self.remote_key.as_ref().is_some_and(|(suite, key)| (*suite, key) == (theirs.suite, &theirs.key));
        if !same {
            self.keys.clear();
        }
        Crypto { tag: theirs.tag, suite: theirs.suite, key: self.key(theirs.suite) }
    }

    fn key(&mut self, suite: Suite) -> MasterKey {
        if let Some((_, key)) = self.keys.iter().find(|(known, _)| *known == suite) {
            return key.clone();
        }
        let key = MasterKey::random(suite, &mut self.rng);
        self.keys.push((suite, key.clone()));
        key
    }

    /// An exchange that agreed on something else ends the life of all keys.
    fn keep_keys(&mut self, agreed: Option<&Keying>) {
        match agreed {
            Some(Keying::Sdes(keys)) => self.remote_key = Some((keys.suite, keys.receive.clone())),
            Some(Keying::Dtls(_)) | None => {
                self.remote_key = None;
                self.keys.clear();
            }
        }
        if !matches!(agreed, Some(Keying::Dtls(_))) {
            self.associations.forget();
        }
    }

    /// Whether encrypted media runs.
    pub(super) fn is_secured(&self) -> bool {
        self.remote_key.is_some() || self.associations.role().is_some()
    }

    /// Remembers what payload types have meant on the audio line.
    fn learn(&mut self, session: &Session) {
        if let Some(line) = self.audio.and_then(|at| session.media.get(at)) {
            for format in codec::formats(line) {
                let meaning = match &format {
                    Format::Audio(audio) => Meaning::Audio(audio.codec),
                    Format::Event(event) => Meaning::Event(event.clock_rate),
                    Format::Unknown { name, .. } => Meaning::Unknown(name.clone()),
                };
                let entry = (format.payload_type(), meaning);
                if !self.payload_types.contains(&entry) && self.payload_types.len() < 256 {
                    self.payload_types.push(entry);
                }
            }
        }
    }

    /// The payload type for one of our codecs in an offer.
    pub(super) fn payload_type_of(&self, codec: Codec, taken: &[u8]) -> u8 {
        match codec {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::Opus => self.dynamic(&Meaning::Audio(codec), 111, taken),
        }
    }

    /// The payload type for telephone events of a clock \[Hz\] in an offer.
    pub(super) fn payload_type_of_events(&self, clock_rate: u32, taken: &[u8]) -> u8 {
        let usual = if clock_rate == 8_000 { 101 } else { 110 };
        self.dynamic(&Meaning::Event(clock_rate), usual, taken)
    }

    /// The number the meaning has had in this session, else the usual one, else a free one.
    fn dynamic(&self, meaning: &Meaning, usual: u8, taken: &[u8]) -> u8 {
        let had = self.payload_types.iter().filter(|(_, m)| m == meaning).map(|(number, _)| *number);
        let free = |number: &u8| self.payload_types.iter().all(|(n, _)| n != number);
        let fresh = std::iter::once(usual).chain(96..=127).filter(free);
        had.chain(fresh).find(|number| !taken.contains(number)).unwrap_or(usual)
    }
}

/// The peer's media address, which must be of our own IP version.
///
/// - `by_ice`: unless candidates are checked: then it is only one of them, and the pair that was chosen may be of another
///   version than what the peer names by default (RFC 8839 §4.2.2).
pub(super) fn reachable(theirs: View<'_>, ours: Option<&Host>, by_ice: bool) -> Result<SocketAddr, SdpError> {
    let ours = if let Some(Host::Ip(ip)) = ours { *ip } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let ip = match theirs.address()? {
        Address::Ip(ip) if by_ice || ip.is_ipv4() == ours.is_ipv4() => ip,
        Address::Ip(ip) => return Err(SdpError::AddressFamily { peer: ip.to_string(), ours: ours.to_string() }),
        Address::Nowhere if ours.is_ipv4() => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Address::Nowhere => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Ok(SocketAddr::new(ip, theirs.line.port))
}

/// Where our media is.
fn own_address(local: &Session, at: usize) -> SocketAddr {
    let ip = if let Some(Host::Ip(ip)) = local.connection { ip } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    SocketAddr::new(ip, local.media.get(at).map_or(0, |line| line.port))
}

pub(super) fn no_common_codec(theirs: &[Format], ours: &[PayloadFormat]) -> SdpError {
    let names = theirs.iter().filter_map(|format| match format {
        Format::Audio(audio) => Some(audio.codec.name().to_owned()),
        Format::Unknown { name, .. } => Some(name.clone()),
        Format::Event(_) => None,
    });
    let peer: Vec<String> = names.take(8).collect();
    let ours: Vec<&str> = ours.iter().map(|format| format.codec.name()).collect();
    SdpError::NoCommonCodec { peer: peer.join(", "), ours: ours.join(", ") }
}

/// What the peer wishes, as far as the codec can: 10 to 60 ms in steps of 10; Opus has no frames of 30 or 50 ms.
fn packet_time(wanted: Option<Duration>, longest: Option<Duration>, codec: Codec) -> Duration {
    let wanted = wanted.unwrap_or(Duration::from_millis(20));
    let wanted = longest.map_or(wanted, |longest| wanted.min(longest));
    let steps: &[u64] = match codec {
        Codec::Pcmu | Codec::Pcma => &[60, 50, 40, 30, 20, 10],
        Codec::Opus => &[60, 40, 20, 10],
    };
    let fits = steps.iter().map(|ms| Duration::from_millis(*ms)).find(|step| *step <= wanted);
    fits.unwrap_or(Duration::from_millis(10))
}

fn says_nothing(name: &Untrusted) -> bool {
    matches!(name.sanitize(2).trim(), "" | "-")
}
