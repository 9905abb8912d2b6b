//! A ladder as text for a person: first the arrows, then the messages.
use super::LadderEntry;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// The whole report; times are UTC.
pub fn report(title: &str, rows: &[impl AsRef<LadderEntry>], secrets: bool) -> String {
    let mut out = format!("{title}\n\n");
    let remotes = remotes(rows);
    for (at, remote) in remotes.iter().enumerate() {
        let _ = writeln!(out, "{}: {}", letter(at), remote);
    }
    if secrets {
        out.push_str("This file holds credentials and media keys: do not hand it on.\n");
    }
    out.push('\n');
    let mut before = None;
    let mut number = 0;
    for row in rows.iter().map(AsRef::as_ref) {
        let since = before.map_or(0.0, |before| row.at.saturating_duration_since(before).as_secs_f64());
        before = Some(row.at);
        let _ = write!(out, "{}  {since:>+9.3}  ", clock(row.wall));
        let Some(flow) = row.flow else {
            let _ = writeln!(out, "     -- {} --", row.label);
            continue;
        };
        number += 1;
        let with = letter(remotes.iter().position(|remote| *remote == flow.remote).unwrap_or(0));
        let arrow = if row.sent { "us ---> " } else { "us <--- " };
        let times = if row.repeats > 0 { format!(" (x{})", row.repeats + 1) } else { String::new() };
        let call = row.call.map(|call| format!("  call {call}")).unwrap_or_default();
        let remark = if row.remark.is_empty() { String::new() } else { format!("  {}", row.remark) };
        let _ = writeln!(out, "{number:>3}  {arrow}{with}  {}{times}  [{}]{call}{remark}", row.label, row.cseq);
    }
    for (number, row) in rows.iter().map(AsRef::as_ref).filter(|row| row.is_message()).enumerate() {
        let way = if row.sent { "sent to" } else { "received from" };
        let _ = write!(out, "\n===== {}  {}  {way} {}\n", number + 1, clock(row.wall), row.way());
        out.push_str(&if secrets { row.wire.text_with_secrets() } else { row.wire.text() });
    }
    out
}

/// Whom messages were exchanged with, in the order they came up.
pub fn remotes(rows: &[impl AsRef<LadderEntry>]) -> Vec<SocketAddr> {
    let mut remotes = Vec::new();
    for remote in rows.iter().filter_map(|row| row.as_ref().flow.map(|flow| flow.remote)) {
        if !remotes.contains(&remote) {
            remotes.push(remote);
        }
    }
    remotes
}

/// `A`, `B`, ... and after `Z` a plain `*`.
pub fn letter(at: usize) -> char {
    u8::try_from(at).ok().and_then(|at| b'A'.checked_add(at)).filter(u8::is_ascii_uppercase).map_or('*', char::from)
}

fn clock(wall: SystemTime) -> String {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    format!("{:02}:{:02}:{:02}.{:06}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60, since.subsec_micros())
}
