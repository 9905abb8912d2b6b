//! The values of options: numbers with their unit, digits.
use std::time::Duration;

/// A number between 0 and `most`.
fn number(text: &str, most: f64, unit: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=most).contains(number));
    number.ok_or_else(|| format!("a number from 0 to {most} {unit} expected"))
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    number(text, 86_400.0, "seconds").map(Duration::from_secs_f64)
}

/// Longer than any NAT should remember (RFC 4787 §4.3), and no shorter than is worth waiting for.
pub(super) fn silence(text: &str) -> Result<Duration, String> {
    seconds(text)
        .ok()
        .filter(|s| (4..=600).contains(&s.as_secs()))
        .ok_or_else(|| "4 to 600 seconds expected".to_owned())
}

pub(super) fn milliseconds(text: &str) -> Result<Duration, String> {
    number(text, 5_000.0, "milliseconds").map(|ms| Duration::from_secs_f64(ms / 1000.0))
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
    number(text, 100.0, "percent")
}

pub(super) fn digits(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_digit() || "*#ABCDabcd,;".contains(c);
    if !text.is_empty() && text.chars().all(known) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err("digits 0-9, *, #, A-D expected; a comma waits a second, a semicolon for `continue`".to_owned())
    }
}
