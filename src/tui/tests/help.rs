//! The help page, and the keymap it is made of.
use super::fixture::Screen;
use crate::tui::keymap::{Context, Intent, Keymap, ROWS};
use crate::tui::model::{Open, Page};

#[test]
fn help_returns_to_where_it_was_asked() {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["q", "?"]);
    assert!(screen.picture().contains("Here: Quality page"));
    screen.press(&["?"]);
    assert_eq!(screen.model.page, Page::Quality);
    screen.press(&["q", "c"]);
    screen.types("a?");
    assert_eq!(screen.model.dial.text(), "a?");
    screen.press(&["f1"]);
    assert!(screen.picture().contains("Here: Dial line"));
    screen.press(&["esc"]);
    assert_eq!((screen.model.page, screen.model.open), (Page::Main, Some(Open::Dial)));
}

/// Every row of the keymap and every command stands on the help page.
#[test]
fn help_lists_all() {
    let mut screen = Screen::used(100, 400);
    screen.press(&["?"]);
    let picture = screen.picture();
    let map = Keymap::default();
    for context in Context::ALL {
        assert!(picture.contains(context.title()), "{context:?}");
        for binding in map.rows(context) {
            let row = |line: &str| {
                line.contains(binding.row.description) && binding.keys.iter().all(|k| line.contains(&k.label(true)))
            };
            assert!(picture.lines().any(row), "{:?}", binding.row);
        }
    }
    for word in crate::tui::update::command::all() {
        assert!(picture.contains(word.name) && picture.contains(word.description), "{word:?}");
    }
    assert_eq!(picture.matches("any letter").count(), ROWS.iter().filter(|r| r.keys == ["any-text"]).count());
}

/// Where contexts are active together, the inner one hides an outer key only on purpose.
#[test]
fn no_key_hides_another_by_accident() {
    let meant = [
        (Context::Incoming, Intent::Ignore, Intent::Details),
        (Context::Incoming, Intent::RejectBusy, Intent::Contacts),
        (Context::Incoming, Intent::Decline, Intent::Record),
        (Context::Question, Intent::No, Intent::Simulation),
        (Context::Log, Intent::Back, Intent::Log),
        (Context::Help, Intent::Back, Intent::Help),
    ];
    let stacks: [&[Context]; 8] = [
        &[Context::Incoming, Context::Calls, Context::Main, Context::Scroll, Context::Global],
        &[Context::Question, Context::Recent, Context::Main, Context::Scroll, Context::Global],
        &[Context::Incoming, Context::Messages, Context::Main, Context::Scroll, Context::Global],
        &[Context::Incoming, Context::Quality, Context::Global],
        &[Context::Incoming, Context::Message, Context::Scroll, Context::Global],
        &[Context::Incoming, Context::Details, Context::Scroll, Context::Global],
        &[Context::Incoming, Context::Log, Context::Scroll, Context::Global],
        &[Context::Incoming, Context::Help, Context::Scroll, Context::Global],
    ];
    let map = Keymap::default();
    for stack in stacks {
        for (depth, inner) in stack.iter().enumerate() {
            for binding in map.rows(*inner) {
                for outer in stack.iter().skip(depth + 1).flat_map(|context| map.rows(*context)) {
                    let hides = binding.keys.iter().any(|key| outer.keys.contains(key));
                    let known = meant.contains(&(*inner, binding.row.intent, outer.row.intent));
                    assert!(!hides || known, "{:?} hides {:?}", binding.row, outer.row);
                }
            }
        }
    }
}
