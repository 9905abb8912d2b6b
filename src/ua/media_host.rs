//! Offers whose media address is a name: it is looked up before the phone rings (RFC 8866 §5.7).
use super::UserAgent;
use super::call::warning;
use crate::base::id::AccountId;
use crate::base::net::{Flow, Transport};
use crate::sdp::SdpError;
use crate::sip::key::ServerKey;
use crate::sip::locate::{AccessId, Question};
use crate::sip::message::{Host, Request};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long the caller waits for the look-up.
const PATIENCE: Duration = Duration::from_secs(2);
/// Calls that may wait so at a time.
const HELD: usize = 8;

/// An INVITE that waits for the address of a name.
#[derive(Debug)]
pub struct Held {
    key: ServerKey,
    request: Request,
    flow: Flow,
    account: AccountId,
    name: String,
    question: Question,
    pub until: Instant,
}

/// What a name in an offer stands for.
#[derive(Clone, Debug)]
pub struct Known {
    pub name: String,
    pub address: IpAddr,
}

impl UserAgent {
    /// Looks the name up, and deals with the INVITE when it is known. `false` when that is not done.
    pub(super) fn hold_invite(
        &mut self,
        now: Instant,
        key: &ServerKey,
        request: &Request,
        (flow, account): (Flow, AccountId),
        name: &str,
    ) -> bool {
        let Some(host @ Host::Name(_)) = Host::parse(name) else { return false };
        if self.held.len() >= HELD {
            return false;
        }
        // A port: only addresses are asked for.
        let (port, transport) = (Some(Transport::Udp.default_port()), Some(Transport::Udp));
        let question = Question { host, port, transport, secure: false, access: AccessId::default() };
        self.held.push(Held {
            key: key.clone(),
            request: request.clone(),
            flow,
            account,
            name: name.to_owned(),
            question: question.clone(),
            until: now + PATIENCE,
        });
        self.ask(now, question);
        true
    }

    /// INVITEs that waited for this answer go on.
    pub(super) fn located_media(&mut self, now: Instant, question: &Question, answer: &Result<Vec<Flow>, String>) {
        while let Some(at) = self.held.iter().position(|held| held.question == *question) {
            let held = self.held.remove(at);
            let of_our_kind = |flow: &&Flow| flow.remote.is_ipv4() == held.flow.local.is_ipv4();
            match answer.as_ref().ok().and_then(|flows| flows.iter().find(of_our_kind)) {
                Some(found) => {
                    let known = Known { name: held.name, address: found.remote.ip() };
                    self.handle_invite(now, held.key, &held.request, (held.flow, held.account), Some(&known));
                }
                None => self.refuse_held(now, held),
            }
        }
    }

    /// The name servers were too slow for these.
    pub(super) fn give_up_held(&mut self, now: Instant) {
        while let Some(at) = self.held.iter().position(|held| held.until <= now) {
            let held = self.held.remove(at);
            self.refuse_held(now, held);
        }
    }

    /// The caller gave up meanwhile; `false` when this INVITE does not wait.
    pub(super) fn cancel_held(&mut self, now: Instant, key: &ServerKey) -> bool {
        let Some(at) = self.held.iter().position(|held| held.key == *key) else { return false };
        let held = self.held.remove(at);
        self.respond(now, &held.key, &held.request, 487, &[]);
        true
    }

    fn refuse_held(&mut self, now: Instant, held: Held) {
        let error = SdpError::HostName(held.name);
        self.out.log(format!("a call is refused: {error}, and cannot be"));
        self.respond(now, &held.key, &held.request, error.status(), &[("Warning", &warning(&error))]);
    }
}
