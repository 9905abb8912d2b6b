//! offhook: a terminal softphone. `ARCHITECTURE.md` draws the house; each module says what it is.
pub mod app;
pub mod audio;
pub mod base;
pub mod cli;
pub mod config;
pub mod media;
pub mod nat;
pub mod net;
pub mod proxy;
pub mod qos;
pub mod runtime;
pub mod sdp;
pub mod sip;
pub mod tui;
pub mod ua;
