//! `name-addr` and `addr-spec` with header parameters: From, To, Contact, Route, Record-Route, Refer-To (RFC 3261 §20.10).
use super::text::{quote, quoted_string, trim};
use super::{HeaderError, Params, Uri};
use std::fmt;

#[derive(Clone, Debug)]
pub struct NameAddr {
    /// Display name without its quotes and escapes.
    pub display: Option<String>,
    pub uri: Uri,
    /// Header parameters, such as `tag`, `expires`, `q`.
    pub params: Params,
}

impl NameAddr {
    pub fn new(uri: Uri) -> Self {
        Self { display: None, uri, params: Params::default() }
    }

    pub fn parse(value: &str) -> Result<Self, HeaderError> {
        let value = trim(value);
        let (display, rest) = match quoted_string(value) {
            Some((display, rest)) => (display, trim(rest)),
            None => {
                let (display, rest) = value.split_at(value.find('<').unwrap_or(0));
                // Wider than the grammar's tokens, but a comma or a quote left over means broken quoting.
                if display.contains(['"', ',', ';', '\\']) {
                    return Err(HeaderError::Malformed("name-addr"));
                }
                (trim(display).to_owned(), rest)
            }
        };
        let (uri, params) = match rest.strip_prefix('<') {
            Some(inner) => inner.split_once('>').ok_or(HeaderError::Malformed("name-addr"))?,
            // In an addr-spec without brackets all parameters are the header's, and `?` and `,` may not occur.
            None if display.is_empty() => {
                let (uri, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
                if uri.contains(['?', ',']) {
                    return Err(HeaderError::Uri);
                }
                (trim(uri), params)
            }
            None => return Err(HeaderError::Malformed("name-addr")),
        };
        let display = (!display.is_empty()).then_some(display);
        let params = Params::parse(params).ok_or(HeaderError::Malformed("header parameters"))?;
        Ok(Self { display, uri: Uri::parse(uri)?, params })
    }

    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }

    pub fn with_tag(mut self, tag: &str) -> Self {
        self.params.set("tag", Some(tag));
        self
    }
}

impl fmt::Display for NameAddr {
    /// Always with angle brackets; the display name quoted and escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", quote(display))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_values_are_refused() {
        let rows = [
            "",
            "*",
            "\"Mr. J. User <sip:j.user@example.com>",
            "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
            "\"Watson, Thomas\" < sip:t.watson@example.org >",
            "<sip:a@b",
            "sip:a@b>",
            "<sip:a@b> x",
            "\"a\" sip:a@b",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
            "<sip:a@b>;tag=a b",
            "sip:a@b, sip:c@d",
            "\"a\" \"b\" <sip:a@b>",
        ];
        for text in rows {
            assert!(NameAddr::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn parts_are_found_and_printed() {
        let rows = [
            ("sip:a@b", None, "<sip:a@b>"),
            ("sip:a@b;tag=1;x", None, "<sip:a@b>;tag=1;x"),
            ("<sip:a@b;x>;tag=1", None, "<sip:a@b;x>;tag=1"),
            ("caller<sip:caller@example.com>;tag=323", Some("caller"), "\"caller\" <sip:caller@example.com>;tag=323"),
            ("J. Doe (home) <sip:a@b>", Some("J. Doe (home)"), "\"J. Doe (home)\" <sip:a@b>"),
            (
                r#""J Rosenberg \\\""       <sip:jdrosen@example.com>  ;  tag = 98asjd8"#,
                Some(r#"J Rosenberg \""#),
                r#""J Rosenberg \\\"" <sip:jdrosen@example.com>;tag=98asjd8"#,
            ),
            (r#""a <b>, c" <tel:+12>"#, Some("a <b>, c"), r#""a <b>, c" <tel:+12>"#),
            (r#""" <sip:a@b>"#, None, "<sip:a@b>"),
            ("<sip:a@b?h=v>;q=0.5", None, "<sip:a@b?h=v>;q=0.5"),
        ];
        for (text, display, printed) in rows {
            let value = NameAddr::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(value.display.as_deref(), display, "{text}");
            assert_eq!(value.to_string(), printed, "{text}");
            assert_eq!(NameAddr::parse(printed).unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn a_parameter_belongs_to_the_uri_only_inside_brackets() {
        let bare = NameAddr::parse("sip:a@b;unknownparam").unwrap();
        assert!(bare.params.has("unknownparam") && !bare.uri.params.has("unknownparam"));
        let bracketed = NameAddr::parse("<sip:a@b;unknownparam>").unwrap();
        assert!(!bracketed.params.has("unknownparam") && bracketed.uri.params.has("unknownparam"));
        assert_eq!(bracketed.with_tag("t").tag(), Some("t"));
    }
}
