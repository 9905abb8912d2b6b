//! Ways that die, and addresses that change.
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn suspect(net: &mut Net, side: usize) {
    let now = net.now;
    net.sides[side].agent.suspect(now);
    net.flush();
}

/// Two sides that talk, the first behind a NAT.
fn talking() -> Net {
    let mut net = Net::new(&["10.0.0.1:4000"], &["192.0.2.2:5000"]);
    net.nat.insert(address("10.0.0.1:4000"), address("203.0.113.7:61000"));
    net.begin();
    net.run(2 * SECOND);
    assert_eq!((net.nominated(), net.to(1)), ([true; 2], Some(address("203.0.113.7:61000"))));
    net.events = [Vec::new(), Vec::new()];
    net
}

#[test]
fn a_way_that_works_is_asked_about_once() {
    let mut net = talking();
    let before = net.sent;
    suspect(&mut net, 0);
    net.run(SECOND);
    assert_eq!(net.events[0], [Event::Suspected]);
    assert_eq!(net.sent - before, 2, "a question and its answer");
}

#[test]
fn a_dead_way_is_known_in_less_than_a_second_and_sent_over_until_the_consent_ends() {
    let mut net = talking();
    net.dead.push(address("192.0.2.2:5000"));
    let before = net.sent;
    suspect(&mut net, 0);
    net.run(590 * MS);
    assert_eq!((net.sent - before, &net.events[0][..]), (3, &[Event::Suspected][..]));
    net.run(20 * MS);
    assert_eq!(net.events[0], [Event::Suspected, Event::Silent]);
    net.run(10 * SECOND);
    assert!(net.to(0).is_some() && net.sent - before < 20, "{}", net.sent - before);
    assert_eq!(net.events[0].len(), 2, "it is said once");
    // Whatever the silence was, it is over.
    net.dead.clear();
    net.run(7 * SECOND);
    assert_eq!(net.events[0].last(), Some(&Event::Dispelled));
    net.dead.push(address("192.0.2.2:5000"));
    net.run(32 * SECOND);
    assert_eq!(net.events[0].last(), Some(&Event::ConsentLost));
}

#[test]
fn without_sound_a_consent_that_is_not_answered_raises_suspicion() {
    let mut net = talking();
    net.dead.push(address("192.0.2.2:5000"));
    net.run(8 * SECOND);
    assert_eq!(net.events[0], [Event::Suspected, Event::Silent]);
}

/// Our address changes; the peer lets in what comes from anywhere.
#[test]
fn who_moved_learns_it_from_the_answer_and_the_peer_follows_our_checks() {
    let mut net = talking();
    net.nat.insert(address("10.0.0.1:4000"), address("203.0.113.8:62000"));
    for side in [0, 1] {
        suspect(&mut net, side);
    }
    net.run(SECOND);
    assert_eq!(net.events[0], [Event::Suspected, Event::Moved]);
    assert_eq!(net.events[1], [Event::Suspected, Event::Chosen]);
    assert_eq!(net.to(1), Some(address("203.0.113.8:62000")));
    assert_eq!(net.to(0), Some(address("192.0.2.2:5000")));
}

#[test]
fn nothing_is_suspected_before_there_is_a_way() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    suspect(&mut net, 0);
    assert!(net.events[0].is_empty() && net.sent == 0);
}

/// A restart with an agent of its own: what was used goes on until the new one has found something.
#[test]
fn the_way_before_is_adopted_until_there_is_a_better_one() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    net.begin();
    net.run(SECOND);
    let mut spec = net.spec(0, true);
    spec.local.ufrag.push('2');
    let mut agent = Agent::new(spec.local.clone(), Rng::from_u64(3));
    agent.add_base(net.now, net.sides[0].bases[0]);
    agent.adopt(net.now, &net.sides[0].agent);
    net.sides[0].agent = agent;
    net.events[0].clear();
    net.run(100 * MS);
    let peer = address("192.0.2.2:5000");
    assert!(net.to(0) == Some(peer) && net.sides[0].agent.accepts(Via::Socket(0), peer));
    assert!(net.events[0].is_empty(), "nothing is new: {:?}", net.events[0]);
    spec.remote.ufrag.push('2');
    let mut other = net.spec(1, false);
    (other.local, other.remote) = (spec.remote.clone(), spec.local.clone());
    net.configure(1, &other);
    net.configure(0, &spec);
    net.run(SECOND);
    assert_eq!((net.nominated(), net.to(0)), ([true; 2], Some(peer)));
    assert_eq!(net.events[0], [Event::Chosen]);
    // But not for longer than the consent lasts.
    let mut agent = Agent::new(spec.local.clone(), Rng::from_u64(4));
    agent.add_base(net.now, net.sides[0].bases[0]);
    agent.adopt(net.now, &net.sides[0].agent);
    net.sides[0].agent = agent;
    net.run(31 * SECOND);
    assert_eq!((net.to(0), net.events[0].last()), (None, Some(&Event::ConsentLost)));
}
