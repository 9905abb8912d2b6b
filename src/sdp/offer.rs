//! The media lines of an offer (RFC 3264 §5, §8): our audio in its place, every other line kept and refused.
use super::browser;
use super::candidate;
use super::codec;
use super::direction;
use super::negotiator::{LocalMedia, Negotiator};
use super::session::{Attribute, MediaKind, MediaLine, Protocol, Session};
use crate::base::untrusted::Untrusted;
use crate::media::spec::{Direction, PayloadFormat, Profile, TelephoneEvent};
use crate::media::srtp::sdes::Policy;

impl Negotiator {
    /// - `previous`: what we described when the last exchange ended; its lines keep their places.
    pub(super) fn offered_lines(&mut self, local: &LocalMedia, previous: Option<&Session>) -> Vec<MediaLine> {
        let (formats, events) = self.offered_formats(local);
        let mut lines: Vec<MediaLine> =
            previous.map(|p| p.media.iter().map(MediaLine::refused).collect()).unwrap_or_default();
        let place = self.audio.or_else(|| lines.iter().position(|line| line.kind == MediaKind::Audio));
        let before = place.and_then(|at| previous?.media.get(at)).filter(|line| line.port != 0);
        let local = &*local.following(before);
        let protocol = match place.and_then(|at| lines.get(at)).map(|line| &line.protocol) {
            Some(Protocol::RtpSavpf) => Protocol::RtpSavpf,
            Some(Protocol::RtpSavp) => Protocol::RtpSavp,
            Some(Protocol::DtlsSavpf) => Protocol::DtlsSavpf,
            Some(Protocol::DtlsSavp) => Protocol::DtlsSavp,
            None if local.profile == Profile::Webrtc => Protocol::DtlsSavpf,
            // What runs is encrypted by a best effort that succeeded, or need not be (RFC 8643 §3).
            profile if local.srtp != Policy::Required || self.protection.is_running() => match profile {
                Some(Protocol::RtpAvpf) => Protocol::RtpAvpf,
                _ => Protocol::RtpAvp,
            },
            Some(Protocol::RtpAvpf) if !local.sdes => Protocol::DtlsSavpf,
            Some(Protocol::RtpAvpf) => Protocol::RtpSavpf,
            None if !local.sdes && local.profile.is_offered() => Protocol::DtlsSavpf,
            Some(Protocol::RtpAvp | Protocol::Other(_)) | None if !local.sdes => Protocol::DtlsSavp,
            Some(Protocol::RtpAvp | Protocol::Other(_)) | None => Protocol::RtpSavp,
        };
        let mut audio = audio_line(local, protocol, &formats, &events, local.direction, local.rtcp_mux);
        audio.attributes.extend(browser::offered(local, &audio.protocol, before));
        audio.attributes.extend(self.protection.offer(local, &audio.protocol));
        let one_port = audio.attribute("rtcp-mux-only").is_some();
        audio.attributes.retain(|a| a.name != "rtcp" || !one_port);
        let ice = local.ice.clone().map(|ice| if one_port { ice.of_one_port() } else { ice });
        audio.attributes.extend(ice.iter().flat_map(candidate::attributes));
        match place.and_then(|at| lines.get_mut(at)) {
            Some(line) => *line = audio,
            None => lines.push(audio),
        }
        self.audio = Some(place.unwrap_or(lines.len() - 1));
        lines
    }

    /// Every codec once, and events for every clock the codecs have: senders use the clock of the codec they send.
    fn offered_formats(&self, local: &LocalMedia) -> (Vec<PayloadFormat>, Vec<TelephoneEvent>) {
        let (mut formats, mut events, mut taken) = (Vec::new(), Vec::<TelephoneEvent>::new(), Vec::new());
        for codec in &local.codecs {
            if formats.iter().all(|f: &PayloadFormat| f.codec != *codec) {
                let payload_type = self.payload_types.of(*codec, &taken);
                taken.push(payload_type);
                formats.push(PayloadFormat { payload_type, codec: *codec, opus: local.opus });
            }
        }
        for clock_rate in formats.iter().map(|f| f.codec.clock_rate()).filter(|_| local.events) {
            if events.iter().all(|e| e.clock_rate != clock_rate) {
                let payload_type = self.payload_types.of_events(clock_rate, &taken);
                taken.push(payload_type);
                events.push(TelephoneEvent { payload_type, clock_rate });
            }
        }
        (formats, events)
    }
}

/// One audio line as we write it.
pub(super) fn audio_line(
    local: &LocalMedia,
    protocol: Protocol,
    formats: &[PayloadFormat],
    events: &[TelephoneEvent],
    towards: Direction,
    rtcp_mux: bool,
) -> MediaLine {
    let numbers = formats.iter().map(|f| f.payload_type).chain(events.iter().map(|e| e.payload_type));
    let mut attributes = codec::describe(formats, events);
    attributes.push(Attribute::new("ptime", Some(&local.ptime.as_millis().to_string())));
    if Some(local.rtcp_port) != local.rtp_port.checked_add(1) {
        attributes.push(Attribute::new("rtcp", Some(&local.rtcp_port.to_string())));
    }
    attributes.extend(rtcp_mux.then(|| Attribute::new("rtcp-mux", None)));
    attributes.push(Attribute::new(direction::name(towards), None));
    MediaLine {
        kind: MediaKind::Audio,
        port: local.rtp_port,
        protocol,
        formats: numbers.map(|number| number.to_string()).collect(),
        information: Untrusted::default(),
        connection: None,
        bandwidths: Vec::new(),
        attributes,
    }
}
