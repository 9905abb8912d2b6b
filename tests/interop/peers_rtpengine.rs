//! rtpengine on loopback, in user space: carries the sound between browsers and phones that know nothing of them, as Kamailio
//! tells it to.
use crate::harness::{Case, on_path};
use crate::process::Process;
use crate::tools;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub fn missing() -> Option<String> {
    let module =
        Path::new("/usr/lib").join(format!("{}-linux-gnu/kamailio/modules/rtpengine.so", std::env::consts::ARCH));
    on_path("rtpengine")
        .is_none()
        .then(|| "`rtpengine` is not installed".to_owned())
        .or_else(|| (!module.is_file()).then(|| format!("{} is not installed", module.display())))
}

pub struct Rtpengine {
    /// Where it is told what to do.
    pub control: u16,
    _process: Process,
}

impl Rtpengine {
    pub fn start(case: &Case) -> Self {
        let (control, (first, last)) = (tools::free_port(), tools::free_range(60));
        let log = case.folder().join("rtpengine.log");
        let mut command = Command::new("rtpengine");
        command.args(["--foreground", "--log-stderr", "--log-level=6", "--table=-1", "--interface=127.0.0.1"]);
        command.arg(format!("--listen-ng=127.0.0.1:{control}")).arg("--config-file=none");
        command.arg(format!("--port-min={first}")).arg(format!("--port-max={last}"));
        let mut process = Process::start("rtpengine", &mut command, &log);
        process.expect_log("Startup complete", Duration::from_secs(10));
        Self { control, _process: process }
    }
}
