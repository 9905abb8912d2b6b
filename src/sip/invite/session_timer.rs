//! Session timers: the session is refreshed in time by the side that promised it, or ended by the other (RFC 4028).
//!
//! ```text
//!    2xx with Session-Expires          half of the interval: UPDATE or re-INVITE     (the refresher)
//!   ---------------------------> Agreed ---+ any refresh: from the beginning
//!                                  |   <---+
//!                                  v no refresh until shortly before the interval is over: BYE   (both)
//! ```
use super::Cause;
use super::session::{Kind, Sent, Session, Side, Timer};
use crate::sip::message::{Headers, Method, Request, Response};
use std::time::{Duration, Instant};

/// The shortest interval that is agreed to \[s\] (RFC 4028 §4).
pub const MIN_SE: u32 = 90;
/// The longest one; a server that wants more has no timer with us \[s\].
const MAX_SE: u32 = 86_400;
/// How often one call is sent again for 422.
const MAX_RAISES: u32 = 3;
/// A refresh that failed is tried again so soon; the session's end is the limit.
const AGAIN: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refresher {
    Us,
    Peer,
}

/// What this session's sides have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Agreed {
    /// \[s\]
    interval: u32,
    refresher: Refresher,
}

#[derive(Debug)]
pub(super) struct SessionTimer {
    /// The interval we ask for; 0: none \[s\].
    wanted: u32,
    /// What servers on the way want at least \[s\].
    least: u32,
    raises: u32,
    agreed: Option<Agreed>,
    /// The peer's Allow names UPDATE.
    peer_takes_updates: bool,
    /// Refreshing was stopped, as the dialog seemed lost.
    given_up: bool,
}

impl SessionTimer {
    pub fn new(wanted: Duration) -> Self {
        let wanted = u32::try_from(wanted.as_secs()).unwrap_or(MAX_SE).min(MAX_SE);
        let wanted = if wanted == 0 { 0 } else { wanted.max(MIN_SE) };
        Self { wanted, least: MIN_SE, raises: 0, agreed: None, peer_takes_updates: false, given_up: false }
    }

    /// What an INVITE or UPDATE of ours asks for: what was agreed, else what we want (RFC 4028 §7.1, §7.4).
    pub fn ask(&self, headers: &mut Headers) {
        match self.agreed {
            Some(Agreed { interval, refresher }) => {
                let who = if refresher == Refresher::Us { "uac" } else { "uas" };
                headers.push("Session-Expires", format_args!("{interval};refresher={who}"));
            }
            None if self.wanted > 0 => headers.push("Session-Expires", self.wanted.max(self.least)),
            None => return,
        }
        if self.least > MIN_SE {
            headers.push("Min-SE", self.least);
        }
    }

    /// 422 to a request of ours; `true` when it may be sent again, with more (RFC 4028 §7.3).
    pub fn raise(&mut self, response: &Response) -> bool {
        let Ok(Some(least)) = response.headers.number("Min-SE") else { return false };
        if self.raises >= MAX_RAISES || least <= self.least || least > MAX_SE {
            return false;
        }
        self.raises += 1;
        self.least = least;
        if let Some(agreed) = &mut self.agreed {
            agreed.interval = agreed.interval.max(least);
        }
        true
    }

    /// Whether a request of the peer asks for less than we agree to: 422 says so (RFC 4028 §9).
    pub fn is_too_short(request: &Request) -> bool {
        matches!(request.headers.number("Session-Expires"), Ok(Some(interval)) if interval < MIN_SE)
            && request.headers.has_token("Supported", "timer")
    }

    /// Answers what the peer's INVITE or UPDATE asks for, in our 2xx (RFC 4028 §9). Without Session-Expires there is no timer.
    pub fn grant(&mut self, request: &Request, response: &mut Headers) {
        self.learn_methods(&request.headers);
        let Some((interval, refresher)) = asked(&request.headers) else {
            self.agreed = None;
            return;
        };
        // A peer that lacks the extension does not refresh; a proxy on the way has asked then.
        let peer_knows = request.headers.has_token("Supported", "timer");
        let by_us = !peer_knows || refresher == Some("uas");
        if peer_knows {
            response.push("Require", "timer");
        }
        let who = if by_us { "uas" } else { "uac" };
        let interval = interval.max(MIN_SE);
        response.push("Session-Expires", format_args!("{interval};refresher={who}"));
        self.agreed = Some(Agreed { interval, refresher: if by_us { Refresher::Us } else { Refresher::Peer } });
    }

    /// Takes a 2xx to an INVITE or UPDATE of ours (RFC 4028 §7.2).
    pub fn take(&mut self, response: &Response) {
        self.learn_methods(&response.headers);
        self.agreed = asked(&response.headers).map(|(interval, refresher)| Agreed {
            interval: interval.max(MIN_SE),
            refresher: if refresher == Some("uas") { Refresher::Peer } else { Refresher::Us },
        });
    }

    fn learn_methods(&mut self, headers: &Headers) {
        if headers.get("Allow").is_some() {
            self.peer_takes_updates = headers.has_token("Allow", "UPDATE");
        }
    }

    /// When to refresh, and when the session is over without a refresh, from the latest one on (RFC 4028 §10).
    fn limits(&self) -> Option<(Option<Duration>, Duration)> {
        let Agreed { interval, refresher } = self.agreed?;
        let refresh = (refresher == Refresher::Us).then(|| Duration::from_secs((interval / 2).into()));
        Some((refresh, Duration::from_secs((interval - (interval / 3).min(32)).into())))
    }
}

/// The interval and who is to refresh.
fn asked(headers: &Headers) -> Option<(u32, Option<&'static str>)> {
    let value = headers.get("Session-Expires")?;
    let interval = headers.number("Session-Expires").ok()??;
    if interval > MAX_SE {
        return None;
    }
    let mut params = value.split(';').skip(1).filter_map(|p| p.split_once('='));
    let who = params.find(|(name, _)| name.trim().eq_ignore_ascii_case("refresher")).map(|(_, who)| who.trim());
    let who = who.and_then(|who| ["uac", "uas"].into_iter().find(|known| known.eq_ignore_ascii_case(who)));
    Some((interval, who))
}

impl Session {
    /// Starts anew after a 2xx that agreed on a timer, or on none.
    pub(super) fn restart_session_timer(&mut self, now: Instant) {
        self.timers.stop(&Timer::Refresh);
        self.timers.stop(&Timer::Expiry);
        if self.ended || !matches!(self.side, Side::Established) {
            return;
        }
        let Some((refresh, expiry)) = self.session_timer.limits() else { return };
        if let Some(refresh) = refresh {
            self.timers.set(Timer::Refresh, now + refresh);
        }
        self.timers.set(Timer::Expiry, now + expiry);
    }

    /// The dialog was thought lost and is there: a refresh that was given up meanwhile is made good at once.
    pub(super) fn resume_refreshing(&mut self, now: Instant) {
        let ours = self.session_timer.agreed.is_some_and(|agreed| agreed.refresher == Refresher::Us);
        if ours && std::mem::take(&mut self.session_timer.given_up) {
            self.timers.set(Timer::Refresh, now);
        }
    }

    /// Nobody is there to take a refresh.
    pub(super) fn stop_refreshing(&mut self) {
        self.session_timer.given_up = true;
        self.timers.stop(&Timer::Refresh);
    }

    /// Refreshes: by UPDATE without a description where the peer takes it, else by re-INVITE with the one that holds.
    pub(super) fn refresh_session(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        // Should it come to nothing: once more, until the session is over.
        self.timers.set(Timer::Refresh, now + AGAIN);
        if !self.session_timer.peer_takes_updates {
            return self.reinvite(now);
        }
        if self.requests.values().any(|sent| sent.kind == Kind::Update) {
            return;
        }
        let Some(dialog) = &mut self.dialog else { return };
        let (mut request, next_hop) = dialog.request(Method::Update);
        self.describe_request(&mut request.headers);
        self.send(Sent::new(Kind::Update, request, next_hop));
    }

    /// A final response to our UPDATE.
    pub(super) fn refresh_answered(&mut self, now: Instant, response: &Response) {
        if self.ended {
            return;
        }
        match response.status {
            200..=299 => {
                if let Some(dialog) = &mut self.dialog {
                    dialog.refresh(&response.headers);
                }
                self.session_timer.take(response);
                self.restart_session_timer(now);
            }
            422 if self.session_timer.raise(response) => self.refresh_session(now),
            481 => self.lost(481),
            405 | 501 => {
                self.session_timer.peer_takes_updates = false;
                self.reinvite(now);
            }
            // Tried again soon; the peer ends what it does not want to refresh.
            _ => {}
        }
    }

    /// After `Expired`: the call is over.
    pub fn expire(&mut self, now: Instant) {
        if !self.ended {
            self.end(now, Cause::SessionExpired);
            self.say_bye(Some("SIP;cause=408;text=\"session timer expired\""));
            self.settle(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::testing::request;

    fn update(headers: &str) -> Request {
        request(&format!(
            "UPDATE sip:bob@192.0.2.1 SIP/2.0
             Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx
             From: <sip:alice@192.0.2.2>;tag=a
             To: <sip:bob@192.0.2.1>;tag=b
             Call-ID: one
             CSeq: 7 UPDATE
             {headers}"
        ))
    }

    #[test]
    fn what_a_peer_asks_for_is_granted_and_who_refreshes_is_said() {
        let rows = [
            ("Supported: timer", None, None),
            ("Supported: timer\nSession-Expires: soon", None, None),
            ("Supported: timer\nSession-Expires: 999999", None, None),
            ("Session-Expires: 90", Some("90;refresher=uas"), Some(Refresher::Us)),
            ("Session-Expires: 90;refresher=uac", Some("90;refresher=uas"), Some(Refresher::Us)),
            ("Supported: timer\nSession-Expires: 90;refresher=uas", Some("90;refresher=uas"), Some(Refresher::Us)),
            ("Supported: path, timer\nSession-Expires: 90", Some("90;refresher=uac"), Some(Refresher::Peer)),
            (
                "Supported: timer\nSession-Expires: 1800 ; Refresher = UAC",
                Some("1800;refresher=uac"),
                Some(Refresher::Peer),
            ),
        ];
        for (headers, granted, refresher) in rows {
            let (request, mut timer, mut response) =
                (update(headers), SessionTimer::new(Duration::ZERO), Headers::default());
            timer.grant(&request, &mut response);
            assert_eq!(response.get("Session-Expires"), granted, "{headers}");
            let required = granted.filter(|_| headers.contains("timer")).map(|_| "timer");
            assert_eq!(response.get("Require"), required, "{headers}");
            assert_eq!(timer.agreed.map(|agreed| agreed.refresher), refresher, "{headers}");
        }
    }

    #[test]
    fn an_answer_without_a_refresher_leaves_it_to_us() {
        let rows = [
            ("X: 1", None),
            ("Session-Expires: 100", Some((Some(50), 68))),
            ("Session-Expires: 90;refresher=uac", Some((Some(45), 60))),
            ("Session-Expires: 1800;refresher=uas", Some((None, 1768))),
            // Shorter than allowed: kept at what is allowed, so that nobody can make us send all the time.
            ("Session-Expires: 1", Some((Some(45), 60))),
        ];
        for (headers, limits) in rows {
            let mut response = Response::to_request(&update("X: 1"), 200, None);
            headers.lines().filter_map(|line| line.split_once(": ")).for_each(|(n, v)| response.headers.push(n, v));
            let mut timer = SessionTimer::new(Duration::from_secs(1800));
            timer.take(&response);
            let seconds = timer.limits().map(|(refresh, expiry)| (refresh.map(|r| r.as_secs()), expiry.as_secs()));
            assert_eq!(seconds, limits, "{headers}");
        }
    }

    #[test]
    fn too_short_is_422_and_a_422_raises_what_we_ask_for_a_few_times() {
        let rows = [
            ("Supported: timer\nSession-Expires: 89", true),
            ("Supported: timer\nSession-Expires: 90", false),
            ("Session-Expires: 10", false),
        ];
        for (headers, short) in rows {
            assert_eq!(SessionTimer::is_too_short(&update(headers)), short, "{headers}");
        }
        let refused = |least: u32| {
            let mut response = Response::to_request(&update("X: 1"), 422, None);
            response.headers.push("Min-SE", least);
            response
        };
        let mut timer = SessionTimer::new(Duration::from_secs(100));
        assert!(!timer.raise(&refused(90)) && !timer.raise(&refused(1_000_000)));
        assert!(timer.raise(&refused(120)) && timer.raise(&refused(240)) && timer.raise(&refused(600)));
        assert!(!timer.raise(&refused(700)), "no end");
        let mut asked = Headers::default();
        timer.ask(&mut asked);
        assert_eq!((asked.get("Session-Expires"), asked.get("Min-SE")), (Some("600"), Some("600")));
    }
}
