//! Who we say we are to those we call (RFC 3323 §4.1, P-Preferred-Identity: RFC 3325 §9.2).
use super::Account;
use crate::base::net::Flow;
use crate::sip::identity::anonymous;
use crate::sip::message::NameAddr;
use crate::ua::caller_id::PrivateBy;

impl Account {
    /// From and further headers of an INVITE over `flow`.
    pub fn presents(&self, private: bool, flow: &Flow) -> (NameAddr, Vec<(String, String)>) {
        let wishes = &self.settings.caller_id;
        let mut headers = Vec::new();
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        // Only our own server is told what others are not, and takes it out.
        let to_server = self.trust.is_server(flow.remote.ip());
        let preferred = NameAddr::parse(&wishes.identity).ok().map(|preferred| preferred.to_string());
        let known_by = preferred.or_else(|| private.then(|| self.aor().to_string()));
        if let Some(known_by) = known_by.filter(|_| to_server) {
            add("P-Preferred-Identity", known_by);
        }
        let from = match (private, wishes.private_by) {
            (false, _) => {
                // Where calls are private by themselves, servers may be told to keep it so.
                if wishes.private {
                    add("Privacy", "none".to_owned());
                }
                self.aor()
            }
            (true, PrivateBy::Server) if to_server => {
                add("Privacy", "id;user".to_owned());
                self.aor()
            }
            (true, PrivateBy::Server | PrivateBy::Phone) => {
                add("Privacy", "id".to_owned());
                anonymous()
            }
        };
        (from, headers)
    }
}
