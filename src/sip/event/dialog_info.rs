//! Dialog state: whether somebody is talking, rings or is free, with whom, and by which dialog (RFC 4235).
use super::document::Document;
use super::xml;
use crate::base::untrusted::Untrusted;
use crate::sip::key::DialogKey;
use crate::sip::message::Uri;
use std::collections::BTreeMap;

/// Dialogs of one entity that are remembered.
const DIALOGS: usize = 32;
/// Longest Call-ID, tag, name or address that is kept \[bytes\].
const MAX_VALUE: usize = 512;

/// One dialog of the entity that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DialogState {
    /// Trying, proceeding, early: a call is being set up.
    Ringing,
    Confirmed,
}

/// What is told of one dialog.
#[derive(Clone, Debug)]
pub struct Dialog {
    pub state: DialogState,
    /// The entity is called.
    pub incoming: bool,
    /// As the entity sees it, where all of it is told.
    pub key: Option<DialogKey>,
    /// The name and the address of whom it is with.
    pub remote_name: Option<Untrusted>,
    pub remote: Option<Uri>,
    /// Where the other side is reached.
    pub remote_target: Option<Uri>,
}

/// What is known of the calls of one entity, kept over partial notifications.
#[derive(Clone, Debug, Default)]
pub struct DialogInfo {
    version: Option<u32>,
    dialogs: BTreeMap<String, Dialog>,
}

/// A dialog-info body does not tell what it should; ask for the full state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl DialogInfo {
    pub const EVENT: &str = "dialog";
    pub const TYPE: &str = "application/dialog-info+xml";

    /// Takes a notification.
    ///
    /// # Errors
    /// [`Unreadable`] when it is none, or when one before it is missing (RFC 4235 §4.3): subscribe anew.
    pub fn take(&mut self, body: &[u8]) -> Result<(), Unreadable> {
        let document = xml(body).ok_or(Unreadable)?;
        let root = document.root_element();
        if root.tag_name().name() != "dialog-info" {
            return Err(Unreadable);
        }
        let version = root.attribute("version").and_then(|version| version.parse().ok());
        match root.attribute("state") {
            Some("full") => self.dialogs.clear(),
            Some("partial")
                if version.is_some_and(|new: u32| new.checked_sub(1).is_some_and(|old| self.version == Some(old))) => {}
            _ => return Err(Unreadable),
        }
        self.version = version;
        for dialog in root.children().filter(|node| node.has_tag_name_local("dialog")) {
            let id = dialog.attribute("id").unwrap_or_default();
            let state = dialog.children().find(|node| node.has_tag_name_local("state"));
            let state = match state.and_then(|node| node.text()).map(str::trim) {
                Some("trying" | "proceeding" | "early") => Some(DialogState::Ringing),
                Some("confirmed") => Some(DialogState::Confirmed),
                _ => None,
            };
            match state {
                Some(state) if self.dialogs.len() < DIALOGS || self.dialogs.contains_key(id) => {
                    self.dialogs.insert(id.to_owned(), read(dialog, state));
                }
                Some(_) => {}
                None => {
                    self.dialogs.remove(id);
                }
            }
        }
        Ok(())
    }

    /// The state that matters most: talking before ringing; `None`: free.
    pub fn state(&self) -> Option<DialogState> {
        self.dialogs.values().map(|dialog| dialog.state).max()
    }

    /// The dialog that makes the state, one that tells most before others.
    pub fn dialog(&self) -> Option<&Dialog> {
        self.dialogs.values().max_by_key(|d| (d.state, d.incoming, d.key.is_some(), d.remote.is_some()))
    }

    /// A call that rings at the entity and can be taken: by which dialog, where its caller is reached, and who that is.
    pub fn ringing(&self) -> Option<(&DialogKey, &Uri, &Uri)> {
        let rings = |d: &&Dialog| d.state == DialogState::Ringing && d.incoming;
        let mut ringing = self.dialogs.values().filter(rings);
        ringing.find_map(|d| {
            let target = d.remote_target.as_ref().or(d.remote.as_ref())?;
            Some((d.key.as_ref()?, target, d.remote.as_ref().unwrap_or(target)))
        })
    }
}

fn read(dialog: roxmltree::Node<'_, '_>, state: DialogState) -> Dialog {
    let value = |name| dialog.attribute(name).filter(|value| !value.is_empty() && value.len() <= MAX_VALUE);
    let key = value("call-id").zip(value("local-tag")).zip(value("remote-tag"));
    let key = key.map(|((call_id, local), remote)| DialogKey {
        call_id: call_id.to_owned(),
        local_tag: local.to_owned(),
        remote_tag: remote.to_owned(),
    });
    let remote = child(dialog, "remote");
    let (identity, target) = (remote.and_then(|r| child(r, "identity")), remote.and_then(|r| child(r, "target")));
    let uri = |text: Option<&str>| {
        let text = text.map(str::trim).filter(|text| text.len() <= MAX_VALUE)?;
        Uri::parse(text).ok().filter(Uri::is_sip)
    };
    let name = identity.and_then(|node| node.attribute("display")).map(str::trim);
    Dialog {
        state,
        // Who does not say, as most servers for their hints, may well be called.
        incoming: dialog.attribute("direction") != Some("initiator"),
        key,
        remote_name: name.filter(|name| !name.is_empty() && name.len() <= MAX_VALUE).map(Untrusted::new),
        remote: uri(identity.and_then(|node| node.text())),
        remote_target: uri(target.and_then(|node| node.attribute("uri"))),
    }
}

fn child<'a, 'i>(node: roxmltree::Node<'a, 'i>, name: &str) -> Option<roxmltree::Node<'a, 'i>> {
    node.children().find(|node| node.has_tag_name_local(name))
}

/// One of our own dialogs, for those who watch us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDialog {
    pub id: String,
    pub key: DialogKey,
    /// Somebody calls us.
    pub incoming: bool,
    /// `early` or `confirmed`, or what else RFC 4235 §3.7.1 names.
    pub state: &'static str,
    pub remote: String,
    pub remote_name: String,
    pub remote_target: String,
}

/// The whole state of ours, as a document.
///
/// - `entity`: whose dialogs they are, as a URI.
/// - `version`: one more than that of the document before.
pub fn document(entity: &str, version: u32, dialogs: &[OwnDialog]) -> String {
    let mut document = Document::new();
    let attributes = [
        ("xmlns", "urn:ietf:params:xml:ns:dialog-info"),
        ("version", &*version.to_string()),
        ("state", "full"),
        ("entity", entity),
    ];
    document.begin("dialog-info", &attributes);
    for dialog in dialogs {
        let direction = if dialog.incoming { "recipient" } else { "initiator" };
        let mut attributes = vec![
            ("id", dialog.id.as_str()),
            ("call-id", &dialog.key.call_id),
            ("local-tag", &dialog.key.local_tag),
            ("direction", direction),
        ];
        if !dialog.key.remote_tag.is_empty() {
            attributes.push(("remote-tag", &dialog.key.remote_tag));
        }
        document.begin("dialog", &attributes).text("state", &[], dialog.state);
        document.begin("remote", &[]);
        let name = [("display", dialog.remote_name.as_str())];
        document.text("identity", if dialog.remote_name.is_empty() { &[] } else { &name }, &dialog.remote);
        if !dialog.remote_target.is_empty() {
            document.empty("target", &[("uri", &dialog.remote_target)]);
        }
        document.end().end();
    }
    document.finish()
}

/// Elements are told by their local name: servers get the namespace wrong more often than the name.
trait LocalName {
    fn has_tag_name_local(&self, name: &str) -> bool;
}

impl LocalName for roxmltree::Node<'_, '_> {
    fn has_tag_name_local(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str, state: &str, dialogs: &[(&str, &str)]) -> String {
        let dialogs: String =
            dialogs.iter().map(|(id, state)| format!("<dialog id=\"{id}\"><state>{state}</state></dialog>")).collect();
        format!(
            "<?xml version=\"1.0\"?><dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"{version}\" \
             state=\"{state}\" entity=\"sip:888@h\">{dialogs}</dialog-info>"
        )
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let many = format!("<dialog-info state=\"full\">{}</dialog-info>", "<dialog/>".repeat(5_000));
        let deep = format!("<dialog-info state=\"full\">{}{}</dialog-info>", "<a>".repeat(9_000), "</a>".repeat(9_000));
        let rows = [
            "",
            "x",
            "<presence/>",
            "<dialog-info/>",
            "<!DOCTYPE x [<!ENTITY a \"b\">]><dialog-info state=\"full\"/>",
            &many,
            &deep,
            &info("1", "partial", &[]),
            &format!("{}{}", info("1", "full", &[]), " ".repeat(70_000)),
        ];
        for body in rows {
            assert_eq!(DialogInfo::default().take(body.as_bytes()), Err(Unreadable), "{}", &body[..body.len().min(80)]);
        }
    }

    #[test]
    fn a_lamp_follows_full_and_partial_states() {
        let mut lamp = DialogInfo::default();
        /// Version, state, dialogs with their states; the lamp.
        type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)], Option<DialogState>);
        let rows: [Row; 8] = [
            ("0", "full", &[("888", "terminated")], None),
            ("1", "partial", &[("a", "trying")], Some(DialogState::Ringing)),
            ("2", "partial", &[("b", "confirmed")], Some(DialogState::Confirmed)),
            ("3", "partial", &[("b", "terminated")], Some(DialogState::Ringing)),
            ("4", "partial", &[("a", "early")], Some(DialogState::Ringing)),
            ("9", "full", &[("c", "confirmed")], Some(DialogState::Confirmed)),
            ("10", "partial", &[("c", "nonsense")], None),
            ("11", "full", &[], None),
        ];
        for (version, state, dialogs, expected) in rows {
            assert_eq!(lamp.take(info(version, state, dialogs).as_bytes()), Ok(()), "{version}");
            assert_eq!(lamp.state(), expected, "{version}");
        }
        assert_eq!(lamp.take(info("13", "partial", &[]).as_bytes()), Err(Unreadable), "one is missing");
    }

    #[test]
    fn no_number_comes_after_the_last_one() {
        let mut lamp = DialogInfo::default();
        assert_eq!(lamp.take(info(&u32::MAX.to_string(), "full", &[]).as_bytes()), Ok(()));
        assert_eq!(lamp.take(info("0", "partial", &[]).as_bytes()), Err(Unreadable));
    }

    #[test]
    fn what_we_tell_is_read_again_and_can_be_taken() {
        let key = DialogKey { call_id: "a&b@h".into(), local_tag: "l".into(), remote_tag: "r".into() };
        let dialog = OwnDialog {
            id: "1".into(),
            key: key.clone(),
            incoming: true,
            state: "early",
            remote: "sip:bob@h".into(),
            remote_name: "Bob <\"&\">".into(),
            remote_target: "sip:bob@192.0.2.7:5070;transport=tcp".into(),
        };
        let rows = [
            (dialog.clone(), true),
            (OwnDialog { state: "confirmed", ..dialog.clone() }, false),
            (OwnDialog { incoming: false, ..dialog.clone() }, false),
            (OwnDialog { key: DialogKey { remote_tag: String::new(), ..key.clone() }, ..dialog.clone() }, false),
            (OwnDialog { remote: "tel:1".into(), remote_target: "mailto:x".into(), ..dialog.clone() }, false),
            (OwnDialog { remote_target: String::new(), ..dialog }, true),
        ];
        for (own, taken) in rows {
            let mut lamp = DialogInfo::default();
            assert_eq!(lamp.take(document("sip:a@h", 7, std::slice::from_ref(&own)).as_bytes()), Ok(()));
            let target = if own.remote_target.is_empty() { &own.remote } else { &own.remote_target };
            let ringing = lamp.ringing().map(|(key, uri, _)| (key.clone(), uri.to_string()));
            assert_eq!(ringing, taken.then(|| (key.clone(), target.clone())), "{own:?}");
            let seen = lamp.dialog().expect("a dialog");
            assert_eq!(seen.remote_name, Some(Untrusted::new("Bob <\"&\">")));
        }
        let mut lamp = DialogInfo::default();
        assert_eq!((lamp.take(document("sip:a@h", 0, &[]).as_bytes()), lamp.state()), (Ok(()), None));
    }

    #[test]
    fn endless_dialogs_are_not_kept() {
        let mut lamp = DialogInfo::default();
        let ids: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        let dialogs: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "confirmed")).collect();
        assert_eq!(lamp.take(info("0", "full", &dialogs).as_bytes()), Ok(()));
        assert_eq!(lamp.dialogs.len(), DIALOGS);
    }
}
