//! What every key does where: one table, from which key bar and help page are made too.
mod context;
mod intent;
pub mod key;
mod rows;

use crate::tui::keymap::key::Key;
pub use context::Context;
pub use intent::Intent;
pub use rows::ROWS;

/// `HangUp` to `hang-up`.
fn kebab(camel: &str) -> String {
    let mut out = String::new();
    for c in camel.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// When a row is worth a place on the key bar. The key works at all times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    /// No call is there.
    Idle,
    /// A call is selected that did not end yet.
    Call,
    /// The selected call is talked on or held.
    Established,
    TwoCalls,
    /// The demonstration's simulated network is there.
    Simulated,
    /// More than one account.
    Accounts,
    /// A page or a window is over the main page.
    Page,
    /// Never on the bar.
    Hidden,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    pub context: Context,
    /// The first is the one shown.
    pub keys: &'static [&'static str],
    pub intent: Intent,
    /// Two or three words for the key bar.
    pub label: &'static str,
    pub description: &'static str,
    pub when: When,
}

/// A row with the keys that are in force.
#[derive(Clone, Debug)]
pub struct Binding {
    pub keys: Vec<Key>,
    pub row: &'static Row,
}

/// The table in force.
#[derive(Clone, Debug)]
pub struct Keymap {
    bindings: Vec<Binding>,
}

impl Default for Keymap {
    fn default() -> Self {
        let keys = |row: &Row| row.keys.iter().filter_map(|text| Key::parse(text).ok()).collect();
        Self { bindings: ROWS.iter().map(|row| Binding { keys: keys(row), row }).collect() }
    }
}

impl Keymap {
    /// The default table with the user's own keys instead: `("hold", "f2")`, or `("incoming.answer", "enter")` where
    /// the same action is in several places.
    ///
    /// # Errors
    /// One sentence that names the binding, what is wrong with it and what would be right.
    pub fn with_overrides(overrides: &[(String, String)]) -> Result<Self, String> {
        let mut map = Self::default();
        for (name, text) in overrides {
            let key = Key::parse(text).map_err(|e| format!("keys.{name}: {e}"))?;
            let index = map.find(name)?;
            let binding = map.bindings.get_mut(index).ok_or_else(|| format!("keys.{name}: no such action"))?;
            binding.keys = vec![key];
        }
        map.check()?;
        Ok(map)
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        let (context, action) = match name.split_once('.') {
            Some((context, action)) => (Some(context), action),
            None => (None, name),
        };
        let found: Vec<(usize, Context)> = self
            .bindings
            .iter()
            .enumerate()
            .filter(|(_, b)| b.row.intent.name() == action && context.is_none_or(|c| b.row.context.name() == c))
            .map(|(index, b)| (index, b.row.context))
            .collect();
        match found.as_slice() {
            [(index, _)] => Ok(*index),
            [] => Err(format!("keys.{name}: there is no such action; the help page lists them all")),
            many => {
                let names: Vec<String> = many.iter().map(|(_, c)| format!("{}.{action}", c.name())).collect();
                Err(format!("keys.{name}: say which: {}", names.join(" or ")))
            }
        }
    }

    /// No key twice in one context.
    fn check(&self) -> Result<(), String> {
        for (at, one) in self.bindings.iter().enumerate() {
            for other in self.bindings.iter().skip(at + 1).filter(|other| other.row.context == one.row.context) {
                if let Some(key) = one.keys.iter().find(|key| other.keys.contains(key)) {
                    let context = one.row.context.name();
                    let (a, b) = (one.row.intent.name(), other.row.intent.name());
                    return Err(format!("keys: {key} is bound to both {context}.{a} and {context}.{b}"));
                }
            }
        }
        Ok(())
    }

    /// What `key` means where `contexts` are active, innermost first.
    ///
    /// - `typing`: a line of text is open, so that the band of a call leaves the letters to it.
    pub fn lookup(&self, contexts: &[Context], key: Key, typing: bool) -> Option<Intent> {
        contexts.iter().find_map(|context| {
            let rows = || self.bindings.iter().filter(|b| b.row.context == *context);
            let lends = typing && matches!(context, Context::Incoming | Context::Question) && key.is_text();
            if lends {
                return None;
            }
            let exact = rows().find(|b| b.keys.contains(&key));
            exact.or_else(|| rows().find(|b| b.keys.iter().any(|k| k.matches(key)))).map(|b| b.row.intent)
        })
    }

    /// The key shown for an intent; beside a line of text one that types nothing.
    pub fn shown(&self, context: Context, intent: Intent, typing: bool) -> Option<Key> {
        let binding = self.bindings.iter().find(|b| b.row.context == context && b.row.intent == intent)?;
        binding.keys.iter().find(|key| !typing || !key.is_text()).or(binding.keys.first()).copied()
    }

    pub fn rows(&self, context: Context) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |b| b.row.context == context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keymap::key::Code;

    fn overrides(rows: &[(&str, &str)]) -> Result<Keymap, String> {
        let owned: Vec<_> = rows.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Keymap::with_overrides(&owned)
    }

    #[test]
    fn every_default_key_is_readable_and_unique_in_its_context() {
        for row in ROWS {
            assert!(!row.keys.is_empty() && !row.description.is_empty(), "{row:?}");
            for key in row.keys {
                assert!(Key::parse(key).is_ok(), "{row:?}: {key}");
            }
            assert!(row.when == When::Hidden || !row.label.is_empty(), "{row:?} is on the bar without a label");
        }
        assert_eq!(Keymap::default().check(), Ok(()));
    }

    #[test]
    fn every_context_has_keys_and_names_are_unambiguous_with_their_context() {
        let map = Keymap::default();
        for context in Context::ALL {
            assert!(map.rows(context).next().is_some(), "{context:?} has no keys");
        }
        for row in ROWS {
            let name = format!("{}.{}", row.context.name(), row.intent.name());
            assert!(map.find(&name).is_ok(), "{name}");
        }
    }

    #[test]
    fn overrides_that_cannot_be_are_explained() {
        let rows = [
            (("fly", "f2"), "no such action"),
            (("hold", "f99"), "is not a key"),
            (("hold", "m"), "bound to both main.hold and main.mute"),
            (("open", "f2"), "say which: calls.open or recent.open"),
        ];
        for (row, part) in rows {
            let error = overrides(&[row]).expect_err("refused");
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_override_replaces_all_keys_of_its_action() {
        let map = overrides(&[("incoming.answer", "enter")]).expect("fine");
        let stack = [Context::Incoming, Context::Main, Context::Global];
        assert_eq!(map.lookup(&stack, Key::plain(Code::Enter), false), Some(Intent::Answer));
        assert_eq!(map.lookup(&stack, Key::plain(Code::F(5)), false), None);
    }

    /// Whatever has a key can have another one.
    #[test]
    fn every_action_of_every_place_can_be_given_another_key() {
        let key = Key::parse("f12").expect("a key");
        for row in ROWS {
            let name = format!("{}.{}", row.context.name(), row.intent.name());
            let map = overrides(&[(name.as_str(), "f12")]).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(map.lookup(&[row.context], key, false), Some(row.intent), "{name}");
            assert_eq!(map.shown(row.context, row.intent, false), Some(key), "{name}: the key bar and the help page");
        }
    }

    #[test]
    fn beside_a_line_of_text_letters_belong_to_the_text() {
        let map = Keymap::default();
        let stack = [Context::Incoming, Context::Dial, Context::Edit, Context::Global];
        assert_eq!(map.lookup(&stack, Key::char('a'), true), Some(Intent::Insert));
        assert_eq!(map.lookup(&stack, Key::plain(Code::F(5)), true), Some(Intent::Answer));
        assert_eq!(map.shown(Context::Incoming, Intent::Answer, true), Some(Key::plain(Code::F(5))));
        assert_eq!(map.shown(Context::Incoming, Intent::Answer, false), Some(Key::char('a')));
    }
}
