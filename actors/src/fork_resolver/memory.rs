//! The memory for bodies of side branches, which must be held until their branch is the
//! better chain. All sessions together may use a little; one at a time, whose headers have
//! proven a better chain, may use more, so that no long fork stays unresolved for ever.

use mvb_protocol::block::Block;
use std::{cell::Cell, rc::Rc};

/// What all sessions together may hold.
const SHARED_BYTES: usize = 64 << 20;

/// What one session at a time may hold beyond that.
const LARGE_BYTES: usize = 512 << 20;

/// What is in use.
#[derive(Debug, Default)]
pub struct Budget {
    shared: Cell<usize>,
    large: Cell<bool>,
}

/// One session's part; given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Rc<Budget>,
    bytes: usize,
    is_large: bool,
}

impl Share {
    /// A part of nothing yet.
    pub fn new(budget: Rc<Budget>) -> Self {
        Self {
            budget,
            bytes: 0,
            is_large: false,
        }
    }

    /// Asks for room for one more block.
    pub fn take(&mut self, block: &Block) -> bool {
        // A decoded payment takes about twice its bytes.
        self.take_bytes(512 + 2 * block.size())
    }

    fn take_bytes(&mut self, bytes: usize) -> bool {
        if self.is_large {
            self.bytes += bytes;
            return self.bytes <= LARGE_BYTES;
        }
        let shared = self.budget.shared.get();
        if shared + bytes <= SHARED_BYTES {
            self.budget.shared.set(shared + bytes);
            self.bytes += bytes;
            return true;
        }
        if self.budget.large.replace(true) {
            return false;
        }
        self.budget.shared.set(shared - self.bytes);
        self.is_large = true;
        self.take_bytes(bytes)
    }

    /// Gives everything back.
    pub fn release(&mut self) {
        if self.is_large {
            self.budget.large.set(false);
        } else {
            let shared = self.budget.shared.get();
            self.budget.shared.set(shared.saturating_sub(self.bytes));
        }
        self.bytes = 0;
        self.is_large = false;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestChain, easy_params};
    use mvb_protocol::params::MAX_BLOCK_BYTES_LIMIT;

    #[test]
    fn one_session_may_exceed_the_shared_budget_and_gives_it_back() {
        let budget = Rc::<Budget>::default();
        let [mut first, mut second] = [(); 2].map(|()| Share::new(budget.clone()));
        assert!(first.take_bytes(SHARED_BYTES));
        assert!(first.take_bytes(1), "the large place is free");
        assert!(
            second.take_bytes(SHARED_BYTES),
            "the shared budget is free again"
        );
        assert!(!second.take_bytes(1), "the large place is taken");
        assert!(!first.take_bytes(LARGE_BYTES));
        drop(first);
        assert!(second.take_bytes(1));
        drop(second);
        assert_eq!((budget.shared.get(), budget.large.get()), (0, false));
    }

    #[test]
    fn the_large_place_holds_what_it_says_and_no_byte_more() {
        let mut share = Share::new(Rc::default());
        for bytes in [SHARED_BYTES, 1, LARGE_BYTES - SHARED_BYTES - 1] {
            assert!(share.take_bytes(bytes));
        }
        assert!(!share.take_bytes(1));
    }

    #[test]
    fn a_block_counts_as_what_it_takes_decoded() {
        let budget = Rc::<Budget>::default();
        let chain = TestChain::new(&easy_params()).and(1, 1);
        let block = &chain.blocks[0];
        assert!(Share::new(budget.clone()).take(block));
        assert_eq!(budget.shared.get(), 0, "given back");
        let mut share = Share::new(budget.clone());
        assert!(share.take(block));
        assert_eq!(budget.shared.get(), 2 * block.size() + 512);
        share.take_bytes(SHARED_BYTES);
        share.take_bytes(LARGE_BYTES);
        assert!(!share.take(block));
    }

    #[test]
    fn some_blocks_of_the_largest_size_are_held_by_all_and_many_by_one() {
        let largest = 2 * MAX_BLOCK_BYTES_LIMIT as usize + 512;
        assert!(SHARED_BYTES / largest >= 3);
        assert!(LARGE_BYTES / largest >= 30);
    }
}
