//! One account: its registration, its credentials, and how requests of its server are told from those of strangers.
mod keep_alive;

pub use keep_alive::{KeepAlives, Task, Wanted};

use crate::base::id::AccountId;
use crate::base::net::{Flow, Transport};
use crate::base::rng::Rng;
use crate::base::untrusted::Untrusted;
use crate::sip::auth::{Client, Credentials};
use crate::sip::locate::{AccessId, LocateError, Question};
use crate::sip::message::{Host, Method, NameAddr, Params, Request, Response, Scheme, Uri};
use crate::sip::register::{self, Registration};
use crate::ua::cause;
use crate::ua::secure;
use crate::ua::sending::Challenged;
use crate::ua::settings::AccountSettings;
use crate::ua::snapshot::{AccountView, FlowView, RegistrationState};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Servers' addresses remembered for an account.
const SERVERS: usize = 32;
/// Waits before a name that could not be resolved is asked for again.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// How soon a lost connection to the registrar is made anew.
const REVIVE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Account {
    pub id: AccountId,
    pub settings: AccountSettings,
    pub registration: Option<Registration>,
    pub state: RegistrationState,
    /// The way to the registrar, once it is known.
    pub flow: Option<Flow>,
    /// Names us to those who learnt it from our server, and to nobody else.
    contact_user: String,
    servers: BTreeSet<IpAddr>,
    credentials: Option<Client>,
    /// The registration is wanted but has not begun: the registrar's address is not known yet.
    pub waits_for_address: bool,
    retry_wait: Duration,
    pub retry_at: Option<Instant>,
}

impl Account {
    pub fn new(id: AccountId, settings: AccountSettings, rng: &mut Rng) -> Self {
        let credentials = settings.password.as_ref().map(|password| Credentials {
            user: settings.auth_user.clone().unwrap_or_else(|| settings.user.clone()),
            password: password.clone(),
            realm: settings.realm.clone(),
        });
        let mut account = Self {
            id,
            credentials: credentials.map(|credentials| Client::new(credentials, rng.fork())),
            settings,
            registration: None,
            state: RegistrationState::Off,
            flow: None,
            contact_user: rng.hex(12),
            servers: BTreeSet::new(),
            waits_for_address: false,
            retry_wait: FIRST_RETRY,
            retry_at: None,
        };
        for host in account.own_hosts() {
            if let Host::Ip(ip) = host {
                account.trust(ip);
            }
        }
        account
    }

    /// The hosts the configuration names: proxy, registrar, domain.
    pub fn own_hosts(&self) -> Vec<Host> {
        let settings = &self.settings;
        let servers = settings.outbound_proxy.iter().chain(&settings.registrar).map(|(host, _)| host.clone());
        servers.chain([settings.domain.clone()]).collect()
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

    pub fn server_question(&self) -> Question {
        let (host, port) = self.server();
        Question { host, port, transport: self.settings.transport, secure: false, access: self.access() }
    }

    /// Where a request outside of a dialog goes that is for `target`: to the first Route of the account, else to the target.
    pub fn question(&self, target: &Uri) -> Result<Question, LocateError> {
        let hop = self.route().into_iter().next().map_or_else(|| self.lead(target.clone()), |route| route.uri);
        let hop = secure::hop(hop, target, self.settings.transport)?;
        Question::of(&hop, self.settings.transport, self.access())
    }

    pub fn access(&self) -> AccessId {
        AccessId(self.id.0)
    }

    /// The Route of a request outside of a dialog: the outbound proxy, if there is one.
    pub fn route(&self) -> Vec<NameAddr> {
        let Some((host, port)) = &self.settings.outbound_proxy else { return Vec::new() };
        let mut uri = self.hop(host.clone(), *port);
        uri.params.set("lr", None);
        vec![NameAddr::new(uri)]
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

    /// The Contact for a dialog over `flow`: the registered one where it is the same interface.
    pub fn contact(&self, flow: &Flow) -> NameAddr {
        let same = self.flow.is_some_and(|f| f.local == flow.local && f.transport == flow.transport);
        let mut contact = match self.registration.as_ref().filter(|_| same) {
            Some(registration) => registration.contact().clone(),
            None => contact_uri(self.user_part(), flow),
        };
        contact.headers = None;
        NameAddr::new(contact)
    }

    fn user_part(&self) -> &str {
        let registered = self.registration.as_ref().and_then(|r| r.contact().user.as_deref());
        registered.unwrap_or(&self.contact_user)
    }

    /// The registrar's address is known: register from there.
    pub fn begin(&mut self, now: Instant, flow: Flow, user_agent: &str, rng: &mut Rng) {
        self.flow = Some(flow);
        self.waits_for_address = false;
        self.retry_at = None;
        self.retry_wait = FIRST_RETRY;
        let contact = contact_uri(&self.contact_user, &flow);
        match &mut self.registration {
            Some(registration) => {
                if registration.contact().host != contact.host || registration.contact().port != contact.port {
                    registration.set_contact(contact);
                }
                registration.start(now);
            }
            None => {
                let registrar = Uri {
                    scheme: Scheme::Sip,
                    user: None,
                    password: None,
                    host: self.settings.domain.clone(),
                    port: self.settings.domain_port,
                    params: Params::default(),
                    headers: None,
                };
                let config = register::Config {
                    aor: self.aor(),
                    route: self.route(),
                    registrar,
                    expires: self.settings.expires,
                    user_agent: user_agent.to_owned(),
                };
                let mut registration = Registration::new(config, contact, rng.fork());
                registration.start(now);
                self.registration = Some(registration);
            }
        }
    }

    /// The registrar's name leads nowhere: said, and tried again.
    pub fn postpone(&mut self, now: Instant, cause: &str, rng: &mut Rng) {
        let wait = self.retry_wait.mul_f64(0.5 + rng.unit() / 2.0);
        self.retry_wait = (self.retry_wait * 2).min(LAST_RETRY);
        self.retry_at = Some(now + wait);
        self.state = RegistrationState::Failed { cause: cause.to_owned(), status: None, retry: self.retry_at };
    }

    /// Learns an address our own server speaks from.
    pub fn trust(&mut self, address: IpAddr) {
        if self.servers.len() < SERVERS {
            self.servers.insert(address);
        }
    }

    /// Whether a request from `source` to `target` may reach this account.
    pub fn accepts(&self, source: IpAddr, target: &Uri) -> bool {
        self.settings.direct_calls || self.names_us(target) || self.servers.contains(&source)
    }

    /// Whether the Request-URI has the secret user part only our server knows.
    pub fn names_us(&self, target: &Uri) -> bool {
        target.user.as_deref() == Some(self.user_part())
    }

    pub fn is_server(&self, source: IpAddr) -> bool {
        self.servers.contains(&source)
    }

    /// The headers that answer a challenge, or why it is not answered: nobody but the account's own server learns anything
    /// that a password could be guessed from.
    pub fn authorize(&mut self, met: &Challenged, response: &Response) -> Result<Vec<(String, String)>, String> {
        if !self.is_server(met.by) {
            return Err(format!("{} asks for a password; it is not a server of the account and gets none", met.by));
        }
        let Some(client) = &mut self.credentials else {
            return Err("the server asks for a password, and none is set for this account".to_owned());
        };
        client.answer(&met.request, response).map_err(|refusal| shown(&refusal.to_string(), 160))
    }

    /// Adds credentials that served before, so that a request need not be challenged first; takes those out that it has
    /// when it goes to somebody who is not a server of ours, as the ACK of a call may.
    pub fn put_credentials(&mut self, request: &mut Request, flows: &[Flow]) {
        let names = ["Authorization", "Proxy-Authorization"];
        if !flows.iter().all(|flow| self.is_server(flow.remote.ip())) {
            return names.iter().for_each(|name| request.headers.remove(name));
        }
        if request.method == Method::Ack || names.iter().any(|name| request.headers.get(name).is_some()) {
            return;
        }
        let headers = self.credentials.as_mut().map(|client| client.anticipate(request)).unwrap_or_default();
        for (name, value) in headers {
            request.headers.push(&name, value);
        }
    }

    /// Takes over what the registration machine reports.
    pub fn set_state(&mut self, state: &register::State) {
        self.state = match state {
            register::State::Off => RegistrationState::Off,
            register::State::Registering => RegistrationState::Registering,
            register::State::Registered { expires } => RegistrationState::Registered { expires: *expires },
            register::State::Unregistering => RegistrationState::Unregistering,
            register::State::Failed { cause, retry } => {
                let (words, status) = failure_words(cause, &self.server());
                RegistrationState::Failed { cause: words, status, retry: Some(*retry) }
            }
        };
    }

    /// The connection the registrar reaches us by is gone: registered again soon, so that calls find us
    /// (RFC 5626 §4.5); not at once, since a server that restarts needs a moment, and one that closes always, peace.
    pub fn flow_lost(&mut self, now: Instant, flow: &Flow, rng: &mut Rng) {
        let registered = matches!(self.state, RegistrationState::Registered { .. });
        if registered && flow.transport.is_reliable() && self.flow == Some(*flow) && self.retry_at.is_none() {
            self.retry_at = Some(now + REVIVE.mul_f64(0.5 + rng.unit() / 2.0));
        }
    }

    /// The flows that must be known to live.
    pub fn watched(&self) -> Option<Wanted> {
        let registered = matches!(self.state, RegistrationState::Registered { .. });
        let flow = self.flow.filter(|_| registered)?;
        Some(Wanted { flow, account: self.id, flow_timer: None })
    }

    pub fn view(&self) -> AccountView {
        AccountView {
            id: self.id,
            name: self.settings.name.clone(),
            address: self.address(),
            state: self.state.clone(),
            flows: self.flow.map(|flow| self.flow_view(&flow)).into_iter().collect(),
        }
    }

    fn flow_view(&self, flow: &Flow) -> FlowView {
        FlowView {
            transport: flow.transport,
            server: flow.remote,
            secure: flow.transport.is_secure(),
            state: self.state.clone(),
        }
    }
}

fn failure_words(cause: &register::Cause, server: &(Host, Option<u16>)) -> (String, Option<u16>) {
    let port = server.1.map(|p| format!(":{p}")).unwrap_or_default();
    match cause {
        register::Cause::Unreachable(register::Failure::Timeout) => {
            (format!("no answer from {}{port}; is the server running, and is the port open?", server.0), None)
        }
        register::Cause::Unreachable(register::Failure::Transport) => {
            (format!("{}{port} cannot be reached", server.0), None)
        }
        register::Cause::Refused { status, reason, .. } => {
            (cause::registration_refused(*status, &reason.sanitize(60)), Some(*status))
        }
    }
}

fn contact_uri(user: &str, flow: &Flow) -> Uri {
    let mut uri = Uri::sip(Some(user), Host::Ip(flow.local.ip()), Some(flow.local.port()));
    if flow.transport != Transport::Udp {
        uri.params.set("transport", Some(flow.transport.uri_token()));
    }
    uri
}

/// A header's text for the screen.
pub fn shown(text: &str, width: usize) -> String {
    Untrusted::new(text).sanitize(width)
}
