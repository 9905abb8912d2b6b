//! The names of a party that does not want to be known (RFC 3323, RFC 3325 §9.3): they are found in the message that says so,
//! and overwritten in all messages of its call from there on.
use super::mask::MASK;
use super::wire::header;
use std::sync::Arc;

/// Headers that name who sent a request, with their compact names.
const SENDER: [(&str, char); 5] =
    [("From", 'f'), ("Contact", 'm'), ("Reply-To", '\0'), ("P-Preferred-Identity", '\0'), ("Referred-By", 'b')];
/// And by which servers name who sent a message.
const ASSERTED: [(&str, char); 2] = [("P-Asserted-Identity", '\0'), ("Remote-Party-ID", '\0')];
/// Most names kept of one call.
const MOST: usize = 16;
/// Whose addresses name nobody.
const NOBODY: [&str; 4] = ["anonymous", "restricted", "unavailable", "unknown"];

/// Users of addresses, and names that stand before addresses.
pub type Names = Arc<Vec<String>>;

/// The names known before, and those of a message whose sender does not want to be known.
pub fn learn(known: &Names, bytes: &[u8]) -> Names {
    if !hides_sender(bytes) {
        return Arc::clone(known);
    }
    // Who answers is in To, and asserted.
    let is_response = bytes.starts_with(b"SIP/2.0");
    let own: &[(&str, char)] = if is_response { &[("To", 't'), ("Contact", 'm')] } else { &SENDER };
    let mut names = known.to_vec();
    for value in own.iter().chain(&ASSERTED).filter_map(|(name, short)| header(bytes, name, *short)) {
        for name in parts(value) {
            let is_nobody = NOBODY.iter().any(|nobody| name.eq_ignore_ascii_case(nobody));
            if !name.is_empty() && !is_nobody && names.len() < MOST && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    if names.len() == known.len() { Arc::clone(known) } else { Arc::new(names) }
}

fn hides_sender(bytes: &[u8]) -> bool {
    let wishes = header(bytes, "Privacy", '\0').unwrap_or_default().split([';', ',']);
    let asked = wishes.map(str::trim).any(|wish| wish.eq_ignore_ascii_case("id") || wish.eq_ignore_ascii_case("user"));
    let party = header(bytes, "Remote-Party-ID", '\0').unwrap_or_default().to_ascii_lowercase();
    let party = party.split(';').any(|param| matches!(param.trim(), "privacy=full" | "privacy=name" | "privacy=uri"));
    let from = header(bytes, "From", 'f').map(users).unwrap_or_default();
    let nobody = from.iter().any(|user| NOBODY.iter().any(|nobody| user.eq_ignore_ascii_case(nobody)));
    asked || party || (nobody && !bytes.starts_with(b"SIP/2.0"))
}

/// The users and the names of a header's addresses.
fn parts(value: &str) -> Vec<&str> {
    let quoted = value.split('"').skip(1).step_by(2);
    let plain = value.split('<').next().filter(|before| before.len() < value.len() && !before.contains('"'));
    users(value).into_iter().chain(quoted).chain(plain.map(str::trim)).collect()
}

fn users(value: &str) -> Vec<&str> {
    let mut users = Vec::new();
    for (at, _) in value.match_indices(':').filter(|(at, _)| is_scheme(value.as_bytes(), *at + 1)) {
        let rest = value.get(at + 1..).unwrap_or_default();
        let length = rest.find(['@', ';', '>', ',', '?', ' ']).unwrap_or(rest.len());
        let user = rest.get(..length).unwrap_or_default();
        let has_host =
            rest.get(length..).is_some_and(|after| after.split(['>', ',']).next().unwrap_or_default().contains('@'));
        let is_number = value.get(..=at).is_some_and(|before| before.to_ascii_lowercase().ends_with("tel:"));
        if has_host || is_number {
            users.push(user);
        }
    }
    users
}

/// Whether the scheme of an address ends here.
fn is_scheme(bytes: &[u8], at: usize) -> bool {
    let ends = |scheme: &[u8]| {
        at.checked_sub(scheme.len())
            .and_then(|from| bytes.get(from..at))
            .is_some_and(|s| s.eq_ignore_ascii_case(scheme))
    };
    ends(b"sip:") || ends(b"sips:") || ends(b"tel:")
}

/// Overwrites the names where they stand as the user of an address or before one; the message keeps its length.
pub fn overwrite(names: &[String], bytes: &mut [u8]) {
    for name in names {
        let mut from = 0;
        while let Some(at) = find(bytes, name.as_bytes(), from) {
            let end = at + name.len();
            from = end;
            let (before, after) = (at.checked_sub(1).and_then(|at| bytes.get(at)).copied(), bytes.get(end).copied());
            let is_user = is_scheme(bytes, at) && !after.is_some_and(|b| b.is_ascii_alphanumeric());
            let is_quoted = before == Some(b'"') && after == Some(b'"');
            let rest = bytes.get(end..).unwrap_or_default();
            let is_plain = rest.iter().find(|b| !matches!(b, b' ' | b'\t')) == Some(&b'<');
            if is_user || is_quoted || (is_plain && matches!(before, Some(b' ' | b':' | b'\t'))) {
                bytes.get_mut(at..end).unwrap_or_default().fill(MASK);
            }
        }
    }
}

fn find(bytes: &[u8], part: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(part.len().max(1)).position(|window| window == part).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:1002@h SIP/2.0\r\nFrom: \"Eve\" <sip:666@h>;tag=1\r\nTo: <sip:1002@h>\r\n\
                          Contact: <sip:666@192.0.2.1>\r\nP-Asserted-Identity: Eve Adams <sip:+49666;x=1@h>, <tel:+49777>\r\n";

    #[test]
    fn nobody_is_hidden_who_does_not_ask_for_it() {
        let rows: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("Privacy: none\r\n", &[]),
            ("Privacy: session;critical\r\n", &[]),
            ("Privacy: id\r\n", &["666", "Eve", "+49666", "+49777", "Eve Adams"]),
            ("Privacy: header; USER\r\n", &["666", "Eve", "+49666", "+49777", "Eve Adams"]),
            ("Remote-Party-ID: <sip:9@h>;privacy=full\r\n", &["666", "Eve", "+49666", "+49777", "Eve Adams", "9"]),
        ];
        for (wish, expected) in rows {
            let names = learn(&Names::default(), format!("{INVITE}{wish}\r\n").as_bytes());
            let (mut names, mut expected) = (names.to_vec(), expected.to_vec());
            names.sort();
            expected.sort_unstable();
            assert_eq!(names, expected, "{wish:?}");
        }
        let anonymous = "INVITE sip:1@h SIP/2.0\r\nFrom: <sip:anonymous@anonymous.invalid>\r\n\
                         P-Asserted-Identity: <sip:7@h>\r\n\r\n";
        assert_eq!(*learn(&Names::default(), anonymous.as_bytes()), ["7"]);
        let answer = "SIP/2.0 200 OK\r\nFrom: <sip:1@h>\r\nTo: <sip:2@h>\r\nPrivacy: id\r\n\r\n";
        assert_eq!(*learn(&Names::default(), answer.as_bytes()), ["2"], "of an answer it is the callee");
    }

    #[test]
    fn names_are_overwritten_where_they_name_somebody_and_nowhere_else() {
        let names: Vec<String> = ["100", "Eve", "Eve Adams"].map(str::to_owned).to_vec();
        let rows = [
            ("SIP/2.0 100 Trying", "SIP/2.0 100 Trying"),
            ("Content-Length: 100", "Content-Length: 100"),
            ("To: <sip:1001@h>;tag=Eve", "To: <sip:1001@h>;tag=Eve"),
            ("BYE sip:100@h SIP/2.0", "BYE sip:xxx@h SIP/2.0"),
            ("Contact: <SIPS:100;x=1@h:100>", "Contact: <SIPS:xxx;x=1@h:100>"),
            ("P-Asserted-Identity: <tel:100>", "P-Asserted-Identity: <tel:xxx>"),
            ("From: \"Eve\" <sip:100@h>", "From: \"xxx\" <sip:xxx@h>"),
            ("From:Eve Adams<sip:a@h>", "From:xxxxxxxxx<sip:a@h>"),
        ];
        for (line, expected) in rows {
            let mut bytes = line.as_bytes().to_vec();
            overwrite(&names, &mut bytes);
            assert_eq!(String::from_utf8_lossy(&bytes), expected);
        }
    }
}
