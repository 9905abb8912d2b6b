//! Where everything is, from the size of the window and what there is to show.
use crate::tui::model::{Model, Pane};
use ratatui::layout::Rect;

/// The smallest window the screen works in.
pub const MIN: (u16, u16) = (60, 20);
/// From here on lists and panel stand side by side.
const MEDIUM: u16 = 76;
/// From here on the messages stand beside the panel.
const WIDE: u16 = 112;
/// Rows of a panel with everything in it, frame included.
const PANEL: u16 = 13;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Areas {
    pub header: Rect,
    pub band: Option<Rect>,
    /// All between header or band and the lines at the bottom.
    pub middle: Rect,
    /// Calls in a few lines without a frame.
    pub strip: Option<Rect>,
    pub calls: Option<Rect>,
    pub recent: Option<Rect>,
    pub panel: Option<Rect>,
    pub ladder: Option<Rect>,
    pub simulation: Option<Rect>,
    pub status: Rect,
    pub input: Rect,
    pub keys: Rect,
}

/// `None` when the window is too small.
pub fn areas(model: &Model) -> Option<Areas> {
    let (columns, rows) = model.size;
    if columns < MIN.0 || rows < MIN.1 {
        return None;
    }
    let row = |y: u16, height: u16| Rect::new(0, y, columns, height);
    let simulated = match (model.snapshot.simulation.is_some(), columns >= super::simulation::ONE_ROW) {
        (false, _) => 0,
        (true, true) => 1,
        (true, false) => 2,
    };
    let band = band_height(model);
    let bottom = 3 + simulated;
    let middle = row(1 + band, rows - 1 - band - bottom);
    let mut areas = Areas {
        header: row(0, 1),
        band: (band > 0).then(|| row(1, band)),
        middle,
        simulation: (simulated > 0).then(|| row(rows - bottom, simulated)),
        status: row(rows - 3, 1),
        input: row(rows - 2, 1),
        keys: row(rows - 1, 1),
        ..Areas::default()
    };
    if columns < MEDIUM {
        narrow(model, &mut areas)
    } else {
        side_by_side(model, &mut areas)
    }
    Some(areas)
}

/// A third of a small window; less where another call is on the screen.
fn band_height(model: &Model) -> u16 {
    let busy = model.live_calls().count() > 1;
    match (model.incoming().or_else(|| model.question()), model.size.1) {
        (None, _) => 0,
        (Some(_), _) if busy => 5,
        (Some(_), rows) if rows < 24 => 6,
        (Some(_), rows) => (rows / 3).clamp(7, 9),
    }
}

fn narrow(model: &Model, areas: &mut Areas) {
    let middle = areas.middle;
    let calls = u16::try_from(model.calls().count()).unwrap_or(u16::MAX);
    let (top, rest) = if calls == 0 { (0, middle) } else { split_top(middle, calls.min(3)) };
    if calls > 0 {
        areas.strip = Some(Rect { height: calls.min(3), ..middle });
    }
    match model.pane {
        Pane::Messages if top > 0 => areas.ladder = Some(rest),
        Pane::Recent if top > 0 => areas.recent = Some(rest),
        _ if top > 0 => areas.panel = Some(rest),
        _ => {
            let accounts = u16::try_from(model.snapshot.accounts.len()).unwrap_or(1).clamp(1, 3);
            let (_, below) = split_top(middle, (accounts * 2 + 5).min(middle.height / 2 + 1));
            areas.panel = Some(Rect { height: below.y - middle.y, ..middle });
            areas.recent = Some(below);
        }
    }
}

fn side_by_side(model: &Model, areas: &mut Areas) {
    let middle = areas.middle;
    let wide = middle.width >= WIDE;
    let left_width = if wide { 26 + (middle.width - WIDE) / 8 } else { 25 };
    let (left, right) = split_left(middle, left_width);
    let calls = u16::try_from(model.calls().count()).unwrap_or(u16::MAX).clamp(2, 8).min(middle.height / 2);
    let (_, below) = split_top(left, calls + 2);
    areas.calls = Some(Rect { height: below.y - left.y, ..left });
    areas.recent = Some(below);
    let has_ladder = model.selected_call().is_some() && model.pane != Pane::Recent;
    if !has_ladder {
        areas.panel = Some(right);
    } else if wide {
        let ladder = 34 + (middle.width - WIDE) / 4;
        let (panel, ladder) = split_left(right, right.width - ladder.min(right.width / 2));
        (areas.panel, areas.ladder) = (Some(panel), Some(ladder));
    } else if right.height >= PANEL + 4 {
        // What is left over in a high window goes to the panel's graphs and to the messages alike.
        let panel = PANEL + (right.height - PANEL - 4).saturating_sub(6) / 2;
        let (_, ladder) = split_top(right, panel);
        (areas.panel, areas.ladder) = (Some(Rect { height: panel, ..right }), Some(ladder));
    } else if model.pane == Pane::Messages {
        areas.ladder = Some(right);
    } else {
        areas.panel = Some(right);
    }
}

/// The height taken and what is below it.
fn split_top(area: Rect, height: u16) -> (u16, Rect) {
    let height = height.min(area.height);
    (height, Rect { y: area.y + height, height: area.height - height, ..area })
}

fn split_left(area: Rect, width: u16) -> (Rect, Rect) {
    let width = width.min(area.width);
    (Rect { width, ..area }, Rect { x: area.x + width, width: area.width - width, ..area })
}
