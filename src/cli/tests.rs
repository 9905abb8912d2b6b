//! Lines that are understood, and those that are not.
use super::*;
use crate::config::{Config, Environment, load};
use clap::CommandFactory as _;
use std::path::Path;
use std::time::Duration;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::read(line.split_whitespace())
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    let rows = [
        "offhook dial",
        "offhook call",
        "offhook call a b",
        "offhook message a",
        "offhook call a --duration -1",
        "offhook call a --duration x",
        "offhook call a --duration inf",
        "offhook call a --dtmf 12x",
        "offhook call a --hold-for 3",
        "offhook call a --transfer-after 3",
        "offhook call a --transfer-to b --hold-after 1",
        "offhook answer --auto --reject busy",
        "offhook answer --reject rudely",
        "offhook register --codecs g729",
        "offhook register --bind localhost:1",
        "offhook register --account sip:nohost",
        "offhook register --transport sctp",
        "offhook register --rtp-ports 1-2",
        "offhook doctor --listen --no-sound",
        "offhook doctor --stun a:b",
        "offhook doctor --lifetime 3",
        "offhook doctor --codecs pcmu",
        "offhook demo --loss 101",
        "offhook demo --jitter -4",
        "offhook config",
        "offhook config mend",
        "offhook proxy --account work",
        "offhook --speaker null config check",
        "offhook init --transport tls",
    ];
    for line in rows {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), ExitCode::Configuration as i32, "{line}");
    }
}

#[test]
fn the_line_of_the_audio_measurements() {
    let cli = parse(
        "offhook answer --auto --bind 127.0.0.1:6071 --account sip:phone@127.0.0.1:6070 --codecs pcmu --speaker wav:/x.wav \
         --microphone silence",
    )
    .expect("it parses");
    let Some(Command::Answer(answer)) = &cli.command else { panic!("{cli:?}") };
    assert!(answer.auto && !answer.once && !answer.json);
    let nowhere = Environment { home: Some("/nowhere".into()), ..Environment::default() };
    let config = load(None, &cli.overrides(), &nowhere).expect("no file needed").config;
    let [account] = config.accounts.as_slice() else { panic!("{:?}", config.accounts) };
    assert_eq!(account.registrar.as_ref().map(ToString::to_string).as_deref(), Some("127.0.0.1:6070"));
    assert_eq!((account.user.as_str(), account.codecs.len(), account.register), ("phone", 1, true));
    assert_eq!((config.network.sip_port, config.audio.speaker.as_str()), (6071, "wav:/x.wav"));
    assert_eq!(config.audio.microphone, "silence");
}

#[test]
fn shared_options_count_before_and_behind_the_command() {
    let cli =
        parse("offhook --config a.toml --microphone null call 600 --microphone tone:440 --dtmf 1,2a").expect("fine");
    let shared = &cli.shared;
    assert_eq!((shared.config.as_deref(), shared.microphone.as_deref()), (Some(Path::new("a.toml")), Some("tone:440")));
    let Some(Command::Call(call)) = cli.command else { panic!() };
    assert_eq!((call.target.as_str(), call.dtmf.as_deref(), call.hold_after), ("600", Some("1,2A"), None));
    let check = parse("offhook config check --config b.toml").expect("fine");
    assert_eq!(check.shared.config.as_deref(), Some(Path::new("b.toml")));
    let proxy = |line: &str| match parse(line).expect(line).command {
        Some(Command::Proxy(proxy)) => (proxy.bind.address.map(|ip| ip.to_string()), proxy.bind.port),
        other => panic!("{other:?}"),
    };
    assert_eq!(proxy("offhook proxy"), (Some("127.0.0.1".into()), Some(5060)));
    assert_eq!(proxy("offhook proxy --bind 0.0.0.0:5070"), (Some("0.0.0.0".into()), Some(5070)));
    assert_eq!(proxy("offhook --bind :5070 proxy"), (None, Some(5070)));
    let direct = parse("offhook answer --no-register").expect("fine").overrides();
    assert!(direct.no_register && direct.direct_calls);
    assert!(!parse("offhook call a --no-register").expect("fine").overrides().direct_calls);
    assert_eq!(parse("offhook").expect("fine").overrides(), Overrides::default());
    assert_eq!(Config::default().accounts, []);
}

#[test]
fn the_demonstration_has_the_defaults_that_are_documented() {
    let Some(Command::Demo(demo)) = parse("offhook demo").expect("fine").command else { panic!() };
    let ms = Duration::from_millis;
    assert_eq!((demo.loss, demo.jitter, demo.delay, demo.seed, demo.seconds), (5.0, ms(40), ms(60), 1, ms(10_000)));
}

#[test]
fn everything_is_explained() {
    fn explained(command: &clap::Command) {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some() && !argument.is_hide_set(),
                "{} {}",
                command.get_name(),
                argument.get_id()
            );
        }
        command.get_subcommands().for_each(explained);
    }
    let command = Cli::command();
    command.clone().debug_assert();
    explained(&command);
    let help = command.clone().render_long_help().to_string();
    for code in 0..=7 {
        assert!(help.contains(&format!("\n  {code}  ")), "exit code {code} is not in the help");
    }
}
