//! The connections: one for each flow, opened when there is something to send, used again while it is up (RFC 3261 §18,
//! RFC 5923).
use super::dial::{Dialler, Link};
use super::limit::RateLimit;
use super::manager::{Access, NetEvent};
use super::router::Servers;
use super::{stream, websocket};
use crate::base::net::{Flow, Received};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Connections open at once, in and out.
const CONNECTIONS: usize = 256;
/// Of these, opened by others: all of them, and from one address. The rest is ours to open.
const INCOMING: usize = 192;
pub const INCOMING_OF_ONE: usize = 64;
/// Messages waiting to be written; a peer that reads slower loses the connection.
const QUEUE: usize = 64;
/// How long what is queued on connections may take to be written at the end.
const FLUSH: Duration = Duration::from_millis(500);
/// After how long the next address is tried beside those that have not answered yet (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// The way to the task of one connection.
struct Connection {
    queue: mpsc::Sender<Bytes>,
    /// The peer opened it.
    incoming: bool,
}

/// What the socket tasks share: the connections, and the way to the core.
///
/// A connection is known by its whole flow: two domains at one address are two peers, and after a change of our own
/// address the old connection leads nowhere.
pub struct Shared {
    inbox: mpsc::Sender<NetEvent>,
    connections: Mutex<BTreeMap<Flow, Connection>>,
    limit: Mutex<RateLimit>,
    dropped: AtomicU64,
}

impl Shared {
    pub fn new(inbox: mpsc::Sender<NetEvent>) -> Self {
        Self { inbox, connections: Mutex::default(), limit: Mutex::default(), dropped: AtomicU64::new(0) }
    }

    /// Hands a whole message of a connection up; waits while the core is busy.
    pub async fn received(&self, received: Received) {
        if self.admit(received.flow.remote.ip()) {
            self.report(NetEvent::Received(received)).await;
        }
    }

    /// Hands an event up; waits while the core is busy.
    pub async fn report(&self, event: NetEvent) {
        // The core is gone only when the program ends.
        let _ = self.inbox.send(event).await;
    }

    /// Hands an event up, or drops and counts it while the core is busy.
    pub fn offer(&self, event: NetEvent) {
        if self.inbox.try_send(event).is_err() {
            self.count_dropped();
        }
    }

    pub fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages refused by the rate limit or dropped because the core was busy.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed) + lock(&self.limit).refused
    }

    pub fn admit(&self, source: IpAddr) -> bool {
        lock(&self.limit).admit(Instant::now(), source)
    }

    /// A place for a new connection; `None` when there are too many, or when one is up on that flow already.
    pub fn enter(&self, flow: Flow, incoming: bool) -> Option<mpsc::Receiver<Bytes>> {
        let mut connections = lock(&self.connections);
        if connections.get(&flow).is_some_and(|connection| !connection.queue.is_closed()) {
            return None;
        }
        if connections.len() >= CONNECTIONS || (incoming && is_crowded(&connections, flow.remote.ip())) {
            return None;
        }
        let (queue, receiver) = mpsc::channel(QUEUE);
        connections.insert(flow, Connection { queue, incoming });
        Some(receiver)
    }

    /// The connection whose queue this was is over, for `error`. Another one on that flow, opened since, stays, and hears
    /// nothing of one that had been given up.
    async fn end(&self, flow: Flow, outgoing: mpsc::Receiver<Bytes>, error: Option<String>) {
        let error = error.filter(|_| !outgoing.is_closed());
        self.forget(&flow, outgoing);
        if let Some(error) = error {
            self.report(NetEvent::Refused { flow, error }).await;
        }
    }

    /// Gives its place up.
    pub fn forget(&self, flow: &Flow, outgoing: mpsc::Receiver<Bytes>) {
        drop(outgoing);
        let mut connections = lock(&self.connections);
        if connections.get(flow).is_some_and(|connection| connection.queue.is_closed()) {
            connections.remove(flow);
        }
    }

    fn is_up(&self, flow: &Flow) -> bool {
        lock(&self.connections).get(flow).is_some_and(|connection| !connection.queue.is_closed())
    }
}

/// Whether no further connection is accepted from there.
fn is_crowded(connections: &BTreeMap<Flow, Connection>, from: IpAddr) -> bool {
    let incoming = || connections.iter().filter(|(_, connection)| connection.incoming);
    incoming().count() >= INCOMING || incoming().filter(|(flow, _)| flow.remote.ip() == from).count() >= INCOMING_OF_ONE
}

/// A panic in another task must not take the sockets with it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a connection until it ends, and says why it did unless it was ended here.
pub async fn serve(link: Link, flow: Flow, mut outgoing: mpsc::Receiver<Bytes>, shared: Arc<Shared>) {
    let end = match link {
        Link::Stream(stream) => stream::serve(stream, &flow, &mut outgoing, &shared).await,
        Link::WebSocket(socket) => websocket::serve(*socket, &flow, &mut outgoing, &shared).await,
    };
    shared.end(flow, outgoing, end).await;
}

/// The connections, and the means to open more.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
    dialler: Arc<Dialler>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Pool {
    pub fn new(shared: Arc<Shared>, dialler: Dialler) -> Self {
        Self { shared, dialler: Arc::new(dialler), tasks: Arc::default() }
    }

    pub fn set_access(&self, access: Vec<Access>) {
        self.dialler.set_access(access);
    }

    pub fn servers(&self) -> &Servers {
        self.dialler.servers()
    }

    /// Queues a message on the connection of its flow, which is opened if need be.
    ///
    /// # Errors
    /// Why it cannot be sent, in words.
    pub fn send(&self, flow: Flow, mut bytes: Bytes) -> Result<(), String> {
        let mut connections = lock(&self.shared.connections);
        if let Some(connection) = connections.get(&flow) {
            match connection.queue.try_send(bytes) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    connections.remove(&flow);
                    return Err("the peer does not read".to_owned());
                }
                Err(mpsc::error::TrySendError::Closed(back)) => bytes = back,
            }
        }
        drop(connections);
        let Some(outgoing) = self.shared.enter(flow, false) else {
            return Err(format!("{CONNECTIONS} connections are open already"));
        };
        // The queue is new and empty.
        if let Some(connection) = lock(&self.shared.connections).get(&flow) {
            let _ = connection.queue.try_send(bytes);
        }
        let (dialler, shared) = (Arc::clone(&self.dialler), Arc::clone(&self.shared));
        self.spawn(async move {
            match dialler.dial(&flow).await {
                Ok(link) => serve(link, flow, outgoing, shared).await,
                Err(error) => shared.end(flow, outgoing, Some(error.to_string())).await,
            }
        });
        Ok(())
    }

    /// Ends a connection once what is queued on it is written; nothing is reported.
    pub fn close(&self, flow: &Flow) {
        lock(&self.shared.connections).remove(flow);
    }

    /// See [`super::Router::race`].
    pub async fn race(&self, flows: Vec<Flow>) -> Vec<Flow> {
        if let Some(up) = flows.iter().position(|flow| self.shared.is_up(flow)) {
            return with_first(flows, up, &[]);
        }
        let mut waiting = by_turns(&flows).into_iter();
        let (mut dialling, mut failed) = (JoinSet::new(), Vec::new());
        loop {
            let next = waiting.next();
            if let Some((at, flow)) = next {
                let dialler = Arc::clone(&self.dialler);
                dialling.spawn(async move { (at, flow, dialler.dial(&flow).await) });
            }
            // The next one starts when the time is over or when one failed, whatever comes first.
            let stagger = if waiting.len() > 0 { STAGGER } else { Duration::MAX };
            match tokio::time::timeout(stagger, dialling.join_next()).await {
                Ok(Some(Ok((at, flow, Ok(link))))) => {
                    // A message may have opened one meanwhile: that one serves as well.
                    if let Some(outgoing) = self.shared.enter(flow, false) {
                        self.spawn(serve(link, flow, outgoing, Arc::clone(&self.shared)));
                    }
                    return with_first(flows, at, &failed);
                }
                Ok(Some(Ok((at, _, Err(_))))) => failed.push(at),
                Ok(Some(Err(_))) | Err(_) => {}
                // None came up: the first message on each will hear why.
                Ok(None) => return flows,
            }
        }
    }

    /// Waits until the connections have written what they were given, for a moment at most.
    pub async fn flush(&self) {
        let connections = || lock(&self.shared.connections);
        let busy = || connections().values().any(|c| c.queue.capacity() < c.queue.max_capacity());
        let until = Instant::now() + FLUSH;
        // Once more after the queues are empty: what was taken out last is being written.
        let mut again = !connections().is_empty();
        while Instant::now() < until && (busy() || std::mem::take(&mut again)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// The flows that need a connection with their positions, the address families by turns, the first one's first
/// (RFC 8305 §4).
fn by_turns(flows: &[Flow]) -> Vec<(usize, Flow)> {
    let numbered = flows.iter().copied().enumerate().filter(|(_, flow)| flow.transport.is_reliable());
    let first_is_v4 = flows.first().is_some_and(|flow| flow.remote.is_ipv4());
    let (same, other): (Vec<_>, Vec<_>) = numbered.partition(|(_, flow)| flow.remote.is_ipv4() == first_is_v4);
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut all = Vec::with_capacity(flows.len());
    while same.len() + other.len() > 0 {
        all.extend(same.next());
        all.extend(other.next());
    }
    all
}

/// `winner` first, `failed` last, the rest as they were.
fn with_first(flows: Vec<Flow>, winner: usize, failed: &[usize]) -> Vec<Flow> {
    let mut ranked: Vec<_> = flows.into_iter().enumerate().collect();
    ranked.sort_by_key(|(at, _)| if *at == winner { 0 } else { 1 + u8::from(failed.contains(at)) });
    ranked.into_iter().map(|(_, flow)| flow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Transport;

    fn flow(remote: &str) -> Flow {
        let local = "192.0.2.1:5060".parse().expect("an address");
        Flow::new(Transport::Tcp, local, remote.parse().expect("an address"))
    }

    #[test]
    fn address_families_take_turns() {
        let six = ["[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8::3]:3"].map(flow);
        let four = ["192.0.2.1:1", "192.0.2.2:2"].map(flow);
        let order = |flows: &[Flow]| by_turns(flows).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
        assert!(order(&[]).is_empty());
        assert_eq!(order(&six), [0, 1, 2]);
        assert_eq!(order(&[six[0], six[1], six[2], four[0], four[1]]), [0, 3, 1, 4, 2]);
        assert_eq!(order(&[four[0], four[1], six[0], six[1], six[2]]), [0, 2, 1, 3, 4]);
        let datagrams = Flow { transport: Transport::Udp, ..six[0] };
        assert_eq!(order(&[datagrams, four[0]]), [1]);
    }

    #[test]
    fn the_winner_is_first_and_who_failed_last() {
        let flows: Vec<Flow> = ["192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3", "192.0.2.4:4"].map(flow).into();
        let ports = |flows: Vec<Flow>| flows.iter().map(|flow| flow.remote.port()).collect::<Vec<_>>();
        assert_eq!(ports(with_first(flows.clone(), 2, &[0])), [3, 2, 4, 1]);
        assert_eq!(ports(with_first(flows, 0, &[])), [1, 2, 3, 4]);
    }

    #[test]
    fn a_flow_has_one_connection() {
        let shared = Shared::new(mpsc::channel(1).0);
        let first = shared.enter(flow("192.0.2.1:1"), false).expect("a place");
        assert!(shared.enter(flow("192.0.2.1:1"), false).is_none());
        shared.forget(&flow("192.0.2.1:1"), first);
        assert!(!shared.is_up(&flow("192.0.2.1:1")));
        let second = shared.enter(flow("192.0.2.1:1"), false).expect("a place again");
        assert!(shared.is_up(&flow("192.0.2.1:1")));
        drop(second);
        let places = (0..1_000_u16).map_while(|port| shared.enter(flow(&format!("192.0.2.2:{port}")), false));
        assert_eq!(places.collect::<Vec<_>>().len(), CONNECTIONS - 1);
    }
}
