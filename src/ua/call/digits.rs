//! Digits the user dials within a call, one after the other (RFC 4733).
use super::{Call, DIGITS};
use crate::media::spec::{Digit, MediaCommand};
use crate::ua::account::shown;
use crate::ua::outbox::Outbox;
use std::time::{Duration, Instant};

/// How long a digit sounds, and the silence after it (RFC 4733 leaves it to us; ITU-T Q.24 asks for 40 ms each).
const DIGIT: Duration = Duration::from_millis(120);
const DIGIT_GAP: Duration = Duration::from_millis(80);
/// What a comma among the digits waits.
const PAUSE: Duration = Duration::from_secs(1);

impl Call {
    /// Queues digits; a comma waits a second.
    pub fn dial_digits(&mut self, now: Instant, digits: &str, out: &mut Outbox) {
        let wanted: Vec<char> = digits.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some(bad) = wanted.iter().find(|c| **c != ',' && Digit::from_char(**c).is_none()) {
            return out.refuse(format!(
                "{} is not a digit: 0-9, *, #, A-D, ! (flash) and , (pause) are",
                shown(&bad.to_string(), 4)
            ));
        }
        if self.media.spec.as_ref().is_none_or(|spec| spec.send_events.is_none()) {
            return out.refuse("the peer takes no digits on this call (no telephone-event was agreed)");
        }
        self.digits.extend(wanted);
        self.digits.truncate(DIGITS);
        if self.digit_at.is_none() {
            self.send_digit(now, out);
        }
    }

    pub(super) fn send_digit(&mut self, now: Instant, out: &mut Outbox) {
        let wait = match self.digits.pop_front() {
            None => return,
            Some(',') => PAUSE,
            Some(c) => {
                if let Some(digit) = Digit::from_char(c) {
                    // Which one is not told: it may be part of a secret number.
                    out.note(self.number, "tone sent");
                    out.media.push_back(MediaCommand::SendDigit { stream: self.stream(), digit, duration: DIGIT });
                }
                DIGIT + DIGIT_GAP
            }
        };
        self.digit_at = Some(now + wait);
    }
}
