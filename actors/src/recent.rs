//! A bounded memory: what was put in last is kept, the oldest is forgotten first. For what
//! peers could otherwise fill without end.

use std::collections::{BTreeMap, VecDeque};

/// A map of at most `capacity` entries.
#[derive(Clone, Debug)]
pub struct Recent<K, V> {
    entries: BTreeMap<K, V>,
    order: VecDeque<K>,
    capacity: usize,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    /// An empty map that will hold at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            order: VecDeque::new(),
            capacity,
        }
    }

    /// Puts an entry in and forgets the oldest if there are too many. Returns whether the
    /// key is new.
    pub fn insert(&mut self, key: K, value: V) -> bool {
        if self.entries.insert(key.clone(), value).is_some() {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        true
    }

    /// The value at a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_is_forgotten_first() {
        let mut recent = Recent::new(2);
        assert!(recent.insert(1, "a") && recent.insert(2, "b") && !recent.insert(1, "c"));
        assert!(recent.insert(3, "d"));
        assert_eq!(
            [1, 2, 3].map(|key| recent.get(&key).copied()),
            [None, Some("b"), Some("d")]
        );
    }
}
