//! How long a claim is left alone at its endpoint after it came to nothing. What a link can
//! cause (no connection, silence) is tried again soon, because links come back; a block that is
//! too far ahead of the clock no later than when it no longer is; what only the peer can cause
//! waits ever longer. Silence is taken for a broken link until so much of it has come after a
//! greeting that the peer itself must be withholding what it claims.

use mvb_protocol::hash::BlockId;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use tokio::time::Instant;

/// The most claims backed off from.
pub(super) const MAX_BACK_OFFS: usize = 4_096;

/// The first and the longest back-off from what only the peer can cause.
const REFUSED: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// The first back-off from what a link can cause. It is short because a server under a flood
/// of connections may turn a newcomer away several times.
pub(super) const FIRST_OUT_OF_REACH: Duration = Duration::from_millis(100);

/// The longest of them. It is a status interval if that is shorter, so that a status heard
/// after a link has come back leads to a fetch before the next one.
const LONGEST_OUT_OF_REACH: Duration = Duration::from_secs(4);

/// How long a peer that was reached may stay silent about one claim, over all its sessions,
/// before it counts as withholding.
const WITHHELD: Duration = Duration::from_secs(30);

/// The shortest wait for a block that is too far ahead.
const TOO_EARLY: Duration = Duration::from_millis(250);

/// Why a claim came to nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    /// There was no connection, or it broke.
    OutOfReach,
    /// The peer was reached, and then said nothing more.
    Silent {
        /// How long its session had lasted; zero if any of its blocks were adopted.
        unserved: Duration,
    },
    /// A block was too far ahead of the clock.
    TooEarly {
        /// By how much.
        by: Duration,
    },
    /// The peer answered, and its answers did not bring what it claims.
    Refused,
}

/// The claims backed off from.
pub(super) struct BackOffs {
    longest_out_of_reach: Duration,
    entries: BTreeMap<(SocketAddr, BlockId), BackOff>,
}

#[derive(Clone, Copy, Debug)]
struct BackOff {
    out_of_reach: u32,
    refused: u32,
    unserved: Duration,
    until: Instant,
}

impl BackOffs {
    pub(super) fn new(status_interval: Duration) -> Self {
        Self {
            longest_out_of_reach: LONGEST_OUT_OF_REACH.min(status_interval),
            entries: BTreeMap::new(),
        }
    }

    /// Whether a claim is to be left alone for now.
    pub(super) fn is_waiting(&self, endpoint: SocketAddr, claim: BlockId, now: Instant) -> bool {
        let entry = self.entries.get(&(endpoint, claim));
        entry.is_some_and(|entry| now < entry.until)
    }

    /// The claim has come to nothing once more.
    pub(super) fn failed(
        &mut self,
        endpoint: SocketAddr,
        claim: BlockId,
        cause: Cause,
        now: Instant,
    ) {
        let key = (endpoint, claim);
        if self.entries.len() >= MAX_BACK_OFFS && !self.entries.contains_key(&key) {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.until);
            if let Some(first) = first.map(|(key, _)| *key) {
                self.entries.remove(&first);
            }
        }
        let entry = self.entries.entry(key).or_insert(BackOff {
            out_of_reach: 0,
            refused: 0,
            unserved: Duration::ZERO,
            until: now,
        });
        match cause {
            Cause::OutOfReach => entry.out_of_reach = entry.out_of_reach.saturating_add(1),
            Cause::Silent { unserved } => {
                entry.out_of_reach = entry.out_of_reach.saturating_add(1);
                entry.unserved = match unserved.is_zero() {
                    true => Duration::ZERO,
                    false => entry.unserved.saturating_add(unserved),
                };
                if entry.unserved >= WITHHELD {
                    entry.refused = entry.refused.saturating_add(1);
                }
            }
            Cause::Refused => entry.refused = entry.refused.saturating_add(1),
            Cause::TooEarly { by } => {
                entry.refused = entry.refused.saturating_add(1);
                entry.until = now + doubled(REFUSED, entry.refused).min(by.max(TOO_EARLY));
                return;
            }
        }
        let range = [FIRST_OUT_OF_REACH, self.longest_out_of_reach];
        let out_of_reach = doubled(range, entry.out_of_reach);
        entry.until = now + out_of_reach.max(doubled(REFUSED, entry.refused));
    }

    /// The claim is settled.
    pub(super) fn settled(&mut self, endpoint: SocketAddr, claim: BlockId) {
        self.entries.remove(&(endpoint, claim));
    }

    /// Forgets claims whose back-off is long over.
    pub(super) fn forget(&mut self, now: Instant) {
        let longest = REFUSED[1];
        self.entries.retain(|_, entry| now < entry.until + longest);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// `first`, doubled for each failure before this one, at most `longest`; nothing for none.
pub(super) fn doubled([first, longest]: [Duration; 2], failures: u32) -> Duration {
    match failures.checked_sub(1) {
        Some(before) => first.saturating_mul(1 << before.min(16)).min(longest),
        None => Duration::ZERO,
    }
}
