//! `name-addr` and `addr-spec` with header parameters: From, To, Contact, Route, Record-Route, Refer-To (RFC 3261 §20.10).
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
    pub fn new(_uri: Uri) -> Self {
        unimplemented!()
    }
    pub fn parse(_value: &str) -> Result<Self, HeaderError> {
        unimplemented!()
    }
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }
    pub fn with_tag(self, _tag: &str) -> Self {
        unimplemented!()
    }
}

impl fmt::Display for NameAddr {
    /// Always with angle brackets; the display name quoted and escaped.
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}
