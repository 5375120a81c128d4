//! What of a peer's branch, an extension of this chain, is still to come: a queue of ids that
//! follows this node's tip.

use mvb_protocol::{chain::Tip, hash::BlockId, numbers::Height};
use std::collections::{BTreeSet, VecDeque};

/// The ids of the blocks to come.
#[derive(Debug)]
pub struct Upcoming {
    /// The block before the first of them.
    base: BlockId,
    first: Height,
    ids: VecDeque<BlockId>,
    /// Those whose blocks are in the store, from a branch this node left.
    stored: BTreeSet<BlockId>,
    /// Whether the peer has no more.
    pub is_complete: bool,
    /// Whether nothing more is to be done with it.
    pub is_over: bool,
}

/// Where this node's chain stands on a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// On it, or right before it.
    On,
    /// Above its end.
    Beyond,
    /// Elsewhere.
    Off,
}

impl Upcoming {
    /// Nothing yet, after a block.
    pub fn after(base: Tip) -> Self {
        Self {
            base: base.id,
            first: Height(base.height.0.saturating_add(1)),
            ids: VecDeque::new(),
            stored: BTreeSet::new(),
            is_complete: false,
            is_over: false,
        }
    }

    /// Adds the next ids, with those that are stored.
    pub fn extend(&mut self, ids: Vec<BlockId>, stored: Vec<BlockId>) {
        self.ids.extend(ids);
        self.stored.extend(stored);
    }

    /// How many are to be adopted.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether all of it was adopted.
    pub fn is_done(&self) -> bool {
        self.ids.is_empty() && self.is_complete
    }

    /// Whether the next one's block is in the store.
    pub fn is_next_stored(&self) -> bool {
        self.ids.front().is_some_and(|id| self.stored.contains(id))
    }

    /// Drops what has been adopted.
    pub fn advance(&mut self, tip: Tip) -> Position {
        let next = Height(tip.height.0.saturating_add(1));
        let Some(adopted) = next.0.checked_sub(self.first.0) else {
            return Position::Off;
        };
        let adopted = usize::try_from(adopted).unwrap_or(usize::MAX);
        if adopted > self.ids.len() {
            return Position::Beyond;
        }
        let last = match adopted.checked_sub(1) {
            Some(at) => self.ids[at],
            None => self.base,
        };
        if last != tip.id {
            return Position::Off;
        }
        for id in self.ids.drain(..adopted) {
            self.stored.remove(&id);
        }
        self.base = last;
        self.first = next;
        Position::On
    }

    /// What is to be adopted, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Height, BlockId)> + Clone {
        let heights = (self.first.0..).map(Height);
        heights.zip(self.ids.iter().copied())
    }

    /// What of it is to be fetched.
    pub fn to_fetch(&self) -> Vec<(Height, BlockId)> {
        self.iter()
            .filter(|(_, id)| !self.stored.contains(id))
            .collect()
    }

    /// The next ones as long as they are stored, up to `most`.
    pub fn stored_run(&self, most: usize) -> Vec<BlockId> {
        let ids = self.ids.iter().copied();
        ids.take_while(|id| self.stored.contains(id))
            .take(most)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_protocol::target::Work;

    fn id(byte: u8) -> BlockId {
        BlockId([byte; 32])
    }

    fn tip(height: u8, id: BlockId) -> Tip {
        Tip {
            id,
            height: Height(u64::from(height)),
            work: Work::ZERO,
        }
    }

    /// Blocks 11 to 15, of which 11, 12 and 14 are stored.
    fn upcoming() -> Upcoming {
        let mut upcoming = Upcoming::after(tip(10, id(10)));
        upcoming.extend((11..=15).map(id).collect(), [11, 12, 14].map(id).to_vec());
        upcoming
    }

    fn at(heights: impl IntoIterator<Item = u8>) -> Vec<(Height, BlockId)> {
        let at = |height| (Height(u64::from(height)), id(height));
        heights.into_iter().map(at).collect()
    }

    #[test]
    fn what_was_adopted_is_dropped_and_the_rest_keeps_its_heights() {
        let mut upcoming = upcoming();
        for height in [10, 12, 14] {
            assert_eq!(upcoming.advance(tip(height, id(height))), Position::On);
            assert_eq!(upcoming.iter().collect::<Vec<_>>(), at(height + 1..=15));
        }
        assert_eq!(upcoming.len(), 1);
        assert_eq!(upcoming.advance(tip(15, id(15))), Position::On);
        assert!(!upcoming.is_done(), "more may come");
        upcoming.is_complete = true;
        assert!(upcoming.is_done());
    }

    #[test]
    fn a_tip_below_beside_or_beyond_it_drops_nothing() {
        let mut upcoming = upcoming();
        upcoming.is_complete = true;
        for (tip, position) in [
            (tip(9, id(9)), Position::Off),
            (tip(10, id(99)), Position::Off),
            (tip(12, id(99)), Position::Off),
            (tip(15, id(99)), Position::Off),
            (tip(16, id(16)), Position::Beyond),
        ] {
            assert_eq!(upcoming.advance(tip), position, "{tip:?}");
            assert_eq!(upcoming.len(), 5);
            assert!(!upcoming.is_done());
        }
    }

    #[test]
    fn what_is_stored_is_not_fetched() {
        let mut upcoming = upcoming();
        assert_eq!(upcoming.to_fetch(), at([13, 15]));
        assert!(upcoming.is_next_stored());
        assert_eq!(upcoming.stored_run(1), [id(11)]);
        assert_eq!(upcoming.stored_run(9), [id(11), id(12)]);
        upcoming.advance(tip(12, id(12)));
        assert!(!upcoming.is_next_stored() && upcoming.stored_run(9).is_empty());
        assert_eq!(upcoming.to_fetch(), at([13, 15]));
    }
}
