//! The media lines of browsers (RFC 8829 §5, RFC 8834 §4): how one is told, and what we say in one beside the usual.
use super::attribute::View;
use super::bundle;
use super::extmap;
use super::negotiator::LocalMedia;
use super::session::{Attribute, MediaLine, Protocol};
use crate::media::spec::Profile;
use crate::media::srtp::sdes::Policy;
use std::borrow::Cow;

/// The name of the line in a first offer of ours.
const MID: &str = "0";
/// What stays as it was said first while the line lasts.
const LASTING: [&str; 6] = ["mid", "extmap", "extmap-allow-mixed", "rtcp-rsize", "rtcp-mux-only", "msid"];

/// Keys by DTLS, the way by ICE, and one port for all: as browsers have it, and nothing else.
fn is_browsers(view: View<'_>) -> bool {
    let said = |name: &str| view.attribute(name).is_some();
    view.line.protocol == Protocol::DtlsSavpf && view.rtcp_mux() && said("ice-ufrag") && said("fingerprint")
}

/// Profiles with feedback (RFC 4585), in which RTCP may be of reduced size.
fn has_feedback(protocol: &Protocol) -> bool {
    matches!(protocol, Protocol::RtpAvpf | Protocol::RtpSavpf | Protocol::DtlsSavpf)
}

impl LocalMedia {
    /// What we can do and want for this line of an offer: a browser is met as it asks, whatever telephones are offered.
    pub(super) fn towards(&self, view: View<'_>) -> Cow<'_, Self> {
        if self.profile == Profile::Rtp || self.certificate.is_none() || !is_browsers(view) {
            return Cow::Borrowed(self);
        }
        self.with_browsers_needs()
    }

    /// The same for an offer of ours; what runs goes on.
    ///
    /// - `before`: the line as we described it last.
    pub(super) fn following(&self, before: Option<&MediaLine>) -> Cow<'_, Self> {
        let muxed = before.is_some_and(|line| line.attribute("rtcp-mux").is_some());
        let protected = before.is_some_and(|line| line.protocol == Protocol::DtlsSavpf);
        if muxed && protected { self.with_browsers_needs() } else { Cow::Borrowed(self) }
    }

    fn with_browsers_needs(&self) -> Cow<'_, Self> {
        let srtp = if self.srtp == Policy::Off { Policy::Preferred } else { self.srtp };
        Cow::Owned(Self { srtp, rtcp_mux: true, ..self.clone() })
    }
}

/// What an offer of ours says beside the usual. Candidates that follow it name the line (RFC 8840 §4.3), of telephones as well.
/// What `a=ssrc` would say (RFC 5576), the mid and RTCP tell: browsers want none of a line with one stream (RFC 8829 §5.2.1).
pub(super) fn offered(local: &LocalMedia, protocol: &Protocol, before: Option<&MediaLine>) -> Vec<Attribute> {
    if let Some(line) = before {
        let lasts = |a: &&Attribute| LASTING.iter().any(|name| a.name.eq_ignore_ascii_case(name));
        return line.attributes.iter().filter(lasts).cloned().collect();
    }
    let name = Attribute::new("mid", Some(MID));
    if !local.profile.is_offered() {
        return local.ice.iter().map(|_| name.clone()).collect();
    }
    let reduced = has_feedback(protocol).then(|| Attribute::new("rtcp-rsize", None));
    // Browsers have one port and no other (RFC 8858); telephones may answer with two.
    let muxed = (local.profile == Profile::Webrtc).then(|| Attribute::new("rtcp-mux-only", None));
    [name].into_iter().chain(extmap::offered()).chain(reduced).chain(muxed).chain([stream()]).collect()
}

/// What an answer of ours says beside the usual: of what is offered, what we have. Of feedback we have none.
pub(super) fn answered(view: View<'_>, local: &LocalMedia) -> Vec<Attribute> {
    let mut out = Vec::from_iter(bundle::mid(view.line).map(|mid| Attribute::new("mid", Some(mid))));
    if local.profile == Profile::Rtp {
        return out;
    }
    out.extend(extmap::answered(view));
    let reduced = has_feedback(&view.line.protocol) && view.line.attribute("rtcp-rsize").is_some();
    out.extend(reduced.then(|| Attribute::new("rtcp-rsize", None)));
    out.extend(is_browsers(view).then(stream));
    out
}

/// Without it a page is given a track that belongs to no stream (RFC 8830).
fn stream() -> Attribute {
    Attribute::new("msid", Some("offhook audio"))
}
