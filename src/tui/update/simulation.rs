//! The knobs of the demonstration's simulated network.
use crate::base::netem::Impairment;
use crate::tui::action::Effect;
use crate::tui::keymap::Intent;
use crate::tui::model::{Knob, Model};
use crate::ua::command::Command;
use std::time::Duration;

/// The steps of each knob: [%], \[ms\], \[ms\], \[packets\].
const LOSS: &[f64] = &[0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0];
const JITTER: &[f64] = &[0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 60.0, 80.0, 100.0, 150.0, 200.0];
const DELAY: &[f64] = &[0.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 150.0, 200.0, 300.0, 500.0];
const BURST: &[f64] = &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0];

pub fn enter(model: &mut Model) -> Vec<Effect> {
    if model.snapshot.simulation.is_some() {
        model.knob = Some(Knob::Loss);
    } else {
        model.notify("The network is a real one: only the demonstration simulates it.", true);
    }
    Vec::new()
}

pub fn choose(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let count = Knob::ALL.len();
    let at = Knob::ALL.iter().position(|knob| Some(*knob) == model.knob).unwrap_or(0);
    let step = if intent == Intent::Next { 1 } else { count - 1 };
    model.knob = Knob::ALL.get((at + step) % count).copied();
    Vec::new()
}

pub fn turn(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let (Some(knob), Some((asked, _))) = (model.knob, model.snapshot.simulation) else { return Vec::new() };
    let (steps, value) = (steps(knob), value(&asked, knob));
    let next = match intent {
        Intent::More => steps.iter().copied().find(|step| *step > value + 1e-6),
        _ => steps.iter().rev().copied().find(|step| *step < value - 1e-6),
    };
    match next {
        Some(next) => vec![Effect::Send(Command::Impair(with(asked, knob, next)))],
        None => Vec::new(),
    }
}

fn steps(knob: Knob) -> &'static [f64] {
    match knob {
        Knob::Loss => LOSS,
        Knob::Jitter => JITTER,
        Knob::Delay => DELAY,
        Knob::Burst => BURST,
    }
}

/// The knob's value in its unit.
pub fn value(asked: &Impairment, knob: Knob) -> f64 {
    match knob {
        Knob::Loss => asked.loss * 100.0,
        Knob::Jitter => asked.jitter.as_secs_f64() * 1e3,
        Knob::Delay => asked.delay.as_secs_f64() * 1e3,
        Knob::Burst => asked.burst,
    }
}

/// The impairment with one knob set to `value` in its unit, within what the knob can do.
pub fn with(asked: Impairment, knob: Knob, value: f64) -> Impairment {
    let last = steps(knob).last().copied().unwrap_or_default();
    let value = if value.is_finite() { value.clamp(0.0, last.max(100.0)) } else { 0.0 };
    let time = Duration::from_secs_f64(value / 1e3);
    match knob {
        Knob::Loss => Impairment { loss: value / 100.0, ..asked },
        Knob::Jitter => Impairment { jitter: time, ..asked },
        Knob::Delay => Impairment { delay: time, ..asked },
        Knob::Burst => Impairment { burst: value.max(1.0), ..asked },
    }
}
