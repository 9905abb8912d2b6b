//! Dialog state: whether somebody is talking, rings or is free (RFC 4235).
use super::xml;
use std::collections::BTreeMap;

/// Dialogs of one entity that are remembered.
const DIALOGS: usize = 32;

/// One dialog of the entity that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DialogState {
    /// Trying, proceeding, early: a call is being set up.
    Ringing,
    Confirmed,
}

/// What is known of the calls of one entity, kept over partial notifications.
#[derive(Clone, Debug, Default)]
pub struct DialogInfo {
    version: Option<u32>,
    dialogs: BTreeMap<String, DialogState>,
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
                    self.dialogs.insert(id.to_owned(), state);
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
        self.dialogs.values().copied().max()
    }
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
    fn endless_dialogs_are_not_kept() {
        let mut lamp = DialogInfo::default();
        let ids: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        let dialogs: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "confirmed")).collect();
        assert_eq!(lamp.take(info("0", "full", &dialogs).as_bytes()), Ok(()));
        assert_eq!(lamp.dialogs.len(), DIALOGS);
    }
}
