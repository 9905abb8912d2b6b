//! Whether the files the phone keeps can be written: history, log, its own name.
use super::finding::{Finding, Topic};
use std::path::PathBuf;

/// A file the phone writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub what: &'static str,
    pub path: PathBuf,
    /// Why it cannot be written, in words.
    pub trouble: Option<String>,
}

pub fn judge(places: &[Place]) -> Vec<Finding> {
    let details: Vec<String> = places.iter().map(|place| format!("{}: {}", place.what, place.path.display())).collect();
    let mut out: Vec<Finding> = places
        .iter()
        .filter_map(|place| {
            let trouble = place.trouble.as_ref()?;
            let found = format!("The {} cannot be written: {}: {trouble}.", place.what, place.path.display());
            Some(
                Finding::problem(Topic::Files, found)
                    .means("Calls work; what is kept there is lost when the phone ends.")
                    .advice("Make the folder writable, make room on the disk, or set another place in [files]."),
            )
        })
        .collect();
    if out.is_empty() && !places.is_empty() {
        out.push(Finding::ok(Topic::Files, "The files the phone keeps can be written.").details(details));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;

    #[test]
    fn files_in_words() {
        let place = |trouble: Option<&str>| Place {
            what: "log",
            path: "/x/offhook.log".into(),
            trouble: trouble.map(str::to_owned),
        };
        assert_eq!(judge(&[]), []);
        assert_eq!(judge(&[place(None)])[0].severity, Severity::Ok);
        let findings = judge(&[place(None), place(Some("Permission denied"))]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].found.contains("The log cannot be written: /x/offhook.log: Permission denied."));
    }
}
