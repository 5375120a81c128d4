//! The public keys that were parsed lately. Finding the point of a compressed key takes a seventh
//! of a verification, and those who pay pay again.
//!
//! What is remembered changes no verdict: it is what the library makes of the very bytes it is
//! looked up by, and keys that are no points are not remembered.

use super::{KeyError, PublicKey, algorithm};
use aws_lc_rs::signature::ParsedPublicKey;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// How many parts there are, so that threads seldom wait for each other.
const PARTS: usize = 16;

/// How many keys a part takes before it forgets those it took before them, so that all parts
/// together hold 16,384 at most.
const GENERATION: usize = 512;

static PARSED: [Mutex<Part>; PARTS] = [const { Mutex::new(Part::new()) }; PARTS];

/// Some keys, the later ones apart from the earlier ones.
struct Part {
    later: BTreeMap<PublicKey, Arc<ParsedPublicKey>>,
    earlier: BTreeMap<PublicKey, Arc<ParsedPublicKey>>,
}

/// What the library makes of a key.
///
/// # Errors
/// When it is no point of its curve.
pub(super) fn remembered(key: &PublicKey) -> Result<Arc<ParsedPublicKey>, KeyError> {
    // The last byte is as good as random where keys are.
    let last = key.as_bytes().last().copied().unwrap_or_default();
    let part = &PARSED[usize::from(last) % PARTS];
    let lock = || part.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(parsed) = lock().get(key) {
        return Ok(parsed);
    }
    let parsed = Arc::new(parse(key)?);
    lock().put(key.clone(), parsed.clone());
    Ok(parsed)
}

/// The same, not remembered.
pub(super) fn parse(key: &PublicKey) -> Result<ParsedPublicKey, KeyError> {
    let curve = key.curve();
    // The library takes more encodings of a key than one, so that only the type's promise, a
    // compressed key of its curve's length, makes this strict.
    ParsedPublicKey::new(algorithm(curve), key.as_bytes())
        .map_err(|_| KeyError::PublicKeyPoint(curve))
}

impl Part {
    const fn new() -> Self {
        Self {
            later: BTreeMap::new(),
            earlier: BTreeMap::new(),
        }
    }

    fn get(&mut self, key: &PublicKey) -> Option<Arc<ParsedPublicKey>> {
        if let Some(parsed) = self.later.get(key) {
            return Some(parsed.clone());
        }
        // One that is asked for again outlives its generation.
        let parsed = self.earlier.remove(key)?;
        self.put(key.clone(), parsed.clone());
        Some(parsed)
    }

    fn put(&mut self, key: PublicKey, parsed: Arc<ParsedPublicKey>) {
        if self.later.len() >= GENERATION {
            self.earlier = std::mem::take(&mut self.later);
        }
        self.later.insert(key, parsed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Curve, SecretKey};

    fn key(number: u64) -> PublicKey {
        let secret = [[1; 24].as_slice(), &number.to_be_bytes()].concat();
        let secret = SecretKey::from_bytes(Curve::P256, &secret);
        secret.unwrap().public_key()
    }

    #[test]
    fn a_part_holds_at_most_two_generations_and_keeps_what_is_asked_for() {
        let mut part = Part::new();
        let parsed = Arc::new(parse(&key(0)).unwrap());
        let often = key(0);
        part.put(often.clone(), parsed.clone());
        for number in 1..=3 * GENERATION as u64 {
            // What is held does not matter here, and parsing takes its time.
            part.put(key(number), parsed.clone());
            assert!(part.get(&often).is_some());
            assert!(part.later.len() <= GENERATION && part.earlier.len() <= GENERATION);
        }
        assert!(part.get(&key(1)).is_none());
    }

    #[test]
    fn what_is_remembered_is_of_the_key_itself_and_only_points_are() {
        for number in 0..50 {
            let key = key(number);
            for _ in 0..2 {
                assert_eq!(remembered(&key).unwrap().as_ref().as_ref(), key.as_bytes());
            }
        }
        let nowhere = PublicKey::from_bytes(&[[2].as_slice(), &[0xff; 32]].concat()).unwrap();
        for _ in 0..2 {
            let refused = remembered(&nowhere).map(|_| ());
            assert_eq!(refused, Err(KeyError::PublicKeyPoint(Curve::P256)));
        }
    }
}
