//! A key as the keymap names it, free of any terminal library.
use std::fmt;

/// A key press. Shift is in the character itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub code: Code,
    pub ctrl: bool,
    pub alt: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    Char(char),
    F(u8),
    Enter,
    Esc,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    /// In keymap rows only: `0`-`9`, `*`, `#`, `+`.
    AnyDigit,
    /// In keymap rows only: `0`-`9`, `*`, `#`, `A`-`D`.
    AnyTone,
    /// In keymap rows only: any character that can be typed.
    AnyText,
}

const NAMED: &[(&str, Code)] = &[
    ("enter", Code::Enter),
    ("esc", Code::Esc),
    ("tab", Code::Tab),
    ("shift-tab", Code::BackTab),
    ("backspace", Code::Backspace),
    ("delete", Code::Delete),
    ("up", Code::Up),
    ("down", Code::Down),
    ("left", Code::Left),
    ("right", Code::Right),
    ("home", Code::Home),
    ("end", Code::End),
    ("pageup", Code::PageUp),
    ("pagedown", Code::PageDown),
    ("space", Code::Char(' ')),
    ("any-digit", Code::AnyDigit),
    ("any-tone", Code::AnyTone),
    ("any-text", Code::AnyText),
];

impl Key {
    pub const fn plain(code: Code) -> Self {
        Self { code, ctrl: false, alt: false }
    }

    pub const fn char(c: char) -> Self {
        Self::plain(Code::Char(c))
    }

    /// Reads `q`, `?`, `f5`, `ctrl-u`, `alt-enter`, `space`, `pageup`.
    ///
    /// # Errors
    /// A sentence that names the text and what would be understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut ctrl, mut alt, mut rest) = (false, false, text);
        loop {
            let lower = rest.to_ascii_lowercase();
            if rest.len() > 5 && lower.starts_with("ctrl-") {
                (ctrl, rest) = (true, &rest[5..]);
            } else if rest.len() > 4 && lower.starts_with("alt-") {
                (alt, rest) = (true, &rest[4..]);
            } else {
                break;
            }
        }
        let lower = rest.to_ascii_lowercase();
        let mut chars = rest.chars();
        let code = match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() => Some(Code::Char(if ctrl { c.to_ascii_lowercase() } else { c })),
            _ => NAMED.iter().find(|(name, _)| *name == lower).map(|(_, code)| *code).or_else(|| {
                let number: u8 = lower.strip_prefix('f')?.parse().ok()?;
                (1..=12).contains(&number).then_some(Code::F(number))
            }),
        };
        code.map(|code| Self { code, ctrl, alt })
            .ok_or_else(|| format!("`{text}` is not a key: write e.g. q, ?, f5, ctrl-u, alt-x, enter, space, pageup"))
    }

    /// Whether pressing it would put a character into a line of text.
    pub fn is_text(self) -> bool {
        matches!(self.code, Code::Char(_) | Code::AnyDigit | Code::AnyTone | Code::AnyText) && !self.ctrl && !self.alt
    }

    /// Whether this key of a keymap row stands for the `pressed` one.
    pub fn matches(self, pressed: Self) -> bool {
        if self == pressed {
            return true;
        }
        let (true, Code::Char(c)) = (pressed.is_text(), pressed.code) else { return false };
        match self.code {
            Code::AnyDigit => c.is_ascii_digit() || matches!(c, '*' | '#' | '+'),
            Code::AnyTone => is_tone(c),
            Code::AnyText => !c.is_control(),
            _ => false,
        }
    }

    /// The key for a help page or a key bar; arrows as signs where the terminal can show them.
    pub fn label(self, unicode: bool) -> String {
        let text = match (self.code, unicode) {
            (Code::Up, true) => "↑".into(),
            (Code::Down, true) => "↓".into(),
            (Code::Left, true) => "←".into(),
            (Code::Right, true) => "→".into(),
            _ => self.to_string(),
        };
        if unicode { text.replace("0-9", "0–9") } else { text }
    }
}

/// A DTMF digit of RFC 4733 that a keypad has.
pub fn is_tone(c: char) -> bool {
    c.is_ascii_digit() || matches!(c.to_ascii_uppercase(), '*' | '#' | 'A'..='D')
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("Ctrl-")?;
        }
        if self.alt {
            f.write_str("Alt-")?;
        }
        match self.code {
            Code::Char(' ') => f.write_str("Space"),
            Code::Char(c) if self.ctrl => write!(f, "{}", c.to_ascii_uppercase()),
            Code::Char(c) => write!(f, "{c}"),
            Code::F(n) => write!(f, "F{n}"),
            Code::Enter => f.write_str("Enter"),
            Code::Esc => f.write_str("Esc"),
            Code::Tab => f.write_str("Tab"),
            Code::BackTab => f.write_str("Shift-Tab"),
            Code::Backspace => f.write_str("Backspace"),
            Code::Delete => f.write_str("Del"),
            Code::Up => f.write_str("Up"),
            Code::Down => f.write_str("Down"),
            Code::Left => f.write_str("Left"),
            Code::Right => f.write_str("Right"),
            Code::Home => f.write_str("Home"),
            Code::End => f.write_str("End"),
            Code::PageUp => f.write_str("PgUp"),
            Code::PageDown => f.write_str("PgDn"),
            Code::AnyDigit => f.write_str("0-9 + * #"),
            Code::AnyTone => f.write_str("0-9 * # A-D"),
            Code::AnyText => f.write_str("any letter"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_people_write_them() {
        for bad in ["", "ctrl-", "f0", "f13", "fx", "entr", "\u{7}", "hyper-x", "ab"] {
            assert!(Key::parse(bad).is_err(), "{bad:?}");
        }
        let rows = [
            ("q", Key::char('q')),
            ("Q", Key::char('Q')),
            ("-", Key::char('-')),
            ("F5", Key::plain(Code::F(5))),
            ("Enter", Key::plain(Code::Enter)),
            ("space", Key::char(' ')),
            ("Ctrl-U", Key { code: Code::Char('u'), ctrl: true, alt: false }),
            ("alt-f1", Key { code: Code::F(1), ctrl: false, alt: true }),
            ("ctrl--", Key { code: Code::Char('-'), ctrl: true, alt: false }),
        ];
        for (text, key) in rows {
            assert_eq!(Key::parse(text), Ok(key), "{text}");
        }
    }

    #[test]
    fn patterns_stand_for_typed_characters_only() {
        let any = |code| Key::plain(code);
        assert!(any(Code::AnyDigit).matches(Key::char('+')));
        assert!(!any(Code::AnyTone).matches(Key::char('+')));
        assert!(any(Code::AnyTone).matches(Key::char('d')));
        assert!(any(Code::AnyText).matches(Key::char('ž')));
        assert!(!any(Code::AnyText).matches(Key { code: Code::Char('a'), ctrl: true, alt: false }));
        assert!(!any(Code::AnyText).matches(Key::plain(Code::Enter)));
    }
}
