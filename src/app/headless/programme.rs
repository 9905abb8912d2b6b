//! The programme of an answered call: hold, transfer and hang up, each at its time.
use super::Job;
use std::time::Instant;

/// Where an answered call stands in its programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Talk,
    Held,
    Resumed,
    Transferred,
    HungUp,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    pub(super) since: Instant,
    pub(super) step: Step,
}

impl Talk {
    /// The next step in the programme of a call, when it is time.
    pub(super) fn due(&self, job: &Job, now: Instant) -> Option<Step> {
        let talked = now.duration_since(self.since);
        if self.step != Step::HungUp && job.duration.is_some_and(|duration| talked >= duration) {
            return Some(Step::HungUp);
        }
        if let Some((after, _)) = &job.transfer {
            return (self.step == Step::Talk && talked >= *after).then_some(Step::Transferred);
        }
        let (after, lasts) = job.hold?;
        match self.step {
            Step::Talk if talked >= after => Some(Step::Held),
            Step::Held if talked >= after + lasts => Some(Step::Resumed),
            Step::Talk | Step::Held | Step::Resumed | Step::Transferred | Step::HungUp => None,
        }
    }
}
