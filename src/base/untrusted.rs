//! Text from the network, which may hold anything, and the only way to make it fit for a screen or a log.
use unicode_width::UnicodeWidthChar;

/// Text a peer sent. It has no `Display`: only [`Untrusted::sanitize`] yields something that may be shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Untrusted(String);

impl Untrusted {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Bytes that are not UTF-8 become replacement characters.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Its lines, which are still not to be trusted.
    pub fn lines(&self) -> impl Iterator<Item = Self> {
        self.0.lines().map(Self::new)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text without control, bidirectional, zero-width and tag characters, at most `width` columns wide.
    ///
    /// What is cut off is marked by `…`.
    pub fn sanitize(&self, width: usize) -> String {
        let mut out = String::new();
        let mut used = 0;
        for c in self.0.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| is_harmless(*c)) {
            let columns = c.width().unwrap_or(0);
            if used + columns > width {
                while used + 1 > width
                    && let Some(last) = out.pop()
                {
                    used -= last.width().unwrap_or(0);
                }
                if width > 0 {
                    out.push('…');
                }
                break;
            }
            used += columns;
            out.push(c);
        }
        out
    }
}

impl std::fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Untrusted({:?})", self.0)
    }
}

/// Nothing that moves the cursor, hides, reorders or counts for no column except combining marks.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_harm_is_gone_and_what_is_too_long_is_cut() {
        let rows = [
            ("bell\u{7}\u{1b}[2Jx", 40, "bell[2Jx"),
            ("rtl\u{202e}gnp.exe", 40, "rtlgnp.exe"),
            ("z\u{200b}w\u{e0041}c1\u{9b}", 40, "zwc1"),
            ("a\tb\r\n", 40, "a b"),
            ("Alice", 5, "Alice"),
            ("Alice in W", 5, "Alic…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("日本語", 0, ""),
        ];
        for (raw, width, shown) in rows {
            assert_eq!(Untrusted::new(raw).sanitize(width), shown, "{raw:?}");
        }
    }
}
