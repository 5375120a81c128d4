//! The payments made on this home and one network, signed bytes only, kept for ever. The
//! wallet appends, whatever else runs on the home; resident processes announce what is
//! not settled, that is not 100 blocks deep.
//!
//! A payment is written before anybody hears of it. Its sequence is chosen and the payment
//! appended in one write transaction, so that two processes that send at once reserve two
//! sequences. Nothing here signs; a payment is replaced by appending another with its
//! sequence.

mod records;
mod tables;

use mvb_actors::env;
use mvb_protocol::{
    address::Address,
    chain::{ChainSnapshot, StoreError},
    hash::{BlockId, TxId},
    numbers::{Height, Sequence},
    transaction::Transaction,
};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tables::Backend;

/// How deep a payment must be on the active chain to be settled.
pub const SETTLED_DEPTH: u64 = 100;

/// The saved payments of a home on one network. Handles to one folder share it inside a
/// process and between processes.
pub struct Outbox {
    backend: Backend,
}

/// A saved payment and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedPayment {
    /// Its place among all payments of this home, the oldest first.
    pub number: u64,
    /// Its id.
    pub id: TxId,
    /// The payment.
    pub transaction: Arc<Transaction>,
    /// Where it was seen on the active chain last.
    pub seen: Option<Seen>,
}

/// A block in which a payment was seen while the block was on the active chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The block's height.
    pub height: Height,
    /// The block.
    pub block: BlockId,
}

/// Why the outbox cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// The folder or the database failed.
    #[error("saved payments in {}: {reason}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The stored bytes make no sense.
    #[error(
        "saved payments are damaged: {what}; move outbox out of the home to go on without them, keys and the chain are kept"
    )]
    Damaged {
        /// Which record.
        what: String,
    },
    /// The sender has used every sequence there is.
    #[error("no sequence is left for {sender}")]
    NoSequence {
        /// The sender.
        sender: Address,
    },
    /// The chain cannot be read.
    #[error(transparent)]
    Chain(#[from] StoreError),
}

/// What a new payment is made from, inside the transaction that appends it.
pub struct Reservation<'a> {
    /// The sequence it must carry.
    pub sequence: Sequence,
    /// Every unsettled payment of this home, the oldest first.
    pub unsettled: &'a [SavedPayment],
}

impl Outbox {
    /// Opens the outbox in a folder, and makes both where they do not exist.
    ///
    /// # Errors
    /// When the folder or the database fails.
    pub fn open(folder: &Path) -> Result<Self, OutboxError> {
        Ok(Self {
            backend: Backend::open(folder)?,
        })
    }

    /// The outbox in a folder, or `None` where none was ever made. Changes nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find(folder: &Path) -> Result<Option<Self>, OutboxError> {
        Ok(Backend::find(folder)?.map(|backend| Self { backend }))
    }

    /// An outbox that is gone with its process, for tests and simulations.
    pub fn in_memory() -> Self {
        Self {
            backend: Backend::in_memory(),
        }
    }

    /// An outbox that holds these records, whatever they are.
    #[cfg(feature = "fuzzing")]
    pub fn of_records(
        records: impl IntoIterator<Item = tables::Entry>,
    ) -> Result<Self, OutboxError> {
        let outbox = Self::in_memory();
        outbox.backend.write(|tables| {
            for (key, value) in records {
                tables.put(&key, &value)?;
            }
            Ok::<(), OutboxError>(())
        })?;
        Ok(outbox)
    }

    /// Every record.
    #[cfg(feature = "fuzzing")]
    pub fn records(&self) -> Result<Vec<tables::Entry>, OutboxError> {
        self.backend.read(|tables| tables.all(&[]))
    }

    /// Appends the sender's next payment. `next` gives the sender's sequence on the chain
    /// and `make` the payment, both called inside the write transaction; the sequence
    /// reserved is the greater of `next` and the one after the sender's last saved
    /// payment. When this returns, the payment is on the disk.
    ///
    /// # Errors
    /// Whatever `next` and `make` say, or that the outbox failed; then nothing is saved.
    pub fn append<E: From<OutboxError>>(
        &self,
        sender: &Address,
        next: impl FnOnce() -> Result<Sequence, E>,
        make: impl FnOnce(&Reservation<'_>) -> Result<Transaction, E>,
    ) -> Result<SavedPayment, E> {
        self.backend.write(|tables| {
            let mut sequence = next()?;
            if let Some(last) = records::last_sequence(tables, sender)? {
                let after = last
                    .next()
                    .ok_or(OutboxError::NoSequence { sender: *sender })?;
                sequence = sequence.max(after);
            }
            let unsettled = records::unsettled(tables)?;
            let transaction = make(&Reservation {
                sequence,
                unsettled: &unsettled,
            })?;
            Ok(records::append(tables, transaction)?)
        })
    }

    /// Appends a payment that takes the place of another: `make` is called inside the
    /// write transaction, and gives a payment of that one's sender and sequence.
    ///
    /// # Errors
    /// Whatever `make` says, or that the outbox failed; then nothing is saved.
    pub fn replace<E: From<OutboxError>>(
        &self,
        make: impl FnOnce(&[SavedPayment]) -> Result<Transaction, E>,
    ) -> Result<SavedPayment, E> {
        self.backend.write(|tables| {
            let transaction = make(&records::unsettled(tables)?)?;
            Ok(records::append(tables, transaction)?)
        })
    }

    /// A payment by its id, settled or not.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub fn get(&self, id: &TxId) -> Result<Option<SavedPayment>, OutboxError> {
        self.backend.read(|tables| records::get(tables, id))
    }

    /// Every payment with a sequence of a sender, the oldest first; several where one
    /// replaced another.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub fn with_sequence(
        &self,
        sender: &Address,
        sequence: Sequence,
    ) -> Result<Vec<SavedPayment>, OutboxError> {
        self.backend
            .read(|tables| records::with_sequence(tables, sender, sequence))
    }

    /// Every payment that is not settled, the oldest first, replaced ones included.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub fn unsettled(&self) -> Result<Vec<SavedPayment>, OutboxError> {
        self.backend.read(|tables| records::unsettled(tables))
    }

    /// Compares the unsettled payments with the chain: remembers in which blocks they are
    /// seen, so that an orphaned block can be told, and lets go of those that are settled.
    /// Writes only where something changed, so a resident process may call it every
    /// interval, on a worker thread.
    ///
    /// # Errors
    /// When the outbox or the chain fails.
    pub fn observe(&self, chain: &dyn ChainSnapshot) -> Result<(), OutboxError> {
        let changes = self
            .backend
            .read(|tables| records::observed(tables, chain))?;
        if changes.is_empty() {
            return Ok(());
        }
        self.backend
            .write(|tables| records::apply(tables, &changes))
    }
}

impl env::Outbox for Outbox {
    /// Of several payments with one sequence only the newest, which its owner wants.
    fn unsettled(&self) -> Result<Vec<Arc<Transaction>>, StoreError> {
        let saved = Outbox::unsettled(self).map_err(|error| StoreError::Io {
            reason: error.to_string(),
        })?;
        Ok(records::current(&saved)
            .map(|payment| payment.transaction.clone())
            .collect())
    }
}

pub(super) use records::current;

#[cfg(test)]
mod tests;
