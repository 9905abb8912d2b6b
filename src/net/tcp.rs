//! One SIP connection over TCP: cut into messages on the way in, written in order on the way out (RFC 3261 §18).
use super::manager::{NetEvent, Shared};
use crate::base::net::{Flow, Received};
use crate::sip::message::{ParseError, parse};
use crate::sip::transport::framing::{Event, PONG, StreamFramer};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a begun message may take to arrive whole: a slower sender is cut off.
const MESSAGE: Duration = Duration::from_secs(10);
/// How long a connection may be silent before its first message, and between two.
const SILENT: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(3600);
/// How long one write may be stuck.
const WRITE: Duration = Duration::from_secs(10);
/// Messages waiting to be written; a peer that reads slower loses the connection.
pub const QUEUE: usize = 64;

/// Connects, then serves the connection until it ends.
pub async fn connect(flow: Flow, outgoing: mpsc::Receiver<Bytes>, shared: Arc<Shared>) {
    let connected = tokio::time::timeout(CONNECT, TcpStream::connect(flow.remote)).await;
    let error = match connected {
        Ok(Ok(stream)) => return serve(stream, flow, outgoing, shared).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer to the connection request".to_owned(),
    };
    shared.forget(flow.remote, outgoing);
    shared.report(NetEvent::Refused { flow, error }).await;
}

/// Reads and writes until either side closes.
pub async fn serve(stream: TcpStream, flow: Flow, mut outgoing: mpsc::Receiver<Bytes>, shared: Arc<Shared>) {
    // A small message must not wait for the acknowledgement of the one before it.
    let _ = stream.set_nodelay(true);
    let (mut reader, mut writer) = stream.into_split();
    let (mut framer, mut chunk) = (StreamFramer::new(), vec![0; 16 * 1024]);
    let mut begun: Option<Instant> = None;
    // Whoever connects has something to say, and says it soon.
    let mut idle = SILENT;
    let error = 'connection: loop {
        let deadline = begun.map(|since| since + MESSAGE);
        let far = Instant::now() + idle;
        tokio::select! {
            bytes = outgoing.recv() => {
                let Some(bytes) = bytes else { break "closed here".to_owned() };
                idle = IDLE;
                match tokio::time::timeout(WRITE, writer.write_all(&bytes)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => break error.to_string(),
                    Err(_) => break "the peer does not read".to_owned(),
                }
            }
            read = timeout_at(deadline.unwrap_or(far), reader.read(&mut chunk)) => match read {
                Ok(Ok(0)) => break "closed by the peer".to_owned(),
                Ok(Ok(length)) => {
                    framer.handle_bytes(chunk.get(..length).unwrap_or_default());
                    while let Some(event) = framer.poll_event() {
                        match event {
                            Event::Frame(bytes) => {
                                // The next message has its own time.
                                (begun, idle) = (None, IDLE);
                                shared.received(Received { flow, bytes }).await;
                            }
                            Event::Ping => {
                                let pong = tokio::time::timeout(WRITE, writer.write_all(PONG)).await;
                                if !matches!(pong, Ok(Ok(()))) {
                                    break 'connection "the peer does not read".to_owned();
                                }
                            }
                            Event::Pong => {}
                            Event::Fatal { error, head } => {
                                // What can be answered is: 400 with the reason, then the end.
                                if let Err(ParseError::Refused { answer }) = parse(&head) {
                                    let _ = tokio::time::timeout(WRITE, writer.write_all(&answer.to_bytes())).await;
                                }
                                break 'connection error.to_string();
                            }
                        }
                    }
                    begun = framer.is_mid_message().then(|| begun.unwrap_or_else(Instant::now));
                }
                Ok(Err(error)) => break error.to_string(),
                Err(_) if begun.is_some() => break "a message was begun and not finished".to_owned(),
                Err(_) => break "idle".to_owned(),
            },
        }
    };
    shared.forget(flow.remote, outgoing);
    shared.report(NetEvent::Refused { flow, error }).await;
}
