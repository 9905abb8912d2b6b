//! Passwords in the keyring of the desktop: GNOME's, on a bus of its own.
use crate::harness::{Case, Need, on_path};
use crate::peers_asterisk;
use crate::phone::{Setup, exit};
use crate::process::{Process, wait_for};
use offhook::base::net::Transport;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

pub const CASES: &[Case] =
    &[Case { name: "keyring::has_the_password", needs: &[Need::Asterisk, Need::Keyring], run: has_the_password }];

pub fn missing() -> Option<String> {
    if !cfg!(feature = "keyring") {
        return Some("this is built without the feature `keyring`".to_owned());
    }
    let program = ["dbus-daemon", "gnome-keyring-daemon"].into_iter().find(|name| on_path(name).is_none());
    program.map(|name| format!("`{name}` is not installed"))
}

/// A bus that starts no program when somebody asks for it: the keyring of the case is the only one.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>ADDRESS</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"#;

/// A session of a desktop: its bus, and an unlocked keyring.
struct Desktop {
    socket: PathBuf,
    /// What programs of the session see.
    environment: Vec<(&'static str, String)>,
    _processes: [Process; 2],
}

impl Desktop {
    fn start(case: &Case) -> Self {
        let home = case.folder().join("home");
        fs::create_dir_all(&home).expect("a folder");
        let socket = std::env::temp_dir().join(format!("offhook-bus-{}", std::process::id()));
        fs::remove_file(&socket).ok();
        let address = format!("unix:path={}", socket.display());
        let log = case.folder().join("bus.log");
        let config = case.folder().join("bus.conf");
        fs::write(&config, BUS.replace("ADDRESS", &address)).expect("writes");
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--nofork", "--nopidfile"]).arg(format!("--config-file={}", config.display()));
        let bus = Process::start("dbus-daemon", &mut bus, &log);
        wait_for("the bus", Duration::from_secs(5), || socket.exists().then_some(()));
        let path = |folder: &PathBuf| folder.display().to_string();
        let environment = vec![
            ("DBUS_SESSION_BUS_ADDRESS", address),
            ("HOME", path(&home)),
            ("XDG_RUNTIME_DIR", path(&home)),
            ("XDG_DATA_HOME", path(&home.join("data"))),
        ];
        let log = case.folder().join("keyring.log");
        let mut keyring = Command::new("gnome-keyring-daemon");
        keyring.args(["--foreground", "--unlock", "--components=secrets"]).envs(environment.clone());
        let mut keyring = Process::interactive("gnome-keyring-daemon", &mut keyring, &log);
        keyring.type_line("the keyring's own password");
        keyring.end_input();
        Self { socket, environment, _processes: [bus, keyring] }
    }

    /// Runs `offhook password`; its exit code, and what it said.
    fn password(&self, config: &PathBuf, arguments: &[&str], typed: &str) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
        command.arg("password").arg("--config").arg(config).args(arguments).envs(self.environment.clone());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        child.stdin.take().expect("its input").write_all(typed.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().expect("an exit code"), String::from_utf8_lossy(&said).into_owned())
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        fs::remove_file(&self.socket).ok();
    }
}

fn has_the_password(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let desktop = Desktop::start(case);
    let account = asterisk.account("1001", Transport::Udp);
    let config = account.replace("password = \"pw1001\"", "password_keyring = true");
    assert_ne!(config, account, "the account names its password");
    let register = || {
        let setup = Setup::new(case, "phone", "register").config(&config).arguments(&["--once"]);
        let setup = desktop.environment.iter().fold(setup, |setup, (name, value)| setup.environment(name, value));
        setup.start().wait(Duration::from_secs(20))
    };
    assert_eq!(register(), exit::CONFIGURATION, "there is nothing in the keyring, if there is one yet");
    let file = case.folder().join("phone.toml");
    // The keyring is on its bus a moment after it was started.
    wait_for("the keyring to take it", Duration::from_secs(10), || {
        let (code, said) = desktop.password(&file, &[], "pw1001\n");
        assert!(!said.contains("pw1001"), "{said}");
        (code == exit::ENDED).then_some(())
    });
    assert_eq!(register(), exit::ENDED);
    assert_eq!(desktop.password(&file, &["--delete"], "").0, exit::ENDED);
    assert_eq!(register(), exit::CONFIGURATION, "it is forgotten");
}
