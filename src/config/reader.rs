//! Reads values out of a parsed TOML text and collects what is wrong with them instead of stopping at the first.
use super::mistake::Mistake;
use super::values::ValueError;
use crate::base::untrusted::Untrusted;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Columns of a wrong value that are repeated to the user.
const SHOWN: usize = 60;

pub(super) struct Reader<'t> {
    text: &'t str,
    pub mistakes: Vec<Mistake>,
}

/// A table and what the user calls it.
#[derive(Clone)]
pub(super) struct Section<'a, 't> {
    pub name: String,
    pub table: &'a DeTable<'t>,
    /// Where it begins.
    pub span: Range<usize>,
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, mistakes: Vec::new() }
    }

    /// A table of its own; an empty one where none is written.
    ///
    /// - `name`: from the top of the file, its last part being the key in `parent`.
    pub fn section<'a>(&mut self, parent: &'a DeTable<'t>, empty: &'a DeTable<'t>, name: &str) -> Section<'a, 't> {
        let key = name.rsplit('.').next().unwrap_or(name);
        let (table, span) = match parent.get(key) {
            Some(value) => match value.get_ref() {
                DeValue::Table(table) => (table, value.span()),
                other => {
                    let problem = format!("a table expected, as [{name}], not {}", kind(other));
                    self.mistake("", name, Some(value), problem);
                    (empty, value.span())
                }
            },
            None => (empty, 0..0),
        };
        Section { name: name.to_owned(), table, span }
    }

    pub fn string(&mut self, section: &Section<'_, 't>, key: &str) -> Option<String> {
        self.read(section, key, |text| Ok(text.to_owned()))
    }

    /// A string with a syntax of its own.
    pub fn read<T>(
        &mut self,
        section: &Section<'_, 't>,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let value = section.table.get(key)?;
        let problem = match value.get_ref() {
            DeValue::String(text) if text.chars().any(char::is_control) => {
                "control characters are not allowed".to_owned()
            }
            DeValue::String(text) => match parse(text) {
                Ok(parsed) => return Some(parsed),
                Err(error) => error.to_string(),
            },
            other => format!("a text in quotes expected, not {}", kind(other)),
        };
        self.mistake(&section.name, key, Some(value), problem);
        None
    }

    pub fn boolean(&mut self, section: &Section<'_, 't>, key: &str) -> Option<bool> {
        let value = section.table.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(is) => Some(*is),
            other => {
                self.mistake(&section.name, key, Some(value), format!("true or false expected, not {}", kind(other)));
                None
            }
        }
    }

    /// - `unit`: as ` seconds`, or empty.
    pub fn integer(
        &mut self,
        section: &Section<'_, 't>,
        key: &str,
        allowed: RangeInclusive<i64>,
        unit: &str,
    ) -> Option<i64> {
        let value = section.table.get(key)?;
        if let DeValue::Integer(written) = value.get_ref()
            && let Ok(number) = i64::from_str_radix(written.as_str(), written.radix())
            && allowed.contains(&number)
        {
            return Some(number);
        }
        let problem = format!("a whole number from {} to {}{unit} expected", allowed.start(), allowed.end());
        self.mistake(&section.name, key, Some(value), problem);
        None
    }

    /// A number with or without a fraction.
    pub fn number(
        &mut self,
        section: &Section<'_, 't>,
        key: &str,
        allowed: RangeInclusive<f32>,
        unit: &str,
    ) -> Option<f32> {
        let value = section.table.get(key)?;
        let number = match value.get_ref() {
            DeValue::Float(written) => written.as_str().parse().ok(),
            DeValue::Integer(written) => written.as_str().parse().ok().filter(|_| written.radix() == 10),
            _ => None,
        };
        if let Some(number) = number.filter(|n| allowed.contains(n)) {
            return Some(number);
        }
        let problem = format!("a number from {} to {}{unit} expected", allowed.start(), allowed.end());
        self.mistake(&section.name, key, Some(value), problem);
        None
    }

    /// An array of texts that means something as a whole.
    pub fn list<T>(
        &mut self,
        section: &Section<'_, 't>,
        key: &str,
        parse: impl FnOnce(&[&str]) -> Result<T, ValueError>,
    ) -> Option<T> {
        let value = section.table.get(key)?;
        let texts: Option<Vec<&str>> =
            value.get_ref().as_array().and_then(|a| a.iter().map(|v| v.get_ref().as_str()).collect());
        let parsed = match texts {
            Some(texts) => parse(&texts),
            None => Err(ValueError::new("a list of texts in quotes expected, as [\"opus\", \"pcmu\"]")),
        };
        parsed.map_err(|error| self.mistake(&section.name, key, Some(value), error)).ok()
    }

    /// Keys that mean nothing here, with the known one that looks most alike.
    ///
    /// - `all`: every section and its keys, to tell where a key belongs.
    pub fn unknown_keys(&mut self, section: &Section<'_, 't>, known: &[&str], all: &[(&str, &[&str])]) {
        for key in section.table.keys() {
            let (span, key) = (key.span(), key.get_ref().as_ref());
            if known.contains(&key) {
                continue;
            }
            let nearest = known.iter().map(|k| (distance(k, key), *k)).min().filter(|(d, k)| *d <= 1 + k.len() / 4);
            let elsewhere = all.iter().find(|(_, keys)| keys.contains(&key)).map(|(name, _)| *name);
            let problem = match (nearest, elsewhere) {
                (_, Some("")) => "unknown key here; it belongs to the top of the file, before any [section]".to_owned(),
                (_, Some(name)) => format!("unknown key here; it belongs to {name}"),
                (Some((_, nearest)), None) => format!("unknown key; did you mean `{nearest}`?"),
                (None, None) => format!("unknown key; known are {}", known.join(", ")),
            };
            self.push(&section.name, key, Some(span), None, problem);
        }
    }

    /// Something is wrong with a value, or with its absence.
    pub fn mistake(&mut self, section: &str, key: &str, value: Option<&Spanned<DeValue<'t>>>, problem: impl Display) {
        let hidden = matches!(key, "password" | "ha1") || value.is_some_and(|value| value.get_ref().is_table());
        let span = value.map(Spanned::span);
        let written = span.clone().and_then(|span| self.text.get(span)).and_then(|text| text.lines().next());
        let written = written.filter(|_| !hidden).map(|text| Untrusted::new(text).sanitize(SHOWN));
        self.push(section, key, span, written, problem.to_string());
    }

    /// Something is wrong with a section as a whole.
    pub fn section_mistake(&mut self, section: &Section<'_, 't>, key: &str, problem: impl Display) {
        self.push(&section.name, key, Some(section.span.clone()), None, problem.to_string());
    }

    fn push(&mut self, section: &str, key: &str, span: Option<Range<usize>>, value: Option<String>, problem: String) {
        let line = span.map(|span| line_of(self.text, span.start));
        let (section, key) = (section.to_owned(), Untrusted::new(key).sanitize(SHOWN));
        self.mistakes.push(Mistake { line, section, key, value, problem });
    }
}

/// From 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Insertions, deletions and replacements that make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes().take(64)) {
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let rows = [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("expiry", "expire", 1),
            ("codecs", "codec", 1),
            ("user", "domain", 6),
        ];
        for (a, b, expected) in rows {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }
}
