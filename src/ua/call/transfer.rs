//! A call that is handed on, and a call that was placed because another's peer asked for it.
use super::{Call, Verdict};
use crate::base::id::CallNumber;
use crate::base::time::WallAnchor;
use crate::ua::outbox::Outbox;
use crate::ua::snapshot::CallEnd;
use std::time::Instant;

/// The peer was asked to call somebody.
#[derive(Debug)]
pub(super) struct Transfer {
    to: String,
    status: Option<u16>,
    /// The call whose peer it is, when both are to be connected.
    other: Option<CallNumber>,
    /// It goes to where calls wait, and the slot it waits in when that is known.
    parking: bool,
    slot: Option<String>,
}

/// Somebody's wish that this call was placed for.
#[derive(Debug)]
pub(super) struct Referrer {
    call: CallNumber,
    /// What they were told last.
    told: u16,
    /// By how many transfers this call came about.
    handed_on: u8,
}

impl Call {
    pub fn begin_transfer(&mut self, to: String, other: Option<CallNumber>) {
        self.transfer = Some(Transfer { to, status: None, other, parking: false, slot: None });
    }

    /// The transfer under way goes to where calls wait.
    pub fn begin_parking(&mut self) {
        if let Some(transfer) = &mut self.transfer {
            transfer.parking = true;
        }
    }

    pub fn parked_at(&mut self, slot: &str) {
        if let Some(transfer) = &mut self.transfer {
            transfer.slot = Some(slot.to_owned());
        }
    }

    /// How a call that was parked ended.
    pub fn parking_words(&self) -> Option<String> {
        let transfer = self.transfer.as_ref().filter(|transfer| transfer.parking)?;
        Some(match &transfer.slot {
            Some(slot) => format!("parked at {slot}"),
            None => "parked".to_owned(),
        })
    }

    /// The peer of another call is to take our place in this one.
    pub fn begin_connecting(&mut self, with: String) {
        self.connecting = Some(with);
    }

    /// It does not.
    pub fn stop_connecting(&mut self) {
        self.connecting = None;
    }

    /// Takes news of the transfer; whom it is to, and the call that is part of it.
    pub fn transfer_progress(&mut self, status: u16, over: bool) -> Option<(String, Option<CallNumber>)> {
        let transfer = self.transfer.as_mut()?;
        transfer.status = Some(status);
        let news = (transfer.to.clone(), transfer.other);
        if over && status >= 300 {
            self.transfer = None;
        }
        Some(news)
    }

    /// What is under way, in words.
    pub(super) fn transfer_words(&self) -> Option<String> {
        let Transfer { to, status, parking, .. } = self.transfer.as_ref()?;
        if let (true, Some(200..=299)) = (parking, status) {
            return self.parking_words();
        }
        let how = match status {
            None => "asking",
            Some(180..=199) => "it rings",
            Some(200..=299) => "done",
            Some(_) => "calling",
        };
        Some(format!("transfer to {to}: {how}"))
    }

    /// The peer has somebody else to talk to.
    pub fn leave(&mut self, now: Instant, words: String, anchor: &WallAnchor, out: &mut Outbox) {
        self.expect_end(words);
        if let Some(session) = &mut self.session {
            session.hang_up(now, None);
        }
        self.drain_events(now, anchor, out);
    }

    /// However it ends now, that is why.
    pub fn expect_end(&mut self, words: String) {
        if !self.is_over() {
            self.verdict = Some(Verdict { end: CallEnd::Normal, status: Some(200), cause: words });
        }
    }

    pub fn set_referrer(&mut self, call: CallNumber, handed_on: u8) {
        self.referrer = Some(Referrer { call, told: 100, handed_on });
    }

    /// The call whose peer asked for this one.
    pub fn referred_by(&self) -> Option<CallNumber> {
        self.referrer.as_ref().map(|referrer| referrer.call)
    }

    pub fn handed_on(&self) -> u8 {
        self.referrer.as_ref().map_or(0, |referrer| referrer.handed_on)
    }

    /// The peer is told that nobody will be called.
    pub fn refuse_transfer(&mut self) {
        if let Some(session) = &mut self.session {
            session.report_transfer(603);
        }
    }

    /// Who asked for this call, and its status, when they do not know it yet.
    pub fn news_for_referrer(&mut self) -> Option<(CallNumber, u16)> {
        let status = match (&self.ended, self.answered) {
            (_, Some(_)) => 200,
            (Some(summary), None) => summary.status.filter(|status| *status >= 300).unwrap_or(503),
            (None, None) if self.ringing => 180,
            (None, None) => 100,
        };
        let referrer = self.referrer.as_mut()?;
        if referrer.told == status || referrer.told >= 200 {
            return None;
        }
        referrer.told = status;
        Some((referrer.call, status))
    }
}
