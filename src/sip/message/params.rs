//! `;name=value` parameters of headers and URIs (RFC 3261 §7.3.1, §19.1.1).
use super::text::{find_outside, quoted_string, split_outside, trim};
use std::fmt;

/// More parameters than this in one value are malformed.
const MAX_PARAMS: usize = 64;

/// `;name=value` parameters in order; names compare without case.
///
/// A value is kept as it was written, with its quotes if it has any: see [`Params::unquoted`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// Reads what follows the value proper: nothing, or parameters each led by a semicolon. `None` when malformed.
    ///
    /// Empty parameters (`;;`) are skipped, and blanks around `;` and `=` are allowed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = trim(text);
        if text.is_empty() {
            return Some(Self::default());
        }
        let mut params = Vec::new();
        for part in split_outside(text.strip_prefix(';')?, b';').map(trim).filter(|p| !p.is_empty()) {
            let (name, value) = match find_outside(part, b'=') {
                Some(at) => (trim(part.get(..at)?), Some(trim(part.get(at + 1..)?))),
                None => (part, None),
            };
            if params.len() == MAX_PARAMS || !is_name(name) || !value.is_none_or(is_value) {
                return None;
            }
            params.push((name.to_owned(), value.map(str::to_owned)));
        }
        Some(Self(params))
    }

    /// `None` when absent, `Some(None)` when present without a value.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }

    /// The value as written; `None` when absent or without value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).flatten()
    }

    /// The value without the quotes and escapes of a quoted string.
    pub fn unquoted(&self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        Some(quoted_string(value).map_or_else(|| value.to_owned(), |(content, _)| content))
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Replaces the parameter where it stands, or appends it.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self.0.iter().position(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some(at) => {
                let mut index = 0;
                self.0.retain(|(n, _)| {
                    index += 1;
                    index - 1 == at || !n.eq_ignore_ascii_case(name)
                });
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_deref()))
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(name, value)| match value {
            Some(value) => write!(f, ";{name}={value}"),
            None => write!(f, ";{name}"),
        })
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>,;=?@\\".contains(&b))
}

/// A quoted string and nothing after it, or anything without blanks, quotes and separators of the enclosing value.
fn is_value(value: &str) -> bool {
    match quoted_string(value) {
        Some((_, rest)) => rest.is_empty(),
        None => value.chars().all(|c| !c.is_control() && !matches!(c, ' ' | '"' | '<' | '>' | ',' | ';')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_with_blanks_and_quotes() {
        let long = ";p".repeat(MAX_PARAMS + 1);
        for bad in ["x", ";=x", ";a=b c", ";a b", ";a=\"x", ";a=\"x\"y", ";a=<x>", ";a=b,c", ";\u{e9}=1", &long] {
            assert_eq!(Params::parse(bad), None, "{bad:?}");
        }
        let rows = [
            ("", ""),
            (";;", ""),
            (" ; lr ;Q = 0.5;; x=", ";lr;Q=0.5;x="),
            (r#";+sip.instance="<urn:uuid:1;2>";a"#, r#";+sip.instance="<urn:uuid:1;2>";a"#),
            (";received=2001:db8::9:255", ";received=2001:db8::9:255"),
        ];
        for (text, printed) in rows {
            assert_eq!(Params::parse(text).map(|p| p.to_string()).as_deref(), Some(printed), "{text:?}");
        }
    }

    #[test]
    fn names_compare_without_case_and_are_unique_once_set() {
        let mut params = Params::parse(";a=1;TAG=x;b;tag=y").unwrap();
        assert_eq!(params.value("tag"), Some("x"));
        assert_eq!(params.get("b"), Some(None));
        params.set("Tag", Some("z"));
        assert_eq!(params.to_string(), ";a=1;TAG=z;b");
        params.remove("A");
        params.set("rport", None);
        assert_eq!(params.to_string(), ";TAG=z;b;rport");
        params.set("i", Some(r#""<u \"n>""#));
        assert_eq!(params.unquoted("i").as_deref(), Some("<u \"n>"));
        assert_eq!(params.unquoted("tag").as_deref(), Some("z"));
    }
}
