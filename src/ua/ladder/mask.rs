//! Credentials, media keys and dialled tones are overwritten byte by byte: the message keeps its length and stays a message.
use super::wire::{body, header};

/// Headers that prove who somebody is (RFC 3261 §20, RFC 7616).
const HEADERS: [&str; 4] = ["Authorization", "Proxy-Authorization", "Authentication-Info", "Proxy-Authentication-Info"];
/// What of a digest would let others guess the password or play it again; the rest tells why it failed.
const SECRET: [&str; 3] = ["response", "cnonce", "rspauth"];
pub(super) const MASK: u8 = b'x';

/// The same message with its secrets overwritten.
pub fn masked(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let kind = header(bytes, "Content-Type", 'c').unwrap_or_default().to_ascii_lowercase();
    let at = bytes.len() - body(bytes).len();
    if let Some(body) = out.get_mut(at..).filter(|body| is_all_tones(&kind, body)) {
        overwrite(body);
    }
    let mut folded_secret = false;
    // Descriptions are read with any of these at the end of a line.
    for line in out.split_mut(|b| matches!(b, b'\r' | b'\n')).filter(|line| !line.is_empty()) {
        let is_fold = line.first().is_some_and(|b| matches!(b, b' ' | b'\t'));
        if is_fold {
            if folded_secret {
                overwrite(line);
            }
            continue;
        }
        folded_secret = is_credential(line);
        if folded_secret {
            credential(line);
        } else {
            description(line);
        }
    }
    out
}

/// Dialled tones may be a PIN. Those of `application/dtmf-relay` and its like have names, which stay; of `application/dtmf`
/// and KPML (RFC 4730) nothing does.
fn is_all_tones(kind: &str, body: &[u8]) -> bool {
    let has_tones = ["dtmf", "digits"].iter().any(|part| kind.contains(part));
    kind.contains("kpml-response") || (has_tones && !body.contains(&b'='))
}

fn is_credential(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|b| *b == b':') else { return false };
    let name = line.get(..colon).unwrap_or_default().trim_ascii();
    HEADERS.iter().any(|header| name.eq_ignore_ascii_case(header.as_bytes()))
}

fn credential(line: &mut [u8]) {
    let start = line.iter().position(|b| *b == b':').map_or(0, |colon| colon + 1);
    let rest = line.get_mut(start..).unwrap_or_default();
    let blank = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let value = rest.get_mut(blank..).unwrap_or_default();
    let scheme = value.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    let is_digest = value.get(..scheme).is_some_and(|word| word.eq_ignore_ascii_case(b"Digest"));
    // Authentication-Info names no scheme and begins with a parameter.
    let has_parameters = is_digest || value.get(scheme..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="));
    if has_parameters {
        parameters(value.get_mut(if is_digest { scheme } else { 0 }..).unwrap_or_default());
    } else {
        overwrite(value.get_mut(scheme..).unwrap_or_default());
    }
}

/// `name="value", ..`: the values of secret names.
fn parameters(mut rest: &mut [u8]) {
    while !rest.is_empty() {
        let Some(equals) = rest.iter().position(|b| *b == b'=') else { return };
        let (name, value) = std::mem::take(&mut rest).split_at_mut(equals);
        let name = name.trim_ascii_end();
        let begin = name.iter().rposition(|b| matches!(b, b',' | b' ' | b'\t' | b';')).map_or(0, |at| at + 1);
        let name = name.get(begin..).unwrap_or_default();
        let secret = SECRET.iter().any(|word| name.eq_ignore_ascii_case(word.as_bytes()));
        let blank = value.iter().skip(1).take_while(|b| b.is_ascii_whitespace()).count();
        let value = value.get_mut(1 + blank..).unwrap_or_default();
        let length = if value.first() == Some(&b'"') { quoted(value) } else { bare(value) };
        let (value, after) = value.split_at_mut(length);
        if secret && value.first() == Some(&b'"') {
            let inside = 1..value.len() - usize::from(value.len() > 1 && value.ends_with(b"\""));
            value.get_mut(inside).unwrap_or_default().fill(MASK);
        } else if secret {
            overwrite(value);
        }
        rest = after;
    }
}

/// Bytes of a quoted string with its quotes; without an end it is all there is.
fn quoted(value: &[u8]) -> usize {
    let mut escaped = false;
    let end = value.iter().skip(1).position(|b| {
        let ends = *b == b'"' && !escaped;
        escaped = *b == b'\\' && !escaped;
        ends
    });
    end.map_or(value.len(), |end| end + 2)
}

fn bare(value: &[u8]) -> usize {
    value.iter().position(|b| matches!(b, b',' | b';') || b.is_ascii_whitespace()).unwrap_or(value.len())
}

/// Keys, ICE passwords and dialled tones of a body.
fn description(line: &mut [u8]) {
    match &mut *line {
        [b'k' | b'K', b'=', key @ ..] => overwrite(key),
        // Blanks around a name are read over.
        [b'a' | b'A', b'=', rest @ ..] => {
            let colon = rest.iter().position(|b| *b == b':').unwrap_or(rest.len());
            let (name, value) = rest.split_at_mut(colon);
            let is = |known: &str| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes());
            match value.split_first_mut() {
                Some((_, value)) if is("crypto") => keys(value),
                Some((_, value)) if is("ice-pwd") || is("key-mgmt") => overwrite(value),
                Some(_) | None => {}
            }
        }
        _ => {}
    }
    // `Signal=5`, `Signal= 5`; others write `d=5`.
    if let Some(equals) = line.iter().position(|b| *b == b'=') {
        let (name, value) = line.split_at_mut(equals + 1);
        let name = name.get(..equals).unwrap_or_default().trim_ascii();
        if ["signal", "digits", "d"].iter().any(|tone| name.eq_ignore_ascii_case(tone.as_bytes())) {
            overwrite(value);
        }
    }
}

/// Each `inline:` key of a crypto attribute (RFC 4568 §9.1).
fn keys(mut line: &mut [u8]) {
    const INLINE: &[u8] = b"inline:";
    while let Some(at) = line.windows(INLINE.len()).position(|w| w.eq_ignore_ascii_case(INLINE)) {
        let rest = std::mem::take(&mut line).get_mut(at + INLINE.len()..).unwrap_or_default();
        let length =
            rest.iter().position(|b| matches!(b, b'|' | b';') || b.is_ascii_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at_mut(length);
        overwrite(key);
        line = after;
    }
}

fn overwrite(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|b| !b.is_ascii_whitespace() && **b != b'"') {
        *byte = MASK;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_overwritten_and_nothing_else() {
        let rows = [
            (
                "Authorization: Digest username=\"bob\", response=\"abc\"",
                "Authorization: Digest username=\"bob\", response=\"xxx\"",
            ),
            ("authorization : digest cnonce=\"a\\\"b\",nc=1", "authorization : digest cnonce=\"xxxx\",nc=1"),
            ("Authorization: Digest response=abc", "Authorization: Digest response=xxx"),
            ("Authorization: Digest response = \"abc", "Authorization: Digest response = \"xxx"),
            ("Authorization: Basic Ym9iOmE=", "Authorization: Basic xxxxxxxx"),
            ("Authorization: Bearer a.b-c d", "Authorization: Bearer xxxxx x"),
            ("Authorization:", "Authorization:"),
            ("Authentication-Info: qop=auth, rspauth=\"ab\"", "Authentication-Info: qop=auth, rspauth=\"xx\""),
            (
                "Proxy-Authorization: Digest\r\n response=\"abc\"\r\nTo: a",
                "Proxy-Authorization: Digest\r\n xxxxxxxxx\"xxx\"\r\nTo: a",
            ),
            ("WWW-Authenticate: Digest nonce=\"n\"", "WWW-Authenticate: Digest nonce=\"n\""),
            ("a=crypto:1 S inline:abc|2^20;inline:de\r", "a=crypto:1 S inline:xxx|2^20;inline:xx\r"),
            ("a=ice-pwd:hidden\r\na=ptime:20", "a=ice-pwd:xxxxxx\r\na=ptime:20"),
            ("k=base64:abc", "k=xxxxxxxxxx"),
            ("a=key-mgmt:mikey AQAF\r\n", "a=key-mgmt:xxxxx xxxx\r\n"),
            (
                "a=ptime:20\ra=ice-pwd:hidden\ra=crypto:1 S inline:abc\r",
                "a=ptime:20\ra=ice-pwd:xxxxxx\ra=crypto:1 S inline:xxx\r",
            ),
            ("a= crypto :1 S inline:abc\na=\tIce-Pwd : hidden", "a= crypto :1 S inline:xxx\na=\tIce-Pwd : xxxxxx"),
            ("Signal=5\r\nDuration=100", "Signal=x\r\nDuration=100"),
            ("signal = 5\r\nDuration= 100", "signal = x\r\nDuration= 100"),
            (
                "INFO\r\nContent-Type: application/dtmf\r\n\r\n5\r\n",
                "INFO\r\nContent-Type: application/dtmf\r\n\r\nx\r\n",
            ),
            ("INFO\nc: Application/DTMF\n\n 11", "INFO\nc: Application/DTMF\n\n xx"),
            (
                "INFO\nc: application/vnd.nortelnetworks.digits\n\np=Digit-Collection\nd=12",
                "INFO\nc: application/vnd.nortelnetworks.digits\n\np=Digit-Collection\nd=xx",
            ),
            ("INFO\nc: application/sdp\n\n5", "INFO\nc: application/sdp\n\n5"),
            ("a=d:5", "a=d:5"),
        ];
        for (message, expected) in rows {
            let out = masked(message.as_bytes());
            assert_eq!(String::from_utf8_lossy(&out), expected);
            assert_eq!(out.len(), message.len());
        }
    }
}
