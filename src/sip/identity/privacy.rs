//! Privacy: what a caller does not want to be told (RFC 3323 §4, `id`: RFC 3325 §9.3, `history`: RFC 7044 §7).
use crate::sip::message::text::trim;
use crate::sip::message::{Headers, Host, NameAddr, Uri};

/// The answer to a call whose caller does not say who it is, where that is not wanted (RFC 5079).
pub const ANONYMITY_DISALLOWED: u16 = 433;
/// Most wishes read of one message.
const MAX_WISHES: usize = 16;

/// The wishes of one message that concern who somebody is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// The network is not to tell who it is.
    pub id: bool,
    /// Nothing the caller itself wrote is to tell.
    pub user: bool,
    /// Who the call was meant for before is not to be told.
    pub history: bool,
    /// Explicitly: everything may be told.
    pub none: bool,
}

impl Privacy {
    pub fn of(headers: &Headers) -> Self {
        let mut privacy = Self::default();
        // Separated by semicolons; some write commas.
        let wishes = headers.all("Privacy").flat_map(|value| value.split([';', ','])).map(trim).take(MAX_WISHES);
        for wish in wishes {
            match wish.to_ascii_lowercase().as_str() {
                "id" => privacy.id = true,
                "user" => privacy.user = true,
                "history" => privacy.history = true,
                "none" => privacy.none = true,
                // `header` and `session` are about addresses of machines, `critical` is for servers.
                _ => {}
            }
        }
        privacy
    }

    /// Whoever sent this does not want to be named.
    pub fn hides_sender(self) -> bool {
        self.id || self.user
    }
}

/// The From of a caller who is not to be known (RFC 3323 §4.1.1.3).
pub fn anonymous() -> NameAddr {
    let uri = Uri::sip(Some("anonymous"), Host::Name("anonymous.invalid".to_owned()), None);
    NameAddr { display: Some("Anonymous".to_owned()), ..NameAddr::new(uri) }
}

/// Whether an address is nobody's.
pub fn is_anonymous(address: &NameAddr) -> bool {
    let nowhere = matches!(&address.uri.host, Host::Name(name) if name == "anonymous.invalid");
    let users = ["anonymous", "restricted", "unavailable", "unknown"];
    let nobody = address.uri.plain_user().is_some_and(|user| users.iter().any(|u| user.eq_ignore_ascii_case(u)));
    nowhere || nobody
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_from_lists() {
        let wishes = |id, user, history, none| Privacy { id, user, history, none };
        let rows = [
            ("", wishes(false, false, false, false)),
            ("identity;ids;xid", wishes(false, false, false, false)),
            ("header;session;critical", wishes(false, false, false, false)),
            ("none", wishes(false, false, false, true)),
            ("ID ; critical", wishes(true, false, false, false)),
            ("user, id", wishes(true, true, false, false)),
            ("history", wishes(false, false, true, false)),
        ];
        for (value, expected) in rows {
            let mut headers = Headers::default();
            headers.push("Privacy", value);
            assert_eq!(Privacy::of(&headers), expected, "{value:?}");
        }
    }

    #[test]
    fn nobody_is_recognised() {
        let rows = [
            ("<sip:anon@example.com>", false),
            ("\"Anonymous\" <sip:alice@example.com>", false),
            ("\"Anonymous\" <sip:anonymous@anonymous.invalid>", true),
            ("<sip:c8oqz84zk7z@Anonymous.Invalid>", true),
            ("<sip:Anonymous@192.0.2.1>", true),
            ("<sip:thisis@anonymous.invalid:5060>", true),
        ];
        for (address, expected) in rows {
            assert_eq!(is_anonymous(&NameAddr::parse(address).expect("an address")), expected, "{address}");
        }
        assert!(is_anonymous(&anonymous()));
        assert_eq!(anonymous().to_string(), "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
    }
}
