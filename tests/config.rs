//! The configuration file: every mistake is told, every key is documented, and the command line is laid over it.
use offhook::base::net::Transport;
use offhook::base::secret::Secret;
use offhook::config::{
    Account, Config, ConfigError, Dtmf, Environment, FileChoice, Host, KEYS, Overrides, PasswordSource, load, parse,
};
use offhook::media::spec::Codec;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLE: &str = include_str!("../config.example.toml");

/// `line: mistake` for each.
fn mistakes(text: &str) -> Vec<String> {
    let line = |l: Option<usize>| l.map_or("-".to_owned(), |l| l.to_string());
    parse(text).expect_err(text).iter().map(|m| format!("{}: {m}", line(m.line))).collect()
}

/// An account with these lines, which begin on line 4.
fn account(lines: &str) -> String {
    format!("[[account]]\nuser = \"1001\"\ndomain = \"pbx\"\n{lines}\n")
}

#[test]
fn every_mistake_names_the_thing_the_value_and_the_way_out() {
    let rows: &[(String, &str)] = &[
        ("user = ".into(), "1: string values must be quoted, expected literal string"),
        ("account = 1".into(), "1: account 1: a list of tables expected: write [[account]]"),
        ("account = [1]".into(), "1: account 1: a table expected: write [[account]]"),
        ("[[acount]]".into(), "1: acount: unknown key; did you mean `account`?"),
        ("[zebra]".into(), "1: zebra: unknown key; known are account, network, audio, calls, about_me, screen, files"),
        ("network = 5".into(), "1: network 5: a table expected, as [network], not a number"),
        ("ptime = 20".into(), "1: ptime: unknown key here; it belongs to [calls]"),
        ("[network]\nptime = 20".into(), "2: network: ptime: unknown key here; it belongs to [calls]"),
        ("[network]\nsip_prot = 1".into(), "2: network: sip_prot: unknown key; did you mean `sip_port`?"),
        ("[network]\nsip_port = 65536".into(), "2: network: sip_port 65536: a whole number from 0 to 65535 expected"),
        (
            "[network]\nsip_port = \"5060\"".into(),
            "2: network: sip_port \"5060\": a whole number from 0 to 65535 expected",
        ),
        ("[network]\nrtp_ports = \"1-2\"".into(), "2: network: rtp_ports \"1-2\": ports begin at 1024"),
        ("[network]\nrtp_ports = 5000".into(), "2: network: rtp_ports 5000: a text in quotes expected, not a number"),
        (
            "[network]\nlocal_address = \"eth0\"".into(),
            "2: network: local_address \"eth0\": auto or an IP address of this machine expected",
        ),
        ("[audio]\nmicrophone = \"\"".into(), "2: audio: microphone \"\": empty; leave the key out for its default"),
        ("[audio]\nspeaker_gain = 41".into(), "2: audio: speaker_gain 41: a number from -40 to 40 dB expected"),
        ("[audio]\nspeaker_gain = nan".into(), "2: audio: speaker_gain nan: a number from -40 to 40 dB expected"),
        (
            "[calls]\nptime = 50".into(),
            "2: calls: ptime 50: 50 is not a packet length: 10, 20, 30, 40 or 60 milliseconds expected",
        ),
        (
            "[calls]\nno_media_timeout = -1".into(),
            "2: calls: no_media_timeout -1: a whole number from 0 to 3600 seconds expected",
        ),
        ("[calls]\nrtcp_mux = 1".into(), "2: calls: rtcp_mux 1: true or false expected, not a number"),
        (format!("[about_me]\nnote = \"{}\"", "x".repeat(256)), "at most 255 bytes expected"),
        (
            "[about_me]\nnote = \"a\\u001bb\"".into(),
            "2: about_me: note \"a\\u001bb\": control characters are not allowed",
        ),
        ("[screen]\ncharacters = \"7bit\"".into(), "2: screen: characters \"7bit\": auto, ascii or unicode expected"),
        ("[screen]\nkeys = \"x\"".into(), "2: screen.keys \"x\": a table expected, as [screen.keys], not a text"),
        ("[screen.keys]\nhold = 2".into(), "2: screen.keys: hold 2: the name of a key in quotes expected, as \"f2\""),
        ("[screen.keys]\na.b.c = \"x\"".into(), "2: screen.keys: a.b: the name of a key in quotes expected"),
        ("[files]\nlog = \"\"".into(), "2: files: log \"\": auto, none or a path expected"),
        (
            "[[account]]\nname = \"work\"".into(),
            "1: account \"work\": user: missing; every account needs user and domain",
        ),
        (account("user2 = 1"), "4: account 1: user2: unknown key; did you mean `user`?"),
        (account("name = \"\""), "4: account 1: name \"\": empty"),
        (account("").replace("1001", "a b"), "2: account 1: user \"a b\": the part before the @"),
        (
            account("").replace("\"pbx\"", "\"pbx:5060\""),
            "domain \"pbx:5060\": only the domain expected; a port belongs to `registrar`",
        ),
        (
            account("name = \"work\"\noutbound_proxy = \"sip:pbx:99999\""),
            "5: account \"work\": outbound_proxy \"sip:pbx:99999\": port is above 65535",
        ),
        (account("transport = \"sctp\""), "4: account 1: transport \"sctp\": auto, udp, tcp, tls, ws or wss expected"),
        (
            account("registrar = \"sips:pbx\""),
            "4: account 1: registrar \"sips:pbx\": write HOST, and transport = \"tls\"",
        ),
        (account("tls_ca = \"\""), "4: account 1: tls_ca \"\": empty; leave the key out for its default"),
        (
            account("tls_certificate = \"a.pem\""),
            "1: account 1: tls_key: missing; tls_certificate is of no use without it",
        ),
        (account("tls_key = \"a.key\""), "1: account 1: tls_certificate: missing; tls_key is of no use without it"),
        (account("websocket_path = \"ws\""), "4: account 1: websocket_path \"ws\": a path expected as \"/ws\""),
        (account("websocket_path = \"/a b\""), "it begins with / and has neither blanks nor #"),
        (account("outbound = 2"), "4: account 1: outbound 2: true or false expected, not a number"),
        (
            "[network]\nsip_dscp = 64".into(),
            "2: network: sip_dscp 64: a whole number from 0 to 63 or a name as \"EF\" expected",
        ),
        (
            "[network]\nrtp_dscp = \"AF51\"".into(),
            "2: network: rtp_dscp \"AF51\": a whole number from 0 to 63, EF, CS0 to CS7 or AF11 to AF43 expected",
        ),
        (
            "[network]\nname_server = \"dns.example\"".into(),
            "2: network: name_server \"dns.example\": auto, ADDRESS or ADDRESS:PORT of a name server expected",
        ),
        (account("codecs = []"), "4: account 1: codecs []: at least one of opus, pcmu, pcma expected"),
        (
            account("codecs = \"opus\""),
            "4: account 1: codecs \"opus\": a list of texts in quotes expected, as [\"opus\", \"pcmu\"]",
        ),
        (account("codecs = [\"opus\", 1]"), "a list of texts in quotes expected"),
        (account("codecs = [\"g729\"]"), "4: account 1: codecs [\"g729\"]: `g729` is none of opus, pcmu, pcma"),
        (account("codecs = [\"opus\", \"OPUS\"]"), "OPUS is listed twice"),
        (account("dtmf = \"tones\""), "4: account 1: dtmf \"tones\": auto, rfc4733, info, inband or none expected"),
        (account("expiry = 5"), "4: account 1: expiry 5: a whole number from 10 to 86400 seconds expected"),
        (
            account("ha1 = \"abc\"\nrealm = \"r\""),
            "4: account 1: ha1: 32 (MD5) or 64 (SHA-256) hexadecimal digits expected",
        ),
        (account(&format!("ha1 = \"{}\"", "0".repeat(32))), "realm: missing; an ha1 holds for one realm only"),
        (account("password = \"\""), "4: account 1: password: empty; leave the key out when there is no password"),
        (
            account("password = \"a\"\npassword_command = \"b\""),
            "only one of password, ha1, password_command and password_keyring may be there, not password and password_command",
        ),
        (account("watch = [\"\"]"), "numbers, names or addresses expected"),
        (account("watch = \"888\""), "a list of texts in quotes expected"),
        (account("mailbox = 1"), "mailbox 1: "),
        (account("forward_busy = \" \""), "4: account 1: forward_busy \" \": empty"),
        (
            account("forward_after = 171"),
            "4: account 1: forward_after 171: a whole number from 1 to 170 seconds expected",
        ),
        (account("do_not_disturb = 1"), "do_not_disturb 1: true or false expected"),
        (
            account("auto_answer_from = [\"\"]"),
            "4: account 1: auto_answer_from [\"\"]: numbers, names or addresses expected",
        ),
        (account("park_slots = 701"), "4: account 1: park_slots 701: a list of texts in quotes expected"),
        (account("dial_plan = 5"), "4: account 1: dial_plan 5: a list of rules expected"),
        (account("dial_plan = [\n\"x\"]"), "5: account 1: dial_plan rule 1 \"x\": a rule expected"),
        (account("dial_plan = [\n{ dial = \"1\" }]"), "5: account 1: dial_plan rule 1: match is missing"),
        (account("dial_plan = [\n{ match = \"1\" }]"), "5: account 1: dial_plan rule 1: dial or block is missing"),
        (
            account("dial_plan = [\n{ match = \"1\", dial = \"2\" },\n{ match = \"1\", dial = \"2\", block = \"x\" }]"),
            "6: account 1: dial_plan rule 2: either dial or block, not both",
        ),
        (
            account("dial_plan = [\n{ match = \"(1\", dial = \"$1\" }]"),
            "5: account 1: dial_plan rule 1: match \"(1\": one pair of parentheses expected, not nested",
        ),
        (
            account("dial_plan = [\n{ match = \"1.\", dial = \"$1\" }]"),
            "5: account 1: dial_plan rule 1: dial \"$1\": `$1` stands for what is in parentheses",
        ),
        (account("dial_plan = [{ match = \"1\", dail = \"1\" }]"), "dail: unknown key; did you mean `dial`?"),
        (
            "[calls]\ndial_plan = [{ match = \"^1\", block = \"no\" }]".into(),
            "2: calls: dial_plan rule 1: match \"^1\": `^` has no",
        ),
        ("[calls]\nemergency_numbers = [\"help\"]".into(), "2: calls: emergency_numbers [\"help\"]: numbers expected"),
        (account("password_command = \" \""), "a shell command expected that prints the password"),
        (account("name=\"x\"") + &account("name=\"x\""), "5: account \"x\": name: two accounts have this name"),
    ];
    for (text, expected) in rows {
        let found = mistakes(text);
        assert!(found.iter().any(|m| m.contains(expected)), "{text}\n expected {expected}\n found {found:#?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_their_lines_and_no_secret_with_them() {
    let text =
        "[[account]]\nuser = 1\nexpiry = 1\npassword = 12345\nha1 = \"topsecret\"\n[calls]\nptime = 5\n[audoi]\n";
    let found = mistakes(text);
    let lines: Vec<&str> = found.iter().filter_map(|m| m.split(':').next()).collect();
    assert_eq!(lines, ["1", "2", "3", "4", "5", "5", "7", "8"], "{found:#?}");
    assert!(!found.iter().any(|m| m.contains("12345") || m.contains("topsecret")), "{found:#?}");
    assert!(!format!("{:?}", parse(&account("password = \"topsecret\""))).contains("topsecret"));
}

#[test]
fn a_file_with_everything_in_it() {
    let text = format!(
        "[[account]]\nname = \"work\"\nuser = \"1001\"\ndomain = \"PBX.example\"\nauth_user = \"x\"\nrealm = \"r\"\nha1 = \"{}\"\n\
         display_name = \"Alice\"\nregistrar = \"sip:[::1]:5070\"\noutbound_proxy = \"192.0.2.1\"\ntransport = \"WSS\"\n\
         tls_ca = \"~/ca.pem\"\ntls_certificate = \"me.pem\"\ntls_key = \"me.key\"\nwebsocket_path = \"/sip\"\noutbound = false\n\
         mailbox = true\nwatch = [\"888\", \" bob \"]\ncodecs = [\"pcma\"]\ndtmf = \"none\"\nexpiry = 60\nregister = false\ndirect_calls = true\nsrtp = \"required\"\n[network]\n\
         local_address = \"192.0.2.9\"\nsip_port = 5060\nrtp_ports = \"4000-4001\"\n\
         sip_dscp = \"AF31\"\nrtp_dscp = 0\nname_server = \"192.0.2.53\"\n[audio]\nmicrophone = \"USB\"\nspeaker_gain = -3\n\
         [screen]\ntheme = \"mono\"\ncharacters = \"ascii\"\nbell = false\n[screen.keys]\nhold = \"f2\"\nincoming.answer = \"enter\"\n[files]\nhistory = \"none\"\nlog = \"~/x.log\"\n",
        "AB".repeat(16)
    );
    let config = parse(&text).expect("no mistakes");
    let expected = Account {
        name: "work".into(),
        auth_user: Some("x".into()),
        realm: Some("r".into()),
        password: PasswordSource::Ha1(Secret::new("ab".repeat(16))),
        display_name: "Alice".into(),
        registrar: Some("[::1]:5070".parse().unwrap()),
        outbound_proxy: Some("192.0.2.1".parse().unwrap()),
        transport: Some(Transport::Wss),
        tls_ca: Some("~/ca.pem".into()),
        tls_certificate: Some("me.pem".into()),
        tls_key: Some("me.key".into()),
        websocket_path: "/sip".into(),
        outbound: false,
        mailbox: true,
        watch: vec!["888".into(), "bob".into()],
        codecs: vec![Codec::Pcma],
        dtmf: Dtmf::None,
        expiry: Duration::from_secs(60),
        register: false,
        direct_calls: true,
        srtp: offhook::media::srtp::sdes::Policy::Required,
        ..Account::new("1001", Host::Name("pbx.example".into()))
    };
    assert_eq!(config.accounts, [expected]);
    assert_eq!(config.network.local_address, Some("192.0.2.9".parse().unwrap()));
    assert_eq!((config.network.sip_port, config.network.rtp_ports.to_string()), (5060, "4000-4001".into()));
    assert_eq!((config.network.sip_dscp, config.network.rtp_dscp), (26, 0));
    assert_eq!(config.network.name_server, Some("192.0.2.53:53".parse().unwrap()));
    assert_eq!((config.audio.microphone.as_str(), config.audio.speaker_gain), ("USB", -3.0));
    assert_eq!(
        (config.screen.theme.as_deref(), config.screen.ascii, config.screen.bell),
        (Some("mono"), Some(true), false)
    );
    let keys = [("hold".to_owned(), "f2".to_owned()), ("incoming.answer".to_owned(), "enter".to_owned())];
    assert_eq!(config.screen.keys, keys);
    assert_eq!((config.files.history, config.files.log), (FileChoice::None, FileChoice::Path("~/x.log".into())));
}

#[test]
fn the_example_holds_the_defaults() {
    let example = parse(EXAMPLE).expect("the example is right");
    let account = Account::new("1001", Host::Name("pbx.example".into()));
    assert_eq!(example, Config { accounts: vec![account], ..Config::default() });
    assert_eq!(parse(""), Ok(Config::default()));
}

#[test]
fn the_example_explains_every_key() {
    for (section, keys) in KEYS {
        let text = EXAMPLE.split_once(&format!("\n{section}\n")).expect(section).1;
        let text = text.split("\n[").next().unwrap();
        for key in keys.iter().filter(|key| **key != "keys") {
            let line = text.lines().position(|l| l.trim_start_matches('#').starts_with(&format!("{key} =")));
            let line = line.unwrap_or_else(|| panic!("{section} {key} is not in the example"));
            let before = text.lines().take(line).last().unwrap_or_default();
            let explained = before.starts_with("# ") || before.contains(" = ") || *section == "[about_me]";
            assert!(explained, "{section} {key} is not explained");
        }
    }
}

#[test]
fn every_key_of_the_example_that_is_commented_out_is_right() {
    let commented: Vec<&str> =
        EXAMPLE.lines().filter(|l| l.starts_with('#') && !l.starts_with("# ") && l.len() > 1).collect();
    assert!(commented.len() >= 9, "{commented:?}");
    for line in commented {
        let mut text = EXAMPLE.replace(&format!("\n{line}\n"), &format!("\n{}\n", &line[1..]));
        // Some go together only.
        for (one, other) in [("#ha1", "#realm"), ("#tls_certificate", "#tls_key"), ("#tls_key", "#tls_certificate")] {
            if line.starts_with(one) {
                text = text.replace(other, &other[1..]);
            }
        }
        let config = parse(&text).unwrap_or_else(|mistakes| panic!("{line}: {mistakes:?}"));
        assert_ne!(config, parse(EXAMPLE).unwrap(), "{line}");
    }
}

/// A folder that goes away with its holder.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("offhook-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, text: &str) -> PathBuf {
        let path = self.0.join("offhook").join("config.toml");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn environment(&self) -> Environment {
        Environment { xdg_config_home: Some(self.0.clone()), ..Environment::default() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_file_may_be_absent_unless_it_was_named() {
    let folder = Folder::new("absent");
    let environment = folder.environment();
    let loaded = load(None, &Overrides::default(), &environment).unwrap();
    assert_eq!((loaded.config, loaded.file), (Config::default(), None));
    let named = load(Some(Path::new("/nowhere/x.toml")), &Overrides::default(), &environment);
    assert!(matches!(&named, Err(ConfigError::Read { .. })), "{named:?}");
    assert!(named.unwrap_err().to_string().starts_with("cannot read /nowhere/x.toml: "));
    let path = folder.write("[calls]\nptime = 5\nnope = 1\n");
    let error = load(None, &Overrides::default(), &environment).unwrap_err().to_string();
    let at = path.display();
    assert_eq!(
        error,
        format!(
            "{at}:2: calls: ptime 5: a whole number from 10 to 60 milliseconds expected\n\
             {at}:3: calls: nope: unknown key; known are ptime, no_media_timeout, rtcp_mux, hold_music, record, recording_notice, dial_plan, emergency_numbers"
        )
    );
}

#[cfg(unix)]
#[test]
fn a_password_that_others_can_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("mode");
    let rows = [
        ("password = \"x\"", 0o644, true),
        ("password = \"x\"", 0o640, true),
        ("password = \"x\"", 0o600, false),
        ("password_command = \"x\"", 0o644, false),
        ("", 0o644, false),
    ];
    for (line, mode, warned) in rows {
        let path = folder.write(&account(line));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = load(None, &Overrides::default(), &folder.environment()).unwrap();
        assert_eq!(!loaded.warnings.is_empty(), warned, "{line} {mode:o}: {:?}", loaded.warnings);
        assert!(loaded.warnings.iter().all(|w| w.ends_with(&format!("chmod 600 {}", path.display()))));
    }
}

#[test]
fn the_command_line_is_laid_over_the_file() {
    let folder = Folder::new("overrides");
    folder.write(
        &(account("name = \"home\"")
            + &account("name = \"work\"\ntransport = \"tcp\"\ntls_ca = \"~/ca.pem\"")
            + "[network]\nsip_port = 5060\n"),
    );
    let environment = Environment {
        password: Some(Secret::new("from outside")),
        home: Some("/home/a".into()),
        ..folder.environment()
    };
    let with = |overrides: Overrides| load(None, &overrides, &environment);

    let unknown = with(Overrides { account: Some("wrok".parse().unwrap()), ..Overrides::default() });
    assert_eq!(unknown.unwrap_err().to_string(), "--account \"wrok\": no such account; known: \"home\", \"work\"");

    let config = with(Overrides {
        account: Some("work".parse().unwrap()),
        bind: Some(":5070".parse().unwrap()),
        codecs: Some("pcmu".parse().unwrap()),
        microphone: Some("silence".into()),
        no_register: true,
        ..Overrides::default()
    })
    .unwrap()
    .config;
    let [account] = config.accounts.as_slice() else { panic!("{:?}", config.accounts) };
    assert_eq!((account.name.as_str(), account.transport, account.register), ("work", Some(Transport::Tcp), false));
    assert_eq!(account.tls_ca.as_deref(), Some(Path::new("/home/a/ca.pem")));
    assert_eq!((account.codecs.as_slice(), &account.password), ([Codec::Pcmu].as_slice(), &PasswordSource::None));
    assert_eq!((config.network.local_address, config.network.sip_port), (None, 5070));
    assert_eq!((config.audio.microphone.as_str(), config.audio.speaker.as_str()), ("silence", "default"));

    let config = with(Overrides {
        account: Some("sip:phone@127.0.0.1:6070".parse().unwrap()),
        bind: Some("127.0.0.1:6071".parse().unwrap()),
        transport: Some("wss".parse().unwrap()),
        rtp_ports: Some("5000-5009".parse().unwrap()),
        speaker: Some("wav:/x.wav".into()),
        log: Some("/x.log".into()),
        ..Overrides::default()
    })
    .unwrap()
    .config;
    let [account] = config.accounts.as_slice() else { panic!("{:?}", config.accounts) };
    assert_eq!(
        (account.name.as_str(), account.transport, account.register),
        ("phone@127.0.0.1", Some(Transport::Wss), true)
    );
    assert_eq!(account.password, PasswordSource::Text(Secret::new("from outside")));
    assert_eq!(config.network.local_address, Some("127.0.0.1".parse().unwrap()));
    assert_eq!((config.network.sip_port, config.network.rtp_ports.high), (6071, 5009));
    assert_eq!(config.files.log, FileChoice::Path("/x.log".into()));
}
