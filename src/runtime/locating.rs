//! Turns hosts into flows: numeric hosts at once, names by asking the name servers.
use crate::base::net::Flow;
use crate::net::{Router, Server};
use crate::sip::locate::{Located, Question};
use crate::sip::message::Host;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a name may take to be resolved.
const RESOLVE: Duration = Duration::from_secs(5);
/// How long an answer is used that says nothing about it.
const FRESH: Duration = Duration::from_secs(60);

/// A question and its answer, or why there is none.
pub type Answer = (Question, Result<Located, String>);

/// The questions that are open.
pub struct Locating {
    router: Router,
    resolving: JoinSet<Answer>,
}

impl Locating {
    pub fn new(router: Router) -> Self {
        Self { router, resolving: JoinSet::new() }
    }

    /// Asks; what needs no name server is answered at once, the rest by [`Locating::next`].
    pub fn ask(&mut self, question: Question) -> Option<Answer> {
        let transport = question.transport_or_default();
        let port = question.port.unwrap_or(transport.default_port());
        match question.host.clone() {
            Host::Ip(ip) => {
                let server = Server { name: ip.to_string(), access: question.access };
                let flow = self.router.flow(transport, SocketAddr::new(ip, port), &server);
                let answer = flow.map(|flow| Located { flows: vec![flow], fresh: FRESH });
                Some((question, answer.map_err(|error| error.to_string())))
            }
            Host::Name(name) => {
                let router = self.router.clone();
                self.resolving.spawn(async move {
                    let looked_up = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((name.as_str(), port))).await;
                    let answer = match looked_up {
                        Ok(Ok(addresses)) => {
                            let server = Server { name: name.clone(), access: question.access };
                            let flows: Vec<Flow> =
                                addresses.filter_map(|to| router.flow(transport, to, &server).ok()).collect();
                            let found = (!flows.is_empty()).then_some(Located { flows, fresh: FRESH });
                            found.ok_or_else(|| format!("no way to any address of {name}"))
                        }
                        Ok(Err(error)) => Err(format!("the name {name} is not known: {error}")),
                        Err(_) => Err(format!("the name server did not answer for {name}")),
                    };
                    (question, answer)
                });
                None
            }
        }
    }

    /// The next answer of a name server; never, while nothing is asked.
    pub async fn next(&mut self) -> Answer {
        loop {
            match self.resolving.join_next().await {
                Some(Ok(answer)) => return answer,
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}
