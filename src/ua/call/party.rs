//! The other party of a call: who it is by what messages say (RFC 3325, RFC 4916), and how sure that is.
//!
//! Messages come here after headers were taken away that only the account's own server may write: what they assert is the
//! word of that server.
use super::Call;
use crate::sip::identity::{self, Asserted, Attestation, Forwarding, Privacy, is_anonymous};
use crate::sip::invite::Fork;
use crate::sip::message::{Headers, NameAddr, Scheme, Uri};
use crate::ua::account::shown;
use crate::ua::identity::{Forwarded, Identity, Source, Verification};

/// Columns of a name and of an address.
const NAME: usize = 60;
const ADDRESS: usize = 80;
/// Who handed a call on: more than these are not told.
const FORWARDED: usize = 4;

/// Who sent a message.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    pub headers: &'a Headers,
    /// What the sender says of itself.
    pub from: &'a NameAddr,
    /// The account's own server, when the message came from there.
    pub server: Option<&'a str>,
}

/// Whom the user calls.
pub fn dialled(target: &Uri) -> Identity {
    Identity { source: Source::Dialled, address: address(target), ..Identity::default() }
}

/// Who calls.
pub fn caller(sender: Sender<'_>) -> Identity {
    let Sender { headers, from, server } = sender;
    let asserted = server.and_then(|_| Asserted::of(headers));
    let hidden = Privacy::of(headers).hides_sender() || asserted.as_ref().is_some_and(|asserted| asserted.withheld);
    let forwarded = forwarded(headers);
    let about = Identity { forwarded, from_server: server.is_some(), ..Identity::default() };
    let named = asserted.as_ref().map_or(from, |asserted| &asserted.address);
    if hidden || is_anonymous(named) {
        return Identity { source: Source::Withheld, ..about };
    }
    let vouched = asserted.as_ref().is_some_and(|asserted| asserted.vouched);
    let same = asserted.is_none() || named.uri.user == from.uri.user;
    let verification = server.and_then(|_| {
        identity::Verification::of(named).or_else(|| identity::Verification::of(from).filter(|_| same)).map(meaning)
    });
    let source = match (verification, vouched) {
        (Some(Verification::Passed), _) => Source::Verified,
        (_, true) => Source::Asserted,
        (_, false) => Source::Claimed,
    };
    Identity {
        address: address(&named.uri),
        told: told(named),
        by: if source == Source::Claimed { String::new() } else { shown(server.unwrap_or_default(), ADDRESS) },
        source,
        verification,
        attestation: Attestation::of(headers).map(|attestation| attestation.letter().to_owned()),
        ..about
    }
}

fn meaning(verification: identity::Verification) -> Verification {
    match verification {
        identity::Verification::Passed => Verification::Passed,
        identity::Verification::Failed => Verification::Failed,
        identity::Verification::None => Verification::None,
    }
}

fn forwarded(headers: &Headers) -> Vec<Forwarded> {
    let step = |step: Forwarding| {
        let by = step.by.filter(|by| !is_anonymous(by)).map(|by| match told(&by) {
            name if name.is_empty() => {
                by.uri.user.as_deref().map_or_else(|| address(&by.uri), |u| shown(plain(u), NAME))
            }
            name => name,
        });
        Forwarded { by: by.unwrap_or_else(|| "somebody".to_owned()), why: step.why.to_owned() }
    };
    Forwarding::of(headers).into_iter().take(FORWARDED).map(step).collect()
}

/// The display name, when it says anything.
fn told(party: &NameAddr) -> String {
    party.display.as_deref().map(|name| shown(name, NAME).trim().to_owned()).unwrap_or_default()
}

/// The address, `sip:` left out, fit for the screen.
fn address(uri: &Uri) -> String {
    let user = uri.user.as_deref().map(plain);
    match &uri.scheme {
        Scheme::Tel => shown(user.unwrap_or_default(), ADDRESS),
        Scheme::Sip | Scheme::Sips | Scheme::Other(_) => {
            let port = uri.port.map(|port| format!(":{port}")).unwrap_or_default();
            let user = user.map(|user| format!("{user}@")).unwrap_or_default();
            shown(&format!("{user}{}{port}", uri.host), ADDRESS)
        }
    }
}

/// A number without the parameters behind it.
fn plain(user: &str) -> &str {
    let (number, rest) = user.split_once(';').unwrap_or((user, ""));
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b"+-.()*#".contains(&b));
    if is_number && !rest.is_empty() { number } else { user }
}

impl Identity {
    /// Chooses what is shown first, by what the user calls the party.
    pub(in crate::ua) fn recognise(&mut self, contact: Option<&str>) {
        self.contact = contact.map(str::to_owned);
        let user = || self.address.split_once('@').map_or(self.address.as_str(), |(user, _)| user);
        self.name = match contact {
            _ if self.source == Source::Withheld => "withheld".to_owned(),
            Some(name) => name.to_owned(),
            None if !self.told.is_empty() => self.told.clone(),
            None => user().to_owned(),
        };
    }

    fn user(&self) -> &str {
        self.address.split_once('@').map_or(&self.address, |(user, _)| user)
    }
}

impl Call {
    /// A response of the called side: who it is that rings or has answered.
    pub(super) fn hear_response(&mut self, fork: Fork, headers: &Headers, answered: bool) {
        let asserted = Asserted::of(headers).filter(|asserted| {
            // Whoever does not want to be named was called by the name that the user knows.
            !asserted.withheld && !Privacy::of(headers).hides_sender() && !is_anonymous(&asserted.address)
        });
        match asserted {
            Some(asserted) => {
                self.connected_by = Some(fork);
                self.connected(&asserted);
            }
            None if answered && self.connected_by.is_some_and(|by| by != fork) => {
                // Another one rang and was named; this one has answered and is not.
                self.connected_by = None;
                let dialled = dialled(&self.target);
                self.become_known(dialled);
            }
            None => {}
        }
    }

    /// A request of the other side within the call: it may be somebody else by now.
    pub(super) fn hear_request(&mut self, headers: &Headers) {
        if Privacy::of(headers).hides_sender() {
            return self.become_known(Identity { source: Source::Withheld, ..self.unchanged() });
        }
        match (Asserted::of(headers), headers.from()) {
            (Some(asserted), _) if asserted.withheld || is_anonymous(&asserted.address) => {
                self.become_known(Identity { source: Source::Withheld, ..self.unchanged() });
            }
            (Some(asserted), _) => self.connected(&asserted),
            // The other side's own word (RFC 4916) does not replace that of a server.
            (None, Ok(from)) if !self.identity.is_asserted() && self.identity.source != Source::Withheld => {
                let (address, told) = (address(&from.uri), told(&from));
                if address != self.identity.address && from.uri.user.is_some() {
                    let dialled = self.dialled_before(&address);
                    let known = Identity { address, told, dialled, source: Source::Claimed, ..self.unchanged() };
                    self.become_known(known);
                }
            }
            (None, _) => {}
        }
    }

    /// The server says who is connected.
    fn connected(&mut self, asserted: &Asserted) {
        let uri = &asserted.address.uri;
        let mut known = Identity { told: told(&asserted.address), address: address(uri), ..self.unchanged() };
        if known.user() == self.identity.user() && self.identity.source != Source::Withheld {
            // The same one: the address stays as it was typed or told, since that one can be called.
            known.address.clone_from(&self.identity.address);
            known.dialled.clone_from(&self.identity.dialled);
        } else {
            known.dialled = self.dialled_before(&known.address);
        }
        known.verification = identity::Verification::of(&asserted.address).map(meaning);
        known.source = match (known.verification, asserted.vouched) {
            (Some(Verification::Passed), _) => Source::Verified,
            (_, true) => Source::Asserted,
            (_, false) => Source::Claimed,
        };
        if known.source != Source::Claimed {
            known.by.clone_from(&self.server);
            known.from_server = true;
        }
        self.become_known(known);
    }

    /// What stays true of a call when its other party changes.
    fn unchanged(&self) -> Identity {
        Identity {
            forwarded: self.identity.forwarded.clone(),
            from_server: self.identity.from_server,
            dialled: self.identity.dialled.clone(),
            ..Identity::default()
        }
    }

    /// Whom the user called, where that is another address than this one.
    fn dialled_before(&self, address: &str) -> String {
        let before = match (&self.identity.source, self.identity.dialled.as_str()) {
            (Source::Dialled, _) => self.identity.address.clone(),
            (_, dialled) => dialled.to_owned(),
        };
        if before == address { String::new() } else { before }
    }

    /// Somebody else, or the same one with more certainty.
    pub fn become_known(&mut self, mut identity: Identity) {
        identity.recognise(None);
        // What the contacts say of it comes from the agent.
        let same =
            Identity { name: self.identity.name.clone(), contact: self.identity.contact.clone(), ..identity.clone() };
        if same != self.identity {
            self.identity = identity;
            self.identity_is_news = true;
        }
    }

    /// Whether it has become known since the last time that was asked.
    pub fn take_identity_news(&mut self) -> bool {
        std::mem::take(&mut self.identity_is_news)
    }

    /// Another party took the call over.
    pub fn rename(&mut self, identity: Identity, peer: &NameAddr) {
        if identity.address != self.identity.address || identity.source == Source::Withheld {
            self.target = peer.uri.clone();
            self.become_known(identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        lines.iter().for_each(|(name, value)| headers.push(name, value));
        headers
    }

    /// Name, address, source and who says so, of a call with these headers.
    fn known(lines: &[(&str, &str)], trusted: bool) -> (String, String, Source, String) {
        let mut headers = headers(lines);
        let from = headers.from().expect("a From");
        if !trusted {
            identity::distrust(&mut headers);
        }
        let mut known = caller(Sender { headers: &headers, from: &from, server: trusted.then_some("pbx.example") });
        known.recognise(None);
        (known.name, known.address, known.source, known.by)
    }

    #[test]
    fn who_calls_by_what_is_said_and_by_whom() {
        const FROM: (&str, &str) = ("From", "\"Bank\" <sip:+49301@evil.example>;tag=1");
        const PAI: (&str, &str) = ("P-Asserted-Identity", "\"Eve\" <sip:666@pbx.example>");
        type Row = (&'static [(&'static str, &'static str)], bool, [&'static str; 2], Source, &'static str);
        let pbx = "pbx.example";
        let rows: [Row; 13] = [
            (&[FROM, PAI], false, ["Bank", "+49301@evil.example"], Source::Claimed, ""),
            (&[FROM, PAI, ("Privacy", "id")], false, ["withheld", ""], Source::Withheld, ""),
            (&[FROM, PAI, ("Privacy", "user;critical")], true, ["withheld", ""], Source::Withheld, ""),
            (&[("From", "<sip:anonymous@anonymous.invalid>")], true, ["withheld", ""], Source::Withheld, ""),
            (&[FROM, PAI, ("Privacy", "none")], true, ["Eve", "666@pbx.example"], Source::Asserted, pbx),
            (&[FROM, PAI], true, ["Eve", "666@pbx.example"], Source::Asserted, pbx),
            (&[FROM], true, ["Bank", "+49301@evil.example"], Source::Claimed, ""),
            (&[FROM, ("Remote-Party-ID", "\"R\" <sip:7@h>;screen=no")], true, ["R", "7@h"], Source::Claimed, ""),
            (
                &[FROM, ("Remote-Party-ID", "<sip:7@h>;screen=yes;privacy=full")],
                true,
                ["withheld", ""],
                Source::Withheld,
                "",
            ),
            (
                &[("From", "<sip:+12;verstat=TN-Validation-Passed@h;user=phone>")],
                false,
                ["+12", "+12@h"],
                Source::Claimed,
                "",
            ),
            (
                &[("From", "<sip:+12;verstat=TN-Validation-Passed@h;user=phone>")],
                true,
                ["+12", "+12@h"],
                Source::Verified,
                pbx,
            ),
            // The number that was checked is not the one that is asserted.
            (
                &[("From", "<tel:+12;verstat=TN-Validation-Passed>"), PAI],
                true,
                ["Eve", "666@pbx.example"],
                Source::Asserted,
                pbx,
            ),
            (&[("From", "\"\u{202e}x\u{7}\" <sip:a@h>")], false, ["x", "a@h"], Source::Claimed, ""),
        ];
        for (lines, trusted, [name, address], source, by) in rows {
            assert_eq!(known(lines, trusted), (name.into(), address.into(), source, by.into()), "{lines:?} {trusted}");
        }
    }

    #[test]
    fn a_contact_does_not_uncover_who_is_withheld() {
        let mut identity = Identity { source: Source::Withheld, ..Identity::default() };
        identity.recognise(Some("Alice"));
        assert_eq!((identity.name.as_str(), identity.address.as_str()), ("withheld", ""));
    }
}
