//! Header extensions of RTP packets, in both forms (RFC 8285 §4.2, §4.3), and the level of the sound in one (RFC 6464 §3).

/// `defined by profile` of elements with a header of one octet.
const SHORT: u16 = 0xbede;
/// And of two octets; the low four bits are anybody's.
const LONG: u16 = 0x1000;
/// The highest number the short form has; 15 ends its elements.
const MAX_SHORT_ID: u8 = 14;
const MAX_SHORT_LENGTH: usize = 16;

/// The elements of one packet, up to the first that contradicts the length of the extension.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    short: bool,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// - `profile`, `bytes`: the extension of a packet; one of another kind has no elements.
    pub fn new(extension: Option<(u16, &'a [u8])>) -> Self {
        match extension {
            Some((SHORT, rest)) => Self { short: true, rest },
            Some((profile, rest)) if profile & 0xfff0 == LONG => Self { short: false, rest },
            Some(_) | None => Self { short: true, rest: &[] },
        }
    }

    /// The first element of this number.
    pub fn find(mut self, id: u8) -> Option<&'a [u8]> {
        Iterator::find(&mut self, |(found, _)| *found == id).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // A zero octet fills up, in both forms.
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let (id, length, rest) = match (self.short, self.rest) {
            (true, [head, rest @ ..]) if !matches!(head >> 4, 0 | 15) => (head >> 4, usize::from(head & 15) + 1, rest),
            (false, [id, length, rest @ ..]) => (*id, usize::from(*length), rest),
            (true | false, _) => (0, usize::MAX, self.rest),
        };
        let Some((value, rest)) = rest.split_at_checked(length) else {
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some((id, value))
    }
}

/// Writes elements into `out`, whose content is replaced; what stands before them in the packet, `None` when there are none.
/// All are of one form; an element that no form has room for is left out.
pub fn write(elements: &[(u8, &[u8])], out: &mut Vec<u8>) -> Option<u16> {
    let fits = |(id, value): &&(u8, &[u8])| *id != 0 && value.len() <= usize::from(u8::MAX);
    let is_short = |(id, value): &(u8, &[u8])| *id <= MAX_SHORT_ID && (1..=MAX_SHORT_LENGTH).contains(&value.len());
    let short = elements.iter().filter(fits).all(is_short);
    out.clear();
    for (id, value) in elements.iter().filter(fits) {
        let length = value.len() as u8;
        match short {
            true => out.push(id << 4 | (length.wrapping_sub(1) & 15)),
            false => out.extend([*id, length]),
        }
        out.extend_from_slice(value);
    }
    out.resize(out.len().next_multiple_of(4), 0);
    (!out.is_empty()).then_some(if short { SHORT } else { LONG })
}

/// How loud a sender says that a packet is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// \[dBov\], 0 to -127.
    pub level: f32,
    /// Somebody speaks.
    pub voice: bool,
}

impl Level {
    /// ```text
    /// |V|    level    |    0 to 127 below overload
    /// ```
    pub fn read(value: &[u8]) -> Option<Self> {
        let octet = value.first()?;
        Some(Self { level: -f32::from(octet & 0x7f), voice: octet & 0x80 != 0 })
    }

    pub fn octet(self) -> u8 {
        // NaN and all beyond the range end at its ends.
        let below = (-self.level).round().clamp(0.0, 127.0) as u8;
        below | if self.voice { 0x80 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Form, octets, elements.
    type Row<'a> = (&'a str, u16, &'a [u8], &'a [(u8, &'a [u8])]);

    #[test]
    fn what_is_read() {
        let rows: [Row<'_>; 15] = [
            ("another profile", 0x1234, &[0x10, 7, 0, 0], &[]),
            ("nothing", SHORT, &[], &[]),
            ("only filling", SHORT, &[0, 0, 0, 0], &[]),
            ("a value beyond the end", SHORT, &[0x13, 1, 2], &[]),
            ("a head at the end", SHORT, &[0x10, 7, 0, 0x20], &[(1, &[7])]),
            ("the number that ends all", SHORT, &[0x10, 7, 0xf0, 1, 0x20, 8], &[(1, &[7])]),
            ("filling with a length", SHORT, &[0x10, 7, 0x03, 0x20, 8], &[(1, &[7])]),
            ("filling between", SHORT, &[0, 0x10, 7, 0, 0, 0x21, 8, 9], &[(1, &[7]), (2, &[8, 9])]),
            (
                "sixteen octets",
                SHORT,
                &[0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 0],
                &[(14, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])],
            ),
            ("the long form", LONG, &[1, 1, 7, 0], &[(1, &[7])]),
            ("its free bits", LONG | 5, &[200, 2, 7, 8], &[(200, &[7, 8])]),
            ("an empty one", LONG, &[16, 0, 17, 1, 9, 0, 0, 0], &[(16, &[]), (17, &[9])]),
            ("a long value beyond the end", LONG, &[1, 200, 7, 8], &[]),
            ("a long head at the end", LONG, &[1, 1, 7, 9], &[(1, &[7])]),
            ("fifteen is a number there", LONG, &[15, 1, 7, 0], &[(15, &[7])]),
        ];
        for (what, profile, bytes, expected) in rows {
            assert_eq!(Elements::new(Some((profile, bytes))).collect::<Vec<_>>(), expected, "{what}");
        }
        assert_eq!(Elements::new(None).count(), 0);
        assert_eq!(Elements::new(Some((SHORT, &[0x10, 7, 0x10, 8]))).find(1), Some(&[7][..]), "the first counts");
    }

    #[test]
    fn the_shorter_form_is_written_where_it_suffices() {
        let long = [1; 256];
        let rows: [Row<'_>; 6] = [
            ("nothing", 0, &[], &[]),
            ("what has no room", 0, &[], &[(0, &[1]), (1, &long)]),
            ("short", SHORT, &[0x10, 0x9c, 0x20, b'0'], &[(1, &[0x9c]), (2, b"0")]),
            ("filled up", SHORT, &[0xe0, 7, 0, 0], &[(14, &[7])]),
            ("a high number", LONG, &[16, 1, 7, 1, 1, 8, 0, 0], &[(16, &[7]), (1, &[8])]),
            ("an empty value", LONG, &[3, 0, 0, 0], &[(3, &[])]),
        ];
        let mut out = Vec::new();
        for (what, profile, bytes, elements) in rows {
            assert_eq!(write(elements, &mut out).unwrap_or(0), profile, "{what}");
            assert_eq!(out, bytes, "{what}");
        }
    }

    #[test]
    fn levels() {
        for (octet, level, voice) in [(0, 0.0, false), (0x80, 0.0, true), (0xff, -127.0, true), (23, -23.0, false)] {
            assert_eq!(Level::read(&[octet]), Some(Level { level, voice }));
            assert_eq!(Level { level, voice }.octet(), octet);
        }
        assert_eq!(Level::read(&[]), None);
        for (level, octet) in [(3.0, 0), (-200.0, 127), (-22.6, 23), (f32::NEG_INFINITY, 127)] {
            assert_eq!(Level { level, voice: false }.octet(), octet, "{level}");
        }
    }

    proptest! {
        #[test]
        fn no_extension_panics(profile: u16, bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for profile in [profile, SHORT, LONG] {
                prop_assert!(Elements::new(Some((profile, &bytes))).count() <= bytes.len());
            }
        }

        #[test]
        fn what_is_written_is_read(
            elements in proptest::collection::vec((1_u8..=14, proptest::collection::vec(any::<u8>(), 0..20)), 0..6),
        ) {
            let elements: Vec<_> = elements.iter().map(|(id, value)| (*id, value.as_slice())).collect();
            let mut out = Vec::new();
            let profile = write(&elements, &mut out);
            let read: Vec<_> = Elements::new(profile.map(|profile| (profile, out.as_slice()))).collect();
            prop_assert_eq!(read, elements);
        }
    }
}
