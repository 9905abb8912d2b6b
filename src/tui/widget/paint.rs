//! The brush: puts text by role into the buffer, never outside of it.
use crate::tui::model::Spot;
use crate::tui::theme::{Glyphs, Role, Theme};
use crate::tui::widget::text;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

pub struct Painter<'a> {
    pub buf: &'a mut Buffer,
    pub theme: &'a Theme,
    pub glyphs: &'static Glyphs,
    /// What the mouse can point at; of two at one place the later one counts.
    pub spots: Vec<(Rect, Spot)>,
}

impl Painter<'_> {
    /// The mouse can point at `area`.
    pub fn spot(&mut self, area: Rect, spot: Spot) {
        self.spots.push((area, spot));
    }

    /// Writes at most `max` columns of `content` and returns the column behind it.
    pub fn put(&mut self, x: u16, y: u16, max: u16, content: &str, role: Role) -> u16 {
        let room = self.buf.area.right().saturating_sub(x).min(max);
        if room == 0 || !self.buf.area.contains(Position { x, y }) {
            return x;
        }
        let shown = text::fit(content, usize::from(room), self.glyphs.ellipsis);
        self.buf.set_stringn(x, y, &shown, usize::from(room), self.theme.style(role)).0
    }

    /// Writes `content` so that it ends before column `end`; returns where it begins.
    pub fn put_right(&mut self, end: u16, y: u16, max: u16, content: &str, role: Role) -> u16 {
        let wide = u16::try_from(text::width(content)).unwrap_or(u16::MAX).min(max);
        let x = end.saturating_sub(wide);
        self.put(x, y, wide, content, role);
        x
    }

    /// Writes pieces one behind the other.
    pub fn pieces(&mut self, x: u16, y: u16, max: u16, pieces: &[(&str, Role)]) -> u16 {
        let end = x.saturating_add(max);
        pieces.iter().fold(x, |x, (content, role)| self.put(x, y, end.saturating_sub(x), content, *role))
    }

    pub fn cell(&mut self, x: u16, y: u16, sign: char, role: Role) {
        let style = self.theme.style(role);
        if let Some(cell) = self.buf.cell_mut((x, y)) {
            cell.set_char(sign).set_style(style);
        }
    }

    /// Gives everything in `area` the role, keeping the characters.
    pub fn tint(&mut self, area: Rect, role: Role) {
        self.buf.set_style(area.intersection(self.buf.area), self.theme.style(role));
    }

    /// Blanks in the role.
    pub fn clear(&mut self, area: Rect, role: Role) {
        let area = area.intersection(self.buf.area);
        let style = self.theme.style(role);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.buf.cell_mut((x, y)) {
                    cell.reset();
                    cell.set_style(style);
                }
            }
        }
    }

    /// A frame with a title on its left and a remark on its right; returns what is inside.
    pub fn frame(&mut self, area: Rect, title: &str, title_role: Role, remark: &[(&str, Role)]) -> Rect {
        let area = area.intersection(self.buf.area);
        if area.width < 2 || area.height < 2 {
            return Rect::default();
        }
        let [top_left, top_right, bottom_left, bottom_right, across, down] = self.glyphs.frame;
        let (right, bottom) = (area.right() - 1, area.bottom() - 1);
        for x in area.left() + 1..right {
            self.cell(x, area.top(), across, Role::Faint);
            self.cell(x, bottom, across, Role::Faint);
        }
        for y in area.top() + 1..bottom {
            self.cell(area.left(), y, down, Role::Faint);
            self.cell(right, y, down, Role::Faint);
        }
        for (x, y, sign) in [
            (area.left(), area.top(), top_left),
            (right, area.top(), top_right),
            (area.left(), bottom, bottom_left),
            (right, bottom, bottom_right),
        ] {
            self.cell(x, y, sign, Role::Faint);
        }
        let room = area.width.saturating_sub(4);
        let remark_width: usize = remark.iter().map(|(content, _)| text::width(content)).sum();
        let remark_width = u16::try_from(remark_width).unwrap_or(u16::MAX);
        let shows_remark = remark_width > 0 && remark_width + 8 <= room;
        let title_room = if shows_remark { room - remark_width - 3 } else { room };
        if !title.is_empty() {
            let content = text::fit(title, usize::from(title_room), self.glyphs.ellipsis);
            self.put(area.left() + 1, area.top(), room + 2, &format!(" {content} "), title_role);
        }
        if shows_remark {
            let x = right - remark_width - 2;
            self.put(x, area.top(), 1, " ", Role::Faint);
            let end = self.pieces(x + 1, area.top(), remark_width, remark);
            self.put(end, area.top(), 1, " ", Role::Faint);
        }
        Rect::new(area.left() + 1, area.top() + 1, area.width - 2, area.height - 2)
    }

    /// A line across a frame of which `inside` is the inside.
    pub fn rule(&mut self, inside: Rect, y: u16) {
        for x in inside.left()..inside.right() {
            self.cell(x, y, self.glyphs.frame[4], Role::Faint);
        }
        self.cell(inside.left().saturating_sub(1), y, self.glyphs.tees[0], Role::Faint);
        self.cell(inside.right(), y, self.glyphs.tees[1], Role::Faint);
    }

    pub fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }
}

/// `area` without a column on either side.
pub fn padded(area: Rect) -> Rect {
    Rect { x: area.x + u16::from(area.width > 1), width: area.width.saturating_sub(2), ..area }
}
