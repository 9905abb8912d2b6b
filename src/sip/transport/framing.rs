//! Cuts a byte stream into messages and keep-alives (RFC 3261 §18.3, RFC 5626 §3.5.1).
use crate::sip::message::{MAX_MESSAGE, content_length, head_length_from};
use bytes::{Buf as _, Bytes, BytesMut};

/// What stood in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// One whole message, for `sip::message::parse`.
    Frame(Bytes),
    /// The peer's keep-alive: answer it with [`PONG`].
    Ping,
    /// The answer to a keep-alive of ours.
    Pong,
    /// Where the next message starts cannot be told: close the connection. Nothing follows.
    Fatal {
        error: FramingError,
        /// The offending head, as far as it came: parsed, it yields the 400 to be sent before closing, if one can be made.
        head: Bytes,
    },
}

/// The peer broke the framing of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    #[error("no end of the headers within {MAX_MESSAGE} bytes")]
    EndlessHead,
    #[error("Content-Length is malformed, conflicting or too large")]
    ContentLength,
}

/// The keep-alive a client sends.
pub const PING: &[u8] = b"\r\n\r\n";
/// The answer to it.
pub const PONG: &[u8] = b"\r\n";

/// ```text
///            line end             line end, expected: Pong
///           (blank) <-- Between ------------------------> Between
///                          |    two line ends: Ping
///          anything else   v
///                        Head -- empty line --> Body -- Content-Length bytes: Frame --> Between
///                          |                      |
///                          '------> Dead <--------'
/// ```
#[derive(Debug)]
enum State {
    /// Before a message. `blank`: one line end was seen that nobody expected, half a ping perhaps.
    Between {
        blank: bool,
    },
    /// The first `searched` bytes hold no end of the head.
    Head {
        searched: usize,
    },
    /// The message is `length` bytes long in all.
    Body {
        length: usize,
    },
    Dead,
}

/// Feed it what the connection reads; drain [`StreamFramer::poll_event`] after each input.
#[derive(Debug)]
pub struct StreamFramer {
    buffer: BytesMut,
    state: State,
    /// Pings of ours that were not answered yet.
    pings: u32,
}

impl Default for StreamFramer {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamFramer {
    pub fn new() -> Self {
        Self { buffer: BytesMut::new(), state: State::Between { blank: false }, pings: 0 }
    }

    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Dead) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// We sent a [`PING`]: the next lone line end between two messages is its answer.
    pub fn handle_ping_sent(&mut self) {
        self.pings = self.pings.saturating_add(1);
    }

    /// Whether the start of a message waits for the rest of it; whoever owns the connection limits how long.
    pub fn is_mid_message(&self) -> bool {
        matches!(self.state, State::Head { .. } | State::Body { .. })
    }

    /// What is held of a message that is not whole yet \[bytes\].
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            match self.state {
                State::Between { blank } => {
                    let line_end = match *self.buffer {
                        [b'\r', b'\n', ..] => 2,
                        [b'\n', ..] => 1,
                        [] | [b'\r'] => return None,
                        _ => {
                            self.state = State::Head { searched: 0 };
                            continue;
                        }
                    };
                    self.buffer.advance(line_end);
                    // A whole ping is one even while an answer is expected.
                    let is_ping = blank || self.buffer.starts_with(b"\r\n");
                    if is_ping {
                        self.buffer.advance(if blank { 0 } else { 2 });
                        self.state = State::Between { blank: false };
                        return Some(Event::Ping);
                    }
                    if self.pings > 0 {
                        self.pings -= 1;
                        return Some(Event::Pong);
                    }
                    self.state = State::Between { blank: true };
                }
                State::Head { searched } => {
                    let within = self.buffer.get(..MAX_MESSAGE).unwrap_or(&self.buffer);
                    let Some(head) = head_length_from(within, searched) else {
                        if self.buffer.len() >= MAX_MESSAGE {
                            return Some(self.die(FramingError::EndlessHead, MAX_MESSAGE));
                        }
                        // The line end that the empty line follows may be the last bytes that are here.
                        self.state = State::Head { searched: self.buffer.len().saturating_sub(2) };
                        return None;
                    };
                    // Without the header there is no body (RFC 3261 §20.14).
                    let body = content_length(within.get(..head).unwrap_or_default()).map(Option::unwrap_or_default);
                    match body.ok().and_then(|body| head.checked_add(body)).filter(|length| *length <= MAX_MESSAGE) {
                        Some(length) => self.state = State::Body { length },
                        None => return Some(self.die(FramingError::ContentLength, head)),
                    }
                }
                State::Body { length } => {
                    if self.buffer.len() < length {
                        return None;
                    }
                    self.state = State::Between { blank: false };
                    return Some(Event::Frame(self.buffer.split_to(length).freeze()));
                }
                State::Dead => return None,
            }
        }
    }

    fn die(&mut self, error: FramingError, head: usize) -> Event {
        self.state = State::Dead;
        let mut head_bytes = std::mem::take(&mut self.buffer);
        head_bytes.truncate(head);
        Event::Fatal { error, head: head_bytes.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::{ParseError, parse};

    fn message(lines: &str, body: &str) -> String {
        format!(
            "OPTIONS sip:b@h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n\
             Call-ID: c\r\nCSeq: 1 OPTIONS\r\n{lines}\r\n{body}"
        )
    }

    fn drain(framer: &mut StreamFramer) -> Vec<Event> {
        std::iter::from_fn(|| framer.poll_event()).collect()
    }

    /// The events of a stream, the same in however many pieces it comes.
    fn events(stream: &str) -> Vec<Event> {
        let cut = |size: usize| {
            let mut framer = StreamFramer::new();
            let mut all = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                framer.handle_bytes(piece);
                all.extend(drain(&mut framer));
            }
            all
        };
        let whole = cut(stream.len().max(1));
        for size in [1, 2, 3, 7, 50] {
            assert_eq!(cut(size), whole, "{stream:?} in pieces of {size}");
        }
        whole
    }

    fn frame(text: &str) -> Event {
        Event::Frame(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_broken_length_is_fatal_and_can_be_answered() {
        let big = format!("Content-Length: {MAX_MESSAGE}\r\n");
        for bad in ["Content-Length: -999\r\n", "l: 1\r\nContent-Length: 2\r\n", "Content-Length: x\r\n", &big] {
            let head = message(bad, "");
            let fatal = Event::Fatal { error: FramingError::ContentLength, head: Bytes::from(head.clone()) };
            assert_eq!(events(&(head.clone() + "INVITE")), [fatal], "{bad:?}");
            assert!(matches!(parse(&Bytes::from(head)), Err(ParseError::Refused { answer }) if answer.status == 400));
        }
        let mut framer = StreamFramer::new();
        framer.handle_bytes(&vec![b'x'; MAX_MESSAGE]);
        assert!(matches!(drain(&mut framer)[..], [Event::Fatal { error: FramingError::EndlessHead, .. }]));
        framer.handle_bytes(message("", "").as_bytes());
        assert_eq!((framer.poll_event(), framer.buffer.len()), (None, 0));
    }

    #[test]
    fn messages_are_cut_where_they_end() {
        let (first, second) = (message("l: 4\r\n", "\r\n\r\n"), message("", ""));
        assert_eq!(events(&format!("{first}{second}{first}")), [frame(&first), frame(&second), frame(&first)]);
        let lf = second.replace('\r', "");
        assert_eq!(events(&format!("\r\n{lf}{first}")), [frame(&lf), frame(&first)]);
        assert_eq!(events(&first[..first.len() - 1]), []);
        let folded = message("Content-Length :\r\n\t3\r\n", "a\nb");
        assert_eq!(events(&folded), [frame(&folded)]);
    }

    #[test]
    fn keep_alives_stand_between_messages() {
        let m = message("", "");
        assert_eq!(events("\r\n\r\n"), [Event::Ping]);
        assert_eq!(events("\r\n\r\n\r\n\r\n"), [Event::Ping, Event::Ping]);
        assert_eq!(events(&format!("{m}\r\n\r\n{m}\r\n")), [frame(&m), Event::Ping, frame(&m)]);
        assert_eq!(events(&format!("{m}\r\n{m}\r\n")), [frame(&m), frame(&m)], "a lone line end is no ping");

        let mut framer = StreamFramer::new();
        framer.handle_ping_sent();
        framer.handle_bytes(PONG);
        assert_eq!(drain(&mut framer), [Event::Pong]);
        framer.handle_bytes(PONG);
        assert_eq!(drain(&mut framer), [], "only a ping has a pong");
        framer.handle_bytes(m.as_bytes());
        framer.handle_ping_sent();
        framer.handle_bytes(PING);
        framer.handle_bytes(PONG);
        assert_eq!(drain(&mut framer), [frame(&m), Event::Ping, Event::Pong], "both ends may ping at once");
    }

    #[test]
    fn a_started_message_is_told() {
        let mut framer = StreamFramer::new();
        framer.handle_bytes(b"\r\n");
        assert_eq!((framer.poll_event(), framer.is_mid_message()), (None, false));
        framer.handle_bytes(b"OPTIONS");
        assert_eq!((framer.poll_event(), framer.is_mid_message()), (None, true));
    }

    #[test]
    fn a_head_in_single_bytes_is_searched_once() {
        let mut framer = StreamFramer::new();
        // 64 KiB in single bytes: two thousand million steps if each searched all there is.
        for byte in std::iter::repeat_n(b"a\r\n", MAX_MESSAGE / 3).flatten() {
            framer.handle_bytes(&[*byte]);
            assert_eq!(framer.poll_event(), None);
        }
    }
}
