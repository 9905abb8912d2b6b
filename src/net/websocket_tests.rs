//! WebSockets against servers on loopback, good and bad.
use super::manager::{Access, Net, NetConfig, NetEvent};
use super::testing::{HERE, OPTIONS, listen, run, server};
use crate::base::net::{Flow, Received, Transmit, Transport};
use crate::sip::message::MAX_MESSAGE;
use crate::sip::transport::framing::PING;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

fn bind(path: &str) -> Net {
    let access = vec![Access { websocket_path: path.to_owned(), ..Access::default() }];
    Net::bind(&NetConfig { address: Some(HERE), access, ..NetConfig::default() }).expect("a free port")
}

/// Sends a message there, and a flow to send more.
fn send(net: &mut Net, at: SocketAddr) -> Flow {
    let flow = net.router().flow(Transport::Ws, at, &server("a.example")).expect("a way");
    net.send(Transmit { flow, bytes: Bytes::from_static(OPTIONS) });
    flow
}

async fn refusal(net: &mut Net) -> String {
    match net.next().await {
        NetEvent::Refused { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

async fn received(net: &mut Net) -> Received {
    match net.next().await {
        NetEvent::Received(received) => received,
        other => panic!("{other:?}"),
    }
}

/// A server that is asked as RFC 7118 says, and speaks SIP.
async fn accept(stream: TcpStream) -> WebSocketStream<TcpStream> {
    let port = stream.local_addr().expect("bound").port();
    #[expect(clippy::result_large_err, reason = "the library's type")]
    let check = |request: &Request, mut response: Response| {
        let header = |name| request.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        assert_eq!(request.uri().to_string(), "/some/path?x=y");
        assert_eq!(header("Host"), Some(format!("a.example:{port}")));
        assert_eq!(header("Sec-WebSocket-Protocol"), Some("sip".to_owned()));
        response.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().expect("a value"));
        Ok(response)
    };
    accept_hdr_async(stream, check).await.expect("a WebSocket is asked for")
}

/// Reads a request for a WebSocket; its key.
async fn asked(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.expect("a request"));
    }
    let text = String::from_utf8(request).expect("text");
    let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    key.expect("a key").to_owned()
}

#[test]
fn a_server_that_does_not_agree_is_told_in_words() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let rows: [(String, &str); 15] = [
        ("HTTP/1.1 404 Not Found\r\n\r\n".into(), "the server has no WebSocket at /ws (404); set websocket_path"),
        ("HTTP/1.1 401 Unauthorized\r\n\r\n".into(), "lets only those in who log in to it by HTTP (401)"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n".into(), "the server refuses the WebSocket (403); does it allow this phone?"),
        ("HTTP/1.1 426 Upgrade Required\r\n\r\n".into(), "wants another version of WebSockets or of HTTP (426)"),
        (
            "HTTP/1.1 301 Moved\r\nLocation: wss://b.example/sip\r\n\r\n".into(),
            "the server points to wss://b.example/sip (301); set the account's server and websocket_path to it",
        ),
        ("HTTP/1.1 302 Found\r\n\r\n".into(), "the server points to another place (302)"),
        ("HTTP/1.1 503 Busy\r\n\r\n".into(), "the server is not able to take the WebSocket now (503)"),
        ("HTTP/1.1 200 OK\r\n\r\n".into(), "with HTTP 200; is this its WebSocket port and path?"),
        ("SIP/2.0 400 What?\r\n\r\n".into(), "the peer speaks no WebSocket; is this its WebSocket port?"),
        (String::new(), "the peer closed the connection in the WebSocket handshake"),
        (format!("{SWITCH}Sec-WebSocket-Accept: ACCEPT\r\n\r\n"), "does not speak SIP in this WebSocket"),
        (
            format!("{SWITCH}Sec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: chat\r\n\r\n"),
            "does not speak SIP in this WebSocket; set websocket_path",
        ),
        (
            format!("{SWITCH}Sec-WebSocket-Accept: AAAA\r\nSec-WebSocket-Protocol: sip\r\n\r\n"),
            "the server's Sec-WebSocket-Accept is wrong",
        ),
        (format!("{SWITCH}Sec-WebSocket-Protocol: sip\r\n\r\n"), "the server's Sec-WebSocket-Accept is wrong"),
        (format!("HTTP/1.1 101 Fine\r\n{}\r\n", "X-Y: z\r\n".repeat(1_000)), "the peer speaks no WebSocket"),
    ];
    run(async {
        for (answer, sentence) in rows {
            let at = listen(HERE, move |mut stream| {
                let answer = answer.clone();
                async move {
                    let key = asked(&mut stream).await;
                    let answer = answer.replace("ACCEPT", &derive_accept_key(key.as_bytes()));
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
            let mut net = bind("/ws");
            send(&mut net, at.await);
            let error = refusal(&mut net).await;
            assert!(error.contains(sentence), "{error:?}, not {sentence:?}");
        }
        let mut net = bind("/a b");
        send(&mut net, listen(HERE, |_| async {}).await);
        assert_eq!(refusal(&mut net).await, "websocket_path \"/a b\" cannot be the path of a URI");
    });
}

/// A frame of a message in pieces.
fn piece(opcode: Data, bytes: &[u8], is_final: bool) -> Message {
    let header = FrameHeader { is_final, opcode: OpCode::Data(opcode), ..FrameHeader::default() };
    Message::Frame(Frame::from_payload(header, Bytes::copy_from_slice(bytes)))
}

#[test]
fn each_message_is_one_sip_message_whatever_its_frames() {
    run(async {
        let at = listen(HERE, |stream| async move {
            let mut socket = accept(stream).await;
            // The library demands the mask.
            let first = socket.next().await.expect("a message").expect("well-formed");
            assert_eq!(first, Message::Text(str::from_utf8(OPTIONS).expect("text").into()));
            let second = socket.next().await.expect("a message").expect("well-formed");
            assert_eq!(second, Message::Binary(Bytes::from_static(b"\xff")));
            let said = [
                Message::Ping(Bytes::from_static(b"are you there?")),
                Message::Text("text".into()),
                Message::Binary(Bytes::from_static(b"binary\xff")),
                piece(Data::Text, b"in ", false),
                Message::Ping(Bytes::from_static(b"within")),
                piece(Data::Continue, b"three ", false),
                piece(Data::Continue, b"pieces", true),
                Message::Text("".into()),
                Message::Text("\r\n\r\n".into()),
                Message::Text("\r\n".into()),
                Message::Text("last".into()),
            ];
            for message in said {
                socket.send(message).await.expect("sent");
            }
            let mut heard = Vec::new();
            while let Some(Ok(message)) = socket.next().await {
                heard.push(message);
                if heard.len() == 4 {
                    let _ = socket.send(Message::Text(format!("{heard:?}").into())).await;
                }
            }
        });
        let mut net = bind("some/path?x=y");
        let flow = send(&mut net, at.await);
        net.send(Transmit { flow, bytes: Bytes::from_static(b"\xff") });
        for bytes in [&b"text"[..], b"binary\xff", b"in three pieces"] {
            assert_eq!(received(&mut net).await, Received { flow, bytes: Bytes::copy_from_slice(bytes) });
        }
        // A lone line end is the answer to a keep-alive of ours.
        assert!(matches!(net.next().await, NetEvent::Alive { flow: alive } if alive == flow));
        assert_eq!(&received(&mut net).await.bytes[..], b"last");
        net.send(Transmit { flow, bytes: Bytes::from_static(PING) });
        // What the server heard: the two pongs, the answer to its CRLF keep-alive, and our ping, whose pong comes along.
        let (mut heard, mut alive) = (Bytes::new(), false);
        while heard.is_empty() || !alive {
            match net.next().await {
                NetEvent::Received(received) => heard = received.bytes,
                NetEvent::Alive { flow: on } => alive = on == flow,
                NetEvent::Refused { error, .. } => panic!("{error}"),
            }
        }
        let heard = str::from_utf8(&heard).expect("text");
        let pongs = ["Pong(b\"are you there?\")", "Pong(b\"within\")", "\\r\\n", "Ping(b\"\")"];
        assert!(pongs.iter().all(|part| heard.contains(part)), "{heard}");
    });
}

#[test]
fn a_socket_that_ends_says_why() {
    let close = |code, reason: &'static str| Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    let rows = [
        (vec![Message::Close(None)], "closed by the peer"),
        (vec![close(CloseCode::Normal, "")], "closed by the peer: it is done"),
        (vec![close(CloseCode::Away, "restarting")], "closed by the peer: it is going away (restarting)"),
        (vec![close(CloseCode::Policy, "")], "closed by the peer: a message broke its rules"),
        (vec![close(CloseCode::Library(4001), "no")], "closed by the peer: code 4001 (no)"),
        (vec![Message::Binary(vec![b'x'; MAX_MESSAGE + 1].into())], "the peer sent a message of more than 65536 bytes"),
        (
            vec![
                piece(Data::Binary, &[b'x'; MAX_MESSAGE / 2], false),
                piece(Data::Continue, &[b'x'; MAX_MESSAGE], false),
            ],
            "the peer sent a message of more than 65536 bytes",
        ),
        (vec![piece(Data::Text, b"\xff\xff", true)], "the peer sent a text that is not UTF-8"),
        (vec![piece(Data::Continue, b"x", true)], "the peer broke the WebSocket protocol: Continue frame"),
        (vec![], "closed by the peer"),
    ];
    run(async {
        for (said, sentence) in rows {
            let at = listen(HERE, move |stream| {
                let said = said.clone();
                async move {
                    let mut socket = accept(stream).await;
                    for message in said {
                        let _ = socket.send(message).await;
                    }
                }
            });
            let mut net = bind("/some/path?x=y");
            send(&mut net, at.await);
            let error = refusal(&mut net).await;
            assert!(error.starts_with(sentence), "{error:?}, not {sentence:?}");
        }
    });
}

#[test]
fn a_socket_we_end_is_closed_in_good_order() {
    run(async {
        let (told, mut heard) = tokio::sync::mpsc::channel(1);
        let at = listen(HERE, move |stream| {
            let told = told.clone();
            async move {
                let mut socket = accept(stream).await;
                while let Some(Ok(message)) = socket.next().await {
                    if let Message::Close(frame) = message {
                        told.send(frame).await.expect("waited for");
                    }
                }
            }
        });
        let mut net = bind("/some/path?x=y");
        let flow = send(&mut net, at.await);
        net.close(&flow);
        let frame = heard.recv().await.expect("told");
        assert_eq!(frame.map(|frame| frame.code), Some(CloseCode::Normal));
    });
}
