//! One SIP connection over a WebSocket: each message is one SIP message (RFC 7118, RFC 6455).
use super::dial::Io;
use super::listen::Pages;
use super::manager::NetEvent;
use super::pool::Shared;
use super::stream::{GOODBYE, IDLE, SILENT, WRITE};
use super::tls;
use crate::base::net::{Flow, Received};
use crate::sip::message::MAX_MESSAGE;
use crate::sip::transport::framing::{PING, PONG};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::str;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config, client_async_with_config};

/// What is spoken inside (RFC 7118 §4.1).
const SUBPROTOCOL: &str = "sip";

pub type Socket = WebSocketStream<Box<dyn Io>>;

/// Why there is no WebSocket, and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    #[error("websocket_path \"{0}\" cannot be the path of a URI")]
    Path(String),
    #[error("the server has no WebSocket at {0} (404); set websocket_path")]
    NotFound(String),
    #[error("the server lets only those in who log in to it by HTTP ({0}), which this phone cannot")]
    Login(u16),
    #[error("the server refuses the WebSocket ({0}); does it allow this phone?")]
    Forbidden(u16),
    #[error("the server wants another version of WebSockets or of HTTP (426)")]
    Upgrade,
    #[error("the server points to {location} ({status}); set the account's server and websocket_path to it")]
    Redirect { status: u16, location: String },
    #[error("the server is not able to take the WebSocket now ({0})")]
    Unavailable(u16),
    #[error("the server answers the WebSocket request with HTTP {0}; is this its WebSocket port and path?")]
    Status(u16),
    #[error("the server does not speak SIP in this WebSocket; set websocket_path to the one for SIP")]
    NoSip,
    #[error("the server's Sec-WebSocket-Accept is wrong: something on the way answers in its place")]
    WrongAccept,
    #[error("the peer speaks no WebSocket; is this its WebSocket port?")]
    NotWebSocket,
    #[error("the peer closed the connection in the WebSocket handshake")]
    Closed,
    #[error("WebSocket handshake: {0}")]
    Other(String),
}

/// Asks for a WebSocket for SIP at `path` of `authority`.
pub async fn handshake(stream: Box<dyn Io>, authority: &str, path: &str) -> Result<Socket, WebSocketError> {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let bad_path = |_| WebSocketError::Path(path.to_owned());
    let path_and_query = format!("{slash}{path}");
    let uri = Uri::builder().scheme("ws").authority(authority).path_and_query(&path_and_query).build();
    let request = ClientRequestBuilder::new(uri.map_err(bad_path)?).with_sub_protocol(SUBPROTOCOL);
    let opened = client_async_with_config(request, stream, Some(limits())).await;
    opened.map(|(socket, _)| socket).map_err(|error| explain(error, path_and_query))
}

/// Takes a WebSocket for SIP that is asked for, at any path; `None` when something else was asked for, or by a page that
/// is not admitted.
pub async fn welcome(stream: Box<dyn Io>, pages: &Pages) -> Option<Socket> {
    #[expect(clippy::result_large_err, reason = "the library wants it so")]
    let check = |request: &Request, mut response: Response| {
        let of = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let refuse = |status: StatusCode| {
            let mut response = ErrorResponse::new(None);
            *response.status_mut() = status;
            response
        };
        // Several headers of that name are one list (RFC 6455 §11.3.4).
        let offered = request.headers().get_all("Sec-WebSocket-Protocol");
        let mut offered = offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
        if !offered.any(|one| one.trim().eq_ignore_ascii_case(SUBPROTOCOL)) {
            return Err(refuse(StatusCode::BAD_REQUEST));
        }
        if !pages.admits(of("Origin")) {
            return Err(refuse(StatusCode::FORBIDDEN));
        }
        response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    };
    accept_hdr_async_with_config(stream, check, Some(limits())).await.ok()
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE))
}

fn explain(error: Error, path: String) -> WebSocketError {
    match error {
        Error::Http(response) => match response.status().as_u16() {
            404 | 410 => WebSocketError::NotFound(path),
            status @ (401 | 407) => WebSocketError::Login(status),
            403 => WebSocketError::Forbidden(403),
            426 => WebSocketError::Upgrade,
            status @ 300..=399 => WebSocketError::Redirect { status, location: location(response.headers()) },
            status @ 500..=599 => WebSocketError::Unavailable(status),
            status => WebSocketError::Status(status),
        },
        Error::Protocol(error) => match error {
            ProtocolError::SecWebSocketAcceptKeyMismatch => WebSocketError::WrongAccept,
            ProtocolError::SecWebSocketSubProtocolError(
                SubProtocolError::NoSubProtocol
                | SubProtocolError::InvalidSubProtocol
                | SubProtocolError::ServerSentSubProtocolNoneRequested,
            ) => WebSocketError::NoSip,
            ProtocolError::HandshakeIncomplete => WebSocketError::Closed,
            _ => WebSocketError::NotWebSocket,
        },
        Error::Io(error) => WebSocketError::Other(tls::describe(&error)),
        Error::ConnectionClosed | Error::AlreadyClosed => WebSocketError::Closed,
        Error::Capacity(_) | Error::AttackAttempt | Error::HttpFormat(_) | Error::Utf8(_) => {
            WebSocketError::NotWebSocket
        }
        error => WebSocketError::Other(error.to_string()),
    }
}

fn location(headers: &HeaderMap) -> String {
    headers.get("Location").and_then(|value| value.to_str().ok()).unwrap_or("another place").to_owned()
}

/// Reads and writes until either side closes; returns why it is over, or `None` when it was ended here.
pub async fn serve(
    mut socket: Socket,
    flow: &Flow,
    outgoing: &mut mpsc::Receiver<Bytes>,
    shared: &Shared,
) -> Option<String> {
    // Whoever connects has something to say, and says it soon.
    let mut idle = SILENT;
    let end = loop {
        tokio::select! {
            bytes = outgoing.recv() => {
                let Some(bytes) = bytes else { break None };
                idle = IDLE;
                // The keep-alive has a form of its own here (RFC 7118 §6).
                let message = if bytes == PING { Message::Ping(Bytes::new()) } else { data(bytes) };
                if let Err(error) = write(&mut socket, message).await {
                    break Some(error);
                }
            }
            read = timeout(idle, socket.next()) => match read {
                Ok(Some(Ok(Message::Text(text)))) => {
                    idle = IDLE;
                    if let Err(error) = handle(&mut socket, text.into(), flow, shared).await {
                        break Some(error);
                    }
                }
                Ok(Some(Ok(Message::Binary(bytes)))) => {
                    idle = IDLE;
                    if let Err(error) = handle(&mut socket, bytes, flow, shared).await {
                        break Some(error);
                    }
                }
                // The library has put the pong into its queue.
                Ok(Some(Ok(Message::Ping(_)))) => {
                    if !matches!(timeout(WRITE, socket.flush()).await, Ok(Ok(()))) {
                        break Some("the peer does not read".to_owned());
                    }
                }
                Ok(Some(Ok(Message::Pong(_)))) => shared.report(NetEvent::Alive { flow: *flow }).await,
                Ok(Some(Ok(Message::Close(frame)))) => break Some(closed(frame)),
                // Only reading by hand yields single frames.
                Ok(Some(Ok(Message::Frame(_)))) => {}
                Ok(Some(Err(error))) => break Some(broken(&error)),
                Ok(None) => break Some("closed by the peer".to_owned()),
                Err(_) => break Some("idle".to_owned()),
            },
        }
    };
    // After the peer's own close frame this sends the answer to it.
    let _ = timeout(GOODBYE, socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() })))
        .await;
    end
}

/// A message in a text frame, if it is text (RFC 7118 §5).
fn data(bytes: Bytes) -> Message {
    match Utf8Bytes::try_from(bytes.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(bytes),
    }
}

async fn handle(socket: &mut Socket, bytes: Bytes, flow: &Flow, shared: &Shared) -> Result<(), String> {
    // The keep-alive of streams may be used here as well (RFC 7118 §6).
    match &*bytes {
        b"" => Ok(()),
        bytes if bytes == PING => write(socket, data(Bytes::from_static(PONG))).await,
        bytes if bytes == PONG => {
            shared.report(NetEvent::Alive { flow: *flow }).await;
            Ok(())
        }
        _ => {
            shared.received(Received { flow: *flow, bytes }).await;
            Ok(())
        }
    }
}

async fn write(socket: &mut Socket, message: Message) -> Result<(), String> {
    match timeout(WRITE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(broken(&error)),
        Err(_) => Err("the peer does not read".to_owned()),
    }
}

/// Why the peer closed, in words (RFC 6455 §7.4.1).
fn closed(frame: Option<CloseFrame>) -> String {
    let Some(CloseFrame { code, reason }) = frame else { return "closed by the peer".to_owned() };
    let words = match code {
        CloseCode::Normal => "it is done".to_owned(),
        CloseCode::Away => "it is going away".to_owned(),
        CloseCode::Protocol => "it found a protocol error".to_owned(),
        CloseCode::Unsupported => "it does not take this kind of data".to_owned(),
        CloseCode::Invalid => "it found data of the wrong kind in a message".to_owned(),
        CloseCode::Policy => "a message broke its rules".to_owned(),
        CloseCode::Size => "a message was too big for it".to_owned(),
        CloseCode::Extension => "it misses an extension".to_owned(),
        CloseCode::Error => "it has an internal error".to_owned(),
        CloseCode::Restart => "it restarts".to_owned(),
        CloseCode::Again => "it is overloaded".to_owned(),
        CloseCode::Status | CloseCode::Abnormal => "no reason is given".to_owned(),
        code => format!("code {}", u16::from(code)),
    };
    match reason.as_str() {
        "" => format!("closed by the peer: {words}"),
        reason => format!("closed by the peer: {words} ({reason})"),
    }
}

/// Why a WebSocket that was up broke.
fn broken(error: &Error) -> String {
    match error {
        Error::Io(error) => tls::describe(error),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            format!("the peer sent a message of more than {MAX_MESSAGE} bytes")
        }
        Error::ConnectionClosed | Error::AlreadyClosed => "closed by the peer".to_owned(),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => "closed by the peer".to_owned(),
        Error::Protocol(error) => format!("the peer broke the WebSocket protocol: {error}"),
        Error::Utf8(_) => "the peer sent a text that is not UTF-8".to_owned(),
        error => error.to_string(),
    }
}
