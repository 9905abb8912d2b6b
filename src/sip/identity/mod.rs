//! Who calls, whom a call was meant for, and who vouches for it: the headers that say so, read and written.
//!
//! Nothing here decides whom to believe: that is up to whoever knows where a message came from.
mod asserted;
mod forwarding;
mod passport;
mod privacy;
mod verification;

pub use asserted::Asserted;
pub use forwarding::Forwarding;
pub use passport::Attestation;
pub use privacy::{ANONYMITY_DISALLOWED, Privacy, anonymous, is_anonymous};
pub use verification::Verification;

use super::message::{Headers, Params, Uri};

/// Most values read of one header that names parties.
const MAX_VALUES: usize = 16;

/// The headers by which servers of one domain tell each other who somebody is (RFC 3325 §9, RFC 5806, RFC 7044).
const TRUSTED_ONLY: [&str; 3] = ["P-Asserted-Identity", "Remote-Party-ID", "P-Asserted-Service"];

/// Takes away what only a trusted server may say, as a server does at the edge of its domain (RFC 3325 §5).
pub fn distrust(headers: &mut Headers) {
    TRUSTED_ONLY.iter().for_each(|name| headers.remove(name));
}

/// The parameters that stand within the user part, as in `sip:+12;verstat=x@host` (RFC 3261 §19.1.6), or those of a `tel`.
fn number_params(uri: &Uri) -> Params {
    let within = uri.user.as_deref().and_then(|user| user.find(';').and_then(|at| user.get(at..)));
    match within {
        Some(text) if uri.is_sip() => Params::parse(text).unwrap_or_default(),
        Some(_) | None => uri.params.clone(),
    }
}
