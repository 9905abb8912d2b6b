//! The message ladder of a call: every message once, its secrets masked, fit for the screen.
use crate::base::net::Flow;
use crate::base::untrusted::Untrusted;
use crate::sip::identity::Privacy;
use crate::sip::message::{Headers, Message};
use crate::ua::snapshot::LadderEntry;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Entries kept for a call; the oldest but the first goes when there are more.
const ENTRIES: usize = 200;
/// Lines and columns of a message that are kept.
const LINES: usize = 200;
const COLUMNS: usize = 512;
/// Bytes of a message that are kept.
const BYTES: usize = 8 * 1024;

#[derive(Clone, Debug, Default)]
pub struct Ladder {
    entries: Arc<Vec<LadderEntry>>,
    /// The other side does not want to be named.
    withheld: bool,
}

impl Ladder {
    pub fn entries(&self) -> Arc<Vec<LadderEntry>> {
        Arc::clone(&self.entries)
    }

    /// Adds a message, or counts it as a repetition of the same one.
    pub fn record(&mut self, at: Instant, wall: SystemTime, flow: Flow, sent: bool, message: &Message, bytes: &[u8]) {
        let (label, headers) = match message {
            Message::Request(request) => (request.method.as_str().to_owned(), &request.headers),
            Message::Response(response) => (format!("{} {}", response.status, response.reason), &response.headers),
        };
        let label = Untrusted::new(label).sanitize(60);
        let cseq = cseq(headers);
        self.withheld |= !sent && Privacy::of(headers).hides_sender();
        let text = masked(bytes, self.withheld);
        let entries = Arc::make_mut(&mut self.entries);
        if let Some(same) = entries.iter_mut().rev().take(8).find(|e| e.sent == sent && *e.text == text) {
            same.repeats += 1;
            return;
        }
        if entries.len() >= ENTRIES {
            entries.remove(1);
        }
        entries.push(LadderEntry {
            at,
            wall,
            sent,
            label,
            cseq,
            flow: format!("{} {}", flow.transport.name(), flow.remote),
            repeats: 0,
            text: text.into(),
        });
    }
}

fn cseq(headers: &Headers) -> String {
    headers.get("CSeq").map(|value| Untrusted::new(value).sanitize(40)).unwrap_or_default()
}

/// The message as text for a person: no control characters, no credentials, no media keys.
///
/// - `withheld`: the other side does not want to be named, and is not, whatever servers tell each other.
fn masked(bytes: &[u8], withheld: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut folded_secret = false;
    for line in text.lines().take(LINES) {
        if out.len() >= BYTES {
            out.push_str("…\n");
            break;
        }
        let is_fold = line.starts_with([' ', '\t']);
        let secret = if is_fold { folded_secret } else { is_secret(line) || (withheld && names_parties(line)) };
        folded_secret = secret;
        let shown = Untrusted::new(line).sanitize(COLUMNS);
        match secret {
            false => out.push_str(&shown),
            true if is_fold => out.push_str(" …"),
            true => {
                let keep = shown.find(':').map_or(0, |colon| colon + 1);
                out.push_str(shown.get(..keep).unwrap_or_default());
                out.push_str(" …masked…");
            }
        }
        out.push('\n');
    }
    out
}

fn is_secret(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default().trim();
    ["Authorization", "Proxy-Authorization", "a=crypto", "a=ice-pwd"].iter().any(|s| name.eq_ignore_ascii_case(s))
}

fn names_parties(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default().trim();
    ["From", "f", "To", "t", "P-Asserted-Identity", "Remote-Party-ID"].iter().any(|n| name.eq_ignore_ascii_case(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_keys_never_reach_the_ladder() {
        let message = "REGISTER sip:h SIP/2.0\r\nauthorization : Digest response=\"abc\",\r\n cnonce=\"def\"\r\nTo: <sip:a@h>\r\n\r\n\
                       v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret\r\na=ice-pwd:hidden\r\na=ptime:20\r\n";
        let text = masked(message.as_bytes(), false);
        for secret in ["abc", "def", "secret", "hidden"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("To: <sip:a@h>") && text.contains("a=ptime:20"));
    }

    #[test]
    fn terminal_sequences_are_taken_out() {
        assert_eq!(masked(b"OPTIONS \x1b[2J\r\n", false), "OPTIONS [2J\n");
    }

    #[test]
    fn who_does_not_want_to_be_named_is_not() {
        let message =
            b"INVITE sip:h SIP/2.0\r\nF: <sip:alice@h>\r\nP-Asserted-Identity: \"Alice\"\r\n <sip:alice@h>\r\n\
                        remote-party-id: <sip:alice@h>\r\nTo: <sip:bob@h>\r\n\r\n";
        let text = masked(message, true);
        assert!(!text.to_lowercase().contains("alice") && text.contains("To: …masked…"), "{text}");
        assert!(masked(message, false).contains("alice"));
    }
}
