//! Drives the embedded proxy: its sockets and its timers.
use crate::base::net::Transport;
use crate::net::{Net, NetConfig, NetError, NetEvent};
use crate::proxy::{Proxy, ProxyConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A proxy and its sockets, before it runs.
pub struct ProxyServer {
    proxy: Proxy,
    net: Net,
}

impl ProxyServer {
    /// Binds the sockets, then makes the proxy for the addresses that were bound, the one of UDP and TCP first. Call it inside of
    /// a tokio runtime.
    ///
    /// # Errors
    /// When the sockets cannot be had.
    pub fn bind(
        net: &NetConfig,
        config: impl FnOnce(Vec<SocketAddr>) -> ProxyConfig,
        rng: crate::base::rng::Rng,
    ) -> Result<Self, NetError> {
        let address = net.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let net = Net::bind(net)?;
        let ports = std::iter::once(net.port()).chain(net.doors().iter().map(|(_, port)| *port));
        let proxy = Proxy::new(config(ports.map(|port| SocketAddr::new(address, port)).collect()), rng);
        Ok(Self { proxy, net })
    }

    /// The doors that were asked for beside UDP and TCP, with their ports.
    pub fn doors(&self) -> &[(Transport, u16)] {
        self.net.doors()
    }

    pub fn port(&self) -> u16 {
        self.net.port()
    }

    /// What the user should know about the sockets.
    pub fn notice(&self) -> Option<&str> {
        self.net.notice.as_deref()
    }

    /// Serves until `stop` is told or dropped.
    pub async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        loop {
            while let Some(transmit) = self.proxy.poll_transmit() {
                self.net.send(transmit);
            }
            let wake = self.proxy.poll_timeout().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                _ = &mut stop => return,
                event = self.net.next() => match event {
                    NetEvent::Received(received) => self.proxy.handle_received(Instant::now(), received),
                    NetEvent::Refused { flow, .. } => self.proxy.handle_transport_error(Instant::now(), &flow),
                    // It sends no keep-alives.
                    NetEvent::Alive { .. } => {}
                },
                () = tokio::time::sleep_until(wake.into()) => self.proxy.handle_timeout(Instant::now()),
            }
        }
    }
}
