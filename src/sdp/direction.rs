//! Directions of a stream, hold and resume (RFC 3264 §6.1, §8.4).
use crate::media::spec::Direction;

pub(super) fn from_name(attribute: &str) -> Option<Direction> {
    let all = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
    all.into_iter().find(|d| name(*d).eq_ignore_ascii_case(attribute))
}

pub(super) fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "sendonly",
        Direction::RecvOnly => "recvonly",
        Direction::Inactive => "inactive",
    }
}

/// The same stream seen from its other end.
pub(super) fn reversed(direction: Direction) -> Direction {
    Direction::new(direction.receives(), direction.sends())
}

/// What both allow; both as seen from the same end.
pub(super) fn common(a: Direction, b: Direction) -> Direction {
    Direction::new(a.sends() && b.sends(), a.receives() && b.receives())
}

/// What to offer or answer so that the peer is put on hold: it may hear us (music), we do not hear it.
pub fn held(direction: Direction) -> Direction {
    Direction::new(direction.sends(), false)
}
