//! Whom an account trusts: the addresses its own servers speak from, who alone may ring here and learn anything that a
//! password could be guessed from.
use crate::base::net::Flow;
use crate::base::rng::Rng;
use crate::sip::auth::{Client, Credentials};
use crate::sip::message::{Method, Request, Response};
use crate::ua::account::shown;
use crate::ua::sending::Challenged;
use crate::ua::settings::AccountSettings;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Servers' addresses remembered for an account; the one that was not found for the longest time goes first.
const SERVERS: usize = 32;

#[derive(Debug)]
pub struct Trust {
    servers: VecDeque<IpAddr>,
    credentials: Option<Client>,
}

impl Trust {
    pub fn new(settings: &AccountSettings, rng: &mut Rng) -> Self {
        let credentials = settings.password.as_ref().map(|password| Credentials {
            user: settings.auth_user.clone().unwrap_or_else(|| settings.user.clone()),
            password: password.clone(),
            realm: settings.realm.clone(),
        });
        Self {
            servers: VecDeque::new(),
            credentials: credentials.map(|credentials| Client::new(credentials, rng.fork())),
        }
    }

    /// Learns an address our own server speaks from.
    pub fn learn(&mut self, address: IpAddr) {
        self.servers.retain(|known| *known != address);
        self.servers.push_back(address);
        if self.servers.len() > SERVERS {
            self.servers.pop_front();
        }
    }

    pub fn is_server(&self, source: IpAddr) -> bool {
        self.servers.contains(&source)
    }

    /// The headers that answer a challenge, or why it is not answered.
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
}

#[cfg(test)]
mod tests {
    use super::Trust;
    use std::collections::VecDeque;
    use std::net::IpAddr;

    #[test]
    fn a_domain_whose_servers_change_for_weeks_stays_trusted() {
        let mut trust = Trust { servers: VecDeque::new(), credentials: None };
        let address = |n: u8| IpAddr::from([192, 0, 2, n]);
        for n in 1..=100 {
            trust.learn(address(200));
            trust.learn(address(n));
        }
        assert!(trust.is_server(address(100)) && trust.is_server(address(200)));
        assert!(!trust.is_server(address(1)), "not for ever");
    }
}
