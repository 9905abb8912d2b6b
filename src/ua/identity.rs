//! Who the other party of a call is, and how sure that is, as plain and sanitised facts.

/// The other party of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// What is shown first: the name in the contacts, else the name that was told, else the user part of the address.
    pub name: String,
    /// `user@host`, or a number; empty when it is withheld.
    pub address: String,
    /// Who says so.
    pub source: Source,
    /// The server that asserts it; empty where none does.
    pub by: String,
    /// The name that was told, where `name` is another one or it says more than the address.
    pub told: String,
    /// The name of the contact that has this address.
    pub contact: Option<String>,
    /// What a check of the signed number came to, by the word of the account's own server.
    pub verification: Option<Verification>,
    /// `A`, `B` or `C` of a signed statement that nobody here has checked (RFC 8588); empty: it states none.
    pub attestation: Option<String>,
    /// Who handed the call on before it came here, the last one first.
    pub forwarded: Vec<Forwarded>,
    /// All this came from the account's own server, which says that it was handed on, rather than only the caller.
    pub from_server: bool,
    /// Whom the call was placed to at first, where another party is connected now.
    pub dialled: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// It is whom the user called.
    Dialled,
    /// The party itself, and nobody else.
    #[default]
    Claimed,
    /// The account's own server (RFC 3325).
    Asserted,
    /// The account's own server, which has checked the signature of the number (RFC 8224).
    Verified,
    /// The party does not want to be known (RFC 3323).
    Withheld,
}

/// What the check of a signed number came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    Passed,
    Failed,
    /// There was no signature to check.
    None,
}

/// One who handed the call on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Name, number or address; `somebody` who does not want to be named.
    pub by: String,
    /// In plain words; empty when that is not told.
    pub why: String,
}

impl Source {
    pub fn word(self) -> &'static str {
        match self {
            Self::Dialled => "dialled",
            Self::Claimed => "claimed",
            Self::Asserted => "asserted",
            Self::Verified => "verified",
            Self::Withheld => "withheld",
        }
    }
}

impl Verification {
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::None => "none",
        }
    }
}

impl Identity {
    /// The account's own server stands for it: what may be decided by who calls.
    pub fn is_asserted(&self) -> bool {
        matches!(self.source, Source::Asserted | Source::Verified)
    }

    /// Name and address, or why there is none.
    pub fn label(&self) -> String {
        if self.address.is_empty() || self.name == self.address {
            self.name.clone()
        } else {
            format!("{} <{}>", self.name, self.address)
        }
    }

    /// How sure it is, in a few words; empty where there is nothing to say.
    pub fn phrase(&self) -> String {
        let by = if self.by.is_empty() { "your server" } else { &self.by };
        let says = match self.source {
            Source::Dialled => String::new(),
            Source::Claimed if self.contact.is_some() => "if the number they claim is theirs".to_owned(),
            Source::Claimed => "only their own word".to_owned(),
            Source::Asserted => format!("asserted by {by}"),
            Source::Verified => format!("number verified, says {by}"),
            Source::Withheld => "does not want to be known".to_owned(),
        };
        let check =
            (self.verification == Some(Verification::Failed)).then(|| "the check of the number FAILED".to_owned());
        let attested = self.attestation.as_ref().filter(|letter| !letter.is_empty() && self.source != Source::Verified);
        let attested = attested.map(|letter| format!("attestation {letter} claimed, not verified here"));
        let contact = self.contact.as_ref().map(|_| "your contact".to_owned());
        let said = (!says.is_empty()).then_some(says);
        let parts: Vec<String> = [check, contact, said, attested].into_iter().flatten().collect();
        parts.join(", ")
    }

    /// Who handed the call on, in words; empty when nobody did.
    pub fn forwarded_words(&self) -> String {
        let step = |step: &Forwarded| match step.why.as_str() {
            "" => step.by.clone(),
            why => format!("{} ({why})", step.by),
        };
        let steps: Vec<String> = self.forwarded.iter().map(step).collect();
        match (steps.is_empty(), self.from_server) {
            (true, _) => String::new(),
            (false, true) => format!("forwarded by {}", steps.join(", before by ")),
            (false, false) => format!("claims to be forwarded by {}", steps.join(", before by ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_certainty_is_said_than_there_is() {
        let by = |source| Identity { source, by: "pbx.example".into(), ..Identity::default() };
        let contact = |source| Identity { contact: Some("Alice".into()), ..by(source) };
        let attested = |source, letter: &str| Identity { attestation: Some(letter.into()), ..by(source) };
        let failed = Identity { verification: Some(Verification::Failed), ..by(Source::Asserted) };
        let rows = [
            (Identity::default(), "only their own word"),
            (by(Source::Dialled), ""),
            (by(Source::Withheld), "does not want to be known"),
            (by(Source::Asserted), "asserted by pbx.example"),
            (Identity { by: String::new(), ..by(Source::Asserted) }, "asserted by your server"),
            (by(Source::Verified), "number verified, says pbx.example"),
            (contact(Source::Claimed), "your contact, if the number they claim is theirs"),
            (contact(Source::Asserted), "your contact, asserted by pbx.example"),
            (contact(Source::Dialled), "your contact"),
            (attested(Source::Claimed, ""), "only their own word"),
            (attested(Source::Claimed, "A"), "only their own word, attestation A claimed, not verified here"),
            (attested(Source::Verified, "A"), "number verified, says pbx.example"),
            (failed, "the check of the number FAILED, asserted by pbx.example"),
        ];
        for (identity, phrase) in rows {
            assert_eq!(identity.phrase(), phrase, "{identity:?}");
        }
    }

    #[test]
    fn who_handed_the_call_on() {
        let step = |by: &str, why: &str| Forwarded { by: by.into(), why: why.into() };
        let mut identity = Identity::default();
        assert_eq!(identity.forwarded_words(), "");
        identity.forwarded = vec![step("Bob", "no answer"), step("somebody", "")];
        assert_eq!(identity.forwarded_words(), "claims to be forwarded by Bob (no answer), before by somebody");
        identity.from_server = true;
        assert_eq!(identity.forwarded_words(), "forwarded by Bob (no answer), before by somebody");
    }
}
