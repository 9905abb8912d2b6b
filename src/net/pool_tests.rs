//! Connections as the core sees them: shared, told apart, raced, lost and opened again.
use super::manager::{Net, NetConfig, NetEvent};
use super::testing::{Authority, Folder, HERE, OPTIONS, Wanted, acceptor, echo, listen, run, server};
use crate::base::net::{Flow, Received, Transmit, Transport};
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn bind(config: NetConfig) -> Net {
    Net::bind(&NetConfig { address: Some(HERE), ..config }).expect("a free port")
}

fn to(net: &Net, transport: Transport, at: SocketAddr, name: &str) -> Flow {
    net.router().flow(transport, at, &server(name)).expect("a way")
}

fn send(net: &mut Net, flow: Flow) {
    net.send(Transmit { flow, bytes: Bytes::from_static(OPTIONS) });
}

async fn received(net: &mut Net) -> Received {
    match net.next().await {
        NetEvent::Received(received) => received,
        other => panic!("{other:?}"),
    }
}

/// Reads one message of the kind that is sent here.
async fn heard(stream: &mut TcpStream) {
    let mut buffer = vec![0; OPTIONS.len()];
    stream.read_exact(&mut buffer).await.expect("a message");
    assert_eq!(buffer, OPTIONS);
}

#[test]
fn two_domains_at_one_address_share_no_connection() {
    run(async {
        let (authority, folder) = (Authority::new(), Folder::new());
        let both = Wanted { names: &["a.example", "b.example"], ..Wanted::default() };
        let acceptor = acceptor(&authority.sign(&both), true, None);
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let at = listen(HERE, move |stream| {
            count.fetch_add(1, Ordering::Relaxed);
            let acceptor = acceptor.clone();
            async move { echo(acceptor.accept(stream).await.expect("TLS")).await }
        });
        let at = at.await;
        let mut net = bind(NetConfig { access: vec![folder.trusting(&authority.pem())], ..NetConfig::default() });
        for (name, connections) in [("a.example", 1), ("a.example", 1), ("b.example", 2), ("a.example", 2)] {
            let flow = to(&net, Transport::Tls, at, name);
            send(&mut net, flow);
            assert_eq!(received(&mut net).await, Received { flow, bytes: Bytes::from_static(OPTIONS) });
            assert_eq!(opened.load(Ordering::Relaxed), connections, "{name}");
        }
        // The certificate does not name the third one, whoever is connected there already.
        let flow = to(&net, Transport::Tls, at, "c.example");
        send(&mut net, flow);
        assert!(matches!(net.next().await, NetEvent::Refused { flow: refused, .. } if refused == flow));
    });
}

#[test]
fn what_comes_on_our_connection_is_answered_on_it() {
    run(async {
        let listener = TcpListener::bind((HERE, 0)).await.expect("a port");
        let mut net = bind(NetConfig::default());
        let flow = to(&net, Transport::Tcp, listener.local_addr().expect("bound"), "a.example");
        // All that waits for the connection goes out in order.
        for n in 0..5 {
            net.send(Transmit { flow, bytes: Bytes::from(format!("message {n}; ")) });
        }
        let (mut stream, _) = listener.accept().await.expect("connected");
        let mut buffer = [0; 55];
        stream.read_exact(&mut buffer).await.expect("all");
        assert_eq!(&buffer, b"message 0; message 1; message 2; message 3; message 4; ");
        stream.write_all(OPTIONS).await.expect("written");
        let request = received(&mut net).await;
        assert_eq!(request.flow, flow);
        send(&mut net, request.flow);
        heard(&mut stream).await;
    });
}

#[test]
fn a_lost_connection_is_told_and_opened_again() {
    run(async {
        let listener = TcpListener::bind((HERE, 0)).await.expect("a port");
        let mut net = bind(NetConfig::default());
        let flow = to(&net, Transport::Tcp, listener.local_addr().expect("bound"), "a.example");
        for _ in 0..2 {
            send(&mut net, flow);
            let (mut stream, _) = listener.accept().await.expect("connected");
            heard(&mut stream).await;
            drop(stream);
            let NetEvent::Refused { flow: lost, error } = net.next().await else { panic!("told") };
            assert_eq!((lost, error.as_str()), (flow, "closed by the peer"));
        }
        // One that the core gave up: nothing is told, the peer sees the end, the next message takes another.
        send(&mut net, flow);
        let (mut first, _) = listener.accept().await.expect("connected");
        heard(&mut first).await;
        net.close(&flow);
        assert_eq!(first.read(&mut [0; 1]).await.expect("read"), 0);
        send(&mut net, flow);
        let (mut second, _) = listener.accept().await.expect("connected");
        heard(&mut second).await;
        second.write_all(OPTIONS).await.expect("written");
        assert_eq!(received(&mut net).await.flow, flow);
    });
}

#[test]
fn what_was_given_up_is_not_told_of() {
    run(async {
        let mut net = bind(NetConfig::default());
        let closed = std::net::TcpListener::bind((HERE, 0)).expect("a port").local_addr().expect("bound");
        let flow = to(&net, Transport::Tcp, closed, "a.example");
        send(&mut net, flow);
        net.close(&flow);
        // Long after the first connection was refused, this one is.
        let other = to(&net, Transport::Tls, listen(HERE, |_| async {}).await, "b.example");
        send(&mut net, other);
        assert!(matches!(net.next().await, NetEvent::Refused { flow, .. } if flow == other));
    });
}

#[test]
fn an_answered_keep_alive_is_told() {
    run(async {
        let listener = TcpListener::bind((HERE, 0)).await.expect("a port");
        let mut net = bind(NetConfig::default());
        let flow = to(&net, Transport::Tcp, listener.local_addr().expect("bound"), "a.example");
        net.send(Transmit { flow, bytes: Bytes::from_static(b"\r\n\r\n") });
        let (mut stream, _) = listener.accept().await.expect("connected");
        stream.read_exact(&mut [0; 4]).await.expect("the ping");
        stream.write_all(b"\r\n").await.expect("written");
        assert!(matches!(net.next().await, NetEvent::Alive { flow: alive } if alive == flow));
        // Only an answer is one.
        stream.write_all(b"\r\n").await.expect("written");
        stream.write_all(OPTIONS).await.expect("written");
        assert_eq!(received(&mut net).await.flow, flow);
    });
}

/// A listener whose queue is full: who connects gets no answer. It is that as long as the streams live.
async fn deaf(home: IpAddr) -> (SocketAddr, TcpListener, Vec<TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind((home, 0).into()).expect("a port");
    let listener = socket.listen(1).expect("listens");
    let at = listener.local_addr().expect("bound");
    let mut waiting = Vec::new();
    // The system may take one or two more than it was told.
    while let Ok(Ok(stream)) = tokio::time::timeout(std::time::Duration::from_millis(200), TcpStream::connect(at)).await
    {
        waiting.push(stream);
        assert!(waiting.len() < 10, "the queue has an end");
    }
    (at, listener, waiting)
}

#[test]
fn the_first_address_that_comes_up_wins_and_stays_open() {
    run(async {
        let (authority, folder) = (Authority::new(), Folder::new());
        let acceptor = acceptor(&authority.name("a.example"), true, None);
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let alive = listen(HERE, move |stream| {
            count.fetch_add(1, Ordering::Relaxed);
            let acceptor = acceptor.clone();
            async move { echo(acceptor.accept(stream).await.expect("TLS")).await }
        });
        let alive = alive.await;
        let (deaf, _listener, _waiting) = deaf(HERE).await;
        // Takes the connection, but says nothing in the handshake.
        let mute = TcpListener::bind((HERE, 0)).await.expect("a port");
        let refusing = {
            let closed = std::net::TcpListener::bind((HERE, 0)).expect("a port");
            closed.local_addr().expect("bound")
        };
        let mut net = bind(NetConfig { access: vec![folder.trusting(&authority.pem())], ..NetConfig::default() });
        let flow = |at| to(&net, Transport::Tls, at, "a.example");
        let (deaf, mute, refusing) = (flow(deaf), flow(mute.local_addr().expect("bound")), flow(refusing));
        let alive = flow(alive);
        let router = net.router();
        assert_eq!(router.race(vec![refusing]).await, [refusing], "none comes up: in the order they came");
        let ranked = router.race(vec![refusing, deaf, mute, alive]).await;
        assert_eq!(ranked, [alive, deaf, mute, refusing]);
        assert_eq!(opened.load(Ordering::Relaxed), 1);
        // The winner is used, by messages and by the next race.
        send(&mut net, alive);
        assert_eq!(received(&mut net).await.flow, alive);
        assert_eq!(router.race(vec![deaf, alive]).await, [alive, deaf]);
        assert_eq!(opened.load(Ordering::Relaxed), 1);
        // Nothing is to be connected for datagrams.
        let datagram = Flow { transport: Transport::Udp, ..deaf };
        assert_eq!(router.race(vec![datagram]).await, [datagram]);
    });
}

#[test]
fn our_end_is_the_address_we_name() {
    run(async {
        let listener = TcpListener::bind((HERE, 0)).await.expect("a port");
        let mut net = bind(NetConfig::default());
        let flow = to(&net, Transport::Tcp, listener.local_addr().expect("bound"), "a.example");
        let other = Flow { local: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9)), net.port()), ..flow };
        for flow in [flow, other] {
            send(&mut net, flow);
            let (_, from) = listener.accept().await.expect("connected");
            assert_eq!(from.ip(), flow.local.ip());
            let _ = net.next().await;
        }
        // After a change of network the old address is nobody's here.
        let gone = Flow { local: "192.0.2.1:5060".parse().expect("an address"), ..flow };
        send(&mut net, gone);
        let NetEvent::Refused { error, .. } = net.next().await else { panic!("told") };
        assert_eq!(error, "the address 192.0.2.1:5060 is no longer ours");
    });
}
