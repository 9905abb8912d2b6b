//! The terminal itself: taken over at the start, given back whatever happens, and what it can show.
use crate::tui::model::Model;
use crate::tui::theme::{ASCII, Depth, Glyphs, UNICODE};
use crate::tui::view::view;
use base64::Engine;
use crossterm::event::{DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange};
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, SetTitle,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};
use std::thread::{self, ThreadId};
use std::time::{SystemTime, UNIX_EPOCH};

/// The alternate screen is ours: it must be given back.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// The thread that draws: only its panic ends the screen.
static DRAWS: Mutex<Option<ThreadId>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// xterm: keep and bring back the window title.
const KEEP_TITLE: &str = "\x1b[22;2t";
const RETURN_TITLE: &str = "\x1b[23;2t";
/// xterm: report buttons and the wheel, with coordinates of any size; not each movement, which would wake the program.
const TAKE_MOUSE: &str = "\x1b[?1000h\x1b[?1006h";
const RETURN_MOUSE: &str = "\x1b[?1006l\x1b[?1000l";

/// The terminal while it is ours. Dropping it gives it back.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    mouse: bool,
}

impl Screen {
    /// - `mouse`: it is told when the mouse is clicked.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        if let Ok(mut draws) = DRAWS.lock() {
            *draws = Some(thread::current().id());
        }
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if DRAWS.lock().is_ok_and(|draws| *draws == Some(thread::current().id())) {
                    restore();
                }
                before(panic);
            }));
        });
        take(mouse)?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, stdout()));
        match Terminal::new(backend) {
            Ok(terminal) => Ok(Self { terminal, mouse }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    pub fn size(&self) -> io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// Draws one frame; terminals that know how show it in one piece.
    pub fn draw(&mut self, model: &Model) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| view(model, frame))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Has every cell written anew. `Terminal::clear` would ask the terminal where its cursor stands, and the answer
    /// would go to the thread that reads the keys.
    pub fn repaint(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    pub fn bell(&mut self) -> io::Result<()> {
        execute!(self.terminal.backend_mut(), Print('\x07'))
    }

    pub fn set_mouse(&mut self, mouse: bool) -> io::Result<()> {
        self.mouse = mouse;
        self.control(if mouse { TAKE_MOUSE } else { RETURN_MOUSE })
    }

    /// Writes a control sequence that draws nothing.
    pub fn control(&mut self, sequence: &str) -> io::Result<()> {
        execute!(self.terminal.backend_mut(), Print(sequence))
    }

    /// Gives text to the clipboard of the terminal (OSC 52); terminals that do not allow that ignore it.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        execute!(self.terminal.backend_mut(), Print(format!("\x1b]52;c;{encoded}\x07")))
    }

    pub fn title(&mut self, title: &str) -> io::Result<()> {
        let harmless: String = title.chars().filter(|c| !c.is_control()).take(80).collect();
        execute!(self.terminal.backend_mut(), SetTitle(harmless))
    }

    /// Gives the terminal back, stops the process, and takes the terminal again when it goes on.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore();
        signal_hook::low_level::raise(signal_hook::consts::SIGTSTP)?;
        take(self.mouse)?;
        self.repaint()
    }

    /// Takes the terminal again after somebody else stopped and continued the process.
    pub fn retake(&mut self) -> io::Result<()> {
        disable_raw_mode()?;
        take(self.mouse)?;
        self.repaint()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
        if let Ok(mut draws) = DRAWS.lock() {
            *draws = None;
        }
    }
}

fn take(mouse: bool) -> io::Result<()> {
    let title = if TAKEN.swap(true, Ordering::SeqCst) { "" } else { KEEP_TITLE };
    enable_raw_mode()?;
    let mouse = if mouse { TAKE_MOUSE } else { "" };
    execute!(
        stdout(),
        Print(title),
        EnterAlternateScreen,
        EnableBracketedPaste,
        EnableFocusChange,
        Print(mouse),
        cursor::Hide
    )
}

/// Gives the terminal back if it is taken; harmless at any other time and from any thread.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = stdout();
        // Nothing is left to do about a terminal that cannot be written to.
        let _ = execute!(
            out,
            Print(RETURN_MOUSE),
            DisableFocusChange,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            Print(RETURN_TITLE),
            cursor::Show
        );
        let _ = out.flush();
        let _ = disable_raw_mode();
    }
}

/// What the environment says of the terminal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Abilities {
    pub depth: Depth,
    pub glyphs: &'static Glyphs,
    /// The theme that fits when the user chose none.
    pub theme: &'static str,
}

/// Reads the abilities from the environment variables that `variable` gives.
pub fn abilities(variable: impl Fn(&str) -> Option<String>) -> Abilities {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let term = set("TERM").unwrap_or_default();
    let true_color = set("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit");
    let depth = match true_color {
        true => Depth::True,
        false if term.contains("256color") || term.contains("direct") => Depth::Indexed,
        false => Depth::Ansi,
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_ascii_lowercase();
    let utf8 = locale.contains("utf-8") || locale.contains("utf8");
    // The font of the Linux console has no signs beyond the box.
    let glyphs = if utf8 && !matches!(term.as_str(), "linux" | "dumb" | "vt100") { &UNICODE } else { &ASCII };
    let ground = set("COLORFGBG").and_then(|value| value.rsplit(';').next()?.parse::<u8>().ok());
    let theme = match ground {
        _ if set("NO_COLOR").is_some() || matches!(term.as_str(), "dumb" | "vt100") => "mono",
        Some(7 | 9..=15) => "light",
        _ => "dark",
    };
    Abilities { depth, glyphs, theme }
}

/// Seconds the user's time zone is ahead of UTC at a moment.
pub fn zone(at: SystemTime) -> i32 {
    let unix = at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let Ok(seconds) = libc::time_t::try_from(unix) else { return 0 };
    // SAFETY: all-zero bytes are a valid `tm` (numbers and a null pointer).
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the right type; nothing is kept beyond the call.
    let done = unsafe { libc::localtime_r(&raw const seconds, &raw mut local) };
    if done.is_null() { 0 } else { i32::try_from(local.tm_gmtoff).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rows: &[(&str, &str)]) -> Abilities {
        abilities(|name| rows.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_is_believed() {
        assert_eq!(with(&[]), Abilities { depth: Depth::Ansi, glyphs: &ASCII, theme: "dark" });
        let rows: [(&[(&str, &str)], Abilities); 5] = [
            (&[("TERM", "dumb")], Abilities { depth: Depth::Ansi, glyphs: &ASCII, theme: "mono" }),
            (
                &[("TERM", "xterm-256color"), ("LANG", "cs_CZ.UTF-8"), ("NO_COLOR", "")],
                Abilities { depth: Depth::Indexed, glyphs: &UNICODE, theme: "dark" },
            ),
            (
                &[("COLORTERM", "truecolor"), ("LC_ALL", "C"), ("LANG", "en_US.UTF-8"), ("COLORFGBG", "0;15")],
                Abilities { depth: Depth::True, glyphs: &ASCII, theme: "light" },
            ),
            (
                &[("TERM", "linux"), ("LANG", "en_US.utf8")],
                Abilities { depth: Depth::Ansi, glyphs: &ASCII, theme: "dark" },
            ),
            (
                &[("TERM", "xterm"), ("LC_CTYPE", "C.UTF-8"), ("NO_COLOR", "1")],
                Abilities { depth: Depth::Ansi, glyphs: &UNICODE, theme: "mono" },
            ),
        ];
        for (environment, found) in rows {
            assert_eq!(with(environment), found, "{environment:?}");
        }
    }
}
