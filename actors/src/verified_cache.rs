//! Which payments' signatures were verified lately, by witness id. The intake fills it, and
//! the chain manager's workers read it, so that a block of payments that waited in the
//! mempool costs no second verification. It knows nothing of ids: a copy with another
//! signature is another entry.

use crate::shared_map::SharedMap;
use mvb_protocol::hash::Wid;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// How many payments are remembered; about 15 MB when full.
const CAPACITY: usize = 100_000;

/// A bounded set of witness ids, the oldest forgotten first. Shared between threads.
#[derive(Debug)]
pub struct VerifiedCache {
    known: SharedMap<Wid, ()>,
    order: Mutex<VecDeque<Wid>>,
    capacity: usize,
}

impl Default for VerifiedCache {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl VerifiedCache {
    /// A cache of at most `capacity` payments.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            known: SharedMap::default(),
            order: Mutex::default(),
            capacity,
        }
    }

    /// Remembers a payment whose signature was found right.
    pub fn insert(&self, wid: Wid) {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if self.known.insert(wid, ()).is_some() {
            return;
        }
        order.push_back(wid);
        while order.len() > self.capacity {
            if let Some(oldest) = order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// Whether the payment was verified before. A payment forgotten since is verified again.
    pub fn contains(&self, wid: &Wid) -> bool {
        self.known.contains(wid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_when_the_cache_is_full() {
        let cache = VerifiedCache::with_capacity(2);
        for byte in [1, 2, 2, 3] {
            cache.insert(Wid([byte; 32]));
        }
        let known = [1, 2, 3].map(|byte| cache.contains(&Wid([byte; 32])));
        assert_eq!(known, [false, true, true]);
    }
}
