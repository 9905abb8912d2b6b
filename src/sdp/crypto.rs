//! The `a=crypto` attribute (RFC 4568 §5, §6) and what offer and answer make of it (§5.1, §7.1; RFC 8643).
use super::SdpError;
use super::session::{Attribute, MediaLine};
use crate::media::srtp::sdes::{Keys, MasterKey, Policy, Suite};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Not every peer writes the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Crypto lines of a media line that are looked at.
const MAX_LINES: usize = 32;
/// The longest line that makes sense \[octets\]: a key of 46 octets in base64 with all its parameters.
const MAX_LENGTH: usize = 512;
/// RFC 3711 §9.2: no more SRTP packets than this may share a key.
const MAX_LIFETIME: u64 = 1 << 48;
/// RFC 4568 §6.3.7: the smallest replay window that may be asked for.
const MIN_WINDOW: u32 = 64;

/// One line that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crypto {
    pub tag: u32,
    pub suite: Suite,
    pub key: MasterKey,
}

impl Crypto {
    /// # Errors
    /// Why the line cannot be used, in words: it is malformed, or asks for what we do not have. By RFC 4568 §7.1.2 such
    /// a line is passed over.
    fn read(value: &str) -> Result<Self, &'static str> {
        if value.len() > MAX_LENGTH {
            return Err("it is too long");
        }
        let mut words = value.split_ascii_whitespace();
        let (tag, suite, keys) = match (words.next(), words.next(), words.next()) {
            (Some(tag), Some(suite), Some(keys)) => (tag, suite, keys),
            _ => return Err("it is incomplete"),
        };
        let tag = number(tag, 9).ok_or("its tag is not a number")?;
        let tag = u32::try_from(tag).map_err(|_| "its tag is not a number")?;
        let suite = Suite::from_name(suite).ok_or("its suite is unknown")?;
        let key = read_key(suite, keys)?;
        words.try_for_each(check_parameter)?;
        Ok(Self { tag, suite, key })
    }

    pub fn attribute(&self) -> Attribute {
        let key = Zeroizing::new(BASE64.encode(self.key.reveal()));
        let value = Zeroizing::new(format!("{} {} inline:{}", self.tag, self.suite.name(), key.as_str()));
        Attribute::new("crypto", Some(&value))
    }
}

/// `inline:` key and salt in base64, then perhaps a lifetime and a master key identifier.
fn read_key(suite: Suite, text: &str) -> Result<MasterKey, &'static str> {
    if text.contains(';') {
        return Err("it has several keys");
    }
    let inline = text.get(.."inline:".len()).filter(|method| method.eq_ignore_ascii_case("inline:"));
    let rest = inline.and_then(|method| text.get(method.len()..)).ok_or("its key method is unknown")?;
    let mut parts = rest.split('|');
    let encoded = parts.next().unwrap_or_default();
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => {}
        (Some(lifetime), None, _) if is_lifetime(lifetime) => {}
        (Some(part), None, _) if !part.contains(':') => return Err("its lifetime makes no sense"),
        // Our packets carry none, and without it the peer could not read them.
        (Some(_), None, _) | (Some(_), Some(_), None) => return Err("it asks for a master key identifier"),
        (Some(_), Some(_), Some(_)) => return Err("it is malformed"),
    }
    let octets = Zeroizing::new(BASE64.decode(encoded).map_err(|_| "its key is not base64")?);
    MasterKey::new(suite, &octets).ok_or("its key has the wrong length")
}

/// A number of packets, or `2^` its logarithm (RFC 4568 §6.1). It limits the peer, who counts them.
fn is_lifetime(text: &str) -> bool {
    match text.strip_prefix("2^") {
        Some(power) => number(power, 2).is_some_and(|power| power <= 48),
        None => number(text, 15).is_some_and(|packets| (1..=MAX_LIFETIME).contains(&packets)),
    }
}

/// Session parameters (RFC 4568 §6.3): what we do without is accepted, what we would have to do is not.
fn check_parameter(text: &str) -> Result<(), &'static str> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    match (name.to_ascii_uppercase().as_str(), value) {
        // By its leading hyphen it may be ignored (RFC 4568 §6.3.8).
        (optional, _) if optional.starts_with('-') => Ok(()),
        ("WSH", Some(size)) if number(size, 5).is_some_and(|size| size >= u64::from(MIN_WINDOW)) => Ok(()),
        ("WSH", _) => Err("its window size makes no sense"),
        // Of forward error correction, which is not used here, only the order is said.
        ("FEC_ORDER", Some("FEC_SRTP" | "SRTP_FEC")) => Ok(()),
        ("KDR", _) => Err("it asks for a key derivation rate"),
        ("UNENCRYPTED_SRTP" | "UNENCRYPTED_SRTCP", _) => Err("it would leave packets unencrypted"),
        ("UNAUTHENTICATED_SRTP", _) => Err("it would leave packets unauthenticated"),
        _ => Err("it asks for a parameter that is unknown"),
    }
}

/// Decimal digits without a leading zero.
fn number(text: &str, digits: usize) -> Option<u64> {
    let plain = (1..=digits).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    if plain && !leading { text.parse().ok() } else { None }
}

fn values(line: &MediaLine) -> impl Iterator<Item = &str> {
    let named = line.attributes.iter().filter(|a| a.name.eq_ignore_ascii_case("crypto"));
    named.map(|a| a.value.as_deref().unwrap_or_default()).take(MAX_LINES)
}

/// The lines that can be used, in the order of preference of who wrote them; of equal tags the first.
pub(super) fn usable(line: &MediaLine) -> Vec<Crypto> {
    let mut out: Vec<Crypto> = Vec::new();
    for crypto in values(line).filter_map(|value| Crypto::read(value).ok()) {
        if out.iter().all(|other| other.tag != crypto.tag) {
            out.push(crypto);
        }
    }
    out
}

/// The line of an offer that is accepted: the first that can be.
///
/// # Errors
/// The policies do not meet.
pub(super) fn choose(line: &MediaLine, policy: Policy) -> Result<Option<Crypto>, SdpError> {
    let secure = line.protocol.is_secure();
    let first = || usable(line).into_iter().next();
    match policy {
        Policy::Off if secure => Err(SdpError::SrtpNotWanted),
        Policy::Off => Ok(None),
        Policy::Preferred | Policy::Required => match (first(), values(line).next()) {
            (Some(crypto), _) => Ok(Some(crypto)),
            (None, Some(value)) if secure || policy == Policy::Required => {
                Err(SdpError::Crypto(Crypto::read(value).err().unwrap_or("it cannot be used")))
            }
            (None, None) if secure => Err(SdpError::Crypto("there is none")),
            (None, None) if policy == Policy::Required => Err(SdpError::SrtpRequired),
            (None, _) => Ok(None),
        },
    }
}

/// What our offer and its answer agree on. An answer takes one line of the offer as it is (RFC 4568 §5.1.3), or none:
/// then the media is clear, which only a best effort allows.
///
/// # Errors
/// The answer is another than was asked for.
pub(super) fn answered(offer: &MediaLine, answer: &MediaLine, policy: Policy) -> Result<Option<Keys>, SdpError> {
    let ours = usable(offer);
    let mut theirs = values(answer);
    match (theirs.next(), theirs.next()) {
        _ if ours.is_empty() && policy == Policy::Off => Ok(None),
        (None, _) if offer.protocol.is_secure() || policy == Policy::Required => Err(SdpError::SrtpRequired),
        (None, _) => Ok(None),
        (Some(_), _) if ours.is_empty() => Err(SdpError::SdesNotWanted),
        (Some(_), Some(_)) => Err(SdpError::CryptoAnswer("it has several crypto lines")),
        (Some(value), None) => {
            let taken = Crypto::read(value).map_err(SdpError::CryptoAnswer)?;
            match ours.into_iter().find(|line| line.tag == taken.tag) {
                None => Err(SdpError::CryptoAnswer("its tag was not offered")),
                Some(line) if line.suite != taken.suite => Err(SdpError::CryptoAnswer("it changes the suite")),
                // Our own key, sent back: who does so has none.
                Some(line) if line.key == taken.key => Err(SdpError::CryptoAnswer("it repeats our key")),
                Some(line) => Ok(Some(Keys { suite: line.suite, send: line.key, receive: taken.key })),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 30 octets.
    const KEY_30: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn lines_that_cannot_be_used() {
        let b64 = |octets: usize| BASE64.encode(vec![7; octets]);
        let with = |suite: &str, octets: usize| format!("1 {suite} inline:{}", b64(octets));
        let plain = |tail: &str| format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}{tail}");
        let rows = [
            (String::new(), "it is incomplete"),
            ("1 AES_CM_128_HMAC_SHA1_80".into(), "it is incomplete"),
            (format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}"), "its tag is not a number"),
            (format!("01 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}"), "its tag is not a number"),
            (format!("-1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}"), "its tag is not a number"),
            (format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}"), "its tag is not a number"),
            (with("F8_128_HMAC_SHA1_80", 30), "its suite is unknown"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 uri:{KEY_30}"), "its key method is unknown"),
            ("1 AES_CM_128_HMAC_SHA1_80 é".into(), "its key method is unknown"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:".into(), "its key has the wrong length"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:!!!!".into(), "its key is not base64"),
            (plain("="), "its key is not base64"),
            (with("AES_CM_128_HMAC_SHA1_80", 29), "its key has the wrong length"),
            (with("AES_CM_128_HMAC_SHA1_32", 31), "its key has the wrong length"),
            (with("AES_CM_128_HMAC_SHA1_80", 46), "its key has the wrong length"),
            (with("AES_256_CM_HMAC_SHA1_80", 30), "its key has the wrong length"),
            (with("AEAD_AES_128_GCM", 30), "its key has the wrong length"),
            (with("AEAD_AES_256_GCM", 46), "its key has the wrong length"),
            (plain("|2^49"), "its lifetime makes no sense"),
            (plain("|0"), "its lifetime makes no sense"),
            (plain("|281474976710657"), "its lifetime makes no sense"),
            (plain("|2^"), "its lifetime makes no sense"),
            (plain("|"), "its lifetime makes no sense"),
            (plain("|1:4"), "it asks for a master key identifier"),
            (plain("|2^20|1:4"), "it asks for a master key identifier"),
            (plain("|2^20|1:4|x"), "it is malformed"),
            (format!("{};inline:{KEY_30}", plain("")), "it has several keys"),
            (plain(" KDR=1"), "it asks for a key derivation rate"),
            (plain(" KDR=0"), "it asks for a key derivation rate"),
            (plain(" UNENCRYPTED_SRTP"), "it would leave packets unencrypted"),
            (plain(" UNENCRYPTED_SRTCP"), "it would leave packets unencrypted"),
            (plain(" UNAUTHENTICATED_SRTP"), "it would leave packets unauthenticated"),
            (plain(" FEC_KEY=inline:x"), "it asks for a parameter that is unknown"),
            (plain(" NEW=1"), "it asks for a parameter that is unknown"),
            (plain(" WSH=63"), "its window size makes no sense"),
            (plain(" WSH"), "its window size makes no sense"),
            (plain(&" -X".repeat(300)), "it is too long"),
        ];
        for (line, why) in rows {
            assert_eq!(Crypto::read(&line), Err(why), "{line}");
        }
    }

    #[test]
    fn lines_that_can() {
        let plain = |tail: &str| format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}{tail}");
        for line in [
            plain(""),
            plain("|2^20"),
            plain("|2^48"),
            plain("|1048576"),
            plain("|281474976710656 WSH=64 -NEW=1 FEC_ORDER=FEC_SRTP"),
            format!("1  aes_cm_128_hmac_sha1_80\tINLINE:{KEY_30}"),
        ] {
            let read = Crypto::read(&line).expect(&line);
            assert_eq!((read.tag, read.suite), (1, Suite::Aes128CmSha1Tag80));
            assert_eq!(read.key.reveal(), b"YS___semctl () {\t220;}\n}\nunles", "the example of RFC 4568");
        }
        for suite in Suite::ALL {
            let octets = vec![9; suite.key_length() + suite.salt_length()];
            let key = MasterKey::new(suite, &octets).expect("lengths");
            let line = Crypto { tag: 7, suite, key }.attribute().value.expect("value");
            assert_eq!(Crypto::read(&line).map(|c| c.attribute().value), Ok(Some(line.clone())));
            let unpadded = line.trim_end_matches('=');
            assert_eq!(Crypto::read(unpadded).map(|c| c.suite), Ok(suite), "without padding");
        }
    }
}
