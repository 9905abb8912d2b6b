//! Tells a user who looks at another window: by the terminal where it can, else by the desktop.
use super::terminal::Screen;
use crate::config::Notify;
use std::io;
use std::process::{Command, Stdio};

/// Characters of a notification that are shown.
const LENGTH: usize = 120;
/// Processes that may be on their way to the desktop at once; further notifications are left out.
const AT_ONCE: usize = 4;

/// How this terminal, or this desktop, is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// OSC 9, of iTerm2, WezTerm and Ghostty.
    Osc9,
    /// OSC 99, of kitty.
    Osc99,
    /// OSC 777, of rxvt-unicode and foot.
    Osc777,
    /// `notify-send` of the desktop.
    Desktop,
}

pub struct Notifier {
    way: Option<Way>,
    running: Vec<std::process::Child>,
}

impl Notifier {
    /// - `variable`: of the environment.
    pub fn new(wanted: Notify, variable: impl Fn(&str) -> Option<String>) -> Self {
        Self { way: way(wanted, variable), running: Vec::new() }
    }

    /// Never waits. A desktop that cannot be told is no reason to end a call.
    pub fn tell(&mut self, screen: &mut Screen, title: &str, text: &str) -> io::Result<()> {
        let (title, text) = (harmless(title), harmless(text));
        match self.way {
            None => Ok(()),
            Some(Way::Osc9) => screen.control(&format!("\x1b]9;{title}: {text}\x1b\\")),
            Some(Way::Osc99) => screen.control(&format!("\x1b]99;;{title}: {text}\x1b\\")),
            Some(Way::Osc777) => screen.control(&format!("\x1b]777;notify;{title};{text}\x1b\\")),
            Some(Way::Desktop) => {
                self.running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
                if self.running.len() < AT_ONCE {
                    let mut command = Command::new("notify-send");
                    command.args(["--app-name=offhook", "--icon=call-start", "--", &title, &escaped(&text)]);
                    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                    self.running.extend(quiet.spawn().ok());
                }
                Ok(())
            }
        }
    }
}

fn way(wanted: Notify, variable: impl Fn(&str) -> Option<String>) -> Option<Way> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let (term, program) = (set("TERM").unwrap_or_default(), set("TERM_PROGRAM").unwrap_or_default());
    let terminal = || match (program.as_str(), term.as_str()) {
        // What is inside of a multiplexer does not reach the terminal.
        _ if set("TMUX").is_some() || term.starts_with("screen") => None,
        _ if set("KITTY_WINDOW_ID").is_some() || term == "xterm-kitty" => Some(Way::Osc99),
        ("iTerm.app" | "WezTerm" | "ghostty", _) => Some(Way::Osc9),
        (_, term) if term.starts_with("foot") || term.starts_with("rxvt") => Some(Way::Osc777),
        _ => None,
    };
    let desktop = || (set("DISPLAY").is_some() || set("WAYLAND_DISPLAY").is_some()).then_some(Way::Desktop);
    match wanted {
        Notify::None => None,
        Notify::Auto => terminal().or_else(desktop),
        // Who asks for it has a terminal that we do not know; most that can do it at all understand this.
        Notify::Terminal => terminal().or(Some(Way::Osc9)),
        Notify::Desktop => Some(Way::Desktop),
    }
}

/// One line without control characters, and without the sign that parts the fields of OSC 777.
fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).map(|c| if c == ';' { ',' } else { c }).take(LENGTH).collect()
}

/// Desktops read a few tags in the text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_read_from_the_environment() {
        type Row = (Notify, &'static [(&'static str, &'static str)], Option<Way>);
        let rows: [Row; 11] = [
            (Notify::None, &[("DISPLAY", ":0"), ("TERM", "foot")], None),
            (Notify::Auto, &[], None),
            (Notify::Auto, &[("TERM", "xterm-256color")], None),
            (Notify::Auto, &[("TERM", "xterm-256color"), ("DISPLAY", ":0")], Some(Way::Desktop)),
            (Notify::Auto, &[("TERM", "foot-extra"), ("WAYLAND_DISPLAY", "wayland-0")], Some(Way::Osc777)),
            (Notify::Auto, &[("TERM", "xterm-kitty"), ("DISPLAY", ":0")], Some(Way::Osc99)),
            (Notify::Auto, &[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")], Some(Way::Osc9)),
            (Notify::Auto, &[("TERM", "xterm-kitty"), ("TMUX", "/tmp/x"), ("DISPLAY", "")], None),
            (Notify::Auto, &[("TERM", "screen-256color"), ("DISPLAY", ":0")], Some(Way::Desktop)),
            (Notify::Terminal, &[], Some(Way::Osc9)),
            (Notify::Desktop, &[("TERM", "foot")], Some(Way::Desktop)),
        ];
        for (wanted, environment, expected) in rows {
            let of = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(way(wanted, of), expected, "{wanted:?} {environment:?}");
        }
    }

    #[test]
    fn what_others_wrote_is_text_and_nothing_else() {
        assert_eq!(harmless("a\x1b]0;b\x07\nc;d"), "a]0,bc,d");
        assert_eq!(harmless(&"x".repeat(500)).len(), LENGTH);
        assert_eq!(escaped("<b>R&D</b>"), "&lt;b&gt;R&amp;D&lt;/b&gt;");
    }
}
