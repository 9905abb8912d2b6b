//! The findings as a page for people, and as lines of JSON for programs.
use super::finding::{Finding, Severity, Topic};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::Duration;
use unicode_width::UnicodeWidthStr as _;

/// Columns of a page, and of what stands before the text.
const WIDTH: usize = 80;
const INDENT: usize = 11;

/// How the page looks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub coloured: bool,
    /// Details and explanations of what is in order, too.
    pub verbose: bool,
}

/// How many findings there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub problems: usize,
    pub notes: usize,
    pub unknown: usize,
    pub fine: usize,
}

impl Sum {
    pub fn of(findings: &[Finding]) -> Self {
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        Self {
            problems: count(Severity::Problem),
            notes: count(Severity::Note),
            unknown: count(Severity::Unknown),
            fine: count(Severity::Ok),
        }
    }

    fn words(self) -> String {
        let problems = match self.problems {
            0 => "no problem found".to_owned(),
            1 => "1 problem".to_owned(),
            n => format!("{n} problems"),
        };
        let notes = match self.notes {
            0 => String::new(),
            1 => ", 1 note".to_owned(),
            n => format!(", {n} notes"),
        };
        let unknown = if self.unknown == 0 { String::new() } else { format!(", {} not checked", self.unknown) };
        format!("{problems}{notes}{unknown}, {} in order", self.fine)
    }
}

/// Prints all findings, and the sum of them.
///
/// # Errors
/// Those of `out`.
pub fn print(findings: &[Finding], took: Duration, look: Look, out: &mut impl Write) -> io::Result<()> {
    for topic in Topic::ALL {
        let mut about = findings.iter().filter(|finding| finding.topic == topic).peekable();
        if about.peek().is_some() {
            writeln!(out, "{}", paint(look, "1", topic.title()))?;
            about.try_for_each(|finding| print_one(&finding.shown(), look, out))?;
        }
    }
    writeln!(out, "\n{} ({:.1} s)", Sum::of(findings).words(), took.as_secs_f64())
}

fn print_one(finding: &Finding, look: Look, out: &mut impl Write) -> io::Result<()> {
    let colour = match finding.severity {
        Severity::Ok => "32",
        Severity::Note => "33",
        Severity::Unknown => "2",
        Severity::Problem => "1;31",
    };
    let mut lines = wrapped(&finding.found, WIDTH - INDENT).into_iter();
    let first = lines.next().unwrap_or_default();
    let mark = format!("{:<8}", finding.severity.name());
    writeln!(out, "  {} {first}", paint(look, colour, &mark))?;
    let mut indented = |text: &str, first: &str, rest: &str| -> io::Result<()> {
        let room = WIDTH - INDENT - first.width();
        for (n, line) in wrapped(text, room).into_iter().enumerate() {
            writeln!(out, "{:INDENT$}{}{line}", "", if n == 0 { first } else { rest })?;
        }
        Ok(())
    };
    lines.try_for_each(|line| indented(&line, "", ""))?;
    if finding.severity != Severity::Ok || look.verbose {
        indented(&finding.means, "", "")?;
    }
    indented(&finding.advice, "> ", "  ")?;
    if look.verbose {
        finding.details.iter().try_for_each(|detail| indented(detail, "- ", "  "))?;
    }
    Ok(())
}

fn paint(look: Look, code: &str, text: &str) -> String {
    if look.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Lines of at most `width` columns; a word that is longer has a line of its own, and is cut nowhere.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// One object for each finding, and one for the sum.
pub fn json(findings: &[Finding], took: Duration) -> Vec<Value> {
    let one = |finding: &Finding| {
        let Finding { topic, severity, found, means, advice, details } = finding.shown();
        json!({
            "type": "finding",
            "topic": topic.name(),
            "severity": severity.name(),
            "found": found,
            "means": means,
            "advice": advice,
            "details": details,
        })
    };
    let Sum { problems, notes, unknown, fine } = Sum::of(findings);
    let mut lines: Vec<Value> = findings.iter().map(one).collect();
    lines.push(json!({
        "type": "summary",
        "problems": problems,
        "notes": notes,
        "unknown": unknown,
        "ok": fine,
        "seconds": took.as_secs_f64(),
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::problem(
                Topic::Server,
                "nothing answers at 192.0.2.1:5060 over UDP, and over TCP it does. ".repeat(2),
            )
            .means("Calls cannot be placed.")
            .advice("Set transport = \"tcp\" in the account, and try again with this longer line of advice.")
            .details(["UDP: silent".to_owned()]),
            Finding::ok(Topic::Names, "pbx.example leads to 192.0.2.1:5060.").means("The phone finds it."),
        ]
    }

    fn page(look: Look) -> String {
        let mut out = Vec::new();
        print(&findings(), Duration::from_millis(1_240), look, &mut out).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_page_of_eighty_columns() {
        let text = page(Look { coloured: false, verbose: false });
        let expected = [
            "Names (DNS)",
            "  ok       pbx.example leads to 192.0.2.1:5060.",
            "Server",
            "  problem  nothing answers at 192.0.2.1:5060 over UDP, and over TCP it does.",
            "           nothing answers at 192.0.2.1:5060 over UDP, and over TCP it does.",
            "           Calls cannot be placed.",
            "           > Set transport = \"tcp\" in the account, and try again with this",
            "             longer line of advice.",
            "",
            "1 problem, 1 in order (1.2 s)",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert!(text.lines().all(|line| line.width() <= WIDTH));
    }

    #[test]
    fn details_and_colours_only_where_they_are_wanted() {
        let text = page(Look { coloured: true, verbose: true });
        assert!(text.contains("           - UDP: silent") && text.contains("The phone finds it."), "{text}");
        assert!(text.contains("\x1b[1;31mproblem \x1b[0m"), "{text}");
    }

    #[test]
    fn programs_get_every_finding_and_the_sum() {
        let lines = json(&findings(), Duration::from_secs(2));
        assert_eq!(lines.len(), 3);
        assert_eq!((&lines[0]["topic"], &lines[0]["severity"]), (&json!("server"), &json!("problem")));
        assert_eq!((&lines[2]["problems"], &lines[2]["ok"]), (&json!(1), &json!(1)));
    }

    #[test]
    fn sums_in_words() {
        let sum = |problems, notes, unknown| Sum { problems, notes, unknown, fine: 3 }.words();
        assert_eq!(sum(0, 0, 0), "no problem found, 3 in order");
        assert_eq!(sum(2, 1, 0), "2 problems, 1 note, 3 in order");
        assert_eq!(sum(1, 2, 4), "1 problem, 2 notes, 4 not checked, 3 in order");
    }
}
