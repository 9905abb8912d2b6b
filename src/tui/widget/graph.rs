//! Time lines and level meters made of block characters.
use crate::tui::model::meter::FLOOR;
use crate::tui::theme::Role;
use crate::tui::widget::grade::Figure;
use crate::tui::widget::paint::Painter;
use ratatui::layout::Rect;

/// Draws the last values of `line`, one a column, the newest at the right edge; a gap where nothing was measured.
///
/// - `skip`: newest values left out, to look back.
/// - `scale`: bottom and top.
pub fn time_line(
    p: &mut Painter<'_>,
    area: Rect,
    figure: Figure,
    line: &[Option<f32>],
    skip: usize,
    scale: (f32, f32),
) {
    let newest = line.len().saturating_sub(skip);
    let known = line.get(..newest).unwrap_or_default();
    for (column, value) in known.iter().rev().take(usize::from(area.width)).enumerate() {
        let x = area.right().saturating_sub(1).saturating_sub(u16::try_from(column).unwrap_or(u16::MAX));
        match value.filter(|v| v.is_finite()) {
            Some(value) => bar(p, x, area, value, scale, figure.grade(f64::from(value)).graph_role()),
            None => p.cell(x, area.bottom().saturating_sub(1), p.glyphs.gap, Role::GraphEmpty),
        }
    }
}

/// One column, filled from the bottom by eighths of a row; the smallest value is still seen.
fn bar(p: &mut Painter<'_>, x: u16, area: Rect, value: f32, (low, high): (f32, f32), role: Role) {
    let share = ((value - low) / (high - low).max(f32::EPSILON)).clamp(0.0, 1.0);
    let eighths = (share * f32::from(area.height) * 8.0).round().max(1.0) as u16;
    for row in 0..area.height {
        let filled = eighths.saturating_sub(row * 8).min(8);
        if filled > 0 {
            let sign = p.glyphs.bars.get(usize::from(filled - 1)).copied().unwrap_or(' ');
            p.cell(x, area.bottom().saturating_sub(1).saturating_sub(row), sign, role);
        }
    }
}

/// A level from -60 to 0 dBov: the last quarter before clipping is marked, clipping itself stands out.
pub fn meter(p: &mut Painter<'_>, x: u16, y: u16, width: u16, level: Option<f32>) {
    let share = level.map_or(0.0, |level| ((level - FLOOR) / -FLOOR).clamp(0.0, 1.0));
    let lit = (share * f32::from(width)).round() as u16;
    for column in 0..width {
        let at = f32::from(column + 1) / f32::from(width.max(1));
        let role = match level {
            _ if column >= lit => Role::GraphEmpty,
            Some(level) if level > -1.0 && at > 0.95 => Role::Poor,
            _ if at > 0.9 => Role::Fair,
            _ => Role::Good,
        };
        let sign = if column < lit { p.glyphs.meter_on } else { p.glyphs.meter_off };
        p.cell(x + column, y, sign, role);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::{ASCII, Depth, Theme, UNICODE};
    use ratatui::buffer::Buffer;

    fn drawn(width: u16, height: u16, line: &[Option<f32>], skip: usize, unicode: bool) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buf = Buffer::empty(area);
        let theme = Theme::by_name("mono", Depth::Ansi).expect("a theme");
        let glyphs = if unicode { &UNICODE } else { &ASCII };
        let mut p = Painter { buf: &mut buf, theme: &theme, glyphs, spots: Vec::new() };
        time_line(&mut p, area, Figure::Loss, line, skip, (0.0, 10.0));
        let row = |y| (0..width).map(|x| buf.cell((x, y)).map_or("", |c| c.symbol())).collect::<String>();
        (0..height).map(row).collect()
    }

    #[test]
    fn the_newest_is_at_the_right_and_gaps_stay_empty() {
        let line = [Some(10.0), None, Some(0.0), Some(5.0), Some(f32::NAN), Some(99.0)];
        assert_eq!(drawn(8, 1, &line, 0, true), ["  █ ▁▄ █"]);
        assert_eq!(drawn(3, 1, &line, 0, true), ["▄ █"]);
        assert_eq!(drawn(3, 1, &line, 2, true), [" ▁▄"]);
        assert_eq!(drawn(3, 1, &line, 99, true), ["   "]);
        assert_eq!(drawn(8, 2, &line, 0, true), ["  █    █", "  █ ▁█ █"]);
        assert_eq!(drawn(8, 1, &line, 0, false), ["  # _- #"]);
        assert_eq!(drawn(4, 1, &[], 0, true), ["    "]);
    }
}
