//! Small helpers: free ports, templates.
use crate::common::sound::Sound;
use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Mutex;

/// A port on loopback that was free a moment ago for UDP and TCP, and is given to nobody else in this run.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().expect("no panic inside");
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has ports");
        let port = socket.local_addr().expect("bound").port();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && given.insert(port) {
            return port;
        }
    }
}

/// `count` neighbouring ports, the first even, of which the first is free; given to nobody else in this run.
pub fn free_range(count: u16) -> (u16, u16) {
    const PORTS: std::ops::Range<u16> = 12_000..30_000;
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let mut next = NEXT.lock().expect("no panic inside");
    // Runs at the same time begin at places of their own.
    let mut first = next.unwrap_or(PORTS.start + (std::process::id() % 170) as u16 * 100);
    for _ in 0..PORTS.len() / 100 {
        if first + count > PORTS.end {
            first = PORTS.start;
        }
        if UdpSocket::bind(("127.0.0.1", first)).is_ok() {
            *next = Some(first + count.next_multiple_of(100));
            return (first, first + count - 1);
        }
        first += 100;
    }
    panic!("no free ports from {} to {}", PORTS.start, PORTS.end);
}

/// Copies the files of `from` to `to`, with `@KEY@` replaced.
pub fn render(from: &Path, to: &Path, values: &[(&str, String)]) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let path = entry.expect("entry").path();
        let mut text = fs::read_to_string(&path).expect("a template");
        for (key, value) in values {
            text = text.replace(&format!("@{key}@"), value);
        }
        assert!(!text.contains('@') || !text.split('@').any(is_key), "{}: a key was not replaced", path.display());
        fs::write(to.join(path.file_name().expect("a name")), text).expect("writes");
    }
}

fn is_key(word: &str) -> bool {
    word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// The templates beside the cases.
pub fn peers() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/peers"))
}

/// What is to be added to CLOCK_MONOTONIC for the time of day [s].
pub fn unix_less_monotonic() -> f64 {
    let clock = |id| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a valid place for the answer.
        let done = unsafe { libc::clock_gettime(id, &mut time) };
        assert_eq!(done, 0, "the clock can be read");
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    clock(libc::CLOCK_REALTIME) - clock(libc::CLOCK_MONOTONIC)
}

/// Checks that a tone is most of what is heard in the middle of `sound`.
pub fn hears(sound: &Sound, hz: f64, who: &str) {
    let middle = sound.seconds() / 2.0;
    let share = sound.part(middle - 0.7, middle + 0.7).tone_share(hz);
    assert!(share > 0.9, "{who} does not hear {hz} Hz: a share of {share:.2} in {:.1} s", sound.seconds());
}

/// Checks that a tone is heard for a quarter of a second somewhere in `sound`: beside other cases the machine may be too
/// busy for sound without a gap.
pub fn hears_some(sound: &Sound, hz: f64, who: &str) {
    let starts = (0..).map(|n| f64::from(n) * 0.125).take_while(|start| start + 0.25 <= sound.seconds());
    let best = starts.map(|start| sound.part(start, start + 0.25).tone_share(hz)).fold(0.0, f64::max);
    assert!(best > 0.9, "{who} does not hear {hz} Hz: a share of {best:.2} at best in {:.1} s", sound.seconds());
}
