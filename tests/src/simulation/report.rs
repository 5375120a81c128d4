//! What comes out of a run: its figures, or the promise that it broke and how to see that
//! again.

use super::{Kind, peace::SETTLING};
use crate::checks::Violation;
use mvb_protocol::{
    chain::{StoreError, Tip},
    hash::TxId,
};
use std::{collections::BTreeMap, fmt, time::Duration};

/// What a run that held all promises did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The sort of faults it leant to.
    pub kind: &'static str,
    /// A hash over everything that happened, in order and with times.
    pub trace: String,
    /// How many events that were.
    pub events: u64,
    /// The height at the end.
    pub height: u64,
    /// Reorganisations on all machines.
    pub reorgs: u64,
    /// The most blocks that one of them took back.
    pub deepest_reorg: usize,
    /// How often each kind of fault struck.
    pub faults: BTreeMap<&'static str, u64>,
    /// Payments made.
    pub payments: usize,
    /// Of these, how many the final chain holds.
    pub confirmed: usize,
    /// From the healing of the network to one tip on all machines.
    pub healed_after: Duration,
    /// From there until every payment that can be paid was in a block.
    pub settled_after: Duration,
}

/// A promise that a run broke.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The profile that was asked for.
    pub kind: Kind,
    /// When, in simulated time.
    pub at: Duration,
    /// Which promise.
    pub broken: Broken,
}

/// The promises.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The simulator would not repeat by seed.
    #[error(
        "the simulator needs `--cfg tokio_unstable`, which .cargo/config.toml sets: unset RUSTFLAGS, which replaces it"
    )]
    NotSeeded,
    /// A program ended or panicked.
    #[error("{what}")]
    Ended {
        /// How.
        what: String,
    },
    /// A machine broke a rule that always holds.
    #[error("n{machine}: {violation}")]
    Unsafe {
        /// The machine.
        machine: usize,
        /// The rule.
        violation: Box<Violation>,
    },
    /// The machines did not agree in time.
    #[error("no agreement {after:?} after healing: {tips:?}")]
    Diverged {
        /// How long they had.
        after: Duration,
        /// Each machine's tip.
        tips: Vec<Tip>,
    },
    /// A machine does not work on what all agree on.
    #[error("n{machine} is not at work {after:?} after healing: {doing}")]
    Idle {
        /// How long it had.
        after: Duration,
        /// The machine.
        machine: usize,
        /// What it shows instead.
        doing: String,
    },
    /// Nobody finds a block though everything is there for one.
    #[error("no block within {SETTLING:?} after mining went on")]
    Barren,
    /// A machine shows a download that has long ended.
    #[error("n{machine} still shows a download, and all have the best chain")]
    Downloading {
        /// The machine.
        machine: usize,
    },
    /// A mempool holds payments that it calls ready, and no block ever takes them.
    #[error("{SETTLING:?} after mining went on n{machine} still calls {ready} payments ready")]
    Stuck {
        /// The machine.
        machine: usize,
        /// How many.
        ready: usize,
    },
    /// Payments that can be paid are in no block.
    #[error("{SETTLING:?} after mining went on {} payments still wait, the first {}", waiting.len(), waiting[0])]
    Unpaid {
        /// The payments.
        waiting: Vec<TxId>,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            kind,
            at,
            broken,
        } = self;
        writeln!(f, "seed {seed} failed after {at:?}: {broken}")?;
        write!(
            f,
            "  replay just it: cargo run -p mvb-tests --bin simulate -- --from {seed} --seeds 1 --profile {} --aloud",
            kind.name()
        )
    }
}

impl std::error::Error for Failure {}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        let what = error.to_string();
        Self::Ended { what }
    }
}
