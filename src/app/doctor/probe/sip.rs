//! Asks the server over SIP, and looks at what it shows: answers, headers that came back, its certificate.
use crate::app::certificates;
use crate::app::doctor::certificate::{Certificate, Session};
use crate::app::doctor::server::Failure;
use crate::app::wire::USER_AGENT;
use crate::base::net::{Flow, Transmit, Transport};
use crate::base::rng::Rng;
use crate::net::tls::{self, Roots};
use crate::net::{Access, Net, NetConfig, NetEvent, Server};
use crate::sip::dialog::outside;
use crate::sip::key::MAGIC_COOKIE;
use crate::sip::locate::Target;
use crate::sip::message::{Host, Message, Method, NameAddr, Request, Response, Uri, Via, parse};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The first time a datagram is sent again (RFC 3261 §17.1.2.2, timer E).
const RESEND: Duration = Duration::from_millis(500);
/// How long a server may take to connect, and for its handshake.
const PATIENCE: Duration = Duration::from_secs(4);
/// A message longer than this does not fit into one packet on most links \[octets\].
const LONG: usize = 1_700;

/// Who asks whom.
#[derive(Clone, Debug)]
pub struct Asker {
    /// `sip:USER@DOMAIN`
    pub address: Uri,
    pub domain: Uri,
}

/// A way to the server, with sockets of its own: the phone may be running.
pub struct Wire {
    net: Net,
    pub flow: Flow,
}

impl Wire {
    /// # Errors
    /// There is no such way from here.
    pub fn open(config: &NetConfig, target: Target, server: &Server) -> Result<Self, Failure> {
        let config = NetConfig { port: 0, listen: Vec::new(), ..config.clone() };
        let refused = |error: crate::net::NetError| Failure::Refused(error.to_string());
        let net = Net::bind(&config).map_err(refused)?;
        let flow = net.router().flow(target.transport, target.address, server).map_err(refused)?;
        if flow.local.is_ipv4() != flow.remote.is_ipv4() {
            return Err(Failure::Refused(format!("no way from {} to {}", flow.local.ip(), flow.remote.ip())));
        }
        Ok(Self { net, flow })
    }

    /// A request that goes this way, whose texts show who touches them.
    pub fn request(&self, method: Method, asker: &Asker, rng: &mut Rng) -> Request {
        let ip = self.flow.local.ip();
        let from = NameAddr::new(asker.address.clone()).with_tag(&rng.hex(16));
        let to = if method == Method::Register { asker.address.clone() } else { asker.domain.clone() };
        let call_id = format!("{}@{ip}", rng.hex(24));
        let is_options = method == Method::Options;
        let (mut request, _) = outside(method, &asker.domain, &[], &from, &NameAddr::new(to), &call_id, 1);
        if is_options {
            request.headers.push("Contact", NameAddr::new(Uri::of_address(None, self.flow.local)));
            request.headers.push("Accept", "application/sdp");
        }
        request.headers.push("User-Agent", USER_AGENT);
        self.renew_via(&mut request, rng);
        request
    }

    /// Each try is a transaction of its own.
    pub fn renew_via(&self, request: &mut Request, rng: &mut Rng) {
        let (token, branch) = (self.flow.transport.via_token(), format!("{MAGIC_COOKIE}{}", rng.hex(24)));
        let local = self.flow.local;
        request.headers.remove("Via");
        request.headers.push_front("Via", Via::new(token, Host::Ip(local.ip()), Some(local.port()), &branch));
    }

    /// The final answer, and how long it took.
    ///
    /// # Errors
    /// None came in time, or none can come.
    pub async fn ask(&mut self, request: &Request, patience: Duration) -> Result<(Response, Duration), Failure> {
        let branch = request.headers.via().ok().and_then(|via| via.branch().map(str::to_owned));
        let bytes = request.to_bytes();
        let (began, mut interval) = (Instant::now(), RESEND);
        let end = tokio::time::Instant::from_std(began + patience);
        let mut sent = began;
        self.net.send(Transmit { flow: self.flow, bytes: bytes.clone() });
        loop {
            let resend = match self.flow.transport.is_reliable() {
                true => end,
                false => tokio::time::Instant::from_std(sent + interval).min(end),
            };
            tokio::select! {
                event = self.net.next() => match event {
                    NetEvent::Received(received) => {
                        let Ok(Message::Response(response)) = parse(&received.bytes) else { continue };
                        let own = response.headers.via().is_ok_and(|via| via.branch().map(str::to_owned) == branch);
                        // What changes a branch on the way does not change who asked and how often.
                        let same = own || response.headers.cseq().ok() == request.headers.cseq().ok()
                            && response.headers.from().ok().and_then(|f| f.tag().map(str::to_owned))
                                == request.headers.from().ok().and_then(|f| f.tag().map(str::to_owned));
                        if same && response.status >= 200 {
                            return Ok((response, began.elapsed()));
                        }
                    }
                    NetEvent::Refused { flow, error } if flow.remote == self.flow.remote => {
                        return Err(Failure::Refused(error));
                    }
                    NetEvent::Refused { .. } | NetEvent::Alive { .. } => {}
                },
                () = tokio::time::sleep_until(resend) => {
                    if tokio::time::Instant::now() >= end {
                        return Err(Failure::Silent);
                    }
                    (sent, interval) = (Instant::now(), interval * 2);
                    self.net.send(Transmit { flow: self.flow, bytes: bytes.clone() });
                }
            }
        }
    }
}

/// Makes a request so long that it is cut into fragments.
pub fn lengthened(mut request: Request) -> Request {
    let missing = LONG.saturating_sub(request.to_bytes().len());
    request.headers.push("Subject", "long ".repeat(missing / 5).trim_end());
    request
}

/// Looks at the certificate as the phone does.
pub async fn certificate(target: Target, server: &Server, access: &Access) -> Certificate {
    let name = server.bare_name().to_owned();
    let looking = async {
        let tcp = TcpStream::connect(target.address).await.map_err(|error| error.to_string())?;
        let stream = tls::handshake(tcp, server, access, &Roots::default()).await.map_err(|error| error.to_string())?;
        let (_, session) = stream.get_ref();
        let chain = session.peer_certificates().unwrap_or_default();
        Ok(Session {
            version: session.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default(),
            not_after: chain.first().and_then(certificates::not_after),
            chain: chain.len(),
        })
    };
    let silent = || Err("the TLS handshake was begun and not finished; is this a TLS port?".to_owned());
    let result = timeout(PATIENCE, looking).await.unwrap_or_else(|_| silent());
    Certificate { remote: target.address, name, result }
}

/// Other transports at the same address, where a server usually has them.
pub fn alternatives(tried: &[Target]) -> Vec<Target> {
    let Some(first) = tried.first() else { return Vec::new() };
    let port = first.address.port();
    let plain = if first.transport == Transport::Tls { port.saturating_sub(1) } else { port };
    let all = [
        (Transport::Tcp, plain),
        (Transport::Udp, plain),
        (Transport::Tls, plain.saturating_add(1)),
        (Transport::Tls, Transport::Tls.default_port()),
        (Transport::Tcp, Transport::Tcp.default_port()),
        (Transport::Udp, Transport::Udp.default_port()),
        (Transport::Wss, Transport::Wss.default_port()),
    ];
    let mut out: Vec<Target> = Vec::new();
    for (transport, port) in all {
        let target = Target { transport, address: (first.address.ip(), port).into() };
        let known = out.contains(&target) || tried.contains(&target);
        if !known && port != 0 {
            out.push(target);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_ways_to_the_same_server() {
        let target = |transport, port| Target { transport, address: ([192, 0, 2, 1], port).into() };
        let ways = |tried: Target| -> Vec<(Transport, u16)> {
            alternatives(&[tried]).iter().map(|target| (target.transport, target.address.port())).collect()
        };
        let usual = [(Transport::Tcp, 5060), (Transport::Tls, 5061), (Transport::Wss, 443)];
        assert_eq!(ways(target(Transport::Udp, 5060)), usual);
        let own = ways(target(Transport::Udp, 5070));
        assert!(own.starts_with(&[(Transport::Tcp, 5070), (Transport::Tls, 5071), (Transport::Tls, 5061)]), "{own:?}");
        assert_eq!(ways(target(Transport::Tls, 5061))[..2], [(Transport::Tcp, 5060), (Transport::Udp, 5060)]);
        assert_eq!(alternatives(&[]), []);
    }
}
