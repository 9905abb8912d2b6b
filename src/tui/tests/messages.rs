//! The messages page: who gets there, what is found, filtered, compared and saved.
use super::fixture::Screen;
use crate::tui::action::{Action, Effect, Save};
use crate::tui::model::messages::Whose;
use crate::tui::model::{Open, Page, Popup};
use crate::ua::ladder::capture::Format;

fn opened() -> Screen {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["l"]);
    screen
}

fn saves(screen: &mut Screen) -> Vec<Save> {
    let save = |effect| match effect {
        Effect::Save(save) => Some(save),
        _ => None,
    };
    std::mem::take(&mut screen.effects).into_iter().filter_map(save).collect()
}

fn read(screen: &Screen) -> String {
    match &screen.model.popup {
        Some(Popup::Message { entry }) => entry.label.clone(),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_page_is_left_to_where_it_was_entered() {
    let mut screen = opened();
    assert_eq!(screen.model.page, Page::Messages);
    screen.press(&["enter", "esc", "esc"]);
    assert_eq!((screen.model.page, &screen.model.popup), (Page::Main, &None));
    screen.press(&["u", "l"]);
    let account = screen.model.snapshot.accounts[0].id;
    assert_eq!(screen.model.messages.whose, Some(Whose::Registration(account)));
    assert!(screen.picture().contains("No messages yet"));
    screen.press(&["esc"]);
    assert_eq!(screen.model.page, Page::Accounts);
}

#[test]
fn a_recent_call_of_before_has_no_messages() {
    let mut screen = Screen::used(80, 24);
    screen.press(&["tab", "l"]);
    assert_eq!(screen.model.page, Page::Main);
    assert!(screen.notice().contains("of before"), "{}", screen.notice());
}

#[test]
fn what_is_looked_for_is_found_whatever_its_case_and_round_the_end() {
    let mut screen = opened();
    screen.press(&["home", "/"]);
    assert_eq!(screen.model.open, Some(Open::Search));
    screen.types("RINGing");
    screen.press(&["enter"]);
    assert_eq!(screen.model.messages.at, Some(5));
    screen.press(&["/"]);
    screen.types("invite");
    screen.press(&["enter"]);
    let at = screen.model.messages.at;
    screen.press(&["n", "N"]);
    assert_eq!(screen.model.messages.at, at, "forward and back");
    screen.press(&["/"]);
    screen.types("nowhere at all");
    screen.press(&["enter"]);
    assert!(screen.notice().contains("in none of these"), "{}", screen.notice());
}

#[test]
fn a_filter_hides_rows_of_the_page_and_none_of_the_file() {
    let mut screen = opened();
    let all = screen.model.rows().len();
    screen.press(&[":"]);
    screen.types("filter bye");
    screen.press(&["enter"]);
    assert_eq!((screen.model.rows().len(), screen.model.page), (0, Page::Messages));
    screen.press(&["e", "ctrl-u"]);
    screen.types("--secrets call.pcap!");
    screen.press(&["enter"]);
    let saved = saves(&mut screen).pop().expect("a file");
    assert_eq!(
        (saved.path.as_str(), saved.replace, saved.secrets, saved.format),
        ("call.pcap", true, true, Format::Pcap)
    );
    assert_eq!(saved.rows.len(), all);
    screen.act(Action::Saved(Err("call.pcap exists already".into())));
    assert!(screen.model.notice.as_ref().is_some_and(|notice| notice.is_trouble));
    screen.press(&[":"]);
    screen.types("filter");
    screen.press(&["enter"]);
    assert_eq!(screen.model.rows().len(), all);
}

#[test]
fn names_of_files_that_cannot_be_are_explained() {
    for (typed, words) in [("export", "export"), ("export call", "must end in"), ("export --secrets", "export takes")] {
        let mut screen = opened();
        screen.press(&[":"]);
        screen.types(typed);
        screen.press(&["enter"]);
        assert!(screen.notice().contains(words), "{typed}: {}", screen.notice());
        assert_eq!(saves(&mut screen), []);
    }
}

#[test]
fn messages_are_gone_through_compared_and_copied_without_secrets() {
    let mut screen = opened();
    screen.press(&["home", "enter", "right", "right", "right", "d"]);
    assert_eq!(read(&screen), "INVITE");
    screen.press(&["left", "left", "left", "y"]);
    let copied = screen.effects.iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text.clone()),
        _ => None,
    });
    let copied = copied.expect("copied");
    assert!(copied.starts_with("INVITE ") && copied.contains("xxxx") && !copied.contains("hidden"), "{copied}");
}
