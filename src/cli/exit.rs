//! Exit codes: how a command ended, for scripts.

/// How a command ended, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// The call ended normally, or what was asked for was done.
    Ended = 0,
    /// Something went wrong that has no number of its own.
    Failed = 1,
    /// A mistake in the configuration or on the command line.
    Configuration = 2,
    RegistrationRefused = 3,
    CallRefused = 4,
    NoMedia = 5,
    Network = 6,
    Device = 7,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  ended normally
  1  failed in another way
  2  mistake in the configuration or on the command line
  3  registration refused (the status is printed)
  4  call refused, or not answered (the status is printed)
  5  no media: the call was set up, but no sound arrived
  6  network failure: no answer, no route, name not found
  7  sound device failure: one that was named does not work

An interrupt (SIGINT, SIGTERM, SIGHUP) hangs up, unregisters, finishes files, and ends normally.";
