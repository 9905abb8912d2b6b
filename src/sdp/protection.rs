//! What our side protects its media with, from one description to the next: the keys it writes (RFC 4568), and the name of
//! the association a handshake makes (RFC 8842).
use super::SdpError;
use super::crypto::Crypto;
use super::fingerprint::Setup;
use super::keying::{Accepted, Addresses, Answered, Associations};
use super::negotiator::LocalMedia;
use super::session::{Attribute, Protocol};
use crate::base::rng::Rng;
use crate::media::dtls::certificate::Certificate;
use crate::media::spec::Keying;
use crate::media::srtp::sdes::{Keys, MasterKey, Policy, Suite};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct Protection {
    /// Where keys come from.
    rng: Rng,
    /// What we protect with, by suite: the same in every description until it must change.
    keys: Vec<(Suite, MasterKey)>,
    /// What the peer protects with by now.
    remote_key: Option<(Suite, MasterKey)>,
    /// The DTLS association, where keys come of one.
    associations: Associations,
    /// What we show in a handshake, as the newest description says.
    certificate: Option<Arc<Certificate>>,
}

impl Protection {
    pub fn new(rng: Rng) -> Self {
        Self { rng, keys: Vec::new(), remote_key: None, associations: Associations::default(), certificate: None }
    }

    /// A description is begun.
    pub fn show(&mut self, certificate: Option<&Arc<Certificate>>) {
        self.certificate = certificate.cloned();
    }

    /// Whether encrypted media runs.
    pub fn is_running(&self) -> bool {
        self.remote_key.is_some() || self.associations.role().is_some()
    }

    /// How the media of our offer may be protected: by DTLS, and by the keys of these lines.
    pub fn offer(&mut self, local: &LocalMedia, protocol: &Protocol) -> Vec<Attribute> {
        if local.srtp == Policy::Off {
            return Vec::new();
        }
        let dtls = local
            .certificate
            .as_ref()
            .map(|certificate| self.associations.describe(&mut self.rng, certificate, Setup::ActPass).attributes());
        let both = dtls.is_some();
        let mut lines = dtls.unwrap_or_default();
        if local.sdes && !protocol.is_dtls() {
            lines.extend(self.offer_keys(both).iter().map(Crypto::attribute));
        }
        lines
    }

    /// The lines of an offer: what runs comes first, and no key changes that need not.
    ///
    /// - `few`: beside the lines of DTLS, so that the INVITE still fits into a datagram.
    fn offer_keys(&mut self, few: bool) -> Vec<Crypto> {
        let running = self.remote_key.as_ref().map(|(suite, _)| *suite);
        let others = Suite::OFFERED.into_iter().filter(|suite| Some(*suite) != running);
        let mut suites: Vec<Suite> = running.into_iter().chain(others).collect();
        suites.retain(|suite| !few || Some(*suite) == running || *suite != Suite::AeadAes128Gcm);
        (1..).zip(suites).map(|(tag, suite)| Crypto { tag, suite, key: self.key(suite) }).collect()
    }

    /// Our side of what is accepted of an offer, and the lines that tell it.
    ///
    /// # Errors
    /// The peer changes who begins the handshake of an association that runs.
    pub fn accept(&mut self, accepted: Accepted, addresses: Addresses) -> Result<(Answered, Vec<Attribute>), SdpError> {
        match accepted {
            Accepted::Sdes(theirs) => {
                let ours = self.answering(&theirs);
                let line = ours.attribute();
                let keys = Keys { suite: theirs.suite, send: ours.key, receive: theirs.key };
                Ok((Answered::Sdes(keys), vec![line]))
            }
            Accepted::Dtls(theirs) => {
                let role = Setup::answered(theirs.setup, self.associations.role())?;
                self.associations.offered(&theirs, role, addresses);
                let mut lines = Vec::new();
                if let Some(certificate) = &self.certificate {
                    lines = self.associations.describe(&mut self.rng, certificate, Setup::of(role)).attributes();
                    // A name in the answer only where the offer has one (RFC 8842 §5.3).
                    lines.retain(|a| a.name != "tls-id" || theirs.tls_id.is_some());
                }
                Ok((Answered::Dtls(theirs, role), lines))
            }
        }
    }

    /// Both sides have spoken. An exchange that agreed on something else ends the life of all keys.
    pub fn agree(&mut self, answered: Option<Answered>, addresses: Addresses) -> Option<Keying> {
        let agreed = match answered {
            None => None,
            Some(Answered::Sdes(keys)) => Some(Keying::Sdes(keys)),
            Some(Answered::Dtls(theirs, role)) => {
                let certificate = self.certificate.as_ref();
                certificate.map(|certificate| self.associations.agree(certificate, theirs, role, addresses))
            }
        };
        match &agreed {
            Some(Keying::Sdes(keys)) => self.remote_key = Some((keys.suite, keys.receive.clone())),
            Some(Keying::Dtls(_)) | None => {
                self.remote_key = None;
                self.keys.clear();
            }
        }
        if !matches!(agreed, Some(Keying::Dtls(_))) {
            self.associations.forget();
        }
        agreed
    }

    /// Our side of the line that is accepted, under its tag. A peer whose key is new may be another one, which knows
    /// nothing of our packets so far: it gets a new key too.
    fn answering(&mut self, theirs: &Crypto) -> Crypto {
        let same = self.remote_key.as_ref().is_some_and(|(suite, key)| (*suite, key) == (theirs.suite, &theirs.key));
        if !same {
            self.keys.clear();
        }
        Crypto { tag: theirs.tag, suite: theirs.suite, key: self.key(theirs.suite) }
    }

    fn key(&mut self, suite: Suite) -> MasterKey {
        if let Some((_, key)) = self.keys.iter().find(|(known, _)| *known == suite) {
            return key.clone();
        }
        let key = MasterKey::random(suite, &mut self.rng);
        self.keys.push((suite, key.clone()));
        key
    }
}
