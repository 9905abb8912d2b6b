//! Payload formats in `m=`, `a=rtpmap` and `a=fmtp` (RFC 3551 §6, RFC 7587 §7, RFC 4733 §7.1).
use super::session::{Attribute, MediaLine};
use crate::base::untrusted::Untrusted;
use crate::media::spec::{Codec, OpusParameters, PayloadFormat, TelephoneEvent};
use std::collections::BTreeMap;

/// The events we send and understand: digits, `*`, `#`, `A` to `D`, hook flash.
const EVENTS: &str = "0-16";

/// One format of a media line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    Audio(PayloadFormat),
    Event(TelephoneEvent),
    /// `name/clock rate` as written, fit for a log.
    Unknown {
        payload_type: u8,
        name: String,
    },
}

impl Format {
    pub fn payload_type(&self) -> u8 {
        match self {
            Self::Audio(format) => format.payload_type,
            Self::Event(event) => event.payload_type,
            Self::Unknown { payload_type, .. } => *payload_type,
        }
    }
}

/// The formats of an RTP line in its order; what is no payload type, or comes twice, is left out.
pub fn formats(line: &MediaLine) -> Vec<Format> {
    let (names, parameters) = (mapped(line, "rtpmap"), mapped(line, "fmtp"));
    let mut out: Vec<Format> = Vec::new();
    for payload_type in line.formats.iter().filter_map(|f| payload_type(f)) {
        if out.iter().all(|f| f.payload_type() != payload_type) {
            let (name, parameters) = (names.get(&payload_type), parameters.get(&payload_type));
            out.push(format(payload_type, name.copied(), parameters.copied().unwrap_or_default()));
        }
    }
    out
}

/// Without sign or leading zero, since the answer names it in the same digits.
fn payload_type(text: &str) -> Option<u8> {
    text.parse().ok().filter(|number: &u8| *number < 128 && number.to_string() == text)
}

/// The codecs among them.
pub(super) fn audio(formats: &[Format]) -> Vec<PayloadFormat> {
    formats.iter().filter_map(|f| if let Format::Audio(audio) = f { Some(*audio) } else { None }).collect()
}

/// The telephone events among them, at most one for each clock.
pub(super) fn events(formats: &[Format]) -> Vec<TelephoneEvent> {
    let mut out: Vec<TelephoneEvent> = Vec::new();
    for event in formats.iter().filter_map(|f| if let Format::Event(event) = f { Some(*event) } else { None }) {
        if out.iter().all(|e| e.clock_rate != event.clock_rate) {
            out.push(event);
        }
    }
    out
}

fn format(payload_type: u8, map: Option<&str>, fmtp: &str) -> Format {
    let Some(map) = map else { return static_format(payload_type) };
    let mut parts = map.split('/').map(str::trim);
    let (name, clock) = (parts.next().unwrap_or_default(), parts.next().and_then(|c| c.parse::<u32>().ok()));
    let mono = parts.next().is_none_or(|channels| channels == "1");
    let is = |codec: Codec| name.eq_ignore_ascii_case(codec.name()) && clock == Some(codec.clock_rate());
    let audio = |codec, opus| Format::Audio(PayloadFormat { payload_type, codec, opus });
    match clock {
        _ if is(Codec::Pcmu) && mono => audio(Codec::Pcmu, OpusParameters::default()),
        _ if is(Codec::Pcma) && mono => audio(Codec::Pcma, OpusParameters::default()),
        _ if is(Codec::Opus) => audio(Codec::Opus, parameters(fmtp)),
        Some(clock_rate @ 1..=384_000) if name.eq_ignore_ascii_case("telephone-event") => {
            Format::Event(TelephoneEvent { payload_type, clock_rate })
        }
        _ => Format::Unknown { payload_type, name: Untrusted::new(map).sanitize(32) },
    }
}

/// The payload types RFC 3551 fixes, which need no `a=rtpmap`.
fn static_format(payload_type: u8) -> Format {
    let audio = |codec| Format::Audio(PayloadFormat { payload_type, codec, opus: OpusParameters::default() });
    let name = match payload_type {
        0 => return audio(Codec::Pcmu),
        8 => return audio(Codec::Pcma),
        3 => "GSM/8000",
        9 => "G722/8000",
        13 => "CN/8000",
        18 => "G729/8000",
        other => return Format::Unknown { payload_type, name: format!("payload type {other}") },
    };
    Format::Unknown { payload_type, name: name.to_owned() }
}

/// The texts behind the payload types in `a=rtpmap:PT text` or `a=fmtp:PT text`, of each the first: there may be many formats
/// and many attributes.
fn mapped<'a>(line: &'a MediaLine, attribute: &str) -> BTreeMap<u8, &'a str> {
    let mut out = BTreeMap::new();
    for value in
        line.attributes.iter().filter(|a| a.name.eq_ignore_ascii_case(attribute)).filter_map(|a| a.value.as_deref())
    {
        if let Some((number, text)) = value.split_once(char::is_whitespace)
            && let Ok(payload_type) = number.parse::<u8>()
        {
            out.entry(payload_type).or_insert(text.trim());
        }
    }
    out
}

/// RFC 7587 §6.1: what the describing side asks of the encoder that sends to it.
fn parameters(fmtp: &str) -> OpusParameters {
    let mut out = OpusParameters::default();
    for (name, value) in fmtp.split(';').filter_map(|p| p.split_once('=')) {
        let (name, number) = (name.trim().to_ascii_lowercase(), value.trim().parse::<u32>().ok());
        match (name.as_str(), number) {
            ("maxaveragebitrate", Some(rate)) => out.max_average_bitrate = Some(rate.clamp(6_000, 510_000)),
            ("maxplaybackrate", Some(rate)) => out.max_playback_rate = rate.clamp(8_000, 48_000),
            ("stereo", Some(on)) => out.stereo = on == 1,
            ("cbr", Some(on)) => out.cbr = on == 1,
            ("useinbandfec", Some(on)) => out.use_inband_fec = on == 1,
            ("usedtx", Some(on)) => out.use_dtx = on == 1,
            _ => {}
        }
    }
    out
}

/// `a=rtpmap` and, where there is something to say, `a=fmtp`.
pub(super) fn describe(formats: &[PayloadFormat], events: &[TelephoneEvent]) -> Vec<Attribute> {
    let mut out = Vec::new();
    let mut push = |name, value: String| out.push(Attribute::new(name, Some(&value)));
    for format in formats {
        let (number, codec) = (format.payload_type, format.codec);
        let channels = if codec == Codec::Opus { "/2" } else { "" };
        push("rtpmap", format!("{number} {}/{}{channels}", codec.name(), codec.clock_rate()));
        let parameters = if codec == Codec::Opus { fmtp(&format.opus) } else { String::new() };
        if !parameters.is_empty() {
            push("fmtp", format!("{number} {parameters}"));
        }
    }
    for event in events {
        push("rtpmap", format!("{} telephone-event/{}", event.payload_type, event.clock_rate));
        push("fmtp", format!("{} {EVENTS}", event.payload_type));
    }
    out
}

/// Only what differs from the defaults of RFC 7587 §6.1.
fn fmtp(opus: &OpusParameters) -> String {
    let mut out = Vec::new();
    out.extend((opus.max_playback_rate != 48_000).then(|| format!("maxplaybackrate={}", opus.max_playback_rate)));
    out.extend(opus.max_average_bitrate.map(|rate| format!("maxaveragebitrate={rate}")));
    let flags =
        [("stereo", opus.stereo), ("cbr", opus.cbr), ("useinbandfec", opus.use_inband_fec), ("usedtx", opus.use_dtx)];
    out.extend(flags.into_iter().filter(|(_, on)| *on).map(|(name, _)| format!("{name}=1")));
    out.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_parameters_are_read_leniently_and_written_sparsely() {
        let none = OpusParameters::default();
        let rows = [
            ("", none, ""),
            ("useinbandfec", none, ""),
            ("useinbandfec=yes;=1;;stereo=2;maxaveragebitrate=-1", none, ""),
            (
                "maxaveragebitrate=1",
                OpusParameters { max_average_bitrate: Some(6_000), ..none },
                "maxaveragebitrate=6000",
            ),
            ("maxplaybackrate=4000000000", none, ""),
            ("maxplaybackrate=16000", OpusParameters { max_playback_rate: 16_000, ..none }, "maxplaybackrate=16000"),
            (
                "minptime=10; UseInBandFEC=1 ;stereo = 1; cbr=1;usedtx=1;sprop-stereo=1",
                OpusParameters { use_inband_fec: true, stereo: true, cbr: true, use_dtx: true, ..none },
                "stereo=1;cbr=1;useinbandfec=1;usedtx=1",
            ),
        ];
        for (text, read, written) in rows {
            assert_eq!(parameters(text), read, "{text}");
            assert_eq!(fmtp(&read), written, "{text}");
        }
    }
}
