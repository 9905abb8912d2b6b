//! All that is known of one account: its state, and the ways to its server.
use super::{details, words};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::widget::clock;
use crate::tui::widget::paint::{Painter, padded};
use crate::ua::snapshot::{AccountView, RegistrationState};
use ratatui::layout::Rect;
use std::time::Instant;

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let Some(account) = model.snapshot.accounts.get(model.account) else {
        let inside = padded(p.frame(area, "Account", Role::Focus, &[]));
        p.put(inside.x, inside.y, inside.width, "It is gone.", Role::Dim);
        return;
    };
    let (sign, state, role) = words::account(p.glyphs, account, model.now);
    let remark = format!("{sign} {state}");
    let inside = padded(p.frame(area, &format!("Account: {}", account.name), Role::Focus, &[(&remark, role)]));
    details::put(model, p, area, inside, &lines(model, account, usize::from(inside.width)));
}

pub fn extent(model: &Model, area: Rect) -> (usize, usize) {
    let width = usize::from(area.width.saturating_sub(4));
    let count = model.snapshot.accounts.get(model.account).map_or(0, |account| lines(model, account, width).len());
    (count, usize::from(area.height.saturating_sub(2)))
}

fn lines(model: &Model, account: &AccountView, width: usize) -> Vec<(&'static str, String)> {
    let mut rows = vec![("address", account.address.clone()), ("state", words::registration(model, &account.state))];
    rows.extend(next_try(model, &account.state).map(|next| ("", next)));
    if account.flows.is_empty() {
        rows.push(("flows", "No way to the server is known yet.".to_owned()));
    }
    for flow in &account.flows {
        let (sign, state, _) = words::reachable(model.glyphs, &flow.state, model.now);
        rows.push(("", String::new()));
        rows.push(("flow", format!("{} {} {}", words::way_of(model.glyphs, flow), model.glyphs.dot, flow.server)));
        rows.push(("", format!("{sign} {state}")));
        if let RegistrationState::Failed { .. } = flow.state {
            rows.push(("", words::registration(model, &flow.state)));
        }
        let age = |at: Instant| clock::rough(model.now.saturating_duration_since(at));
        let since = flow.since.map(|at| format!("registered for {}", age(at)));
        let confirmed = flow.confirmed.map(|at| format!("confirmed {} ago", age(at)));
        let both: Vec<String> = since.into_iter().chain(confirmed).collect();
        let asked = match flow.since {
            Some(_) => format!("asked for a sign of life every {} s", flow.keep_alive.as_secs()),
            None => String::new(),
        };
        let pieces = [
            ("", both.join(", ")),
            ("keep-alive", asked),
            ("contact", flow.contact.clone()),
            ("GRUU", flow.gruu.clone()),
        ];
        let route = [("way out", flow.service_route.clone())];
        rows.extend(pieces.into_iter().chain(route).filter(|(_, content)| !content.is_empty()));
    }
    details::folded(rows, width)
}

fn next_try(model: &Model, state: &RegistrationState) -> Option<String> {
    let RegistrationState::Failed { retry: Some(at), .. } = state else { return None };
    Some(format!("Next try in {} s.", words::until(*at, model.now).as_secs()))
}
