//! The name of a recording's file: never more than one name in the folder it belongs to, whatever the peer calls itself.
use crate::media::spec::Recording;
use std::time::{SystemTime, UNIX_EPOCH};

/// Letters of a peer's or a user's name that are kept.
const LONGEST: usize = 80;

/// `20261123-093000-1002@pbx.example.wav` in local time, or what the user named it.
///
/// - `number`: of the tries before this one, whose names were taken.
pub fn file_name(recording: &Recording, at: SystemTime, number: u32) -> String {
    let stem = match &recording.file {
        Some(file) => safe(file.strip_suffix(".wav").unwrap_or(file)),
        None => format!("{}-{}", stamp(at), safe(&recording.label)),
    };
    let again = if number == 0 { String::new() } else { format!("-{}", number + 1) };
    format!("{stem}{again}.wav")
}

/// Letters and digits of ASCII, `-`, `_`, `@`, `+`, and dots inside; all else becomes `_`.
fn safe(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "-_@+.".contains(c) { c } else { '_' };
    let kept: String = text.trim().chars().take(LONGEST).map(keep).collect();
    let name = kept.trim_start_matches(['.', '-']).trim_end_matches('.');
    if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
}

/// `YYYYMMDD-HHMMSS` in the time zone of this machine.
fn stamp(at: SystemTime) -> String {
    let unix = at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    // SAFETY: all-zero bytes are a valid `tm` (numbers and a null pointer).
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    if let Ok(seconds) = libc::time_t::try_from(unix) {
        // SAFETY: both pointers are to live values of the right type; nothing is kept beyond the call.
        unsafe { libc::localtime_r(&raw const seconds, &raw mut local) };
    }
    let (year, month) = (local.tm_year + 1900, local.tm_mon + 1);
    let (day, hour, minute, second) = (local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Component, Path};

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let rows = [
            ("", "unknown"),
            ("..", "unknown"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("/etc/cron.d/x", "_etc_cron.d_x"),
            (".bashrc", "bashrc"),
            ("-rf", "rf"),
            ("a\0b\nc", "a_b_c"),
            ("Žofie <1002>", "_ofie _1002_"),
            ("1002@pbx.example", "1002@pbx.example"),
            ("+420 555", "+420_555"),
        ];
        for (text, expected) in rows {
            let expected = expected.replace(' ', "_");
            let given = Recording { file: Some(text.to_owned()), ..Recording::default() };
            assert_eq!(file_name(&given, UNIX_EPOCH, 0), format!("{expected}.wav"), "{text:?}");
            let of_peer = Recording { label: text.to_owned(), ..Recording::default() };
            for name in [file_name(&given, UNIX_EPOCH, 3), file_name(&of_peer, UNIX_EPOCH, 0)] {
                let parts: Vec<Component<'_>> = Path::new(&name).components().collect();
                assert!(matches!(parts.as_slice(), [Component::Normal(_)]), "{name:?}");
            }
        }
        let long = Recording { label: "x".repeat(5_000), ..Recording::default() };
        assert!(file_name(&long, UNIX_EPOCH, 0).len() < 120);
    }

    #[test]
    fn names_tell_when_and_whom_and_the_next_try_is_counted() {
        let recording = Recording { label: "bob".to_owned(), ..Recording::default() };
        let name = file_name(&recording, UNIX_EPOCH, 0);
        let (stamp, rest) = name.split_at(15);
        assert!(stamp.bytes().enumerate().all(|(n, b)| if n == 8 { b == b'-' } else { b.is_ascii_digit() }), "{name}");
        assert_eq!(rest, "-bob.wav");
        assert!(file_name(&recording, UNIX_EPOCH, 1).ends_with("-bob-2.wav"));
        let named = Recording { file: Some("talk.wav".to_owned()), ..recording };
        assert_eq!(file_name(&named, UNIX_EPOCH, 0), "talk.wav");
    }
}
