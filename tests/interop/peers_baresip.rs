//! baresip, another softphone: plays a WAV file and records what it hears.
use crate::common::sound::Sound;
use crate::harness::Case;
use crate::namespaces::{self, Network};
use crate::process::{Process, wait_for};
use crate::tools;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub struct Account {
    pub user: String,
    pub password: String,
    pub registrar: SocketAddr,
    /// `PCMU`, `opus/48000/2`, ..
    pub codecs: &'static str,
    /// Answers every call at once.
    pub answers: bool,
}

pub struct Baresip {
    pub process: Process,
    folder: PathBuf,
    /// Where it listens.
    pub sip: SocketAddr,
    /// Where it is told what to do.
    control: SocketAddr,
}

impl Baresip {
    /// - `dial`: a call placed at once.
    /// - `seconds`: after which it quits.
    pub fn start(case: &Case, account: &Account, sound: &Sound, dial: Option<&str>, seconds: u32) -> Self {
        let place = (Ipv4Addr::LOCALHOST.into(), Command::new("baresip"));
        Self::run(case, account, sound, dial, seconds, place)
    }

    /// At the server's end of a network of its own.
    pub fn start_in(
        case: &Case,
        network: &Network,
        account: &Account,
        sound: &Sound,
        dial: Option<&str>,
        seconds: u32,
    ) -> Self {
        let place = (Network::SERVER, namespaces::inside(&network.server, "baresip"));
        Self::run(case, account, sound, dial, seconds, place)
    }

    fn run(
        case: &Case,
        account: &Account,
        sound: &Sound,
        dial: Option<&str>,
        seconds: u32,
        (ip, mut command): (IpAddr, Command),
    ) -> Self {
        let folder = case.folder().join(format!("baresip-{}", account.user));
        fs::create_dir_all(&folder).expect("a folder");
        let wav = folder.join("microphone.wav");
        sound.write(&wav);
        let sip = SocketAddr::new(ip, tools::free_port());
        let control = SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
        let (first, last) = tools::free_range(100);
        let values = [
            ("SIP", sip.to_string()),
            ("HOST", ip.to_string()),
            ("WAV", wav.display().to_string()),
            ("FOLDER", folder.display().to_string()),
            ("RTP_FIRST", first.to_string()),
            ("RTP_LAST", last.to_string()),
            ("USER", account.user.clone()),
            ("PASSWORD", account.password.clone()),
            ("REGISTRAR", account.registrar.to_string()),
            ("CODECS", account.codecs.to_owned()),
            ("CONTROL", control.to_string()),
            // Whom it writes to.
            ("PEER", dial.unwrap_or("sip:nobody@localhost").to_owned()),
            ("ANSWER", if account.answers { "auto" } else { "manual" }.to_owned()),
        ];
        tools::render(&tools::peers().join("baresip"), &folder, &values);
        command.arg("-v").arg("-f").arg(&folder).args(["-t", &seconds.to_string()]);
        if let Some(target) = dial {
            command.arg("-e").arg(format!("d {target}"));
        }
        let log = case.folder().join(format!("baresip-{}.log", account.user));
        Self { process: Process::start("baresip", &mut command, &log), folder, sip, control }
    }

    /// A command of its menu: `hold`, `resume`, `transfer` to an address, `message` to whom it has called.
    pub fn command(&self, command: &str, parameters: &str) {
        let text = serde_json::json!({ "command": command, "params": parameters }).to_string();
        let mut stream = TcpStream::connect(self.control).expect("baresip can be told");
        write!(stream, "{}:{text},", text.len()).expect("baresip listens");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit");
        let mut answer = [0; 1_024];
        let length = stream.read(&mut answer).expect("baresip answers");
        let answer = String::from_utf8_lossy(answer.get(..length).unwrap_or_default());
        assert!(answer.contains("\"ok\":true"), "{command} {parameters}: {answer}");
    }

    /// What it heard, once it has ended the call.
    pub fn recording(&self) -> Sound {
        let path = wait_for("baresip's recording", Duration::from_secs(3), || {
            let files = fs::read_dir(&self.folder).ok()?.flatten().map(|entry| entry.path());
            files.into_iter().find(|p| {
                let name = p.file_name().unwrap_or_default().to_string_lossy().into_owned();
                name.starts_with("dump") && name.ends_with("dec.wav")
            })
        });
        Sound::read(&path)
    }
}
