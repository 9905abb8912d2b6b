//! A line of text that is being typed, with its history.

/// More than any address or command needs.
const MAX_CHARS: usize = 512;
const MAX_HISTORY: usize = 100;

/// Text and a cursor between two of its characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    text: String,
    /// Byte offset, always at a character's start or the text's end.
    cursor: usize,
    history: Vec<String>,
    /// Where in the history the line stands, and what was typed before.
    recalled: Option<(usize, String)>,
}

impl Line {
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What stands before and after the cursor.
    pub fn split(&self) -> (&str, &str) {
        self.text.split_at_checked(self.cursor).unwrap_or((&self.text, ""))
    }

    pub fn is_at_end(&self) -> bool {
        self.cursor >= self.text.len()
    }

    pub fn history(&self) -> &[String] {
        &self.history
    }

    pub fn set(&mut self, text: &str) {
        self.clear();
        self.insert_text(text);
    }

    pub fn clear(&mut self) {
        self.text.clear();
        self.cursor = 0;
        self.recalled = None;
    }

    pub fn insert(&mut self, c: char) {
        if !c.is_control() && self.text.chars().count() < MAX_CHARS {
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
            self.recalled = None;
        }
    }

    /// Typed or pasted text: line breaks and controls are left out.
    pub fn insert_text(&mut self, text: &str) {
        text.chars().take(MAX_CHARS).for_each(|c| self.insert(c));
    }

    pub fn backspace(&mut self) {
        if let Some(c) = self.split().0.chars().next_back() {
            self.cursor -= c.len_utf8();
            self.text.remove(self.cursor);
        }
    }

    pub fn delete(&mut self) {
        if !self.is_at_end() {
            self.text.remove(self.cursor);
        }
    }

    /// Removes the word before the cursor and the blanks behind it.
    pub fn delete_word(&mut self) {
        let before = self.split().0;
        let word = |c: char| c.is_alphanumeric();
        let kept = before.trim_end_matches(|c: char| !word(c)).trim_end_matches(word).len();
        self.text.replace_range(kept..self.cursor, "");
        self.cursor = kept;
    }

    pub fn clear_to_end(&mut self) {
        self.text.truncate(self.cursor);
    }

    pub fn left(&mut self) {
        self.cursor -= self.split().0.chars().next_back().map_or(0, char::len_utf8);
    }

    pub fn right(&mut self) {
        self.cursor += self.split().1.chars().next().map_or(0, char::len_utf8);
    }

    pub fn start(&mut self) {
        self.cursor = 0;
    }

    pub fn end(&mut self) {
        self.cursor = self.text.len();
    }

    /// Puts the text into the history and empties the line.
    pub fn submit(&mut self) -> String {
        let text = self.text.trim().to_owned();
        if !text.is_empty() {
            self.history.retain(|old| *old != text);
            self.history.push(text.clone());
            if self.history.len() > MAX_HISTORY {
                self.history.remove(0);
            }
        }
        self.clear();
        text
    }

    pub fn older(&mut self) {
        let (at, typed) = match self.recalled.take() {
            Some((at, typed)) => (at.saturating_sub(1), typed),
            None if self.history.is_empty() => return,
            None => (self.history.len() - 1, self.text.clone()),
        };
        self.recall(at, typed);
    }

    pub fn newer(&mut self) {
        let Some((at, typed)) = self.recalled.take() else { return };
        if at + 1 < self.history.len() {
            self.recall(at + 1, typed);
        } else {
            self.set(&typed);
        }
    }

    fn recall(&mut self, at: usize, typed: String) {
        self.text = self.history.get(at).cloned().unwrap_or_default();
        self.cursor = self.text.len();
        self.recalled = Some((at, typed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editing_keeps_to_characters() {
        let mut line = Line::default();
        line.backspace();
        line.delete();
        line.left();
        line.delete_word();
        line.insert_text("žluť\n\u{7}ák");
        assert_eq!(line.text(), "žluťák");
        line.left();
        line.left();
        line.backspace();
        assert_eq!((line.text(), line.split().1), ("žluák", "ák"));
        line.delete();
        line.clear_to_end();
        assert_eq!(line.text(), "žlu");
        line.start();
        line.right();
        assert_eq!(line.split(), ("ž", "lu"));
    }

    #[test]
    fn a_word_ends_at_any_sign() {
        let mut line = Line::default();
        for (text, left) in [("sip:alice@pbx.example", "sip:alice@pbx."), ("a b  ", "a "), ("@@", ""), ("alice@", "")] {
            line.set(text);
            line.delete_word();
            assert_eq!(line.text(), left, "{text}");
        }
    }

    #[test]
    fn history_returns_to_what_was_typed() {
        let mut line = Line::default();
        line.older();
        line.newer();
        assert!(line.is_empty());
        for text in ["600", "alice", "600", "  "] {
            line.set(text);
            line.submit();
        }
        assert_eq!(line.history(), ["alice", "600"]);
        line.set("new");
        line.older();
        assert_eq!(line.text(), "600");
        line.older();
        line.older();
        assert_eq!(line.text(), "alice");
        line.newer();
        line.newer();
        assert_eq!(line.text(), "new");
    }

    #[test]
    fn a_huge_paste_is_cut() {
        let mut line = Line::default();
        line.insert_text(&"x".repeat(1_000_000));
        assert_eq!(line.text().len(), MAX_CHARS);
    }
}
