//! Two sessions over two transaction layers and a link that may be bad.
use super::*;
use crate::base::net::{Flow, Received, Transmit};
use crate::base::rng::Rng;
use crate::sip::key::DialogKey;
use crate::sip::message::Method;
use crate::sip::testing::*;
use crate::sip::transaction::{self, ClientKey, Layer};
use std::collections::BTreeMap;
use std::time::Instant;

/// A user agent for one call: what a real one does with the layer and the session, and a user that answers everything.
struct Agent {
    layer: Layer,
    session: Option<Session>,
    requests: BTreeMap<ClientKey, RequestId>,
    flow: Flow,
    log: Vec<String>,
    accepts: bool,
    seed: u64,
}

impl Agent {
    fn new(local: u8, remote: u8, accepts: bool, seed: u64) -> Self {
        let layer = Layer::new(transaction::Config::default(), Rng::from_u64(seed * 2 + u64::from(local)));
        let flow = udp(local, remote);
        Self { layer, session: None, requests: BTreeMap::new(), flow, log: Vec::new(), accepts, seed }
    }

    fn settle(&mut self, now: Instant) {
        loop {
            if let Some(event) = self.layer.poll_event() {
                self.layer_event(now, event);
            } else if let Some(output) = self.session.as_mut().and_then(Session::poll_output) {
                self.output(now, output);
            } else if let Some(event) = self.session.as_mut().and_then(Session::poll_event) {
                self.log.push(name(&event));
                self.session_event(now, event);
            } else {
                return;
            }
        }
    }

    fn layer_event(&mut self, now: Instant, event: transaction::Event) {
        use transaction::Event as E;
        match (event, &mut self.session) {
            (E::Request { key, request, .. }, session) => match DialogKey::of_request(&request.headers) {
                Ok(None) if request.method == Method::Invite && session.is_none() => {
                    let rng = Rng::from_u64(self.seed + 7);
                    match Session::incoming(now, Config::default(), contact(), key.clone(), &request, rng) {
                        Ok(mut incoming) => {
                            incoming.provisional(now, 180, None);
                            if self.accepts {
                                incoming.accept(now, Some(Body::sdp("answer")));
                            }
                            *session = Some(incoming);
                        }
                        Err(refused) => self.layer.respond(now, &key, *refused),
                    }
                }
                Ok(Some(dialog)) if session.as_ref().is_some_and(|s| *s.key() == dialog.session()) => {
                    if let Some(session) = session {
                        session.handle_request(now, key, request);
                    }
                }
                _ => self.layer.respond(now, &key, Response::to_request(&request, 481, Some("none"))),
            },
            (E::Ack { request, .. }, Some(session)) => session.handle_ack(now, request),
            (E::Cancelled { key, cancel }, Some(session)) => session.handle_cancelled(now, &key, &cancel),
            (E::Response { key, response, .. }, Some(session)) => {
                if let Some(id) = self.requests.get(&key) {
                    session.handle_response(now, *id, response);
                }
            }
            (E::StrayResponse { response, .. }, Some(session)) => session.handle_stray_response(now, response),
            (E::Timeout { key }, Some(session)) => {
                if let Some(id) = self.requests.remove(&key) {
                    session.handle_failure(now, id, Failure::Timeout);
                }
            }
            (E::TransportError { key }, Some(session)) => {
                if let Some(id) = self.requests.remove(&key) {
                    session.handle_failure(now, id, Failure::Transport);
                }
            }
            (_, _) => {}
        }
    }

    fn output(&mut self, now: Instant, output: Output) {
        match output {
            Output::Request { id, request, .. } => {
                self.requests.insert(self.layer.send_request(now, request, self.flow), id);
            }
            Output::Ack { request, .. } => self.layer.send_stateless(request, self.flow),
            Output::Cancel { id, reason } => {
                if let Some(key) = self.requests.iter().find(|(_, i)| **i == id).map(|(key, _)| key.clone()) {
                    self.layer.cancel(now, &key, reason.as_deref());
                }
            }
            Output::Response { key, response } => self.layer.respond(now, &key, response),
        }
    }

    fn session_event(&mut self, now: Instant, event: Event) {
        let Some(session) = &mut self.session else { return };
        match event {
            Event::Offer { id, .. } => session.answer(now, id, Answer::Accept(Body::sdp("answer"))),
            Event::OfferWanted { id, .. } => session.answer(now, id, Answer::Accept(Body::sdp("offer"))),
            _ => {}
        }
    }
}

impl Node for Agent {
    fn receive(&mut self, now: Instant, received: Received) {
        self.layer.handle_received(now, received);
        self.settle(now);
    }

    fn timeout(&mut self, now: Instant) {
        self.layer.handle_timeout(now);
        if let Some(session) = self.session.as_mut().filter(|s| s.poll_timeout().is_some_and(|at| at <= now)) {
            session.handle_timeout(now);
        }
        self.settle(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.layer.poll_transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let session = self.session.as_ref().and_then(Session::poll_timeout);
        self.layer.poll_timeout().into_iter().chain(session).min()
    }
}

impl Pair<Agent> {
    fn call(link: Link, seed: u64, accepts: bool, offer: Option<&'static str>) -> Self {
        let now = Instant::now();
        let mut agents = [Agent::new(1, 2, true, seed), Agent::new(2, 1, accepts, seed)];
        agents[0].session = Some(Session::invite(now, Config::default(), invitation(offer), Rng::from_u64(seed)));
        let mut pair = Self::new(now, agents, link, seed);
        pair.with(0, |_, _| {});
        pair
    }

    /// The user of one side does something.
    fn with(&mut self, side: usize, action: impl FnOnce(&mut Session, Instant)) {
        let now = self.now;
        if let Some(session) = &mut self.nodes[side].session {
            action(session, now);
        }
        self.nodes[side].settle(now);
    }

    fn phases(&self) -> [Option<Phase>; 2] {
        [0, 1].map(|side: usize| self.nodes[side].session.as_ref().map(Session::phase))
    }
}

#[test]
fn a_call_without_loss() {
    let mut pair = Pair::call(Link::PERFECT, 1, false, Some("offer"));
    pair.run(ms(300));
    pair.with(1, |session, now| session.accept(now, Some(Body::sdp("answer"))));
    pair.run(ms(5_000));
    pair.with(0, Session::reinvite);
    pair.run(ms(5_000));
    pair.with(1, |session, now| session.hang_up(now, None));
    pair.run(ms(100));
    let expected = [
        "-> INVITE",
        "<- 180 INVITE",
        "<- 200 INVITE",
        "-> ACK",
        "-> INVITE",
        "<- 200 INVITE",
        "-> ACK",
        "<- BYE",
        "-> 200 BYE",
    ];
    assert_eq!(pair.take_ladder(), expected);
    let caller = [
        "Progress 180 fork 0 -",
        "Answered fork 0",
        "Answer answer",
        "OfferWanted",
        "Answer answer",
        "Ended PeerHungUp",
    ];
    assert_eq!(pair.nodes[0].log, caller);
    assert_eq!(pair.nodes[1].log, ["Confirmed", "Offer offer", "Ended HungUp"]);
    assert!(pair.nodes.iter().all(|node| node.session.as_ref().is_some_and(Session::is_done)));
}

#[test]
fn a_call_is_cancelled() {
    let mut pair = Pair::call(Link::PERFECT, 1, false, Some("offer"));
    pair.run(ms(300));
    pair.with(0, |session, now| session.hang_up(now, None));
    pair.run(ms(6_000));
    let expected = ["-> INVITE", "<- 180 INVITE", "-> CANCEL", "<- 200 CANCEL", "<- 487 INVITE", "-> ACK"];
    assert_eq!(pair.take_ladder(), expected);
    assert_eq!(pair.nodes[1].log, ["Ended PeerCancelled"]);
}

#[test]
fn glare_is_settled_by_the_back_off() {
    for seed in 0..20 {
        let link = Link { delay: 50, ..Link::PERFECT };
        let mut pair = Pair::call(link, seed, true, Some("offer"));
        pair.run(ms(5_000));
        pair.with(0, Session::reinvite);
        pair.with(1, Session::reinvite);
        pair.run(ms(10_000));
        let ladder = pair.take_ladder();
        assert!(ladder.iter().any(|message| message.ends_with("491 INVITE")), "{ladder:?}");
        for node in &pair.nodes {
            assert!(node.log.iter().filter(|event| *event == "Answer answer").count() >= 1, "{:?}", node.log);
            assert!(!node.log.iter().any(|event| event.starts_with("OfferRejected")), "{:?}", node.log);
        }
    }
}

/// Whatever is lost, both sides end in a state the RFC allows, and say so once.
#[test]
fn calls_over_a_bad_link_end_as_they_should() {
    let link = Link { loss: 0.3, doubled: 0.1, delay: 300 };
    let (mut talked, mut graceful) = (0, 0);
    for seed in 0..60 {
        let offer = (seed % 3 != 0).then_some("offer");
        let mut pair = Pair::call(link, seed, true, offer);
        pair.run(ms(40_000));
        let both = pair.phases() == [Some(Phase::Established); 2];
        talked += u32::from(both);
        pair.with(0, Session::reinvite);
        pair.with(1, Session::reinvite);
        pair.run(ms(40_000));
        pair.with((seed % 2) as usize, |session, now| session.hang_up(now, None));
        pair.run(ms(200_000));
        for (side, node) in pair.nodes.iter_mut().enumerate() {
            let Some(session) = &node.session else { continue };
            let ends = node.log.iter().filter(|event| event.starts_with("Ended")).count();
            let lost_its_peer = !session.is_done() && session.phase() == Phase::Established;
            // The peer's BYE may be lost eleven times; then a side is left talking. A phone sees that by its media.
            assert!(ends == 1 || lost_its_peer, "seed {seed} side {side}: {:?}", node.log);
            assert!(session.is_done() || lost_its_peer, "seed {seed} side {side}: {session:?}");
            assert!(node.layer.is_idle(), "seed {seed} side {side}");
            graceful += u32::from(ends == 1);
        }
    }
    assert!(talked >= 50, "{talked} of 60 calls came about");
    assert!(graceful >= 110, "{graceful} of 120 sides ended");
}
