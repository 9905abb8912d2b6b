//! State that a server holds for us for a time: how long, when it is refreshed, and when it is tried again (RFC 3261 §10.2,
//! RFC 3903 §4, RFC 6665 §4.1.2).
use crate::base::rng::Rng;
use crate::sip::message::Response;
use std::time::Duration;

/// The longest lifetime that is asked for, and believed \[s\].
pub const MAX_EXPIRES: u32 = 86_400;
/// Shorter lifetimes are not refreshed faster than this.
const MIN_REFRESH: Duration = Duration::from_secs(10);
/// The longest wait before it is tried again.
const LAST_WAIT: Duration = Duration::from_secs(600);

/// The lifetime that is asked for \[s\].
#[derive(Clone, Copy, Debug)]
pub struct Lifetime(pub u32);

impl Lifetime {
    /// - `least`: shorter ones are not asked for \[s\].
    pub fn new(wanted: Duration, least: u32) -> Self {
        Self(u32::try_from(wanted.as_secs()).unwrap_or(MAX_EXPIRES).clamp(least, MAX_EXPIRES))
    }

    /// 423: the server wants at least Min-Expires. Whether there is any use in asking again.
    pub fn raise(&mut self, response: &Response) -> bool {
        match response.headers.number("Min-Expires") {
            Ok(Some(least)) if least > self.0 && least <= MAX_EXPIRES => {
                self.0 = least;
                true
            }
            _ => false,
        }
    }

    /// What a 2xx grants \[s\].
    pub fn granted(self, response: &Response) -> u32 {
        response.headers.number("Expires").ok().flatten().unwrap_or(self.0)
    }
}

/// When to refresh what holds for so long: not at the last moment, and not all phones at once.
pub fn refresh_in(granted: u32, rng: &mut Rng) -> Duration {
    let lifetime = Duration::from_secs(granted.clamp(1, MAX_EXPIRES).into());
    lifetime.mul_f64(0.7 + 0.15 * rng.unit()).max(MIN_REFRESH)
}

/// How long the server wants to be left alone.
pub fn retry_after(response: &Response) -> Duration {
    Duration::from_secs(response.headers.number("Retry-After").ok().flatten().unwrap_or(0).into())
}

/// How long to leave the server in peace when it refuses so; `None` when trying again cannot help.
pub fn trouble(response: &Response) -> Option<Duration> {
    matches!(response.status, 408 | 480 | 481 | 412 | 500..=599).then(|| retry_after(response))
}

/// The wait before the next try: each time a longer one.
#[derive(Clone, Copy, Debug)]
pub struct BackOff {
    first: Duration,
    wait: Duration,
}

impl BackOff {
    pub fn new(first: Duration) -> Self {
        Self { first, wait: first }
    }

    /// It works again.
    pub fn reset(&mut self) {
        self.wait = self.first;
    }

    /// - `asked`: the server wants to be left alone for so long, which is believed within bounds.
    pub fn next(&mut self, asked: Duration, rng: &mut Rng) -> Duration {
        let wait = asked.clamp(self.wait, LAST_WAIT.max(self.wait)).mul_f64(0.8 + 0.4 * rng.unit());
        self.wait = (self.wait * 2).min(LAST_WAIT);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::{Message, parse};

    fn response(status: u16, header: &str) -> Response {
        let text = format!(
            "SIP/2.0 {status} x\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
             Call-ID: c\r\nCSeq: 1 PUBLISH\r\n{header}Content-Length: 0\r\n\r\n"
        );
        match parse(&text.into_bytes().into()) {
            Ok(Message::Response(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lifetimes_are_raised_within_bounds() {
        for (header, raised) in [
            ("", None),
            ("Min-Expires: 600\r\n", None),
            ("Min-Expires: 86401\r\n", None),
            ("Min-Expires: x\r\n", None),
            ("Min-Expires: 3600\r\n", Some(3600)),
        ] {
            let mut lifetime = Lifetime::new(Duration::from_secs(600), 60);
            assert_eq!(lifetime.raise(&response(423, header)), raised.is_some(), "{header}");
            assert_eq!(lifetime.0, raised.unwrap_or(600), "{header}");
        }
    }

    #[test]
    fn what_is_refused_for_good_is_not_tried_again() {
        for (status, header, asked) in [
            (403, "Retry-After: 5\r\n", None),
            (489, "", None),
            (503, "", Some(0)),
            (503, "Retry-After: 5\r\n", Some(5)),
            (408, "", Some(0)),
        ] {
            assert_eq!(trouble(&response(status, header)), asked.map(Duration::from_secs), "{status} {header}");
        }
    }

    #[test]
    fn waits_grow_and_a_server_may_ask_for_a_longer_one_but_not_for_ever() {
        let (mut back_off, mut rng) = (BackOff::new(Duration::from_secs(4)), Rng::from_u64(1));
        for least in [4, 8, 16, 32] {
            let wait = back_off.next(Duration::ZERO, &mut rng).as_secs_f64();
            assert!((0.8 * f64::from(least)..=1.2 * f64::from(least)).contains(&wait), "{least}: {wait}");
        }
        assert!(back_off.next(Duration::from_secs(1_000_000), &mut rng) <= LAST_WAIT.mul_f64(1.2));
        back_off.reset();
        assert!(back_off.next(Duration::from_secs(100), &mut rng) >= Duration::from_secs(80));
    }
}
