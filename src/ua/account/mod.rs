//! One account: its registrations, its credentials, and how requests of its server are told from those of strangers.
mod binding;
mod keep_alive;
mod presenting;
mod trust;

pub use binding::{Binding, is_other_server};
pub use keep_alive::{KeepAlives, Task, Wanted};
pub use trust::Trust;

use crate::base::id::AccountId;
use crate::base::net::{Flow, Transport};
use crate::base::rng::Rng;
use crate::base::untrusted::Untrusted;
use crate::sip::locate::{AccessId, LocateError, Question};
use crate::sip::message::{Host, NameAddr, Uri};
use crate::sip::register::{self, Registration};
use crate::ua::secure;
use crate::ua::settings::AccountSettings;
use crate::ua::snapshot::{AccountView, RegistrationState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Flows an account registers over at most (RFC 5626 §4.2.1 wants two or more).
pub const FLOWS: usize = 2;

/// What all accounts of a phone share.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Stands for us where nobody can connect to us (RFC 7118 §5).
    pub nowhere: Host,
    /// `urn:uuid:..`
    pub instance: Option<String>,
    pub user_agent: String,
}

#[derive(Debug)]
pub struct Account {
    pub id: AccountId,
    pub settings: AccountSettings,
    pub state: RegistrationState,
    pub trust: Trust,
    /// None until it is to register.
    pub bindings: Vec<Binding>,
    /// It was given up: it takes its registration back and leads the calls it has to their end, nothing else.
    pub retired: bool,
    access: AccessId,
    phone: Phone,
    /// Names us to those who learnt it from our server, and to nobody else.
    contact_user: String,
}

impl Account {
    /// - `access`: how its connections are opened.
    pub fn new(id: AccountId, settings: AccountSettings, access: AccessId, phone: Phone, rng: &mut Rng) -> Self {
        let mut trust = Trust::new(&settings, rng);
        let contact_user = rng.hex(12);
        let own_hosts = own_hosts(&settings);
        own_hosts.into_iter().filter_map(|host| host.ip()).for_each(|ip| trust.learn(ip));
        Self {
            id,
            settings,
            state: RegistrationState::Off,
            trust,
            bindings: Vec::new(),
            retired: false,
            access,
            phone,
            contact_user,
        }
    }

    /// `user@domain`
    pub fn address(&self) -> String {
        let port = self.settings.domain_port.map(|p| format!(":{p}")).unwrap_or_default();
        format!("{}@{}{port}", self.settings.user, self.settings.domain)
    }

    pub fn aor(&self) -> NameAddr {
        let settings = &self.settings;
        let mut aor = NameAddr::new(Uri::sip(Some(&settings.user), settings.domain.clone(), settings.domain_port));
        aor.display = (!settings.display_name.is_empty()).then(|| settings.display_name.clone());
        aor
    }

    /// The domain of the location service (RFC 3261 §10.2).
    pub fn registrar(&self) -> Uri {
        Uri::sip(None, self.settings.domain.clone(), self.settings.domain_port)
    }

    /// The domain that numbers and bare names belong to; none for calls without any server.
    pub fn dial_domain(&self) -> Option<(&Host, Option<u16>)> {
        let settings = &self.settings;
        let served = settings.register || settings.registrar.is_some() || settings.outbound_proxy.is_some();
        (served || !settings.direct_calls).then_some((&settings.domain, settings.domain_port))
    }

    /// Where requests outside of a dialog towards our own domain go.
    pub fn server(&self) -> (Host, Option<u16>) {
        let own = (self.settings.domain.clone(), self.settings.domain_port);
        self.settings.outbound_proxy.clone().or_else(|| self.settings.registrar.clone()).unwrap_or(own)
    }

    /// Where the registrations go.
    pub fn server_question(&self) -> Question {
        let (host, port) = self.server();
        Question { host, port, transport: self.settings.transport, secure: false, access: self.access() }
    }

    /// Where this registration goes: where a redirection sent it, else to the server.
    pub fn binding_question(&self, binding: &Binding) -> Question {
        let redirected = binding.registration.redirected().filter(|_| self.settings.outbound_proxy.is_none());
        let question = redirected.and_then(|uri| self.safe_question(uri, None));
        question.unwrap_or_else(|| self.server_question())
    }

    /// The question for a URI that a server named; none when it would leave a protected transport.
    fn safe_question(&self, uri: &Uri, flow: Option<&Flow>) -> Option<Question> {
        let preferred = flow.map(|flow| flow.transport).or(self.settings.transport);
        let question = Question::of(uri, preferred, self.access()).ok()?;
        let is_downgrade = preferred.is_some_and(Transport::is_secure) && !question.transport_or_default().is_secure();
        (!is_downgrade).then_some(question)
    }

    /// The target of a redirection that our registration follows: within our own domain, and no less protected.
    pub fn followed(&self, targets: Vec<Uri>) -> Option<Uri> {
        targets.into_iter().find(|uri| self.owns(&uri.host) && self.safe_question(uri, None).is_some()).map(|uri| {
            let mut registrar = Uri::sip(None, uri.host, uri.port);
            registrar.scheme = uri.scheme;
            if let Some(transport) = uri.params.value("transport") {
                registrar.params.set("transport", Some(transport));
            }
            registrar
        })
    }

    /// Whether a host belongs to the account's own domain, or is named by the configuration.
    pub fn owns(&self, host: &Host) -> bool {
        let is_below = match (host, &self.settings.domain) {
            (Host::Name(host), Host::Name(domain)) => {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
            (Host::Ip(ip), _) => self.trust.is_server(*ip),
            (Host::Name(_), Host::Ip(_)) => false,
        };
        is_below || own_hosts(&self.settings).contains(host)
    }

    /// Whether what answers at this host may ask for our password: the servers the configuration names, and those they
    /// sent us on to within the domain.
    pub fn trusts(&self, host: &Host) -> bool {
        let redirected = self.bindings.iter().filter_map(|b| b.registration.redirected()).any(|uri| uri.host == *host);
        let on_route = || self.route().first().is_some_and(|hop| hop.uri.host == *host && self.owns(host));
        own_hosts(&self.settings).contains(host) || redirected || on_route()
    }

    /// Where a request outside of a dialog goes that is for `target`: to the first Route of the account, else to the target.
    pub fn question(&self, target: &Uri) -> Result<Question, LocateError> {
        let hop = self.route().into_iter().next().map_or_else(|| self.lead(target.clone()), |route| route.uri);
        let hop = secure::hop(hop, target, self.settings.transport)?;
        Question::of(&hop, self.settings.transport, self.access())
    }

    pub fn access(&self) -> AccessId {
        self.access
    }

    /// The outbound proxy of the configuration, if there is one.
    pub fn proxy_route(&self) -> Vec<NameAddr> {
        let Some((host, port)) = &self.settings.outbound_proxy else { return Vec::new() };
        let mut uri = self.hop(host.clone(), *port);
        uri.params.set("lr", None);
        vec![NameAddr::new(uri)]
    }

    /// The Route of a request outside of a dialog: what the registrar told of the way out (RFC 3608 §6.1). The outbound
    /// proxy stays the first hop, unless the registrar's way begins with it.
    pub fn route(&self) -> Vec<NameAddr> {
        let proxy = self.proxy_route();
        let service = self.service_route();
        let begins_there = match (proxy.first(), service.first()) {
            (Some(proxy), Some(first)) => (&proxy.uri.host, proxy.uri.port) == (&first.uri.host, first.uri.port),
            (_, _) => false,
        };
        if begins_there { service } else { proxy.into_iter().chain(service).collect() }
    }

    /// The Service-Route of the flow that calls take, if it is no less protected than that.
    fn service_route(&self) -> Vec<NameAddr> {
        let Some(binding) = self.best() else { return Vec::new() };
        let route = binding.registration.grant().map(|grant| grant.service_route.clone()).unwrap_or_default();
        let safe = route.first().is_some_and(|hop| self.safe_question(&hop.uri, binding.flow()).is_some());
        if safe { route } else { Vec::new() }
    }

    /// Where a request outside of a dialog goes that is addressed to `uri`: our own domain is served by the registrar.
    pub fn lead(&self, uri: Uri) -> Uri {
        let own = (&self.settings.domain, self.settings.domain_port.unwrap_or(5060));
        match &self.settings.registrar {
            Some((host, port)) if (&uri.host, uri.port.unwrap_or(5060)) == own => self.hop(host.clone(), *port),
            Some(_) | None => uri,
        }
    }

    fn hop(&self, host: Host, port: Option<u16>) -> Uri {
        let mut uri = Uri::sip(None, host, port);
        if let Some(transport) = self.settings.transport.filter(|t| *t != Transport::Udp) {
            uri.params.set("transport", Some(transport.uri_token()));
        }
        uri
    }

    /// The Contact for a dialog over `flow`: the GRUU of the registration there, else its Contact, marked to be reached over
    /// that flow where the server keeps flows (RFC 5626 §4.3); else our address on that way.
    pub fn contact(&self, flow: &Flow) -> NameAddr {
        let same_interface = |b: &&Binding| {
            let own = b.flow().filter(|own| !own.transport.is_websocket());
            own.is_some_and(|own| own.local == flow.local && own.transport == flow.transport)
        };
        let over = self.bindings.iter().find(|b| b.uses(flow)).or_else(|| self.bindings.iter().find(same_interface));
        let grant = over.and_then(|binding| binding.registration.grant());
        if let Some(gruu) = grant.and_then(|grant| grant.gruu.clone()) {
            return NameAddr::new(gruu);
        }
        // After a change of the network the registration may still be on its way to the new address.
        let here = over.filter(|b| b.flow().is_some_and(|own| own.local.ip() == flow.local.ip()));
        let bound = here.and_then(|binding| binding.registration.contact().cloned());
        let mut contact = bound.unwrap_or_else(|| self.contact_uri(flow));
        if grant.is_some_and(|grant| grant.outbound) {
            contact.params.set("ob", None);
        }
        NameAddr::new(contact)
    }

    /// Our address on a way.
    pub fn contact_uri(&self, flow: &Flow) -> Uri {
        let user = Some(self.contact_user.as_str());
        let mut uri = if flow.transport.is_websocket() {
            Uri::sip(user, self.phone.nowhere.clone(), None)
        } else {
            Uri::sip(user, Host::Ip(flow.local.ip()), Some(flow.local.port()))
        };
        if flow.transport != Transport::Udp {
            uri.params.set("transport", Some(flow.transport.uri_token()));
        }
        uri
    }

    /// Adds a flow that is to register.
    pub fn add_binding(&mut self, rng: &mut Rng) {
        let number = u8::try_from(self.bindings.len()).unwrap_or(u8::MAX);
        let config = register::Config {
            aor: self.aor(),
            route: self.proxy_route(),
            registrar: self.registrar(),
            expires: self.settings.expires,
            user_agent: self.phone.user_agent.clone(),
            instance: self.phone.instance.clone(),
            reg_id: self.settings.outbound.then(|| u32::from(number) + 1),
        };
        self.bindings.push(Binding::new(number, Registration::new(config, rng.fork())));
    }

    /// The flow that calls take: the first that is registered, else the first there is.
    pub fn best(&self) -> Option<&Binding> {
        self.bindings.iter().find(|b| b.is_registered()).or(self.bindings.first())
    }

    /// The flows it is registered over, or tries to be.
    pub fn flows(&self) -> impl Iterator<Item = Flow> {
        self.bindings.iter().filter_map(|binding| binding.flow().copied())
    }

    /// The flow that calls take: one that works.
    pub fn flow(&self) -> Option<Flow> {
        self.best().filter(|binding| binding.is_registered()).and_then(|binding| binding.flow().copied())
    }

    /// Where the other flows of the account lead.
    pub fn taken(&self, number: usize) -> Vec<Flow> {
        let others =
            self.bindings.iter().enumerate().filter(|(at, b)| *at != number && b.state != RegistrationState::Off);
        others.filter_map(|(_, b)| b.flow().copied()).collect()
    }

    /// Whether a request from `source` to `target` may reach this account.
    pub fn accepts(&self, source: IpAddr, target: &Uri) -> bool {
        self.settings.direct_calls || self.names_us(target) || self.trust.is_server(source)
    }

    /// Whether the Request-URI has the secret user part only our server knows.
    pub fn names_us(&self, target: &Uri) -> bool {
        target.user.as_deref() == Some(self.contact_user.as_str())
    }

    /// Puts the states of the flows together: one that works is enough. Returns whether what is to be told changed.
    pub fn sum_up(&mut self) -> bool {
        let rank = |state: &RegistrationState| match state {
            RegistrationState::Registered { .. } => 0,
            RegistrationState::Registering => 1,
            RegistrationState::Unregistering => 2,
            RegistrationState::Failed { .. } => 3,
            RegistrationState::Off => 4,
        };
        let best = self.bindings.iter().map(|b| &b.state).min_by_key(|state| rank(state));
        let new = best.cloned().unwrap_or(RegistrationState::Off);
        let old = std::mem::replace(&mut self.state, new.clone());
        match (old, new) {
            // A try more, and when the next one is due, is seen on the screen; it is no news.
            (
                RegistrationState::Failed { cause: old, status: before, .. },
                RegistrationState::Failed { cause: new, status: now, .. },
            ) => (old, before) != (new, now),
            (old, new) => old != new,
        }
    }

    pub fn view(&self) -> AccountView {
        AccountView {
            forwarding: self.settings.handling.forwarding.clone(),
            do_not_disturb: self.settings.handling.do_not_disturb,
            mailbox: None,
            messages: Arc::default(),
            id: self.id,
            name: self.settings.name.clone(),
            address: self.address(),
            state: self.state.clone(),
            flows: self.bindings.iter().filter_map(Binding::view).collect(),
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.bindings.iter().filter_map(|b| b.registration.poll_timeout()).min()
    }
}

/// The hosts the configuration names: proxy, registrar, domain.
fn own_hosts(settings: &AccountSettings) -> Vec<Host> {
    let servers = settings.outbound_proxy.iter().chain(&settings.registrar).map(|(host, _)| host.clone());
    servers.chain([settings.domain.clone()]).collect()
}

/// A header's text for the screen.
pub fn shown(text: &str, width: usize) -> String {
    Untrusted::new(text).sanitize(width)
}
