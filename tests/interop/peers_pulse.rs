//! A PulseAudio daemon of its own with null sinks: sound cards without a card.
use crate::common::sound::Sound;
use crate::harness::Case;
use crate::process::{Process, wait_for};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub struct PulseAudio {
    folder: PathBuf,
    /// Kept for its end: the daemon goes with it.
    _daemon: Process,
}

impl PulseAudio {
    /// With the sinks `ear` (the default output) and `mouth`, whose monitor is the default input.
    pub fn start(case: &Case) -> Self {
        let folder = case.folder().join("pulse");
        std::fs::create_dir_all(&folder).expect("a folder");
        let null_sink = |name: &str| format!("--load=module-null-sink sink_name={name} rate=48000 norewinds=1");
        let mut command = Command::new("pulseaudio");
        command
            .args(["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"])
            .args(["--log-target=stderr", "--log-time=yes"])
            .arg(null_sink("ear"))
            .arg(null_sink("mouth"))
            .arg(format!("--load=module-native-protocol-unix auth-anonymous=1 socket={}", socket(&folder).display()));
        for (variable, value) in Self::surroundings(&folder) {
            command.env(variable, value);
        }
        let daemon = Process::start("pulseaudio", &mut command, &case.folder().join("pulseaudio.log"));
        let pulse = Self { folder, _daemon: daemon };
        wait_for("PulseAudio", Duration::from_secs(10), || {
            pulse.command("pactl").arg("info").output().is_ok_and(|output| output.status.success()).then_some(())
        });
        pulse.control("set-default-sink ear");
        pulse.control("set-default-source mouth.monitor");
        pulse
    }

    pub fn load(&self, module: &str) {
        self.control(&format!("load-module {module}"));
    }

    fn control(&self, words: &str) {
        let output = self.command("pactl").args(words.split(' ')).output().expect("pactl runs");
        assert!(output.status.success(), "pactl {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What a client needs in its environment to find it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        Self::surroundings(&self.folder)
    }

    fn surroundings(folder: &Path) -> Vec<(&'static str, String)> {
        let inside = |name: &str| folder.join(name).display().to_string();
        vec![
            ("PULSE_SERVER", format!("unix:{}", socket(folder).display())),
            ("PULSE_RUNTIME_PATH", inside("runtime")),
            ("PULSE_STATE_PATH", inside("state")),
            ("PULSE_COOKIE", inside("cookie")),
        ]
    }

    /// Plays a sound into the phone's microphone.
    pub fn speak(&self, case: &Case, sound: &Sound) -> Process {
        let file = case.folder().join("spoken.wav");
        sound.write(&file);
        let mut command = self.command("paplay");
        command.arg("--device=mouth").arg(&file);
        Process::start("paplay", &mut command, &case.folder().join("paplay.log"))
    }

    /// Records what the phone plays, until dropped.
    pub fn listen(&self, case: &Case) -> (Process, PathBuf) {
        let file = case.folder().join("heard.wav");
        let mut command = self.command("parecord");
        command.args(["--device=ear.monitor", "--file-format=wav", "--rate=48000", "--channels=1"]);
        command.args(["--latency-msec=20", "--format=s16le"]).arg(&file);
        (Process::start("parecord", &mut command, &case.folder().join("parecord.log")), file)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment());
        command
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("native")
}
