//! The demonstration's simulated network: what was asked for, what it did, and what the phone measured of it.
use crate::base::netem::{Impairment, Truth};
use crate::tui::model::{Knob, Model};
use crate::tui::theme::Role;
use crate::tui::update::simulation::value;
use crate::tui::widget::paint::Painter;
use ratatui::layout::Rect;

/// From this width on one row is enough.
pub const ONE_ROW: u16 = 132;

/// One figure: what was asked for, the truth, and what was measured; all as text of known width.
struct Figure {
    knob: Knob,
    name: &'static str,
    unit: &'static str,
    asked: String,
    truth: String,
    measured: String,
}

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let Some((asked, truth)) = &model.snapshot.simulation else { return };
    let figures = figures(model, p.glyphs.dash, asked, truth);
    if area.height == 1 {
        one_row(model, p, area, &figures);
    } else {
        table(model, p, area, &figures);
    }
}

fn figures(model: &Model, dash: char, asked: &Impairment, truth: &Truth) -> [Figure; 3] {
    let quality = model.selected_call().map(|call| &call.quality);
    let number = |v: f64| if v < 99.95 { format!("{v:.1}") } else { format!("{v:.0}") };
    let measured = |value: Option<f64>| value.map_or(dash.to_string(), number);
    let lost = (truth.packets > 0).then(|| truth.lost as f64 * 100.0 / truth.packets as f64);
    let delayed = (truth.packets > truth.lost).then_some(truth.delay);
    let shaken = (truth.packets > truth.lost + 1).then_some(truth.jitter);
    let figure = |knob, name, unit, truth, seen: Option<f64>| {
        let asked = value(asked, knob);
        let asked = if knob == Knob::Loss { number(asked) } else { format!("{asked:.0}") };
        Figure { knob, name, unit, asked, truth: measured(truth), measured: measured(seen) }
    };
    [
        figure(Knob::Loss, "loss", "%", lost, quality.and_then(|q| q.inbound.loss_total)),
        figure(Knob::Jitter, "jitter", "ms", shaken, quality.and_then(|q| q.inbound.jitter).map(|r| r.value)),
        figure(Knob::Delay, "delay", "ms", delayed, quality.and_then(|q| q.delay.network)),
    ]
}

fn knob_role(model: &Model, knob: Knob) -> Role {
    if model.knob == Some(knob) { Role::BandKey } else { Role::Text }
}

/// Two rows: above what was asked for, below the truth and what the phone measured, digits under digits.
fn table(model: &Model, p: &mut Painter<'_>, area: Rect, figures: &[Figure; 3]) {
    let (x, y) = (area.x + 1, area.y);
    p.put(x, y, 13, "simulated", Role::Label);
    p.put(x, y + 1, 13, "true / heard", Role::Dim);
    let wide = (area.width.saturating_sub(15) / 3).min(28);
    let airy = wide >= 21;
    for (figure, column) in figures.iter().zip(0..) {
        let x = area.x + 14 + wide * column;
        p.put(x, y, 7, figure.name, Role::Label);
        let digits = x + if airy { 12 } else { 10 };
        let asked = format!("{:>4} {:<2}", figure.asked, figure.unit);
        p.put(digits - 4, y, 7, &asked, knob_role(model, figure.knob));
        p.put_right(digits, y + 1, 6, &figure.truth, Role::Dim);
        let seen = if airy { format!(" / {}", figure.measured) } else { format!("/{}", figure.measured) };
        p.put(digits, y + 1, (x + wide).saturating_sub(digits), &seen, Role::Dim);
    }
}

fn one_row(model: &Model, p: &mut Painter<'_>, area: Rect, figures: &[Figure; 3]) {
    let mut x = p.put(area.x + 1, area.y, 12, "simulated  ", Role::Label);
    for figure in figures {
        x = p.put(x, area.y, 8, &format!("{} ", figure.name), Role::Label);
        x = p.put(x, area.y, 10, &format!(" {:>5} {:<2} ", figure.asked, figure.unit), knob_role(model, figure.knob));
        let seen = format!(" true {:>5}, heard {:>5} {:<2}   ", figure.truth, figure.measured, figure.unit);
        x = p.put(x, area.y, 30, &seen, Role::Dim);
    }
}
