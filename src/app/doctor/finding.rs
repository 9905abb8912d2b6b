//! A finding: what was found, what it means for calls, and what to do.
use crate::base::untrusted::Untrusted;
use crate::cli::ExitCode;

/// What a finding is about, in the order in which findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Configuration,
    Names,
    Server,
    Certificate,
    Registration,
    Nat,
    Relay,
    Machine,
    Sound,
    Files,
}

impl Topic {
    pub const ALL: [Self; 10] = [
        Self::Configuration,
        Self::Names,
        Self::Server,
        Self::Certificate,
        Self::Registration,
        Self::Nat,
        Self::Relay,
        Self::Machine,
        Self::Sound,
        Self::Files,
    ];

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Names => "names",
            Self::Server => "server",
            Self::Certificate => "certificate",
            Self::Registration => "registration",
            Self::Nat => "nat",
            Self::Relay => "relay",
            Self::Machine => "machine",
            Self::Sound => "sound",
            Self::Files => "files",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Configuration => "Configuration",
            Self::Names => "Names (DNS)",
            Self::Server => "Server",
            Self::Certificate => "Certificate and clock",
            Self::Registration => "Registration",
            Self::Nat => "Address from outside (NAT)",
            Self::Relay => "Relay (TURN)",
            Self::Machine => "Network of this computer",
            Self::Sound => "Sound",
            Self::Files => "Files",
        }
    }

    /// How the command ends when this is where the first problem is.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Configuration => ExitCode::Configuration,
            Self::Names | Self::Server | Self::Certificate | Self::Nat | Self::Relay | Self::Machine => {
                ExitCode::Network
            }
            Self::Registration => ExitCode::RegistrationRefused,
            Self::Sound => ExitCode::Device,
            Self::Files => ExitCode::Failed,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Ok,
    /// It works, and could work better.
    Note,
    /// Could not be checked.
    Unknown,
    /// Calls do not get through, or have no sound.
    Problem,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Unknown => "unknown",
            Self::Problem => "problem",
        }
    }
}

/// Its texts may hold what servers said: they are shown through [`Finding::shown`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub topic: Topic,
    pub severity: Severity,
    pub found: String,
    /// What it means for calls; may be empty where all is well.
    pub means: String,
    /// What to do; empty where there is nothing to be done.
    pub advice: String,
    /// For those who want to know more.
    pub details: Vec<String>,
}

/// The longest text and the most details that are shown \[columns, lines\].
const WIDTH: usize = 400;
const DETAILS: usize = 40;

impl Finding {
    fn new(topic: Topic, severity: Severity, found: impl Into<String>) -> Self {
        let (found, means, advice) = (found.into(), String::new(), String::new());
        Self { topic, severity, found, means, advice, details: Vec::new() }
    }

    pub fn ok(topic: Topic, found: impl Into<String>) -> Self {
        Self::new(topic, Severity::Ok, found)
    }

    pub fn note(topic: Topic, found: impl Into<String>) -> Self {
        Self::new(topic, Severity::Note, found)
    }

    pub fn unknown(topic: Topic, found: impl Into<String>) -> Self {
        Self::new(topic, Severity::Unknown, found)
    }

    pub fn problem(topic: Topic, found: impl Into<String>) -> Self {
        Self::new(topic, Severity::Problem, found)
    }

    pub fn means(mut self, means: impl Into<String>) -> Self {
        self.means = means.into();
        self
    }

    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    pub fn details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// The same, fit for a screen and a log whatever servers said.
    pub fn shown(&self) -> Self {
        let clean = |text: &String| Untrusted::new(text.as_str()).sanitize(WIDTH);
        Self {
            found: clean(&self.found),
            means: clean(&self.means),
            advice: clean(&self.advice),
            details: self.details.iter().take(DETAILS).map(clean).collect(),
            ..*self
        }
    }
}

/// The words an error and its way out are told in, where both stand in one sentence: `cause; way out`.
pub fn cause_and_advice(words: &str) -> (&str, &str) {
    words.split_once("; ").unwrap_or((words, ""))
}

/// As a sentence begins.
pub fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if words.ends_with(['.', '?', '!']) || words.is_empty() { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// A time for people.
pub fn span(time: std::time::Duration) -> String {
    let ms = time.as_secs_f64() * 1_000.0;
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn nothing_a_server_says_reaches_the_terminal_as_it_came() {
        let evil = "Asterisk\u{1b}[2J\u{202e}\r\nok";
        let finding = Finding::note(Topic::Server, evil).means(evil).advice(evil).details([evil.to_owned()]);
        let shown = finding.shown();
        for text in [&shown.found, &shown.means, &shown.advice, &shown.details[0]] {
            assert_eq!(text, "Asterisk[2Jok");
        }
        let many = Finding::ok(Topic::Names, "x".repeat(5_000)).details((0..1_000).map(|n| n.to_string()));
        assert!(many.shown().found.chars().count() <= WIDTH && many.shown().details.len() == DETAILS);
    }

    #[test]
    fn words_for_people() {
        assert_eq!(cause_and_advice("it expired; renew it"), ("it expired", "renew it"));
        assert_eq!(cause_and_advice("it expired"), ("it expired", ""));
        assert_eq!(sentence("it is so"), "It is so.");
        assert_eq!(sentence("is it?"), "Is it?");
        assert_eq!(sentence(""), "");
        let rows = [(400, "0.4 ms"), (12_300, "12 ms"), (1_640_000, "1.6 s")];
        rows.into_iter().for_each(|(us, words)| assert_eq!(span(Duration::from_micros(us)), words));
    }

    #[test]
    fn topics_have_names_of_their_own() {
        let mut names: Vec<&str> = Topic::ALL.iter().map(|topic| topic.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Topic::ALL.len());
    }
}
