//! Which offer is open, and in which messages it travels (RFC 3264 §4, RFC 6337 §2).
//!
//! ```text
//!                      our offer goes out                 the peer's offer comes in
//!            +---------+ <------------------ +--------+ ----------------------> +----------+
//!            |  Local  |                     | Stable |                         |  Remote  |
//!            +---------+ ------------------> +--------+ <---------------------- +----------+
//!                 ^     the peer's answer     |      ^   our answer, or refusal
//!                 |     or refusal            |      |
//!                 |                           v      | our refusal, or the peer's own offer
//!                 |    our offer goes out  +----------+
//!                 +----------------------- |  Wanted  |  an offer of ours is asked for
//!                                          +----------+
//! ```
//! PRACK, when it joins, is one more carrier.
use super::OfferId;
use crate::base::rng::Rng;
use crate::sip::error::Refusal;
use crate::sip::key::ServerKey;
use crate::sip::message::Request;

/// Where the other half of an open exchange will travel.
#[derive(Clone, Debug)]
pub(super) enum Carrier {
    /// The INVITE of an incoming call: the verbs of ringing deal with it, not `answer`.
    Initial,
    /// The ACK of a 2xx (with this CSeq number) to our INVITE without body.
    Ack { cseq: u32 },
    /// The 2xx to the peer's re-INVITE.
    Invite { key: ServerKey, request: Box<Request> },
    /// The 2xx to the peer's UPDATE.
    Update { key: ServerKey, request: Box<Request> },
    /// A re-INVITE of ours that is not sent yet.
    Ours,
}

/// An exchange that waits for the user.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub id: OfferId,
    pub carrier: Carrier,
}

#[derive(Clone, Debug)]
pub(super) enum OfferAnswer {
    Stable,
    /// Our offer is out, the answer is awaited.
    Local,
    /// The peer's offer waits for our answer.
    Remote(Open),
    /// An offer of ours is wanted.
    Wanted(Open),
}

impl OfferAnswer {
    /// Whether an offer of the peer (or its wish for one) can be taken now (RFC 3261 §14.2, RFC 3311 §5.2).
    ///
    /// # Errors
    /// 491 while our own offer is out, 500 while the peer's own earlier one is not answered.
    pub fn check_remote(&self, rng: &mut Rng) -> Result<(), Refusal> {
        match self {
            Self::Stable | Self::Wanted(Open { carrier: Carrier::Ours, .. }) => Ok(()),
            Self::Local => Err(Refusal::Pending),
            Self::Remote(_) | Self::Wanted(_) => Err(Refusal::Busy { retry_after: rng.range(0, 10) }),
        }
    }

    /// Takes the exchange that waits for the user under this name; the state is stable then. `true`: an offer was wanted.
    pub fn take(&mut self, id: OfferId) -> Option<(Open, bool)> {
        match self {
            Self::Remote(open) | Self::Wanted(open) if open.id == id && !matches!(open.carrier, Carrier::Initial) => {}
            Self::Stable | Self::Local | Self::Remote(_) | Self::Wanted(_) => return None,
        }
        match std::mem::replace(self, Self::Stable) {
            Self::Remote(open) => Some((open, false)),
            Self::Wanted(open) => Some((open, true)),
            Self::Stable | Self::Local => None,
        }
    }

    /// The exchange that waits for the user.
    pub fn open(&self) -> Option<&Open> {
        match self {
            Self::Remote(open) | Self::Wanted(open) => Some(open),
            Self::Stable | Self::Local => None,
        }
    }

    pub fn is_stable(&self) -> bool {
        matches!(self, Self::Stable)
    }

    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(carrier: Carrier) -> Open {
        Open { id: OfferId(7), carrier }
    }

    #[test]
    fn every_state_meets_an_offer_of_the_peer_and_the_word_of_the_user() {
        let ack = || Carrier::Ack { cseq: 1 };
        // state, status for the peer's offer, whether the user's word is taken
        let rows = [
            (OfferAnswer::Local, Some(491), false),
            (OfferAnswer::Remote(open(Carrier::Initial)), Some(500), false),
            (OfferAnswer::Remote(open(ack())), Some(500), true),
            (OfferAnswer::Wanted(open(Carrier::Initial)), Some(500), false),
            (OfferAnswer::Wanted(open(ack())), Some(500), true),
            (OfferAnswer::Wanted(open(Carrier::Ours)), None, true),
            (OfferAnswer::Stable, None, false),
        ];
        for (mut state, status, taken) in rows {
            let refused = state.check_remote(&mut Rng::from_u64(1)).err();
            assert_eq!(refused.map(|refusal| refusal.status()), status, "{state:?}");
            assert!(state.take(OfferId(8)).is_none(), "{state:?}");
            assert_eq!(state.take(OfferId(7)).is_some(), taken, "{state:?}");
            assert!(!taken || state.is_stable());
        }
    }
}
