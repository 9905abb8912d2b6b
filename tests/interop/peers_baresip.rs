//! baresip, another softphone: plays a WAV file and records what it hears.
use crate::common::sound::Sound;
use crate::harness::Case;
use crate::process::{Process, wait_for};
use crate::tools;
use std::fs;
use std::net::SocketAddr;
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
}

impl Baresip {
    /// - `dial`: a call placed at once.
    /// - `seconds`: after which it quits.
    pub fn start(case: &Case, account: &Account, sound: &Sound, dial: Option<&str>, seconds: u32) -> Self {
        let folder = case.folder().join(format!("baresip-{}", account.user));
        fs::create_dir_all(&folder).expect("a folder");
        let wav = folder.join("microphone.wav");
        sound.write(&wav);
        let sip = SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
        let (first, last) = tools::free_range(100);
        let values = [
            ("SIP", sip.to_string()),
            ("WAV", wav.display().to_string()),
            ("FOLDER", folder.display().to_string()),
            ("RTP_FIRST", first.to_string()),
            ("RTP_LAST", last.to_string()),
            ("USER", account.user.clone()),
            ("PASSWORD", account.password.clone()),
            ("REGISTRAR", account.registrar.to_string()),
            ("CODECS", account.codecs.to_owned()),
            ("ANSWER", if account.answers { "auto" } else { "manual" }.to_owned()),
        ];
        tools::render(&tools::peers().join("baresip"), &folder, &values);
        let mut command = Command::new("baresip");
        command.arg("-v").arg("-f").arg(&folder).args(["-t", &seconds.to_string()]);
        if let Some(target) = dial {
            command.arg("-e").arg(format!("d {target}"));
        }
        let log = case.folder().join(format!("baresip-{}.log", account.user));
        Self { process: Process::start("baresip", &mut command, &log), folder, sip }
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
