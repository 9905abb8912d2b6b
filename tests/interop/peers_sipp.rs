//! SIPp with a scenario of `peers/sipp`: one call, or one registration, exactly as written there.
use crate::common::sound::Sound;
use crate::harness::Case;
use crate::peers_script::Script;
use crate::process::{Process, wait_for};
use crate::tools;
use offhook::media::codec::g711::linear_to_mu;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub struct Sipp {
    process: Process,
    /// Every message, as it came and went.
    messages: PathBuf,
}

impl Sipp {
    /// Runs `scenario` once against `remote`; `values` replace the `@KEY@`s in it.
    pub fn start(case: &Case, scenario: &str, remote: SocketAddr, values: &[(&str, &str)]) -> Self {
        Self::run(case, scenario, values, tools::free_port(), Some(remote))
    }

    /// Plays `script` once against `remote`.
    pub fn play(case: &Case, name: &str, script: &Script, remote: SocketAddr) -> Self {
        Self::launch(case, name, &script.xml(), tools::free_port(), Some(remote))
    }

    /// Waits for one call and plays `script`; where it waits.
    pub fn wait_to_play(case: &Case, name: &str, script: &Script) -> (Self, SocketAddr) {
        let port = tools::free_port();
        let sipp = Self::launch(case, name, &script.xml(), port, None);
        wait_for("SIPp to listen", Duration::from_secs(5), || UdpSocket::bind(("127.0.0.1", port)).err());
        (sipp, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Waits for one call and answers it by `scenario`; where it waits.
    pub fn serve(case: &Case, scenario: &str, values: &[(&str, &str)]) -> (Self, SocketAddr) {
        let port = tools::free_port();
        let sipp = Self::run(case, scenario, values, port, None);
        wait_for("SIPp to listen", Duration::from_secs(5), || UdpSocket::bind(("127.0.0.1", port)).err());
        (sipp, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn run(case: &Case, scenario: &str, values: &[(&str, &str)], port: u16, remote: Option<SocketAddr>) -> Self {
        let template = tools::peers().join("sipp").join(scenario);
        let mut text = fs::read_to_string(&template).unwrap_or_else(|e| panic!("{}: {e}", template.display()));
        for (key, value) in values {
            text = text.replace(&format!("@{key}@"), value);
        }
        Self::launch(case, scenario, &text, port, remote)
    }

    fn launch(case: &Case, scenario: &str, text: &str, port: u16, remote: Option<SocketAddr>) -> Self {
        let folder = case.folder();
        fs::write(folder.join(scenario), text).expect("writes");
        fs::write(folder.join("tone.ulaw"), mu_law(&Sound::tone(8_000, 2.0, 440.0, -10.0))).expect("writes");
        let (first, _) = tools::free_range(100);
        let messages = folder.join(format!("sipp-{scenario}-messages.log"));
        let mut command = Command::new("sipp");
        command
            .current_dir(&folder)
            .args(remote.map(|address| address.to_string()))
            .args(["-sf", scenario])
            .args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-m", "1", "-l", "1", "-nostdin"])
            .args(["-p", &port.to_string(), "-mp", &first.to_string()])
            .args(["-timeout", "60s", "-timeout_error", "-trace_err", "-error_file"])
            .arg(folder.join(format!("sipp-{scenario}-errors.log")))
            .args(["-trace_msg", "-message_file"])
            .arg(&messages);
        if remote.is_none() {
            command.arg("-rtp_echo");
        }
        let log = folder.join(format!("sipp-{scenario}.log"));
        Self { process: Process::start("sipp", &mut command, &log), messages }
    }

    /// Waits until so many messages with this text came or went.
    pub fn expect_messages(&self, text: &str, count: usize) {
        wait_for(&format!("{text:?} at SIPp"), Duration::from_secs(15), || {
            fs::read_to_string(&self.messages).ok().filter(|messages| messages.matches(text).count() >= count)
        });
    }

    /// Waits for its end and checks that everything went as its scenario says.
    pub fn expect_success(&mut self, limit: Duration) {
        let status = self.process.wait(limit);
        assert!(status.success(), "sipp: {status}, see its log: something was not as the scenario says");
    }
}

/// For SIPp's `rtp_stream`, which sends a file as it is.
fn mu_law(sound: &Sound) -> Vec<u8> {
    sound.samples.iter().map(|s| linear_to_mu((s * 32_767.0) as i16)).collect()
}
