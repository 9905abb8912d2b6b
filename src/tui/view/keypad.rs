//! The keypad: tones for the other side's machines.
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use ratatui::layout::Rect;

const KEYS: [[char; 4]; 4] = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
const WIDTH: u16 = 30;
const HEIGHT: u16 = 10;

pub fn draw(model: &Model, p: &mut Painter<'_>, middle: Rect, sent: &str) {
    let (width, height) = (WIDTH.min(middle.width), HEIGHT.min(middle.height));
    let x = middle.x + (middle.width - width) / 2;
    let area = Rect { x, y: middle.y + (middle.height - height) / 2, width, height };
    p.clear(area, Role::Text);
    let name = model.selected_call().map_or("", |call| call.peer_name.as_str());
    let inside = padded(p.frame(area, &format!("Keypad: {name}"), Role::Focus, &[]));
    let last = sent.chars().next_back();
    for (row, y) in KEYS.iter().zip(inside.y + 1..) {
        for (key, x) in row.iter().zip((inside.x + 3..).step_by(6)) {
            let role = match last {
                Some(last) if last == *key => Role::Accent,
                _ if key.is_ascii_alphabetic() => Role::Dim,
                _ => Role::Strong,
            };
            p.put(x, y, 3, &key.to_string(), role);
        }
    }
    let y = inside.bottom().saturating_sub(2);
    let x = p.put(inside.x, y, inside.width, "sent ", Role::Label);
    let room = inside.right().saturating_sub(x);
    match sent.is_empty() {
        true => p.put(x, y, room, &p.glyphs.dash.to_string(), Role::Unknown),
        false => p.put(x, y, room, text::tail(sent, usize::from(room)), Role::Text),
    };
    p.put(inside.x, y + 1, inside.width, "type a key to send it", Role::Dim);
}
