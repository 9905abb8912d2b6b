//! tshark: a second opinion on what was on the wire.
use crate::harness::Case;
use crate::process::Process;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A capture on loopback.
pub struct Capture {
    process: Process,
    file: PathBuf,
}

/// A line of `tshark -z rtp,streams`.
#[derive(Clone, Debug, PartialEq)]
pub struct RtpStream {
    pub source_port: u16,
    pub target_port: u16,
    pub packets: u64,
    pub lost: i64,
    /// [ms]
    pub mean_jitter: f64,
    pub max_jitter: f64,
}

impl Capture {
    /// Captures the UDP traffic that fits `filter` until it is read.
    pub fn start(case: &Case, filter: &str) -> Self {
        let file = case.folder().join("capture.pcap");
        let mut command = Command::new("dumpcap");
        command.args(["-q", "-i", "lo", "-f", filter, "-w"]).arg(&file);
        let mut process = Process::start("dumpcap", &mut command, &case.folder().join("dumpcap.log"));
        process.expect_log("File:", Duration::from_secs(10));
        Self { process, file }
    }

    /// Ends the capture; these fields of each packet.
    pub fn fields(mut self, names: &[&str]) -> Vec<Vec<String>> {
        self.end();
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&self.file).args(["-T", "fields"]);
        command.args(names.iter().flat_map(|name| ["-e", name]));
        let output = command.output().expect("tshark runs");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    fn end(&mut self) {
        self.process.signal(libc::SIGINT);
        self.process.wait(Duration::from_secs(10));
    }

    /// Ends the capture; what every datagram carried.
    pub fn payloads(mut self) -> Vec<Vec<u8>> {
        self.process.signal(libc::SIGINT);
        self.process.wait(Duration::from_secs(10));
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&self.file).args(["-T", "fields", "-e", "udp.payload"]);
        let text = String::from_utf8(command.output().expect("tshark runs").stdout).expect("digits");
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let line = |line: &str| line.as_bytes().chunks(2).filter_map(octet).collect();
        text.lines().map(line).collect()
    }

    /// Ends the capture and analyses it; `ports` are taken for RTP.
    pub fn streams(mut self, ports: &[u16]) -> Vec<RtpStream> {
        self.end();
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&self.file).args(["-q", "-z", "rtp,streams"]);
        for port in ports {
            command.arg("-d").arg(format!("udp.port=={port},rtp"));
        }
        let output = command.output().expect("tshark runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let streams: Vec<_> = text.lines().filter_map(parse).collect();
        assert!(!streams.is_empty(), "no RTP in the capture:\n{text}");
        streams
    }
}

/// Columns: start, end, source address and port, destination address and port, SSRC, payload, packets, lost, percentage,
/// then minimum, mean and maximum of delta and of jitter [ms].
fn parse(line: &str) -> Option<RtpStream> {
    let words: Vec<_> = line.split_whitespace().collect();
    let ssrc = words.iter().position(|word| word.starts_with("0x"))?;
    let percentage = words.iter().position(|word| word.starts_with('(') && word.ends_with("%)"))?;
    let float = |index: usize| words.get(index)?.parse().ok();
    Some(RtpStream {
        source_port: words.get(ssrc.checked_sub(3)?)?.parse().ok()?,
        target_port: words.get(ssrc - 1)?.parse().ok()?,
        packets: words.get(percentage - 2)?.parse().ok()?,
        lost: words.get(percentage - 1)?.parse().ok()?,
        mean_jitter: float(percentage + 5)?,
        max_jitter: float(percentage + 6)?,
    })
}
