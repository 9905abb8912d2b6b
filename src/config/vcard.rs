//! Contacts from other programs: vCard 2.1, 3.0 and 4.0 (RFC 6350, RFC 2426), as far as names and numbers go.
use crate::ua::contacts::{Contact, Number};

/// Cards read of one file.
const CARDS: usize = 20_000;
/// The longest line, its folds put together \[bytes\]: pictures are longer, and skipped.
const LINE: usize = 8_192;

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cards {
    pub contacts: Vec<Contact>,
    /// Cards that have nobody to call in them.
    pub skipped: usize,
}

/// Reads a whole file. What is no vCard is passed over.
pub fn parse(text: &str) -> Cards {
    let mut cards = Cards::default();
    let mut open: Option<Contact> = None;
    for line in unfolded(text) {
        let Some(line) = Line::parse(&line) else { continue };
        match (line.name.as_str(), &mut open) {
            ("BEGIN", _) if line.value.trim().eq_ignore_ascii_case("VCARD") => {
                cards.skipped += usize::from(open.is_some());
                open = Some(Contact::default());
            }
            ("END", Some(_)) => {
                let contact = open.take().unwrap_or_default();
                let known = !contact.name.is_empty() && !contact.numbers.is_empty();
                match known && cards.contacts.len() < CARDS {
                    true => cards.contacts.push(contact),
                    false => cards.skipped += 1,
                }
            }
            (_, Some(contact)) => line.put(contact),
            (_, None) => {}
        }
    }
    cards.skipped += usize::from(open.is_some());
    cards
}

/// Lines with their folds put together; a fold begins with a blank, and in quoted-printable follows a `=` at the end.
fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for raw in text.lines() {
        let raw = raw.trim_start_matches('\u{feff}');
        let soft = |last: &String| last.ends_with('=') && last.to_ascii_uppercase().contains("QUOTED-PRINTABLE");
        match lines.last_mut() {
            Some(last) if raw.starts_with([' ', '\t']) => {
                if last.len() < LINE {
                    last.push_str(raw.get(1..).unwrap_or_default());
                }
            }
            Some(last) if soft(last) => {
                last.pop();
                if last.len() < LINE {
                    last.push_str(raw);
                }
            }
            _ => lines.push(raw.to_owned()),
        }
    }
    lines
}

/// `item1.TEL;TYPE=work:+12`
struct Line {
    /// Without its group, in upper case.
    name: String,
    /// In lower case.
    types: Vec<String>,
    value: String,
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        if line.len() > LINE {
            return None;
        }
        // A colon in a quoted parameter does not end the head.
        let mut quoted = false;
        let colon = line.find(|c| {
            quoted ^= c == '"';
            c == ':' && !quoted
        })?;
        let (head, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        let mut parts = head.split(';');
        let name = parts.next()?.rsplit('.').next()?.trim().to_ascii_uppercase();
        let (mut types, mut printable) = (Vec::new(), false);
        for part in parts {
            let part = part.to_ascii_lowercase();
            let values = part.strip_prefix("type=").unwrap_or(&part);
            printable |= part.contains("quoted-printable");
            types.extend(values.split(',').map(|v| v.trim_matches('"').to_owned()));
        }
        let value = if printable { decoded(value) } else { value.to_owned() };
        Some(Self { name, types, value })
    }

    /// Takes what is of use into the contact.
    fn put(&self, contact: &mut Contact) {
        let value = self.value.trim();
        match self.name.as_str() {
            "FN" if !value.is_empty() => contact.name = unescaped(value),
            // Family; given: used where the card has no other name.
            "N" if contact.name.is_empty() => {
                let parts: Vec<String> =
                    components(value).into_iter().map(|p| unescaped(&p).trim().to_owned()).collect();
                let part = |at: usize| parts.get(at).map_or("", String::as_str);
                contact.name = format!("{} {}", part(1), part(0)).trim().to_owned();
            }
            "ORG" if contact.name.is_empty() => {
                contact.name = components(value).first().map(|name| unescaped(name)).unwrap_or_default();
            }
            "NOTE" => contact.note = unescaped(value),
            "TEL" => self.number(contact, strip(value, "tel:").unwrap_or(value)),
            "IMPP" | "X-SIP" | "URL" => {
                let sip = strip(value, "sip:").or_else(|| strip(value, "sips:"));
                if let Some(address) = sip.or((self.name == "X-SIP").then_some(value)) {
                    self.number(contact, address);
                }
            }
            _ => {}
        }
    }

    fn number(&self, contact: &mut Contact, address: &str) {
        let address = unescaped(address.split(';').next().unwrap_or_default()).trim().to_owned();
        let fax_only = self.types.iter().any(|t| t == "fax" || t == "pager" || t == "modem");
        if address.is_empty() || fax_only {
            return;
        }
        let labels = ["work", "home", "cell", "mobile", "main", "other"];
        let label = self.types.iter().find(|t| labels.contains(&t.as_str())).map_or("", String::as_str);
        let label = if label == "cell" { "mobile" } else { label };
        let number = Number { address, label: label.to_owned() };
        // The preferred one is called first.
        if self.types.iter().any(|t| t == "pref" || t == "pref=1") {
            contact.numbers.insert(0, number);
        } else {
            contact.numbers.push(number);
        }
    }
}

fn strip<'v>(value: &'v str, scheme: &str) -> Option<&'v str> {
    let start = value.get(..scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then(|| value.get(scheme.len()..)).flatten()
}

/// Parts between semicolons that are not escaped.
fn components(value: &str) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for c in value.chars() {
        match (c, parts.last_mut()) {
            (';', _) if !escaped => parts.push(String::new()),
            (c, Some(last)) => last.push(c),
            (_, None) => {}
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

/// `\n`, `\,`, `\;` and `\\` of a text (RFC 6350 §3.4); line ends become blanks.
fn unescaped(value: &str) -> String {
    let (mut out, mut chars) = (String::new(), value.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push(' '),
                Some(c) => out.push(c),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

/// Quoted-printable of vCard 2.1 (RFC 2045 §6.7); UTF-8, else Latin-1.
fn decoded(value: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), value.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|two| *first == b'=' && two.iter().all(u8::is_ascii_hexdigit));
        let byte = hex.and_then(|two| std::str::from_utf8(two).ok()).and_then(|two| u8::from_str_radix(two, 16).ok());
        match byte {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(String, Vec<String>)>, usize) {
        let cards = parse(text);
        let numbers = |c: &Contact| c.numbers.iter().map(|n| format!("{} {}", n.address, n.label)).collect();
        (cards.contacts.iter().map(|c| (c.name.clone(), numbers(c))).collect(), cards.skipped)
    }

    #[test]
    fn bad_cards_are_skipped_and_counted() {
        let rows = [
            ("", 0),
            ("no card at all\nTEL:1", 0),
            ("BEGIN:VCARD\nFN:Alice\nTEL:1", 1),
            ("BEGIN:VCARD\nFN:Alice\nEND:VCARD", 1),
            ("BEGIN:VCARD\nTEL:1\nEND:VCARD", 1),
            ("BEGIN:VCARD\nFN:A\nTEL;TYPE=fax:1\nEND:VCARD", 1),
            ("BEGIN:VCARD\nFN:A\nTEL:1\nBEGIN:VCARD\nEND:VCARD\n", 2),
        ];
        for (text, skipped) in rows {
            assert_eq!(read(text), (vec![], skipped), "{text:?}");
        }
        let long = format!("BEGIN:VCARD\nPHOTO:{}\nFN:A\nTEL:1\nEND:VCARD", "x".repeat(LINE * 3));
        assert_eq!(read(&long), (vec![("A".into(), vec!["1 ".into()])], 0));
    }

    #[test]
    fn cards_of_all_versions_are_read() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Alice \\, Doe\r\nN:Doe;Alice;;;\r\nTEL;TYPE=WORK,VOICE:+420 555\r\n  123\r\n\
                    item1.TEL;type=CELL;type=pref:1002\r\nNOTE:first\\nsecond\r\nEND:VCARD\r\n\
                    BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Mal=C3=\n=A1;Eva\nTEL;HOME:77\nEND:VCARD\n\
                    BEGIN:VCARD\nVERSION:4.0\nORG:ACME;Sales\nTEL;VALUE=uri;TYPE=\"work,voice\":tel:+49-30-1;ext=2\n\
                    IMPP:sip:sales@acme.example;transport=tcp\nIMPP:xmpp:a@b\nEND:VCARD\n";
        let expected = vec![
            ("Alice , Doe".into(), vec!["1002 mobile".into(), "+420 555 123 work".into()]),
            ("Eva Malá".into(), vec!["77 home".into()]),
            ("ACME".into(), vec!["+49-30-1 work".into(), "sales@acme.example ".into()]),
        ];
        assert_eq!(read(text), (expected, 0));
        assert_eq!(parse(text).contacts[0].note, "first second");
    }
}
