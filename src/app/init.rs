//! `offhook init`: five questions, and the configuration file they make.
use crate::app::quiet::Quiet;
use crate::config::{Account, Mistake, Server, TransportChoice, keyring};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read as _, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Longest answer that is read \[bytes\].
const MAX_ANSWER: u64 = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Written(PathBuf),
    /// There was a file, and it was not to be replaced.
    Kept(PathBuf),
}

#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InitError {
    #[error("the answers ended too early; nothing was written")]
    Ended,
    #[error("cannot ask: {0}")]
    Terminal(#[source] io::Error),
    #[error("cannot write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
    /// Answers that are right each on its own, but not together.
    #[error("nothing was written: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Mistakes(Vec<Mistake>),
}

/// What was answered.
struct Answers {
    account: Account,
    /// The password line or lines of the file.
    password: String,
    server: Option<Server>,
    transport: TransportChoice,
    ca: String,
    microphone: String,
    speaker: String,
}

/// Asks on `output`, reads the answers from `input`, and writes the file for its owner alone.
///
/// # Errors
/// The answers end early, or the file cannot be written; what was there is untouched then.
pub fn run(path: &Path, input: &mut impl BufRead, output: &mut impl Write) -> Result<Outcome, InitError> {
    let mut dialogue = Dialogue { input, output };
    if path.symlink_metadata().is_ok() {
        let answer = dialogue.ask(&format!("{} exists. Replace it? [y/N] ", path.display()))?;
        if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            dialogue.say("Nothing was changed.\n")?;
            return Ok(Outcome::Kept(path.to_owned()));
        }
    }
    let text = dialogue.answers()?.to_toml();
    crate::config::parse(&text).map_err(InitError::Mistakes)?;
    write(path, &text).map_err(|source| InitError::Write { path: path.to_owned(), source })?;
    dialogue.say(&format!(
        "Wrote {}, readable by you alone.\n`offhook config check` looks it over, `offhook` starts the phone.\n",
        path.display()
    ))?;
    Ok(Outcome::Written(path.to_owned()))
}

struct Dialogue<'a, I, O> {
    input: &'a mut I,
    output: &'a mut O,
}

impl<I: BufRead, O: Write> Dialogue<'_, I, O> {
    fn answers(&mut self) -> Result<Answers, InitError> {
        let address = "1. Your SIP address, as 1001@pbx.example: ";
        let account = self.until(address, |text| {
            let scheme = if text.starts_with("sip:") || text.starts_with("sips:") { "" } else { "sip:" };
            Account::from_address(&format!("{scheme}{text}")).map_err(|error| error.to_string())
        })?;
        let password = self.password()?;
        let usual = account.registrar.as_ref().map_or_else(|| account.domain.to_string(), ToString::to_string);
        let server =
            self.until(&format!("3. Server to register at, HOST or HOST:PORT [{usual}]: "), |text| match text {
                "" => Ok(account.registrar.clone()),
                text => text.parse().map(Some).map_err(|error: crate::config::ValueError| error.to_string()),
            })?;
        let usual = TransportChoice(account.transport);
        let question = format!("4. Transport: auto, udp, tcp, tls, ws or wss [{}]: ", usual.name());
        let transport = self.until(&question, |text| match text {
            "" => Ok(usual),
            text => text.parse().map_err(|error: crate::config::ValueError| error.to_string()),
        })?;
        let ca = match transport.0 {
            Some(transport) if transport.is_secure() => {
                self.ask("   CA certificate of your own (file), or Enter for the system's: ")?
            }
            Some(_) | None => String::new(),
        };
        self.say("5. Sound device, or two with a comma: microphone, speaker.\n")?;
        let devices = self.ask("   `offhook devices` lists them [default]: ")?;
        let (microphone, speaker) = devices.split_once(',').unwrap_or((&devices, &devices));
        let or_default =
            |name: &str| if name.trim().is_empty() { "default".to_owned() } else { name.trim().to_owned() };
        let (microphone, speaker) = (or_default(microphone), or_default(speaker));
        Ok(Answers { account, password, server, transport, ca, microphone, speaker })
    }

    fn password(&mut self) -> Result<String, InitError> {
        self.say("2. Password: type it, or\n")?;
        self.say("     !COMMAND    for the first line a shell command prints, as !pass show sip\n")?;
        self.say("     ha1:DIGITS  for the digest of USER:REALM:PASSWORD\n")?;
        if keyring::BUILT_IN {
            self.say("     keyring:    for the keyring of the desktop, into which `offhook password` puts it\n")?;
        }
        let quiet = Quiet::new();
        let typed = self.ask("   Password (not shown), or Enter for none: ");
        if quiet.is_some() {
            self.say("\n")?;
        }
        drop(quiet);
        let typed = typed?;
        if keyring::BUILT_IN && typed.trim() == "keyring:" {
            return Ok("password_keyring = true\n".to_owned());
        }
        if let Some(command) = typed.strip_prefix('!') {
            return Ok(format!("password_command = {}\n", quoted(command.trim())));
        }
        if let Some(digits) = typed.strip_prefix("ha1:") {
            let realm = self.ask("   Realm of that digest: ")?;
            return Ok(format!("ha1 = {}\nrealm = {}\n", quoted(digits.trim()), quoted(&realm)));
        }
        Ok(if typed.is_empty() { String::new() } else { format!("password = {}\n", quoted(&typed)) })
    }

    /// Asks again until the answer makes sense.
    fn until<T>(&mut self, question: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, InitError> {
        loop {
            let answer = self.ask(question)?;
            match read(&answer) {
                Ok(value) => return Ok(value),
                Err(problem) => self.say(&format!("   {problem}\n"))?,
            }
        }
    }

    fn ask(&mut self, question: &str) -> Result<String, InitError> {
        self.say(question)?;
        let mut line = String::new();
        let read = self.input.by_ref().take(MAX_ANSWER).read_line(&mut line).map_err(InitError::Terminal)?;
        if read == 0 { Err(InitError::Ended) } else { Ok(line.trim().to_owned()) }
    }

    fn say(&mut self, text: &str) -> Result<(), InitError> {
        self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush()).map_err(InitError::Terminal)
    }
}

impl Answers {
    fn to_toml(&self) -> String {
        let Account { user, domain, .. } = &self.account;
        let bare = domain.to_string();
        let domain = bare.trim_start_matches('[').trim_end_matches(']');
        let mut out =
            "# Written by `offhook init`. config.example.toml explains every key.\n\n[[account]]\n".to_owned();
        out += &format!("user = {}\ndomain = {}\n{}", quoted(user), quoted(domain), self.password);
        if let Some(server) = &self.server {
            out += &format!("registrar = {}\n", quoted(&server.to_string()));
        }
        out += &format!("transport = {}\n", quoted(self.transport.name()));
        if !self.ca.is_empty() {
            out += &format!("tls_ca = {}\n", quoted(&self.ca));
        }
        out += "\n[audio]\n";
        out + &format!("microphone = {}\nspeaker = {}\n", quoted(&self.microphone), quoted(&self.speaker))
    }
}

/// As a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Writes a new file beside it and puts that in its place, so that there is always a whole one.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_folder(folder)?;
    let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
    let beside = folder.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // It may not even have been made.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(unix)]
fn create_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn create_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Transport;
    use crate::base::secret::Secret;
    use crate::config::{Config, PasswordSource, parse};

    /// A folder that goes away with its holder.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("offhook-init-{name}-{}", std::process::id()));
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("below").join("config.toml")
        }

        /// The outcome, what was asked, and the file.
        fn run(&self, answers: &str) -> (Result<Outcome, InitError>, String, Option<String>) {
            let mut output = Vec::new();
            let outcome = run(&self.file(), &mut answers.as_bytes(), &mut output);
            (outcome, String::from_utf8_lossy(&output).into_owned(), fs::read_to_string(self.file()).ok())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn written(name: &str, answers: &str) -> Config {
        let folder = Folder::new(name);
        let (outcome, asked, file) = folder.run(answers);
        assert!(matches!(outcome, Ok(Outcome::Written(_))) && asked.contains("Wrote "), "{outcome:?} {asked}");
        parse(&file.expect("a file")).expect("without mistakes")
    }

    #[test]
    fn answers_that_end_or_contradict_write_nothing() {
        let rows = ["", "\n", "1001@pbx\n", "1001@pbx\n\n\n\n", "nobody\n@x\na b@c\n1001@pbx:0\n"];
        for answers in rows {
            let folder = Folder::new("ended");
            let (outcome, _, file) = folder.run(answers);
            assert!(matches!(outcome, Err(InitError::Ended)), "{answers:?} {outcome:?}");
            assert_eq!(file, None, "{answers:?}");
        }
        let folder = Folder::new("mistakes");
        let (outcome, _, file) = folder.run("1001@pbx\nha1:abc\nr\n\n\n\n");
        assert!(matches!(&outcome, Err(InitError::Mistakes(m)) if m.len() == 1), "{outcome:?}");
        assert_eq!(file, None);
    }

    #[test]
    fn five_answers_make_a_file() {
        let config = written("defaults", "1001@pbx.example\nse\"cret\\\n\n\n\n");
        let account = &config.accounts[0];
        assert_eq!(account.address(), "1001@pbx.example");
        assert_eq!(account.password, PasswordSource::Text(Secret::new("se\"cret\\")));
        assert_eq!((&account.registrar, account.transport), (&None, None));
        assert_eq!(config.audio, Config::default().audio);

        let config = written("all", "sip:1001@[::1]:5070\n!pass show sip\n\nTCP\nUSB Headset, wav:/x.wav\n");
        let account = &config.accounts[0];
        assert_eq!(account.password, PasswordSource::Command("pass show sip".into()));
        assert_eq!(account.registrar.as_ref().map(ToString::to_string).as_deref(), Some("[::1]:5070"));
        assert_eq!((account.domain.to_string().as_str(), account.transport), ("[::1]", Some(Transport::Tcp)));
        assert_eq!((config.audio.microphone.as_str(), config.audio.speaker.as_str()), ("USB Headset", "wav:/x.wav"));

        let config = written("secure", "sips:1001@pbx.example\n\n\n\n~/pbx ca.pem\n\n");
        let account = &config.accounts[0];
        assert_eq!(account.transport, Some(Transport::Tls));
        assert_eq!(account.tls_ca.as_deref(), Some(Path::new("~/pbx ca.pem")));

        let config = written("keyring", "1001@pbx.example\nkeyring:\n\n\n\n");
        let asked = PasswordSource::Keyring("1001@pbx.example".into());
        let typed = PasswordSource::Text(Secret::new("keyring:"));
        assert_eq!(config.accounts[0].password, if keyring::BUILT_IN { asked } else { typed });

        let ha1 = "0123456789abcdef0123456789abcdef";
        let config = written("ha1", &format!("1001@pbx\nha1:{ha1}\nasterisk\nsip.pbx\nudp\nUSB\n"));
        assert_eq!(config.accounts[0].password, PasswordSource::Ha1(Secret::new(ha1)));
        assert_eq!(config.accounts[0].realm.as_deref(), Some("asterisk"));
        assert_eq!(config.audio.speaker, "USB");
    }

    #[test]
    fn a_wrong_answer_is_asked_for_again_with_the_reason() {
        let folder = Folder::new("again");
        let (outcome, asked, _) = folder.run("pbx\n1001@pbx\n\npbx:99999\npbx:5060\nsctp\ntcp\n\n");
        assert!(matches!(outcome, Ok(Outcome::Written(_))), "{outcome:?}");
        for reason in ["sip:USER@HOST", "port is above 65535", "ws or wss expected", "[pbx]"] {
            assert!(asked.contains(reason), "{reason}: {asked}");
        }
    }

    #[test]
    fn what_is_there_stays_until_yes_is_said() {
        let folder = Folder::new("exists");
        folder.run("first@pbx\n\n\n\n\n").0.expect("written");
        for no in ["\n", "n\n", "maybe\n"] {
            let (outcome, asked, file) = folder.run(no);
            assert!(matches!(outcome, Ok(Outcome::Kept(_))), "{outcome:?}");
            assert!(asked.contains("exists. Replace it?") && asked.ends_with("Nothing was changed.\n"));
            assert!(file.is_some_and(|f| f.contains("first")));
        }
        let (outcome, _, file) = folder.run("yes\nsecond@pbx\n\n\n\n\n");
        assert!(matches!(outcome, Ok(Outcome::Written(_))) && file.is_some_and(|f| f.contains("second")));
        let left: Vec<_> = fs::read_dir(folder.file().parent().expect("a folder")).expect("readable").collect();
        assert_eq!(left.len(), 1, "nothing is left beside it: {left:?}");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Folder::new("mode");
        folder.run("1001@pbx\nsecret\n\n\n\n").0.expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&folder.file()), 0o600);
        assert_eq!(mode(folder.file().parent().expect("a folder")), 0o700);
    }
}
