//! Passwords and keys: wiped when dropped, never printed.
use zeroize::{Zeroize, ZeroizeOnDrop};

#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself. Call it only where the bytes are consumed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_wiped_and_never_printed() {
        fn wiped<T: ZeroizeOnDrop>(_: &T) {}
        let secret = Secret::new("hidden");
        wiped(&secret);
        assert!(!format!("{secret:?} {:#?}", Some(&secret)).contains("hidden"));
    }
}
