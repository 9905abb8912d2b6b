//! One DTLS association and the SRTP keys that come of it (RFC 5764 §4, RFC 5763 §5): a machine over the library's.
//!
//! ```text
//!                      datagrams, time                    Finished of both, certificate proven
//!   new() --> Shaking ------------------> Shaking ----------------------------------------> Secured
//!                |  certificate of somebody else, fatal alert, budget or time spent            |
//!                +------------------------------> Failed          last flight repeated on request
//! ```
//!
//! Nothing a peer sends ends an association that is secured: the media goes on under its keys (RFC 5764 §4), and who
//! wants other keys makes another association by signalling. To renegotiate within one is not possible.
use crate::media::dtls::budget::{Budget, Verdict};
use crate::media::dtls::certificate::Certificate;
use crate::media::dtls::fingerprint::{Fingerprint, proves};
use crate::media::dtls::repeats::Repeats;
use crate::media::srtp::sdes::{Keys, MasterKey, Suite};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use rtc_dtls::crypto_provider::providers::RingProvider;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile as Profile;
use rtc_dtls::state::State as Agreed;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When a flight is repeated first; each time it takes twice as long (RFC 6347 §4.2.4.1 asks for a second, which is
/// long for somebody who has said hello).
const FIRST_REPEAT: Duration = Duration::from_millis(200);
/// Repetitions the library makes of a flight.
const MAX_REPEATS: u32 = 7;
/// A handshake that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Length of what we send \[octets\]; it fits into every path (RFC 6347 §4.1.1).
const MTU: usize = 1200;
/// RFC 5764 §4.2.
const LABEL: &str = "EXTRACTOR-dtls_srtp";
/// Datagrams that wait to be sent.
const MAX_WAITING: usize = 64;
/// The library tells peers apart by their addresses; there is one here, and where it is is the path's concern.
const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));

/// Best first; the server takes the client's first that it has.
const PROFILES: [(Profile, Suite); 4] = [
    (Profile::Srtp_Aead_Aes_256_Gcm, Suite::AeadAes256Gcm),
    (Profile::Srtp_Aead_Aes_128_Gcm, Suite::AeadAes128Gcm),
    (Profile::Srtp_Aes128_Cm_Hmac_Sha1_80, Suite::Aes128CmSha1Tag80),
    (Profile::Srtp_Aes128_Cm_Hmac_Sha1_32, Suite::Aes128CmSha1Tag32),
];

/// Who says hello first (RFC 5763 §5): `active` is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Client,
    Server,
}

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    #[error("the peer's certificate is not the one its signalling told of: somebody else may be on the line")]
    Impostor,
    #[error("the peer showed no certificate")]
    Anonymous,
    #[error("the peer broke off the DTLS handshake: {0}")]
    Alert(String),
    #[error("the DTLS handshake failed: {0}")]
    Handshake(String),
    #[error("the peer did not answer the DTLS handshake within {} s", PATIENCE.as_secs())]
    Timeout,
    #[error("the peer sent far more than a DTLS handshake takes")]
    Flood,
    #[error("the peer chose no SRTP profile that we have")]
    Profile,
}

/// What came of it.
#[derive(Debug)]
pub enum Event {
    Secured(Box<Keys>),
    Failed(Failure),
}

enum State {
    Shaking,
    Secured,
    Failed,
}

pub struct Association {
    endpoint: Endpoint,
    role: Role,
    state: State,
    told: Arc<[Fingerprint]>,
    budget: Budget,
    repeats: Repeats,
    /// When there is no more hope.
    deadline: Instant,
    /// When our flight is repeated, and what the wait after that is.
    repeat: Option<(Instant, Duration)>,
    /// The library's own timer as it was seen last: a change tells of another flight.
    timer: Option<Instant>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

impl Association {
    /// A client says hello at once.
    ///
    /// - `told`: the fingerprints of the peer's certificate, by signalling.
    pub fn new(now: Instant, role: Role, certificate: &Certificate, told: Arc<[Fingerprint]>) -> Self {
        let mut association = Self {
            endpoint: Endpoint::new(PEER, TransportProtocol::UDP, None),
            role,
            state: State::Shaking,
            told,
            budget: Budget::default(),
            repeats: Repeats::default(),
            deadline: now + PATIENCE,
            repeat: None,
            timer: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        let begun = config(role, certificate, Arc::clone(&association.told)).and_then(|config| match role {
            Role::Client => association.endpoint.connect(now, PEER, config, None),
            Role::Server => {
                association.endpoint.set_server_config(Some(config));
                Ok(())
            }
        });
        if let Err(error) = begun {
            association.fail(Failure::Handshake(error.to_string()));
        }
        association.settle(now);
        association
    }

    pub fn is_secured(&self) -> bool {
        matches!(self.state, State::Secured)
    }

    /// Takes a datagram of the peer's address.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        if matches!(self.state, State::Failed) {
            return;
        }
        match self.budget.check(datagram) {
            Verdict::Fit => {}
            Verdict::Unfit => return,
            // What is secured stays so; it listens no more.
            Verdict::Spent if self.is_secured() => return,
            Verdict::Spent => return self.fail(Failure::Flood),
        }
        // Who repeats its flight in the handshake waits for ours, which our own timer repeats.
        if self.repeats.is_old(datagram, self.role == Role::Server) && matches!(self.state, State::Shaking) {
            return;
        }
        let result = self.endpoint.read(now, PEER, None, datagram.into());
        if matches!(self.state, State::Shaking) {
            match result {
                Ok(events) => {
                    for event in events {
                        match event {
                            EndpointEvent::HandshakeComplete => self.complete(),
                            EndpointEvent::PeerClosed => self.fail(Failure::Alert("close notify".to_owned())),
                            // There is nothing to be said over this channel.
                            _ => {}
                        }
                    }
                }
                Err(error) => {
                    let failure = self.failure(datagram, &error);
                    self.fail(failure);
                }
            }
        }
        self.settle(now);
    }

    /// The handshake is over; the certificate was checked in it, and is checked again, since all hangs on it.
    fn complete(&mut self) {
        let keys = match self.endpoint.get_connection_state(PEER) {
            Some(agreed) => keys(self.role, &self.told, agreed),
            None => Err(Failure::Handshake("it has no state".to_owned())),
        };
        match keys {
            Ok(keys) => {
                self.state = State::Secured;
                self.repeat = None;
                self.events.push_back(Event::Secured(Box::new(keys)));
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.state = State::Failed;
        self.repeat = None;
        self.events.push_back(Event::Failed(failure));
    }

    fn failure(&self, datagram: &[u8], error: &Error) -> Failure {
        let certificates = self.endpoint.get_connection_state(PEER).map(|agreed| &agreed.peer_certificates);
        match certificates.and_then(|chain| chain.first()) {
            Some(certificate) if !proves(&self.told, certificate) => Failure::Impostor,
            // A fatal alert of the peer, which is not encrypted before the keys are there.
            _ => match alert(datagram) {
                Some(code) => Failure::Alert(alert_words(code)),
                None => Failure::Handshake(error.to_string()),
            },
        }
    }

    /// Takes over what the library has to send, and its timer.
    fn settle(&mut self, now: Instant) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            if self.transmits.len() < MAX_WAITING {
                self.transmits.push_back(transmit.message.to_vec());
            }
        }
        let timer = self.endpoint.poll_timeout(&PEER);
        if !matches!(self.state, State::Shaking) {
            return;
        }
        if timer != self.timer {
            self.timer = timer;
            self.repeat = timer.map(|_| (now + FIRST_REPEAT, FIRST_REPEAT * 2));
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Shaking => Some(self.repeat.map_or(self.deadline, |(at, _)| at.min(self.deadline))),
            State::Secured | State::Failed => None,
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if !matches!(self.state, State::Shaking) {
            return;
        }
        if now >= self.deadline {
            return self.fail(Failure::Timeout);
        }
        let Some((at, wait)) = self.repeat else { return };
        if now < at {
            return;
        }
        if !self.transmits.is_empty() {
            // Our flight waits for a way to the peer: nobody can have answered it.
            self.repeat = Some((now + FIRST_REPEAT, FIRST_REPEAT * 2));
            return;
        }
        // The library repeats at even times; ours are twice as long each.
        match self.endpoint.handle_timeout(PEER, now) {
            Ok(()) => self.settle(now),
            Err(_) => return self.fail(Failure::Timeout),
        }
        let longest = FIRST_REPEAT * 2_u32.pow(MAX_REPEATS);
        self.repeat = Some((now + wait, (wait * 2).min(longest)));
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

fn config(role: Role, certificate: &Certificate, told: Arc<[Fingerprint]>) -> Result<Arc<HandshakeConfig>, Error> {
    let check = move |chain: &[Vec<u8>]| match chain.first() {
        Some(certificate) if proves(&told, certificate) => Ok(()),
        Some(_) | None => Err(Error::ErrInvalidCertificate),
    };
    let config = ConfigBuilder::default()
        .with_crypto_provider(Arc::new(RingProvider::new()))
        .with_certificates(vec![certificate.chain()])
        .with_srtp_protection_profiles(PROFILES.map(|(profile, _)| profile).to_vec())
        // RFC 5763 §5: both ends show a certificate. No authority has signed it: the fingerprint speaks for it.
        .with_client_auth(ClientAuthType::RequireAnyClientCert)
        .with_insecure_skip_verify(true)
        .with_verify_peer_certificate(Some(Arc::new(move |chain, _| check(chain))))
        // The library's timer is only asked after ours.
        .with_flight_interval(FIRST_REPEAT)
        .with_mtu(MTU);
    config.build(role == Role::Client, None).map(Arc::new)
}

/// RFC 5764 §4.2: the keys of both directions, client first, then their salts.
fn keys(role: Role, told: &[Fingerprint], agreed: &Agreed) -> Result<Keys, Failure> {
    let certificate = agreed.peer_certificates.first().ok_or(Failure::Anonymous)?;
    if !proves(told, certificate) {
        return Err(Failure::Impostor);
    }
    let chosen = agreed.srtp_protection_profile();
    let (_, suite) = PROFILES.into_iter().find(|(profile, _)| *profile == chosen).ok_or(Failure::Profile)?;
    let (key, salt) = (suite.key_length(), suite.salt_length());
    let material = agreed
        .export_keying_material(LABEL, &[], 2 * (key + salt))
        .map_err(|error| Failure::Handshake(error.to_string()))?;
    let material: &[u8] = material.as_ref();
    let master = |n: usize| {
        let octets = [
            material.get(n * key..(n + 1) * key).unwrap_or_default(),
            material.get(2 * key + n * salt..2 * key + (n + 1) * salt).unwrap_or_default(),
        ];
        MasterKey::new(suite, &zeroize::Zeroizing::new(octets.concat())).ok_or(Failure::Profile)
    };
    let (client, server) = (master(0)?, master(1)?);
    Ok(match role {
        Role::Client => Keys { suite, send: client, receive: server },
        Role::Server => Keys { suite, send: server, receive: client },
    })
}

/// The description of a clear alert record (RFC 5246 §7.2).
fn alert(datagram: &[u8]) -> Option<u8> {
    match datagram {
        [21, _, _, 0, 0, _, _, _, _, _, _, 0, 2, _, description, ..] => Some(*description),
        _ => None,
    }
}

fn alert_words(description: u8) -> String {
    let known = match description {
        0 => "close notify",
        40 => "handshake failure",
        42 => "it does not like our certificate",
        43 => "it cannot read our certificate",
        46 => "it knows nothing of our certificate",
        48 => "it does not trust our certificate",
        51 => "a signature did not fit",
        70 => "another version of DTLS is wanted",
        71 => "stronger encryption is wanted",
        80 => "internal error",
        other => return format!("alert {other}"),
    };
    known.to_owned()
}

impl std::fmt::Debug for Association {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            State::Shaking => "shaking hands",
            State::Secured => "secured",
            State::Failed => "failed",
        };
        write!(f, "Association({:?}, {state})", self.role)
    }
}

#[cfg(test)]
mod tests;
