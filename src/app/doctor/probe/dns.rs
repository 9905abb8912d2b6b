//! Looks up the servers of a host as the phone does, and notes what each name server says and how long it takes.
use crate::app::doctor::names::{Lookup, Names};
use crate::base::rng::Rng;
use crate::net::dns::Resolver;
use crate::sip::locate::{Ask, Heard, Question, Search};
use crate::sip::message::Host;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub async fn names(question: Question, name_server: Option<SocketAddr>, rng: Rng) -> Names {
    let mut resolver = Resolver::new(name_server);
    let (host, is_numeric) = (question.host.to_string(), matches!(question.host, Host::Ip(_)));
    let mut search = Search::new(Instant::now(), question, rng);
    let (mut lookups, mut asking) = (Vec::new(), JoinSet::new());
    let outcome = loop {
        while let Some(ask) = search.poll_ask() {
            let answer = resolver.ask(ask);
            asking.spawn(async move {
                let began = Instant::now();
                let (ask, heard) = answer.await;
                (ask, heard, began.elapsed())
            });
        }
        if let Some(outcome) = search.poll_outcome() {
            break outcome;
        }
        let due = search.poll_timeout().unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
        tokio::select! {
            Some(answer) = asking.join_next() => {
                let Ok((ask, heard, took)): Result<(Ask, Heard, Duration), _> = answer else { continue };
                search.handle_heard(Instant::now(), &ask, heard.clone());
                lookups.push(Lookup { ask, heard, took });
            }
            () = tokio::time::sleep_until(due.into()) => search.handle_timeout(Instant::now()),
        }
    };
    lookups.sort_by(|a, b| a.ask.cmp(&b.ask));
    let outcome = outcome.map(|found| found.targets);
    Names { host, is_numeric, servers: resolver.servers(), lookups, outcome }
}
