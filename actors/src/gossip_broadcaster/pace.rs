//! When announcements may go out. Plain structs that decide; the broadcaster sends.

use mvb_protocol::transaction::{Transaction, Verified};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The least time between two statuses: at most 10 in a second.
pub const STATUS_GAP: Duration = Duration::from_millis(100);

/// The most returned payments that wait to be announced; beyond it the newest are not.
const MAX_RETURNED: usize = 100_000;

/// What to do with a wish to send a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Send it.
    Now,
    /// Ask again at this moment.
    At(Instant),
    /// It is being seen to: a later moment was given out before, or one is being sent.
    Pending,
}

/// The pace of statuses. Wishes that come too early are gathered into one, which goes out
/// at the next moment allowed, so that the newest tip always does.
#[derive(Debug, Default)]
pub struct StatusPace {
    next: Option<Instant>,
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// A moment was given out.
    Waiting,
    /// A status is being sent.
    Sending {
        /// Another one is wished for.
        again: bool,
    },
}

impl StatusPace {
    /// A status is wished for. After [`Release::Now`], [`Self::sent`] must follow; after
    /// [`Release::At`], [`Self::due`].
    pub fn request(&mut self, now: Instant) -> Release {
        match (&mut self.state, self.next) {
            (State::Sending { again }, _) => {
                *again = true;
                Release::Pending
            }
            (State::Waiting, _) => Release::Pending,
            (State::Idle, Some(next)) if now < next => {
                self.state = State::Waiting;
                Release::At(next)
            }
            (State::Idle, _) => {
                self.state = State::Sending { again: false };
                self.next = Some(now + STATUS_GAP);
                Release::Now
            }
        }
    }

    /// The moment that was given out has come.
    pub fn due(&mut self) {
        if self.state == State::Waiting {
            self.state = State::Idle;
        }
    }

    /// A status was sent, or failed. Whether another is wished for.
    pub fn sent(&mut self) -> bool {
        std::mem::take(&mut self.state) == (State::Sending { again: true })
    }
}

/// Payments that wait to be announced: this home's own, and those a reorg returned.
#[derive(Debug, Default)]
pub struct PaymentQueue {
    own: VecDeque<Arc<Transaction>>,
    returned: VecDeque<Arc<Verified<Transaction>>>,
}

impl PaymentQueue {
    /// Whether some of this home's payments still wait.
    pub fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// Sets this home's payments.
    pub fn set_own(&mut self, payments: Vec<Arc<Transaction>>) {
        self.own = payments.into();
    }

    /// Adds payments that a reorg returned.
    pub fn push_returned(&mut self, payments: Vec<Arc<Verified<Transaction>>>) {
        let room = MAX_RETURNED.saturating_sub(self.returned.len());
        self.returned.extend(payments.into_iter().take(room));
    }

    /// Takes the next `count` payments: half of them this home's own, half returned ones,
    /// and more of either where the other has fewer.
    pub fn next(
        &mut self,
        count: usize,
    ) -> (Vec<Arc<Transaction>>, Vec<Arc<Verified<Transaction>>>) {
        let returned = self.returned.len().min(count / 2);
        let own = self.own.len().min(count - returned);
        let returned = self.returned.len().min(count - own);
        (
            self.own.drain(..own).collect(),
            self.returned.drain(..returned).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wishes_that_come_too_early_become_one_at_the_next_moment() {
        let mut pace = StatusPace::default();
        let start = Instant::now();
        assert_eq!(pace.request(start), Release::Now);
        assert!(!pace.sent());
        let soon = start + STATUS_GAP / 2;
        assert_eq!(pace.request(soon), Release::At(start + STATUS_GAP));
        assert_eq!(pace.request(soon), Release::Pending);
        pace.due();
        assert_eq!(pace.request(start + STATUS_GAP), Release::Now);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_during_sending_is_not_lost() {
        let mut pace = StatusPace::default();
        let start = Instant::now();
        assert_eq!(pace.request(start), Release::Now);
        assert_eq!(pace.request(start + 3 * STATUS_GAP), Release::Pending);
        assert!(pace.sent());
        assert_eq!(pace.request(start + 3 * STATUS_GAP), Release::Now);
        assert!(!pace.sent());
    }
}
