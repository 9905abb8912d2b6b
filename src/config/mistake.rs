//! What is wrong in a configuration, so that the user can mend it: where, what was written, what is allowed.
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// One mistake. Printed as `account "work": proxy "sip:pbx:99999": port is above 65535`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistake {
    /// Line of the file, from 1.
    pub line: Option<usize>,
    /// The section, as `account "work"` or `network`; empty at the top of the file and on the command line.
    pub section: String,
    /// The key, or the option of the command line.
    pub key: String,
    /// What was written, fit for a screen; secrets are left out.
    pub value: Option<String>,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.section.is_empty() {
            write!(f, "{}: ", self.section)?;
        }
        if !self.key.is_empty() {
            f.write_str(&self.key)?;
            self.value.iter().try_for_each(|value| write!(f, " {value}"))?;
            f.write_str(": ")?;
        }
        f.write_str(&self.problem)
    }
}

#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error("no place for the configuration: neither HOME nor XDG_CONFIG_HOME is set; name a file with --config")]
    NoHome,
    #[error("cannot read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}", listed(file.as_ref(), mistakes))]
    Mistakes { file: Option<PathBuf>, mistakes: Vec<Mistake> },
}

/// One line for each mistake, `FILE:LINE: ` before it.
fn listed(file: Option<&PathBuf>, mistakes: &[Mistake]) -> String {
    let line = |mistake: &Mistake| match (file, mistake.line) {
        (Some(file), Some(line)) => format!("{}:{line}: {mistake}", file.display()),
        (Some(file), None) => format!("{}: {mistake}", file.display()),
        (None, _) => mistake.to_string(),
    };
    mistakes.iter().map(line).collect::<Vec<_>>().join("\n")
}
