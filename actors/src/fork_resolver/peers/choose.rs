//! Whom to ask next. Proven and pinned peers come first and always find a slot; unproven
//! ones, which forged datagrams can invent, share what is left, evenly among their addresses,
//! and lose a slot they make no use of to another that waits.

use super::{Ended, Fetch, Order, Peer, Peers};
use crate::fork_resolver::error::Conclusion;
use mvb_protocol::{chain::Tip, mutant, numbers::Height, wire::NodeId};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::time::Instant;

/// How long a fetch alone covers its tip and its peer; when it has come to nothing by then,
/// another peer may be asked for the same.
pub(super) const HEAD_START: Duration = Duration::from_millis(500);

/// While a fetch adopts blocks, claims up to so many blocks above its own wait for it.
const COVERED_HEIGHTS: u64 = 100;

/// A fetch of so many blocks is shared with others.
const LONG: u64 = 256;

/// The most fetches at work for one of them to be shared; the rest is for other chains.
const SHARING: usize = 4;

/// The most unproven peers asked in a second: what forged statuses can make this node do.
pub(super) const UNPROVEN_PER_SECOND: u32 = 32;

/// A fetch at work.
struct Running {
    endpoint: SocketAddr,
    fetch: Fetch,
    node: Option<NodeId>,
    is_trusted: bool,
}

/// The fetches at work, and whether there is room for another.
struct Slots {
    is_free: bool,
    is_free_for_unproven: bool,
    fetches: Vec<Running>,
}

/// An unproven peer that gives its slot to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// Whose session is to end.
    pub dropped: SocketAddr,
    /// Whom to ask instead.
    pub order: Order,
}

impl Peers {
    /// Whom to ask now, if anybody; it then counts as being asked until [`Self::finished`].
    pub fn next(&mut self, ours: Tip, now: Instant) -> Option<Order> {
        let slots = self.slots(now);
        let order = self.best(&slots, ours, now)?;
        self.start(order, now)
    }

    /// Whom to ask in place of an unproven peer that makes no use of its slot, where such peers
    /// have taken all there are for them: liars must not keep one out that nobody has proven
    /// yet. `trickles` says of a fetch whether too little has come for how long it lasts. The
    /// one that is dropped must be ended with [`Self::replaced`].
    pub fn next_instead(
        &self,
        ours: Tip,
        now: Instant,
        trickles: impl Fn(&SocketAddr) -> bool,
    ) -> Option<Replacement> {
        let mut slots = self.slots(now);
        if self.has_unproven_slot(&slots) || mutant!(SlotForEver) {
            return None;
        }
        // The address that holds most of the slots gives one up first.
        let (position, dropped) = slots
            .fetches
            .iter()
            .enumerate()
            .filter(|(_, running)| !running.is_trusted && trickles(&running.endpoint))
            .max_by_key(|(_, running)| {
                let held = slots.held_at(running.endpoint.ip());
                (held, now.saturating_duration_since(running.fetch.began))
            })
            .map(|(position, running)| (position, running.endpoint))?;
        let held = slots.held_at(dropped.ip());
        slots.fetches.swap_remove(position);
        slots.is_free_for_unproven = self.second.starts(now) < UNPROVEN_PER_SECOND;
        // Proven peers have slots of their own.
        slots.is_free = false;
        let order = self.best(&slots, ours, now)?;
        let is_fair = slots.held_at(order.endpoint.ip()) < held;
        is_fair.then_some(Replacement { dropped, order })
    }

    /// Carries a replacement out: the one dropped was silent.
    pub fn replaced(&mut self, replacement: Replacement, ours: Tip, now: Instant) -> Option<Order> {
        let ended = Ended {
            conclusion: Conclusion::Silent,
            tip: ours,
        };
        self.finished(replacement.dropped, ended, now);
        self.start(replacement.order, now)
    }

    /// The best of those that may be asked.
    fn best(&self, slots: &Slots, ours: Tip, now: Instant) -> Option<Order> {
        self.peers
            .iter()
            .filter_map(|(endpoint, peer)| {
                let order = self.order(*endpoint, peer, slots, ours, now)?;
                Some((order, peer))
            })
            .min_by_key(|(order, peer)| {
                let held = slots.held_at(order.endpoint.ip());
                let (failures, last) = (peer.failures, peer.last_asked);
                (!peer.is_trusted(), held, failures, last, order.endpoint)
            })
            .map(|(order, _)| order)
    }

    /// The same for one peer only, which was just heard: cheap enough for every datagram.
    pub fn next_at(&mut self, endpoint: SocketAddr, ours: Tip, now: Instant) -> Option<Order> {
        let slots = self.slots(now);
        let peer = self.peers.get(&endpoint)?;
        let order = self.order(endpoint, peer, &slots, ours, now)?;
        self.start(order, now)
    }

    /// The same for a peer whose session is silent though it was just heard: its link was cut,
    /// and works again. A new session takes the place of that one, once and for trusted peers
    /// only, so that a peer that is merely slow is served after all.
    pub fn renew(&mut self, endpoint: SocketAddr, ours: Tip, now: Instant) -> Option<Order> {
        let peer = self.peers.get_mut(&endpoint)?;
        if !peer.is_trusted() {
            return None;
        }
        let silent = peer.fetch.take_if(|fetch| !fetch.is_renewed)?;
        let order = self.next_at(endpoint, ours, now);
        let peer = self.peers.get_mut(&endpoint)?;
        match &mut peer.fetch {
            Some(renewed) => {
                renewed.is_renewed = true;
                (renewed.began, renewed.has_adopted) = (silent.began, silent.has_adopted);
            }
            none => *none = Some(silent),
        }
        order
    }

    fn start(&mut self, order: Order, now: Instant) -> Option<Order> {
        let peer = self.peers.get_mut(&order.endpoint)?;
        peer.last_asked = Some(now);
        peer.fetch = Some(Fetch {
            claims: [order.claim, None],
            began: now,
            covers_until: now + HEAD_START,
            adopts: false,
            has_adopted: false,
            is_renewed: false,
            leads_to: None,
        });
        if !peer.is_trusted() {
            self.second.started(now);
        }
        self.asked.insert(order.endpoint);
        Some(order)
    }

    /// The fetches at work, and whether there is room for another.
    fn slots(&self, now: Instant) -> Slots {
        let fetches: Vec<Running> = self
            .asked
            .iter()
            .filter_map(|endpoint| {
                let peer = self.peers.get(endpoint)?;
                Some(Running {
                    endpoint: *endpoint,
                    fetch: peer.fetch?,
                    node: peer.node,
                    is_trusted: peer.is_trusted(),
                })
            })
            .collect();
        let mut slots = Slots {
            is_free: fetches.len() < self.config.max_fetches,
            is_free_for_unproven: false,
            fetches,
        };
        slots.is_free_for_unproven = slots.is_free
            && (self.has_unproven_slot(&slots) || mutant!(UnprovenTakeAll))
            && self.second.starts(now) < UNPROVEN_PER_SECOND;
        slots
    }

    /// Whether unproven peers have not taken all that is for them.
    fn has_unproven_slot(&self, slots: &Slots) -> bool {
        let unproven = slots.fetches.iter().filter(|fetch| !fetch.is_trusted);
        unproven.count() < self.config.max_fetches.div_ceil(2)
    }

    /// Whether and why to ask a peer. A claim is worth a fetch when it is better than this
    /// node's tip, did not just come to nothing, and no fetch at work is likely to settle
    /// it; a pinned peer is asked from time to time even so.
    fn order(
        &self,
        endpoint: SocketAddr,
        peer: &Peer,
        slots: &Slots,
        ours: Tip,
        now: Instant,
    ) -> Option<Order> {
        let has_slot = match peer.is_trusted() {
            true => slots.is_free,
            false => slots.is_free_for_unproven,
        };
        if !has_slot || peer.fetch.is_some() || now < peer.not_before {
            return None;
        }
        let has_long = slots.fetches.iter().any(|fetch| fetch.is_long(ours));
        let is_shared = has_long && slots.fetches.len() < SHARING;
        let is_covered = |claim: &Tip| {
            let mut fetches = slots.fetches.iter();
            fetches.any(|fetch| fetch.covers(peer, claim, is_shared, now))
        };
        let claim = peer.claim.filter(|claim| {
            let is_waiting = self.back_offs.is_waiting(endpoint, claim.id, now);
            let is_passed_over = mutant!(TieStartsNoFetch) && claim.work == ours.work;
            claim.is_better_than(&ours) && !is_passed_over && !is_waiting && !is_covered(claim)
        });
        let is_due = claim.is_some() || peer.pinned && peer.poll_at <= now;
        is_due.then_some(Order { endpoint, claim })
    }
}

impl Slots {
    /// How many unproven peers at this address have one.
    fn held_at(&self, address: IpAddr) -> usize {
        let unproven = self.fetches.iter().filter(|fetch| !fetch.is_trusted);
        unproven
            .filter(|fetch| fetch.endpoint.ip() == address)
            .count()
    }
}

impl Running {
    /// Whether it has so much to fetch that others should help.
    fn is_long(&self, ours: Tip) -> bool {
        let left = |height: Height| height.0.saturating_sub(ours.height.0);
        self.fetch.leads_to.map_or(0, left) >= LONG
    }

    /// Whether this fetch is likely to bring what `peer` claims as well, and need not be
    /// helped with it.
    fn covers(&self, peer: &Peer, claim: &Tip, is_shared: bool, now: Instant) -> bool {
        let Fetch {
            claims,
            covers_until,
            adopts,
            ..
        } = self.fetch;
        let is_same_node = self.node.is_some() && self.node == peer.node;
        (now < covers_until || mutant!(FetchCoversForEver))
            && (is_same_node
                || !is_shared
                    && claims.into_iter().flatten().any(|tip| {
                        let near = tip.height.0.saturating_add(COVERED_HEIGHTS);
                        tip.id == claim.id || adopts && claim.height.0 <= near
                    }))
    }
}

/// What was done in the current second, where forged datagrams could make it too much.
pub(super) struct Second {
    began: Instant,
    starts: u32,
    evictions: u32,
}

impl Second {
    fn turn(&mut self, now: Instant) {
        if now.saturating_duration_since(self.began) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
    }

    pub(super) fn new(began: Instant) -> Self {
        Self {
            began,
            starts: 0,
            evictions: 0,
        }
    }

    fn started(&mut self, now: Instant) {
        self.turn(now);
        self.starts += 1;
    }

    fn starts(&self, now: Instant) -> u32 {
        match now.saturating_duration_since(self.began) < Duration::from_secs(1) {
            true => self.starts,
            false => 0,
        }
    }

    /// Counts an eviction and returns how many there were.
    pub(super) fn evicted(&mut self, now: Instant) -> u32 {
        self.turn(now);
        self.evictions += 1;
        self.evictions
    }
}
