//! The demonstration: what the phone measured, beside what the simulated network did.
use crate::harness::Case;
use serde_json::Value;
use std::process::Command;

pub const CASES: &[Case] = &[Case { name: "demo::measured_is_true", needs: &[], run: measured_is_true }];

fn measured_is_true(case: &Case) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
    command.args(["demo", "--headless", "--json", "--seconds", "20", "--microphone", "silence", "--speaker", "null"]);
    command.args(["--loss", "5", "--jitter", "40", "--delay", "60", "--seed", "1"]);
    for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
        command.env(variable, case.folder());
    }
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let last = |kind: &str| lines.iter().rfind(|line| line["type"] == kind).expect(kind);
    let (summary, truth) = (last("summary"), last("truth"));
    assert_eq!(summary["result"], "normal");
    let figure = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("not measured: {summary}"));
    // Packets that were lost behind the last one that came cannot be known to the phone: those that were sent while its
    // goodbye was on its way, a third of a second as a rule. Of so few, more may be lost than of all.
    let (measured, lost) = (figure(&summary["inbound"]["lost"]), figure(&truth["lost"]));
    let behind = figure(&truth["packets"]) - figure(&summary["inbound"]["packets"]) - measured;
    let unknown = 3.0 + 0.2 * behind;
    assert!((0.0..=100.0).contains(&behind), "{behind} packets are not accounted for");
    assert!(
        (lost - unknown..=lost).contains(&measured),
        "lost {measured}, truly {lost}, {behind} sent behind the last"
    );
    let (measured, jitter) = (figure(&summary["inbound"]["jitter_ms"]), figure(&truth["jitter_ms"]));
    // One is the mean of the call, the other the estimate at its end.
    assert!((measured - jitter).abs() < 0.3 * jitter, "jitter {measured} ms, truly {jitter} ms");
    // Twice the delay, and twice the mean of the jitter's range.
    let round_trip = figure(&summary["round_trip_ms"]);
    assert!((120.0..=200.0).contains(&round_trip), "round trip {round_trip} ms");
}
