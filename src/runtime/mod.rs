//! Where the pure core meets sockets, clocks and threads.
pub mod clock;
mod helpers;
pub mod interfaces;
pub mod journal;
pub mod locating;
pub mod media_socket;
pub mod media_thread;
mod network;
pub mod proxy_server;
pub mod recorder;
pub mod saving;
pub mod signalling;
pub mod storage;
