//! What streams need of servers and cannot wait for on the media thread: names looked up, connections to TURN servers over
//! TCP and TLS (RFC 8656 §3.1). One thread for all of them, started when it is first needed.
use crate::base::id::StreamId;
use crate::base::rng::Rng;
use crate::media::session::{Done, Helper, Order};
use crate::net::dns::Resolver;
use crate::net::helper;
use crate::sip::locate::Purpose;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Orders that wait for the thread; one too many is dropped, as a datagram would be.
const ORDERS: usize = 512;
/// Messages that wait for one connection. Sound that cannot leave is worth nothing later.
const WAITING: usize = 64;
/// How long a name or a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Octets read at a time.
const CHUNK: usize = 16 * 1024;

type Report = Arc<dyn Fn(StreamId, Done) + Send + Sync>;

enum Task {
    Order(StreamId, Order),
    Forget(StreamId),
}

/// The media thread's end.
pub struct Helpers {
    report: Report,
    tasks: Option<mpsc::Sender<Task>>,
    name_server: Option<SocketAddr>,
    rng: Rng,
}

impl Helpers {
    /// - `report`: hears what was done, on another thread.
    /// - `name_server`: who is asked for names; those of the system when `None`.
    pub fn new(
        report: impl Fn(StreamId, Done) + Send + Sync + 'static,
        name_server: Option<SocketAddr>,
        rng: Rng,
    ) -> Self {
        Self { report: Arc::new(report), tasks: None, name_server, rng }
    }

    /// Never waits.
    pub fn order(&mut self, stream: StreamId, order: Order) {
        if self.tasks.is_none() {
            let (sender, receiver) = mpsc::channel(ORDERS);
            let (report, name_server, rng) = (Arc::clone(&self.report), self.name_server, self.rng.fork());
            let run = move || run(receiver, report, name_server, rng);
            let started = thread::Builder::new().name("helpers".into()).spawn(run);
            // Without a thread there are no servers, and the search goes on without them.
            self.tasks = started.is_ok().then_some(sender);
        }
        if let Some(tasks) = &self.tasks {
            let _ = tasks.try_send(Task::Order(stream, order));
        }
    }

    /// The stream is gone: so are its connections.
    pub fn forget(&mut self, stream: StreamId) {
        if let Some(tasks) = &self.tasks {
            let _ = tasks.try_send(Task::Forget(stream));
        }
    }
}

/// Ends when nobody gives tasks any more.
fn run(mut tasks: mpsc::Receiver<Task>, report: Report, name_server: Option<SocketAddr>, mut rng: Rng) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async move {
        let roots = helper::Roots::default();
        let mut connections: BTreeMap<(StreamId, u8), mpsc::Sender<Vec<u8>>> = BTreeMap::new();
        while let Some(task) = tasks.recv().await {
            match task {
                Task::Order(stream, Order::Resolve { helper, server, transport }) => {
                    let report = Arc::clone(&report);
                    let rng = rng.fork();
                    tokio::spawn(async move {
                        let purpose = match helper {
                            Helper::Stun => Purpose::Stun,
                            Helper::Turn => Purpose::Turn,
                        };
                        let mut resolver = Resolver::new(name_server);
                        let addresses = helper::locate(&mut resolver, purpose, &server, transport, rng).await;
                        report(stream, Done::Resolved { helper, addresses });
                    });
                }
                Task::Order(stream, Order::Connect { connection, address, tls }) => {
                    let (sender, receiver) = mpsc::channel(WAITING);
                    connections.insert((stream, connection), sender);
                    let (report, roots) = (Arc::clone(&report), roots.clone());
                    tokio::spawn(async move {
                        let ended = converse(stream, connection, address, tls, receiver, &roots, &report).await;
                        let why = ended.err().unwrap_or_else(|| "the connection was closed".to_owned());
                        report(stream, Done::Closed { connection, why });
                    });
                }
                Task::Order(stream, Order::Send { connection, bytes }) => {
                    if let Some(queue) = connections.get(&(stream, connection)) {
                        let _ = queue.try_send(bytes);
                    }
                }
                // What is in the queue still goes out.
                Task::Order(stream, Order::Close { connection }) => drop(connections.remove(&(stream, connection))),
                Task::Forget(stream) => connections.retain(|(owner, _), _| *owner != stream),
            }
        }
    });
}

/// Connects, and carries octets both ways until one side has enough.
async fn converse(
    stream: StreamId,
    connection: u8,
    address: SocketAddr,
    tls: Option<(String, Option<PathBuf>)>,
    mut queue: mpsc::Receiver<Vec<u8>>,
    roots: &helper::Roots,
    report: &Report,
) -> Result<(), String> {
    let silent = || "no answer to the connection request".to_owned();
    let link = timeout(PATIENCE, helper::connect(address, tls, roots)).await.map_err(|_| silent())??;
    let (mut reader, mut writer) = tokio::io::split(link);
    report(stream, Done::Connected { connection });
    let reading = async {
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = reader.read(&mut chunk).await.map_err(words)?;
            if length == 0 {
                return Err("the server closed the connection".to_owned());
            }
            let bytes = chunk.get(..length).unwrap_or_default().to_vec();
            report(stream, Done::Received { connection, bytes });
        }
    };
    let writing = async {
        while let Some(bytes) = queue.recv().await {
            writer.write_all(&bytes).await.map_err(words)?;
            writer.flush().await.map_err(words)?;
        }
        // Nobody sends any more.
        let _ = writer.shutdown().await;
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
    }
}

fn words(error: io::Error) -> String {
    error.to_string()
}
