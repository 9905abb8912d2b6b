//! Terminal events as actions: the only place that reads crossterm's keys.
use crate::tui::action::Action;
use crate::tui::keymap::key::{Code, Key};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

/// What an event of the terminal means to the screen; `None` for what it does not care about.
pub fn action(event: Event) -> Option<Action> {
    match event {
        Event::Key(key) => self::key(key).map(Action::Key),
        Event::Paste(text) => Some(Action::Paste(text)),
        Event::Resize(columns, rows) => Some(Action::Resize { columns, rows }),
        Event::FocusGained => Some(Action::Focused(true)),
        Event::FocusLost => Some(Action::Focused(false)),
        Event::Mouse(MouseEvent { kind, column, row, modifiers: _ }) => match kind {
            MouseEventKind::Down(MouseButton::Left) => Some(Action::Click { column, row }),
            MouseEventKind::ScrollUp => Some(Action::Wheel { up: true, column, row }),
            MouseEventKind::ScrollDown => Some(Action::Wheel { up: false, column, row }),
            _ => None,
        },
    }
}

fn key(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    let alt = event.modifiers.contains(KeyModifiers::ALT);
    let code = match event.code {
        KeyCode::Char(c) if ctrl => Code::Char(c.to_ascii_lowercase()),
        KeyCode::Char(c) => Code::Char(c),
        KeyCode::F(n) => Code::F(n),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => Code::BackTab,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        _ => return None,
    };
    Some(Key { code, ctrl, alt })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_terminal() {
        let event = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        let shown = |event| match action(event) {
            Some(Action::Key(key)) => key.to_string(),
            other => format!("{other:?}"),
        };
        let rows = [
            (KeyCode::Char('A'), KeyModifiers::SHIFT, "A"),
            (KeyCode::Char('U'), KeyModifiers::CONTROL, "Ctrl-U"),
            (KeyCode::Char('x'), KeyModifiers::ALT, "Alt-x"),
            (KeyCode::Tab, KeyModifiers::SHIFT, "Shift-Tab"),
            (KeyCode::BackTab, KeyModifiers::SHIFT, "Shift-Tab"),
            (KeyCode::F(5), KeyModifiers::NONE, "F5"),
            (KeyCode::CapsLock, KeyModifiers::NONE, "None"),
        ];
        for (code, modifiers, text) in rows {
            assert_eq!(shown(event(code, modifiers)), text);
        }
        let released = KeyEvent::new_with_kind(KeyCode::Enter, KeyModifiers::NONE, KeyEventKind::Release);
        assert!(action(Event::Key(released)).is_none());
    }
}
