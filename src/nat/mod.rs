//! Ways through NATs: ICE (RFC 8445), STUN (RFC 8489) and TURN (RFC 8656), pure.
pub mod behaviour;
pub mod candidate;
pub mod ice;
pub mod stun;
pub mod traversal;
pub mod turn;
