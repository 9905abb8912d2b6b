//! Architecture test: module edges and purity, read from `src/`.
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Module and what it may name as `crate::…`, in layer order: a row may list only rows above it.
/// Longest prefix wins (`media::rtp` before `media`); a module may always name itself.
const EDGES: &[(&str, &[&str])] = &[
    // L0: words and numbers
    ("base", &[]),
    // L1: protocol machines and signal code, pure
    // The vocabulary: `net` answers a stream it must close, `runtime` reads the host of a question.
    ("sip::message", &["base"]),
    ("sip", &["base", "sip::message"]),
    ("sip::transport", &["base", "sip::message", "sip"]),
    ("sip::locate", &["base", "sip::message", "sip"]),
    // plain data: candidates, credentials, servers
    ("nat::candidate", &["base"]),
    ("nat::stun", &["base"]),
    ("nat::turn", &["base", "nat::stun"]),
    ("nat::behaviour", &["base", "nat::stun"]),
    ("nat::ice", &["base", "nat::stun", "nat::candidate"]),
    ("nat", &["base", "nat::candidate", "nat::stun", "nat::turn", "nat::ice"]),
    // plain data: the keys a description carries and media uses
    ("media::srtp::sdes", &["base"]),
    // plain data: what descriptions tell of certificates, and the certificate we show
    ("media::dtls", &["base", "media::srtp::sdes"]),
    ("media::spec", &["base", "media::srtp::sdes", "media::dtls", "nat::candidate"]),
    // plain data that descriptions and media share: codecs, formats, directions
    ("sdp", &["base", "media::spec", "media::srtp::sdes", "media::dtls", "nat::candidate"]),
    ("media::stats", &["base", "media::spec"]),
    ("media::event", &["base", "media::spec", "media::stats", "media::srtp::sdes", "media::dtls", "nat::candidate"]),
    ("media::error", &["base"]),
    ("media::frame", &[]),
    ("media::rtp", &["base", "media::error", "media::frame"]),
    ("media::rtcp", &["base", "media::error", "media::rtp", "media::spec", "media::stats"]),
    ("media::srtp", &["base", "media::error", "media::srtp::sdes"]),
    ("media::dsp", &["base", "media::frame", "media::spec"]),
    ("media::codec", &["base", "media::error", "media::frame", "media::dsp", "media::spec"]),
    ("media::dtmf", &["base", "media::frame", "media::dsp", "media::rtp", "media::spec"]),
    (
        "media::jitter",
        &["base", "media::error", "media::frame", "media::rtp", "media::dsp", "media::codec", "media::spec"],
    ),
    // L2: sessions, pure
    (
        "media",
        &[
            "base",
            "nat",
            "nat::candidate",
            "nat::ice",
            "media::error",
            "media::frame",
            "media::rtp",
            "media::rtcp",
            "media::srtp::sdes",
            "media::dtls",
            "media::srtp",
            "media::codec",
            "media::dsp",
            "media::dtmf",
            "media::jitter",
            "media::spec",
            "media::stats",
            "media::event",
        ],
    ),
    // The codec decides how much a loss hurts.
    ("qos", &["base", "media::spec", "media::stats"]),
    // L3: agents, pure; the first three are the contract that views and APIs may see
    ("ua::availability", &[]),
    ("ua::dial_plan", &[]),
    ("ua::caller_id", &[]),
    ("ua::handling", &["nat::candidate", "ua::dial_plan"]),
    ("ua::contacts", &["base"]),
    ("ua::identity", &["base"]),
    ("ua::command", &["base", "ua::contacts", "ua::handling"]),
    ("ua::ladder", &["base"]),
    ("ua::snapshot", &["base", "qos", "ua::contacts", "ua::handling", "ua::identity", "ua::ladder"]),
    ("ua::event", &["base", "qos", "ua::contacts", "ua::handling", "ua::identity", "ua::snapshot"]),
    ("ua::words", &["base", "qos", "ua::command", "ua::contacts", "ua::handling", "ua::snapshot"]),
    (
        "ua",
        &[
            "base",
            "sip",
            "sip::message",
            "sip::transport",
            "sip::locate",
            "sdp",
            "qos",
            "media::srtp::sdes",
            "media::dtls",
            "media::spec",
            "media::stats",
            "media::event",
            "ua::availability",
            "nat::candidate",
            "ua::dial_plan",
            "ua::caller_id",
            "ua::contacts",
            "ua::handling",
            "ua::command",
            "ua::event",
            "ua::identity",
            "ua::ladder",
            "ua::snapshot",
            "ua::words",
        ],
    ),
    ("proxy", &["base", "sip::message", "sip", "sip::transport", "sip::locate"]),
    // L4: views and configuration, pure but for tui's run loop
    // plain data: the names of codecs, what becomes of calls
    (
        "config",
        &[
            "base",
            "media::srtp::sdes",
            "media::spec",
            "nat::candidate",
            "ua::availability",
            "ua::caller_id",
            "ua::contacts",
            "ua::dial_plan",
            "ua::handling",
        ],
    ),
    (
        "tui",
        &[
            "base",
            "config",
            "qos",
            "ua::contacts",
            "ua::handling",
            "ua::command",
            "ua::event",
            "ua::identity",
            "ua::ladder",
            "ua::snapshot",
            "ua::words",
        ],
    ),
    // L5: shell
    ("net", &["base", "sip::message", "sip::transport", "sip::locate", "nat::candidate"]),
    ("audio", &["base", "media::frame", "media::stats", "media::dsp"]),
    (
        "runtime",
        &[
            "base",
            "sip::message",
            "sip::transport",
            "sip::locate",
            "media",
            "media::error",
            "media::frame",
            "media::spec",
            "media::stats",
            "media::event",
            "qos",
            "ua",
            "ua::command",
            "ua::event",
            "ua::identity",
            "ua::ladder",
            "ua::snapshot",
            "proxy",
            "net",
            "audio",
        ],
    ),
    // L6: wiring
    ("cli", &["base", "config"]),
    ("app", &["*"]),
    ("lib", &["*"]),
    ("main", &["*"]),
];

/// Modules that stay free of I/O, clocks, threads and ambient randomness.
const PURE: &[&str] = &[
    "base",
    "sdp",
    "sip",
    "nat",
    "media",
    "qos",
    "ua",
    "proxy",
    "tui::model",
    "tui::update",
    "tui::view",
    "tui::widget",
    "tui::theme",
    "tui::keymap",
    "tui::action",
];
const IMPURE: &[&str] = &[
    "tokio::",
    "std::thread",
    "std::fs",
    "std::process",
    "Instant::now",
    "SystemTime::now",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "cpal::",
    "crossterm::",
    "println!",
    "rand::rng(",
    "thread_rng",
    "async fn",
];

#[test]
fn edges_are_listed_in_layer_order() {
    for (row, (name, may)) in EDGES.iter().enumerate() {
        for to in may.iter().filter(|to| **to != "*") {
            assert!(EDGES[..row].iter().any(|(n, _)| n == to), "`{name}` lists `{to}`, which is not above it");
        }
    }
}

#[test]
fn sources_respect_their_layer() {
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files);
    let mut bad = Vec::new();
    for path in &files {
        let (name, text, at) = (module(path), fs::read_to_string(path).expect("utf-8 source"), path.display());
        let Some((own, may)) = row(&name) else {
            bad.push(format!("{at}: `{name}` has no layer"));
            continue;
        };
        let body = code(&text);
        for (to, edge) in edges(&body).iter().filter_map(|e| row(e).map(|(to, _)| (to, e))) {
            if to != own && !may.contains(&to) && !may.contains(&"*") {
                bad.push(format!("{at}: `{own}` may not use `crate::{edge}`"));
            }
        }
        if body.contains("super::super::") {
            bad.push(format!("{at}: write `crate::…` instead of `super::super::`"));
        }
        if PURE.iter().any(|p| within(&name, p)) {
            bad.extend(IMPURE.iter().filter(|w| body.contains(**w)).map(|w| format!("{at}: pure module names `{w}`")));
        }
    }
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir).expect("src is readable").map(|e| e.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        if is_test_only(&path) {
            continue;
        } else if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Files and folders behind `#[cfg(test)] mod testing;` or `mod tests;` (or `.._tests`): not part of the product.
fn is_test_only(path: &Path) -> bool {
    path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem == "testing" || stem.ends_with("tests"))
}

/// `src/sip/dialog/fork.rs` is `sip::dialog::fork`; `src/sip/mod.rs` is `sip`.
fn module(path: &Path) -> String {
    let rel = path.strip_prefix("src").expect("under src").with_extension("");
    let mut parts: Vec<_> = rel.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|p| p == "mod") {
        parts.pop();
    }
    parts.join("::")
}

fn within(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn row(name: &str) -> Option<(&'static str, &'static [&'static str])> {
    EDGES.iter().filter(|(p, _)| within(name, p)).max_by_key(|(p, _)| p.len()).copied()
}

/// Drops comment lines and the `#[cfg(test)] mod tests` at the bottom of a file.
fn code(text: &str) -> String {
    let head = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text);
    head.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every `crate::a::b`, and the first names inside `crate::{a::b, c}` or `crate::a::{b, c}`.
fn edges(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (at, word) in text.match_indices("crate::") {
        if text[..at].ends_with(|c: char| c == '$' || c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let rest = &text[at + word.len()..];
        let head: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
        match rest[head.len()..].strip_prefix('{') {
            Some(group) => out.extend(group_items(group).into_iter().map(|item| format!("{head}{item}"))),
            None => out.push(head),
        }
    }
    out
}

/// The items of a brace group up to its closing brace; a nested group is cut to its path.
fn group_items(group: &str) -> Vec<String> {
    let (mut depth, mut items) = (0_u32, vec![String::new()]);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            c if depth == 0 && !c.is_whitespace() => items.last_mut().expect("one item").push(c),
            _ => {}
        }
    }
    items.retain(|i| !i.is_empty());
    items
}
