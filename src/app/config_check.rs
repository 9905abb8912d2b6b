//! `offhook config check`: every mistake in the configuration file, or what was understood of it.
use crate::app::certificates;
use crate::audio::choice::{DeviceChoice, Direction};
use crate::base::net::Transport;
use crate::cli::ExitCode;
use crate::config::{Account, Config, ConfigError, Environment, Loaded, Mistake, Overrides, PasswordSource};
use crate::tui::keymap::Keymap;
use crate::tui::theme::{Depth, Theme};
use std::io::{self, Write};
use std::path::Path;
use tokio_rustls::rustls::pki_types::UnixTime;

/// Reads the configuration with the command line laid over it, and checks the names that `config` passes through:
/// devices, theme, keys.
///
/// # Errors
/// All mistakes there are.
pub fn load(path: Option<&Path>, overrides: &Overrides, environment: &Environment) -> Result<Loaded, ConfigError> {
    let loaded = crate::config::load(path, overrides, environment)?;
    let mistakes = names(&loaded.config);
    if mistakes.is_empty() { Ok(loaded) } else { Err(ConfigError::Mistakes { file: loaded.file, mistakes }) }
}

fn names(config: &Config) -> Vec<Mistake> {
    let mistake = |section: &str, key: &str, value: &str, problem: String| {
        let (section, key) = (section.to_owned(), key.to_owned());
        Mistake { line: None, section, key, value: Some(format!("{value:?}")), problem }
    };
    let mut out = Vec::new();
    let audio = &config.audio;
    let devices =
        [("microphone", &audio.microphone, Direction::Capture), ("speaker", &audio.speaker, Direction::Playback)];
    for (key, text, direction) in devices {
        out.extend(DeviceChoice::parse(text, direction).err().map(|e| mistake("audio", key, text, e.to_string())));
    }
    if let Some(theme) = &config.screen.theme
        && Theme::by_name(theme, Depth::Ansi).is_none()
    {
        out.push(mistake("screen", "theme", theme, format!("auto, {} expected", Theme::NAMES.join(", "))));
    }
    // Each key for itself, so that every wrong one is told; then all together, since two may want the same.
    let alone = |pair: &(String, String)| {
        let said = Keymap::with_overrides(std::slice::from_ref(pair)).err()?;
        Some(mistake("screen.keys", &pair.0, &pair.1, said.strip_prefix(&format!("keys.{}: ", pair.0))?.to_owned()))
    };
    let wrong: Vec<Mistake> = config.screen.keys.iter().filter_map(alone).collect();
    let together = if wrong.is_empty() { Keymap::with_overrides(&config.screen.keys).err() } else { None };
    out.extend(wrong);
    out.extend(together.map(|said| {
        let problem = said.strip_prefix("keys: ").unwrap_or(&said).to_owned();
        Mistake { section: "screen.keys".to_owned(), problem, ..Mistake::default() }
    }));
    out
}

/// Prints every mistake, or what was understood.
///
/// # Errors
/// Only those of `output`; mistakes are an exit code.
pub fn run(path: Option<&Path>, environment: &Environment, output: &mut impl Write) -> io::Result<ExitCode> {
    let loaded = match load(path, &Overrides::default(), environment) {
        Ok(loaded) => loaded,
        Err(error) => {
            writeln!(output, "{error}")?;
            return Ok(ExitCode::Configuration);
        }
    };
    let now = UnixTime::now();
    let mistakes: Vec<Mistake> =
        loaded.config.accounts.iter().flat_map(|account| certificates::mistakes(account, now)).collect();
    if !mistakes.is_empty() {
        writeln!(output, "{}", ConfigError::Mistakes { file: loaded.file, mistakes })?;
        return Ok(ExitCode::Configuration);
    }
    match (&loaded.file, environment.config_file(path)) {
        (Some(file), _) => writeln!(output, "{}: no mistakes", file.display())?,
        (None, Ok((file, _))) => writeln!(output, "{} does not exist: the defaults hold", file.display())?,
        (None, Err(_)) => writeln!(output, "there is no configuration file: the defaults hold")?,
    }
    loaded.warnings.iter().try_for_each(|warning| writeln!(output, "warning: {warning}"))?;
    if loaded.config.accounts.is_empty() {
        writeln!(output, "no account yet: `offhook init` makes one")?;
    }
    loaded.config.accounts.iter().try_for_each(|account| writeln!(output, "{}", understood(account)))?;
    Ok(ExitCode::Ended)
}

/// One line about an account.
fn understood(account: &Account) -> String {
    let server = account.registrar.as_ref().map_or_else(|| account.domain.to_string(), ToString::to_string);
    let registers = if account.register { format!("registers at {server}") } else { "does not register".to_owned() };
    let password = match account.password {
        PasswordSource::None => "no password",
        PasswordSource::Text(_) => "password in the file",
        PasswordSource::Ha1(_) => "ha1 in the file",
        PasswordSource::Command(_) => "password from a command",
        PasswordSource::Keyring(_) => "password in the keyring",
    };
    let transport = account.transport.map_or("the transport its domain says", Transport::name);
    format!("account {:?}: {} {registers} over {transport}, {password}", account.name, account.address())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn check(text: Option<&str>) -> (ExitCode, String) {
        let folder = std::env::temp_dir().join(format!("offhook-check-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("offhook")).expect("a folder");
        let file = folder.join("offhook/config.toml");
        if let Some(text) = text {
            std::fs::write(&file, text).expect("a file");
        }
        let environment = Environment { xdg_config_home: Some(folder.clone()), ..Environment::default() };
        let mut output = Vec::new();
        let code = run(None, &environment, &mut output).expect("a Vec takes everything");
        std::fs::remove_dir_all(&folder).expect("removed");
        let text = String::from_utf8(output).expect("text");
        (code, text.replace(&file.display().to_string(), "FILE"))
    }

    #[test]
    fn mistakes_and_what_was_understood() {
        let (code, text) = check(Some("[calls]\nptime = 1\n[scren]\n"));
        assert_eq!(code, ExitCode::Configuration);
        let expected = "FILE:2: calls: ptime 1: a whole number from 10 to 60 milliseconds expected\n\
                        FILE:3: scren: unknown key; did you mean `screen`?\n";
        assert_eq!(text, expected);

        let (code, text) = check(Some(
            "[audio]\nspeaker = \"tone:440\"\n[screen]\ntheme = \"pink\"\n[screen.keys]\nnothing = \"x\"\nquit = \"no such key\"\n",
        ));
        assert_eq!(code, ExitCode::Configuration);
        let starts = [
            "FILE: audio: speaker \"tone:440\": `tone:440` is a microphone, not a speaker",
            "FILE: screen: theme \"pink\": auto, dark, light, high-contrast, mono expected",
            "FILE: screen.keys: nothing \"x\": there is no such action",
            "FILE: screen.keys: quit \"no such key\": ",
        ];
        for start in starts {
            assert!(text.lines().any(|line| line.starts_with(start)), "{start}\n{text}");
        }
        assert_eq!(text.lines().count(), starts.len(), "{text}");

        let example =
            include_str!("../../config.example.toml").replace("#hold", "hold").replace("#incoming", "incoming");
        assert_eq!(check(Some(&example)).0, ExitCode::Ended, "{}", check(Some(&example)).1);

        let (_, text) = check(Some("[screen.keys]\nhold = \"f12\"\nmain.mute = \"f12\"\n"));
        assert!(text.starts_with("FILE: screen.keys: ") && text.contains("is bound to both"), "{text}");

        let (code, text) = check(Some("[[account]]\nuser = \"a\"\ndomain = \"pbx\"\ntls_ca = \"/nowhere/ca.pem\"\n"));
        let expected = "FILE: account \"a@pbx\": tls_ca \"/nowhere/ca.pem\": No such file";
        assert!(code == ExitCode::Configuration && text.starts_with(expected), "{text}");

        let account = "[[account]]\nname = \"work\"\nuser = \"1001\"\ndomain = \"pbx\"\npassword_command = \"pass\"\n";
        let (code, text) = check(Some(account));
        assert_eq!(code, ExitCode::Ended);
        let expected = "FILE: no mistakes\n\
                        account \"work\": 1001@pbx registers at pbx over the transport its domain says, password from a command\n";
        assert_eq!(text, expected);

        assert_eq!(
            check(None),
            (
                ExitCode::Ended,
                "FILE does not exist: the defaults hold\nno account yet: `offhook init` makes one\n".to_owned()
            )
        );
        let named = run(Some(&PathBuf::from("/nowhere.toml")), &Environment::default(), &mut Vec::new());
        assert_eq!(named.expect("a Vec takes everything"), ExitCode::Configuration);
    }
}
