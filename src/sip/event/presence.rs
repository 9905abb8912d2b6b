//! Presence: whether somebody can be reached, and what they do, in their own words (RFC 3856, RFC 3863, RFC 4480).
use super::document::Document;
use super::xml;
use crate::base::untrusted::Untrusted;

/// What somebody does (RFC 4480 §3.2), as far as it matters to who wants to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    Away,
    Busy,
    OnThePhone,
}

impl Activity {
    fn element(self) -> &'static str {
        match self {
            Self::Away => "rpid:away",
            Self::Busy => "rpid:busy",
            Self::OnThePhone => "rpid:on-the-phone",
        }
    }

    /// Those of others come down to these.
    fn of(name: &str) -> Option<Self> {
        match name {
            "on-the-phone" => Some(Self::OnThePhone),
            "busy" | "appointment" | "meeting" | "performance" | "presentation" | "tv" | "working" => Some(Self::Busy),
            "away" | "permanent-absence" | "sleeping" | "vacation" | "holiday" | "travel" | "in-transit" | "meal"
            | "breakfast" | "lunch" | "dinner" => Some(Self::Away),
            _ => None,
        }
    }
}

/// What a PIDF document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Some tuple is open.
    pub open: bool,
    /// What matters most of it.
    pub activity: Option<Activity>,
    /// A server says so of a phone, which has no other word for it.
    pub ringing: bool,
    /// The first note, of a tuple or of the whole.
    pub note: Option<Untrusted>,
}

impl Presence {
    pub const EVENT: &str = "presence";
    pub const TYPE: &str = "application/pidf+xml";

    /// Reads a document; `None` when it says nothing of the basic status.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let document = xml(body)?;
        let root = document.root_element();
        if root.tag_name().name() != "presence" {
            return None;
        }
        let named = |name: &'static str| {
            root.descendants().filter(move |node| node.is_element() && node.tag_name().name() == name)
        };
        let mut basic = named("basic").filter_map(|node| node.text()).map(str::trim).peekable();
        basic.peek()?;
        let open = basic.any(|status| status.eq_ignore_ascii_case("open"));
        let activities = named("activities").flat_map(|node| node.children()).filter(|node| node.is_element());
        let activity = activities.filter_map(|node| Activity::of(node.tag_name().name())).max();
        let note = named("note").filter_map(|node| node.text()).map(str::trim).find(|note| !note.is_empty());
        let says = |words: &str| note.is_some_and(|note| note.eq_ignore_ascii_case(words));
        // Servers that know phones and not people, such as Asterisk, may tell it in the note alone.
        let activity = activity.or_else(|| says("on the phone").then_some(Activity::OnThePhone));
        Some(Self { open, activity, ringing: says("ringing"), note: note.map(Untrusted::new) })
    }
}

/// What we say of ourselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Calls are taken.
    pub open: bool,
    pub activities: Vec<Activity>,
    /// Empty: none.
    pub note: String,
}

impl Own {
    /// The document for it.
    ///
    /// - `entity`: whose presence it is, as a URI.
    pub fn to_pidf(&self, entity: &str) -> String {
        let mut document = Document::new();
        document.begin(
            "presence",
            &[
                ("xmlns", "urn:ietf:params:xml:ns:pidf"),
                ("xmlns:dm", "urn:ietf:params:xml:ns:pidf:data-model"),
                ("xmlns:rpid", "urn:ietf:params:xml:ns:pidf:rpid"),
                ("entity", entity),
            ],
        );
        document.begin("tuple", &[("id", "phone")]).begin("status", &[]);
        document.text("basic", &[], if self.open { "open" } else { "closed" }).end();
        if !self.note.is_empty() {
            document.text("note", &[], &self.note);
        }
        document.end();
        if !self.activities.is_empty() {
            document.begin("dm:person", &[("id", "person")]).begin("rpid:activities", &[]);
            for activity in &self.activities {
                document.empty(activity.element(), &[]);
            }
        }
        document.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let open = "<presence><tuple><status><basic>open</basic></status></tuple>";
        let rows = [
            ("", None),
            ("<presence/>", None),
            ("<x><basic>open</basic></x>", None),
            ("<presence><tuple><status><basic>closed</basic></status></tuple></presence>", Some((false, None, None))),
            (
                "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:dm='x'><tuple><status><basic> open </basic></status></tuple>\
                 <dm:person/><note>At my desk</note></presence>",
                Some((true, None, Some("At my desk"))),
            ),
            (
                &format!("{open}<note>On the phone</note></presence>"),
                Some((true, Some(Activity::OnThePhone), Some("On the phone"))),
            ),
            (
                &format!("{open}<note>On the phone</note><activities><away/></activities></presence>"),
                Some((true, Some(Activity::Away), Some("On the phone"))),
            ),
            (&format!("{open}<note>Ringing</note></presence>"), Some((true, None, Some("Ringing")))),
            (
                "<presence><tuple><status><basic>closed</basic></status><note>a</note></tuple>\
                 <tuple><status><basic>OPEN</basic></status></tuple></presence>",
                Some((true, None, Some("a"))),
            ),
            (
                &format!("{open}<activities><steering/><other>x</other></activities></presence>"),
                Some((true, None, None)),
            ),
            (
                &format!("{open}<activities><lunch/><on-the-phone/></activities></presence>"),
                Some((true, Some(Activity::OnThePhone), None)),
            ),
            (
                &format!("{open}<person><activities><away/></activities></person></presence>"),
                Some((true, Some(Activity::Away), None)),
            ),
        ];
        for (body, expected) in rows {
            let read = Presence::parse(body.as_bytes());
            let expected = expected.map(|(open, activity, note)| Presence {
                open,
                activity,
                ringing: note == Some("Ringing"),
                note: note.map(Untrusted::new),
            });
            assert_eq!(read, expected, "{body}");
        }
    }

    #[test]
    fn what_we_say_is_read_as_it_was_meant() {
        let activities = [Activity::Away, Activity::Busy, Activity::OnThePhone];
        for activity in activities {
            let own = Own { open: true, activities: vec![activity], note: "at <lunch> & \"away\"".to_owned() };
            let read = Presence::parse(own.to_pidf("sip:a&b@h").as_bytes()).expect("readable");
            let note = Some(Untrusted::new("at <lunch> & \"away\""));
            assert_eq!(read, Presence { open: true, activity: Some(activity), ringing: false, note });
        }
        let free = Own { open: false, ..Own::default() }.to_pidf("sip:a@h");
        assert_eq!(
            Presence::parse(free.as_bytes()),
            Some(Presence { open: false, activity: None, ringing: false, note: None })
        );
        assert!(!free.contains("person") && !free.contains("note"), "{free}");
    }
}
