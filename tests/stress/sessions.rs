//! A thousand calls at once, each a session at both ends, and ten random operations in each of them.
use crate::net::{Net, Tally};
use crate::side::{Ringing, Side};
use offhook::base::rng::Rng;
use offhook::sip::invite::Phase;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const CALLS: usize = 1_000;
const OPERATIONS: u32 = 10;

fn ms(rng: &mut Rng, least: u32, most: u32) -> Duration {
    Duration::from_millis(u64::from(rng.range(least, most)))
}

pub fn run(seed: u64) {
    println!("stress: sessions, seed {seed}");
    let mut rng = Rng::from_u64(seed);
    let start = Instant::now();
    let sides = (0..2 * CALLS).map(|number| Side::new(number, number ^ 1, rng.fork())).collect();
    let mut net = Net::new(start, sides, seed);
    net.set_quality(0.08, 0.08, Duration::from_millis(400));

    let mut tally = Tally::default();
    let mut plan: BTreeMap<(Instant, u64), (usize, Step)> = BTreeMap::new();
    let mut schedule = |at, what| plan.insert((at, plan.len() as u64), what);
    for call in 0..CALLS {
        let begin = start + ms(&mut rng, 0, 2_000);
        schedule(begin, (call, Step::Call));
        for _ in 0..OPERATIONS {
            schedule(begin + ms(&mut rng, 100, 60_000), (call, Step::Operate));
        }
    }
    for ((at, _), (call, step)) in plan {
        net.run_until(at);
        match step {
            Step::Call => begin(&mut net, call, &mut rng),
            Step::Operate => operate(&mut net, call, &mut rng, &mut tally),
        }
    }

    // The network recovers; what is under way comes to its end, and both sides agree.
    net.set_quality(0.0, 0.0, Duration::from_millis(20));
    net.run(Duration::from_secs(100));
    let mut talking = 0;
    for call in 0..CALLS {
        let [one, two] = [&net.nodes[2 * call], &net.nodes[2 * call + 1]];
        let phases = [one.phase(), two.phase()];
        if one.torn || two.torn {
            tally.add("torn");
            continue;
        }
        let up = phases.map(|phase| phase == Some(Phase::Established));
        assert_eq!(
            up[0], up[1],
            "seed {seed}, call {call}: one side is up: {phases:?} {:?} {:?}",
            one.cause, two.cause
        );
        if up[0] {
            talking += 1;
            assert_eq!(one.agreed, two.agreed, "seed {seed}, call {call}: the sides agree on different things");
        }
    }
    assert!(talking >= CALLS / 4, "seed {seed}: {talking} calls are up");

    // Everybody hangs up, some at the same time as the other.
    for call in 0..CALLS {
        let who = rng.range(0, 3);
        for side in [0, 1] {
            if who >= 2 || who as usize == side {
                let (index, now) = (2 * call + side, net.now);
                net.nodes[index].act(now, |session| session.hang_up(now, None));
                net.settle(index);
            }
        }
    }
    net.run(Duration::from_secs(300));
    for side in &net.nodes {
        assert!(side.ends == 1 || side.session.is_none(), "seed {seed}, side {}: never ended", side.number);
        assert!(side.is_clear(), "seed {seed}, side {}: something is left over: {}", side.number, side.rest(net.now));
        for (kind, count) in &side.tally.0 {
            *tally.0.entry(kind).or_default() += count;
        }
    }
    assert_eq!(net.next(), None, "seed {seed}: a timer is left over");
    println!("stress: seed {seed}: {} datagrams, {talking} calls at the end, {:?}", net.sent, tally.0);
    let kinds = ["hold", "resume", "both at once", "by UPDATE", "early", "hang up", "cancel", "probe"];
    tally.expect(&kinds.map(|kind| (kind, 50)));
    tally.expect(&[
        ("refuse", 20),
        ("glare", 100),
        ("busy", 5),
        ("UPDATE", 200),
        ("refresh", 200),
        ("PRACK", 200),
        ("offer in PRACK", 5),
        ("answer in PRACK", 50),
        ("offer in 183", 50),
        ("answer in 183", 100),
        ("agreed before the answer", 100),
        ("rejected", 100),
        ("CANCEL", 50),
    ]);
    assert!(tally.0.get("torn").copied().unwrap_or(0) <= 60, "seed {seed}: too many calls lost requests: {tally:?}");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Call,
    Operate,
}

fn begin(net: &mut Net<Side>, call: usize, rng: &mut Rng) {
    let now = net.now;
    let callee = &mut net.nodes[2 * call + 1];
    callee.ringing = if rng.range(0, 1) == 0 { Ringing::Plain } else { Ringing::Early };
    callee.answer_at = (rng.range(0, 19) != 0).then(|| now + ms(rng, 50, 25_000));
    let (has_offer, requires) = (rng.range(0, 3) != 0, rng.range(0, 3) == 0);
    net.nodes[2 * call].call(now, has_offer, requires);
    net.settle(2 * call);
}

/// One operation of one side, or of both at the same time.
fn operate(net: &mut Net<Side>, call: usize, rng: &mut Rng, tally: &mut Tally) {
    let side = rng.range(0, 1) as usize;
    let (index, other, now) = (2 * call + side, 2 * call + 1 - side, net.now);
    let Some(phase) = net.nodes[index].phase() else { return };
    let draw = rng.range(0, 99);
    let mut act = |index: usize, kind, action: &dyn Fn(&mut offhook::sip::invite::Session)| {
        tally.add(kind);
        net.nodes[index].act(now, |session| action(session));
        net.settle(index);
    };
    match (phase, draw) {
        (Phase::Established, 0..25) => act(index, "hold", &|session| session.reinvite(now)),
        (Phase::Established, 25..40) => act(index, "resume", &|session| session.reinvite(now)),
        (Phase::Established, 40..60) => {
            act(index, "both at once", &|session| session.reinvite(now));
            act(other, "both at once", &|session| if draw < 50 { session.reinvite(now) } else { session.update(now) });
        }
        (Phase::Established, 60..80) => act(index, "by UPDATE", &|session| session.update(now)),
        (Phase::Established, 80..96) => act(index, "probe", &|session| session.probe()),
        (Phase::Established, _) => act(index, "hang up", &|session| session.hang_up(now, None)),
        (Phase::Calling | Phase::Ringing, 0..60) => act(index, "early", &|session| session.update(now)),
        (Phase::Calling, 60..70) => act(index, "cancel", &|session| session.hang_up(now, None)),
        (Phase::Ringing, 60..66) => act(index, "refuse", &|session| session.reject(now, 486, &[])),
        (Phase::Ringing, 66..80) => {
            tally.add("answer now");
            net.nodes[index].pick_up(now);
            net.settle(index);
        }
        (Phase::Calling | Phase::Ringing | Phase::Ended, _) => tally.add("nothing"),
    }
}
