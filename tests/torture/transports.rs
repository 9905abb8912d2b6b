//! The same messages over real connections: a phone that registered over TCP or TLS gets them byte by byte, one that
//! registered over a WebSocket gets each in a message of its own.
use crate::load;
use crate::peer::Letter;
use crate::stage::{Answer, Stream, status};
use crate::table::{self, Row};
use crate::world::{account, settings};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use offhook::base::net::{Flow, Transport};
use offhook::base::rng::Rng;
use offhook::base::time::WallAnchor;
use offhook::media::event::MediaEvent;
use offhook::media::spec::MediaCommand;
use offhook::net::{Access, Net, NetConfig};
use offhook::runtime::journal::Journal;
use offhook::runtime::signalling::{Media, Signalling};
use offhook::sip::message::{Message, Response, parse};
use offhook::sip::transport::framing::{Event, StreamFramer};
use offhook::ua::UserAgent;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response as Upgrade};
use tokio_tungstenite::tungstenite::protocol::Message as Frame;

/// What must come comes within this time.
const SOON: Duration = Duration::from_secs(10);
/// How long nothing must come.
const QUIET: Duration = Duration::from_millis(100);

trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// The server's end of the phone's connection.
enum Wire {
    Stream { io: Box<dyn Io>, framer: Box<StreamFramer> },
    WebSocket(Box<WebSocketStream<Box<dyn Io>>>),
}

impl Wire {
    /// Byte by byte, or as one message. The peer may close at any byte.
    async fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Stream { io, .. } => {
                for byte in bytes {
                    if io.write_all(std::slice::from_ref(byte)).await.is_err() || io.flush().await.is_err() {
                        return;
                    }
                }
            }
            Self::WebSocket(socket) => {
                socket.send(Frame::binary(Bytes::copy_from_slice(bytes))).await.expect("an open WebSocket");
            }
        }
    }

    /// The next message; `None` at the end of the connection.
    async fn next(&mut self) -> Option<Letter> {
        loop {
            match self {
                Self::Stream { io, framer } => match framer.poll_event() {
                    Some(Event::Frame(bytes)) => return Some(letter(&bytes)),
                    Some(Event::Ping) => io.write_all(b"\r\n").await.expect("an open connection"),
                    Some(Event::Pong) => {}
                    Some(Event::Fatal { error, .. }) => panic!("{error}"),
                    None => {
                        let mut chunk = [0; 4096];
                        let length = io.read(&mut chunk).await.unwrap_or(0);
                        if length == 0 {
                            return None;
                        }
                        framer.handle_bytes(&chunk[..length]);
                    }
                },
                Self::WebSocket(socket) => match socket.next().await {
                    Some(Ok(Frame::Text(text))) => return Some(letter(text.as_bytes())),
                    Some(Ok(Frame::Binary(bytes))) => return Some(letter(&bytes)),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                },
            }
        }
    }
}

/// Not all answers can be parsed: they repeat what was wrong.
fn letter(bytes: &[u8]) -> Letter {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 0));
    let text = String::from_utf8_lossy(bytes).into_owned();
    Letter { flow: Flow::new(Transport::Tcp, nobody, nobody), text }
}

/// A server that phones register at, over one transport.
struct Server {
    transport: Transport,
    listener: TcpListener,
    tls: TlsAcceptor,
    /// Whom a phone must trust.
    authority: std::path::PathBuf,
}

impl Server {
    async fn new(transport: Transport) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let authority = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("torture-{}.pem", transport.name()));
        std::fs::write(&authority, cert.pem()).expect("writes");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
        let config = config.with_single_cert(vec![cert.der().clone()], key).expect("its key");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        Self { transport, listener, tls: TlsAcceptor::from(Arc::new(config)), authority }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("bound")
    }

    /// Waits for a phone, and lets it register.
    async fn accept(&self) -> Wire {
        let (tcp, _) = self.listener.accept().await.expect("a phone");
        tcp.set_nodelay(true).expect("a socket");
        let io: Box<dyn Io> = match self.transport {
            Transport::Tls | Transport::Wss => Box::new(self.tls.accept(tcp).await.expect("TLS")),
            Transport::Udp | Transport::Tcp | Transport::Ws => Box::new(tcp),
        };
        let mut wire = match self.transport.is_websocket() {
            true => Wire::WebSocket(Box::new(upgrade(io).await)),
            false => Wire::Stream { io, framer: Box::default() },
        };
        let register = wire.next().await.expect("a REGISTER").text;
        let Ok(Message::Request(register)) = parse(&Bytes::from(register)) else { panic!("no REGISTER") };
        let mut ok = Response::to_request(&register, 200, Some("server"));
        let contact = register.headers.get("Contact").expect("a Contact");
        ok.headers.push("Contact", format_args!("{contact};expires=600"));
        wire.send(&ok.to_bytes()).await;
        wire
    }
}

#[expect(clippy::result_large_err, reason = "the library's own type")]
async fn upgrade(io: Box<dyn Io>) -> WebSocketStream<Box<dyn Io>> {
    let callback = |_: &Request, mut response: Upgrade| {
        response.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().expect("a header"));
        Ok(response)
    };
    tokio_tungstenite::accept_hdr_async(io, callback).await.expect("a WebSocket")
}

/// Media that has ports for every call and makes no sound.
struct Silent(mpsc::Sender<MediaEvent>);

impl Media for Silent {
    fn send(&self, command: MediaCommand) {
        if let MediaCommand::Open { stream, local, .. } = command {
            let (rtp, rtcp) = (SocketAddr::new(local, 20_000), SocketAddr::new(local, 20_001));
            self.0
                .try_send(MediaEvent::Opened { stream, rtp, rtcp, candidates: Vec::new(), complete: true })
                .expect("room");
        }
    }
}

/// A phone whose account is at that server; it runs until it is dropped.
async fn phone(server: &Server, seed: u64) {
    let mut own = account("a", server.address(), true);
    own.registrar = Some((own.domain.clone(), Some(server.address().port())));
    own.transport = Some(server.transport);
    let access =
        Access { ca_file: Some(server.authority.clone()), websocket_path: "/ws".to_owned(), ..Access::default() };
    let config = NetConfig { address: Some([127, 0, 0, 1].into()), access: vec![access], ..NetConfig::default() };
    let net = Net::bind(&config).expect("a free port");
    let (now, mut rng) = (Instant::now(), Rng::from_u64(seed));
    let anchor = WallAnchor::new(now, SystemTime::now());
    let mut agent = UserAgent::new(settings(vec![own]), anchor, rng.fork());
    agent.start(now);
    let (media, media_events) = mpsc::channel(64);
    let (_commands, commands) = mpsc::channel(1);
    let (events, _events) = mpsc::channel(64);
    let snapshots = watch::channel(Arc::default()).0;
    let signalling = Signalling {
        agent,
        net,
        rng,
        media: Silent(media),
        media_events,
        commands,
        snapshots,
        events,
        journal: Journal::without_file(),
        decorate: Box::new(|_| ()),
        hear: Box::new(|_| ()),
        take: Box::new(|_| None),
        changes: mpsc::channel(1).1,
    };
    signalling.run().await;
}

/// Each request's latest response, in the order in which the requests were answered first.
#[derive(Default)]
struct Answers(Vec<(String, u16)>);

impl Answers {
    fn take(&mut self, response: &Letter) {
        let name = format!("{} {}", response.header("Call-ID"), response.header("CSeq"));
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, latest)) => *latest = status(response),
            None => self.0.push((name, status(response))),
        }
    }

    fn list(&self) -> Vec<Answer> {
        let answers = self.0.iter().map(|(_, status)| match status {
            180 => Answer::Rings,
            status => Answer::Status(*status),
        });
        answers.collect()
    }

    /// Something is under way that the phone has not decided on.
    fn are_open(&self) -> bool {
        self.0.iter().any(|(_, status)| *status == 100)
    }
}

const PROBE: &str = "OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKprobe\r\n\
    From: <sip:server@127.0.0.1>;tag=p\r\nTo: <sip:a@127.0.0.1>\r\nCall-ID: probe\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

/// Sends a message and, behind it, a question; what is answered before the answer to that.
async fn play(wire: &mut Wire, bytes: &[u8], name: &str) -> Vec<Answer> {
    wire.send(bytes).await;
    // Twice: what a message without a length leaves on a stream takes the first one with it.
    wire.send(PROBE.as_bytes()).await;
    wire.send(PROBE.as_bytes()).await;
    let (mut answers, mut probed) = (Answers::default(), false);
    while !probed || answers.are_open() {
        let message =
            timeout(SOON, wire.next()).await.unwrap_or_else(|_| panic!("{name}: {:?} and no more", answers.0));
        match message {
            Some(response) if response.header("Call-ID") == "probe" => {
                assert_eq!(status(&response), 200, "{name}");
                probed = true;
            }
            Some(response) => answers.take(&response),
            None => panic!("{name}: closed after {:?}", answers.0),
        }
    }
    answers.list()
}

async fn check(server: &Server, folder: &str, row: &Row) {
    let name = format!("§{} {} over {}: {}", row.section, row.file, server.transport.name(), row.why);
    let bytes = load(folder, row.file);
    let case = async {
        let mut wire = timeout(SOON, server.accept()).await.unwrap_or_else(|_| panic!("{name}: no phone"));
        let expected: Vec<Answer> = match row.stream {
            _ if server.transport.is_websocket() => vec![row.answer],
            Stream::Whole => vec![row.answer],
            Stream::Pieces(answers) => answers.to_vec(),
            Stream::Waits => {
                wire.send(&bytes).await;
                assert!(timeout(QUIET, wire.next()).await.is_err(), "{name}: an answer to half a message");
                return;
            }
            Stream::Closed(refusal) => {
                wire.send(&bytes).await;
                let said = timeout(SOON, wire.next()).await.expect("an answer").expect("an answer");
                assert_eq!(status(&said), refusal, "{name}");
                assert!(timeout(SOON, wire.next()).await.expect("the end").is_none(), "{name}: still open");
                return;
            }
        };
        let expected: Vec<Answer> = expected.into_iter().filter(|answer| *answer != Answer::Silence).collect();
        assert_eq!(play(&mut wire, &bytes, &name).await, expected, "{name}");
    };
    tokio::select! {
        () = phone(server, 1) => panic!("{name}: the phone ended"),
        () = case => {}
    }
}

fn all_over(transport: Transport) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let server = Server::new(transport).await;
        for row in table::syntax().iter().chain(&table::semantics()) {
            check(&server, "rfc4475", row).await;
        }
        for row in &table::ipv6() {
            check(&server, "rfc5118", row).await;
        }
    });
}

#[test]
fn byte_by_byte_over_tcp() {
    all_over(Transport::Tcp);
}

#[test]
fn byte_by_byte_over_tls() {
    all_over(Transport::Tls);
}

#[test]
fn as_messages_of_a_websocket() {
    all_over(Transport::Ws);
}

#[test]
fn as_messages_of_a_secure_websocket() {
    all_over(Transport::Wss);
}
