//! What may be seen on the wire of one side of a dialog (RFC 3261 §12.2.1.1, §15).
use std::collections::{BTreeMap, BTreeSet};

/// Watches all that one node sends. It reads what we write, not what others might: a line for a header, names in full.
#[derive(Debug, Default)]
pub struct Wire {
    /// Latest CSeq number by dialog: Call-ID, our tag, the peer's tag.
    cseqs: BTreeMap<(String, String, String), u32>,
    /// Branches seen: what has one of these is sent again.
    branches: BTreeSet<String>,
    /// Dialogs we have said goodbye to, with our tag.
    left: BTreeSet<(String, String, String)>,
    /// The longest message.
    pub bytes: usize,
}

impl Wire {
    /// Looks at what is sent.
    ///
    /// # Panics
    /// When it breaks a rule.
    pub fn look(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.max(bytes.len());
        let text = String::from_utf8_lossy(bytes);
        let (head, _) = text.split_once("\r\n\r\n").expect("a head and a body");
        let method = head.split(' ').next().unwrap_or_default();
        if matches!(method, "SIP/2.0" | "ACK" | "CANCEL") {
            return;
        }
        let header = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_else(|| panic!("no {name} in {head}"))
        };
        let param = |value: &str, name: &str| {
            let value = value.split(';').find_map(|param| param.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().to_owned()
        };
        if !self.branches.insert(format!("{} {method}", param(header("Via"), "branch"))) {
            return;
        }
        let key = (header("Call-ID").to_owned(), param(header("From"), "tag"), param(header("To"), "tag"));
        let number = header("CSeq").split(' ').next().and_then(|number| number.parse::<u32>().ok()).expect("a number");
        let before = self.cseqs.insert(key.clone(), number);
        assert!(before.is_none_or(|before| before < number), "CSeq {number} after {before:?}: {method}");
        assert!(method == "BYE" || !self.left.contains(&key), "{method} after BYE in {key:?}");
        if method == "BYE" {
            self.left.insert(key);
        }
    }
}
