//! A message as it went over the wire: kept whole up to a limit, read without a parser, shown without its secrets.
use super::mask;
use super::withheld::{self, Names};
use crate::base::untrusted::Untrusted;
use bytes::Bytes;

/// Bytes of a message that are kept.
const KEPT: usize = 16 * 1024;
/// Lines and columns of a message that are shown.
const LINES: usize = 400;
const COLUMNS: usize = 512;

/// The bytes of a message. Not printed by accident: they hold credentials and media keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Wire {
    bytes: Bytes,
    /// Bytes the message had.
    length: usize,
    /// Who does not want to be known.
    hidden: Names,
}

impl Wire {
    pub fn new(bytes: &Bytes) -> Self {
        Self::hiding(bytes, &Names::default())
    }

    /// A message of a call in which these do not want to be known, nor its sender where it says so.
    pub(super) fn hiding(bytes: &Bytes, names: &Names) -> Self {
        // A copy where a part of it is kept, so that the rest can go.
        let kept = if bytes.len() > KEPT {
            Bytes::copy_from_slice(bytes.get(..KEPT).unwrap_or_default())
        } else {
            bytes.clone()
        };
        Self { bytes: kept, length: bytes.len(), hidden: withheld::learn(names, bytes) }
    }

    /// Bytes it takes in memory.
    pub fn kept(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes the message had on the wire.
    pub fn length(&self) -> usize {
        self.length
    }

    pub fn is(&self, bytes: &Bytes) -> bool {
        self.length == bytes.len() && bytes.starts_with(&self.bytes)
    }

    /// The message as it was, secrets included: only for somebody who asked for them.
    pub fn exposed(&self) -> &[u8] {
        &self.bytes
    }

    /// The message with `x` for every byte of a secret: just as long.
    pub fn masked(&self) -> Vec<u8> {
        let mut bytes = mask::masked(&self.bytes);
        withheld::overwrite(&self.hidden, &mut bytes);
        bytes
    }

    /// Who does not want to be known in this message and those after it.
    pub(super) fn hidden(&self) -> &Names {
        &self.hidden
    }

    /// The message as text for a person: no secrets, no control characters.
    pub fn text(&self) -> String {
        shown(&self.masked())
    }

    /// The same with its secrets, for a file somebody asked for.
    pub fn text_with_secrets(&self) -> String {
        shown(&self.bytes)
    }

    pub fn first_line(&self) -> String {
        first_line(&self.bytes)
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wire({} bytes, {})", self.length, self.first_line())
    }
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    for line in text.lines().take(LINES) {
        out.push_str(&Untrusted::new(line).sanitize(COLUMNS));
        out.push('\n');
    }
    out
}

pub fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    Untrusted::from_bytes(line).sanitize(120)
}

/// The Call-ID, found without reading the rest: what every message on the wire pays.
pub fn call_id(bytes: &[u8]) -> Option<&str> {
    header(bytes, "Call-ID", 'i')
}

/// The first line of a header; `short` is its compact name (RFC 3261 §7.3.3).
pub fn header<'b>(bytes: &'b [u8], name: &str, short: char) -> Option<&'b str> {
    head(bytes).find_map(|line| {
        let (before, value) = line.split_at_checked(line.iter().position(|b| *b == b':')?)?;
        let before = before.trim_ascii();
        let is_short = |found: &[u8]| matches!(found, [c] if char::from(*c).eq_ignore_ascii_case(&short));
        let named = before.eq_ignore_ascii_case(name.as_bytes()) || is_short(before);
        let value = named.then(|| value.get(1..).unwrap_or_default().trim_ascii())?;
        std::str::from_utf8(value).ok()
    })
}

/// The lines of the head after the first one.
fn head(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|b| *b == b'\n').skip(1).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.take_while(|line| !line.is_empty())
}

/// What follows the empty line.
pub fn body(bytes: &[u8]) -> &[u8] {
    let after = |mark: &[u8]| bytes.windows(mark.len()).position(|w| w == mark).map(|at| at + mark.len());
    let start = after(b"\r\n\r\n").or_else(|| after(b"\n\n"));
    start.and_then(|at| bytes.get(at..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_id_is_found_in_whatever_way_it_is_written() {
        let rows = [
            ("", None),
            ("Call-ID: first\r\n", None),
            ("OPTIONS sip:h SIP/2.0\r\n\r\nCall-ID: in the body\r\n", None),
            ("OPTIONS sip:h SIP/2.0\r\nX: i\r\nCall-ID\r\n\r\n", None),
            ("OPTIONS sip:h SIP/2.0\r\nCALL-id :  a@b \r\n\r\n", Some("a@b")),
            ("OPTIONS sip:h SIP/2.0\ni:a\n\n", Some("a")),
            ("OPTIONS sip:h SIP/2.0\r\nI: a\r\n", Some("a")),
        ];
        for (message, id) in rows {
            assert_eq!(call_id(message.as_bytes()), id, "{message:?}");
        }
    }

    #[test]
    fn terminal_sequences_are_taken_out() {
        assert_eq!(Wire::new(&Bytes::from_static(b"OPTIONS \x1b[2J\r\n")).text(), "OPTIONS [2J\n");
    }

    #[test]
    fn of_a_giant_the_beginning_is_kept_and_its_length_is_known() {
        let giant = Bytes::from(vec![b'a'; 65_000]);
        let wire = Wire::new(&giant);
        assert_eq!((wire.kept(), wire.length(), wire.is(&giant)), (KEPT, 65_000, true));
        assert!(!wire.is(&giant.slice(1..)));
    }

    #[test]
    fn what_is_printed_by_accident_holds_no_secret() {
        let wire = Wire::new(&Bytes::from_static(b"REGISTER sip:h SIP/2.0\r\nAuthorization: Basic c2VjcmV0\r\n\r\n"));
        assert!(!format!("{wire:?}").contains("c2VjcmV0"));
    }
}
