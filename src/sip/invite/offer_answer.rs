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
//! Each early dialog of an outgoing call has an exchange of its own. The first one, of the INVITE, is done there when a
//! reliable provisional response has carried its second half; only then PRACK and UPDATE may carry others (RFC 3311 §5.1).
use super::OfferId;
use super::modify::Modify;
use super::package::CANDIDATES;
use crate::sip::error::Refusal;
use crate::sip::key::ServerKey;
use crate::sip::message::{Headers, Request};

/// Where the other half of an open exchange will travel.
#[derive(Clone, Debug)]
pub(super) enum Carrier {
    /// The INVITE of an incoming call: the verbs of ringing deal with it, not `answer`.
    Initial,
    /// The ACK of a 2xx (with this CSeq number) to our INVITE without body.
    Ack { cseq: u32 },
    /// The 2xx to the peer's re-INVITE.
    Invite { key: ServerKey, request: Box<Request> },
    /// The 2xx to the peer's UPDATE, or to its PRACK.
    Update { key: ServerKey, request: Box<Request> },
    /// Our PRACK of the reliable response with this number, which is not sent yet.
    Prack { rseq: u32 },
    /// A re-INVITE or UPDATE of ours that is not sent yet.
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

/// Offers and answers of one dialog, and the wish to change what was agreed.
#[derive(Debug)]
pub(super) struct Exchange {
    pub offers: OfferAnswer,
    pub modify: Modify,
    /// The exchange of the INVITE itself is done, or went on in a reliable provisional response: what later responses to the
    /// INVITE carry has no meaning (RFC 3261 §13.2.1).
    pub begun: bool,
    /// The peer's Allow names UPDATE.
    pub takes_updates: bool,
    /// Its Recv-Info names the package of candidates.
    pub takes_candidates: bool,
}

impl Exchange {
    pub fn new(offers: OfferAnswer, wished: bool) -> Self {
        let modify = if wished { Modify::WISHED } else { Modify::IDLE };
        Self { offers, modify, begun: false, takes_updates: false, takes_candidates: false }
    }

    /// A dialog of our INVITE.
    pub fn calling(has_offer: bool, wished: bool) -> Self {
        Self::new(if has_offer { OfferAnswer::Local } else { OfferAnswer::Stable }, wished)
    }

    pub fn learn_methods(&mut self, headers: &Headers) {
        if headers.get("Allow").is_some() {
            self.takes_updates = headers.has_token("Allow", "UPDATE");
        }
        if headers.get("Recv-Info").is_some() {
            self.takes_candidates = headers.has_token("Recv-Info", CANDIDATES);
        }
    }
}

impl OfferAnswer {
    /// Whether an offer of the peer (or its wish for one) can be taken now (RFC 3261 §14.2, RFC 3311 §5.2).
    ///
    /// # Errors
    /// 491 while our own offer is out, 500 while the peer's own earlier one is not answered.
    pub fn check_remote(&self, retry_after: u32) -> Result<(), Refusal> {
        match self {
            Self::Stable | Self::Wanted(Open { carrier: Carrier::Ours, .. }) => Ok(()),
            Self::Local => Err(Refusal::Pending),
            Self::Remote(_) | Self::Wanted(_) => Err(Refusal::Busy { retry_after }),
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
            let refused = state.check_remote(1).err();
            assert_eq!(refused.map(|refusal| refusal.status()), status, "{state:?}");
            assert!(state.take(OfferId(8)).is_none(), "{state:?}");
            assert_eq!(state.take(OfferId(7)).is_some(), taken, "{state:?}");
            assert!(!taken || state.is_stable());
        }
    }
}
