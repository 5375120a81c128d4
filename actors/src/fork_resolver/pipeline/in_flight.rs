//! Batches of an extension that the chain manager has been given and not answered yet: one is
//! written and synced while the next is judged. They are answered in order.

use super::super::{error::SessionError, upcoming::Upcoming};
use futures::future::LocalBoxFuture;
use mvb_protocol::{hash::BlockId, numbers::Height};
use std::collections::VecDeque;

/// The most of them. A third would only wait, and its bodies take memory.
const MOST: usize = 2;

/// What became of a batch.
type Outcome = Result<bool, SessionError>;

/// The batches, the lowest first.
#[derive(Default)]
pub(super) struct InFlight<'f> {
    batches: VecDeque<Batch<'f>>,
}

struct Batch<'f> {
    /// The height of its last block.
    last: Height,
    outcome: LocalBoxFuture<'f, Outcome>,
}

impl<'f> InFlight<'f> {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.batches.len() < MOST
    }

    /// Adds a batch that follows on all others.
    pub(super) fn push(&mut self, last: Height, outcome: LocalBoxFuture<'f, Outcome>) {
        self.batches.push_back(Batch { last, outcome });
    }

    /// What of a branch comes after these batches, and how many of its blocks come before.
    pub(super) fn rest_of<'u>(
        &self,
        upcoming: &'u Upcoming,
    ) -> (
        usize,
        impl Iterator<Item = (Height, BlockId)> + Clone + use<'u>,
    ) {
        let handed_on = match (self.batches.back(), upcoming.iter().next()) {
            (Some(batch), Some((first, _))) => (batch.last.0 + 1).saturating_sub(first.0),
            _ => 0,
        };
        let skipped = usize::try_from(handed_on).unwrap_or(usize::MAX);
        (skipped, upcoming.iter().skip(skipped))
    }

    /// Waits for the outcome of the lowest batch; `None` without any. It may be given up and
    /// waited for again.
    pub(super) async fn next(&mut self) -> Option<Outcome> {
        let outcome = (&mut self.batches.front_mut()?.outcome).await;
        self.batches.pop_front();
        Some(outcome)
    }
}
