//! What one exchange of descriptions agreed on for our media line (RFC 3264 §6.1, §8; RFC 3551, RFC 4733).
use super::SdpError;
use super::attribute::View;
use super::bundle;
use super::candidate::RemoteIce;
use super::codec::{self, Format};
use super::direction;
use super::extmap;
use super::keying::Addresses;
use super::reach::Reach;
use super::session::{Host, Session};
use crate::base::untrusted::Untrusted;
use crate::media::spec::{Codec, Direction, Extensions, Keying, PayloadFormat, TelephoneEvent};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What an exchange agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Counts completed exchanges, from 1.
    pub generation: u32,
    /// As seen from us.
    pub direction: Direction,
    /// The peer does not want to hear us.
    pub held_by_peer: bool,
    /// Unspecified when the peer wants nothing sent (`c=0.0.0.0`); `direction` does not send then.
    pub remote_rtp: SocketAddr,
    pub remote_rtcp: SocketAddr,
    pub rtcp_mux: bool,
    /// RTCP packets need not be compound (RFC 5506).
    pub rtcp_reduced_size: bool,
    pub extensions: Extensions,
    /// As `m=` names it.
    pub profile: String,
    /// The line is in a BUNDLE group of both sides (RFC 9143).
    pub bundled: bool,
    /// Where the keys of both directions come from; clear when `None`.
    pub srtp: Option<Keying>,
    /// Both sides use ICE: what the peer said of itself.
    pub ice: Option<RemoteIce>,
    /// What we send, with what the peer asks of the encoder.
    pub send: PayloadFormat,
    pub receive: Vec<PayloadFormat>,
    /// With the clock of `send` where the peer has it.
    pub send_events: Option<TelephoneEvent>,
    pub receive_events: Vec<TelephoneEvent>,
    /// Length of the packets we send.
    pub ptime: Duration,
    /// [bit/s]
    pub rtcp_bandwidth: u32,
    /// Empty when the peer wrote only `-`.
    pub session_name: Untrusted,
    pub session_information: Untrusted,
}

impl Negotiated {
    /// Joins what both descriptions say of the media line at `at`; how it is protected is not told here.
    ///
    /// - `reach`: where the peer is, when that was read before.
    pub(super) fn of(local: &Session, remote: &Session, at: usize, reach: Option<Reach>) -> Result<Self, SdpError> {
        let ours = local.media.get(at).map(|line| View { session: local, line }).ok_or(SdpError::AnswerMismatch)?;
        let theirs = remote.media.get(at).map(|line| View { session: remote, line }).ok_or(SdpError::AnswerMismatch)?;
        let (our_formats, their_formats) = (codec::formats(ours.line), codec::formats(theirs.line));
        let receive = codec::audio(&our_formats);
        let send = codec::audio(&their_formats).into_iter().find(|t| receive.iter().any(|o| o.codec == t.codec));
        let send = send.ok_or_else(|| no_common_codec(&their_formats, &receive))?;
        let receive_events = codec::events(&our_formats);
        let usable = if receive_events.is_empty() { Vec::new() } else { codec::events(&their_formats) };
        let matching = usable.iter().find(|e| e.clock_rate == send.codec.clock_rate());

        let reach = match reach {
            Some(reach) => reach,
            None => Reach::read(theirs, own_address(local, at).ip(), ours.line.attribute("ice-ufrag").is_some())?,
        };
        let remote_rtp = reach.rtp;
        let their_direction = theirs.direction();
        let rtcp_mux = ours.rtcp_mux() && theirs.rtcp_mux();
        let (wanted, longest) = theirs.ptime();
        let said = [&remote.information, &theirs.line.information].into_iter().find(|text| !text.is_empty());
        Ok(Self {
            generation: 0,
            direction: direction::common(ours.direction(), direction::reversed(their_direction)),
            held_by_peer: !their_direction.receives(),
            remote_rtp,
            remote_rtcp: if rtcp_mux { remote_rtp } else { theirs.rtcp(remote_rtp) },
            rtcp_mux,
            rtcp_reduced_size: [ours, theirs].iter().all(|view| view.line.attribute("rtcp-rsize").is_some()),
            extensions: extmap::agreed(ours, theirs),
            profile: ours.line.protocol.to_string(),
            bundled: bundle::is_bundled(local, ours.line) && bundle::is_bundled(remote, theirs.line),
            srtp: None,
            ice: reach.agreed_ice().cloned(),
            send,
            receive,
            send_events: matching.or(usable.first()).copied(),
            receive_events,
            ptime: packet_time(wanted.or(ours.ptime().0), longest, send.codec),
            rtcp_bandwidth: theirs.rtcp_bandwidth(send.codec),
            session_name: if says_nothing(&remote.name) { Untrusted::default() } else { remote.name.clone() },
            session_information: said.cloned().unwrap_or_default(),
        })
    }

    /// What an association stands between.
    pub(super) fn addresses(&self, own: SocketAddr) -> Addresses {
        self.ice.is_none().then_some((own, self.remote_rtp))
    }
}

/// Where our media is.
pub(super) fn own_address(local: &Session, at: usize) -> SocketAddr {
    let ip = if let Some(Host::Ip(ip)) = local.connection { ip } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    SocketAddr::new(ip, local.media.get(at).map_or(0, |line| line.port))
}

pub(super) fn no_common_codec(theirs: &[Format], ours: &[PayloadFormat]) -> SdpError {
    let names = theirs.iter().filter_map(|format| match format {
        Format::Audio(audio) => Some(audio.codec.name().to_owned()),
        Format::Unknown { name, .. } => Some(name.clone()),
        Format::Event(_) => None,
    });
    let peer: Vec<String> = names.take(8).collect();
    let ours: Vec<&str> = ours.iter().map(|format| format.codec.name()).collect();
    SdpError::NoCommonCodec { peer: peer.join(", "), ours: ours.join(", ") }
}

/// What the peer wishes, as far as the codec can: 10 to 60 ms in steps of 10; Opus has no frames of 30 or 50 ms.
fn packet_time(wanted: Option<Duration>, longest: Option<Duration>, codec: Codec) -> Duration {
    let wanted = wanted.unwrap_or(Duration::from_millis(20));
    let wanted = longest.map_or(wanted, |longest| wanted.min(longest));
    let steps: &[u64] = match codec {
        Codec::Pcmu | Codec::Pcma => &[60, 50, 40, 30, 20, 10],
        Codec::Opus => &[60, 40, 20, 10],
    };
    let fits = steps.iter().map(|ms| Duration::from_millis(*ms)).find(|step| *step <= wanted);
    fits.unwrap_or(Duration::from_millis(10))
}

fn says_nothing(name: &Untrusted) -> bool {
    matches!(name.sanitize(2).trim(), "" | "-")
}
