//! How an account is named to those who are called, and who may call without a name.
use super::reader::{Reader, Section};
use super::values::ValueError;
use crate::ua::caller_id::{CallerId, PrivateBy};

pub(super) fn read<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> CallerId {
    CallerId {
        identity: reader.read(section, "identity", identity).unwrap_or_default(),
        private: reader.boolean(section, "private").unwrap_or_default(),
        private_by: reader.read(section, "private_by", private_by).unwrap_or_default(),
        private_prefix: reader.read(section, "private_prefix", prefix).unwrap_or_default(),
        refuse_anonymous: reader.boolean(section, "refuse_anonymous").unwrap_or_default(),
    }
}

/// `sip:USER@HOST`, or a name and that in angle brackets; empty for none.
fn identity(text: &str) -> Result<String, ValueError> {
    let uri = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>'),
        None => Some(text),
    };
    let is_address = |uri: &str| {
        let rest = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("sips:")).or_else(|| uri.strip_prefix("tel:"));
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | ',' | '?');
        rest.is_some_and(|rest| {
            !rest.is_empty() && rest.chars().all(plain) && (uri.starts_with("tel:") || rest.contains('@'))
        })
    };
    match uri {
        _ if text.is_empty() => Ok(String::new()),
        Some(uri) if is_address(uri) => Ok(text.to_owned()),
        _ => Err(ValueError::new("an address expected, as \"Alice <sip:+49301@pbx.example>\" or \"tel:+49301\"")),
    }
}

fn private_by(text: &str) -> Result<PrivateBy, ValueError> {
    match text {
        "phone" => Ok(PrivateBy::Phone),
        "server" => Ok(PrivateBy::Server),
        _ => Err(ValueError::new("phone or server expected")),
    }
}

fn prefix(text: &str) -> Result<String, ValueError> {
    let is_dialled = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#' | '+'));
    if is_dialled && text.len() <= 16 { Ok(text.to_owned()) } else { Err(ValueError::new("digits, * and # expected")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_be_named_by() {
        for bad in ["Alice", "sip:", "sip:host", "<sip:a@b", "A <mailto:a@b>", "sip:a b@h", "tel:", "sip:a@b, sip:c@d"]
        {
            assert!(identity(bad).is_err(), "{bad}");
        }
        for good in ["", "sip:a@b", "\"Alice D.\" <sip:+49301@pbx.example>", "tel:+49301", "A <sips:a@b;user=phone>"] {
            assert_eq!(identity(good).as_deref(), Ok(good));
        }
    }
}
