//! What we say of ourselves, a little at a time (RFC 3550 §6.3.9, §6.5).
use crate::base::rng::Rng;
use crate::media::rtcp::compound::Text;
use crate::media::spec::SourceDescription;

/// One report in so many carries more than the CNAME.
const EXTRA_EVERY: u32 = 3;
/// One extra in so many is not the NAME.
const OTHER_EVERY: u32 = 8;
/// Which of them: the second, since many calls are short.
const OTHER_PHASE: u32 = 1;

/// Chooses the items of each report: the CNAME always, then by turns.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Used when the configuration has none (RFC 7022 §4.2: random, per session).
    fallback_cname: String,
    reports: u32,
    others: usize,
}

impl Rotation {
    pub fn new(rng: &mut Rng) -> Self {
        Self { fallback_cname: rng.hex(24), reports: 0, others: 0 }
    }

    /// The CNAME, which every compound packet must have.
    pub fn cname<'a>(&'a self, description: &'a SourceDescription) -> (Text, &'a str) {
        let configured = &description.cname;
        (Text::Cname, if configured.is_empty() { &self.fallback_cname } else { configured })
    }

    /// The items of the next report.
    pub fn next<'a>(&'a mut self, description: &'a SourceDescription) -> Vec<(Text, &'a str)> {
        let turn = self.reports;
        self.reports = self.reports.wrapping_add(1);
        let extra = if turn.is_multiple_of(EXTRA_EVERY) { self.extra(turn / EXTRA_EVERY, description) } else { None };
        std::iter::once(self.cname(description)).chain(extra).collect()
    }

    fn extra<'a>(&mut self, slot: u32, description: &'a SourceDescription) -> Option<(Text, &'a str)> {
        let SourceDescription { name, email, phone, location, tool, note, .. } = description;
        let others = [
            (Text::Tool, tool.as_str()),
            (Text::Email, email),
            (Text::Phone, phone),
            (Text::Location, location),
            (Text::Note, note),
        ];
        let mut others = others.iter().filter(|(_, value)| !value.is_empty());
        let count = others.clone().count();
        if count == 0 || (!name.is_empty() && slot % OTHER_EVERY != OTHER_PHASE) {
            return (!name.is_empty()).then_some((Text::Name, name));
        }
        let turn = self.others % count;
        self.others = self.others.wrapping_add(1);
        others.nth(turn).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(description: &SourceDescription, reports: usize) -> Vec<Vec<Text>> {
        let mut rotation = Rotation::new(&mut Rng::from_u64(1));
        (0..reports).map(|_| rotation.next(description).into_iter().map(|(text, _)| text).collect()).collect()
    }

    #[test]
    fn without_a_name_the_other_items_take_their_turns() {
        let description = SourceDescription { tool: "offhook".into(), note: "here".into(), ..Default::default() };
        let (plain, tool, note) = (vec![Text::Cname], vec![Text::Cname, Text::Tool], vec![Text::Cname, Text::Note]);
        let expected = [&tool, &plain, &plain, &note, &plain, &plain, &tool];
        assert_eq!(texts(&description, 7).iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn with_a_name_seven_of_eight_turns_are_its() {
        let description = SourceDescription { name: "Alice".into(), tool: "offhook".into(), ..Default::default() };
        let extras: Vec<Text> = texts(&description, 48).into_iter().filter_map(|texts| texts.get(1).copied()).collect();
        assert_eq!(extras.len(), 16);
        assert_eq!(extras[..2], [Text::Name, Text::Tool]);
        assert_eq!(extras.iter().filter(|text| **text == Text::Tool).count(), 2);
    }

    #[test]
    fn there_is_always_a_cname() {
        let mut rotation = Rotation::new(&mut Rng::from_u64(1));
        let empty = SourceDescription::default();
        let first = rotation.cname(&empty).1.to_owned();
        assert_eq!((first.len(), rotation.next(&empty)), (24, vec![(Text::Cname, first.as_str())]));
    }
}
