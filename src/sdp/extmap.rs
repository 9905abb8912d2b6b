//! Header extensions in descriptions: `a=extmap` (RFC 8285 §5, §6) for the level of sound (RFC 6464) and the name of the
//! media line (RFC 9143 §15).
use super::attribute::View;
use super::bundle;
use super::direction;
use super::session::Attribute;
use crate::media::spec::{Direction, Extension, Extensions};
use std::collections::BTreeMap;

const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// Lines that are looked at.
const MAX_LINES: usize = 64;

/// What we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AudioLevel,
    Mid,
}

/// One line of those we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    id: u8,
    kind: Kind,
    /// As the describing side sees it.
    direction: Direction,
    /// Whether the level says if somebody speaks (RFC 6464 §4).
    voice: bool,
}

impl Kind {
    fn uri(self) -> &'static str {
        match self {
            Self::AudioLevel => AUDIO_LEVEL,
            Self::Mid => MID,
        }
    }
}

impl Entry {
    fn attribute(&self) -> Attribute {
        let direction = match self.direction {
            Direction::SendRecv => String::new(),
            other => format!("/{}", direction::name(other)),
        };
        let voice = if self.voice { "" } else { " vad=off" };
        Attribute::new("extmap", Some(&format!("{}{direction} {}{voice}", self.id, self.kind.uri())))
    }
}

/// The lines we have a use for, of each kind the first. A number that stands twice means nothing (RFC 8285 §5).
fn read(view: View<'_>) -> Vec<Entry> {
    let both = view.line.attributes.iter().chain(&view.session.attributes);
    let values = both.filter(|a| a.name.eq_ignore_ascii_case("extmap")).filter_map(|a| a.value.as_deref());
    let lines: Vec<_> = values.take(MAX_LINES).filter_map(entry).collect();
    let mut counts = BTreeMap::<u16, usize>::new();
    lines.iter().for_each(|(id, _)| *counts.entry(*id).or_default() += 1);
    let mut out = Vec::<Entry>::new();
    for entry in lines.into_iter().filter(|(id, _)| counts.get(id) == Some(&1)).filter_map(|(_, entry)| entry) {
        if out.iter().all(|other| other.kind != entry.kind) {
            out.push(entry);
        }
    }
    out
}

/// The number of a line, and what we make of it.
fn entry(value: &str) -> Option<(u16, Option<Entry>)> {
    let mut words = value.split_ascii_whitespace();
    let (number, direction) = match words.next()?.split_once('/') {
        Some((number, name)) => (number, direction::from_name(name)),
        None => (value.split_ascii_whitespace().next()?, Some(Direction::SendRecv)),
    };
    let number: u16 = number.parse().ok()?;
    // 15 ends the elements of the short form; 256 and more are only proposals (RFC 8285 §4.2, §6).
    let id = u8::try_from(number).ok().filter(|id| !matches!(id, 0 | 15));
    let uri = words.next()?;
    let kind = [Kind::AudioLevel, Kind::Mid].into_iter().find(|kind| kind.uri() == uri);
    let voice = kind != Some(Kind::AudioLevel) || !words.any(|word| word == "vad=off");
    let entry = id.zip(kind).zip(direction).filter(|(_, direction)| *direction != Direction::Inactive);
    Some((number, entry.map(|((id, kind), direction)| Entry { id, kind, direction, voice })))
}

/// What a first offer of ours says.
pub(super) fn offered() -> Vec<Attribute> {
    let entries = [(1, Kind::AudioLevel), (2, Kind::Mid)];
    let entry = |(id, kind)| Entry { id, kind, direction: Direction::SendRecv, voice: true };
    entries.map(|(id, kind)| entry((id, kind)).attribute()).into()
}

/// What our answer says of those that are offered: the same, seen from here.
pub(super) fn answered(offer: View<'_>) -> Vec<Attribute> {
    let entries = read(offer).into_iter().filter(|entry| entry.kind != Kind::Mid || bundle::mid(offer.line).is_some());
    let turned = |entry: Entry| Entry { direction: direction::reversed(entry.direction), ..entry };
    let lines: Vec<Attribute> = entries.map(|entry| turned(entry).attribute()).collect();
    // Both forms are read wherever they stand.
    let mixed = offer.attribute("extmap-allow-mixed").filter(|_| !lines.is_empty());
    lines.into_iter().chain(mixed.map(|_| Attribute::new("extmap-allow-mixed", None))).collect()
}

/// What both descriptions have, under the same number.
pub(super) fn agreed(ours: View<'_>, theirs: View<'_>) -> Extensions {
    let (our_entries, their_entries) = (read(ours), read(theirs));
    let of = |kind: Kind| {
        let ours = our_entries.iter().find(|entry| entry.kind == kind)?;
        let theirs = their_entries.iter().find(|entry| entry.kind == kind && entry.id == ours.id)?;
        Some(Extension {
            id: ours.id,
            sends: ours.direction.sends() && theirs.direction.receives(),
            receives: ours.direction.receives() && theirs.direction.sends(),
            voice: ours.voice && theirs.voice,
        })
    };
    let mid = bundle::mid(ours.line).filter(|mid| bundle::mid(theirs.line).is_none_or(|theirs| theirs == *mid));
    Extensions { audio_level: of(Kind::AudioLevel), mid: of(Kind::Mid).zip(mid.map(str::to_owned)) }
}

#[cfg(test)]
mod tests {
    use super::super::session::Session;
    use super::*;

    fn lines(attributes: &str) -> Session {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:m\r\n{attributes}"
        );
        Session::parse(text.as_bytes()).expect("readable")
    }

    fn view(session: &Session) -> View<'_> {
        View { session, line: &session.media[0] }
    }

    #[test]
    fn numbers_that_are_used_and_those_that_are_not() {
        let level = |id: &str| format!("a=extmap:{id} {AUDIO_LEVEL}\r\n");
        let mid = |id: &str| format!("a=extmap:{id} {MID}\r\n");
        let rows = [
            ("nothing", String::new(), ""),
            ("no URI", "a=extmap:1\r\n".into(), ""),
            ("no number", level("x"), ""),
            ("zero", level("0"), ""),
            ("fifteen", level("15"), ""),
            ("proposals", level("256") + &mid("4096") + &level("99999"), ""),
            ("inactive", level("1/inactive"), ""),
            ("a direction that is none", level("1/both"), ""),
            ("unknown", "a=extmap:3 urn:example:unknown\r\n".into(), ""),
            ("twice the same number", level("1") + &mid("1"), ""),
            ("one of them unknown", level("1") + "a=extmap:1 urn:example:unknown\r\n" + &mid("2"), "2 mid"),
            ("twice the same kind", level("3") + &level("4"), "3 level"),
            ("the long form", level("16") + &mid("255"), "16 level, 255 mid"),
            ("as browsers write them", level("1") + "a=extmap:2 http://example/abs\r\n" + &mid("4"), "1 level, 4 mid"),
            ("one way", level("7/sendonly"), "7/recvonly level"),
            ("without speech", format!("a=extmap:1 {AUDIO_LEVEL} vad=off\r\n"), "1 level vad=off"),
        ];
        for (what, text, expected) in rows {
            let answer = answered(view(&lines(&text)));
            let told: Vec<_> = answer.iter().filter_map(|a| a.value.clone()).collect();
            let told = told.join(", ").replace(AUDIO_LEVEL, "level").replace(MID, "mid");
            assert_eq!(told, expected, "{what}");
        }
    }

    #[test]
    fn what_is_agreed_on() {
        let level = |id: &str| format!("a=extmap:{id} {AUDIO_LEVEL}\r\n");
        let one = |ours: &str, theirs: &str| agreed(view(&lines(ours)), view(&lines(theirs))).audio_level;
        let both = |sends, receives| Some(Extension { id: 1, sends, receives, voice: true });
        assert_eq!(one(&level("1"), &level("2")), None);
        assert_eq!(one(&level("1"), ""), None);
        assert_eq!(one(&level("1"), &level("1")), both(true, true));
        assert_eq!(one(&level("1"), &level("1/sendonly")), both(false, true));
        assert_eq!(one(&level("1/sendonly"), &level("1/recvonly")), both(true, false));
        let map = format!("a=extmap:9 {MID}\r\n");
        let (ours, theirs) = (lines(&map), lines(&map));
        let mid = agreed(view(&ours), view(&theirs)).mid.expect("agreed");
        assert_eq!((mid.0.id, mid.1.as_str()), (9, "m"));
    }

    #[test]
    fn a_flood_is_cut() {
        let flood: String = (16..1_000).map(|n| format!("a=extmap:{n} urn:example:{n}\r\n")).collect();
        assert!(answered(view(&lines(&format!("{flood}a=extmap:1 {MID}\r\n")))).is_empty());
    }
}
