//! The program; everything of it is in the library.
use offhook::app::run;
use offhook::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::read(std::env::args_os()) {
        Ok(cli) => run::run(&cli).into(),
        Err(error) => error.exit(),
    }
}
