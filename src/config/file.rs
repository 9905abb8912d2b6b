//! The shape of the configuration file: its sections, their keys, and what is read from each.
use super::account::{Account, Agreement, Dtmf, PasswordSource, Policy, Profile, check_user};
use super::mistake::Mistake;
use super::reach::{TransportChoice, dscp, name_server, websocket_path};
use super::reader::{Reader, Section, line_of};
use super::values::{CodecList, Host, ValueError, usable};
use super::{AboutMe, Audio, Calls, Config, FileChoice, Files, Network, Notify, Screen};
use crate::base::secret::Secret;
use std::path::PathBuf;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// Every section with its keys; `account` may come several times, `screen.keys` holds keys of its own.
pub const KEYS: &[(&str, &[&str])] = &[
    (
        "[[account]]",
        &[
            "name",
            "user",
            "domain",
            "auth_user",
            "realm",
            "password",
            "ha1",
            "password_command",
            "password_keyring",
            "display_name",
            "registrar",
            "outbound_proxy",
            "transport",
            "tls_ca",
            "tls_certificate",
            "tls_key",
            "websocket_path",
            "outbound",
            "mailbox",
            "mailbox_number",
            "publish",
            "watchers",
            "watch",
            "codecs",
            "dtmf",
            "expiry",
            "register",
            "direct_calls",
            "identity",
            "private",
            "private_by",
            "private_prefix",
            "refuse_anonymous",
            "srtp",
            "keying",
            "profile",
            "ice",
            "stun_server",
            "turn_server",
            "turn_user",
            "turn_password",
            "ice_policy",
            "forward_always",
            "forward_busy",
            "forward_no_answer",
            "forward_after",
            "do_not_disturb",
            "auto_answer_from",
            "dial_plan",
            "park",
            "park_slots",
            "pickup_code",
            "group_pickup_code",
        ],
    ),
    ("[network]", &["local_address", "sip_port", "rtp_ports", "sip_dscp", "rtp_dscp", "name_server"]),
    ("[audio]", &["microphone", "speaker", "microphone_gain", "speaker_gain"]),
    (
        "[calls]",
        &[
            "ptime",
            "no_media_timeout",
            "rtcp_mux",
            "hold_music",
            "record",
            "recording_notice",
            "dial_plan",
            "emergency_numbers",
        ],
    ),
    ("[about_me]", &["name", "email", "phone", "location", "note"]),
    ("[screen]", &["theme", "characters", "bell", "notify", "mouse", "keys"]),
    ("[files]", &["history", "contacts", "log", "recordings"]),
];

/// The names of the sections themselves.
const SECTIONS: &[&str] = &["account", "network", "audio", "calls", "about_me", "screen", "files"];

/// Accounts are few; this many are more than anybody has.
const MAX_ACCOUNTS: usize = 64;

/// As many phones are watched for one account as fit on a screen twice.
const MAX_WATCHED: usize = 64;

/// Longest text of [`AboutMe`]: what one RTCP SDES item holds \[bytes\].
const MAX_ITEM: usize = 255;

/// Reads a whole file.
///
/// # Errors
/// Every mistake in it, in the order of their lines. When the text is no TOML at all, only that is told.
pub fn parse(text: &str) -> Result<Config, Vec<Mistake>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mistake = |error: &toml::de::Error| Mistake {
            line: error.span().map(|span| line_of(text, span.start)),
            problem: error.message().to_owned(),
            ..Mistake::default()
        };
        return Err(errors.iter().map(mistake).collect());
    }
    let (mut reader, empty) = (Reader::new(text), DeTable::new());
    let top = Section { name: String::new(), table: document.get_ref(), span: 0..0 };
    reader.unknown_keys(&top, SECTIONS, KEYS);
    let accounts = accounts(&mut reader, top.table);
    let mut section = |name| {
        let section = reader.section(top.table, &empty, name);
        reader.unknown_keys(&section, keys_of(&format!("[{name}]")), KEYS);
        section
    };
    let [network, audio, calls, about_me, screen, files] =
        ["network", "audio", "calls", "about_me", "screen", "files"].map(&mut section);
    let config = Config {
        accounts,
        network: read_network(&mut reader, &network),
        audio: read_audio(&mut reader, &audio),
        calls: read_calls(&mut reader, &calls),
        about_me: read_about_me(&mut reader, &about_me),
        screen: read_screen(&mut reader, &screen, &empty),
        files: read_files(&mut reader, &files),
    };
    reader.mistakes.sort_by_key(|mistake| mistake.line);
    if reader.mistakes.is_empty() { Ok(config) } else { Err(reader.mistakes) }
}

fn keys_of(section: &str) -> &'static [&'static str] {
    KEYS.iter().find(|(name, _)| *name == section).map_or(&[], |(_, keys)| keys)
}

fn accounts<'t>(reader: &mut Reader<'t>, top: &DeTable<'t>) -> Vec<Account> {
    let Some(value) = top.get("account") else { return Vec::new() };
    let Some(items) = value.get_ref().as_array() else {
        reader.mistake("", "account", Some(value), "a list of tables expected: write [[account]]");
        return Vec::new();
    };
    if items.len() > MAX_ACCOUNTS {
        reader.mistake("", "account", None, format!("more than {MAX_ACCOUNTS} accounts"));
    }
    let mut out: Vec<Account> = Vec::new();
    for (index, item) in items.iter().take(MAX_ACCOUNTS).enumerate() {
        let DeValue::Table(table) = item.get_ref() else {
            reader.mistake("", "account", Some(item), "a table expected: write [[account]]");
            continue;
        };
        let name = table.get("name").and_then(|name| name.get_ref().as_str()).filter(|name| !name.is_empty());
        let name = name.map_or_else(|| format!("account {}", index + 1), |name| format!("account {name:?}"));
        let section = Section { name, table, span: item.span() };
        reader.unknown_keys(&section, keys_of("[[account]]"), KEYS);
        let Some(account) = read_account(reader, &section) else { continue };
        if out.iter().any(|other| other.name == account.name) {
            reader.section_mistake(&section, "name", "two accounts have this name");
        }
        out.push(account);
    }
    out
}

/// `None` when it lacks what no default can give; that is a mistake by then.
fn read_account<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> Option<Account> {
    for key in ["user", "domain"].iter().filter(|key| !section.table.contains_key(**key)) {
        reader.section_mistake(section, key, "missing; every account needs user and domain");
    }
    let user = reader.read(section, "user", |text| check_user(text).map(|()| text.to_owned()));
    let domain = reader.read(section, "domain", domain);
    let address = user.as_deref().zip(domain.as_ref()).map(|(user, domain)| format!("{user}@{domain}"));
    let (password, text) = (super::validate::password(reader, section, &address.unwrap_or_default()), not_empty);
    let realm = reader.read(section, "realm", text);
    if matches!(password, PasswordSource::Ha1(_)) && realm.is_none() {
        reader.section_mistake(section, "realm", "missing; an ha1 holds for one realm only, which must be named");
    }
    // Until here nothing depends on the account being whole, so that one pass finds every mistake.
    let mut account =
        Account::new(user.as_deref().unwrap_or_default(), domain.clone().unwrap_or(Host::Name(String::new())));
    set(&mut account.name, reader.read(section, "name", text));
    account.auth_user = reader.read(section, "auth_user", text);
    account.realm = realm;
    account.password = password;
    set(&mut account.display_name, reader.string(section, "display_name"));
    account.registrar = reader.read(section, "registrar", str::parse);
    account.outbound_proxy = reader.read(section, "outbound_proxy", str::parse);
    set(&mut account.transport, reader.read(section, "transport", |text| Ok(text.parse::<TransportChoice>()?.0)));
    account.tls_ca = reader.read(section, "tls_ca", path);
    (account.tls_certificate, account.tls_key) = super::validate::certificate(reader, section);
    set(&mut account.websocket_path, reader.read(section, "websocket_path", websocket_path));
    set(&mut account.outbound, reader.boolean(section, "outbound"));
    set(&mut account.codecs, reader.list(section, "codecs", |names| Ok(CodecList::new(names.iter().copied())?.0)));
    set(&mut account.mailbox, reader.boolean(section, "mailbox"));
    set(&mut account.watch, reader.list(section, "watch", watched));
    set(&mut account.dtmf, reader.read(section, "dtmf", dtmf));
    set(&mut account.expiry, reader.integer(section, "expiry", 10..=86_400, " seconds").map(seconds));
    set(&mut account.register, reader.boolean(section, "register"));
    set(&mut account.srtp, reader.read(section, "srtp", srtp));
    set(&mut account.keying, reader.read(section, "keying", keying));
    set(&mut account.profile, reader.read(section, "profile", profile));
    set(&mut account.direct_calls, reader.boolean(section, "direct_calls"));
    account.caller_id = super::caller_id::read(reader, section);
    account.handling = super::handling::read(reader, section);
    account.availability = super::availability::read(reader, section);
    user.and(domain).map(|_| account)
}

/// Whose phones are watched; whether they can be called is found when they are.
fn watched(texts: &[&str]) -> Result<Vec<String>, ValueError> {
    if texts.len() > MAX_WATCHED {
        return Err(ValueError::new(format!("at most {MAX_WATCHED} are watched")));
    }
    let fits = |text: &&&str| !text.trim().is_empty() && text.len() <= 200 && !text.chars().any(char::is_control);
    match texts.iter().find(|text| !fits(text)) {
        Some(_) => Err(ValueError::new("numbers, names or addresses expected, as [\"888\", \"bob\"]")),
        None => Ok(texts.iter().map(|text| text.trim().to_owned()).collect()),
    }
}

fn read_network<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> Network {
    let mut network = Network::default();
    set(&mut network.local_address, reader.read(section, "local_address", local_address));
    set(&mut network.sip_port, reader.integer(section, "sip_port", 0..=65_535, "").and_then(|n| u16::try_from(n).ok()));
    set(&mut network.rtp_ports, reader.read(section, "rtp_ports", str::parse));
    set(&mut network.sip_dscp, code_point(reader, section, "sip_dscp"));
    set(&mut network.rtp_dscp, code_point(reader, section, "rtp_dscp"));
    set(&mut network.name_server, reader.read(section, "name_server", name_server));
    network
}

/// As a number or by its name.
fn code_point<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>, key: &str) -> Option<u8> {
    match section.table.get(key)?.get_ref() {
        DeValue::String(_) => reader.read(section, key, dscp),
        _ => reader.integer(section, key, 0..=63, " or a name as \"EF\"").and_then(|n| u8::try_from(n).ok()),
    }
}

fn read_audio<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> Audio {
    let mut audio = Audio::default();
    set(&mut audio.microphone, reader.read(section, "microphone", not_empty));
    set(&mut audio.speaker, reader.read(section, "speaker", not_empty));
    set(&mut audio.microphone_gain, reader.number(section, "microphone_gain", -40.0..=40.0, " dB"));
    set(&mut audio.speaker_gain, reader.number(section, "speaker_gain", -40.0..=40.0, " dB"));
    audio
}

fn read_calls<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> Calls {
    let mut calls = Calls::default();
    let ptime = reader.integer(section, "ptime", 10..=60, " milliseconds");
    if let Some(ms) = ptime.filter(|ms| ![10, 20, 30, 40, 60].contains(ms)) {
        let problem = format!("{ms} is not a packet length: 10, 20, 30, 40 or 60 milliseconds expected");
        reader.mistake(&section.name, "ptime", section.table.get("ptime"), problem);
    }
    set(&mut calls.ptime, ptime.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis));
    set(&mut calls.no_media_timeout, reader.integer(section, "no_media_timeout", 0..=3_600, " seconds").map(seconds));
    set(&mut calls.rtcp_mux, reader.boolean(section, "rtcp_mux"));
    calls.hold_music = reader.read(section, "hold_music", path);
    set(&mut calls.record, reader.boolean(section, "record"));
    set(&mut calls.recording_notice, reader.boolean(section, "recording_notice"));
    calls.dial_plan = super::handling::read_common(reader, section);
    calls
}

fn read_about_me<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> AboutMe {
    let mut item = |key| reader.read(section, key, short).unwrap_or_default();
    AboutMe {
        name: item("name"),
        email: item("email"),
        phone: item("phone"),
        location: item("location"),
        note: item("note"),
    }
}

fn read_screen<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>, empty: &DeTable<'t>) -> Screen {
    let mut screen = Screen::default();
    let theme = reader.read(section, "theme", not_empty);
    screen.theme = theme.filter(|theme| theme != "auto");
    screen.ascii = reader.read(section, "characters", characters).flatten();
    set(&mut screen.bell, reader.boolean(section, "bell"));
    set(&mut screen.notify, reader.read(section, "notify", notify));
    set(&mut screen.mouse, reader.boolean(section, "mouse"));
    let keys = reader.section(section.table, empty, "screen.keys");
    read_keys(reader, &keys, "", &mut screen.keys);
    screen
}

/// `hold = "f2"`, and `incoming.answer = "enter"` where an action is in several places.
fn read_keys<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>, prefix: &str, out: &mut Vec<(String, String)>) {
    for (key, value) in section.table {
        let action = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::String(text) => out.push((action, text.clone().into_owned())),
            DeValue::Table(table) if prefix.is_empty() => {
                read_keys(reader, &Section { table, ..section.clone() }, &format!("{action}."), out);
            }
            _ => reader.mistake(&section.name, &action, Some(value), "the name of a key in quotes expected, as \"f2\""),
        }
    }
}

fn read_files<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> Files {
    let mut files = Files::default();
    set(&mut files.history, reader.read(section, "history", file_choice));
    set(&mut files.contacts, reader.read(section, "contacts", file_choice));
    set(&mut files.log, reader.read(section, "log", file_choice));
    set(&mut files.recordings, reader.read(section, "recordings", file_choice));
    files
}

fn set<T>(slot: &mut T, read: Option<T>) {
    if let Some(value) = read {
        *slot = value;
    }
}

fn seconds(number: i64) -> Duration {
    Duration::from_secs(number.unsigned_abs())
}

pub(super) fn not_empty(text: &str) -> Result<String, ValueError> {
    if text.is_empty() { Err(ValueError::new("empty; leave the key out for its default")) } else { Ok(text.to_owned()) }
}

pub(super) fn path(text: &str) -> Result<PathBuf, ValueError> {
    not_empty(text).map(PathBuf::from)
}

fn short(text: &str) -> Result<String, ValueError> {
    if text.len() > MAX_ITEM { Err(ValueError::new("at most 255 bytes expected")) } else { Ok(text.to_owned()) }
}

fn domain(text: &str) -> Result<Host, ValueError> {
    text.parse().map_err(|error| match text.contains(':') && !text.contains(['[', ']']) {
        true => ValueError::new("only the domain expected; a port belongs to `registrar`"),
        false => error,
    })
}

fn dtmf(text: &str) -> Result<Dtmf, ValueError> {
    match text {
        "auto" => Ok(Dtmf::Auto),
        "rfc4733" => Ok(Dtmf::Rfc4733),
        "info" => Ok(Dtmf::Info),
        "inband" => Ok(Dtmf::Inband),
        "none" => Ok(Dtmf::None),
        _ => Err(ValueError::new("auto, rfc4733, info, inband or none expected")),
    }
}

fn srtp(text: &str) -> Result<Policy, ValueError> {
    match text {
        "off" => Ok(Policy::Off),
        "preferred" => Ok(Policy::Preferred),
        "required" => Ok(Policy::Required),
        _ => Err(ValueError::new("off, preferred or required expected")),
    }
}

fn keying(text: &str) -> Result<Agreement, ValueError> {
    match text {
        "auto" => Ok(Agreement::Auto),
        "sdes" => Ok(Agreement::Sdes),
        "dtls" => Ok(Agreement::Dtls),
        _ => Err(ValueError::new("auto, sdes or dtls expected")),
    }
}

fn profile(text: &str) -> Result<Profile, ValueError> {
    match text {
        "auto" => Ok(Profile::Auto),
        "rtp" => Ok(Profile::Rtp),
        "both" => Ok(Profile::Both),
        "webrtc" => Ok(Profile::Webrtc),
        _ => Err(ValueError::new("auto, rtp, both or webrtc expected")),
    }
}

/// Whether only ASCII is to be used.
fn notify(text: &str) -> Result<Notify, ValueError> {
    Ok(match text {
        "auto" => Notify::Auto,
        "terminal" => Notify::Terminal,
        "desktop" => Notify::Desktop,
        "none" => Notify::None,
        _ => return Err(ValueError::new("auto, terminal, desktop or none expected")),
    })
}

fn characters(text: &str) -> Result<Option<bool>, ValueError> {
    match text {
        "auto" => Ok(None),
        "ascii" => Ok(Some(true)),
        "unicode" => Ok(Some(false)),
        _ => Err(ValueError::new("auto, ascii or unicode expected")),
    }
}

fn local_address(text: &str) -> Result<Option<std::net::IpAddr>, ValueError> {
    match text {
        "auto" => Ok(None),
        _ => text.parse().map(usable).map_err(|_| ValueError::new("auto or an IP address of this machine expected")),
    }
}

fn file_choice(text: &str) -> Result<FileChoice, ValueError> {
    match text {
        "auto" => Ok(FileChoice::Auto),
        "none" => Ok(FileChoice::None),
        "" => Err(ValueError::new("auto, none or a path expected")),
        path => Ok(FileChoice::Path(PathBuf::from(path))),
    }
}

/// A password as text; kept out of every message.
pub(super) fn secret(text: &str) -> Result<Secret, ValueError> {
    if text.is_empty() {
        Err(ValueError::new("empty; leave the key out when there is no password"))
    } else {
        Ok(Secret::new(text))
    }
}
