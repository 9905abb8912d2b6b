//! Texts to others and from them (RFC 3428), each with what became of it: in the call with whom is talked with, else outside.
use super::account::shown;
use super::sending::{Challenged, Errand, Owner};
use super::{Call, UserAgent, index, secure};
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::Flow;
use crate::base::untrusted::Untrusted;
use crate::sip::dialog::again;
use crate::sip::instant::{self, Content, MAX_TEXT, Unread};
use crate::sip::key::ServerKey;
use crate::sip::locate;
use crate::sip::message::{Request, Response, Uri};
use crate::sip::transaction::{Failure, RequestId};
use crate::ua::event::Event;
use crate::ua::snapshot::{TextState, TextView};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Texts on their way at once.
const SENDING: usize = 32;
/// How often one is sent again for a challenge.
const MAX_TRIES: u8 = 3;
/// Texts taken within a while; who sends more is asked to wait.
const HEARD: usize = 30;
const WHILE: Duration = Duration::from_secs(10);
/// A text with so many bytes is too long for a datagram, with all that is around it.
const LONG: usize = 600;
/// Lines of a text that are kept, and columns of each.
const LINES: usize = 200;
const COLUMNS: usize = 2_000;

/// A text on its way.
#[derive(Debug)]
struct Outgoing {
    view: TextView,
    tries: u8,
    /// The call it was sent in, and how it goes outside of that, where that one does not take it.
    call: Option<CallNumber>,
    instead: Option<(Request, Uri)>,
}

#[derive(Debug, Default)]
pub struct Texting {
    outgoing: BTreeMap<u32, Outgoing>,
    next: u32,
    /// When the last ones came.
    heard: VecDeque<Instant>,
}

impl Texting {
    pub fn account_of(&self, id: u32) -> Option<AccountId> {
        self.outgoing.get(&id).map(|text| text.view.account)
    }

    /// Whether one more may come now.
    fn takes(&mut self, now: Instant) -> bool {
        while self.heard.front().is_some_and(|at| now.saturating_duration_since(*at) >= WHILE) {
            self.heard.pop_front();
        }
        let takes = self.heard.len() < HEARD;
        if takes {
            self.heard.push_back(now);
        }
        takes
    }
}

impl UserAgent {
    pub(super) fn send_text(&mut self, now: Instant, wanted: Option<AccountId>, typed: &str, text: &str) {
        let Some(account) = self.choose_account(wanted) else {
            return self.out.refuse("there is no account to write from; `offhook init` makes one");
        };
        if self.shutdown.is_some() {
            return;
        }
        if text.len() > MAX_TEXT {
            return self.out.refuse(format!("the text has {} bytes; at most {MAX_TEXT} can be sent", text.len()));
        }
        let text = lines(&Untrusted::new(text), MAX_TEXT, MAX_TEXT);
        if text.trim().is_empty() {
            return self.out.refuse("there is nothing to send");
        }
        if self.texting.outgoing.len() >= SENDING {
            return self.out.refuse("too many texts are on their way");
        }
        let target = match account.dial(&self.look_up(typed)) {
            Ok((uri, _)) => uri,
            Err(error) => return self.out.refuse(error.to_string()),
        };
        let (id, name) = (account.id, account.settings.name.clone());
        let (from, route) = (account.aor(), secure::route(account.route(), &target));
        let agent = &self.settings.user_agent;
        let (request, next_hop) = instant::request(&target, from, &route, &text, agent, &mut self.rng);
        let peer = self.identify_dialled(id, &target);
        let view = TextView {
            key: format!("out {}", request.headers.call_id().unwrap_or_default()),
            account: id,
            account_name: name,
            outgoing: true,
            peer_name: peer.name,
            peer_address: peer.address,
            trust: String::new(),
            at: self.anchor.wall(now),
            text,
            state: TextState::Sending,
        };
        let number = self.texting.next;
        self.texting.next = number.wrapping_add(1);
        self.out.event(Event::Text(Box::new(view.clone())));
        // Who is talked with is told in the call: the text finds whoever the call was handed on to.
        if let Some(call) = self.talks_with(id, &view.peer_address)
            && call.session.as_mut().is_some_and(|session| session.write(number, &view.text))
        {
            let (call, instead) = (Some(call.number), Some((request, next_hop)));
            self.texting.outgoing.insert(number, Outgoing { view, tries: 0, call, instead });
            return;
        }
        self.texting.outgoing.insert(number, Outgoing { view, tries: 0, call: None, instead: None });
        let errand = Errand { owner: Owner::Text(number), id: Some(RequestId(0)), request };
        self.dispatch(now, errand, &next_hop);
    }

    pub(super) fn text_answered(&mut self, now: Instant, number: u32, met: &Challenged, response: &Response) {
        let Some(text) = self.texting.outgoing.get_mut(&number) else { return };
        let state = match response.status {
            401 | 407 if text.tries < MAX_TRIES => {
                let account = self.accounts.get_mut(index(text.view.account));
                match account.map(|account| account.trust.authorize(met, response)) {
                    Some(Ok(headers)) => {
                        text.tries += 1;
                        let cseq = met.request.headers.cseq().map_or(1, |cseq| cseq.number).saturating_add(1);
                        let request = again(met.request.clone(), &headers, cseq);
                        let next_hop = locate::next_hop(&request);
                        let errand = Errand { owner: Owner::Text(number), id: Some(RequestId(0)), request };
                        return self.dispatch(now, errand, &next_hop);
                    }
                    Some(Err(why)) => TextState::Failed(why),
                    None => TextState::Failed("the account is gone".to_owned()),
                }
            }
            // It lies at a server, which will try (RFC 3428 §4).
            202 => TextState::Accepted,
            200..=299 => TextState::Delivered,
            status => TextState::Failed(refused(status, &shown(&response.reason, 60))),
        };
        self.text_over(number, state);
    }

    /// The call that is talked on with somebody.
    fn talks_with(&mut self, account: AccountId, address: &str) -> Option<&mut Call> {
        let with = |call: &&mut Call| call.account == account && call.identity.address == address;
        self.calls.values_mut().filter(with).find(|call| call.is_established())
    }

    /// A call is forgotten: what was not answered in it never will be.
    pub(super) fn forget_texts(&mut self, call: CallNumber) {
        let left = self.texting.outgoing.iter().filter(|(_, text)| text.call == Some(call));
        for number in left.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.text_over(number, TextState::Failed("the call ended before it was answered".to_owned()));
        }
    }

    /// What became of a text that was sent in a call.
    pub(super) fn text_in_call(&mut self, now: Instant, number: u32, status: u16, reason: &str) {
        let state = match status {
            202 => TextState::Accepted,
            200..=299 => TextState::Delivered,
            // Nobody knows whether it arrived: a second one would be worse than none.
            408 => TextState::Failed("nobody answered in time".to_owned()),
            status => {
                let instead = self.texting.outgoing.get_mut(&number).and_then(|text| text.instead.take());
                if let Some((request, next_hop)) = instead {
                    self.texting.outgoing.entry(number).and_modify(|text| text.call = None);
                    let errand = Errand { owner: Owner::Text(number), id: Some(RequestId(0)), request };
                    return self.dispatch(now, errand, &next_hop);
                }
                TextState::Failed(refused(status, &shown(reason, 60)))
            }
        };
        self.text_over(number, state);
    }

    pub(super) fn text_failed(&mut self, number: u32, failure: Failure) {
        let length = self.texting.outgoing.get(&number).map_or(0, |text| text.view.text.len());
        let words = match failure {
            Failure::Timeout => "nobody answered in time",
            Failure::Transport if length > LONG => "so long a text needs a server that speaks TCP or TLS",
            Failure::Transport => "the server cannot be reached",
        };
        self.text_over(number, TextState::Failed(words.to_owned()));
    }

    fn text_over(&mut self, number: u32, state: TextState) {
        let Some(Outgoing { mut view, .. }) = self.texting.outgoing.remove(&number) else { return };
        if let TextState::Failed(cause) = &state {
            self.out.log(format!("the text to {} failed: {cause}", view.peer_address));
        }
        view.state = state;
        self.out.event(Event::Text(Box::new(view)));
    }

    /// A MESSAGE for one of our accounts, from somebody we hear.
    pub(super) fn text_received(
        &mut self,
        now: Instant,
        key: &ServerKey,
        request: &Request,
        (flow, account): (&Flow, AccountId),
    ) {
        let content = match Content::of(request) {
            Ok(content) => content,
            Err(Unread::Type) => {
                let accept = instant::ACCEPT.join(", ");
                let readable = [("Accept", &*accept), ("Accept-Encoding", "identity")];
                return self.respond(now, key, request, Unread::Type.status(), &readable);
            }
            Err(unread) => return self.respond(now, key, request, unread.status(), &[]),
        };
        let Content::Text(text) = content else { return self.respond(now, key, request, 200, &[]) };
        if !self.texting.takes(now) {
            self.counters.rate_limited += 1;
            return self.respond(now, key, request, 503, &[("Retry-After", "10")]);
        }
        let (Ok(from), Some(name)) = (request.headers.from(), self.account(account).map(|a| a.settings.name.clone()))
        else {
            return self.respond(now, key, request, 400, &[]);
        };
        let peer = self.identify(account, flow, &request.headers, &from);
        let id = request.headers.call_id().unwrap_or_default();
        let cseq = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let view = TextView {
            key: format!("in {} {cseq} {}", shown(id, 100), shown(from.tag().unwrap_or_default(), 60)),
            account,
            account_name: name,
            outgoing: false,
            trust: peer.phrase(),
            peer_name: peer.name,
            peer_address: peer.address,
            at: self.anchor.wall(now),
            text: lines(&text, LINES, COLUMNS),
            state: TextState::Received,
        };
        self.respond(now, key, request, 200, &[]);
        self.out.log(format!("a text from {}", view.peer_address));
        self.out.event(Event::Text(Box::new(view)));
    }
}

/// What a final status of a MESSAGE means.
fn refused(status: u16, reason: &str) -> String {
    let words = match status {
        401 | 407 => "the server did not accept user name or password",
        403 => "the other side, or the server, takes no texts from you",
        404 | 604 => "nobody has this number or name",
        405 | 501 => "the other side takes no texts",
        408 => "nobody answered in time",
        413 | 513 => "the text is too long for the other side",
        415 | 488 | 606 => "the other side does not read plain text",
        480 => "the other side is not reachable now",
        486 | 600 => "the other side is busy",
        603 => "declined",
        500..=599 => "the server cannot do it now",
        _ => "it was refused",
    };
    if reason.is_empty() { format!("{words} ({status})") } else { format!("{words} ({status} {reason})") }
}

/// Several lines, each fit for the screen; the user's own may have been pasted from anywhere.
fn lines(text: &Untrusted, most: usize, columns: usize) -> String {
    text.lines().take(most).map(|line| line.sanitize(columns)).collect::<Vec<_>>().join("\n")
}
