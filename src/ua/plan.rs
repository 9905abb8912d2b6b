//! One call's plan: what SIP bodies and SDP agree on, made into the stream media runs.
//!
//! This is the one place where SIP, SDP and media meet, and only through plain data.
use crate::base::rng::Rng;
use crate::media::dtls::certificate::Certificate;
use crate::media::spec::{Codec, Direction, Dtmf, Keying, OpusParameters, Profile, SourceDescription, StreamSpec};
use crate::media::srtp::sdes::Policy;
use crate::nat::candidate::{IceUse, Reach};
use crate::sdp::candidate;
use crate::sdp::{LocalMedia, Negotiated, Negotiator, SdpError};
use crate::sip::invite::{Body, Fork};
use crate::ua::ways::{Offered, Ways};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Early dialogs whose answers are remembered; more are ignored until one of them wins.
const FORKS: usize = 8;

/// RTCP bandwidth that makes the reduced minimum about a second: 5 % of 360 kbit/s (RFC 3550 §6.2) [bit/s].
const BRISK_BANDWIDTH: u32 = 18_000;

/// What this side wants of its streams.
#[derive(Clone, Debug)]
pub struct Wishes {
    pub codecs: Vec<Codec>,
    pub dtmf: Dtmf,
    pub ptime: Duration,
    pub rtcp_mux: bool,
    pub profile: Profile,
    pub srtp: Policy,
    /// Whether keys may stand in descriptions.
    pub sdes: bool,
    /// What is shown in DTLS handshakes, where they may be made.
    pub certificate: Option<Arc<Certificate>>,
    /// How media finds its way.
    pub reach: Reach,
    pub brisk_reports: bool,
    pub description: SourceDescription,
}

/// Offers and answers of one early dialog.
#[derive(Debug)]
struct Early {
    negotiator: Negotiator,
    /// What was agreed last in it.
    negotiated: Option<Negotiated>,
}

#[derive(Debug)]
pub struct Plan {
    wishes: Wishes,
    /// Where we may be reached, and how that is told.
    pub ways: Ways,
    /// Our ports, once they are bound.
    ports: Option<(SocketAddr, SocketAddr)>,
    /// What else was offered was refused.
    dtls_alone: bool,
    /// Offer/answer of the INVITE itself, copied for each early dialog that answers.
    base: Negotiator,
    forks: BTreeMap<Fork, Early>,
    /// The dialog that counts.
    chosen: Option<Fork>,
    /// Counts what media was told, over all forks.
    generation: u32,
    /// The dialog and the exchange the stream runs by now.
    running: Option<(Option<Fork>, u32)>,
    /// It has no ICE, and another dialog may: our side of it is kept.
    ice_may_follow: bool,
    /// Counts the DTLS associations media was told of, over all forks, and whose the last one was.
    associations: (u32, Option<(Option<Fork>, u32)>),
    negotiated: Option<Negotiated>,
    /// What the dialog that won had agreed on before.
    settled: Option<Negotiated>,
    /// Our address for RTP as our last description told it, and whether that was an offer.
    told: Option<(SocketAddr, bool)>,
    /// The pair that a description of ours was made for.
    updated: Option<(SocketAddr, SocketAddr)>,
}

impl Wishes {
    /// As the profile asks for it, which goes before what is set one by one.
    ///
    /// - `certificate`: of this run of the phone.
    pub fn profiled(mut self, profile: Profile, certificate: Option<Arc<Certificate>>) -> Self {
        self.profile = profile;
        if profile.is_offered() {
            self.certificate = certificate;
            self.rtcp_mux = true;
            self.reach.ice = IceUse::Offer;
            if profile == Profile::Webrtc {
                (self.srtp, self.sdes) = (Policy::Required, false);
            } else if self.srtp == Policy::Off {
                self.srtp = Policy::Preferred;
            }
        } else if self.reach.ice == IceUse::Off {
            // Without ICE no browser can be met.
            self.profile = Profile::Rtp;
        }
        self
    }
}

impl Plan {
    pub fn dtmf(&self) -> Dtmf {
        self.wishes.dtmf
    }

    pub fn new(wishes: Wishes, rng: &mut Rng) -> Self {
        Self {
            ways: Ways::new(wishes.reach.clone(), rng.fork()),
            wishes,
            ports: None,
            dtls_alone: false,
            base: Negotiator::new(rng),
            forks: BTreeMap::new(),
            chosen: None,
            generation: 0,
            running: None,
            ice_may_follow: false,
            associations: (0, None),
            negotiated: None,
            settled: None,
            told: None,
            updated: None,
        }
    }

    /// The codecs this side offers, as a user knows them.
    pub fn offered(&self) -> String {
        let name = |codec: &Codec| match codec {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::Opus => "Opus",
        };
        self.wishes.codecs.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    pub fn is_open(&self) -> bool {
        self.ports.is_some()
    }

    /// The address our ports are bound at.
    pub fn address(&self) -> Option<IpAddr> {
        self.ports.map(|(rtp, _)| rtp.ip())
    }

    pub fn set_ports(&mut self, rtp: SocketAddr, rtcp: SocketAddr) {
        self.ports = Some((rtp, rtcp));
    }

    /// Whether the pair that ICE settled on is another than the descriptions say, so that those between us who read them
    /// are to be told: by who made the offer, once for each pair (RFC 8839 §4.4.1.2.2).
    pub fn wants_update(&mut self) -> bool {
        let Some((told, true)) = self.told else { return false };
        let (Some(pair), Some((rtp, rtcp)), Some(agreed)) = (self.ways.settled(), self.ports, &self.negotiated) else {
            return false;
        };
        let pair = (pair.local, pair.remote);
        let differs = self.ways.defaults(rtp, rtcp).0 != told || agreed.remote_rtp != pair.1;
        differs && self.updated.replace(pair) != Some(pair)
    }

    /// What an offer of the peer says of ICE.
    pub fn offers_ice(&self, offer: &Body) -> Offered {
        match sdp(offer).ok().and_then(candidate::offered) {
            None => Offered::Nothing,
            Some(ice) if ice.trickles => Offered::Trickle,
            Some(_) => Offered::Ice,
        }
    }

    /// What was agreed last.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// Tells what a name in the peer's descriptions stands for.
    pub fn host_resolved(&mut self, name: &str, address: IpAddr) {
        self.base.host_resolved(name, address);
    }

    /// Whether an offer could be accepted at all; tried before the phone rings, when no ports are bound yet.
    pub fn try_offer(&self, offer: &Body, local: SocketAddr) -> Result<(), SdpError> {
        let (mut trial, rtp) = (self.base.clone(), SocketAddr::new(local.ip(), 9));
        // An offer of ours falls to it, as in `answer`.
        trial.withdraw();
        trial.answer(sdp(offer)?, &self.local((rtp, rtp), Direction::SendRecv, false)).map(|_| ())
    }

    /// Our offer: of a new call, or of a change within the dialog that counts.
    pub fn offer(&mut self, direction: Direction) -> Result<Body, SdpError> {
        let local = self.local_now(direction, true)?;
        offer(&mut self.base, &local)
    }

    /// Our offer of a new call was refused: whether the next one is another, which wants DTLS and nothing else (RFC 5763 §5).
    pub fn turn_to_dtls(&mut self) -> bool {
        let wishes = &self.wishes;
        let other = wishes.sdes && wishes.srtp == Policy::Required || wishes.srtp == Policy::Preferred;
        let turns = !self.dtls_alone && other && wishes.certificate.is_some() && !self.has_agreed();
        self.dtls_alone |= turns;
        turns
    }

    /// That other offer is the last one: without it there is no sound.
    pub fn needs_dtls(&self) -> bool {
        self.dtls_alone && !self.has_agreed()
    }

    /// Something was, in the dialog that counts.
    fn has_agreed(&self) -> bool {
        self.chosen.is_some() && self.negotiated.is_some()
    }

    /// Our offer in a dialog that may be an early one.
    pub fn offer_in(&mut self, fork: Fork, direction: Direction) -> Result<Body, SdpError> {
        let local = self.local_now(direction, true)?;
        offer(self.negotiator(fork).ok_or(SdpError::NoOffer)?.0, &local)
    }

    /// The dialog whose answer runs.
    pub fn running_fork(&self) -> Option<Fork> {
        self.running.and_then(|(fork, _)| fork)
    }

    /// The dialog that counts.
    pub fn fork(&self) -> Fork {
        self.chosen.unwrap_or(Fork(0))
    }

    /// Our offer came to nothing.
    pub fn withdraw(&mut self, fork: Fork) {
        if let Some((negotiator, _)) = self.negotiator(fork) {
            negotiator.withdraw();
        }
    }

    /// Answers the peer's offer in the dialog that counts; the stream to run, when it is to change.
    pub fn answer(&mut self, offer: &Body, direction: Direction) -> Result<(Body, Option<StreamSpec>), SdpError> {
        self.answer_in(self.fork(), offer, direction)
    }

    /// Answers the peer's offer in a dialog that may be an early one.
    pub fn answer_in(
        &mut self,
        fork: Fork,
        offer: &Body,
        direction: Direction,
    ) -> Result<(Body, Option<StreamSpec>), SdpError> {
        self.ways.handle_offer(candidate::offered(sdp(offer)?).map(|ice| ice.credentials).as_ref());
        let local = self.local_now(direction, false)?;
        let (negotiator, early) = self.negotiator(fork).ok_or(SdpError::NoOffer)?;
        // As below: the session raises an offer of the peer only when ours is off the table.
        negotiator.withdraw();
        let (text, negotiated) = negotiator.answer(sdp(offer)?, &local)?;
        if let Some(early) = early {
            early.clone_from(&negotiated);
        }
        let spec = match negotiated {
            Some(negotiated) => self.run(Some(fork), negotiated),
            // The peer took the audio away: what ran is silenced until an offer brings it back.
            None => self.silence(),
        };
        Ok((Body::sdp(text), spec))
    }

    /// Takes the answer of an early dialog or of the dialog that won; the stream to run, when it is to change.
    pub fn handle_answer(&mut self, fork: Fork, body: &Body) -> Result<Option<StreamSpec>, SdpError> {
        let bytes = sdp(body)?;
        let Some((negotiator, early)) = self.negotiator(fork) else { return Ok(None) };
        let negotiated = negotiator.handle_answer(bytes)?;
        if let Some(early) = early {
            *early = Some(negotiated.clone());
        }
        Ok(self.run(Some(fork), negotiated))
    }

    /// This dialog won: the others are forgotten.
    pub fn choose(&mut self, fork: Fork) {
        if let Some(early) = self.forks.remove(&fork) {
            (self.base, self.settled) = (early.negotiator, early.negotiated);
        }
        self.forks.clear();
        self.chosen = Some(fork);
    }

    /// What was agreed in the dialog that won before it won holds; the stream to run, when it is to change.
    ///
    /// # Errors
    /// `NoAudio` when nothing was that could be used.
    pub fn settle(&mut self) -> Result<Option<StreamSpec>, SdpError> {
        let settled = self.settled.take().ok_or(SdpError::NoAudio)?;
        Ok(self.run(self.chosen, settled))
    }

    /// This early dialog is over; the stream to run, when it is to change, and whether early media of another goes on.
    pub fn forget(&mut self, fork: Fork) -> (Option<StreamSpec>, bool) {
        self.forks.remove(&fork);
        let other = self.forks.iter().find_map(|(fork, early)| Some((*fork, early.negotiated.clone()?)));
        let was_heard = self.running.is_some_and(|(running, _)| running == Some(fork));
        match other {
            _ if self.chosen.is_some() => (None, true),
            other if !was_heard => (None, other.is_some()),
            Some((fork, negotiated)) => (self.run(Some(fork), negotiated), true),
            None => (self.silence(), false),
        }
    }

    /// All early dialogs are over, and somebody else is called: what is agreed with them begins anew. The stream to run, when it
    /// is to change.
    pub fn start_over(&mut self) -> Option<StreamSpec> {
        self.forks.clear();
        self.associations.1 = None;
        self.silence()
    }

    /// Of the dialog that won, or of an early one with what is agreed in it; `None` beyond the limit of forks.
    fn negotiator(&mut self, fork: Fork) -> Option<(&mut Negotiator, Option<&mut Option<Negotiated>>)> {
        if self.chosen.is_some() {
            return Some((&mut self.base, None));
        }
        if !self.forks.contains_key(&fork) && self.forks.len() < FORKS {
            self.forks.insert(fork, Early { negotiator: self.base.clone(), negotiated: None });
        }
        let Early { negotiator, negotiated } = self.forks.get_mut(&fork)?;
        Some((negotiator, Some(negotiated)))
    }

    fn run(&mut self, fork: Option<Fork>, negotiated: Negotiated) -> Option<StreamSpec> {
        let running = Some((fork, negotiated.generation));
        // A phone that rings without ICE must not end the search for another that has it; if it answers, it counts.
        let disturbs = self.chosen.is_none() && negotiated.ice.is_none() && self.ways.is_agreed();
        let ice_may_follow = self.chosen.is_none() && negotiated.ice.is_none() && self.ways.has_ice();
        let is_over = self.ice_may_follow && !ice_may_follow;
        if self.running == running && !is_over || disturbs {
            return None;
        }
        self.ice_may_follow = ice_may_follow;
        self.running = running;
        self.generation += 1;
        let offered_by_us = self.told.is_some_and(|(_, offers)| offers);
        let spec = StreamSpec {
            generation: self.generation,
            direction: negotiated.direction,
            remote_rtp: negotiated.remote_rtp,
            remote_rtcp: negotiated.remote_rtcp,
            rtcp_mux: negotiated.rtcp_mux,
            rtcp_reduced_size: negotiated.rtcp_reduced_size,
            extensions: negotiated.extensions.clone(),
            srtp: negotiated.srtp.clone().map(|keying| self.number_association(fork, keying)),
            ice: if ice_may_follow { None } else { self.ways.agreed(negotiated.ice.as_ref(), offered_by_us) },
            ice_may_follow,
            send: negotiated.send,
            receive: negotiated.receive.clone(),
            send_events: negotiated.send_events,
            receive_events: negotiated.receive_events.clone(),
            ptime: negotiated.ptime,
            rtcp_bandwidth: if self.wishes.brisk_reports { BRISK_BANDWIDTH } else { negotiated.rtcp_bandwidth },
            rtcp_reduced_minimum: self.wishes.brisk_reports,
            description: self.wishes.description.clone(),
        };
        self.negotiated = Some(negotiated);
        Some(spec)
    }

    /// Dialogs that one INVITE makes count their associations apart; media runs one after the other.
    fn number_association(&mut self, fork: Option<Fork>, keying: Keying) -> Keying {
        match keying {
            Keying::Sdes(keys) => Keying::Sdes(keys),
            Keying::Dtls(mut dtls) => {
                let whose = Some((fork, dtls.association));
                if self.associations.1 != whose {
                    self.associations = (self.associations.0 + 1, whose);
                }
                dtls.association = self.associations.0;
                Keying::Dtls(dtls)
            }
        }
    }

    fn silence(&mut self) -> Option<StreamSpec> {
        let mut negotiated = self.negotiated.clone()?;
        negotiated.direction = Direction::Inactive;
        negotiated.generation = 0;
        self.run(self.chosen, negotiated)
    }

    fn local_now(&mut self, direction: Direction, offers: bool) -> Result<LocalMedia, SdpError> {
        let (rtp, rtcp) = self.ports.ok_or(SdpError::NoAudio)?;
        let mut local = self.local(self.ways.defaults(rtp, rtcp), direction, offers);
        if offers && self.needs_dtls() {
            (local.srtp, local.sdes) = (Policy::Required, false);
        }
        self.told = Some((SocketAddr::new(local.address, local.rtp_port), offers));
        self.ways.described();
        Ok(local)
    }

    /// In order of preference; what runs stays first, so that holding a call does not change its codec.
    fn codecs(&self) -> Vec<Codec> {
        let running = self.negotiated.as_ref().map(|n| n.send.codec);
        let mut codecs = self.wishes.codecs.clone();
        codecs.sort_by_key(|codec| Some(*codec) != running);
        codecs
    }

    fn local(&self, (rtp, rtcp): (SocketAddr, SocketAddr), direction: Direction, offers: bool) -> LocalMedia {
        LocalMedia {
            address: rtp.ip(),
            rtp_port: rtp.port(),
            rtcp_port: rtcp.port(),
            codecs: self.codecs(),
            // Losses happen: ask for the redundancy that costs nothing while there are none.
            opus: OpusParameters { use_inband_fec: true, ..OpusParameters::default() },
            events: self.wishes.dtmf.has_events(),
            ptime: self.wishes.ptime,
            direction,
            rtcp_mux: self.wishes.rtcp_mux,
            profile: self.wishes.profile,
            ice: self.ways.local(offers),
            srtp: self.wishes.srtp,
            sdes: self.wishes.sdes,
            certificate: self.wishes.certificate.clone(),
        }
    }
}

fn offer(negotiator: &mut Negotiator, local: &LocalMedia) -> Result<Body, SdpError> {
    // The session asks for an offer only when none is under way: one left over fell to glare (RFC 3261 §14.1).
    negotiator.withdraw();
    negotiator.offer(local).map(Body::sdp)
}

fn sdp(body: &Body) -> Result<&[u8], SdpError> {
    let kind = body.content_type.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/sdp") { Ok(&body.bytes) } else { Err(SdpError::Missing("v=")) }
}
