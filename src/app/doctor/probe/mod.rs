//! All that touches the network, the devices and the disk: it measures, and leaves the judging to others.
pub mod dns;
pub mod local;
pub mod sip;
pub mod stun;
pub mod turn;
