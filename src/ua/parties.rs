//! Whom to believe when somebody says who somebody is: the account's own server and nobody else (RFC 3325 §5).
use super::UserAgent;
use super::call::party::{self, Sender};
use super::index;
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::Flow;
use crate::sip::identity;
use crate::sip::message::{Headers, NameAddr, Uri};
use crate::ua::event::Event;
use crate::ua::identity::Identity;

impl UserAgent {
    /// The account's own server as it is named to the user, when a message came from there.
    pub(super) fn server_of(&self, account: AccountId, flow: &Flow) -> Option<String> {
        let account = self.accounts.get(index(account))?;
        account.trust.is_server(flow.remote.ip()).then(|| account.settings.domain.to_string())
    }

    /// Takes away what only the server of the call's account may say, when the message is not from there.
    pub(super) fn distrust(&self, call: CallNumber, flow: &Flow, headers: &mut Headers) {
        let account = self.calls.get(&call).map(|call| call.account);
        if account.is_none_or(|account| self.server_of(account, flow).is_none()) {
            identity::distrust(headers);
        }
    }

    /// Who sent a request from outside of any call.
    pub(super) fn identify(&self, account: AccountId, flow: &Flow, headers: &Headers, from: &NameAddr) -> Identity {
        let server = self.server_of(account, flow);
        let mut identity = party::caller(Sender { headers, from, server: server.as_deref() });
        self.recognise(account, &mut identity);
        identity
    }

    /// Whom the user calls.
    pub(super) fn identify_dialled(&self, account: AccountId, target: &Uri) -> Identity {
        let mut identity = party::dialled(target);
        self.recognise(account, &mut identity);
        identity
    }

    /// Tells who has become known, or has changed; `true` when there was anybody.
    pub(super) fn report_identities(&mut self) -> bool {
        let changed = |(number, call): (&CallNumber, &mut super::Call)| call.take_identity_news().then_some(*number);
        let changed: Vec<CallNumber> = self.calls.iter_mut().filter_map(changed).collect();
        for number in &changed {
            let known = self.calls.get(number).map(|call| (call.account, call.identity.clone()));
            let Some((account, mut identity)) = known else { continue };
            self.recognise(account, &mut identity);
            let phrase = identity.phrase();
            self.out.log(format!("call {number}: with {} ({phrase})", identity.label()));
            if let Some(call) = self.calls.get_mut(number) {
                call.identity = identity.clone();
            }
            self.out.event(Event::Identified { call: *number, identity: Box::new(identity) });
        }
        !changed.is_empty()
    }
}
