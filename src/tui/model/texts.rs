//! Texts by whom they are with.
use super::Model;
use crate::base::id::AccountId;
use crate::ua::snapshot::TextView;
use std::time::SystemTime;

/// Whom a text is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub account: AccountId,
    pub address: String,
}

/// What was written with somebody.
#[derive(Clone, Debug)]
pub struct Thread<'m> {
    pub peer: Peer,
    pub name: &'m str,
    /// Oldest first.
    pub texts: Vec<&'m TextView>,
    pub unread: usize,
}

/// What the page of texts keeps.
#[derive(Clone, Debug)]
pub struct Reading {
    pub peer: Option<Peer>,
    /// Texts with somebody up to this moment were looked at.
    seen: Vec<(Peer, SystemTime)>,
    /// Those that came before the program began are no news.
    since: SystemTime,
}

impl Reading {
    pub fn new(since: SystemTime) -> Self {
        Self { peer: None, seen: Vec::new(), since }
    }

    fn is_new(&self, text: &TextView) -> bool {
        let seen = self.seen.iter().find(|(peer, _)| is_with(text, peer)).map_or(self.since, |(_, at)| *at);
        !text.outgoing && text.at > seen
    }
}

fn is_with(text: &TextView, peer: &Peer) -> bool {
    text.account == peer.account && text.peer_address == peer.address
}

impl Model {
    /// The one with the newest text first; whom a text is to be written to for the first time before all.
    pub fn threads(&self) -> Vec<Thread<'_>> {
        let mut threads: Vec<Thread<'_>> = Vec::new();
        for text in self.texts.iter().rev() {
            let new = usize::from(self.reading.is_new(text));
            match threads.iter_mut().find(|thread| is_with(text, &thread.peer)) {
                Some(thread) => {
                    thread.texts.insert(0, text);
                    thread.unread += new;
                }
                None => threads.push(Thread {
                    peer: Peer { account: text.account, address: text.peer_address.clone() },
                    name: &text.peer_name,
                    texts: vec![text],
                    unread: new,
                }),
            }
        }
        if let Some(peer) = &self.reading.peer
            && !threads.iter().any(|thread| thread.peer == *peer)
        {
            threads.insert(0, Thread { peer: peer.clone(), name: &peer.address, texts: Vec::new(), unread: 0 });
        }
        threads
    }

    /// Texts nobody looked at.
    pub fn unread(&self) -> usize {
        self.texts.iter().filter(|text| self.reading.is_new(text)).count()
    }

    /// What is on the screen was seen.
    pub fn mark_read(&mut self) {
        let Some(peer) = self.reading.peer.clone() else { return };
        let newest = self.texts.iter().filter(|text| is_with(text, &peer)).map(|text| text.at).max();
        self.reading.seen.retain(|(other, _)| *other != peer);
        self.reading.seen.extend(newest.map(|at| (peer, at)));
    }
}
