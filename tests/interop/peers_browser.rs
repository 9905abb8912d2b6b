//! A phone in a web page: JsSIP in Chromium, driven by Playwright.
use crate::harness::{Case, on_path};
use crate::peers_asterisk::lab;
use crate::process::{Process, wait_for};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A browser is slow to start, and slower beside others.
const START: Duration = Duration::from_secs(40);

pub fn missing() -> Option<String> {
    let bundle = bundle();
    ["chromium", "node"]
        .into_iter()
        .find(|name| on_path(name).is_none())
        .map(|name| format!("`{name}` is not installed"))
        .or_else(|| (!bundle.is_file()).then(|| format!("{} is not built: scripts/setup test", bundle.display())))
}

fn bundle() -> PathBuf {
    lab().join("browser/page.js")
}

/// How the page registers.
pub struct Account<'a> {
    /// Of the WebSocket.
    pub socket: &'a str,
    pub uri: &'a str,
    pub password: &'a str,
    /// Its voice.
    pub hz: f64,
    /// Takes each call at once.
    pub answers: bool,
}

pub struct Browser {
    process: Process,
    told: PathBuf,
}

impl Browser {
    /// Starts Chromium with the page, and registers.
    pub fn start(case: &Case, name: &str, account: &Account<'_>) -> Self {
        Self::start_with(case, name, account, Command::new("node"))
    }

    /// - `node`: starts it, elsewhere if need be.
    pub fn start_with(case: &Case, name: &str, account: &Account<'_>, mut node: Command) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/peers/browser");
        let (told, log) = (case.folder().join(format!("{name}.jsonl")), case.folder().join(format!("{name}.log")));
        node.arg(here.join("drive.js")).arg("127.0.0.1").arg(here.join("page.html")).arg(bundle());
        node.env("NODE_PATH", lab().join("browser/node_modules")).env("HOME", case.folder());
        node.stdin(Stdio::piped());
        node.stdout(File::create(&told).expect("a file")).stderr(File::create(&log).expect("a file"));
        let mut browser = Self { process: Process::launch(name, &mut node, &log), told };
        browser.expect("ready", "", START);
        let Account { socket, uri, password, hz, answers } = account;
        let start = json!({ "socket": socket, "uri": uri, "password": password, "hz": hz, "answers": answers });
        browser.process.type_line(&format!("start {start}"));
        browser.expect("registered", "", START);
        browser
    }

    /// What it has told, in order.
    pub fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.told).unwrap_or_default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Waits until it tells something of this type, with `text` in it.
    pub fn expect(&mut self, kind: &str, text: &str, limit: Duration) -> Value {
        wait_for(&format!("the browser to tell {kind} {text}"), limit, || {
            let lines = self.lines();
            let failed = lines.iter().find(|line| line["type"] == "error" || line["type"] == "failed");
            let found = lines
                .iter()
                .find(|line| line["type"] == kind && line["text"].as_str().unwrap_or_default().contains(text));
            assert!(found.is_some() || failed.is_none(), "the browser: {}", failed.unwrap_or(&Value::Null));
            assert!(found.is_some() || self.process.is_running(), "the browser has ended");
            found.cloned()
        })
    }

    /// Waits until it has told so many things of this type.
    pub fn expect_number(&mut self, kind: &str, number: usize, limit: Duration) {
        wait_for(&format!("the browser to tell {kind} {number} times"), limit, || {
            (self.lines().iter().filter(|line| line["type"] == kind).count() >= number).then_some(())
        });
    }

    /// Calls a function of the page; what it gives.
    pub fn ask(&mut self, function: &str, argument: &Value) -> Value {
        let results = |browser: &Self| {
            browser
                .lines()
                .into_iter()
                .filter(|line| line["type"] == "result" && line["of"] == function)
                .collect::<Vec<_>>()
        };
        let before = results(self).len();
        let argument = if argument.is_null() { String::new() } else { format!(" {argument}") };
        self.process.type_line(&format!("{function}{argument}"));
        wait_for(&format!("the browser's {function}"), Duration::from_secs(10), || results(self).get(before).cloned())["value"]
            .clone()
    }

    pub fn call(&mut self, target: &str) {
        self.ask("call", &json!(target));
    }

    /// Waits until it hears this tone.
    pub fn expect_tone(&mut self, hz: f64, limit: Duration) {
        wait_for(&format!("the browser to hear {hz} Hz"), limit, || {
            let heard = self.ask("heard", &Value::Null);
            let found = (heard["hz"].as_f64().unwrap_or_default() - hz).abs() < 10.0;
            (found && heard["above"].as_f64().unwrap_or_default() > 25.0).then_some(())
        });
    }
}
