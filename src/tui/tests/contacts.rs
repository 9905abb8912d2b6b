//! Keys of the contacts page.
use super::fixture::{Screen, known};
use crate::ua::command::Command;
use crate::ua::contacts::{Change, Number};

fn call(target: &str) -> Command {
    Command::Call { account: None, target: target.into() }
}

#[test]
fn contacts_are_found_called_and_changed() {
    let mut screen = Screen::used(80, 24);
    screen.change(known);
    screen.press(&["b"]);
    screen.types("ali");
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [call("1002")]);
    screen.press(&["b"]);
    screen.types("ali");
    screen.press(&["tab", "enter"]);
    assert_eq!(screen.sent(), [call("+420 555 123 456")]);
    screen.press(&["b", "down"]);
    screen.press(&["f10"]);
    assert_eq!(screen.sent(), [Command::Contact(Change::Watch { name: "Bob".into(), on: false })]);
    screen.press(&["f4"]);
    screen.types(" Ross");
    let renamed = [Command::Contact(Change::Rename { name: "Bob".into(), to: "Bob Ross".into() })];
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), renamed);
    screen.press(&[":"]);
    screen.types("contact drop Bob 1003");
    screen.press(&["enter"]);
    let dropped = [Command::Contact(Change::Drop { name: "Bob".into(), address: "1003".into() })];
    assert_eq!(screen.sent(), dropped);
    screen.press(&["b", "down", "ctrl-x"]);
    let removed = [Command::Contact(Change::Remove("Bob".into()))];
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), removed);
    screen.press(&["b"]);
    screen.types("New");
    screen.press(&["f2"]);
    screen.types("work=77");
    let number = Number { address: "77".into(), label: "work".into() };
    let added = Command::Contact(Change::Add { name: "New".into(), number });
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [added]);
    // A name is completed in the dial line, and dialled as it is.
    screen.press(&["c"]);
    screen.types("ali");
    screen.press(&["tab", "enter"]);
    assert_eq!(screen.sent(), [call("Alice Nov\u{e1}kov\u{e1}")]);
}
