//! How the user is named to those who are called, and who may call without a name: the wishes of one account as plain data.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerId {
    /// The address the server is asked to show, as `"Name" <sip:+49301@pbx.example>` (RFC 3325 §9.2); empty: it decides.
    pub identity: String,
    /// Calls do not say who calls, unless asked to.
    pub private: bool,
    pub private_by: PrivateBy,
    /// Typed before a number, it makes one call the other way; empty: nothing does.
    pub private_prefix: String,
    /// Calls of those who do not say who they are do not ring.
    pub refuse_anonymous: bool,
}

/// Who takes the name away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrivateBy {
    /// We do not write it (RFC 3323 §4.1).
    #[default]
    Phone,
    /// The server does: for those that know callers by their From.
    Server,
}

impl CallerId {
    /// What was typed without the prefix, and whether the call is private by it.
    pub fn read<'t>(&self, typed: &'t str) -> (&'t str, bool) {
        let rest = typed.trim().strip_prefix(&self.private_prefix).filter(|_| !self.private_prefix.is_empty());
        match rest.map(str::trim).filter(|rest| !rest.is_empty()) {
            Some(rest) => (rest, !self.private),
            None => (typed, self.private),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_turns_one_call_round() {
        let of = |prefix: &str, private| CallerId { private_prefix: prefix.into(), private, ..CallerId::default() };
        let rows = [
            (of("", false), "*671002", ("*671002", false)),
            (of("*67", false), "1002", ("1002", false)),
            (of("*67", false), "*67", ("*67", false)),
            (of("*67", false), " *67 1002", ("1002", true)),
            (of("*82", true), "1002", ("1002", true)),
            (of("*82", true), "*821002", ("1002", false)),
        ];
        for (wishes, typed, expected) in rows {
            assert_eq!(wishes.read(typed), expected, "{wishes:?} {typed}");
        }
    }
}
