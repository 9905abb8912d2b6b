//! A terminal that does not show what is typed.

/// While it lives, the terminal does not show what is typed.
#[cfg(unix)]
pub struct Quiet(libc::termios);

#[cfg(unix)]
impl Quiet {
    /// `None` when standard input is no terminal.
    pub fn new() -> Option<Self> {
        // SAFETY: `termios` is plain data that tcgetattr fills in whole; it is used only after it said so.
        let mut settings: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: both take a valid pointer to settings that outlive the call.
        let read = unsafe { libc::tcgetattr(libc::STDIN_FILENO, &mut settings) } == 0;
        let quiet = libc::termios { c_lflag: settings.c_lflag & !libc::ECHO, ..settings };
        // SAFETY: as above.
        let set = read && unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &quiet) } == 0;
        set.then_some(Self(settings))
    }
}

#[cfg(unix)]
impl Drop for Quiet {
    fn drop(&mut self) {
        // SAFETY: the settings were read from this terminal.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &self.0) };
    }
}

#[cfg(not(unix))]
pub struct Quiet;

#[cfg(not(unix))]
impl Quiet {
    pub fn new() -> Option<Self> {
        None
    }
}
