//! The bodies at hand that wait for more before they are connected. Each is counted once, for
//! they are thousands, and looked at again whenever another has come.

use super::{super::bodies::Bodies, BATCH_BYTES, BATCH_TIME};
use mvb_protocol::{hash::BlockId, numbers::Height};
use tokio::time::Instant;

/// How much waits, and until when.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// The first of the bodies counted.
    first: Option<(Height, BlockId)>,
    /// How many there are without a gap.
    pub(super) blocks: usize,
    bytes: usize,
    /// When they will have waited long enough.
    pub(super) due: Option<Instant>,
}

impl Gathering {
    /// Counts what of the rest of a branch has come, from its first block on without a gap, up
    /// to what is enough.
    pub(super) fn count(
        &mut self,
        bodies: &Bodies,
        rest: impl Iterator<Item = (Height, BlockId)> + Clone,
    ) {
        let first = rest.clone().next();
        if first != self.first {
            *self = Self {
                first,
                due: self.due,
                ..Self::default()
            };
        }
        for key in rest.skip(self.blocks) {
            match bodies.bytes_of(&key) {
                Some(bytes) if self.bytes < BATCH_BYTES => {
                    self.blocks += 1;
                    self.bytes += bytes;
                }
                _ => break,
            }
        }
    }

    /// Whether they are to be connected now: because they are enough, the last, or have waited.
    pub(super) fn is_ready(&mut self, is_last: bool, now: Instant) -> bool {
        if self.blocks == 0 {
            self.due = None;
            return false;
        }
        let due = *self.due.get_or_insert(now + BATCH_TIME);
        is_last || self.bytes >= BATCH_BYTES || now >= due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fork_resolver::bodies::Body,
        testing::{TestChain, easy_params},
    };
    use std::net::SocketAddr;

    #[tokio::test(start_paused = true)]
    async fn bodies_are_counted_on_without_a_gap_and_from_the_first_that_is_left() {
        let now = Instant::now();
        let chain = TestChain::new(&easy_params()).and(4, 1);
        let rest: Vec<_> = (1..)
            .map(Height)
            .zip(chain.blocks.iter().map(|block| block.id()))
            .collect();
        let mut bodies = Bodies::new(now);
        let giver = bodies.giver(SocketAddr::from(([127, 0, 0, 1], 1)));
        let mut gathering = Gathering {
            due: Some(now),
            ..Gathering::default()
        };
        let mut counted = |bodies: &Bodies, from: usize| {
            gathering.count(bodies, rest[from..].iter().copied());
            assert_eq!(gathering.bytes > 0, gathering.blocks > 0);
            gathering.blocks
        };
        assert_eq!(counted(&bodies, 0), 0);
        for (here, blocks) in [(2, 0), (1, 2), (4, 2), (3, 4)] {
            let (height, id) = rest[here - 1];
            let block = chain.blocks[here - 1].clone().into();
            let giver = giver.clone();
            bodies.put(height, id, Body { block, giver });
            assert_eq!(counted(&bodies, 0), blocks, "with block {here}");
        }
        assert_eq!(counted(&bodies, 1), 3);
        // What was counted is not looked at again until the first is another.
        bodies.reached(Height(4));
        assert_eq!(counted(&bodies, 1), 3);
        assert_eq!(counted(&bodies, 2), 0);
        assert_eq!(gathering.due, Some(now));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_connected_when_it_is_enough_or_the_last_or_due() {
        let now = Instant::now();
        let mut gathering = Gathering::default();
        assert!(!gathering.is_ready(true, now), "nothing waits");
        assert_eq!(gathering.due, None);
        gathering.blocks = 1;
        assert!(!gathering.is_ready(false, now));
        let due = now + BATCH_TIME;
        assert_eq!(gathering.due, Some(due));
        assert!(gathering.is_ready(true, now));
        assert!(gathering.is_ready(false, due));
        gathering.bytes = BATCH_BYTES;
        assert!(gathering.is_ready(false, now));
        // Where a gap is left, what comes next waits for as long again.
        gathering.blocks = 0;
        assert!(!gathering.is_ready(false, due));
        assert_eq!(gathering.due, None);
    }
}
