//! Linphone's console phone: registers over UDP, answers every call, speaks a tone and records what it hears.
use crate::common::sound::Sound;
use crate::harness::Case;
use crate::process::Process;
use crate::tools;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub struct Linphone {
    process: Process,
    recording: PathBuf,
}

impl Linphone {
    /// Returns once it is registered.
    pub fn start(case: &Case, user: &str, registrar: SocketAddr, hz: f64) -> Self {
        let folder = case.folder().join("linphone");
        // It makes no folder for its data base, and is not to touch that of the person who runs the tests.
        fs::create_dir_all(folder.join(".local/share/linphone")).expect("a folder");
        let (first, last) = tools::free_range(100);
        let values = [
            ("SIP", tools::free_port().to_string()),
            ("USER", user.to_owned()),
            ("REGISTRAR", registrar.to_string()),
            ("RTP_FIRST", first.to_string()),
            ("RTP_LAST", last.to_string()),
        ];
        tools::render(&tools::peers().join("linphone"), &folder, &values);
        let (voice, recording) = (folder.join("microphone.wav"), folder.join("speaker.wav"));
        Sound::tone(8_000, 40.0, hz, -10.0).write(&voice);
        let mut command = Command::new("linphonec");
        command.arg("-c").arg(folder.join("linphonerc")).arg("-a").env("HOME", &folder);
        let mut process = Process::interactive("linphonec", &mut command, &case.folder().join("linphone.log"));
        process.type_line("soundcard use files");
        process.expect_log("Using wav files", Duration::from_secs(10));
        process.type_line(&format!("play {}", voice.display()));
        process.type_line(&format!("record {}", recording.display()));
        for _ in 0..20 {
            process.type_line("status register");
            std::thread::sleep(Duration::from_millis(250));
            if process.log_text().contains("registered, identity") {
                return Self { process, recording };
            }
        }
        panic!("Linphone does not register");
    }

    pub fn call(&mut self, target: &str) {
        self.process.type_line(&format!("call {target}"));
        self.process.expect_log("Media streams established", Duration::from_secs(10));
    }

    /// A line of its console.
    pub fn command(&mut self, line: &str) {
        self.process.type_line(line);
    }

    /// Waits until it has printed this.
    pub fn expect(&mut self, text: &str) {
        self.process.expect_log(text, Duration::from_secs(10));
    }

    pub fn hang_up(&mut self) {
        self.process.type_line("terminate");
    }

    /// What it has heard in all its calls; ends it.
    pub fn recording(&mut self) -> Sound {
        self.process.type_line("quit");
        self.process.wait(Duration::from_secs(10));
        // Of several calls in one file the header knows only the first.
        let bytes = fs::read(&self.recording).expect("a recording");
        let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
        let samples = samples.map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect();
        Sound { rate: 8_000, samples }
    }
}
