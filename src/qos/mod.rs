//! Judging a call from what media measured: the E-model, time lines, and the diagnosis in plain words.
pub mod diagnosis;
pub mod direction;
pub mod emodel;
pub mod history;
pub mod interval;
pub mod monitor;
pub mod snapshot;
