//! The dial plan: how numbers are rewritten before they are called, and which are not called at all.
//!
//! A pattern is matched with the whole number, from left to right and without going back: digits, `*`, `#` and `+` stand for
//! themselves, `X` for any digit, `Z` for 1 to 9, `N` for 2 to 9, `[135-7]` for one of these, and `.` at the end for one or more
//! of anything. What stands in `(` and `)` is `$1` of the number that is dialled instead.
use std::fmt;

/// Rules of one plan.
pub const RULES: usize = 64;
/// Characters of a pattern, and of what is dialled instead.
const LONGEST: usize = 64;
/// Characters of a number; longer ones match nothing.
const NUMBER: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialPlan {
    pub rules: Vec<Rule>,
    /// Numbers that are dialled as they are, whatever the rules say.
    pub emergency: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pattern: Pattern,
    action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// `$1` stands for what the pattern has in parentheses.
    Dial(String),
    /// Why not.
    Block(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    items: Vec<Item>,
    /// The items in parentheses.
    group: Option<(usize, usize)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Is(char),
    /// One of these digits.
    Of(Vec<char>),
    /// One or more of anything, up to the end.
    Rest,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    #[error("empty; a pattern as \"0(ZX.)\" expected")]
    Empty,
    #[error("longer than {LONGEST} characters")]
    TooLong,
    #[error(
        "`{0}` has no meaning in a pattern: digits, *, #, +, X, Z, N, [..], one pair of parentheses and a dot at the end"
    )]
    Character(char),
    #[error("the dot stands for the rest of the number: nothing but `)` may follow it")]
    Rest,
    #[error("one pair of parentheses expected, not nested")]
    Parentheses,
    #[error("brackets hold digits and ranges, as [135-7]")]
    Brackets,
    #[error("`$1` stands for what is in parentheses, and the pattern has none")]
    NoGroup,
    #[error("digits, *, #, + and $1 expected, as \"+49$1\"")]
    Replacement,
    #[error("a sentence of at most 200 characters expected that says why such numbers are not called")]
    Reason,
}

/// What the plan makes of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No rule is for it.
    AsItIs,
    Emergency,
    /// With the pattern of the rule.
    Instead {
        number: String,
        pattern: String,
    },
    Blocked {
        reason: String,
        pattern: String,
    },
}

impl Rule {
    /// # Errors
    /// When the pattern or what is dialled instead has no meaning.
    pub fn rewriting(pattern: &str, dial: &str) -> Result<Self, RuleError> {
        let pattern = Pattern::parse(pattern)?;
        let rest: String = dial.split("$1").collect();
        if dial.is_empty() || dial.len() > LONGEST || !rest.chars().all(is_dialled) {
            return Err(RuleError::Replacement);
        }
        if dial.contains("$1") && pattern.group.is_none() {
            return Err(RuleError::NoGroup);
        }
        Ok(Self { pattern, action: Action::Dial(dial.to_owned()) })
    }

    /// # Errors
    /// When the pattern has no meaning, or no reason is given.
    pub fn blocking(pattern: &str, reason: &str) -> Result<Self, RuleError> {
        let pattern = Pattern::parse(pattern)?;
        if reason.trim().is_empty() || reason.chars().count() > 200 || reason.chars().any(char::is_control) {
            return Err(RuleError::Reason);
        }
        Ok(Self { pattern, action: Action::Block(reason.trim().to_owned()) })
    }
}

impl DialPlan {
    /// What becomes of a number. Rules that block come first, whatever their place; of the others the first that matches.
    pub fn judge(&self, number: &str) -> Verdict {
        if self.emergency.iter().any(|known| known == number) {
            return Verdict::Emergency;
        }
        if let Some(blocked) = self.blocked(number) {
            return blocked;
        }
        let instead = self.rules.iter().find_map(|rule| match &rule.action {
            Action::Dial(dial) => Some((rule, dial, rule.pattern.matched(number)?)),
            Action::Block(_) => None,
        });
        let Some((rule, dial, group)) = instead else { return Verdict::AsItIs };
        let new = dial.replace("$1", group);
        // What may not be called may not be reached by a rule either.
        self.blocked(&new).unwrap_or(Verdict::Instead { number: new, pattern: rule.pattern.text.clone() })
    }

    /// The rule that forbids a number, if there is one.
    pub fn blocked(&self, number: &str) -> Option<Verdict> {
        if self.emergency.iter().any(|known| known == number) {
            return None;
        }
        self.rules.iter().find_map(|rule| match &rule.action {
            Action::Block(reason) => rule
                .pattern
                .matched(number)
                .map(|_| Verdict::Blocked { reason: reason.clone(), pattern: rule.pattern.text.clone() }),
            Action::Dial(_) => None,
        })
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, RuleError> {
        if text.is_empty() {
            return Err(RuleError::Empty);
        }
        if text.len() > LONGEST {
            return Err(RuleError::TooLong);
        }
        let (mut items, mut begin, mut group) = (Vec::new(), None, None);
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if items.last() == Some(&Item::Rest) && c != ')' {
                return Err(RuleError::Rest);
            }
            match c {
                '0'..='9' | '*' | '#' | '+' => items.push(Item::Is(c)),
                'X' | 'x' => items.push(Item::Of(('0'..='9').collect())),
                'Z' | 'z' => items.push(Item::Of(('1'..='9').collect())),
                'N' | 'n' => items.push(Item::Of(('2'..='9').collect())),
                '.' => items.push(Item::Rest),
                '[' => {
                    let inside: Vec<char> = chars.by_ref().take_while(|c| *c != ']').collect();
                    // Without its end the set would have run to the end of the text.
                    let closed = text.matches('[').count() == text.matches(']').count();
                    items.push(Item::Of(set(&inside).filter(|_| closed).ok_or(RuleError::Brackets)?));
                }
                '(' if begin.is_none() => begin = Some(items.len()),
                ')' => match (begin, group) {
                    (Some(from), None) if from < items.len() => group = Some((from, items.len())),
                    _ => return Err(RuleError::Parentheses),
                },
                '(' => return Err(RuleError::Parentheses),
                other => return Err(RuleError::Character(other)),
            }
        }
        match (begin, group, items.is_empty()) {
            (Some(_), None, _) => Err(RuleError::Parentheses),
            (_, _, true) => Err(RuleError::Empty),
            (_, group, false) => Ok(Self { text: text.to_owned(), items, group }),
        }
    }

    /// What the number has in the place of the parentheses, empty without them; `None` when it does not match.
    fn matched<'n>(&self, number: &'n str) -> Option<&'n str> {
        if number.len() > NUMBER || !number.chars().all(is_dialled) {
            return None;
        }
        let (from, to) = self.group.unwrap_or((0, 0));
        let (mut begin, mut end) = (0, 0);
        // Every character is one byte.
        let (mut at, mut left) = (0, number.chars());
        for (index, item) in self.items.iter().enumerate() {
            if index == from {
                begin = at;
            }
            at += match item {
                Item::Is(wanted) => (left.next()? == *wanted).then_some(1)?,
                Item::Of(digits) => digits.contains(&left.next()?).then_some(1)?,
                Item::Rest => {
                    let rest = left.by_ref().count();
                    (rest > 0).then_some(rest)?
                }
            };
            if index + 1 == to {
                end = at;
            }
        }
        left.next().is_none().then(|| number.get(begin..end).unwrap_or_default())
    }
}

/// What a number consists of.
pub fn is_dialled(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '*' | '#' | '+')
}

/// The digits of a set such as `135-7`.
fn set(inside: &[char]) -> Option<Vec<char>> {
    let (mut digits, mut at) = (Vec::new(), 0);
    while let Some(first) = inside.get(at).filter(|c| c.is_ascii_digit()) {
        let last = match inside.get(at + 1) {
            Some('-') => inside.get(at + 2).filter(|c| c.is_ascii_digit() && *c >= first)?,
            _ => first,
        };
        at += if last == first && inside.get(at + 1) != Some(&'-') { 1 } else { 3 };
        digits.extend(*first..=*last);
    }
    (at == inside.len() && !digits.is_empty()).then_some(digits)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsItIs => write!(f, "as it is: no rule is for it"),
            Self::Emergency => write!(f, "as it is: an emergency number"),
            Self::Instead { pattern, .. } => write!(f, "by the rule {pattern}"),
            Self::Blocked { reason, pattern } => write!(f, "not called: {reason} (rule {pattern})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_without_a_meaning_are_refused() {
        let rows = [
            ("", RuleError::Empty),
            ("()", RuleError::Parentheses),
            ("(0", RuleError::Parentheses),
            ("0)", RuleError::Parentheses),
            ("(0)(1)", RuleError::Parentheses),
            ("((0))", RuleError::Parentheses),
            (".0", RuleError::Rest),
            ("0..", RuleError::Rest),
            ("[", RuleError::Brackets),
            ("[]", RuleError::Brackets),
            ("[5-2]", RuleError::Brackets),
            ("[1-", RuleError::Brackets),
            ("[1-]", RuleError::Brackets),
            ("[a]", RuleError::Brackets),
            ("^0", RuleError::Character('^')),
            ("0\n", RuleError::Character('\n')),
            ("0é", RuleError::Character('é')),
            ("]", RuleError::Character(']')),
        ];
        for (pattern, error) in rows {
            assert_eq!(Rule::rewriting(pattern, "1").expect_err(pattern), error, "{pattern}");
        }
        assert_eq!(Rule::rewriting(&"1".repeat(65), "1"), Err(RuleError::TooLong));
        let long = "1".repeat(65);
        for dial in ["", "bob", "$2", "1$", &long] {
            assert_eq!(Rule::rewriting("0(.)", dial).expect_err(dial), RuleError::Replacement, "{dial}");
        }
        assert_eq!(Rule::rewriting("0.", "+49$1"), Err(RuleError::NoGroup));
        assert_eq!(Rule::blocking("0900.", "  "), Err(RuleError::Reason));
    }

    #[test]
    fn numbers_are_rewritten() {
        let rows = [
            ("0(ZX.)", "+49$1", "0", None),
            ("0(ZX.)", "+49$1", "0012345", None),
            ("0(ZX.)", "+49$1", "0301234x", None),
            ("0(ZX.)", "+49$1", "", None),
            ("0(ZX.)", "+49$1", "0301234", Some("+49301234")),
            ("00(.)", "+$1", "0043123", Some("+43123")),
            ("(XXX)", "0$1", "12", None),
            ("(XXX)", "0$1", "1234", None),
            ("(XXX)", "0$1", "123", Some("0123")),
            ("9([2-46]X)", "$1", "915", None),
            ("9([2-46]X)", "$1", "935", Some("35")),
            ("9([2-46]X)", "$1", "965", Some("65")),
            ("*1(N)#", "$1$1", "*17#", Some("77")),
            ("+49(.)", "0$1", "+49301234", Some("0301234")),
            ("5", "600", "5", Some("600")),
        ];
        for (pattern, dial, number, instead) in rows {
            let rule = Rule::rewriting(pattern, dial).expect(pattern);
            let plan = DialPlan { rules: vec![rule], emergency: Vec::new() };
            let verdict = match instead {
                Some(number) => Verdict::Instead { number: number.into(), pattern: pattern.into() },
                None => Verdict::AsItIs,
            };
            assert_eq!(plan.judge(number), verdict, "{pattern} {number}");
        }
    }

    #[test]
    fn blocked_is_blocked_by_any_way_and_emergency_numbers_always_go() {
        let plan = DialPlan {
            rules: vec![
                Rule::rewriting("1(.)", "$1").expect("a rule"),
                Rule::rewriting("0(.)", "+49$1").expect("a rule"),
                Rule::blocking("0900.", "premium numbers are blocked").expect("a rule"),
                Rule::blocking("+49900.", "premium numbers are blocked").expect("a rule"),
            ],
            emergency: vec!["112".into()],
        };
        let blocked =
            |pattern: &str| Verdict::Blocked { reason: "premium numbers are blocked".into(), pattern: pattern.into() };
        assert_eq!(plan.judge("112"), Verdict::Emergency);
        assert_eq!(plan.judge("0900123"), blocked("0900."));
        assert_eq!(plan.judge("10900123"), blocked("0900."));
        assert_eq!(plan.judge("+49900123"), blocked("+49900."));
        assert_eq!(plan.judge("113"), Verdict::Instead { number: "13".into(), pattern: "1(.)".into() });
        assert_eq!(plan.judge(&"0".repeat(65)), Verdict::AsItIs);
    }
}
