//! Answers (RFC 3264 §6): which line of an offer we take, what we say of each, and where an answer to us stands.
use super::SdpError;
use super::agreed::no_common_codec;
use super::attribute::View;
use super::browser;
use super::candidate::{self, Ice};
use super::codec;
use super::direction;
use super::keying::{self, Accepted};
use super::negotiator::{LocalMedia, Negotiator};
use super::offer::audio_line;
use super::reach::Reach;
use super::session::{Attribute, MediaKind, MediaLine, Protocol, Session};
use crate::base::untrusted::Untrusted;
use crate::media::spec::PayloadFormat;
use std::borrow::Cow;

/// The line of an offer that is accepted, and what was read of it.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    /// Its place.
    pub at: usize,
    /// What we can do and want for it.
    pub local: Cow<'a, LocalMedia>,
    pub reach: Reach,
    /// How it is protected; clear when `None`.
    pub accepted: Option<Accepted>,
}

impl Negotiator {
    /// The place of the line to accept: the one used so far if it can still be used, else the first that can.
    ///
    /// - `running`: this is not the first exchange, so the peer may also take the audio away.
    ///
    /// `None`: the offer is fine, but holds no stream.
    pub(super) fn choose<'a>(
        &self,
        offer: &Session,
        local: &'a LocalMedia,
        running: bool,
    ) -> Result<Option<Chosen<'a>>, SdpError> {
        let is_audio = |line: &MediaLine| line.kind == MediaKind::Audio;
        let offered = |at: &usize| offer.media.get(*at).is_some_and(|line| is_audio(line) && line.port != 0);
        let mut first_fault = None;
        for at in self.audio.into_iter().chain(0..offer.media.len()).filter(offered) {
            match acceptable(offer, at, local) {
                Ok(chosen) => return Ok(Some(chosen)),
                Err(fault) => drop(first_fault.get_or_insert(fault)),
            }
        }
        match first_fault {
            Some(fault) => Err(fault),
            None if offer.media.is_empty() || running && offer.media.iter().any(is_audio) => Ok(None),
            None => Err(SdpError::NoAudio),
        }
    }

    /// The place of the answer to our audio line.
    pub(super) fn answered_line(&self, answer: &Session) -> Result<usize, SdpError> {
        let at = self.audio.ok_or(SdpError::NoOffer)?;
        let line = answer.media.get(at).filter(|line| line.kind == MediaKind::Audio).ok_or(SdpError::AnswerMismatch)?;
        match &line.protocol {
            _ if line.port == 0 => Err(SdpError::Refused),
            Protocol::RtpAvp | Protocol::RtpAvpf | Protocol::RtpSavp | Protocol::RtpSavpf => Ok(at),
            Protocol::DtlsSavp | Protocol::DtlsSavpf => Ok(at),
            Protocol::Other(name) => Err(unknown(name)),
        }
    }
}

fn unknown(protocol: &str) -> SdpError {
    SdpError::Protocol(Untrusted::new(protocol).sanitize(40))
}

fn acceptable<'a>(offer: &Session, at: usize, local: &'a LocalMedia) -> Result<Chosen<'a>, SdpError> {
    let view = View::at(offer, at).ok_or(SdpError::NoAudio)?;
    if let Protocol::Other(name) = &view.line.protocol {
        return Err(unknown(name));
    }
    let local = local.towards(view);
    let accepted = keying::choose(view, &local)?;
    let reach = Reach::read(view, local.address, local.ice.is_some())?;
    let formats = codec::formats(view.line);
    if codec::audio(&formats).iter().any(|format| local.codecs.contains(&format.codec)) {
        return Ok(Chosen { at, local, reach, accepted });
    }
    let ours = local.codecs.iter().map(|codec| PayloadFormat { payload_type: 0, codec: *codec, opus: local.opus });
    Err(no_common_codec(&formats, &ours.collect::<Vec<_>>()))
}

/// One line for each of the offer, in its order; all but the chosen one refused.
///
/// - `protection`: the lines that tell how the chosen one is protected.
pub(super) fn answered_lines(offer: &Session, chosen: Option<&Chosen<'_>>, protection: &[Attribute]) -> Vec<MediaLine> {
    let answered = |(at, line): (usize, &MediaLine)| {
        let Some(Chosen { local, reach, .. }) = chosen.filter(|chosen| chosen.at == at) else { return line.refused() };
        let mut accepted = accepted(offer, line, local);
        accepted.attributes.extend(browser::answered(View { session: offer, line }, local));
        accepted.attributes.extend_from_slice(protection);
        match (&reach.ice, &local.ice) {
            (Ice::Full(_), Some(ice)) => accepted.attributes.extend(candidate::attributes(ice)),
            (Ice::Mismatch, Some(_)) => accepted.attributes.push(candidate::mismatch()),
            (Ice::Full(_) | Ice::Mismatch | Ice::Not, _) => {}
        }
        accepted
    };
    offer.media.iter().enumerate().map(answered).collect()
}

/// The offer's formats that we have, under its payload types and in its order (RFC 3264 §6.1).
fn accepted(offer: &Session, line: &MediaLine, local: &LocalMedia) -> MediaLine {
    let view = View { session: offer, line };
    let offered = codec::formats(line);
    let mut formats: Vec<PayloadFormat> = Vec::new();
    for format in codec::audio(&offered) {
        if local.codecs.contains(&format.codec) && formats.iter().all(|f| f.codec != format.codec) {
            formats.push(PayloadFormat { opus: local.opus, ..format });
        }
    }
    let mut events = if local.events { codec::events(&offered) } else { Vec::new() };
    // Only clocks our codecs have, unless the peer offers none of them.
    let fits = |clock: u32| formats.iter().any(|f| f.codec.clock_rate() == clock);
    if events.iter().any(|e| fits(e.clock_rate)) {
        events.retain(|e| fits(e.clock_rate));
    }
    let towards = direction::common(local.direction, direction::reversed(view.direction()));
    let mux = view.rtcp_mux() && (local.rtcp_mux || view.is_mux_only());
    audio_line(local, line.protocol.clone(), &formats, &events, towards, mux)
}
