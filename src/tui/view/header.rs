//! The first line: is the phone reachable, was a call missed, what time is it.
use super::words;
use crate::tui::model::{Model, Page};
use crate::tui::theme::Role;
use crate::tui::widget::clock::Local;
use crate::tui::widget::paint::Painter;
use crate::tui::widget::text;
use crate::ua::snapshot::OwnState;
use ratatui::layout::Rect;

/// How much is said of each account.
const DETAILS: [Detail; 4] = [Detail::Address, Detail::State, Detail::Name, Detail::Sign];

#[derive(Clone, Copy, PartialEq)]
enum Detail {
    Address,
    State,
    Name,
    Sign,
}

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let y = area.y;
    let x = p.put(area.x + 1, y, 10, "offhook", Role::Accent) + 2;
    let clock = Local::new(model.wall, (model.zone)(model.wall)).minutes();
    let mut end = p.put_right(area.right().saturating_sub(1), y, 8, &clock, Role::Dim).saturating_sub(3);
    let mut remark = |p: &mut Painter<'_>, content: String, role| {
        end = p.put_right(end, y, 24, &content, role).saturating_sub(3);
    };
    if model.snapshot.muted {
        remark(p, format!("{} muted", p.glyphs.fair), Role::Fair);
    }
    for rule in words::away(&model.snapshot.accounts) {
        remark(p, format!("{} {rule}", p.glyphs.fair), Role::Fair);
    }
    if model.unread() > 0 {
        let many = if model.unread() == 1 { "text" } else { "texts" };
        remark(p, format!("{} {} {many}", p.glyphs.mail, model.unread()), Role::Accent);
    }
    let own = &model.snapshot.presence;
    if !matches!(own.state, OwnState::Free | OwnState::OnThePhone | OwnState::DoNotDisturb) {
        let note = if own.note.is_empty() { String::new() } else { format!(": {}", own.note) };
        remark(p, format!("{} {}{note}", p.glyphs.fair, own.state.word()), Role::Fair);
    }
    if model.missed() > 0 {
        remark(p, format!("{} {} missed", p.glyphs.poor, model.missed()), Role::Poor);
    }
    if !matches!(model.page, Page::Main | Page::Quality)
        && let Some(call) = model.selected_call()
    {
        let (word, role) = words::call_state(model, call);
        remark(p, format!("{} {word}", text::fit(&call.peer_name, 10, p.glyphs.ellipsis)), role);
    }
    accounts(model, p, x, y, end.saturating_sub(x));
}

fn accounts(model: &Model, p: &mut Painter<'_>, x: u16, y: u16, room: u16) {
    if model.snapshot.accounts.is_empty() {
        p.put(x, y, room, "no account: only direct calls", Role::Dim);
        return;
    }
    let fits = |detail: &&Detail| pieces(model, **detail).1 <= usize::from(room);
    let (pieces, _) = pieces(model, DETAILS.iter().find(fits).copied().unwrap_or(Detail::Sign));
    let pieces: Vec<(&str, Role)> = pieces.iter().map(|(content, role)| (content.as_str(), *role)).collect();
    p.pieces(x, y, room, &pieces);
}

/// Every account in one line, and how wide that is.
fn pieces(model: &Model, detail: Detail) -> (Vec<(String, Role)>, usize) {
    let mut pieces = Vec::new();
    for account in &model.snapshot.accounts {
        let (sign, state, role) = words::account(model.glyphs, account, model.now);
        if !pieces.is_empty() {
            pieces.push(("   ".to_owned(), Role::Text));
        }
        pieces.push((format!("{sign} "), role));
        if detail != Detail::Sign {
            pieces.push((account.name.clone(), Role::Text));
        }
        if detail == Detail::Address && account.name != account.address {
            pieces.push((format!(" {}", account.address), Role::Dim));
        }
        if matches!(detail, Detail::Address | Detail::State) {
            pieces.push((format!(" {state}"), role));
        }
        if let Some(mailbox) = account.mailbox.filter(|mailbox| mailbox.waiting) {
            let count = mailbox.new.map_or(String::new(), |new| format!(" {new}"));
            pieces.push((format!(" {}{count}", model.glyphs.mail), Role::Accent));
        }
    }
    let wide = pieces.iter().map(|(content, _)| text::width(content)).sum();
    (pieces, wide)
}
