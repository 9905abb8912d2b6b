//! The program; everything of it is in the library.
use clap::Parser;
use offhook::app::run;
use offhook::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    run::run(&Cli::parse()).into()
}
