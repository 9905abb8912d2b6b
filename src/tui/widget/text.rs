//! Text cut and folded to columns. What arrives is sanitised, but its width is never trusted.
use unicode_width::UnicodeWidthChar;

/// Marks on one character: what goes beyond is piled up to disturb the lines above.
const MAX_MARKS: usize = 2;

/// Columns of a character; what is never drawn has none.
fn columns(c: char) -> usize {
    if joins(c) { 0 } else { c.width().unwrap_or(0) }
}

/// Makes neighbours one sign, in a width on which terminals do not agree, or is not to be seen at all.
fn joins(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Columns `text` takes when drawn.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// `text` without controls and piled-up marks, at most `max` columns; what is cut off is marked by `ellipsis`.
pub fn fit(text: &str, max: usize, ellipsis: char) -> String {
    let (head, rest) = take(text, max);
    if rest.is_empty() {
        return head;
    }
    let (mut head, _) = take(text, max.saturating_sub(1));
    if max > 0 {
        head.push(ellipsis);
    }
    head
}

/// As many characters as fit into `max` columns, and the text that is left.
fn take(text: &str, max: usize) -> (String, &str) {
    let (mut out, mut used, mut marks) = (String::new(), 0, 0);
    for (at, c) in text.char_indices() {
        let wide = columns(c);
        if wide == 0 {
            marks += 1;
            if c.is_control() || joins(c) || out.is_empty() || marks > MAX_MARKS {
                continue;
            }
        } else {
            marks = 0;
        }
        if used + wide > max {
            return (out, text.get(at..).unwrap_or_default());
        }
        used += wide;
        out.push(c);
    }
    (out, "")
}

/// `text` cut or filled with blanks to exactly `max` columns.
pub fn left(text: &str, max: usize, ellipsis: char) -> String {
    let mut out = fit(text, max, ellipsis);
    let missing = max.saturating_sub(width(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// `text` at the right edge of exactly `max` columns.
pub fn right(text: &str, max: usize, ellipsis: char) -> String {
    let out = fit(text, max, ellipsis);
    let missing = max.saturating_sub(width(&out));
    " ".repeat(missing) + &out
}

/// The end of `text` that fits into `max` columns.
pub fn tail(text: &str, max: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        used += columns(c);
        if used > max {
            return text.get(at + c.len_utf8()..).unwrap_or_default();
        }
    }
    text
}

/// Folds a sentence at its blanks into lines of at most `max` columns; a longer word is cut.
pub fn fold(text: &str, max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word = word;
        loop {
            let line = lines.last_mut().map_or(0, |line| width(line));
            let gap = usize::from(line > 0);
            if line + gap + width(word) <= max {
                if let Some(last) = lines.last_mut() {
                    last.push_str(if gap == 1 { " " } else { "" });
                    last.push_str(&take(word, max).0);
                }
                break;
            }
            if line > 0 {
                lines.push(String::new());
                continue;
            }
            let (head, rest) = take(word, max.max(2));
            if head.is_empty() || rest.is_empty() {
                break;
            }
            lines.pop();
            lines.push(head);
            lines.push(String::new());
            word = rest;
        }
    }
    if lines.len() > 1 && lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// As [`fold`], in at most `rows` lines: where the rest has no line, the last one is given it, to be cut when it is drawn.
pub fn fold_rows(text: &str, max: usize, rows: usize) -> Vec<String> {
    let mut lines = fold(text, max);
    if rows > 0 && lines.len() > rows {
        let rest = lines.split_off(rows - 1).join(" ");
        lines.push(rest);
    }
    lines.truncate(rows);
    lines
}

/// Cuts one line at any column, continuations indented by two.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let (head, mut rest) = take(text, max);
    let mut lines = vec![head];
    while !rest.is_empty() {
        let (part, left) = take(rest, max.saturating_sub(2).max(2));
        if part.is_empty() {
            break;
        }
        lines.push(format!("  {part}"));
        rest = left;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_exact_whatever_comes() {
        let rows = [
            ("", 4, ""),
            ("Alice", 0, ""),
            ("Alice", 1, "…"),
            ("Alice", 4, "Ali…"),
            ("Alice", 5, "Alice"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("a\u{1b}[2Jb\u{7}", 9, "a[2Jb"),
            ("e\u{301}\u{302}\u{303}\u{304}x", 2, "e\u{301}\u{302}x"),
            ("\u{301}x", 2, "x"),
            ("👩\u{200d}👩\u{fe0f}👍\u{1f3fd}", 9, "👩👩👍"),
            ("a\u{202e}b\u{200b}c", 3, "abc"),
        ];
        for (text, max, shown) in rows {
            assert_eq!(fit(text, max, '…'), shown, "{text:?}");
            assert_eq!(width(&left(text, max, '…')), max, "{text:?}");
            assert_eq!(width(&right(text, max, '…')), max, "{text:?}");
        }
        assert_eq!((tail("abc日", 3), tail("abc", 9), tail("日", 1)), ("c日", "abc", ""));
    }

    #[test]
    fn sentences_fold_at_blanks_and_long_words_anywhere() {
        assert_eq!(fold("", 10), [""]);
        assert_eq!(fold("one two three", 8), ["one two", "three"]);
        assert_eq!(fold("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(fold("日本語 x", 3), ["日", "本", "語", "x"]);
        assert_eq!(fold_rows("one two three", 8, 2), ["one two", "three"]);
        assert_eq!(fold_rows("one two three four", 8, 2), ["one two", "three four"]);
        assert_eq!(fold_rows("one two", 3, 1), ["one two"]);
        assert_eq!(fold_rows("one two", 3, 0), Vec::<String>::new());
        assert_eq!(wrap("abcdefgh", 4), ["abcd", "  ef", "  gh"]);
    }
}
