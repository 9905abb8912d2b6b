//! The size rule: a request too large for one datagram goes over a stream (RFC 3261 §18.1.1).
use crate::base::net::Transport;

/// The largest request that may go over UDP while the path MTU is unknown \[bytes\].
pub const MAX_DATAGRAM_REQUEST: usize = 1_300;

/// The transports to try, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub first: Transport,
    /// Taken when the connection of `first` is refused: the peer may speak UDP only.
    pub fallback: Option<Transport>,
}

/// Chooses for a request of which the target says nothing, or says UDP.
///
/// - `wanted`: what the target's URI, its DNS records or the configuration ask for.
/// - `length`: of the serialised request with the Via it will carry \[bytes\].
pub fn choose(wanted: Transport, length: usize) -> Choice {
    match wanted {
        Transport::Udp if length > MAX_DATAGRAM_REQUEST => {
            Choice { first: Transport::Tcp, fallback: Some(Transport::Udp) }
        }
        Transport::Udp | Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
            Choice { first: wanted, fallback: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_large_request_over_udp_changes() {
        let rows = [
            (Transport::Udp, 1_301, Transport::Tcp, Some(Transport::Udp)),
            (Transport::Udp, 1_300, Transport::Udp, None),
            (Transport::Tcp, 1_301, Transport::Tcp, None),
            (Transport::Tcp, 10, Transport::Tcp, None),
        ];
        for (wanted, length, first, fallback) in rows {
            assert_eq!(choose(wanted, length), Choice { first, fallback }, "{wanted:?} {length}");
        }
    }
}
