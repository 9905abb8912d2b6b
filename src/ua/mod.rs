//! The user agent: accounts, calls and their media, as one pure machine.
pub mod command;
pub mod event;
pub mod snapshot;
