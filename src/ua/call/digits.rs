//! Digits within a call, one after the other: those the user dials, and those the peer does.
use super::{Call, DIGITS};
use crate::media::spec::{Codec, Digit, Dtmf, MediaCommand};
use crate::sip::info::Signal;
use crate::ua::account::shown;
use crate::ua::dial_string::{is_dialled, is_pause, is_wait};
use crate::ua::event::Event;
use crate::ua::outbox::Outbox;
use std::time::{Duration, Instant};

/// How long a digit sounds, and the silence after it (RFC 4733 leaves it to us; ITU-T Q.24 asks for 40 ms each).
const DIGIT: Duration = Duration::from_millis(120);
const DIGIT_GAP: Duration = Duration::from_millis(80);
/// What a comma among the digits waits.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is seen whether the peer has answered the digit before.
const PATIENCE: Duration = Duration::from_millis(50);

/// How the next digit leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Media sends it: as an event where that was agreed, else as tones.
    Media,
    Info,
}

impl Call {
    /// Queues digits; a comma waits a second, a semicolon for the user. Digits dialled during that wait go first.
    pub fn dial_digits(&mut self, now: Instant, digits: &str, out: &mut Outbox) {
        let wanted: Vec<char> = digits.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some(bad) = wanted.iter().find(|c| !is_dialled(**c)) {
            return out.refuse(format!(
                "{} is not a digit: 0-9, *, #, A-D, ! (flash), a comma (pause) and a semicolon (wait) are",
                shown(&bad.to_string(), 4)
            ));
        }
        if let Err(reason) = self.way() {
            return out.refuse(reason);
        }
        if self.waits_for_user() {
            wanted.into_iter().rev().for_each(|c| self.digits.push_front(c));
        } else {
            self.digits.extend(wanted);
        }
        self.digits.truncate(DIGITS);
        if self.digit_at.is_none() {
            self.send_digit(now, out);
        }
    }

    /// The user says that the digits after a semicolon may go.
    pub fn continue_digits(&mut self, now: Instant, out: &mut Outbox) {
        if !self.waits_for_user() {
            return out.refuse("no digits wait to be sent");
        }
        self.digits.pop_front();
        self.send_digit(now, out);
    }

    /// The rest of the digits is sent when the user says so.
    pub fn waits_for_user(&self) -> bool {
        self.digit_at.is_none() && self.digits.front().is_some_and(|c| is_wait(*c))
    }

    /// What is still to be sent: of the digits dialled, and of those that follow the answer.
    pub fn digits_left(&self) -> String {
        self.digits.iter().chain(&self.after_answer).collect()
    }

    /// Digits dialled with the number go once they can be heard.
    pub fn send_after_answer(&mut self, now: Instant, out: &mut Outbox) {
        if self.is_established() && self.has_sound() && !self.after_answer.is_empty() {
            let digits: String = std::mem::take(&mut self.after_answer).into_iter().collect();
            self.dial_digits(now, &digits, out);
        }
    }

    /// A digit of the peer, however it came.
    pub fn hear_digit(&mut self, digit: char, out: &mut Outbox) {
        if self.digits_received.len() < DIGITS {
            self.digits_received.push(digit);
        }
        out.note(self.number, "tone heard");
        out.event(Event::Digit { call: self.number, digit });
    }

    pub(super) fn send_digit(&mut self, now: Instant, out: &mut Outbox) {
        let Some(next) = self.digits.front().copied() else { return };
        if is_wait(next) {
            let digits = self.digits.iter().skip(1).collect();
            return out.event(Event::DigitsWait { call: self.number, digits });
        }
        let wait = match (Digit::from_char(next).filter(|_| !is_pause(next)), self.way()) {
            (None, _) => PAUSE,
            (Some(digit), Ok(Way::Media)) => {
                // Which one is not told: it may be part of a secret number.
                out.note(self.number, "tone sent");
                out.media.push_back(MediaCommand::SendDigit { stream: self.stream(), digit, duration: DIGIT });
                DIGIT + DIGIT_GAP
            }
            (Some(digit), Ok(Way::Info)) => {
                let signal = Signal { key: digit.to_char(), duration: DIGIT };
                if !self.session.as_mut().is_some_and(|session| session.signal(signal)) {
                    self.digit_at = Some(now + PATIENCE);
                    return;
                }
                DIGIT + DIGIT_GAP
            }
            (Some(_), Err(reason)) => {
                self.digits.clear();
                return out.refuse(reason);
            }
        };
        self.digits.pop_front();
        self.digit_at = Some(now + wait);
    }

    /// # Errors
    /// Why no digit can be sent.
    fn way(&self) -> Result<Way, &'static str> {
        let spec = self.media.spec.as_ref().ok_or("digits can be sent only in a call")?;
        let leaves_tones_whole = matches!(spec.send.codec, Codec::Pcmu | Codec::Pcma);
        match (self.plan.dtmf(), spec.send_events.is_some()) {
            (Dtmf::Auto | Dtmf::Rfc4733, true) | (Dtmf::Inband, _) => Ok(Way::Media),
            (Dtmf::Auto, false) if leaves_tones_whole => Ok(Way::Media),
            (Dtmf::Auto, false) | (Dtmf::Info, _) => Ok(Way::Info),
            (Dtmf::Rfc4733, false) => Err("the peer takes no digits on this call (no telephone-event was agreed)"),
            (Dtmf::None, _) => Err("the account sends no digits (its dtmf is \"none\")"),
        }
    }
}
