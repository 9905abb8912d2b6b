//! Who may register and call: digest for the users of the configuration, or anybody on this machine (RFC 3261 §22).
use crate::base::rng::Rng;
use crate::sip::auth::{AuthValue, Denial, Password, Server, ServerConfig, Verdict};
use crate::sip::message::{Request, Response};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

/// Who is let in.
#[derive(Clone, Debug)]
pub enum Access {
    /// Anybody whose packets come from this machine: for the demo. Others are refused.
    Loopback,
    /// Users by name, each proving a password.
    Users(BTreeMap<String, Password>),
}

/// Which of the two roles of a server asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Registrar,
    Proxy,
}

impl Role {
    fn status(self) -> u16 {
        match self {
            Self::Registrar => 401,
            Self::Proxy => 407,
        }
    }

    fn challenge_header(self) -> &'static str {
        match self {
            Self::Registrar => "WWW-Authenticate",
            Self::Proxy => "Proxy-Authenticate",
        }
    }

    fn credentials_header(self) -> &'static str {
        match self {
            Self::Registrar => "Authorization",
            Self::Proxy => "Proxy-Authorization",
        }
    }
}

#[derive(Debug)]
pub struct Gate {
    access: Access,
    realm: String,
    server: Server,
}

impl Gate {
    pub fn new(access: Access, config: ServerConfig, rng: Rng) -> Self {
        Self { access, realm: config.realm.clone(), server: Server::new(config, rng) }
    }

    /// Whether a user of that name exists, as far as the configuration tells.
    pub fn knows(&self, user: &str) -> bool {
        matches!(&self.access, Access::Users(users) if users.contains_key(user))
    }

    /// Whether somebody from there who is not one of our users may call one of them.
    pub fn admits_strangers(&self, source: IpAddr) -> bool {
        matches!(&self.access, Access::Users(_)) || source.to_canonical().is_loopback()
    }

    /// Lets a request pass that claims to come from `user`.
    ///
    /// # Errors
    /// The answer to the request: a challenge, or 403.
    pub fn check(
        &mut self,
        now: Instant,
        request: &Request,
        source: IpAddr,
        role: Role,
        user: &str,
        tag: &str,
    ) -> Result<(), Box<Response>> {
        let refused = |status| Box::new(Response::to_request(request, status, Some(tag)));
        let users = match &self.access {
            Access::Loopback if source.to_canonical().is_loopback() => return Ok(()),
            Access::Loopback => return Err(refused(403)),
            Access::Users(users) => users,
        };
        let password_of = |name: &str| users.get(name).cloned();
        match self.server.verify(now, request, role.credentials_header(), password_of) {
            Verdict::Accepted { user: proven } if proven == user => Ok(()),
            Verdict::Accepted { .. } => Err(refused(403)),
            Verdict::Denied(denial) => Err(Box::new(self.challenge(now, request, role, denial, tag))),
        }
    }

    /// Takes our own credentials out of a request that is forwarded; the next hop needs not see them (RFC 3261 §22.3).
    pub fn strip(&self, request: &mut Request) {
        let name = Role::Proxy.credentials_header();
        let is_ours = |value: &str| AuthValue::parse_all(value).iter().any(|c| c.get("realm") == Some(&self.realm));
        let others: Vec<String> =
            request.headers.all(name).filter(|value| !is_ours(value)).map(str::to_owned).collect();
        request.headers.remove(name);
        others.iter().for_each(|value| request.headers.push(name, value));
    }

    fn challenge(&mut self, now: Instant, request: &Request, role: Role, denial: Denial, tag: &str) -> Response {
        let mut response = Response::to_request(request, role.status(), Some(tag));
        for value in self.server.challenge(now, denial) {
            response.headers.push(role.challenge_header(), value);
        }
        response
    }
}
