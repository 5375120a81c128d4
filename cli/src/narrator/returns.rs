//! What reorgs did to this home's payments: remembers those that were seen on the chain and
//! tells of each that left it, came back, moved or lost its place. It reads no chain;
//! `commands/wallet/sync.rs` looks the payments up.

use super::Event;
use mvb_node::wallet::{OwnPayment, Standing};
use mvb_protocol::{chain::HistoryKind, hash::TxId, numbers::Height};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// A payment this deep is not asked for any more: the home counts it as settled too.
const SETTLED: u64 = 100;

/// The most payments that are remembered. Beyond them the deepest are forgotten.
const MOST: usize = 1_000;

/// The payments to watch, and where each stood last.
#[derive(Default)]
pub struct Returns {
    known: BTreeMap<TxId, (OwnPayment, Standing)>,
}

/// What a reorg did to a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Its block left the chain; it waits again.
    Returned,
    /// It is on the chain again.
    ConfirmedAgain,
    /// It stands in a block of another height.
    Moved,
    /// Another payment with its sequence took its place.
    Superseded,
}

/// A payment that a reorg touched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PaymentEvent {
    id: String,
    change: Change,
    key: String,
    amount: String,
    /// The height of its block now.
    height: Option<u64>,
    /// The height of its block before.
    was: Option<u64>,
    #[serde(skip)]
    kind: HistoryKind,
}

impl Returns {
    /// The payments that are remembered, to be looked up.
    pub fn known(&self) -> impl Iterator<Item = &OwnPayment> {
        self.known.values().map(|(payment, _)| payment)
    }

    /// Takes in where payments stand now, and returns what is worth telling. A payment not
    /// known before is remembered in silence.
    pub fn observe(&mut self, now: Vec<(OwnPayment, Standing)>, tip: Height) -> Vec<Event> {
        let mut events = Vec::new();
        for (payment, standing) in now {
            let before = self.known.get(&payment.id).map(|(_, before)| *before);
            events.extend(before.and_then(|before| told(&payment, before, standing)));
            self.known.insert(payment.id, (payment, standing));
        }
        let is_settled = |height: Height| tip.0.saturating_sub(height.0) >= SETTLED;
        self.known.retain(
            |_, (_, standing)| !matches!(standing, Standing::Confirmed(at) if is_settled(*at)),
        );
        while self.known.len() > MOST {
            let deepest = self
                .known
                .iter()
                .min_by_key(|(_, (_, standing))| match standing {
                    Standing::Confirmed(height) => *height,
                    Standing::Waiting | Standing::Superseded => Height(u64::MAX),
                });
            match deepest.map(|(id, _)| *id) {
                Some(id) => self.known.remove(&id),
                None => break,
            };
        }
        events
    }
}

fn told(payment: &OwnPayment, before: Standing, now: Standing) -> Option<Event> {
    use Standing::{Confirmed, Superseded, Waiting};
    let (change, height, was) = match (before, now) {
        (Confirmed(was), Waiting) => (Change::Returned, None, Some(was)),
        (Confirmed(was), Confirmed(now)) if was != now => (Change::Moved, Some(now), Some(was)),
        (Waiting | Superseded, Confirmed(now)) => (Change::ConfirmedAgain, Some(now), None),
        (Confirmed(was), Superseded) => (Change::Superseded, None, Some(was)),
        (Waiting, Superseded) => (Change::Superseded, None, None),
        (Superseded, Waiting) => (Change::Returned, None, None),
        (Confirmed(_), Confirmed(_)) | (Waiting, Waiting) | (Superseded, Superseded) => {
            return None;
        }
    };
    Some(Event::Payment(PaymentEvent {
        id: payment.id.to_string(),
        change,
        key: payment.key.to_string(),
        amount: payment.amount.to_string(),
        height: height.map(|height| height.0),
        was: was.map(|height| height.0),
        kind: payment.kind,
    }))
}

impl fmt::Display for PaymentEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id, key, amount, ..
        } = self;
        let way = match self.kind {
            HistoryKind::Received => "to",
            _ => "from",
        };
        write!(f, "reorg: payment {id:.8} of {amount} {way} {key} ")?;
        match (self.change, self.was, self.height) {
            (Change::Returned, Some(was), _) => write!(
                f,
                "waits again, as its block {was} is not on the better branch"
            ),
            (Change::Returned, None, _) => write!(f, "waits again"),
            (Change::ConfirmedAgain, _, Some(height)) => {
                write!(f, "is confirmed again, in block {height}")
            }
            (Change::Moved, Some(was), Some(height)) => {
                write!(f, "stands in block {height} now instead of {was}")
            }
            (Change::Superseded, ..) => write!(
                f,
                "lost its place to another payment of its sender, which is on the better branch"
            ),
            (Change::ConfirmedAgain | Change::Moved, ..) => write!(f, "is on the chain"),
        }
    }
}

#[cfg(test)]
mod tests;
