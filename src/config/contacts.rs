//! The file of contacts: read like the configuration, written by the phone.
use super::mistake::Mistake;
use super::reader::{Reader, Section, line_of};
use super::values::ValueError;
use crate::ua::contacts::{CONTACTS, Contact, ContactError, Contacts, Number};
use std::fmt::Write as _;
use toml::de::{DeTable, DeValue};

const KEYS: &[&str] = &["name", "numbers", "watch", "speed", "note"];
const NUMBER_KEYS: &[&str] = &["number", "label"];
const HEAD: &str = "\
# Contacts of offhook, written by the phone when they change: comments of yours are not kept.
#
# [[contact]]
# name = \"Alice\"
# numbers = [{ number = \"1002\", label = \"work\" }, { number = \"+420 555 123 456\", label = \"mobile\" }]
# watch = true   # show whether the first number is on the phone
# speed = \"1\"    # typing 1 calls the first number
# note = \"\"
";

/// Reads the whole file.
///
/// # Errors
/// Every mistake in it, in the order of their lines.
pub fn parse(text: &str) -> Result<Contacts, Vec<Mistake>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mistake = |error: &toml::de::Error| Mistake {
            line: error.span().map(|span| line_of(text, span.start)),
            problem: error.message().to_owned(),
            ..Mistake::default()
        };
        return Err(errors.iter().map(mistake).collect());
    }
    let mut reader = Reader::new(text);
    let top = Section { name: String::new(), table: document.get_ref(), span: 0..0 };
    reader.unknown_keys(&top, &["contact"], &[("[[contact]]", KEYS)]);
    let mut contacts = Contacts::default();
    if let Some(value) = top.table.get("contact") {
        let Some(items) = value.get_ref().as_array() else {
            reader.mistake("", "contact", Some(value), "a list of tables expected: write [[contact]]");
            return Err(reader.mistakes);
        };
        for (index, item) in items.iter().enumerate().take(CONTACTS + 1) {
            let DeValue::Table(table) = item.get_ref() else {
                reader.mistake("", "contact", Some(item), "a table expected: write [[contact]]");
                continue;
            };
            let section = Section { name: format!("contact {}", index + 1), table, span: item.span() };
            let Some(contact) = read(&mut reader, &section) else { continue };
            let (name, known) = (contact.name.clone(), contacts.named(&contact.name).is_some());
            match contacts.merge(contact) {
                Ok(_) if known => reader.section_mistake(&section, "name", format!("there is a {name:?} before")),
                Ok(_) => {}
                Err(error) => reader.section_mistake(&section, key(&error), error),
            }
        }
    }
    reader.mistakes.sort_by_key(|mistake| mistake.line);
    if reader.mistakes.is_empty() { Ok(contacts) } else { Err(reader.mistakes) }
}

fn key(error: &ContactError) -> &'static str {
    match error {
        ContactError::Name => "name",
        ContactError::Speed(..) => "speed",
        _ => "numbers",
    }
}

fn read<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> Option<Contact> {
    let before = reader.mistakes.len();
    reader.unknown_keys(section, KEYS, &[]);
    let text = |reader: &mut Reader<'t>, key: &str| reader.string(section, key).unwrap_or_default();
    let contact = Contact {
        name: text(reader, "name"),
        numbers: numbers(reader, section),
        watch: reader.boolean(section, "watch").unwrap_or(false),
        speed: reader.string(section, "speed"),
        note: text(reader, "note"),
    };
    (reader.mistakes.len() == before).then_some(contact)
}

/// Tables, or texts where there are no labels.
fn numbers<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> Vec<Number> {
    let Some(value) = section.table.get("numbers") else { return Vec::new() };
    let wrong = "a list expected, as [{ number = \"1002\", label = \"work\" }] or [\"1002\"]";
    let Some(items) = value.get_ref().as_array() else {
        reader.mistake(&section.name, "numbers", Some(value), wrong);
        return Vec::new();
    };
    let mut out = Vec::new();
    for item in items {
        match item.get_ref() {
            DeValue::String(address) => out.push(Number { address: address.to_string(), label: String::new() }),
            DeValue::Table(table) => {
                let inner = Section { name: section.name.clone(), table, span: item.span() };
                reader.unknown_keys(&inner, NUMBER_KEYS, &[]);
                let present =
                    |text: &str| if text.is_empty() { Err(ValueError::new("empty")) } else { Ok(text.to_owned()) };
                if let Some(address) = reader.read(&inner, "number", present) {
                    out.push(Number { address, label: reader.string(&inner, "label").unwrap_or_default() });
                }
            }
            _ => reader.mistake(&section.name, "numbers", Some(item), wrong),
        }
    }
    out
}

/// The whole file.
pub fn print(contacts: &Contacts) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut out = HEAD.to_owned();
    for contact in contacts.list() {
        let number = |number: &Number| match number.label.as_str() {
            "" => quoted(&number.address),
            label => format!("{{ number = {}, label = {} }}", quoted(&number.address), quoted(label)),
        };
        let numbers: Vec<String> = contact.numbers.iter().map(number).collect();
        // Writing to a string cannot fail.
        let _ = write!(out, "\n[[contact]]\nname = {}\nnumbers = [{}]\n", quoted(&contact.name), numbers.join(", "));
        if contact.watch {
            out.push_str("watch = true\n");
        }
        if let Some(speed) = &contact.speed {
            let _ = writeln!(out, "speed = {}", quoted(speed));
        }
        if !contact.note.is_empty() {
            let _ = writeln!(out, "note = {}", quoted(&contact.note));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_with_their_lines() {
        let rows = [
            ("x", "1: "),
            ("[contact]\nname = \"a\"", "1: contact"),
            ("contacts = 1", "1: contacts: unknown key"),
            ("[[contact]]\nnumbers = [\"1\"]", "1: contact 1: name: a contact needs a name"),
            ("[[contact]]\nname = \"a\"", "1: contact 1: numbers: "),
            ("[[contact]]\nname = \"a\"\nnumbers = [1]", "3: contact 1: numbers 1: a list expected"),
            ("[[contact]]\nname = \"a\"\nnumbers = [{ label = \"x\" }]", "1: contact 1: numbers: "),
            ("[[contact]]\nname = \"a\"\nnumber = \"1\"", "3: contact 1: number: unknown key; did you mean `numbers`?"),
            ("[[contact]]\nname = \"a\"\nnumbers = [\"<>\"]", "1: contact 1: numbers: \"<>\" is not a number"),
            (
                "[[contact]]\nname = \"a\"\nnumbers = [\"1\"]\n[[contact]]\nname = \"A\"\nnumbers = [\"2\"]",
                "4: contact 2: name: there is a \"A\" before",
            ),
        ];
        for (text, expected) in rows {
            let mistakes = parse(text).expect_err(text);
            let told: Vec<_> = mistakes.iter().map(|m| format!("{}: {m}", m.line.unwrap_or(0))).collect();
            assert!(told.iter().any(|line| line.starts_with(expected)), "{text}: {told:?}");
        }
        assert_eq!(parse(HEAD), Ok(Contacts::default()));
    }

    #[test]
    fn what_is_written_is_read() {
        let number = |address: &str, label: &str| Number { address: address.into(), label: label.into() };
        let contacts = Contacts::new([
            Contact {
                name: "Zoë \"Z\" \\ #1".into(),
                numbers: vec![number("1002", "work"), number("zoe@example.com", "")],
                watch: true,
                speed: Some("1".into()),
                note: "a = 'b'".into(),
            },
            Contact { name: "Bob".into(), numbers: vec![number("+1 2", "")], ..Contact::default() },
        ]);
        assert_eq!(parse(&print(&contacts)), Ok(contacts));
    }
}
