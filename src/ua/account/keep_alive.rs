//! Whether the servers the accounts are registered at are alive (RFC 5626 §4.4): each flow is reminded once, whoever shares it.
//!
//! ```text
//!            ping_at: two CRLF on a stream; OPTIONS too, while no pong has ever come
//!   +------+ -----------------------------------------------> +---------+
//!   | Idle |                                                  | Waiting | -- nothing in time --> dead
//!   +------+ <----------------------------------------------- +---------+
//!                        anything arrives on the flow
//! ```
use crate::base::id::AccountId;
use crate::base::net::Flow;
use crate::base::rng::Rng;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The longest time between two signs of life: with the time an answer may take, a dead server is noticed within 30 s.
const BOUND: Duration = Duration::from_secs(20);
/// No server has us do it faster.
const LEAST: Duration = Duration::from_secs(5);
/// How long a pong may take (RFC 5626 §4.4.1), and the answer to OPTIONS: sent four times in that time over UDP.
const PONG: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(8);

/// What is to be done for a flow now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Send two CRLF.
    Ping(Flow),
    /// Ask the server of this account for its capabilities: any response shows that it is alive.
    Ask { flow: Flow, account: AccountId, probe: u32 },
    /// Nothing came for so long: the flow is dead.
    Dead { flow: Flow, silent: Duration, probe: Option<u32> },
}

/// A flow somebody is registered over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub flow: Flow,
    pub account: AccountId,
    /// How long the server keeps a silent flow (RFC 5626 §4.4).
    pub flow_timer: Option<Duration>,
}

#[derive(Debug)]
struct Watch {
    wanted: Wanted,
    /// The far end answers CRLF.
    pongs: bool,
    ping_at: Instant,
    /// A sign of life is due until then; since when it is waited for.
    awaited: Option<(Instant, Instant)>,
    probe: Option<u32>,
}

/// All flows that are watched.
#[derive(Debug, Default)]
pub struct KeepAlives {
    watches: BTreeMap<Flow, Watch>,
    next_probe: u32,
}

impl KeepAlives {
    /// From now on these flows are watched, and no others. The first account of a flow is the one whose server is asked.
    pub fn watch(&mut self, now: Instant, wanted: impl IntoIterator<Item = Wanted>, rng: &mut Rng) {
        let mut all = BTreeMap::new();
        for wanted in wanted {
            all.entry(wanted.flow).or_insert(wanted);
        }
        self.watches.retain(|flow, _| all.contains_key(flow));
        for (flow, wanted) in all {
            let new = || Watch { wanted, pongs: false, ping_at: now + pause(&wanted, rng), awaited: None, probe: None };
            self.watches.entry(flow).or_insert_with(new).wanted = wanted;
        }
    }

    /// Something arrived: whoever sent it is alive.
    pub fn handle_heard(&mut self, flow: &Flow) {
        for watch in self.watches.values_mut().filter(|watch| same_way(&watch.wanted.flow, flow)) {
            watch.awaited = None;
        }
    }

    /// A pong: from now on pings are enough.
    pub fn handle_pong(&mut self, flow: &Flow) {
        self.handle_heard(flow);
        for watch in self.watches.values_mut().filter(|watch| same_way(&watch.wanted.flow, flow)) {
            watch.pongs = true;
        }
    }

    pub fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) -> Vec<Task> {
        let mut tasks = Vec::new();
        let Self { watches, next_probe } = self;
        watches.retain(|flow, watch| {
            if let Some((_, since)) = watch.awaited.filter(|(until, _)| *until <= now) {
                let silent = now.saturating_duration_since(since);
                tasks.push(Task::Dead { flow: *flow, silent, probe: watch.probe });
                return false;
            }
            if watch.ping_at > now {
                return true;
            }
            watch.ping_at = now + pause(&watch.wanted, rng);
            if flow.transport.is_reliable() {
                tasks.push(Task::Ping(*flow));
            }
            let patience = if watch.pongs { PONG } else { ANSWER };
            watch.awaited = watch.awaited.or(Some((now + patience, now)));
            if !watch.pongs {
                let (account, probe) = (watch.wanted.account, *next_probe);
                *next_probe = next_probe.wrapping_add(1);
                watch.probe = Some(probe);
                tasks.push(Task::Ask { flow: *flow, account, probe });
            }
            true
        });
        tasks
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let times =
            self.watches.values().flat_map(|watch| [Some(watch.ping_at), watch.awaited.map(|(until, _)| until)]);
        times.flatten().min()
    }
}

/// The longest time between two signs of life, where the server keeps a silent flow for so long.
pub fn bound(flow_timer: Option<Duration>) -> Duration {
    flow_timer.map_or(BOUND, |timer| timer.clamp(LEAST, BOUND))
}

/// Between 80 % and 100 % of the bound (RFC 5626 §4.4.1).
fn pause(wanted: &Wanted, rng: &mut Rng) -> Duration {
    bound(wanted.flow_timer).mul_f64(0.8 + 0.2 * rng.unit())
}

/// Whether two flows lead to the same far end; ours may be seen at another address of this machine.
pub(super) fn same_way(a: &Flow, b: &Flow) -> bool {
    (a.transport, a.remote, a.peer) == (b.transport, b.remote, b.peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Transport;

    const SECOND: Duration = Duration::from_secs(1);

    fn wanted(transport: Transport, flow_timer: Option<u64>) -> Wanted {
        let address = |n| std::net::SocketAddr::from(([192, 0, 2, n], 5060));
        let flow = Flow::new(transport, address(1), address(9));
        Wanted { flow, account: AccountId(0), flow_timer: flow_timer.map(Duration::from_secs) }
    }

    fn watched(transport: Transport, flow_timer: Option<u64>) -> (KeepAlives, Flow, Instant, Rng) {
        let (mut keep, now, mut rng) = (KeepAlives::default(), Instant::now(), Rng::from_u64(1));
        let wanted = wanted(transport, flow_timer);
        keep.watch(now, [wanted, Wanted { account: AccountId(1), ..wanted }], &mut rng);
        (keep, wanted.flow, now, rng)
    }

    /// Goes on to the next thing that is due.
    fn next(keep: &mut KeepAlives, rng: &mut Rng) -> (Instant, Vec<Task>) {
        let at = keep.poll_timeout().expect("a timer");
        (at, keep.handle_timeout(at, rng))
    }

    #[test]
    fn silence_is_noticed_within_thirty_seconds() {
        // transport, pongs came before
        for (transport, pongs) in
            [(Transport::Udp, false), (Transport::Tcp, false), (Transport::Tcp, true), (Transport::Wss, true)]
        {
            let (mut keep, flow, start, mut rng) = watched(transport, None);
            if pongs {
                keep.handle_pong(&flow);
            }
            let (asked, tasks) = next(&mut keep, &mut rng);
            assert!((16..=20).contains(&(asked - start).as_secs()), "{transport:?}");
            assert_eq!(tasks.contains(&Task::Ping(flow)), transport.is_reliable(), "{transport:?}");
            assert_eq!(
                tasks.iter().any(|task| matches!(task, Task::Ask { .. })),
                !pongs,
                "one question for two accounts"
            );
            let (dead, tasks) = next(&mut keep, &mut rng);
            assert!(matches!(tasks[..], [Task::Dead { .. }]), "{tasks:?}");
            assert!(dead - start <= 30 * SECOND, "{transport:?} {:?}", dead - start);
            assert_eq!(keep.poll_timeout(), None, "what is dead is not watched");
        }
    }

    #[test]
    fn any_sign_of_life_will_do() {
        let (mut keep, flow, start, mut rng) = watched(Transport::Udp, None);
        for _ in 0..10 {
            let (_, tasks) = next(&mut keep, &mut rng);
            assert!(matches!(tasks[..], [Task::Ask { .. }]), "{tasks:?}");
            // Our own address may look another one to the socket that received it.
            keep.handle_heard(&Flow { local: flow.remote, ..flow });
        }
        assert!(keep.poll_timeout().expect("a timer") - start >= 160 * SECOND);
    }

    #[test]
    fn the_servers_own_timer_is_obeyed_where_it_is_shorter() {
        // Flow-Timer [s], shortest and longest pause [ms]
        for (timer, least, most) in [(0, 4_000, 5_000), (10, 8_000, 10_000), (120, 16_000, 20_000)] {
            let (mut keep, _, start, mut rng) = watched(Transport::Tcp, Some(timer));
            let paused = (next(&mut keep, &mut rng).0 - start).as_millis();
            assert!((least..=most).contains(&paused), "{timer}: {paused}");
        }
    }

    #[test]
    fn what_nobody_wants_is_left_alone() {
        let (mut keep, _, now, mut rng) = watched(Transport::Tcp, None);
        keep.watch(now, [], &mut rng);
        assert_eq!(keep.poll_timeout(), None);
        assert!(keep.handle_timeout(now + 60 * SECOND, &mut rng).is_empty());
    }
}
