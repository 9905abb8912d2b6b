//! The people the user knows: names for numbers, and numbers for names. Plain data, kept in bounds.

use crate::base::untrusted::Untrusted;

/// People in the list, and numbers of one of them.
pub const CONTACTS: usize = 5_000;
pub const NUMBERS: usize = 16;
/// The longest name, number, label and note \[characters\].
pub const TEXT: usize = 120;
/// Digits that must agree at the end of two numbers that are written differently (RFC 3966 §5.1.4 has no rule; national
/// numbers without their area are about as long).
const SUFFIX: usize = 7;

/// Somebody the user knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Unique, whatever its case.
    pub name: String,
    /// The first is called where no other is meant.
    pub numbers: Vec<Number>,
    /// Whether they are on the phone is shown.
    pub watch: bool,
    /// What is typed to call them: `1`.
    pub speed: Option<String>,
    pub note: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Number {
    /// As the user would dial it.
    pub address: String,
    /// `work`, `mobile`; may be empty.
    pub label: String,
}

/// What may be done to the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A number for a new or a known name.
    Add {
        name: String,
        number: Number,
    },
    /// One of several numbers is forgotten.
    Drop {
        name: String,
        address: String,
    },
    Rename {
        name: String,
        to: String,
    },
    /// A whole entry, in the place of the one with its name.
    Put(Contact),
    Remove(String),
    Watch {
        name: String,
        on: bool,
    },
    /// What is typed to call them; `None`: nothing any more.
    Speed {
        name: String,
        speed: Option<String>,
    },
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Add { name, number } => write!(f, "{name}: {} is added", number.address),
            Self::Drop { name, address } => write!(f, "{name}: {address} is forgotten"),
            Self::Rename { name, to } => write!(f, "{name} is {to} now"),
            Self::Put(contact) => write!(f, "{} is kept", contact.name),
            Self::Remove(name) => write!(f, "{name} is removed"),
            Self::Watch { name, on: true } => write!(f, "{name} is watched"),
            Self::Watch { name, on: false } => write!(f, "{name} is not watched any more"),
            Self::Speed { name, speed: Some(speed) } => write!(f, "{speed} calls {name}"),
            Self::Speed { name, speed: None } => write!(f, "{name} has no speed dial"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContactError {
    #[error("there is no contact \"{0}\"")]
    Unknown(String),
    #[error("a contact needs a name of at most {TEXT} characters")]
    Name,
    #[error("\"{0}\" is not a number or address that can be called")]
    Number(String),
    #[error("{0} has {NUMBERS} numbers already")]
    Numbers(String),
    #[error("{0} has no number {1} beside another one; `contact remove` forgets them")]
    Last(String, String),
    #[error("there is a contact \"{0}\" already")]
    Taken(String),
    #[error("there are {CONTACTS} contacts already")]
    Full,
    #[error("\"{0}\" calls {1} already")]
    Speed(String, String),
}

/// The list, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contacts(Vec<Contact>);

impl Contacts {
    /// What can be kept of a list; of two with one name the numbers are put together.
    pub fn new(list: impl IntoIterator<Item = Contact>) -> Self {
        let mut contacts = Self::default();
        for contact in list {
            // Who cannot be kept is left out; whoever read the list has told of it.
            let _ = contacts.merge(contact);
        }
        contacts
    }

    pub fn list(&self) -> &[Contact] {
        &self.0
    }

    pub fn named(&self, name: &str) -> Option<&Contact> {
        self.0.iter().find(|contact| same_word(&contact.name, name))
    }

    /// Adds somebody, or their numbers to those of the one with that name; whether there was anything new.
    ///
    /// # Errors
    /// When there is no room, or something in it cannot be kept.
    pub fn merge(&mut self, contact: Contact) -> Result<bool, ContactError> {
        let mut contact = checked(contact)?;
        let Some(known) = self.0.iter_mut().find(|known| same_word(&known.name, &contact.name)) else {
            return self.insert(contact).map(|()| true);
        };
        let before = known.clone();
        contact.numbers.retain(|number| known.numbers.iter().all(|n| n.address != number.address));
        known.numbers.extend(contact.numbers);
        known.numbers.truncate(NUMBERS);
        known.watch |= contact.watch;
        known.speed = known.speed.take().or(contact.speed);
        if known.note.is_empty() {
            known.note = contact.note;
        }
        Ok(*known != before)
    }

    fn insert(&mut self, contact: Contact) -> Result<(), ContactError> {
        if self.0.len() >= CONTACTS {
            return Err(ContactError::Full);
        }
        let key = contact.name.to_lowercase();
        let at = self.0.partition_point(|known| known.name.to_lowercase() < key);
        self.0.insert(at, contact);
        Ok(())
    }

    /// Carries out a change, or leaves all as it is.
    ///
    /// # Errors
    /// What cannot be done, in words.
    pub fn change(&mut self, change: &Change) -> Result<(), ContactError> {
        match change {
            Change::Add { name, number } => {
                if self.named(name).is_some_and(|known| known.numbers.len() >= NUMBERS) {
                    return Err(ContactError::Numbers(name.clone()));
                }
                let contact = Contact { name: name.clone(), numbers: vec![number.clone()], ..Contact::default() };
                self.merge(contact).map(|_| ())
            }
            Change::Drop { name, address } => {
                let contact = self.edit(name)?;
                // However it is grouped.
                let other = |number: &Number| number.address.replace(' ', "") != address.replace(' ', "");
                let left = contact.numbers.iter().filter(|number| other(number)).count();
                if left == 0 || left == contact.numbers.len() {
                    return Err(ContactError::Last(contact.name.clone(), address.clone()));
                }
                contact.numbers.retain(other);
                Ok(())
            }
            Change::Rename { name, to } => {
                let renamed = checked(Contact { name: to.clone(), ..self.edit(name)?.clone() })?;
                if !same_word(&renamed.name, name) && self.named(&renamed.name).is_some() {
                    return Err(ContactError::Taken(renamed.name));
                }
                self.0.retain(|known| !same_word(&known.name, name));
                self.insert(renamed)
            }
            Change::Put(contact) => {
                let contact = checked(contact.clone())?;
                self.speed_is_free(contact.speed.as_deref(), &contact.name)?;
                self.0.retain(|known| !same_word(&known.name, &contact.name));
                self.insert(contact)
            }
            Change::Remove(name) => {
                let before = self.0.len();
                self.0.retain(|known| !same_word(&known.name, name));
                if self.0.len() < before { Ok(()) } else { Err(ContactError::Unknown(name.clone())) }
            }
            Change::Watch { name, on } => self.edit(name).map(|contact| contact.watch = *on),
            Change::Speed { name, speed } => {
                let speed = speed.clone().filter(|speed| !speed.is_empty());
                self.speed_is_free(speed.as_deref(), name)?;
                self.edit(name).map(|contact| contact.speed = speed)
            }
        }
    }

    fn edit(&mut self, name: &str) -> Result<&mut Contact, ContactError> {
        let found = self.0.iter_mut().find(|known| same_word(&known.name, name));
        found.ok_or_else(|| ContactError::Unknown(name.to_owned()))
    }

    fn speed_is_free(&self, speed: Option<&str>, name: &str) -> Result<(), ContactError> {
        let Some(speed) = speed else { return Ok(()) };
        let mut others = self.0.iter().filter(|known| !same_word(&known.name, name));
        match others.find(|known| known.speed.as_deref() == Some(speed)) {
            Some(other) => Err(ContactError::Speed(speed.to_owned(), other.name.clone())),
            None => Ok(()),
        }
    }

    /// Whose address this is.
    ///
    /// - `own`: it is an address of the account's own server, where short numbers mean what the user means by them.
    pub fn find(&self, address: &str, own: bool) -> Option<&Contact> {
        let has = |fits: &dyn Fn(&str) -> bool| self.0.iter().find(|c| c.numbers.iter().any(|n| fits(&n.address)));
        has(&|known| same_address(known, address))
            .or_else(|| has(&|known| own && !known.contains('@') && user(known) == user(address)))
            .or_else(|| has(&|known| same_number(known, address)))
    }

    /// What to dial for a name, a name and a label (`alice mobile`), or a speed dial.
    pub fn dial(&self, typed: &str) -> Option<&str> {
        let typed = typed.trim();
        if typed.is_empty() {
            return None;
        }
        let by_speed = self.0.iter().find(|contact| contact.speed.as_deref() == Some(typed));
        if let Some(contact) = by_speed.or_else(|| self.named(typed)) {
            return contact.numbers.first().map(|number| number.address.as_str());
        }
        let (name, label) = typed.rsplit_once(' ')?;
        let contact = self.named(name.trim())?;
        let labelled = contact.numbers.iter().find(|number| same_word(&number.label, label));
        labelled.map(|number| number.address.as_str())
    }

    /// Those whose name, number or note has this in it, names that begin with it first.
    pub fn matching<'c>(&'c self, text: &str) -> Vec<&'c Contact> {
        let wanted = text.trim().to_lowercase();
        let mut found: Vec<(u8, &Contact)> = self.0.iter().filter_map(|c| rank(c, &wanted).map(|r| (r, c))).collect();
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, contact)| contact).collect()
    }
}

/// How well somebody fits what was typed.
fn rank(contact: &Contact, wanted: &str) -> Option<u8> {
    let name = contact.name.to_lowercase();
    if name.starts_with(wanted) {
        return Some(0);
    }
    if name.split_whitespace().any(|word| word.starts_with(wanted)) {
        return Some(1);
    }
    let in_number = |number: &Number| {
        let digits = digits(&number.address);
        number.address.to_lowercase().contains(wanted) || digits.is_some_and(|digits| digits.contains(wanted))
    };
    if contact.numbers.iter().any(in_number) {
        return Some(2);
    }
    (name.contains(wanted) || contact.note.to_lowercase().contains(wanted)).then_some(3)
}

/// What may be kept: every text in bounds and without control characters, every number one that can be called.
fn checked(contact: Contact) -> Result<Contact, ContactError> {
    let clean = |text: &str| Untrusted::new(text.trim()).sanitize(TEXT).trim().to_owned();
    let name = clean(&contact.name);
    if name.is_empty() || contact.name.trim().chars().count() > TEXT {
        return Err(ContactError::Name);
    }
    let mut numbers: Vec<Number> = Vec::new();
    for number in contact.numbers.into_iter().take(NUMBERS) {
        let address = clean(&number.address);
        let odd = |c: char| c.is_control() || matches!(c, '<' | '>' | '"');
        let spaced = address.contains('@') && address.contains(' ');
        if address.is_empty() || address.contains(odd) || spaced {
            return Err(ContactError::Number(address));
        }
        if numbers.iter().all(|n| n.address != address) {
            numbers.push(Number { address, label: clean(&number.label) });
        }
    }
    if numbers.is_empty() {
        return Err(ContactError::Number(String::new()));
    }
    let speed = contact.speed.map(|speed| clean(&speed)).filter(|speed| !speed.is_empty());
    Ok(Contact { name, numbers, watch: contact.watch, speed, note: clean(&contact.note) })
}

fn same_word(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.trim().to_lowercase()
}

/// Without scheme and parameters.
fn bare(address: &str) -> &str {
    let address = address.trim();
    let scheme = ["sip:", "sips:", "tel:"]
        .into_iter()
        .find(|scheme| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let address = address.get(scheme.map_or(0, str::len)..).unwrap_or_default();
    address.split([';', '?']).next().unwrap_or_default()
}

fn user(address: &str) -> &str {
    let address = bare(address);
    address.split_once('@').map_or(address, |(user, _)| user)
}

/// `user@host` on both sides, the host whatever its case and port.
fn same_address(a: &str, b: &str) -> bool {
    let split = |address: &'_ str| {
        let (user, host) = bare(address).split_once('@')?;
        let host = match host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => host,
        };
        Some((user.to_owned(), host.to_lowercase()))
    };
    split(a).zip(split(b)).is_some_and(|(a, b)| a == b)
}

/// The same number, written with and without its country or area.
fn same_number(a: &str, b: &str) -> bool {
    let (Some(a), Some(b)) = (digits(a), digits(b)) else { return false };
    let (a, b) = (significant(&a), significant(&b));
    a.len() >= SUFFIX && b.len() >= SUFFIX && (a.ends_with(b) || b.ends_with(a))
}

/// Without the prefixes that say that an area or a country follows.
fn significant(digits: &str) -> &str {
    digits.trim_start_matches('0')
}

/// The digits of a telephone number without its visual separators (RFC 3966 §5.1.1).
fn digits(address: &str) -> Option<String> {
    let user = user(address);
    let number: String = user.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/')).collect();
    let number = number.strip_prefix('+').unwrap_or(&number);
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then(|| number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(name: &str, numbers: &[&str]) -> Contact {
        let number = |text: &&str| {
            let (address, label) = text.split_once(' ').unwrap_or((text, ""));
            Number { address: address.into(), label: label.into() }
        };
        Contact { name: name.into(), numbers: numbers.iter().map(number).collect(), ..Contact::default() }
    }

    fn some() -> Contacts {
        Contacts::new([
            contact("Zoë", &["zoe@Example.com"]),
            contact("alice", &["1002 work", "+420-555-123-456 mobile"]),
            Contact { speed: Some("1".into()), ..contact("Bob Ross", &["0301234567"]) },
            contact("Short", &["55512"]),
        ])
    }

    #[test]
    fn whose_number_it_is() {
        let rows = [
            ("", true, None),
            ("3456", true, None),
            ("123456", true, None),
            ("9123456", true, None),
            ("1002@evil.example", false, None),
            ("alice", true, None),
            ("ZOE@example.com", true, None),
            ("55512@h", false, None),
            ("55512@h", true, Some("Short")),
            ("1002@pbx.example", true, Some("alice")),
            ("00420555123456@gw", false, Some("alice")),
            ("+420555123456", false, Some("alice")),
            ("555123456@h:5080", false, Some("alice")),
            ("+49301234567@h", false, Some("Bob Ross")),
            ("sip:zoe@EXAMPLE.com:5060;transport=tcp", false, Some("Zoë")),
        ];
        for (address, own, expected) in rows {
            assert_eq!(some().find(address, own).map(|c| c.name.as_str()), expected, "{address} {own}");
        }
    }

    #[test]
    fn what_is_dialled_for_a_name() {
        let rows = [
            ("", None),
            ("ali", None),
            ("alice home", None),
            ("nobody work", None),
            ("ALICE", Some("1002")),
            (" alice  mobile ", Some("+420-555-123-456")),
            ("bob ross", Some("0301234567")),
            ("1", Some("0301234567")),
        ];
        for (typed, expected) in rows {
            assert_eq!(some().dial(typed), expected, "{typed:?}");
        }
    }

    #[test]
    fn those_that_begin_so_come_first() {
        let names = |text| some().matching(text).into_iter().map(|c| c.name.clone()).collect::<Vec<_>>();
        assert_eq!(names("xyz"), [""; 0]);
        assert_eq!(names("ro"), ["Bob Ross"]);
        assert_eq!(names("555123"), ["alice"]);
        assert_eq!(names("o"), ["Zoë", "Bob Ross", "Short"]);
        assert_eq!(names(""), ["alice", "Bob Ross", "Short", "Zoë"]);
    }

    #[test]
    fn changes_are_made_whole_or_not_at_all() {
        let number = |address: &str| Number { address: address.into(), label: String::new() };
        let add = |name: &str, address: &str| Change::Add { name: name.into(), number: number(address) };
        let speed =
            |name: &str, speed: Option<&str>| Change::Speed { name: name.into(), speed: speed.map(str::to_owned) };
        let rename = |name: &str, to: &str| Change::Rename { name: name.into(), to: to.into() };
        let drop = |name: &str, address: &str| Change::Drop { name: name.into(), address: address.into() };
        let rows = [
            (add("", "1"), Err(ContactError::Name)),
            (add(&"x".repeat(TEXT + 1), "1"), Err(ContactError::Name)),
            (add("New", "<x>"), Err(ContactError::Number("<x>".into()))),
            (add("New", ""), Err(ContactError::Number(String::new()))),
            (Change::Remove("nobody".into()), Err(ContactError::Unknown("nobody".into()))),
            (speed("alice", Some("1")), Err(ContactError::Speed("1".into(), "Bob Ross".into()))),
            (Change::Watch { name: "nobody".into(), on: true }, Err(ContactError::Unknown("nobody".into()))),
            (rename("nobody", "Eve"), Err(ContactError::Unknown("nobody".into()))),
            (rename("alice", " "), Err(ContactError::Name)),
            (rename("alice", "bob ross"), Err(ContactError::Taken("bob ross".into()))),
            (drop("nobody", "1"), Err(ContactError::Unknown("nobody".into()))),
            (drop("alice", "1003"), Err(ContactError::Last("alice".into(), "1003".into()))),
            (drop("short", "55512"), Err(ContactError::Last("Short".into(), "55512".into()))),
            (rename("ALICE", "Alice"), Ok(())),
            (rename("alice", "Zed"), Ok(())),
            (drop("alice", "1002"), Ok(())),
            (add("ALICE", "1003"), Ok(())),
            (add("Eve\u{7}\r\n", "1004"), Ok(())),
            (speed("bob ross", None), Ok(())),
            (Change::Remove("zoë".into()), Ok(())),
            (Change::Put(contact("Short", &["1005"])), Ok(())),
        ];
        for (change, expected) in rows {
            let mut contacts = some();
            assert_eq!(contacts.change(&change), expected, "{change:?}");
            assert_eq!(contacts == some(), expected.is_err(), "{change:?}");
        }
        let mut contacts = some();
        assert_eq!(contacts.change(&rename("bob ross", "Ann")), Ok(()));
        let ann = &contacts.list()[1];
        assert_eq!((ann.name.as_str(), ann.speed.as_deref()), ("Ann", Some("1")), "all else stays, the order holds");
        let mut contacts = some();
        for n in 0..40 {
            let _ = contacts.change(&add("alice", &format!("20{n}")));
        }
        assert_eq!(contacts.named("alice").map(|c| c.numbers.len()), Some(NUMBERS));
    }

    #[test]
    fn the_list_is_bounded() {
        let mut contacts = Contacts::new((0..CONTACTS + 5).map(|n| contact(&format!("c{n}"), &["1"])));
        assert_eq!(contacts.list().len(), CONTACTS);
        assert_eq!(contacts.merge(contact("one more", &["1"])), Err(ContactError::Full));
        assert_eq!(contacts.merge(contact("C1", &["2"])), Ok(true));
        assert_eq!(contacts.merge(contact("C1", &["2"])), Ok(false));
    }
}
