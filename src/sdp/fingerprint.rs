//! What descriptions say of DTLS: `a=fingerprint` (RFC 8122), `a=setup` (RFC 4145, RFC 5763 §5), `a=tls-id` (RFC 8842).
use super::SdpError;
use super::attribute::View;
use super::session::Attribute;
use crate::media::dtls::association::Role;
use crate::media::dtls::fingerprint::Fingerprint;
use std::sync::Arc;

/// Fingerprint lines that are looked at.
const MAX_LINES: usize = 16;
/// RFC 8842 §4: 20 to 255 characters.
const MAX_TLS_ID: usize = 255;

/// Who begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    Active,
    Passive,
    ActPass,
    HoldConn,
}

/// What one side says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dtls {
    pub fingerprints: Arc<[Fingerprint]>,
    /// `None`: not said.
    pub setup: Option<Setup>,
    pub tls_id: Option<String>,
}

impl Setup {
    fn read(text: &str) -> Option<Self> {
        let all = [Self::Active, Self::Passive, Self::ActPass, Self::HoldConn];
        all.into_iter().find(|setup| setup.name().eq_ignore_ascii_case(text.trim()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
            Self::HoldConn => "holdconn",
        }
    }

    pub fn of(role: Role) -> Self {
        match role {
            Role::Client => Self::Active,
            Role::Server => Self::Passive,
        }
    }

    /// Our part when the peer offers this; who leaves it to us keeps the part we have (RFC 8842 §5.3), or lets us begin,
    /// which is quicker: our hello travels with the answer (RFC 5763 §5). An offer that does not say is active (RFC 4145 §4).
    pub fn answered(offered: Option<Self>, running: Option<Role>) -> Result<Role, SdpError> {
        match offered {
            Some(Self::ActPass) => Ok(running.unwrap_or(Role::Client)),
            Some(Self::Passive) => Ok(Role::Client),
            Some(Self::Active) | None => Ok(Role::Server),
            Some(Self::HoldConn) => Err(SdpError::Dtls("it does not want to connect now")),
        }
    }

    /// Our part when the peer answers this to our `actpass`; an answer that does not say is passive (RFC 4145 §4).
    pub fn agreed(answered: Option<Self>) -> Result<Role, SdpError> {
        match answered {
            Some(Self::Active) => Ok(Role::Server),
            Some(Self::Passive) | None => Ok(Role::Client),
            Some(Self::ActPass) => Err(SdpError::Dtls("the answer leaves open who begins")),
            Some(Self::HoldConn) => Err(SdpError::Dtls("it does not want to connect now")),
        }
    }
}

impl Dtls {
    /// What the line says, or the session for it; `None` without any fingerprint.
    ///
    /// # Errors
    /// There are fingerprints, but none that can be used.
    pub fn read(view: View<'_>) -> Result<Option<Self>, SdpError> {
        let of = |attributes: &[Attribute]| {
            let named = attributes.iter().filter(|a| a.name.eq_ignore_ascii_case("fingerprint"));
            named.filter_map(|a| a.value.clone()).take(MAX_LINES).collect::<Vec<_>>()
        };
        let mut values = of(&view.line.attributes);
        if values.is_empty() {
            values = of(&view.session.attributes);
        }
        if values.is_empty() {
            return Ok(None);
        }
        let mut fault = None;
        let mut fingerprints = Vec::new();
        for value in &values {
            match Fingerprint::read(value) {
                Ok(fingerprint) => fingerprints.push(fingerprint),
                Err(error) => fault = Some(error),
            }
        }
        if let (true, Some(fault)) = (fingerprints.is_empty(), fault) {
            return Err(SdpError::Fingerprint(fault));
        }
        fingerprints.sort();
        fingerprints.dedup();
        let said = |name: &str| view.attribute(name).and_then(|a| a.value.as_deref());
        let tls_id = said("tls-id").filter(|id| !id.is_empty() && id.len() <= MAX_TLS_ID).map(str::to_owned);
        Ok(Some(Self { fingerprints: fingerprints.into(), setup: said("setup").and_then(Setup::read), tls_id }))
    }

    /// The lines that say this.
    pub fn attributes(&self) -> Vec<Attribute> {
        let prints = self.fingerprints.iter().map(|print| Attribute::new("fingerprint", Some(&print.to_string())));
        let setup = self.setup.map(|setup| Attribute::new("setup", Some(setup.name())));
        let tls_id = self.tls_id.as_deref().map(|id| Attribute::new("tls-id", Some(id)));
        prints.chain(setup).chain(tls_id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_begins() {
        use Setup::{ActPass, Active, HoldConn, Passive};
        let (client, server) = (Some(Role::Client), Some(Role::Server));
        let offers = [
            (Some(HoldConn), None, None),
            (Some(ActPass), None, client),
            (Some(ActPass), server, server),
            (Some(ActPass), client, client),
            (Some(Active), client, server),
            (Some(Passive), server, client),
            (None, None, server),
        ];
        for (offered, running, expected) in offers {
            assert_eq!(Setup::answered(offered, running).ok(), expected, "{offered:?} {running:?}");
        }
        let answers = [
            (Some(HoldConn), None),
            (Some(ActPass), None),
            (Some(Active), server),
            (Some(Passive), client),
            (None, client),
        ];
        for (answered, expected) in answers {
            assert_eq!(Setup::agreed(answered).ok(), expected, "{answered:?}");
        }
        assert_eq!(Setup::read(" ACTPASS "), Some(ActPass));
        assert_eq!(Setup::read("both"), None);
    }
}
