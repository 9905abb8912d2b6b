//! Small helpers: free ports, templates.
use std::fs;
use std::net::UdpSocket;
use std::path::Path;

/// A UDP port on loopback that was free a moment ago.
pub fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has ports");
    socket.local_addr().expect("bound").port()
}

/// `count` neighbouring ports, the first even, of which the first is free.
pub fn free_range(count: u16) -> (u16, u16) {
    let first = (0..100).map(|n| 20_000 + n * 100).find(|port| UdpSocket::bind(("127.0.0.1", *port)).is_ok());
    let first = first.expect("a free port below 30000");
    (first, first + count - 1)
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
