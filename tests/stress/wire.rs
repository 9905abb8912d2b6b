//! What may be seen on the wire of one side of a dialog (RFC 3261 §12.2.1.1, §15; RFC 3264 §4; RFC 3262 §3).
use bytes::Bytes;
use offhook::sip::message::{Message, Method, Request, parse};
use std::collections::{BTreeMap, BTreeSet};

/// Watches all that one node sends.
#[derive(Debug, Default)]
pub struct Wire {
    /// Latest CSeq number by dialog: Call-ID, our tag, the peer's tag.
    cseqs: BTreeMap<(String, String, String), u32>,
    /// Branches seen: what has one of these is sent again.
    branches: BTreeSet<String>,
    /// Dialogs we have said goodbye to.
    left: BTreeSet<(String, String)>,
    pub bytes: usize,
}

impl Wire {
    /// Looks at what is sent; the request, when it is a new one.
    ///
    /// # Panics
    /// When it breaks a rule.
    pub fn look(&mut self, bytes: &Bytes) -> Option<Request> {
        self.bytes = self.bytes.max(bytes.len());
        let message = parse(bytes).unwrap_or_else(|error| panic!("unreadable: {error}"));
        let Message::Request(request) = message else { return None };
        let headers = &request.headers;
        let branch = headers.get("Via").and_then(|via| via.split("branch=").nth(1)).unwrap_or_default();
        let branch = format!("{} {}", branch.split(';').next().unwrap_or_default(), request.method);
        if !self.branches.insert(branch) || matches!(request.method, Method::Ack | Method::Cancel) {
            return None;
        }
        let tag = |to: Option<&str>| to.unwrap_or_default().to_owned();
        let from = headers.from().expect("From");
        let to = headers.to().expect("To");
        let call_id = headers.call_id().expect("Call-ID").to_owned();
        let key = (call_id, tag(from.tag()), tag(to.tag()));
        let number = headers.cseq().expect("CSeq").number;
        let before = self.cseqs.insert(key.clone(), number);
        assert!(before.is_none_or(|before| before < number), "CSeq {number} after {before:?}: {}", request.method);
        let side = (key.0, key.1);
        assert!(
            request.method == Method::Bye || !self.left.contains(&side),
            "{} after BYE in {side:?}",
            request.method
        );
        if request.method == Method::Bye {
            self.left.insert(side);
        }
        Some(request)
    }
}
