//! Where a call's media may be reached, as its descriptions tell it: ICE or not, which candidates, which default
//! (RFC 8839 §4), and when credentials change.
use crate::base::rng::Rng;
use crate::media::spec::{Gather, IceSpec};
use crate::nat::candidate::{Candidate, Credentials, IceUse, Kind, PathView, RTCP, RTP, Reach};
use crate::sdp::{Fragment, LocalIce, RemoteIce};
use crate::sip::invite::{Body, Fork};
use crate::ua::trickle::Trickle;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How a line is named that the peer does not name.
const MID: &str = "0";

/// What an offer of the peer says of ICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    Nothing,
    Ice,
    /// Candidates may follow descriptions.
    Trickle,
}

#[derive(Debug)]
pub struct Ways {
    reach: Reach,
    rng: Rng,
    /// Ours, while ICE is used or offered.
    credentials: Option<Credentials>,
    remote: Option<Credentials>,
    /// Ours, in the order in which they were found, and whether that is all.
    candidates: Vec<Candidate>,
    complete: bool,
    /// Which search for them is the latest.
    round: u32,
    /// What follows descriptions.
    trickle: Trickle,
    /// How the descriptions name the line.
    mid: String,
    /// The pair in use.
    chosen: Option<PathView>,
    /// The other side is somewhere on the Internet: addresses of our own network mean nothing there.
    outside: bool,
}

impl Ways {
    pub fn new(reach: Reach, rng: Rng) -> Self {
        Self {
            reach,
            rng,
            credentials: None,
            remote: None,
            candidates: Vec::new(),
            complete: false,
            round: 0,
            trickle: Trickle::default(),
            mid: MID.to_owned(),
            chosen: None,
            outside: false,
        }
    }

    /// What media is to find out before we describe ourselves.
    ///
    /// - `peer`: whom our descriptions are sent to.
    /// - `offered`: what the peer offers; `None` when we make the offer.
    /// - `takes`: the peer takes candidates in messages.
    pub fn gather(&mut self, peer: IpAddr, offered: Option<Offered>, takes: bool) -> Option<Box<Gather>> {
        self.outside = is_global(peer);
        let wanted = match (self.reach.ice, offered) {
            // Whatever else happens, an agreed ICE stays: with new credentials it starts again.
            (_, _) if self.remote.is_some() => true,
            (IceUse::Off, _) | (_, Some(Offered::Nothing)) | (IceUse::Answer, None) => false,
            (IceUse::Answer | IceUse::Offer, Some(Offered::Ice | Offered::Trickle)) | (IceUse::Offer, None) => true,
        };
        // Only who is known to take them later is not told of all that can be found in time (RFC 8838 §16).
        let trickle = takes && offered.map_or(self.trickle.is_known(), |offered| offered == Offered::Trickle);
        self.trickle.begin();
        self.round += 1;
        self.complete = false;
        self.candidates.clear();
        self.chosen = None;
        self.credentials = wanted.then(|| Credentials::new(&mut self.rng));
        let Reach { stun, turn, relay_only, .. } = self.reach.clone();
        let credentials = self.credentials.clone();
        match &credentials {
            Some(_) => {
                let round = self.round;
                Some(Box::new(Gather { credentials, stun, turn, relay_only, trickle, round }))
            }
            None => (stun.is_some() && self.outside).then(|| Box::new(Gather { stun, ..Gather::default() })),
        }
    }

    pub fn gathered(&mut self, candidates: Vec<Candidate>, complete: bool) {
        (self.candidates, self.complete) = (candidates, complete);
    }

    /// More was found; what was known before keeps its place (RFC 8840 §4.4).
    pub fn found(&mut self, round: u32, candidates: Vec<Candidate>, complete: bool) {
        if round != self.round || self.complete {
            return;
        }
        self.complete = complete;
        for candidate in candidates {
            if !self.candidates.contains(&candidate) {
                self.candidates.push(candidate);
            }
        }
    }

    /// A description of ours says what is known by now.
    pub fn described(&mut self) {
        self.trickle.described(self.candidates.len(), self.complete);
    }

    /// What the peer of this dialog is to be told after our description.
    pub fn news(&self, fork: Fork) -> Option<Body> {
        let credentials = self.credentials.as_ref().filter(|_| self.remote.is_some())?;
        let candidates = self.trickle.news(fork, &self.candidates, self.complete)?;
        let fragment = Fragment { credentials: credentials.clone(), candidates, complete: self.complete };
        Some(Body { content_type: Fragment::TYPE.to_owned(), bytes: fragment.text(&self.mid).into() })
    }

    /// That is on its way.
    pub fn informed(&mut self, fork: Fork) {
        self.trickle.informed(fork, self.candidates.len(), self.complete);
    }

    /// The peer wants no more.
    pub fn stop_informing(&mut self) {
        self.trickle.stop();
    }

    /// The peer told more; what media is to know now.
    pub fn heard(&mut self, fragment: Fragment) -> Option<(Credentials, Vec<Candidate>)> {
        let current = self.remote.as_ref() == Some(&fragment.credentials);
        let Fragment { credentials, candidates, .. } = fragment;
        self.trickle.heard(&credentials, &candidates);
        (current && !candidates.is_empty()).then_some((credentials, candidates))
    }

    /// Another pair is used, or none.
    pub fn set_chosen(&mut self, view: Option<PathView>) {
        self.chosen = view;
    }

    /// The peer's offer is to be answered: other credentials than before are a restart, which wants others of ours
    /// (RFC 8839 §4.4.1.1.1).
    pub fn handle_offer(&mut self, offered: Option<&Credentials>) {
        let restarts = offered.is_some_and(|new| self.remote.as_ref().is_some_and(|old| old != new));
        if restarts && self.credentials.is_some() {
            self.credentials = Some(Credentials::new(&mut self.rng));
            self.chosen = None;
        }
    }

    /// The addresses of RTP and RTCP that those are told who know no ICE.
    pub fn defaults(&self, rtp: SocketAddr, rtcp: SocketAddr) -> (SocketAddr, SocketAddr) {
        let place = |component: u8, own: SocketAddr| {
            let of = |kind: Kind| {
                let fits = |c: &&Candidate| c.kind == kind && c.component == component;
                self.candidates.iter().filter(fits).find(|c| c.address.is_ipv4() == own.is_ipv4()).map(|c| c.address)
            };
            let used = self.chosen.as_ref().map(|view| view.local).filter(|local| {
                component == RTP && self.candidates.iter().any(|c| c.component == RTP && c.address == *local)
            });
            let best = match (self.reach.relay_only && self.credentials.is_some(), self.outside) {
                // Where nothing is relayed yet, nothing is told (RFC 8840 §4.1.2).
                (true, _) => of(Kind::Relayed).or(Some(nowhere(own))),
                // Who is asked beyond our network answers to what is seen there (RFC 8445 §5.1.4).
                (false, true) => of(Kind::ServerReflexive),
                (false, false) => None,
            };
            used.or(best).unwrap_or(own)
        };
        (place(RTP, rtp), place(RTCP, rtcp))
    }

    /// The pair in use, once both sides have settled on it.
    pub fn settled(&self) -> Option<&PathView> {
        self.chosen.as_ref().filter(|view| view.nominated)
    }

    /// What our description says of ICE; an offer names the pair in use, which spares a search (RFC 8839 §4.4.1.2.2).
    pub fn local(&self, offers: bool) -> Option<LocalIce> {
        let credentials = self.credentials.clone()?;
        let used = self.settled().filter(|_| offers);
        let remote = used.map(|view| (RTP, view.remote)).into_iter().collect();
        Some(LocalIce { credentials, candidates: self.candidates.clone(), complete: self.complete, remote })
    }

    /// ICE is offered, and may be agreed to.
    pub fn has_ice(&self) -> bool {
        self.credentials.is_some()
    }

    /// What leads to us depends on who is between: it is to be found anew when that changes.
    pub fn are_searched(&self) -> bool {
        self.remote.is_some() || (self.reach.stun.is_some() && self.outside)
    }

    /// A peer has agreed to ICE.
    pub fn is_agreed(&self) -> bool {
        self.remote.is_some()
    }

    /// What an exchange agreed on; `None`: the peer knows no ICE, or something between us breaks it.
    pub fn agreed(&mut self, remote: Option<&RemoteIce>, offered_by_us: bool) -> Option<Box<IceSpec>> {
        let (Some(remote), Some(local)) = (remote, &self.credentials) else {
            (self.credentials, self.remote, self.chosen) = (None, None, None);
            return None;
        };
        self.remote = Some(remote.credentials.clone());
        self.trickle.agreed(remote.trickles);
        self.mid = remote.mid.clone().unwrap_or_else(|| MID.to_owned());
        let mut candidates = remote.candidates.clone();
        candidates.extend(self.trickle.told_by(&remote.credentials).iter().cloned());
        Some(Box::new(IceSpec {
            local: local.clone(),
            remote: remote.credentials.clone(),
            candidates,
            controlling: offered_by_us,
            remote_is_lite: remote.lite,
            pace: remote.pace,
        }))
    }
}

/// The default of a description whose candidates are yet to come.
fn nowhere(own: SocketAddr) -> SocketAddr {
    let ip = if own.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(ip, 9)
}

/// Whether an address is one of the Internet rather than of a private network (RFC 6890).
fn is_global(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared)
        }
        IpAddr::V6(ip) => {
            let unique_local = ip.segments().first().is_some_and(|first| first & 0xfe00 == 0xfc00);
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() || unique_local)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nat::candidate::Server;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    fn ways(ice: IceUse, stun: bool) -> Ways {
        let stun = stun.then(|| Server { host: "stun.example".into(), port: 3478, by_records: true });
        Ways::new(Reach { ice, stun, ..Reach::default() }, Rng::from_u64(1))
    }

    #[test]
    fn what_is_gathered_and_for_whom() {
        use IceUse::{Answer, Off, Offer};
        let (lan, internet) = ("192.168.1.9", "203.0.113.9");
        // Use, STUN server, peer, what it offers; ICE, STUN alone.
        let rows = [
            (Off, false, internet, Some(Offered::Ice), (false, false)),
            (Off, true, lan, Some(Offered::Ice), (false, false)),
            (Off, true, internet, Some(Offered::Ice), (false, true)),
            (Answer, false, internet, None, (false, false)),
            (Answer, false, internet, Some(Offered::Nothing), (false, false)),
            (Answer, true, internet, Some(Offered::Nothing), (false, true)),
            (Answer, false, lan, Some(Offered::Ice), (true, false)),
            (Offer, false, lan, None, (true, false)),
            (Offer, true, internet, Some(Offered::Nothing), (false, true)),
        ];
        for (ice, stun, peer, offered, (uses, asks)) in rows {
            let gather = ways(ice, stun).gather(ip(peer), offered, true);
            let got = gather.map_or((false, false), |g| (g.credentials.is_some(), g.credentials.is_none()));
            assert_eq!(got, (uses, asks), "{ice:?} {stun} {peer} {offered:?}");
        }
    }

    #[test]
    fn reflexive_addresses_are_told_beyond_our_network_only() {
        let (rtp, rtcp) = ("10.0.0.1:4000".parse().expect("address"), "10.0.0.1:4001".parse().expect("address"));
        let candidate = |component, text: &str| Candidate {
            foundation: "s0".into(),
            component,
            priority: 1,
            address: text.parse().expect("address"),
            kind: Kind::ServerReflexive,
            related: None,
        };
        for (peer, expected) in [("10.9.9.9", "10.0.0.1:4000"), ("203.0.113.9", "198.51.100.1:61000")] {
            let mut ways = ways(IceUse::Off, true);
            ways.gather(ip(peer), None, false);
            ways.gathered(vec![candidate(1, "198.51.100.1:61000"), candidate(2, "198.51.100.1:61001")], true);
            assert_eq!(ways.defaults(rtp, rtcp).0.to_string(), expected);
            assert!(ways.local(true).is_none());
        }
        for private in ["127.0.0.1", "100.64.0.1", "169.254.1.1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"] {
            assert!(!is_global(ip(private)), "{private}");
        }
        assert!(is_global(ip("2001:db8::1")) && is_global(ip("100.128.0.1")));
    }

    #[test]
    fn a_restart_of_the_peer_changes_our_credentials_too() {
        let mut ways = ways(IceUse::Answer, false);
        let first = ways.gather(ip("203.0.113.9"), Some(Offered::Ice), true).and_then(|g| g.credentials).expect("ICE");
        let remote = RemoteIce {
            credentials: Credentials::new(&mut Rng::from_u64(7)),
            candidates: Vec::new(),
            lite: false,
            pace: crate::nat::candidate::PACE,
            trickles: false,
            mid: Some("audio".to_owned()),
        };
        ways.handle_offer(Some(&remote.credentials));
        assert_eq!(ways.agreed(Some(&remote), false).map(|spec| spec.local), Some(first.clone()));
        ways.handle_offer(Some(&remote.credentials));
        assert_eq!(ways.local(false).map(|ice| ice.credentials), Some(first.clone()), "the same offer again");
        let other = Credentials::new(&mut Rng::from_u64(8));
        ways.handle_offer(Some(&other));
        assert_ne!(ways.local(false).map(|ice| ice.credentials), Some(first));
        assert_eq!(ways.agreed(None, false), None, "without ICE in it, it is over");
        assert!(ways.local(true).is_none());
    }
}
