//! What the check of a signed number came to, by the word of the server that did it: `verstat` (3GPP TS 24.229 §7.2A.20).
use super::number_params;
use crate::sip::message::NameAddr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    Passed,
    Failed,
    /// There was nothing to check.
    None,
}

impl Verification {
    /// The parameter stands in the user part or among the parameters of the URI.
    pub fn of(address: &NameAddr) -> Option<Self> {
        let (inner, outer) = (number_params(&address.uri), &address.uri.params);
        let value = inner.unquoted("verstat").or_else(|| outer.unquoted("verstat"))?;
        // What follows the word is finer than what is shown (`TN-Validation-Passed-A`).
        let is = |word: &str| value.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if is("TN-Validation-Passed") {
            Some(Self::Passed)
        } else if is("TN-Validation-Failed") {
            Some(Self::Failed)
        } else if is("No-TN-Validation") {
            Some(Self::None)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_found_where_servers_put_it() {
        let rows = [
            ("<sip:+12@h>", None),
            ("<sip:+12@h>;verstat=TN-Validation-Passed", None),
            ("<sip:+12;verstat=TN-Validation@h>", None),
            ("<sip:+12;verstat=\u{e9}N-Validation-Passed@h>", None),
            ("<sip:+12;verstat=TN-Validation-Passed@h;user=phone>", Some(Verification::Passed)),
            ("<sip:+12@h;user=phone;verstat=TN-Validation-Passed-A>", Some(Verification::Passed)),
            ("<tel:+12;verstat=tn-validation-failed>", Some(Verification::Failed)),
            ("<tel:+12;verstat=No-TN-Validation>", Some(Verification::None)),
        ];
        for (address, expected) in rows {
            let found = NameAddr::parse(address).ok().and_then(|address| Verification::of(&address));
            assert_eq!(found, expected, "{address}");
        }
    }
}
