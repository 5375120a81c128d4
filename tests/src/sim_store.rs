//! What a simulated machine keeps over a crash: its chain store with a journal of what the
//! store acknowledged, and the outbox of its wallet. The checks read the journal; the node
//! knows nothing of it.

use crate::sim_env::{Power, Trace};
use mvb_actors::env::Outbox;
use mvb_protocol::{
    chain::{ChainSnapshot, ChainStore, ChangeSet, StoreError, Tip},
    hash::{BlockId, TxId},
    mutants,
    transaction::Transaction,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Everything a machine's store has acknowledged since the machine was made.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// The tips in the order of their commits.
    pub tips: Vec<Tip>,
    /// Every block that joined the active chain at some time.
    pub blocks: Vec<BlockId>,
    /// The payments of blocks that left the active chain.
    pub disconnected: Vec<TxId>,
    /// The first commit that did not improve the tip, in words.
    pub worsened: Option<String>,
    /// How many commits disconnected blocks, and how many blocks the deepest did.
    pub reorgs: u64,
    /// The most blocks that one commit disconnected.
    pub deepest_reorg: usize,
}

/// A journal shared by a machine's boots and the checks.
#[derive(Clone, Debug, Default)]
pub struct SharedJournal(Arc<Mutex<Journal>>);

impl SharedJournal {
    /// The journal, for as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, Journal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One boot's way to its machine's store. Without power it fails and nothing reaches the
/// disk.
pub struct SimStore {
    machine: usize,
    power: Power,
    disk: Arc<dyn ChainStore>,
    journal: SharedJournal,
    trace: Trace,
}

impl SimStore {
    /// The store of one boot over a machine's disk.
    pub fn new(
        machine: usize,
        power: Power,
        disk: Arc<dyn ChainStore>,
        journal: SharedJournal,
        trace: Trace,
    ) -> Self {
        Self {
            machine,
            power,
            disk,
            journal,
            trace,
        }
    }

    fn powered(&self) -> Result<(), StoreError> {
        if self.power.is_on() {
            return Ok(());
        }
        Err(StoreError::Io {
            reason: "the power is cut".to_owned(),
        })
    }
}

impl ChainStore for SimStore {
    fn snapshot(&self) -> Result<Box<dyn ChainSnapshot + Send + '_>, StoreError> {
        self.powered()?;
        self.disk.snapshot()
    }

    fn commit(&self, changes: &ChangeSet) -> Result<(), StoreError> {
        self.powered()?;
        let done = self.disk.commit(changes);
        let result = match &done {
            Ok(()) => "committed".to_owned(),
            Err(error) => error.to_string(),
        };
        let event = format!(
            "tip {:.8} at {}, {} disconnected: {result}",
            changes.tip.id,
            changes.tip.height,
            changes.disconnect.len()
        );
        self.trace.note(None, self.machine, &event);
        if done.is_ok() {
            self.journal.lock().record(changes);
        }
        done
    }
}

impl Journal {
    fn record(&mut self, changes: &ChangeSet) {
        let improves = mutants::without(|| changes.tip.is_better_than(&changes.previous));
        if !improves && self.worsened.is_none() {
            self.worsened = Some(format!("{:?} after {:?}", changes.tip, changes.previous));
        }
        self.tips.push(changes.tip);
        self.blocks
            .extend(changes.connect.iter().map(|block| block.id));
        self.disconnected.extend(
            changes
                .disconnect
                .iter()
                .flat_map(|block| &*block.transaction_ids),
        );
        self.reorgs += u64::from(!changes.disconnect.is_empty());
        self.deepest_reorg = self.deepest_reorg.max(changes.disconnect.len());
    }
}

/// A wallet's unsettled payments. They survive crashes: a wallet writes a payment down
/// before it tells anybody.
#[derive(Clone, Debug, Default)]
pub struct SimOutbox(Arc<Mutex<Vec<Arc<Transaction>>>>);

impl SimOutbox {
    /// Writes a payment down.
    pub fn push(&self, payment: Arc<Transaction>) {
        self.lock().push(payment);
    }

    /// Forgets all payments, as when their wallet's process has ended.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// All payments, the oldest first.
    pub fn payments(&self) -> Vec<Arc<Transaction>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Transaction>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox for SimOutbox {
    fn unsettled(&self) -> Result<Vec<Arc<Transaction>>, StoreError> {
        Ok(self.payments())
    }
}
