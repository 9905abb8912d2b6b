//! Cryptographic contexts (RFC 3711 §3.2): one for all that is sent, one for each source that is heard.
//!
//! A source gets its context with the first packet that is authentic, so that forged packets neither fill memory nor
//! move a replay window.
use super::sdes::{Keys, MasterKey, Suite};
use rtc_shared::error::Error;
use rtc_srtp::context::Context;
use rtc_srtp::crypto::providers::RingCrypto;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

/// Packets a late one may stand behind the newest (RFC 3711 §3.3.2 asks for 64 at least).
const WINDOW: usize = 256;
/// Sources heard under one key; of more, the one that is silent for longest is forgotten.
const MAX_SOURCES: usize = 16;
/// The fixed header of RTP, the header and the first source of RTCP \[octets\].
const RTP_HEADER: usize = 12;
const RTCP_HEADER: usize = 8;

/// Why a packet is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("not authentic")]
    Forged,
    #[error("seen before, or too old to tell")]
    Replayed,
}

/// Our packet cannot be protected, and so must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet cannot be protected")]
pub struct Unprotected;

/// What protects one stream in both directions.
#[derive(Debug)]
pub struct Protection {
    keys: Keys,
    outgoing: Outgoing,
    incoming: Incoming,
}

impl Protection {
    pub fn new(keys: &Keys) -> Self {
        Self {
            outgoing: Outgoing::new(keys.suite, &keys.send),
            incoming: Incoming::new(keys.suite, &keys.receive),
            keys: keys.clone(),
        }
    }

    /// A direction whose key is new starts anew; one whose key is the same keeps its rollover counter, its indices and
    /// its windows: to use an index twice under one key would reveal what both packets say.
    pub fn rekey(&mut self, keys: &Keys) {
        let same_suite = self.keys.suite == keys.suite;
        if !same_suite || self.keys.send != keys.send {
            self.outgoing = Outgoing::new(keys.suite, &keys.send);
        }
        if !same_suite || self.keys.receive != keys.receive {
            self.incoming = Incoming::new(keys.suite, &keys.receive);
        }
        self.keys = keys.clone();
    }

    /// Protects the RTP packet in its buffer.
    ///
    /// # Errors
    /// The buffer must not be sent.
    pub fn protect_rtp(&mut self, packet: &mut Vec<u8>) -> Result<(), Unprotected> {
        self.outgoing.protect(packet, |context, clear| context.encrypt_rtp(clear).ok())
    }

    /// As [`Self::protect_rtp`], for compound RTCP.
    ///
    /// # Errors
    /// The buffer must not be sent.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), Unprotected> {
        self.outgoing.protect(packet, |context, clear| context.encrypt_rtcp(clear).ok())
    }

    /// Reads an SRTP packet; `clear` holds the RTP packet then.
    ///
    /// # Errors
    /// `clear` means nothing; count it, and go on.
    pub fn unprotect_rtp(&mut self, packet: &[u8], clear: &mut Vec<u8>) -> Result<(), Refused> {
        self.incoming.unprotect_rtp(packet, clear)
    }

    /// As [`Self::unprotect_rtp`], for SRTCP.
    ///
    /// # Errors
    /// `clear` means nothing; count it, and go on.
    pub fn unprotect_rtcp(&mut self, packet: &[u8], clear: &mut Vec<u8>) -> Result<(), Refused> {
        self.incoming.unprotect_rtcp(packet, clear)
    }
}

/// Without a context, which only a library that lacks its suite would cause, nothing is sent.
struct Outgoing(Option<Context>);

impl Outgoing {
    fn new(suite: Suite, key: &MasterKey) -> Self {
        Self(context(suite, key))
    }

    fn protect<B: AsRef<[u8]>>(
        &mut self,
        packet: &mut Vec<u8>,
        with: impl FnOnce(&mut Context, &[u8]) -> Option<B>,
    ) -> Result<(), Unprotected> {
        let protected = self.0.as_mut().and_then(|context| with(context, packet)).ok_or(Unprotected)?;
        packet.clear();
        packet.extend_from_slice(protected.as_ref());
        Ok(())
    }
}

struct Incoming {
    suite: Suite,
    key: MasterKey,
    rtp: Vec<Source>,
    /// Apart from RTP: their windows open with the first authentic packet of each.
    rtcp: Vec<Source>,
}

struct Source {
    ssrc: u32,
    context: Context,
}

impl Incoming {
    fn new(suite: Suite, key: &MasterKey) -> Self {
        Self { suite, key: key.clone(), rtp: Vec::new(), rtcp: Vec::new() }
    }

    fn unprotect_rtp(&mut self, packet: &[u8], clear: &mut Vec<u8>) -> Result<(), Refused> {
        if packet.len() < RTP_HEADER + self.suite.rtp_tag_length() {
            return Err(Refused::Forged);
        }
        let ssrc = word(packet, 8).ok_or(Refused::Forged)?;
        if let Some(source) = find(&mut self.rtp, ssrc) {
            return open_rtp(&mut source.context, packet, clear);
        }
        let mut context = context(self.suite, &self.key).ok_or(Refused::Forged)?;
        if let Err(refused) = open_rtp(&mut context, packet, clear) {
            // It may have begun just below the wrap, with the packets before it lost.
            context = after_wrap(self.suite, &self.key, packet).ok_or(refused)?;
            open_rtp(&mut context, packet, clear)?;
        }
        remember(&mut self.rtp, Source { ssrc, context });
        Ok(())
    }

    fn unprotect_rtcp(&mut self, packet: &[u8], clear: &mut Vec<u8>) -> Result<(), Refused> {
        if packet.len() < RTCP_HEADER + self.suite.rtcp_trailer_length() {
            return Err(Refused::Forged);
        }
        // Encryption was agreed on: what is only authenticated is not taken (RFC 3711 §3.4, the E-flag).
        let index = word(packet, packet.len() - self.suite.rtcp_index_from_end());
        let (Some(ssrc), Some(0x8000_0000..)) = (word(packet, 4), index) else { return Err(Refused::Forged) };
        if let Some(source) = find(&mut self.rtcp, ssrc) {
            return open_rtcp(&mut source.context, packet, clear);
        }
        let mut context = context(self.suite, &self.key).ok_or(Refused::Forged)?;
        open_rtcp(&mut context, packet, clear)?;
        remember(&mut self.rtcp, Source { ssrc, context });
        Ok(())
    }
}

/// The most recent stands first.
fn find(sources: &mut [Source], ssrc: u32) -> Option<&mut Source> {
    let at = sources.iter().position(|source| source.ssrc == ssrc)?;
    sources.get_mut(..=at)?.rotate_right(1);
    sources.first_mut()
}

fn remember(sources: &mut Vec<Source>, source: Source) {
    sources.truncate(MAX_SOURCES - 1);
    sources.insert(0, source);
}

fn open_rtp(context: &mut Context, packet: &[u8], clear: &mut Vec<u8>) -> Result<(), Refused> {
    match context.decrypt_rtp(packet) {
        Ok(opened) => {
            clear.clear();
            clear.extend_from_slice(&opened);
            Ok(())
        }
        Err(error) => Err(refused(&error)),
    }
}

fn open_rtcp(context: &mut Context, packet: &[u8], clear: &mut Vec<u8>) -> Result<(), Refused> {
    match context.decrypt_rtcp(packet) {
        Ok(opened) => {
            clear.clear();
            clear.extend_from_slice(&opened);
            Ok(())
        }
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &Error) -> Refused {
    match error {
        Error::SrtpSsrcDuplicated(..) | Error::SrtcpSsrcDuplicated(..) => Refused::Replayed,
        _ => Refused::Forged,
    }
}

/// A context that takes a packet low in the sequence for one after the first wrap. The library has no way to set the
/// rollover counter; a packet of nothing, protected and dropped, brings it to just below the wrap.
fn after_wrap(suite: Suite, key: &MasterKey, packet: &[u8]) -> Option<Context> {
    const BELOW: u16 = 0xc000;
    let header = packet.get(..RTP_HEADER)?;
    let sequence = u16::from_be_bytes([*header.get(2)?, *header.get(3)?]);
    if sequence >= BELOW - 0x8000 {
        return None;
    }
    let mut nothing = [0; RTP_HEADER];
    nothing.copy_from_slice(header);
    let [first, _, high, low, ..] = &mut nothing;
    // No sources, extension or padding follow.
    *first = 0x80;
    [*high, *low] = BELOW.to_be_bytes();
    let mut context = context(suite, key)?;
    context.encrypt_rtp(&nothing).ok()?;
    Some(context)
}

fn context(suite: Suite, key: &MasterKey) -> Option<Context> {
    let profile = match suite {
        Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Suite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Suite::Aes256CmSha1Tag80 => ProtectionProfile::Aes256CmHmacSha1_80,
        Suite::Aes256CmSha1Tag32 => ProtectionProfile::Aes256CmHmacSha1_32,
        Suite::Aes128CmSha1Tag80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::Aes128CmSha1Tag32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    let (key, salt) = key.split(suite);
    let windows = (srtp_replay_protection(WINDOW), srtcp_replay_protection(WINDOW));
    Context::new(key, salt, profile, Some(windows.0), Some(windows.1), &RingCrypto).ok()
}

fn word(packet: &[u8], at: usize) -> Option<u32> {
    packet.get(at..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outgoing(..)")
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Incoming({} sources)", self.rtp.len())
    }
}
