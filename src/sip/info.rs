//! Digits in the bodies of INFO requests: `application/dtmf-relay` and `application/dtmf`, which no RFC describes and which
//! many servers speak.
use std::time::Duration;

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// `0` to `9`, `*`, `#`, `A` to `D`, `!` for the hook flash.
    pub key: char,
    pub duration: Duration,
}

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSignal {
    /// Of another type.
    Type,
    /// No key is in it.
    Body,
}

impl Signal {
    pub const RELAY: &str = "application/dtmf-relay";
    pub const PLAIN: &str = "application/dtmf";
    /// What is taken, for the Accept header of a refusal.
    pub const TYPES: &str = "application/dtmf-relay, application/dtmf";

    /// Where nothing is said of it.
    const USUAL: Duration = Duration::from_millis(100);
    /// No key is held so long.
    const LONGEST: Duration = Duration::from_secs(10);
    /// No body is so long \[bytes\].
    const BODY: usize = 256;

    /// As `application/dtmf-relay`, which all read.
    pub fn body(self) -> String {
        format!("Signal={}\r\nDuration={}\r\n", self.key, self.duration.as_millis())
    }

    /// Reads the body of an INFO.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(content_type: &str, body: &[u8]) -> Result<Self, BadSignal> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= Self::BODY);
        if kind.eq_ignore_ascii_case(Self::RELAY) {
            Self::relay(text.ok_or(BadSignal::Body)?)
        } else if kind.eq_ignore_ascii_case(Self::PLAIN) {
            let key = key(text.ok_or(BadSignal::Body)?)?;
            Ok(Self { key, duration: Self::USUAL })
        } else {
            Err(BadSignal::Type)
        }
    }

    fn relay(text: &str) -> Result<Self, BadSignal> {
        let field = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            lines.into_iter().find(|(field, _)| field.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let key = key(field("Signal").ok_or(BadSignal::Body)?)?;
        let duration = field("Duration").and_then(|value| value.trim().parse::<u64>().ok()).map(Duration::from_millis);
        Ok(Self { key, duration: duration.unwrap_or(Self::USUAL).min(Self::LONGEST) })
    }
}

/// A key by its sign or by its event number (RFC 4733 §3.2).
fn key(text: &str) -> Result<char, BadSignal> {
    let text = text.trim();
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(c), None) => match c.to_ascii_uppercase() {
            c @ ('0'..='9' | '*' | '#' | 'A'..='D' | '!') => Ok(c),
            _ => Err(BadSignal::Body),
        },
        _ => match text {
            "10" => Ok('*'),
            "11" => Ok('#'),
            "12" => Ok('A'),
            "13" => Ok('B'),
            "14" => Ok('C'),
            "15" => Ok('D'),
            "16" => Ok('!'),
            _ if text.eq_ignore_ascii_case("flash") => Ok('!'),
            _ => Err(BadSignal::Body),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_both_types_are_read_and_bad_ones_are_not() {
        use BadSignal::{Body, Type};
        let long = format!("Signal=1\r\n{}", "x".repeat(300));
        type Row<'r> = (&'r str, &'r [u8], Result<(char, u64), BadSignal>);
        let rows: [Row<'_>; 19] = [
            ("", b"5", Err(Type)),
            ("application/sdp", b"v=0", Err(Type)),
            ("application/dtmf", b"", Err(Body)),
            ("application/dtmf", b"17", Err(Body)),
            ("application/dtmf", b"12345", Err(Body)),
            ("application/dtmf", b"E", Err(Body)),
            ("application/dtmf", b"\xff\xfe", Err(Body)),
            ("application/dtmf-relay", b"5", Err(Body)),
            ("application/dtmf-relay", b"Signal=\r\nDuration=100", Err(Body)),
            ("application/dtmf-relay", b"Duration=100\r\n", Err(Body)),
            ("application/dtmf-relay", long.as_bytes(), Err(Body)),
            ("application/dtmf", b"5", Ok(('5', 100))),
            ("application/dtmf", b" 11\r\n", Ok(('#', 100))),
            ("Application/DTMF; charset=utf-8", b"d", Ok(('D', 100))),
            ("application/dtmf-relay", b"Signal=*\r\nDuration=160\r\n", Ok(('*', 160))),
            ("application/dtmf-relay", b"signal= 10\nduration= 250", Ok(('*', 250))),
            ("application/dtmf-relay", b"Signal=16", Ok(('!', 100))),
            ("application/dtmf-relay", b"Signal=1\r\nDuration=soon", Ok(('1', 100))),
            ("application/dtmf-relay", b"Signal=1\r\nDuration=99999999999", Ok(('1', 10_000))),
        ];
        for (kind, body, expected) in rows {
            let found = Signal::parse(kind, body).map(|s| (s.key, s.duration.as_millis() as u64));
            assert_eq!(found, expected, "{kind} {:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for key in "0123456789*#ABCD!".chars() {
            let signal = Signal { key, duration: Duration::from_millis(120) };
            assert_eq!(Signal::parse(Signal::RELAY, signal.body().as_bytes()), Ok(signal));
        }
    }
}
