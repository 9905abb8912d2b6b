//! The screen: a pure model, update and view; only `terminal`, `input` and the loop here touch the world.
pub mod action;
mod input;
pub mod keymap;
pub mod model;
mod notify;
mod run;
mod terminal;
pub mod theme;
pub mod update;
pub mod view;
pub mod widget;

pub use run::{Link, TuiError, run};
pub use terminal::restore;

#[cfg(test)]
mod tests;
