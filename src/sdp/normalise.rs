//! Makes canonical text of a description as peers write it: one line end, RFC 8866 §5 order, nothing we do not read.
//!
//! The parser behind it stops without an error at the first line it does not expect; so it is given only lines it does.
use super::SdpError;
use crate::base::untrusted::Untrusted;

/// \[bytes\]; more than a SIP datagram can carry.
pub(super) const MAX_BYTES: usize = 64 * 1024;
pub(super) const MAX_LINES: usize = 2048;
pub(super) const MAX_MEDIA: usize = 32;
/// \[bytes\]
const MAX_LINE: usize = 4096;

/// The format given to a media line that lists none.
pub(super) const NO_FORMAT: &str = "-";

/// Canonical text and the number of media lines in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Canonical {
    pub text: String,
    pub media: usize,
}

/// The lines of one section, the session's or one media line's, in the order they are written back.
#[derive(Default)]
struct Section {
    /// `m=`; empty in the session section.
    media: Option<String>,
    origin: Option<String>,
    name: Option<String>,
    information: Option<String>,
    connection: Option<String>,
    bandwidths: Vec<String>,
    timing: Option<String>,
    attributes: Vec<String>,
}

pub(super) fn normalise(bytes: &[u8]) -> Result<Canonical, SdpError> {
    // Some devices send the zero that ends a C string.
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    let bytes = bytes.get(..end).unwrap_or_default();
    if bytes.len() > MAX_BYTES {
        return Err(SdpError::TooLong(bytes.len()));
    }
    let text = String::from_utf8_lossy(bytes);
    let (mut version, mut sections) = (None, vec![Section::default()]);
    let lines = text.split(['\r', '\n']).map(str::trim_end).filter(|line| !line.is_empty());
    for (index, line) in lines.enumerate() {
        if index >= MAX_LINES {
            return Err(SdpError::TooManyLines);
        }
        let fault = |problem| SdpError::Line { line: index + 1, text: Untrusted::new(line).sanitize(60), problem };
        if line.len() > MAX_LINE {
            return Err(fault("longer than 4096 bytes"));
        }
        if line.contains('\0') {
            return Err(fault("holds a zero byte"));
        }
        let mut chars = line.chars();
        let (Some(kind), Some('=')) = (chars.next(), chars.next()) else {
            return Err(fault("not of the form `type=value`"));
        };
        let value = chars.as_str().trim();
        if kind == 'm' {
            if sections.len() > MAX_MEDIA {
                return Err(SdpError::TooManyMedia);
            }
            let media = words(value, 4).ok_or_else(|| fault("media, port and protocol expected"))?;
            let port = media.split([' ', '/']).nth(1).unwrap_or_default();
            port.parse::<u16>().map_err(|_| fault("port is not a number up to 65535"))?;
            sections.push(Section { media: Some(media), ..Section::default() });
            continue;
        }
        let in_media = sections.len() > 1;
        let Some(section) = sections.last_mut() else { continue };
        match kind {
            'v' if value == "0" => version = Some(()),
            'v' => return Err(fault("only version 0 is known")),
            'o' if !in_media => keep(&mut section.origin, origin(value).ok_or_else(|| fault("six fields expected"))?),
            's' if !in_media && !value.is_empty() => keep(&mut section.name, value.to_owned()),
            'i' if !value.is_empty() => keep(&mut section.information, value.to_owned()),
            'c' => keep(
                &mut section.connection,
                connection(value).ok_or_else(|| fault("network, type and address expected"))?,
            ),
            'b' if value.contains(':') => section.bandwidths.push(value.to_owned()),
            't' if !in_media => keep(&mut section.timing, timing(value)),
            'a' if !value.trim_start().is_empty() && !value.trim_start().starts_with(':') => {
                section.attributes.push(value.trim_start().to_owned());
            }
            // RFC 8866 §5: what is not known is ignored. u= e= p= r= z= k= say nothing that a call needs.
            _ => {}
        }
    }
    version.ok_or(SdpError::Missing("v="))?;
    if let [session, ..] = sections.as_mut_slice() {
        session.origin.as_ref().ok_or(SdpError::Missing("o="))?;
        session.name.get_or_insert("-".to_owned());
        session.timing.get_or_insert("0 0".to_owned());
    }
    let mut out = String::with_capacity(bytes.len() + 64);
    out.push_str("v=0\r\n");
    sections.iter().for_each(|section| section.write(&mut out));
    Ok(Canonical { text: out, media: sections.len() - 1 })
}

impl Section {
    fn write(&self, out: &mut String) {
        let first = [('m', &self.media), ('o', &self.origin), ('s', &self.name), ('i', &self.information)];
        let lines = first
            .into_iter()
            .chain([('c', &self.connection)])
            .filter_map(|(kind, value)| Some((kind, value.as_ref()?)));
        let lines = lines.chain(self.bandwidths.iter().map(|value| ('b', value)));
        let lines = lines.chain(self.timing.iter().map(|value| ('t', value)));
        for (kind, value) in lines.chain(self.attributes.iter().map(|value| ('a', value))) {
            out.push(kind);
            out.push('=');
            out.push_str(value);
            out.push_str("\r\n");
        }
    }
}

/// Of lines that may stand once, the first counts.
fn keep(slot: &mut Option<String>, value: String) {
    slot.get_or_insert(value);
}

/// Single blanks between the words; at least three, and a placeholder where the fourth is missing.
fn words(value: &str, wanted: usize) -> Option<String> {
    let mut words: Vec<&str> = value.split_whitespace().collect();
    if words.len() + 1 == wanted {
        words.push(NO_FORMAT);
    }
    (words.len() >= wanted).then(|| words.join(" "))
}

/// Six fields; a user name with blanks in it is cut to its first word.
fn origin(value: &str) -> Option<String> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let tail = words.len().checked_sub(5).filter(|at| *at > 0)?;
    let (first, rest) = (words.first()?, words.get(tail..)?);
    Some(format!("{first} {}", rest.join(" ")))
}

fn connection(value: &str) -> Option<String> {
    let words: Vec<&str> = value.split_whitespace().collect();
    // An address may have `/ttl` behind it, but not nothing before that.
    let address = words.get(2).filter(|address| !address.starts_with('/'));
    address.map(|_| words.get(..3).unwrap_or_default().join(" "))
}

/// Start and stop; what is not a pair of numbers is a session without limits.
fn timing(value: &str) -> String {
    let words: Vec<&str> = value.split_whitespace().collect();
    match words.as_slice() {
        [start, stop] if [start, stop].iter().all(|w| w.bytes().all(|b| b.is_ascii_digit())) => {
            format!("{start} {stop}")
        }
        _ => "0 0".to_owned(),
    }
}
