//! `sips:` addresses: every hop is protected, or there is no call (RFC 3261 §26.2.2, RFC 5630).
use crate::base::net::Transport;
use crate::sip::locate::LocateError;
use crate::sip::message::{NameAddr, Scheme, Uri};

/// The next hop of a request for `target`: protected as well as that.
///
/// - `set`: the only transport of the account.
///
/// # Errors
/// `Unprotected` where that transport protects nothing.
pub fn hop(mut hop: Uri, target: &Uri, set: Option<Transport>) -> Result<Uri, LocateError> {
    if target.scheme == Scheme::Sips {
        if let Some(transport) = set.filter(|transport| !transport.is_secure()) {
            return Err(LocateError::Unprotected(transport.name()));
        }
        hop.scheme = Scheme::Sips;
    }
    Ok(hop)
}

/// The Route of a request for `target`.
pub fn route(mut route: Vec<NameAddr>, target: &Uri) -> Vec<NameAddr> {
    if target.scheme == Scheme::Sips {
        route.iter_mut().for_each(|hop| hop.uri.scheme = Scheme::Sips);
    }
    route
}

/// The Contact of a dialog with `target`: who is called by a `sips:` address is given one, too (RFC 3261 §12.1.1).
pub fn contact(mut contact: NameAddr, target: &Uri) -> NameAddr {
    if target.scheme == Scheme::Sips {
        contact.uri.scheme = Scheme::Sips;
    }
    contact
}
