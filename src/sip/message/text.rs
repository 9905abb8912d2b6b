//! Characters and separators shared by the readers of header values (RFC 3261 §25.1).

/// Whether every byte may stand in a token, and there is at least one.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// Cuts linear white space off both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c| matches!(c, ' ' | '\t'))
}

/// Splits at `separator` where it stands outside of quoted strings and angle brackets.
///
/// An unclosed quote or bracket reaches to the end; whoever reads the piece finds it malformed.
pub(crate) fn split_outside(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match find_outside(text, separator) {
            Some(at) => {
                rest = text.get(at + 1..);
                text.get(..at)
            }
            None => rest.take(),
        }
    })
}

/// The position of the first `wanted` outside of quoted strings and angle brackets.
pub(crate) fn find_outside(text: &str, wanted: u8) -> Option<usize> {
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !angle => quoted = !quoted,
            _ if quoted => {}
            _ if byte == wanted && !angle => return Some(at),
            b'<' => angle = true,
            b'>' => angle = false,
            _ => {}
        }
    }
    None
}

/// Reads the quoted string at the start: its content without quotes and escapes, and what follows it.
pub(crate) fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut chars = text.strip_prefix('"')?.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((content, text.get(at + 2..)?)),
            '\\' => content.push(chars.next()?.1),
            _ => content.push(c),
        }
    }
    None
}

/// The text as a quoted string, escaped where needed.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Digits only, at least one, within 32 bits.
pub(crate) fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_inside_quotes_or_brackets_does_not_split() {
        let rows: [(&str, &[&str]); 8] = [
            ("", &[""]),
            (",", &["", ""]),
            ("\"open, never closed", &["\"open, never closed"]),
            ("<open, never closed", &["<open, never closed"]),
            ("a,b", &["a", "b"]),
            (r#""x, \", y" <sip:a>,<sip:b,c>"#, &[r#""x, \", y" <sip:a>"#, "<sip:b,c>"]),
            (r#"<sip:a"b>,c"#, &[r#"<sip:a"b>"#, "c"]),
            ("\"a<b\",c", &["\"a<b\"", "c"]),
        ];
        for (text, parts) in rows {
            assert_eq!(split_outside(text, b',').collect::<Vec<_>>(), parts, "{text:?}");
        }
    }

    #[test]
    fn a_quoted_string_gives_its_content_and_the_rest() {
        for bad in ["", "x", "\"", "\"x", "\"x\\\"", "\"\\"] {
            assert_eq!(quoted_string(bad), None, "{bad:?}");
        }
        assert_eq!(quoted_string(r#""a \"b\" \\" <x>"#), Some((r#"a "b" \"#.into(), " <x>")));
        assert_eq!(quote(r#"a "b" \"#), r#""a \"b\" \\""#);
    }
}
