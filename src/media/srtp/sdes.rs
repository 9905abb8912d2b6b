//! Suites and master keys as signalling carries them (RFC 4568 §6.2, RFC 6188 §4, RFC 7714 §14.2), and who asks for them.
use crate::base::rng::Rng;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Whether the calls of an account are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Never; a peer that insists is refused.
    #[default]
    Off,
    /// Where the peer can (RFC 8643).
    Preferred,
    /// Always, or there is no call.
    Required,
}

/// How the keys of encrypted calls are agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Agreement {
    /// Either: what the peer can, DTLS first.
    #[default]
    Auto,
    /// In the descriptions, where every server on the way reads them.
    Sdes,
    /// By a handshake between the two phones.
    Dtls,
}

/// How packets are encrypted and authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    AeadAes256Gcm,
    AeadAes128Gcm,
    Aes256CmSha1Tag80,
    Aes256CmSha1Tag32,
    Aes128CmSha1Tag80,
    Aes128CmSha1Tag32,
}

impl Suite {
    /// What is accepted.
    pub const ALL: [Self; 6] = [
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm,
        Self::Aes256CmSha1Tag80,
        Self::Aes256CmSha1Tag32,
        Self::Aes128CmSha1Tag80,
        Self::Aes128CmSha1Tag32,
    ];

    /// What is offered, in this order: the best, and the one that everybody has. More lines would make an INVITE too
    /// large for a datagram.
    pub const OFFERED: [Self; 3] = [Self::AeadAes256Gcm, Self::AeadAes128Gcm, Self::Aes128CmSha1Tag80];

    /// As registered for `a=crypto`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::Aes256CmSha1Tag80 => "AES_256_CM_HMAC_SHA1_80",
            Self::Aes256CmSha1Tag32 => "AES_256_CM_HMAC_SHA1_32",
            Self::Aes128CmSha1Tag80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Aes128CmSha1Tag32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// Names are compared as RFC 4568 §9.2 writes them, but peers vary in case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// For the user.
    pub fn words(self) -> &'static str {
        match self {
            Self::AeadAes256Gcm => "AES-256-GCM",
            Self::AeadAes128Gcm => "AES-128-GCM",
            Self::Aes256CmSha1Tag80 => "AES-256",
            Self::Aes256CmSha1Tag32 => "AES-256, short tags",
            Self::Aes128CmSha1Tag80 => "AES-128",
            Self::Aes128CmSha1Tag32 => "AES-128, short tags",
        }
    }

    /// \[octets\]
    pub fn key_length(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::Aes256CmSha1Tag80 | Self::Aes256CmSha1Tag32 => 32,
            Self::AeadAes128Gcm | Self::Aes128CmSha1Tag80 | Self::Aes128CmSha1Tag32 => 16,
        }
    }

    /// \[octets\]
    pub fn salt_length(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 12,
            Self::Aes256CmSha1Tag80 | Self::Aes256CmSha1Tag32 | Self::Aes128CmSha1Tag80 | Self::Aes128CmSha1Tag32 => 14,
        }
    }

    /// What authenticates an SRTP packet, at its end \[octets\].
    pub fn rtp_tag_length(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 16,
            Self::Aes256CmSha1Tag80 | Self::Aes128CmSha1Tag80 => 10,
            Self::Aes256CmSha1Tag32 | Self::Aes128CmSha1Tag32 => 4,
        }
    }

    /// What follows the encrypted part of an SRTCP packet: index and tag (RFC 3711 §3.4, RFC 7714 §9) \[octets\].
    pub fn rtcp_trailer_length(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 16 + 4,
            // The short tags are for RTP only (RFC 4568 §6.2.2).
            Self::Aes256CmSha1Tag80 | Self::Aes256CmSha1Tag32 | Self::Aes128CmSha1Tag80 | Self::Aes128CmSha1Tag32 => {
                4 + 10
            }
        }
    }

    /// How far the SRTCP index stands before the end of a packet \[octets\].
    pub fn rtcp_index_from_end(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 4,
            Self::Aes256CmSha1Tag80 | Self::Aes256CmSha1Tag32 | Self::Aes128CmSha1Tag80 | Self::Aes128CmSha1Tag32 => {
                4 + 10
            }
        }
    }
}

/// A master key and its salt: wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey(Vec<u8>);

impl MasterKey {
    /// - `octets`: the key, then the salt; `None` unless they have the suite's lengths.
    pub fn new(suite: Suite, octets: &[u8]) -> Option<Self> {
        (octets.len() == suite.key_length() + suite.salt_length()).then(|| Self(octets.to_vec()))
    }

    pub fn random(suite: Suite, rng: &mut Rng) -> Self {
        let mut octets = vec![0; suite.key_length() + suite.salt_length()];
        rng.fill(&mut octets);
        Self(octets)
    }

    /// Key and salt together. Call it only where they are consumed.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// Key and salt apart.
    pub fn split(&self, suite: Suite) -> (&[u8], &[u8]) {
        self.0.split_at_checked(suite.key_length()).unwrap_or_default()
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// What an exchange agreed on: one suite, and a key for each direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    pub suite: Suite,
    pub send: MasterKey,
    pub receive: MasterKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_lengths_of_their_suite() {
        // RFC 4568 §6.2.1, RFC 6188 §4, RFC 7714 §14.2 [octets].
        let rows = [
            ("AES_CM_128_HMAC_SHA1_80", 16, 14),
            ("AES_CM_128_HMAC_SHA1_32", 16, 14),
            ("AES_256_CM_HMAC_SHA1_80", 32, 14),
            ("AES_256_CM_HMAC_SHA1_32", 32, 14),
            ("AEAD_AES_128_GCM", 16, 12),
            ("AEAD_AES_256_GCM", 32, 12),
        ];
        for (name, key, salt) in rows {
            let suite = Suite::from_name(name).expect(name);
            assert_eq!((suite.name(), suite.key_length(), suite.salt_length()), (name, key, salt));
            for wrong in [0, 1, key, key + salt - 1, key + salt + 1, 1000] {
                assert_eq!(MasterKey::new(suite, &vec![1; wrong]), None, "{name} {wrong}");
            }
            let made = MasterKey::random(suite, &mut Rng::from_u64(1));
            assert_eq!((made.split(suite).0.len(), made.split(suite).1.len()), (key, salt));
            assert_ne!(made, MasterKey::random(suite, &mut Rng::from_u64(2)));
        }
        assert_eq!(Suite::from_name("F8_128_HMAC_SHA1_80"), None);
    }

    #[test]
    fn keys_are_never_printed() {
        let keys =
            Keys { suite: Suite::AeadAes128Gcm, send: MasterKey(vec![77; 28]), receive: MasterKey(vec![78; 28]) };
        let text = format!("{keys:?}");
        assert!(!text.contains("77") && !text.contains("78"), "{text}");
    }
}
