//! Whatever is pressed and however large the window is, the screen draws; and it draws quickly.
use super::fixture::Screen;
use crate::base::rng::Rng;
use crate::tui::action::Action;
use crate::tui::keymap::ROWS;
use crate::tui::keymap::key::Key;
use crate::tui::view::draw;
use crate::ua::snapshot::CallState;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::{Duration, Instant};

#[test]
fn any_keys_at_any_size() {
    let keys: Vec<&str> = ROWS.iter().flat_map(|row| row.keys).copied().filter(|k| Key::parse(k).is_ok()).collect();
    for seed in 0..8 {
        let mut rng = Rng::from_u64(seed);
        let mut screen = match seed % 4 {
            0 => Screen::new(80, 24),
            1 => Screen::used(80, 24).ringing(),
            2 => Screen::two_calls(80, 24).simulated(),
            _ => Screen::talking(80, 24).ringing(),
        };
        for step in 0..600_usize {
            let key = keys[rng.range(0, u32::try_from(keys.len() - 1).expect("few")) as usize];
            screen.press(&[key]);
            screen.effects.clear();
            if step.is_multiple_of(40) {
                let state = if rng.unit() < 0.5 { CallState::Established } else { CallState::Calling };
                screen.change(|s| s.calls.iter_mut().for_each(|c| c.state = state.clone()));
            }
            if step.is_multiple_of(5) {
                let (columns, rows) = (rng.range(0, 220) as u16, rng.range(0, 70) as u16);
                screen.act(Action::Resize { columns, rows });
                screen.pass(Duration::from_millis(700));
            }
            // A frame may be smaller or larger than the model thinks it is: the terminal was resized in between.
            let (columns, rows) = (rng.range(1, 220) as u16, rng.range(1, 70) as u16);
            let same = rng.unit() < 0.8 && screen.model.size.0 > 0 && screen.model.size.1 > 0;
            let (columns, rows) = if same { screen.model.size } else { (columns, rows) };
            draw(&screen.model, &mut Buffer::empty(Rect::new(0, 0, columns, rows)));
        }
    }
}

/// Prints how long a frame takes; the limit is 5 ms in a release build.
#[test]
#[expect(clippy::print_stdout)]
fn frame_time() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
        let mut screen = Screen::two_calls(columns, rows).simulated();
        let mut buf = Buffer::empty(Rect::new(0, 0, columns, rows));
        for page in ["main", "q", "?"] {
            if page != "main" {
                screen.press(&[page]);
            }
            let (start, frames) = (Instant::now(), 100_u32);
            for _ in 0..frames {
                draw(&screen.model, &mut buf);
            }
            println!(
                "{columns}x{rows} {page}: {:.2} ms a frame",
                start.elapsed().as_secs_f64() * 1e3 / f64::from(frames)
            );
        }
    }
}
