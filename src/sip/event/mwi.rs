//! Message waiting: what a mailbox holds (RFC 3842).
use crate::sip::message::Uri;

/// What `application/simple-message-summary` says of voice messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailbox {
    pub waiting: bool,
    /// What to call to hear it (`Message-Account`).
    pub account: Option<String>,
    /// `None`: not told.
    pub new: Option<u32>,
    pub old: Option<u32>,
}

const LONGEST_URI: usize = 255;

impl Mailbox {
    pub const EVENT: &str = "message-summary";
    pub const TYPE: &str = "application/simple-message-summary";

    /// Reads a summary; `None` when it does not say whether messages wait.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut mailbox = Self::default();
        let mut told = false;
        for (name, value) in text.lines().take(64).filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.trim().eq_ignore_ascii_case("Messages-Waiting") {
                mailbox.waiting = value.eq_ignore_ascii_case("yes");
                told = true;
            } else if name.trim().eq_ignore_ascii_case("Message-Account") {
                mailbox.account = (value.len() <= LONGEST_URI && Uri::parse(value).is_ok()).then(|| value.to_owned());
            } else if name.trim().eq_ignore_ascii_case("Voice-Message") {
                let counts = value.split('(').next().unwrap_or_default();
                if let Some((new, old)) = counts.split_once('/') {
                    (mailbox.new, mailbox.old) = (new.trim().parse().ok(), old.trim().parse().ok());
                }
            }
        }
        told.then_some(mailbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let rows = [
            ("", None),
            ("Voice-Message: 1/2", None),
            ("Messages-Waiting: no\r\n", Some((false, None, None))),
            ("Messages-Waiting: maybe\r\nVoice-Message: x/-1", Some((false, None, None))),
            (
                "Messages-Waiting: YES\nMessage-Account: sip:a@h\nvoice-message: 2/8 (0/2)\n",
                Some((true, Some(2), Some(8))),
            ),
            ("Messages-Waiting: yes\r\nVoice-Message: 99999999999/1", Some((true, None, Some(1)))),
        ];
        for (body, expected) in rows {
            let mailbox = Mailbox::parse(body.as_bytes()).map(|m| (m.waiting, m.new, m.old));
            assert_eq!(mailbox, expected, "{body:?}");
        }
        assert_eq!(Mailbox::parse(b"Messages-Waiting: \xff"), None);
        let long = format!("sip:{}@h", "a".repeat(300));
        for (account, expected) in [("", None), ("me", None), (long.as_str(), None), (" sip:9@h ", Some("sip:9@h"))] {
            let body = format!("Messages-Waiting: yes\r\nMessage-Account:{account}\r\n");
            let told = Mailbox::parse(body.as_bytes()).and_then(|mailbox| mailbox.account);
            assert_eq!(told.as_deref(), expected, "{account:?}");
        }
    }
}
