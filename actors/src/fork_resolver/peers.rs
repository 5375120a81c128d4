//! What peers claim, which of them is asked next, and what follows from how it went. A
//! plain table that decides; it opens no connection and reads no clock.
//!
//! A datagram is never evidence: anybody can forge its source. So what a datagram says can
//! only start a fetch, and a claim that comes to nothing is held against that claim at that
//! endpoint, never against the endpoint. What a TCP session showed is evidence about its
//! endpoint: it makes a peer proven, or pauses it.

mod back_off;
mod choose;
#[cfg(test)]
mod tests;

use crate::{fork_resolver::error::Conclusion, view::PeerView};
use back_off::{BackOffs, Cause, FIRST_OUT_OF_REACH, doubled};
use choose::Second;
use mvb_protocol::{
    chain::Tip,
    mutant,
    numbers::{Height, Timestamp},
    wire::NodeId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::time::Instant;

/// The most peers remembered, pinned ones aside.
const MAX_PEERS: usize = 512;

/// The most of them at one address; on one machine every node is at the same.
const MAX_PEERS_PER_ADDRESS: usize = 64;

/// How long an adopted batch of blocks extends that.
const PROGRESS_COVERS: Duration = Duration::from_secs(2);

/// The least blocks in a batch that extends it, so that a peer that trickles does not.
const PROGRESS_BLOCKS: usize = 16;

/// How long a peer is left alone after a session that brought nothing.
const QUIET: Duration = Duration::from_millis(200);

/// The most peers dropped in a second to make room for others.
const EVICTIONS_PER_SECOND: u32 = 64;

/// The first and the longest pause after misbehaviour.
const PAUSE: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(600)];

/// What the table is told at its start.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    /// This node.
    pub own: NodeId,
    /// The most fetches at once.
    pub max_fetches: usize,
    /// How often peers announce themselves. A pinned one is asked as often though no datagram
    /// came from it.
    pub status_interval: Duration,
    /// How long a peer that is not heard is remembered.
    pub forget: Duration,
}

/// What became of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is this node's own.
    Echo,
    /// It was noted.
    Noted,
    /// The table is full of better peers.
    NoRoom,
}

/// Whom to ask now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The peer's block server.
    pub endpoint: SocketAddr,
    /// What it claims, if that is why.
    pub claim: Option<Tip>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// What follows for the peer.
    pub conclusion: Conclusion,
    /// This node's tip now.
    pub tip: Tip,
}

/// The table.
pub struct Peers {
    config: PeersConfig,
    peers: BTreeMap<SocketAddr, Peer>,
    back_offs: BackOffs,
    /// Those being asked.
    asked: BTreeSet<SocketAddr>,
    second: Second,
}

#[derive(Clone, Debug)]
struct Peer {
    node: Option<NodeId>,
    claim: Option<Tip>,
    heard: Timestamp,
    heard_at: Instant,
    pinned: bool,
    proven: bool,
    /// Sessions that brought nothing, in a row.
    failures: u32,
    /// Times it misbehaved.
    strikes: u32,
    not_before: Instant,
    poll_at: Instant,
    last_asked: Option<Instant>,
    fetch: Option<Fetch>,
}

#[derive(Clone, Copy, Debug)]
struct Fetch {
    claims: [Option<Tip>; 2],
    began: Instant,
    covers_until: Instant,
    /// Whether it adopts enough at a time to cover what others claim nearby.
    adopts: bool,
    has_adopted: bool,
    /// Whether its session took the place of a silent one.
    is_renewed: bool,
    /// How far it leads, once the peer's headers have proven a better chain.
    leads_to: Option<Height>,
}

impl Peer {
    fn new(now: Instant, pinned: bool) -> Self {
        Self {
            node: None,
            claim: None,
            heard: Timestamp(0),
            heard_at: now,
            pinned,
            proven: false,
            failures: 0,
            strikes: 0,
            not_before: now,
            poll_at: now,
            last_asked: None,
            fetch: None,
        }
    }

    /// Whether forged datagrams alone cannot have brought it here.
    fn is_trusted(&self) -> bool {
        self.pinned || self.proven
    }

    /// Notes how a session ended, and says what that means for the claims behind it.
    fn conclude(&mut self, conclusion: Conclusion, fetch: Option<Fetch>, now: Instant) -> Cause {
        let is_fine = matches!(conclusion, Conclusion::Fine { .. });
        self.failures = if is_fine { 0 } else { self.failures + 1 };
        match conclusion {
            Conclusion::Fine { adopted: true } => {
                self.strikes = 0;
                Cause::Refused
            }
            Conclusion::Fine { adopted: false } => {
                self.not_before = now + QUIET;
                Cause::Refused
            }
            Conclusion::Unreachable => {
                if mutant!(HourOfBackOff) {
                    self.not_before = now + Duration::from_secs(3_600);
                }
                Cause::OutOfReach
            }
            Conclusion::Silent => Cause::Silent {
                unserved: fetch
                    .filter(|fetch| !fetch.has_adopted)
                    .map_or(Duration::ZERO, |fetch| {
                        now.saturating_duration_since(fetch.began)
                    }),
            },
            Conclusion::TooEarly { by } => Cause::TooEarly { by },
            Conclusion::Failed | Conclusion::OwnFault => Cause::Refused,
            Conclusion::Misbehaved => {
                self.strikes += 1;
                self.proven = false;
                self.not_before = now + doubled(PAUSE, self.strikes);
                Cause::Refused
            }
        }
    }
}

impl Peers {
    /// A table that knows the pinned peers only.
    pub fn new(config: PeersConfig, pinned: &[SocketAddr], now: Instant) -> Self {
        let peers = pinned
            .iter()
            .map(|endpoint| (*endpoint, Peer::new(now, true)))
            .collect();
        Self {
            back_offs: BackOffs::new(config.status_interval),
            config,
            peers,
            asked: BTreeSet::new(),
            second: Second::new(now),
        }
    }

    /// Notes what a status claims. `wall` is for people, `now` for decisions.
    pub fn hear(
        &mut self,
        endpoint: SocketAddr,
        node: NodeId,
        claim: Tip,
        wall: Timestamp,
        now: Instant,
    ) -> Heard {
        if node == self.config.own {
            return Heard::Echo;
        }
        if !self.peers.contains_key(&endpoint) {
            if !self.make_room(endpoint.ip(), now) {
                return Heard::NoRoom;
            }
            self.peers.insert(endpoint, Peer::new(now, false));
        }
        let Some(peer) = self.peers.get_mut(&endpoint) else {
            return Heard::NoRoom;
        };
        peer.node = Some(node);
        peer.claim = Some(claim);
        peer.heard = wall;
        peer.heard_at = now;
        Heard::Noted
    }

    /// Drops the unproven peer that was heard longest ago, at a crowded address one of
    /// that address. Proven and pinned ones stay, and those being asked.
    fn make_room(&mut self, address: IpAddr, now: Instant) -> bool {
        let ports = SocketAddr::new(address, 0)..=SocketAddr::new(address, u16::MAX);
        let crowded = self.peers.range(ports).count() >= MAX_PEERS_PER_ADDRESS;
        if !crowded && self.peers.len() < MAX_PEERS {
            return true;
        }
        if self.second.evicted(now) > EVICTIONS_PER_SECOND {
            return false;
        }
        let victim = self
            .peers
            .iter()
            .filter(|(endpoint, peer)| {
                let is_near = !crowded || endpoint.ip() == address;
                is_near && !peer.is_trusted() && peer.fetch.is_none()
            })
            .min_by_key(|(endpoint, peer)| (peer.heard_at, **endpoint))
            .map(|(endpoint, _)| *endpoint);
        match victim {
            Some(endpoint) => self.peers.remove(&endpoint).is_some(),
            None => false,
        }
    }

    /// A session has heard the peer's Hello.
    pub fn greeted(&mut self, endpoint: SocketAddr, node: NodeId, tip: Tip, wall: Timestamp) {
        if let Some(peer) = self.peers.get_mut(&endpoint) {
            peer.node = Some(node);
        }
        self.announced(endpoint, tip, wall);
    }

    /// The peer has claimed a tip over TCP.
    pub fn announced(&mut self, endpoint: SocketAddr, tip: Tip, wall: Timestamp) {
        if let Some(peer) = self.peers.get_mut(&endpoint) {
            peer.heard = wall;
            // A status heard since may claim more than this Hello did.
            if peer.claim.is_none_or(|claim| tip.is_better_than(&claim)) {
                peer.claim = Some(tip);
            }
            if let Some(fetch) = &mut peer.fetch {
                fetch.claims[1] = Some(tip);
            }
        }
    }

    /// A session's headers have proven a better chain, which leads to a height.
    pub fn downloading(&mut self, endpoint: SocketAddr, height: Height) {
        if let Some(peer) = self.peers.get_mut(&endpoint)
            && let Some(fetch) = &mut peer.fetch
        {
            fetch.leads_to = Some(height);
        }
    }

    /// A session had blocks adopted.
    pub fn adopted(&mut self, endpoint: SocketAddr, blocks: usize, now: Instant) {
        let Some(peer) = self.peers.get_mut(&endpoint) else {
            return;
        };
        peer.proven = true;
        if let Some(fetch) = &mut peer.fetch {
            fetch.has_adopted = true;
            if blocks >= PROGRESS_BLOCKS {
                fetch.adopts = true;
                fetch.covers_until = now + PROGRESS_COVERS;
            }
        }
    }

    /// A session has ended. Whatever the end, the peer is free to be asked again.
    pub fn finished(&mut self, endpoint: SocketAddr, ended: Ended, now: Instant) {
        if mutant!(BusyForEver) && !matches!(ended.conclusion, Conclusion::Fine { .. }) {
            return;
        }
        self.asked.remove(&endpoint);
        let Some(peer) = self.peers.get_mut(&endpoint) else {
            return;
        };
        let fetch = peer.fetch.take();
        if ended.conclusion == Conclusion::OwnFault {
            return;
        }
        let cause = peer.conclude(ended.conclusion, fetch, now);
        let interval = self.config.status_interval;
        peer.poll_at = now
            + match cause {
                Cause::Refused => interval.saturating_mul(1 + peer.failures.min(5)),
                Cause::TooEarly { .. } => interval,
                // Links come back, and a server under a flood turns newcomers away.
                Cause::OutOfReach | Cause::Silent { .. } => {
                    doubled([FIRST_OUT_OF_REACH, interval], peer.failures)
                }
            };
        let claims = fetch.map(|fetch| fetch.claims);
        let claims = claims.into_iter().flatten().flatten();
        if mutant!(LieSilencesPeer) && claims.clone().any(|claim| claim.is_better_than(&ended.tip))
        {
            peer.not_before = now + PAUSE[0];
        }
        for claim in claims {
            // A claim that this session has settled needs no back-off.
            if claim.is_better_than(&ended.tip) {
                self.back_offs.failed(endpoint, claim.id, cause, now);
            } else {
                self.back_offs.settled(endpoint, claim.id);
            }
        }
    }

    /// Forgets peers that have fallen silent, and claims whose back-off is long over.
    pub fn forget(&mut self, now: Instant) {
        let silent = self.config.forget;
        self.peers.retain(|_, peer| {
            peer.pinned
                || peer.fetch.is_some()
                || peer.not_before > now
                || now.saturating_duration_since(peer.heard_at) < silent
        });
        self.back_offs.forget(now);
    }

    /// The peers for people to see.
    pub fn view(&self) -> Vec<PeerView> {
        self.peers
            .iter()
            .filter_map(|(address, peer)| {
                Some(PeerView {
                    address: *address,
                    node: peer.node?,
                    tip: peer.claim?,
                    heard: peer.heard,
                    proven: peer.proven,
                    pinned: peer.pinned,
                    session: peer.fetch.is_some(),
                })
            })
            .collect()
    }
}
