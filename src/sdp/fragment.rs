//! Candidates that follow a description, as `application/trickle-ice-sdpfrag` (RFC 8840 §9).
use super::candidate::{END, candidate, from_text, written};
use super::normalise::MAX_LINES;
use crate::nat::candidate::{Candidate, Credentials, MOST_CANDIDATES};
use std::fmt::Write as _;

/// Those of the audio line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Of the description that they follow: of any other they mean nothing.
    pub credentials: Credentials,
    /// All that were not in the description, the first found first; at most [`MOST_CANDIDATES`].
    pub candidates: Vec<Candidate>,
    /// No others will follow.
    pub complete: bool,
}

impl Fragment {
    pub const TYPE: &str = "application/trickle-ice-sdpfrag";

    /// - `mid`: how the description names its audio line.
    pub fn text(&self, mid: &str) -> String {
        let Credentials { ufrag, password } = &self.credentials;
        let mut text = format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{}\r\n", password.reveal());
        let _ = write!(text, "m=audio 9 RTP/AVP 0\r\na=mid:{mid}\r\n");
        for candidate in &self.candidates {
            let _ = write!(text, "a=candidate:{}\r\n", written(candidate));
        }
        if self.complete {
            let _ = write!(text, "a={END}\r\n");
        }
        text
    }

    /// Reads what a peer sent; `None` when it says nothing of an audio line. What cannot be used in it is left out.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (mut of_session, mut of_line) = ((None, None), (None, None));
        let (mut section, mut seen, mut found, mut complete) = (None, false, Vec::new(), false);
        for line in text.lines().take(MAX_LINES) {
            if let Some(media) = line.strip_prefix("m=") {
                // A second audio line is not ours: we have one.
                section = Some(media.starts_with("audio ") && !seen);
                seen |= section == Some(true);
                continue;
            }
            let Some(attribute) = line.strip_prefix("a=") else { continue };
            let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
            let name = name.to_ascii_lowercase();
            let (ufrag, password) = if section.is_none() { &mut of_session } else { &mut of_line };
            match (name.as_str(), section) {
                (_, Some(false)) => {}
                ("ice-ufrag", _) => *ufrag = Some(value),
                ("ice-pwd", _) => *password = Some(value),
                (END, _) => complete = true,
                ("candidate", Some(true)) if found.len() < MOST_CANDIDATES => found.extend(candidate(value)),
                (_, _) => {}
            }
        }
        let credentials = from_text(of_line.0.or(of_session.0)?, of_line.1.or(of_session.1)?)?;
        seen.then_some(Self { credentials, candidates: found, complete })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nat::candidate::Kind;

    const HEAD: &str = "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-ufrag:8hhY\r\n";
    const AUDIO: &str = "m=audio 9 RTP/AVP 0\r\na=mid:1\r\n";
    const ONE: &str = "a=candidate:1 1 UDP 1694498815 192.0.2.3 5000 typ srflx raddr 10.0.1.1 rport 8998\r\n";

    #[test]
    fn what_is_read_of_a_fragment() {
        let flood: String = (1..1_000).map(|n| format!("a=candidate:1 1 UDP 5 192.0.2.1 {n} typ host\r\n")).collect();
        let own = "a=ice-ufrag:other\r\n";
        // What, text; candidates and whether it is the end, or nothing.
        let rows = [
            ("nothing", String::new(), None),
            ("no line", format!("{HEAD}{ONE}"), None),
            ("no password", format!("a=ice-ufrag:8hhY\r\n{AUDIO}{ONE}"), None),
            ("a name too short", format!("a=ice-ufrag:8\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n{AUDIO}"), None),
            ("of a picture", format!("{HEAD}m=video 9 RTP/AVP 0\r\n{ONE}a=end-of-candidates\r\n"), None),
            ("before the line", format!("{HEAD}{ONE}{AUDIO}"), Some((0, false))),
            ("not usable", format!("{HEAD}{AUDIO}a=candidate:1 1 TCP 5 192.0.2.1 9 typ host\r\n"), Some((0, false))),
            ("one", format!("{HEAD}{AUDIO}{ONE}"), Some((1, false))),
            ("the last", format!("{HEAD}{AUDIO}{ONE}a=end-of-candidates\r\n"), Some((1, true))),
            ("the end of all", format!("{HEAD}a=end-of-candidates\r\n{AUDIO}"), Some((0, true))),
            ("credentials of the line", format!("{HEAD}{AUDIO}{own}{ONE}"), Some((1, false))),
            ("a second line", format!("{HEAD}{AUDIO}{ONE}{AUDIO}{ONE}{ONE}"), Some((1, false))),
            ("a flood", format!("{HEAD}{AUDIO}{flood}"), Some((MOST_CANDIDATES, false))),
        ];
        for (what, text, expected) in rows {
            let read = Fragment::parse(text.as_bytes());
            let got = read.as_ref().map(|fragment| (fragment.candidates.len(), fragment.complete));
            assert_eq!(got, expected, "{what}");
            if let Some(fragment) = read {
                let ufrag = if what.starts_with("credentials") { "other" } else { "8hhY" };
                assert_eq!(fragment.credentials.ufrag, ufrag, "{what}");
            }
        }
        let read = Fragment::parse(format!("{HEAD}{AUDIO}{ONE}").as_bytes()).expect("readable");
        assert_eq!(read.candidates[0].kind, Kind::ServerReflexive);
        let last = Fragment { complete: true, ..read };
        assert_eq!(Fragment::parse(last.text("0").as_bytes()), Some(last));
    }
}
