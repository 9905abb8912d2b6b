//! What matters of a message's content, in a few words beside its arrow.
use super::wire::{body, first_line, header};
use crate::base::untrusted::Untrusted;

/// Codecs named of a description.
const CODECS: usize = 4;
/// Columns of a remark.
const COLUMNS: usize = 70;

/// Whether a description offers or answers (RFC 3264).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Offer,
    Answer,
}

/// The words for a message.
pub fn remark(bytes: &[u8], side: Side) -> String {
    let shown = |value: &str| Untrusted::new(value).sanitize(COLUMNS);
    let mut words = Vec::new();
    for (name, short, says) in
        [("Refer-To", 'r', "to "), ("Replaces", '\0', "replaces "), ("Warning", '\0', ""), ("Reason", '\0', "")]
    {
        if let Some(value) = header(bytes, name, short) {
            let value = if name == "Replaces" { value.split([';', ',']).next().unwrap_or_default() } else { value };
            words.push(format!("{says}{}", shown(value.trim_matches(['<', '>']))));
        }
    }
    if let Some(kind) = header(bytes, "Content-Type", 'c') {
        let body = body(bytes);
        let text = String::from_utf8_lossy(body);
        if let Some(sdp) = has_description(bytes).then(|| description(&text)).flatten() {
            let side = if side == Side::Offer { "offer" } else { "answer" };
            words.insert(0, format!("{side}: {sdp}"));
        } else if kind.to_ascii_lowercase().starts_with("message/sipfrag") {
            words.push(first_line(body).trim_start_matches("SIP/2.0 ").to_owned());
        } else {
            words.push(shown(kind.split(';').next().unwrap_or_default()));
        }
    }
    shown(&words.join("; "))
}

pub fn has_description(bytes: &[u8]) -> bool {
    let kind = header(bytes, "Content-Type", 'c').unwrap_or_default().to_ascii_lowercase();
    kind.starts_with("application/sdp") || kind.starts_with("multipart/")
}

/// `Opus PCMU, sendrecv, SRTP`, of the sound of a description (RFC 8866).
fn description(text: &str) -> Option<String> {
    let lines = || text.lines().map(str::trim_end);
    let media = || lines().skip_while(|line| !line.starts_with("m=audio "));
    let Some(audio) = media().next() else {
        return lines().any(|line| line.starts_with("m=")).then(|| "no sound".to_owned());
    };
    let attributes = || media().skip(1).take_while(|line| !line.starts_with("m="));
    let session = || lines().take_while(|line| !line.starts_with("m="));
    let mut fields = audio.split(' ').skip(1);
    let (port, profile) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    if port == "0" {
        return Some("no sound (port 0)".to_owned());
    }
    let mapped = |format: &str| {
        let maps = attributes().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '));
        maps.filter(|(number, _)| *number == format).map(|(_, name)| name.split('/').next().unwrap_or_default()).next()
    };
    let names: Vec<String> = fields
        .filter_map(|format| mapped(format).or_else(|| fixed(format)))
        .filter(|name| !["telephone-event", "CN", "red"].iter().any(|other| name.eq_ignore_ascii_case(other)))
        .map(
            |name| {
                if name.eq_ignore_ascii_case("opus") { "Opus".to_owned() } else { Untrusted::new(name).sanitize(12) }
            },
        )
        .collect();
    let mut words = names.iter().take(CODECS).cloned().collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        "no codec known".clone_into(&mut words);
    }
    if names.len() > CODECS {
        words += &format!(" +{}", names.len() - CODECS);
    }
    let is_direction = |line: &&str| matches!(*line, "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive");
    let direction = attributes().find(is_direction).or_else(|| session().find(is_direction)).unwrap_or("a=sendrecv");
    let nowhere = attributes().chain(session()).any(|line| line == "c=IN IP4 0.0.0.0");
    words += match direction {
        "a=sendonly" => ", hold (sendonly)",
        "a=inactive" => ", hold (inactive)",
        "a=recvonly" => ", held (recvonly)",
        _ if nowhere => ", hold (0.0.0.0)",
        _ => ", sendrecv",
    };
    words += match profile {
        dtls if dtls.contains("TLS") => ", DTLS",
        savp if savp.contains("SAVP") => ", SRTP",
        _ => "",
    };
    Some(words)
}

/// Formats that need no name (RFC 3551 §6).
fn fixed(format: &str) -> Option<&'static str> {
    Some(match format {
        "0" => "PCMU",
        "3" => "GSM",
        "4" => "G723",
        "8" => "PCMA",
        "9" => "G722",
        "13" => "CN",
        "18" => "G729",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_in_words() {
        let rows = [
            ("v=0", None),
            ("v=0\r\nm=video 4 RTP/AVP 96", Some("no sound")),
            ("m=audio", Some("no sound")),
            ("m=audio 0 RTP/AVP 0", Some("no sound (port 0)")),
            ("m=audio 4 RTP/AVP 99", Some("no codec known, sendrecv")),
            (
                "a=sendonly\r\nm=audio 4 RTP/AVP 0 8 13 101\r\na=rtpmap:101 telephone-event/8000",
                Some("PCMU PCMA, hold (sendonly)"),
            ),
            (
                "m=audio 4 UDP/TLS/RTP/SAVPF 96 0\r\na=rtpmap:96 opus/48000/2\r\na=recvonly",
                Some("Opus PCMU, held (recvonly), DTLS"),
            ),
            ("c=IN IP4 0.0.0.0\r\nm=audio 4 RTP/SAVP 9 3 18 0 8", Some("G722 GSM G729 PCMU +1, hold (0.0.0.0), SRTP")),
            ("m=audio 4 RTP/AVP 0\r\nm=video 4 RTP/AVP 96\r\na=inactive", Some("PCMU, sendrecv")),
        ];
        for (sdp, words) in rows {
            assert_eq!(description(sdp).as_deref(), words, "{sdp:?}");
        }
    }

    #[test]
    fn what_a_message_is_about() {
        let rows = [
            ("", ""),
            ("BYE sip:a SIP/2.0\r\nReason: Q.850;cause=16\r\n\r\n", "Q.850;cause=16"),
            ("REFER sip:a SIP/2.0\r\nr: <sip:c@h>\r\n\r\n", "to sip:c@h"),
            (
                "NOTIFY sip:a SIP/2.0\r\nContent-Type: message/sipfrag;version=2.0\r\n\r\nSIP/2.0 180 Ringing\r\n",
                "180 Ringing",
            ),
            ("INFO sip:a SIP/2.0\r\nc: application/dtmf-relay\r\n\r\nSignal=5\r\n", "application/dtmf-relay"),
            (
                "INVITE sip:a SIP/2.0\r\nReplaces: x;to-tag=a\r\nc: application/sdp\r\n\r\nm=audio 4 RTP/AVP 0\r\n",
                "answer: PCMU, sendrecv; replaces x",
            ),
        ];
        for (message, words) in rows {
            assert_eq!(remark(message.as_bytes(), Side::Answer), words, "{message:?}");
        }
    }
}
