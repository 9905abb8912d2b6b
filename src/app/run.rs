//! Carries out what the command line asks for.
use crate::app::headless::{self, Job, Kind};
use crate::app::phone::{Phone, PhoneError};
use crate::app::{config_check, devices, init, wire};
use crate::audio::choice::{DeviceChoice, Direction};
use crate::cli::{Cli, Command, ConfigCommand, ExitCode, Reject};
use crate::config::{self, Config, Environment, Loaded};
use crate::runtime::clock;
use crate::runtime::journal::Journal;
use crate::runtime::media_thread::{MediaThread, MediaThreadConfig};
use crate::ua::command::Rejection;
use crate::ua::settings::Settings;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;

/// Runs the command and says how it went. Errors were printed by then.
pub fn run(cli: &Cli) -> ExitCode {
    match attempt(cli) {
        Ok(code) => code,
        Err(failure) => {
            let _ = writeln!(io::stderr().lock(), "offhook: {}", failure.words);
            failure.code
        }
    }
}
