//! A map that several threads share: the one wrapper around DashMap. It offers no
//! iteration, because DashMap's order is random and would make a simulation differ from
//! run to run; whoever needs an order keeps a BTreeMap beside it.

use dashmap::DashMap;
use std::hash::Hash;

/// A concurrent map of look-ups. Values are cloned out, so keep them small or in an `Arc`;
/// no lock outlives a call.
#[derive(Debug)]
pub struct SharedMap<K: Eq + Hash, V>(DashMap<K, V>);

impl<K: Eq + Hash, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

impl<K: Eq + Hash, V: Clone> SharedMap<K, V> {
    /// A copy of the value at `key`.
    pub fn get(&self, key: &K) -> Option<V> {
        self.0.get(key).map(|entry| entry.value().clone())
    }

    /// Whether there is a value at `key`.
    pub fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Sets the value at `key` and returns the one before.
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// Removes the value at `key` and returns it.
    pub fn remove(&self, key: &K) -> Option<V> {
        self.0.remove(key).map(|(_, value)| value)
    }

    /// Removes the value at `key` if it is as wanted.
    pub fn remove_if(&self, key: &K, is_wanted: impl FnOnce(&V) -> bool) {
        self.0.remove_if(key, |_, value| is_wanted(value));
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back_until_it_is_removed() {
        let map = SharedMap::default();
        assert_eq!(map.insert(1, "a"), None);
        assert_eq!(map.insert(1, "b"), Some("a"));
        assert_eq!(
            (map.get(&1), map.contains(&1), map.len()),
            (Some("b"), true, 1)
        );
        map.remove_if(&1, |value| *value == "a");
        assert_eq!(map.remove(&1), Some("b"));
        map.insert(1, "a");
        map.remove_if(&1, |value| *value == "a");
        assert!(map.get(&1).is_none() && map.is_empty());
    }
}
