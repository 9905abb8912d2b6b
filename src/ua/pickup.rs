//! Taking a call that rings elsewhere, and one that was parked: by the codes of the server.
use super::account::shown;
use super::handling::NUMBER;
use super::outgoing::Placing;
use super::{UserAgent, target};
use crate::base::id::{AccountId, CallNumber};
use crate::sip::refer::ReferTo;
use crate::ua::event::Event;
use crate::ua::snapshot::{Lamp, WatchView};
use std::time::{Duration, Instant};

/// How long after a call was handed over the lamp of its slot may come.
const LAMP: Duration = Duration::from_secs(10);

/// A call that is being parked: which slot it gets, the lamps tell.
#[derive(Debug)]
pub(super) struct Parking {
    call: CallNumber,
    account: AccountId,
    until: Instant,
}

impl UserAgent {
    /// Takes a call that rings: at one phone, or at any of our group.
    pub(super) fn pick_up(&mut self, now: Instant, wanted: Option<AccountId>, whom: Option<&str>) {
        if whom.is_some_and(|whom| self.take_watched(now, wanted, whom)) {
            return;
        }
        let codes = self.choose_account(wanted).map(|account| &account.settings.handling);
        let code = match (codes, whom) {
            (Some(codes), Some(_)) if codes.pickup_code.is_empty() => None,
            (Some(codes), None) if codes.group_pickup_code.is_empty() => None,
            (Some(codes), Some(whom)) => Some(directed(&codes.pickup_code, whom)),
            (Some(codes), None) => Some(codes.group_pickup_code.clone()),
            (None, _) => return self.out.refuse("there is no account to call from; `offhook init` makes one"),
        };
        let Some(code) = code else {
            let key = if whom.is_some() { "pickup_code" } else { "group_pickup_code" };
            return self.out.refuse(format!("the account has no {key}: what the server wants dialled for it"));
        };
        self.call_code(now, wanted, &code);
    }

    /// Takes a parked call back.
    pub(super) fn unpark(&mut self, now: Instant, wanted: Option<AccountId>, slot: &str) {
        self.call_code(now, wanted, slot);
    }

    fn call_code(&mut self, now: Instant, wanted: Option<AccountId>, code: &str) {
        let Some(account) = self.choose_account(wanted) else {
            return self.out.refuse("there is no account to call from; `offhook init` makes one");
        };
        match account.dial_code(code) {
            Ok(uri) => {
                let account = account.id;
                self.place(now, account, uri, Placing::default());
            }
            Err(error) => self.out.refuse(error.to_string()),
        }
    }

    /// Hands the call to the place of the server where calls wait: `slot`, or where the account parks.
    pub(super) fn park(&mut self, now: Instant, number: CallNumber, slot: Option<&str>) {
        let account = self.calls.get(&number).and_then(|call| self.account(call.account));
        let Some(account) = account else { return self.out.refuse(format!("there is no call {number}")) };
        let place = slot.unwrap_or(&account.settings.handling.park).to_owned();
        if place.is_empty() {
            return self.out.refuse("the account has no park: the number calls are parked at");
        }
        match account.dial_code(&place) {
            Ok(uri) => {
                let account = account.id;
                if self.refer(now, number, &ReferTo { uri, replaces: None }, &place, None)
                    && let Some(call) = self.calls.get_mut(&number)
                {
                    call.begin_parking();
                    self.parking = Some(Parking { call: number, account, until: now + LAMP });
                }
            }
            Err(error) => self.out.refuse(error.to_string()),
        }
    }

    /// A lamp changed: the call that is being parked may be there now.
    pub(super) fn lamp_of_slot(&mut self, now: Instant, before: Option<Lamp>, view: &WatchView) {
        let taken = before == Some(Lamp::Free) && matches!(view.lamp, Lamp::Busy | Lamp::Ringing);
        let slots = |account| self.account(account).map(|a| a.settings.handling.park_slots.as_slice()).unwrap_or(&[]);
        let is_slot = slots(view.account).iter().any(|slot| shown(slot, 40) == view.label);
        let here = |parking: &mut Parking| parking.account == view.account && now < parking.until;
        if taken
            && is_slot
            && let Some(parking) = self.parking.take_if(here)
        {
            if let Some(call) = self.calls.get_mut(&parking.call) {
                call.parked_at(&view.label);
            }
            self.out.event(Event::Parked { call: parking.call, slot: view.label.clone() });
        }
    }
}

/// The code for one phone, whose number stands in its place, or behind the code.
fn directed(code: &str, whom: &str) -> String {
    let whom = whom.trim();
    let user = || {
        let rest = whom.strip_prefix("sips:").or_else(|| whom.strip_prefix("sip:")).unwrap_or(whom);
        rest.split('@').next().unwrap_or(rest).to_owned()
    };
    let number = target::number(whom).unwrap_or_else(user);
    if code.contains(NUMBER) { code.replace(NUMBER, &number) } else { format!("{code}{number}") }
}

#[cfg(test)]
mod tests {
    use super::directed;

    #[test]
    fn codes_carry_the_number_of_the_phone() {
        let rows = [
            ("**{number}", "1002", "**1002"),
            ("*8", "1002", "*81002"),
            ("*8{number}#", "sip:1002@pbx.example", "*81002#"),
            ("**{number}", "bob@pbx.example", "**bob"),
            ("**{number}", "+49 30-12", "**+493012"),
        ];
        for (code, whom, dialled) in rows {
            assert_eq!(directed(code, whom), dialled);
        }
    }
}
