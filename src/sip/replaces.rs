//! The Replaces header: an INVITE that takes the place of a dialog (RFC 3891).
use super::key::{DialogKey, SessionKey};
use super::message::{HeaderError, Headers};
use std::fmt::{self, Display, Formatter};

/// The option tag.
pub const TAG: &str = "replaces";

/// Names a dialog as its receiver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    call_id: String,
    /// The receiver's own tag.
    to_tag: String,
    /// The tag of the receiver's peer.
    from_tag: String,
    /// Only if the dialog is not confirmed yet.
    pub early_only: bool,
}

impl Replaces {
    /// For the peer of a dialog of ours.
    pub fn of_ours(dialog: &DialogKey) -> Self {
        let DialogKey { call_id, local_tag, remote_tag } = dialog.clone();
        Self { call_id, to_tag: remote_tag, from_tag: local_tag, early_only: false }
    }

    /// For whoever calls a phone that is watched: the early dialog as that phone sees it is to end, and ours to take its
    /// place. None when it cannot be named in a header.
    pub fn of_watched(dialog: &DialogKey) -> Option<Self> {
        let replaces = Self { early_only: true, ..Self::of_ours(dialog) };
        let fits = |text: &String| text.bytes().all(|b| b.is_ascii_graphic() && !b";,\"<>".contains(&b));
        let parts = [&replaces.call_id, &replaces.to_tag, &replaces.from_tag];
        let named = parts.into_iter().all(fits);
        named.then_some(replaces)
    }

    /// Reads the header of a request.
    ///
    /// # Errors
    /// [`HeaderError::Malformed`] when it cannot be read, or when there is more than one (RFC 3891 §3).
    pub fn of(headers: &Headers) -> Result<Option<Self>, HeaderError> {
        let mut values = headers.all("Replaces");
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Self::parse(value).map(Some).ok_or(HeaderError::Malformed("Replaces")),
            (Some(_), Some(_)) => Err(HeaderError::Malformed("Replaces")),
        }
    }

    fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split(';').map(str::trim);
        let call_id = parts.next().filter(|id| !id.is_empty() && !id.contains([' ', '\t']))?.to_owned();
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').map_or((part, None), |(n, v)| (n.trim(), Some(v.trim())));
            let tag = match name.to_ascii_lowercase().as_str() {
                "to-tag" => &mut to_tag,
                "from-tag" => &mut from_tag,
                "early-only" if value.is_none() => {
                    early_only = true;
                    continue;
                }
                // Others may be added to the header; none changes which dialog is meant.
                _ => continue,
            };
            // Each stands there once, or nobody knows which is meant.
            if tag.replace(value.filter(|v| !v.is_empty())?.to_owned()).is_some() {
                return None;
            }
        }
        Some(Self { call_id, to_tag: to_tag?, from_tag: from_tag?, early_only })
    }

    /// The tag of the receiver's peer.
    pub fn from_tag(&self) -> &str {
        &self.from_tag
    }

    /// Where the dialog is to be looked for.
    pub fn session(&self) -> SessionKey {
        SessionKey { call_id: self.call_id.clone(), local_tag: self.to_tag.clone() }
    }

    /// Whether exactly this dialog is meant: Call-ID and both tags. A peer of RFC 2543 has no tag, which is written as 0.
    pub fn means(&self, dialog: &DialogKey) -> bool {
        let is_tag = |written: &str, tag: &str| written == tag || (tag.is_empty() && written == "0");
        self.call_id == dialog.call_id
            && is_tag(&self.to_tag, &dialog.local_tag)
            && is_tag(&self.from_tag, &dialog.remote_tag)
    }
}

impl Display for Replaces {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tag = |tag: &str| if tag.is_empty() { "0".to_owned() } else { tag.to_owned() };
        write!(f, "{};to-tag={};from-tag={}", self.call_id, tag(&self.to_tag), tag(&self.from_tag))?;
        if self.early_only { f.write_str(";early-only") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(call_id: &str, local_tag: &str, remote_tag: &str) -> DialogKey {
        DialogKey { call_id: call_id.into(), local_tag: local_tag.into(), remote_tag: remote_tag.into() }
    }

    #[test]
    fn what_names_no_dialog_is_refused() {
        let rows = [
            "",
            ";to-tag=a;from-tag=b",
            "one two;to-tag=a;from-tag=b",
            "one",
            "one;to-tag=a",
            "one;from-tag=b",
            "one;to-tag;from-tag=b",
            "one;to-tag=;from-tag=b",
            "one;to-tag=a;to-tag=a;from-tag=b",
            "one;to-tag=a;from-tag=b;From-Tag=c",
        ];
        for value in rows {
            let mut headers = Headers::default();
            headers.push("Replaces", value);
            assert!(Replaces::of(&headers).is_err(), "{value:?}");
        }
        let mut headers = Headers::default();
        assert_eq!(Replaces::of(&headers), Ok(None));
        headers.push("Replaces", "one;to-tag=a;from-tag=b");
        assert!(matches!(Replaces::of(&headers), Ok(Some(_))));
        headers.push("Replaces", "two;to-tag=a;from-tag=b");
        assert!(Replaces::of(&headers).is_err(), "two of them");
    }

    #[test]
    fn only_the_same_call_id_and_both_tags_are_meant() {
        // From RFC 3891 §6.1, and the same in another order.
        let first = "425928@bobster.example.org;to-tag=7743;from-tag=6472";
        for value in [first, "425928@bobster.example.org ; x=y ; From-Tag=6472 ;TO-TAG = 7743"] {
            let replaces = Replaces::parse(value).expect("readable");
            assert_eq!((replaces.to_string().as_str(), replaces.early_only), (first, false));
            let rows = [
                (key("425928@bobster.example.org", "6472", "7743"), false),
                (key("425928@bobster.example.org", "7743", "6473"), false),
                (key("425928@bobster.example.org", "7743", ""), false),
                (key("425928@bobster.example.org", "774", "6472"), false),
                (key("425929@bobster.example.org", "7743", "6472"), false),
                (key("425928@bobster.example.org", "7743", "6472"), true),
            ];
            for (dialog, meant) in rows {
                assert_eq!(replaces.means(&dialog), meant, "{dialog:?}");
            }
        }
        let early = Replaces::parse("one;to-tag=a;from-tag=0;early-only").expect("readable");
        assert!(early.early_only && early.means(&key("one", "a", "")) && !early.means(&key("one", "", "")));
        assert_eq!(early.to_string(), "one;to-tag=a;from-tag=0;early-only");
    }

    #[test]
    fn a_watched_dialog_is_named_for_the_caller() {
        let named = |key: &DialogKey| Replaces::of_watched(key).map(|replaces| replaces.to_string());
        assert_eq!(
            named(&key("one@h", "phone", "caller")).as_deref(),
            Some("one@h;to-tag=caller;from-tag=phone;early-only")
        );
        for bad in ["a b", "a;to-tag=x", "a\r\nVia: x", "a,b", "ž"] {
            assert!(named(&key(bad, "l", "r")).is_none() && named(&key("c", "l", bad)).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn the_peer_sees_the_tags_the_other_way_round() {
        let (ours, theirs) = (key("one", "a", "b"), key("one", "b", "a"));
        let replaces = Replaces::of_ours(&ours);
        assert_eq!(replaces.to_string(), "one;to-tag=b;from-tag=a");
        assert!(replaces.means(&theirs) && !replaces.means(&ours));
        assert_eq!(replaces.session(), SessionKey { call_id: "one".into(), local_tag: "b".into() });
    }
}
