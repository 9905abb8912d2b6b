//! What becomes of calls without being asked each time: forwarding, who is answered at once, dial plans, codes.
use super::file::not_empty;
use super::reader::{Reader, Section};
use super::values::ValueError;
use crate::ua::dial_plan::{DialPlan, RULES, Rule, is_dialled};
use crate::ua::handling::{Handling, When};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// As many callers, slots or emergency numbers as one list may have.
const LIST: usize = 64;

pub(super) fn read<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> Handling {
    let mut handling = Handling::default();
    let forwarding = &mut handling.forwarding;
    for (key, when) in
        [("forward_always", When::Always), ("forward_busy", When::Busy), ("forward_no_answer", When::NoAnswer)]
    {
        forwarding.set(when, reader.read(section, key, target));
    }
    if let Some(seconds) = reader.integer(section, "forward_after", 1..=170, " seconds") {
        forwarding.after = Duration::from_secs(seconds.unsigned_abs());
    }
    let mut set = |slot: &mut String, key, parse: fn(&str) -> Result<String, ValueError>| {
        if let Some(value) = reader.read(section, key, parse) {
            *slot = value;
        }
    };
    set(&mut handling.park, "park", code);
    set(&mut handling.pickup_code, "pickup_code", code);
    set(&mut handling.group_pickup_code, "group_pickup_code", code);
    handling.do_not_disturb = reader.boolean(section, "do_not_disturb").unwrap_or_default();
    handling.auto_answer_from = reader.list(section, "auto_answer_from", targets).unwrap_or_default();
    handling.park_slots = reader.list(section, "park_slots", targets).unwrap_or_default();
    handling.dial_plan.rules = dial_plan(reader, section);
    handling.reach = super::ways::read(reader, section);
    handling
}

/// The plan of all accounts.
pub(super) fn read_common<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> DialPlan {
    let default = DialPlan { emergency: EMERGENCY.map(str::to_owned).to_vec(), rules: Vec::new() };
    let emergency = reader.list(section, "emergency_numbers", emergency).unwrap_or(default.emergency);
    DialPlan { rules: dial_plan(reader, section), emergency }
}

/// What calls for help in most countries.
pub(super) const EMERGENCY: [&str; 6] = ["000", "110", "112", "119", "911", "999"];

fn dial_plan<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> Vec<Rule> {
    let Some(value) = section.table.get("dial_plan") else { return Vec::new() };
    let Some(items) = value.get_ref().as_array() else {
        let problem = "a list of rules expected, as [{ match = \"0(ZX.)\", dial = \"+49$1\" }]";
        reader.mistake(&section.name, "dial_plan", Some(value), problem);
        return Vec::new();
    };
    if items.len() > RULES {
        reader.mistake(&section.name, "dial_plan", None, format!("more than {RULES} rules"));
    }
    let rules = (1..).zip(items.iter().take(RULES));
    rules.filter_map(|(number, item)| rule(reader, section, number, item)).collect()
}

/// `{ match = "..", dial = ".." }` or `{ match = "..", block = ".." }`.
fn rule<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'_, 't>,
    number: usize,
    item: &Spanned<DeValue<'t>>,
) -> Option<Rule> {
    let name = format!("dial_plan rule {number}");
    let table = match item.get_ref() {
        DeValue::Table(table) => table,
        _ => {
            let problem = "a rule expected, as { match = \"0(ZX.)\", dial = \"+49$1\" }";
            reader.mistake(&section.name, &name, Some(item), problem);
            return None;
        }
    };
    let rule = Section { name: format!("{}: {name}", section.name), table, span: item.span() };
    let known = ["match", "dial", "block"];
    reader.unknown_keys(&rule, &known, &[]);
    let text = |reader: &mut Reader<'t>, key| reader.read(&rule, key, |text| Ok(text.to_owned()));
    let (pattern, dial, block) = (text(reader, "match"), text(reader, "dial"), text(reader, "block"));
    let written = |key: &str| table.contains_key(key);
    let problem = match (written("match"), written("dial"), written("block")) {
        (false, ..) => "match is missing: which numbers the rule is for",
        (_, false, false) => "dial or block is missing: what becomes of such numbers",
        (_, true, true) => "either dial or block, not both",
        (true, ..) => "",
    };
    if !problem.is_empty() {
        reader.mistake(&section.name, &name, Some(item), problem);
        return None;
    }
    let pattern = pattern?;
    let (key, made) = match (dial, block) {
        (Some(dial), _) => ("dial", Rule::rewriting(&pattern, &dial)),
        (_, Some(reason)) => ("block", Rule::blocking(&pattern, &reason)),
        (None, None) => return None,
    };
    // Which of the two texts is wrong is known when the pattern does without the other.
    let key = if Rule::blocking(&pattern, "x").is_err() { "match" } else { key };
    made.map_err(|error| reader.mistake(&rule.name, key, table.get(key), error)).ok()
}

fn target(text: &str) -> Result<String, ValueError> {
    not_empty(text.trim())?;
    if text.len() > 200 { Err(ValueError::new("longer than 200 bytes")) } else { Ok(text.trim().to_owned()) }
}

/// A code of the server; empty: it has none.
pub(super) fn code(text: &str) -> Result<String, ValueError> {
    if text.trim().is_empty() { Ok(String::new()) } else { target(text) }
}

pub(super) fn targets(texts: &[&str]) -> Result<Vec<String>, ValueError> {
    if texts.len() > LIST {
        return Err(ValueError::new(format!("at most {LIST} expected")));
    }
    let fits = |text: &&str| !text.chars().any(char::is_control) && target(text).is_ok();
    match texts.iter().all(fits) {
        true => Ok(texts.iter().map(|text| text.trim().to_owned()).collect()),
        false => Err(ValueError::new("numbers, names or addresses expected, as [\"1001\", \"boss@pbx.example\"]")),
    }
}

fn emergency(texts: &[&str]) -> Result<Vec<String>, ValueError> {
    let fits = |text: &&str| (1..=16).contains(&text.len()) && text.chars().all(is_dialled);
    match texts.len() <= LIST && texts.iter().all(fits) {
        true => Ok(texts.iter().map(|text| (*text).to_owned()).collect()),
        false => Err(ValueError::new("numbers expected, as [\"112\", \"911\"]")),
    }
}
