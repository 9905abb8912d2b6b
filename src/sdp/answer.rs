//! Answers (RFC 3264 §6): which line of an offer we take, what we say of each, and where an answer to us stands.
use super::SdpError;
use super::attribute::View;
use super::browser;
use super::candidate::{self, Ice};
use super::codec;
use super::direction;
use super::keying;
use super::negotiator::{LocalMedia, Negotiator, no_common_codec, reachable};
use super::offer::audio_line;
use super::session::{Attribute, Host, MediaKind, MediaLine, Protocol, Session};
use crate::media::spec::PayloadFormat;

impl Negotiator {
    /// The place of the line to accept: the one used so far if it can still be used, else the first that can.
    ///
    /// - `running`: this is not the first exchange, so the peer may also take the audio away.
    ///
    /// `None`: the offer is fine, but holds no stream.
    pub(super) fn choose(&self, offer: &Session, local: &LocalMedia, running: bool) -> Result<Option<usize>, SdpError> {
        let is_audio = |line: &MediaLine| line.kind == MediaKind::Audio;
        let offered = |at: &usize| offer.media.get(*at).is_some_and(|line| is_audio(line) && line.port != 0);
        let mut first_fault = None;
        for at in self.audio.into_iter().chain(0..offer.media.len()).filter(offered) {
            match acceptable(offer, at, local) {
                Ok(()) => return Ok(Some(at)),
                Err(fault) => drop(first_fault.get_or_insert(fault)),
            }
        }
        match first_fault {
            Some(fault) => Err(fault),
            None if offer.media.is_empty() || running && offer.media.iter().any(is_audio) => Ok(None),
            None => Err(SdpError::NoAudio),
        }
    }

    /// One line for each of the offer, in its order; all but the chosen one refused.
    ///
    /// - `protection`: the lines that tell how the chosen one is protected.
    pub(super) fn answered_lines(
        &self,
        offer: &Session,
        local: &LocalMedia,
        chosen: Option<usize>,
        protection: &[Attribute],
    ) -> Vec<MediaLine> {
        let answered = |(at, line): (usize, &MediaLine)| {
            if Some(at) != chosen {
                return line.refused();
            }
            let mut accepted = accepted(offer, line, local);
            accepted.attributes.extend(browser::answered(View { session: offer, line }, local));
            accepted.attributes.extend_from_slice(protection);
            match (candidate::read(View { session: offer, line }), &local.ice) {
                (Ice::Full(_), Some(ice)) => accepted.attributes.extend(candidate::attributes(ice)),
                (Ice::Mismatch, Some(_)) => accepted.attributes.push(candidate::mismatch()),
                (Ice::Full(_) | Ice::Mismatch | Ice::Not, _) => {}
            }
            accepted
        };
        offer.media.iter().enumerate().map(answered).collect()
    }

    /// The place of the answer to our audio line.
    pub(super) fn answered_line(&self, answer: &Session) -> Result<usize, SdpError> {
        let at = self.audio.ok_or(SdpError::NoOffer)?;
        let line = answer.media.get(at).filter(|line| line.kind == MediaKind::Audio).ok_or(SdpError::AnswerMismatch)?;
        match &line.protocol {
            _ if line.port == 0 => Err(SdpError::Refused),
            Protocol::RtpAvp | Protocol::RtpAvpf | Protocol::RtpSavp | Protocol::RtpSavpf => Ok(at),
            Protocol::DtlsSavp | Protocol::DtlsSavpf => Ok(at),
            Protocol::Other(_) => Err(SdpError::Protocol(line.protocol.to_string())),
        }
    }
}

fn acceptable(offer: &Session, at: usize, local: &LocalMedia) -> Result<(), SdpError> {
    let line = offer.media.get(at).ok_or(SdpError::NoAudio)?;
    if let Protocol::Other(name) = &line.protocol {
        return Err(SdpError::Protocol(crate::base::untrusted::Untrusted::new(name.as_str()).sanitize(40)));
    }
    let local = &*local.towards(View { session: offer, line });
    keying::choose(View { session: offer, line }, local)?;
    let view = View { session: offer, line };
    let by_ice = local.ice.is_some() && matches!(candidate::read(view), Ice::Full(_));
    reachable(view, Some(&Host::Ip(local.address)), by_ice)?;
    let formats = codec::formats(line);
    let common = codec::audio(&formats).iter().any(|format| local.codecs.contains(&format.codec));
    let ours = local.codecs.iter().map(|codec| PayloadFormat { payload_type: 0, codec: *codec, opus: local.opus });
    if common { Ok(()) } else { Err(no_common_codec(&formats, &ours.collect::<Vec<_>>())) }
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
