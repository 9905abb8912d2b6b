//! How the media of a line is protected: by DTLS, by keys in the description, or not at all (RFC 5763, RFC 4568, RFC
//! 8643), and whose wish decides.
use super::SdpError;
use super::attribute::View;
use super::crypto::{self, Crypto};
use super::fingerprint::{Dtls, Setup};
use super::negotiator::LocalMedia;
use super::session::Session;
use crate::base::rng::Rng;
use crate::media::dtls::association::Role;
use crate::media::dtls::certificate::Certificate;
use crate::media::spec::{DtlsSpec, Keying};
use crate::media::srtp::sdes::Policy;
use std::net::SocketAddr;
use std::sync::Arc;

/// RFC 8842 §4 asks for 20 at least, of which 120 bits are random.
const TLS_ID: usize = 24;

/// What of an offer is accepted.
#[derive(Clone, Debug)]
pub(super) enum Accepted {
    Sdes(Crypto),
    Dtls(Dtls),
}

/// Takes of an offer what protects best: keys that only the two ends know come first.
///
/// # Errors
/// The policies do not meet.
pub(super) fn choose(view: View<'_>, local: &LocalMedia) -> Result<Option<Accepted>, SdpError> {
    let protocol = &view.line.protocol;
    if local.srtp == Policy::Off {
        return if protocol.is_secure() { Err(SdpError::SrtpNotWanted) } else { Ok(None) };
    }
    let dtls = match (&local.certificate, Dtls::read(view)) {
        (None, _) | (_, Ok(None)) => None,
        (Some(_), Ok(Some(dtls))) => match Setup::answered(dtls.setup, None) {
            Ok(_) => Some(Ok(dtls)),
            Err(error) => Some(Err(error)),
        },
        (Some(_), Err(error)) => Some(Err(error)),
    };
    match dtls {
        Some(Ok(dtls)) => return Ok(Some(Accepted::Dtls(dtls))),
        Some(Err(error)) if protocol.is_dtls() || !local.sdes => return Err(error),
        Some(Err(_)) => {}
        None if protocol.is_dtls() && local.certificate.is_none() => return Err(SdpError::DtlsNotWanted),
        None if protocol.is_dtls() => return Err(SdpError::Dtls("it gives no fingerprint")),
        None => {}
    }
    if local.sdes {
        return Ok(crypto::choose(view.line, local.srtp)?.map(Accepted::Sdes));
    }
    match () {
        () if protocol.is_secure() => Err(SdpError::SdesNotWanted),
        () if local.srtp == Policy::Required => Err(SdpError::SrtpRequired),
        () => Ok(None),
    }
}

/// The association that a session's descriptions agree on, and whether it is still the same (RFC 8842 §3.1).
#[derive(Clone, Debug, Default)]
pub(super) struct Associations {
    /// What we call it; the same in every description until it must change.
    tls_id: Option<String>,
    running: Option<Running>,
    count: u32,
}

/// Ours and the peer's; `None` with ICE, which moves what runs from one to another.
pub(super) type Addresses = Option<(SocketAddr, SocketAddr)>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Running {
    theirs: Dtls,
    role: Role,
    addresses: Addresses,
}

impl Running {
    /// Names of the association say it; without them the addresses do. A fingerprint that changes always does.
    fn is_same(&self, other: &Self) -> bool {
        let (one, two) = (&self.theirs, &other.theirs);
        self.role == other.role
            && one.fingerprints == two.fingerprints
            && match (&one.tls_id, &two.tls_id) {
                (Some(one), Some(two)) => one == two,
                (None, None) => self.addresses == other.addresses,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }
}

impl Associations {
    pub fn role(&self) -> Option<Role> {
        self.running.as_ref().map(|running| running.role)
    }

    /// What our descriptions say.
    pub fn describe(&mut self, rng: &mut Rng, certificate: &Certificate, setup: Setup) -> Dtls {
        let tls_id = self.tls_id.get_or_insert_with(|| name(rng)).clone();
        Dtls { fingerprints: [certificate.fingerprint().clone()].into(), setup: Some(setup), tls_id: Some(tls_id) }
    }

    /// Takes what the peer says in an offer, before we answer: our own name changes with the association.
    pub fn offered(&mut self, theirs: &Dtls, role: Role, addresses: Addresses) {
        let running = Running { theirs: Dtls { setup: None, ..theirs.clone() }, role, addresses };
        if !self.running.as_ref().is_some_and(|before| before.is_same(&running)) {
            self.tls_id = None;
        }
    }

    /// Both sides have spoken.
    pub fn agree(&mut self, certificate: &Arc<Certificate>, theirs: Dtls, role: Role, addresses: Addresses) -> Keying {
        let running = Running { theirs: Dtls { setup: None, ..theirs }, role, addresses };
        if !self.running.as_ref().is_some_and(|before| before.is_same(&running)) {
            self.count += 1;
        }
        let told = Arc::clone(&running.theirs.fingerprints);
        self.running = Some(running);
        Keying::Dtls(DtlsSpec { certificate: Arc::clone(certificate), role, told, association: self.count })
    }

    /// An exchange agreed on something else.
    pub fn forget(&mut self) {
        self.running = None;
        self.tls_id = None;
    }
}

fn name(rng: &mut Rng) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    let letter = |n: u32| LETTERS.get(n as usize).copied().unwrap_or(b'A');
    (0..TLS_ID).map(|_| char::from(letter(rng.range(0, 63)))).collect()
}

/// What our offer and its answer agree on.
///
/// # Errors
/// The answer is another than was asked for.
pub(super) fn answered(
    offer: &Session,
    answer: &Session,
    at: usize,
    policy: Policy,
) -> Result<Option<Answered>, SdpError> {
    let view = |session| View::at(session, at).ok_or(SdpError::AnswerMismatch);
    let (ours, theirs) = (view(offer)?, view(answer)?);
    if ours.line.protocol.is_secure() != theirs.line.protocol.is_secure() {
        let clear = if ours.line.protocol.is_secure() { SdpError::SrtpRequired } else { SdpError::SrtpNotWanted };
        return Err(clear);
    }
    if Dtls::read(ours)?.is_some()
        && let Some(dtls) = Dtls::read(theirs)?
    {
        let role = Setup::agreed(dtls.setup)?;
        return Ok(Some(Answered::Dtls(dtls, role)));
    }
    Ok(crypto::answered(ours.line, theirs.line, policy)?.map(Answered::Sdes))
}

#[derive(Clone, Debug)]
pub(super) enum Answered {
    Sdes(crate::media::srtp::sdes::Keys),
    Dtls(Dtls, Role),
}
