//! One SIP connection over TCP or TLS: cut into messages on the way in, written in order on the way out (RFC 3261 §18).
use super::dial::Io;
use super::manager::NetEvent;
use super::pool::Shared;
use super::tls;
use crate::base::net::{Flow, Received};
use crate::sip::message::{ParseError, parse};
use crate::sip::transport::framing::{Event, PING, PONG, StreamFramer};
use bytes::Bytes;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a begun message may take to arrive whole: a slower sender is cut off.
const MESSAGE: Duration = Duration::from_secs(10);
/// How long a connection may be silent before its first message, and between two.
pub const SILENT: Duration = Duration::from_secs(60);
pub const IDLE: Duration = Duration::from_secs(3600);
/// How long one write may be stuck.
pub const WRITE: Duration = Duration::from_secs(10);
/// How long the goodbye may take.
pub const GOODBYE: Duration = Duration::from_secs(1);

/// Reads and writes until either side closes; returns why it is over, or `None` when it was ended here.
pub async fn serve(
    mut stream: Box<dyn Io>,
    flow: &Flow,
    outgoing: &mut mpsc::Receiver<Bytes>,
    shared: &Shared,
) -> Option<String> {
    let (mut framer, mut chunk) = (StreamFramer::new(), vec![0; 16 * 1024]);
    let mut begun: Option<Instant> = None;
    // Whoever connects has something to say, and says it soon.
    let mut idle = SILENT;
    let end = 'connection: loop {
        let deadline = begun.map(|since| since + MESSAGE);
        let far = Instant::now() + idle;
        tokio::select! {
            bytes = outgoing.recv() => {
                let Some(bytes) = bytes else { break None };
                idle = IDLE;
                if bytes == PING {
                    framer.handle_ping_sent();
                }
                if let Err(error) = write(&mut stream, &bytes).await {
                    break Some(error);
                }
            }
            read = timeout_at(deadline.unwrap_or(far), stream.read(&mut chunk)) => match read {
                Ok(Ok(0)) => break Some("closed by the peer".to_owned()),
                Ok(Ok(length)) => {
                    framer.handle_bytes(chunk.get(..length).unwrap_or_default());
                    while let Some(event) = framer.poll_event() {
                        match event {
                            Event::Frame(bytes) => {
                                // The next message has its own time.
                                (begun, idle) = (None, IDLE);
                                shared.received(Received { flow: *flow, bytes }).await;
                            }
                            Event::Ping => {
                                if let Err(error) = write(&mut stream, PONG).await {
                                    break 'connection Some(error);
                                }
                            }
                            Event::Pong => shared.report(NetEvent::Alive { flow: *flow }).await,
                            Event::Fatal { error, head } => {
                                // What can be answered is: 400 with the reason, then the end.
                                if let Err(ParseError::Refused { answer }) = parse(&head) {
                                    let _ = write(&mut stream, &answer.to_bytes()).await;
                                }
                                break 'connection Some(error.to_string());
                            }
                        }
                    }
                    begun = framer.is_mid_message().then(|| begun.unwrap_or_else(Instant::now));
                }
                Ok(Err(error)) => break Some(tls::describe(&error)),
                Err(_) if begun.is_some() => break Some("a message was begun and not finished".to_owned()),
                Err(_) => break Some("idle".to_owned()),
            },
        }
    };
    // Tells a TLS peer that nothing was cut off.
    let _ = timeout(GOODBYE, stream.shutdown()).await;
    end
}

async fn write(stream: &mut Box<dyn Io>, bytes: &[u8]) -> Result<(), String> {
    let written = async {
        stream.write_all(bytes).await?;
        // What TLS has encrypted is not yet on its way.
        stream.flush().await
    };
    match timeout(WRITE, written).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Err("closed by the peer".to_owned()),
        Ok(Err(error)) => Err(tls::describe(&error)),
        Err(_) => Err("the peer does not read".to_owned()),
    }
}
