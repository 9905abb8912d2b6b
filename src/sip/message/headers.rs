//! The headers of one message, in order, with typed views on those that steer the protocol (RFC 3261 §20).
//!
//! Names are given in their long form and compare without case; the lexer has expanded compact names and split
//! comma lists, so that every entry holds one value.
use super::{Method, NameAddr, Via};

#[derive(Clone, Debug, Default)]
pub struct Headers(#[expect(dead_code)] rsip::Headers);

/// A header that is missing or cannot be read; the answer is 400 (RFC 3261 §21.4.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    #[error("header {0} is missing")]
    Missing(&'static str),
    #[error("header {0} cannot be read")]
    Malformed(&'static str),
    #[error("not a URI")]
    Uri,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    pub number: u32,
    pub method: Method,
}

impl Headers {
    /// The first value of that name.
    pub fn get(&self, _name: &str) -> Option<&str> {
        unimplemented!()
    }
    /// All values of that name, in order.
    pub fn all<'a>(&'a self, _name: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::empty()
    }
    /// Appends. A CR, LF or NUL in the value is replaced by a space (DESIGN: the serialiser rejects them by type).
    pub fn push(&mut self, _name: &str, _value: impl std::fmt::Display) {
        unimplemented!()
    }
    /// Puts the value before all others of any name: Via and Record-Route of a proxy.
    pub fn push_front(&mut self, _name: &str, _value: impl std::fmt::Display) {
        unimplemented!()
    }
    /// Replaces all values of that name by one.
    pub fn set(&mut self, _name: &str, _value: impl std::fmt::Display) {
        unimplemented!()
    }
    pub fn remove(&mut self, _name: &str) {
        unimplemented!()
    }
    /// Takes the first value of that name away.
    pub fn remove_first(&mut self, _name: &str) -> Option<String> {
        unimplemented!()
    }
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        std::iter::empty()
    }
    /// The topmost Via.
    pub fn via(&self) -> Result<Via, HeaderError> {
        unimplemented!()
    }
    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        unimplemented!()
    }
    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        unimplemented!()
    }
    pub fn call_id(&self) -> Result<&str, HeaderError> {
        unimplemented!()
    }
    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        unimplemented!()
    }
    /// Every value of a name-addr header (`Contact`, `Record-Route`, `Route`, `Path`, ...). `Contact: *` is not one: see `is_star_contact`.
    pub fn name_addrs(&self, _name: &'static str) -> Result<Vec<NameAddr>, HeaderError> {
        unimplemented!()
    }
    pub fn is_star_contact(&self) -> bool {
        unimplemented!()
    }
    /// A header of digits only (`Expires`, `Max-Forwards`, `Min-Expires`, `Min-SE`, `RSeq`); `None` when absent.
    pub fn number(&self, _name: &'static str) -> Result<Option<u32>, HeaderError> {
        unimplemented!()
    }
    /// Whether a token stands in a list header (`Supported`, `Require`, `Allow`, ...), without case.
    pub fn has_token(&self, _name: &str, _token: &str) -> bool {
        unimplemented!()
    }
}
