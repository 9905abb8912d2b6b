//! Writes XML documents: what others read of us. Everything that is text is escaped here, and nowhere else.
use std::fmt::Write as _;

/// A document that grows element by element.
#[derive(Debug)]
pub struct Document {
    text: String,
    open: Vec<&'static str>,
}

impl Document {
    pub fn new() -> Self {
        Self { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), open: Vec::new() }
    }

    /// Begins an element that holds others.
    pub fn begin(&mut self, name: &'static str, attributes: &[(&str, &str)]) -> &mut Self {
        self.tag(name, attributes, ">");
        self.open.push(name);
        self
    }

    /// Ends the element that was begun last.
    pub fn end(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            let _ = write!(self.text, "</{name}>");
        }
        self
    }

    /// An element with nothing in it.
    pub fn empty(&mut self, name: &'static str, attributes: &[(&str, &str)]) -> &mut Self {
        self.tag(name, attributes, "/>");
        self
    }

    /// An element with text in it.
    pub fn text(&mut self, name: &'static str, attributes: &[(&str, &str)], text: &str) -> &mut Self {
        self.tag(name, attributes, ">");
        let _ = write!(self.text, "{}</{name}>", escaped(text));
        self
    }

    /// The whole, all elements ended.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.end();
        }
        self.text
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &str)], end: &str) {
        let _ = write!(self.text, "<{name}");
        for (name, value) in attributes {
            let _ = write!(self.text, " {name}=\"{}\"", escaped(value));
        }
        self.text.push_str(end);
    }
}

/// What stands for this text in an element or an attribute; what XML 1.0 §2.2 has no character for is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // A reader would make blanks of them within an attribute.
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_written_is_read_again() {
        let rows = [
            ("", ""),
            ("<!-- & \"' -->]]>", "<!-- & \"' -->]]>"),
            ("a\u{0}b\u{8}\u{1b}[31m\u{ffff}", "ab[31m"),
            ("two\r\nlines\t.", "two\r\nlines\t."),
            ("žluť \u{1F600}", "žluť \u{1F600}"),
        ];
        for (text, expected) in rows {
            let mut document = Document::new();
            document.begin("a", &[("b", text)]).text("c", &[], text).empty("d", &[("e", "<")]).begin("f", &[]);
            let written = document.finish();
            let read = crate::sip::event::xml(written.as_bytes()).unwrap_or_else(|| panic!("unreadable: {written}"));
            let root = read.root_element();
            let inner = root.first_element_child().and_then(|node| node.text()).unwrap_or_default();
            assert_eq!((root.attribute("b"), inner), (Some(expected), expected), "{written}");
            assert_eq!(root.children().count(), 3);
        }
    }
}
