//! What the proxy tells of itself, as plain data for a status view.
use crate::base::net::Flow;
use crate::base::untrusted::Untrusted;
use std::time::Duration;

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that came in, without repetitions, ACK and CANCEL.
    pub requests: u64,
    /// Registrations that were granted, refreshes and removals included.
    pub registrations: u64,
    /// Requests that were forwarded, each counted once, however many contacts it went to.
    pub forwarded: u64,
    /// Requests that were refused by the proxy itself, challenges included.
    pub refused: u64,
    /// Messages dropped by the rate limit.
    pub limited: u64,
    /// ACKs and 2xx that belong to no call.
    pub strays: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Messages that were seen before.
    pub retransmissions: u64,
}

/// One contact of one user.
#[derive(Clone, Debug)]
pub struct BindingView {
    pub user: Untrusted,
    pub contact: Untrusted,
    /// Where the registration came from.
    pub flow: Flow,
    pub expires_in: Duration,
    pub user_agent: Untrusted,
}

#[derive(Clone, Debug)]
pub struct Snapshot {
    /// By user, then in the order they were registered.
    pub bindings: Vec<BindingView>,
    /// Calls and other dialogs that pass through.
    pub dialogs: usize,
    /// Requests that are being forwarded.
    pub forwarding: usize,
    pub counters: Counters,
}
