//! Calls that go out: whose account, what is offered, and what their sessions tell.
use super::account::{Account, shown};
use super::call::{Beginning, Call};
use super::dial_plan::Verdict;
use super::dial_string;
use super::plan::{Plan, Wishes};
use super::sending::Owner;
use super::{CALLS, UserAgent, index, secure};
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::Flow;
use crate::media::spec::{Direction, Profile, SourceDescription};
use crate::nat::candidate::IceUse;
use crate::sip::invite::{self, Invitation, Session};
use crate::sip::locate::Question;
use crate::sip::message::{NameAddr, Uri};
use crate::ua::event::Event;
use crate::ua::settings::Agreement;
use crate::ua::snapshot::{CallEnd, RegistrationState};
use std::net::SocketAddr;
use std::time::Instant;

/// What a call is placed with beside its target.
#[derive(Debug, Default)]
pub struct Placing {
    /// Headers of its INVITE beside the usual.
    pub headers: Vec<(String, String)>,
    /// The call whose peer asked for it, and by how many transfers it comes about.
    pub referrer: Option<(CallNumber, u8)>,
    /// Who calls is not said; `None`: as the account does by itself.
    pub private: Option<bool>,
}

impl UserAgent {
    /// The account a call goes out from: the one named, else the first that is registered, else the first.
    pub(super) fn choose_account(&self, wanted: Option<AccountId>) -> Option<&Account> {
        match wanted {
            Some(id) => self.account(id).filter(|account| !account.retired),
            None => {
                let registered = |a: &&Account| matches!(a.state, RegistrationState::Registered { .. });
                self.shown_accounts().find(registered).or_else(|| self.shown_accounts().next())
            }
        }
    }

    /// - `private`: whether who calls is said; `None`: as the account does by itself.
    pub(super) fn place_call(&mut self, now: Instant, wanted: Option<AccountId>, typed: &str, private: Option<bool>) {
        let Some(account) = self.choose_account(wanted) else {
            return self.out.refuse("there is no account to call from; `offhook init` makes one");
        };
        let (typed, mut digits) = dial_string::split(typed);
        let (typed, by_itself) = account.settings.caller_id.read(typed);
        let found = self.look_up(typed);
        // A contact may have digits behind its number, too.
        let (found, known) = dial_string::split(&found);
        if digits.is_empty() {
            digits = known;
        }
        let (target, verdict) = match account.dial(found) {
            Ok(dialled) => dialled,
            Err(error) => return self.out.refuse(error.to_string()),
        };
        let account = account.id;
        // Who calls for help is not hidden from those who are to come.
        let private = private.unwrap_or(by_itself) && verdict != Verdict::Emergency;
        let placed = self.place(now, account, target, Placing { private: Some(private), ..Placing::default() });
        if let Some(call) = placed.and_then(|number| self.calls.get_mut(&number)) {
            call.after_answer = digits.chars().filter(|c| !c.is_whitespace()).collect();
        }
    }

    /// Places a call on an account; `None` when it cannot be placed, which the user is told.
    pub(super) fn place(
        &mut self,
        now: Instant,
        account: AccountId,
        target: Uri,
        placing: Placing,
    ) -> Option<CallNumber> {
        if self.shutdown.is_some() {
            return None;
        }
        if self.calls.values().filter(|c| !c.is_over()).count() >= CALLS {
            self.out.refuse(format!("{CALLS} calls are open already"));
            return None;
        }
        let account = self.account(account)?;
        if let Err(error) = account.allows(&target) {
            self.out.refuse(error.to_string());
            return None;
        }
        let question = match account.question(&target) {
            Ok(question) => question,
            Err(error) => {
                self.out.refuse(error.to_string());
                return None;
            }
        };
        let (id, name) = (account.id, account.settings.name.clone());
        let server = account.settings.domain.to_string();
        let private = placing.private.unwrap_or(account.settings.caller_id.private);
        let mut wishes = self.wishes(id);
        if private {
            let SourceDescription { cname, tool, .. } = wishes.description;
            wishes.description = SourceDescription { cname, tool, ..SourceDescription::default() };
        }
        let number = CallNumber(self.next_call);
        self.next_call += 1;
        let mut call = Call::new(
            now,
            Beginning {
                number,
                account: id,
                account_name: name,
                outgoing: true,
                identity: self.identify_dialled(id, &target),
                server,
                target,
                plan: Plan::new(wishes, &mut self.rng),
            },
        );
        call.private = private;
        call.headers = placing.headers;
        if let Some((referrer, handed_on)) = placing.referrer {
            call.set_referrer(referrer, handed_on);
        }
        self.out.log(format!("call {number}: to {}", call.peer_address()));
        self.out.event(Event::Outgoing { call: number, to: call.peer_address().to_owned() });
        self.calls.insert(number, call);
        self.busy_until = None;
        self.focus_on(now, number);
        self.ask(now, question);
        Some(number)
    }

    /// The user has answered whether to call where a redirection sends us; what the dial plan forbids stays forbidden.
    pub(super) fn follow(&mut self, now: Instant, number: CallNumber, yes: bool) {
        let call = self.calls.get(&number);
        let refused = call.and_then(|call| self.account(call.account)?.allows(call.redirection()?).err());
        if let Some(error) = refused.as_ref().filter(|_| yes) {
            self.out.refuse(error.to_string());
        }
        let yes = yes && refused.is_none();
        self.with_call(number, |call, anchor, out| call.follow(now, yes, anchor, out));
    }

    pub(super) fn wishes(&self, account: AccountId) -> Wishes {
        let settings = self.account(account).map(|a| &a.settings);
        let keying = settings.map(|s| s.keying).unwrap_or_default();
        let wishes = Wishes {
            codecs: settings.map(|s| s.codecs.clone()).unwrap_or_default(),
            dtmf: settings.map(|s| s.dtmf).unwrap_or_default(),
            ptime: self.settings.ptime,
            rtcp_mux: self.settings.rtcp_mux,
            profile: Profile::Rtp,
            srtp: settings.map(|s| s.srtp).unwrap_or_default(),
            sdes: keying != Agreement::Dtls,
            certificate: self.settings.certificate.clone().filter(|_| keying != Agreement::Sdes),
            reach: settings.map(|s| s.handling.reach.clone()).unwrap_or_default(),
            brisk_reports: self.settings.brisk_reports,
            description: self.settings.description.clone(),
        };
        wishes.profiled(settings.map(|s| s.profile).unwrap_or_default(), self.settings.certificate.clone())
    }

    /// Ports are bound: the call goes out, or the answer the user gave.
    pub(super) fn media_opened(&mut self, now: Instant, number: CallNumber, rtp: SocketAddr, rtcp: SocketAddr) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        if call.is_over() {
            return;
        }
        call.handle_opened(rtp, rtcp);
        call.moved(now);
        if call.is_established() {
            return;
        }
        if call.outgoing && call.session.is_none() {
            return self.invite(now, number);
        }
        if !call.outgoing && (!call.is_ringing_in() || self.settings.auto_answer) {
            call.answer(now, &self.anchor, &mut self.out);
            self.focus_on(now, number);
        } else if !call.outgoing {
            call.describe_early(now);
        }
    }

    pub(super) fn invite(&mut self, now: Instant, number: CallNumber) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        let Some(account) = self.accounts.get(index(call.account)) else { return };
        let Some(flow) = call.flow else { return };
        let offer = match call.plan.offer(Direction::SendRecv) {
            Ok(offer) => offer,
            Err(error) => {
                return call.fail(now, &self.anchor, CallEnd::Failed, error.to_string(), &mut self.out);
            }
        };
        let mut to = NameAddr::new(call.target.clone());
        to.uri.params = crate::sip::message::Params::default();
        to.uri.headers = None;
        let mut request_uri = call.target.clone();
        request_uri.headers = None;
        let (from, headers) = account.presents(call.private, &flow);
        let invitation = Invitation {
            from,
            to,
            contact: secure::contact(account.contact(&flow), &call.target),
            route: secure::route(account.route(), &call.target),
            headers: headers.into_iter().chain(call.headers.iter().cloned()).collect(),
            body: Some(offer),
            request_uri,
        };
        let config = session_config(&self.settings.user_agent, account);
        let config = invite::Config { offers_again: true, ..config };
        let session = Session::invite(now, config, invitation, self.rng.fork());
        self.sessions.insert(session.key().clone(), number);
        call.session = Some(session);
    }

    pub(super) fn located_calls(&mut self, now: Instant, question: &Question, answer: &Result<Vec<Flow>, String>) {
        for call in self.calls.values_mut().filter(|c| c.outgoing && c.flow.is_none() && !c.is_over()) {
            let Some(account) = self.accounts.get(index(call.account)) else { continue };
            if account.question(&call.target).as_ref() != Ok(question) {
                continue;
            }
            match answer {
                Ok(flows) => {
                    // A call goes by the server the account is registered at.
                    if let Some(flow) = self.sending.routes.staying(now, flows.clone(), account.flow()).first() {
                        call.open_media(now, *flow, &mut self.out);
                    }
                }
                Err(cause) => {
                    call.fail(now, &self.anchor, CallEnd::Failed, shown(cause, 120), &mut self.out);
                }
            }
        }
    }

    pub(super) fn session_event(&mut self, now: Instant, number: CallNumber, event: invite::Event) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        match event {
            invite::Event::Challenged { id, response, .. } => {
                let met = self.sending.take_challenged(Owner::Call(number), id);
                let account = self.accounts.get_mut(index(call.account));
                let credentials = met.zip(account).map(|(met, account)| account.trust.authorize(&met, &response));
                let Some(session) = call.sender_of(id) else { return };
                match credentials {
                    Some(Ok(headers)) => session.authenticate(now, id, headers),
                    Some(Err(refusal)) => {
                        self.out.log(format!("call {number}: {refusal}"));
                        session.give_up(now, id);
                    }
                    None => session.give_up(now, id),
                }
            }
            invite::Event::Written { number: text, status, reason } => self.text_in_call(now, text, status, &reason),
            invite::Event::Lost { status } => self.signalling_lost(now, number, status),
            invite::Event::Expired => self.session_expired(now, number),
            // The peer may have taken the call over already, and said so in another message.
            invite::Event::Ended { cause: cause @ invite::Cause::PeerHungUp { .. } }
                if call.recovery.replacing.is_some() =>
            {
                call.recovery.ended = Some(cause);
            }
            invite::Event::Ended { cause: invite::Cause::Refused { .. } } => {
                call.handle_session(now, event, &self.anchor, &mut self.out);
                self.busy_until = Some(now + super::BUSY_TONE);
            }
            invite::Event::Answered { .. } => {
                call.handle_session(now, event, &self.anchor, &mut self.out);
                // The user has taken up another call meanwhile: this one waits, as any other than the one talked on.
                let talked_on = self.focus.filter(|focus| *focus != number).and_then(|focus| self.calls.get(&focus));
                if talked_on.is_some_and(Call::is_established)
                    && let Some(call) = self.calls.get_mut(&number)
                {
                    call.set_hold(now, true);
                }
            }
            invite::Event::Referred { target, by } => self.referred(now, number, *target, by.as_deref()),
            invite::Event::TransferProgress { status, over } => self.transfer_progress(now, number, status, over),
            _ => call.handle_session(now, event, &self.anchor, &mut self.out),
        }
    }
}

/// How a call of this account is to be.
pub(super) fn session_config(user_agent: &str, account: &Account) -> invite::Config {
    let takes_candidates = account.settings.handling.reach.ice != IceUse::Off;
    invite::Config { user_agent: user_agent.to_owned(), takes_candidates, ..invite::Config::default() }
}
