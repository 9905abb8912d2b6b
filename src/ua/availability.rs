//! Whether somebody can be reached, theirs and ours: what an account is told of it, as plain validated data.

/// What an account tells of itself, and whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// Publish at the server whether we are free (RFC 3903).
    pub publish: bool,
    /// Who may watch this phone: users of the account's own domain, or addresses; `*`: whoever the server lets.
    pub watchers: Vec<String>,
    /// What is called to hear the mailbox; empty: the server has none, or tells it.
    pub mailbox_number: String,
}
