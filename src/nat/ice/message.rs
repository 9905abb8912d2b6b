//! The STUN messages of connectivity checks (RFC 8445 §7.1, §7.3).
use crate::nat::candidate::Credentials;
use crate::nat::stun::{Builder, Class, Method, TransactionId, attribute};
use std::net::SocketAddr;

pub struct Check<'a> {
    pub id: TransactionId,
    pub local: &'a Credentials,
    pub remote: &'a Credentials,
    /// Of the peer-reflexive candidate that may be found by it.
    pub priority: u32,
    pub controlling: bool,
    pub tie_breaker: u64,
    pub nominates: bool,
}

pub fn check(check: &Check<'_>) -> Vec<u8> {
    let role = if check.controlling { attribute::ICE_CONTROLLING } else { attribute::ICE_CONTROLLED };
    let user = format!("{}:{}", check.remote.ufrag, check.local.ufrag);
    let mut builder = Builder::new(Class::Request, Method::Binding, check.id)
        .attribute(attribute::USERNAME, user.as_bytes())
        .attribute(attribute::PRIORITY, &check.priority.to_be_bytes())
        .attribute(role, &check.tie_breaker.to_be_bytes());
    if check.nominates {
        builder = builder.attribute(attribute::USE_CANDIDATE, &[]);
    }
    builder.integrity(check.remote.password.reveal().as_bytes()).fingerprint().finish()
}

pub fn success(id: TransactionId, source: SocketAddr, local: &Credentials) -> Vec<u8> {
    Builder::new(Class::Success, Method::Binding, id)
        .xor_address(attribute::XOR_MAPPED_ADDRESS, source)
        .integrity(local.password.reveal().as_bytes())
        .fingerprint()
        .finish()
}

pub fn role_conflict(id: TransactionId, local: &Credentials) -> Vec<u8> {
    Builder::new(Class::Error, Method::Binding, id)
        .error(487, "Role Conflict")
        .integrity(local.password.reveal().as_bytes())
        .fingerprint()
        .finish()
}
