//! The page of contacts: what its keys do.
use crate::tui::action::Effect;
use crate::tui::keymap::Intent;
use crate::tui::model::{Model, Open, Page};
use crate::ua::command::Command;
use crate::ua::contacts::Change;

pub fn enter(model: &mut Model) {
    model.page = Page::Contacts;
    model.filter.clear();
    (model.contact, model.number) = (0, 0);
}

/// Calls the number shown.
pub fn call(model: &mut Model) -> Vec<Effect> {
    let target = model.contact().and_then(|c| model.number_of(c, true)).map(|number| number.address.clone());
    let Some(target) = target else { return Vec::new() };
    model.page = Page::Main;
    vec![Effect::Send(Command::Call { account: model.dial_account, target })]
}

/// The next of several numbers.
pub fn next_number(model: &mut Model) -> Vec<Effect> {
    let count = model.contact().map_or(1, |contact| contact.numbers.len()).max(1);
    model.number = (model.number + 1) % count;
    Vec::new()
}

/// Opens the command line with what is to be done, to be looked at and finished there.
pub fn edit(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let name = model.contact().map(|contact| contact.name.clone());
    let line = match (intent, name) {
        (Intent::WatchContact, Some(name)) => {
            let on = !model.contact().is_some_and(|contact| contact.watch);
            return vec![Effect::Send(Command::Contact(Change::Watch { name, on }))];
        }
        (Intent::RemoveContact, Some(name)) => format!("contact remove {name}"),
        (Intent::AddContact, _) => match model.filter.text().trim() {
            "" => "contact add ".to_owned(),
            typed => format!("contact add {typed} "),
        },
        (Intent::RenameContact, Some(name)) => format!("contact rename {name} to {name}"),
        (Intent::EditContact, Some(name)) => format!("contact add {name} "),
        _ => return Vec::new(),
    };
    model.page = Page::Main;
    model.open = Some(Open::Command);
    model.command.set(&line);
    Vec::new()
}
