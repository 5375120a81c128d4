//! The records of the outbox and their keys. The first byte of a key names its kind:
//!
//! | key | value |
//! |---|---|
//! | `p` ‖ number u64 | the payment, as on the wire |
//! | `i` ‖ id 32 | its number |
//! | `s` ‖ sender 32 ‖ sequence u64 ‖ number u64 | nothing |
//! | `u` ‖ number u64 | nothing; it is there while the payment is unsettled |
//! | `c` ‖ id 32 | the block it was seen in last |
//! | `t` ‖ sender 32 ‖ sequence u64 | since which height a payment not of this home has the sequence |

use super::{
    OutboxError, SETTLED_DEPTH, SavedPayment, Seen,
    tables::{ReadTables, WriteTables},
};
use mvb_protocol::{
    address::Address,
    chain::ChainSnapshot,
    codec,
    hash::{HASH_BYTES, TxId},
    numbers::{Height, Sequence},
    transaction::Transaction,
};
use std::{collections::BTreeMap, sync::Arc};

/// Bytes of a key with a number, and of one with a sender and a sequence.
const NUMBERED: usize = 1 + 8;
const OF_SEQUENCE: usize = 1 + HASH_BYTES + 8;

/// What an observation of the chain changes.
#[derive(Default)]
pub(super) struct Changes {
    seen: Vec<(TxId, Seen)>,
    taken: Vec<(Address, Sequence, Height)>,
    settled: Vec<u64>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.taken.is_empty() && self.settled.is_empty()
    }
}

/// Appends a payment under the next number.
pub(super) fn append(
    tables: &mut dyn WriteTables,
    transaction: Transaction,
) -> Result<SavedPayment, OutboxError> {
    let id = transaction.id();
    if let Some(saved) = get(tables, &id)? {
        return Ok(saved);
    }
    let number = match tables.last(b"p")? {
        Some((key, _)) => number_of_key(&key, NUMBERED)?
            .checked_add(1)
            .ok_or_else(|| damaged("the last payment's number".to_owned()))?,
        None => 0,
    };
    tables.put(&numbered(b'p', number), &codec::encode(&transaction))?;
    tables.put(&of_id(b'i', &id), &number.to_be_bytes())?;
    let mut slot = of_sequence(b's', &transaction.from(), transaction.sequence);
    slot.extend_from_slice(&number.to_be_bytes());
    tables.put(&slot, &[])?;
    tables.put(&numbered(b'u', number), &[])?;
    Ok(SavedPayment {
        number,
        id,
        transaction: Arc::new(transaction),
        seen: None,
    })
}

/// The greatest sequence any saved payment of a sender has.
pub(super) fn last_sequence(
    tables: &dyn ReadTables,
    sender: &Address,
) -> Result<Option<Sequence>, OutboxError> {
    let mut prefix = vec![b's'];
    prefix.extend_from_slice(&sender.0);
    let Some((key, _)) = tables.last(&prefix)? else {
        return Ok(None);
    };
    number_of_key(&key, OF_SEQUENCE + 8)?;
    let sequence = key.get(33..41).and_then(|bytes| bytes.try_into().ok());
    sequence
        .map(|bytes| Some(Sequence(u64::from_be_bytes(bytes))))
        .ok_or_else(|| damaged(format!("last sequence of {sender}")))
}

/// A payment by its id.
pub(super) fn get(tables: &dyn ReadTables, id: &TxId) -> Result<Option<SavedPayment>, OutboxError> {
    match tables.get(&of_id(b'i', id))? {
        Some(number) => load(tables, number_of(&number)?)
            .and_then(|saved| told_by(saved, |saved| saved.id == *id))
            .map(Some),
        None => Ok(None),
    }
}

/// A payment that is what a key said of it. One that is another's would be shown, replaced
/// or announced in its place.
fn told_by(
    saved: SavedPayment,
    is_told: impl FnOnce(&SavedPayment) -> bool,
) -> Result<SavedPayment, OutboxError> {
    if is_told(&saved) {
        return Ok(saved);
    }
    Err(damaged(format!(
        "the key of payment number {}",
        saved.number
    )))
}

/// Every payment with a sequence of a sender.
pub(super) fn with_sequence(
    tables: &dyn ReadTables,
    sender: &Address,
    sequence: Sequence,
) -> Result<Vec<SavedPayment>, OutboxError> {
    tables
        .all(&of_sequence(b's', sender, sequence))?
        .iter()
        .map(|(key, _)| {
            let saved = load(tables, number_of_key(key, OF_SEQUENCE + 8)?)?;
            told_by(saved, |saved| slot_of(saved) == (*sender, sequence))
        })
        .collect()
}

/// Every unsettled payment.
pub(super) fn unsettled(tables: &dyn ReadTables) -> Result<Vec<SavedPayment>, OutboxError> {
    tables
        .all(b"u")?
        .iter()
        .map(|(key, _)| load(tables, number_of_key(key, NUMBERED)?))
        .collect()
}

/// Of payments with the same sender and sequence the newest, in the order in which they
/// were made.
pub(in crate::wallet) fn current(saved: &[SavedPayment]) -> impl Iterator<Item = &SavedPayment> {
    let newest: BTreeMap<(Address, Sequence), u64> = saved
        .iter()
        .map(|payment| (slot_of(payment), payment.number))
        .collect();
    saved
        .iter()
        .filter(move |payment| newest.get(&slot_of(payment)) == Some(&payment.number))
}

fn slot_of(payment: &SavedPayment) -> (Address, Sequence) {
    (payment.transaction.from(), payment.transaction.sequence)
}

/// What the chain says that is not written down yet.
pub(super) fn observed(
    tables: &dyn ReadTables,
    chain: &dyn ChainSnapshot,
) -> Result<Changes, OutboxError> {
    let tip = chain.tip()?.height;
    let mut changes = Changes::default();
    for payment in unsettled(tables)? {
        let (sender, sequence) = (payment.transaction.from(), payment.transaction.sequence);
        if let Some(location) = chain.transaction(&payment.id)? {
            let block = chain
                .active_id(location.height)?
                .ok_or_else(|| damaged(format!("block {} of the chain", location.height)))?;
            let seen = Seen {
                height: location.height,
                block,
            };
            if payment.seen != Some(seen) {
                changes.seen.push((payment.id, seen));
            }
            if is_settled(location.height, tip) {
                changes.settled.push(payment.number);
            }
        } else if chain.account(&sender)?.sequence > sequence {
            match taken_since(tables, chain, &sender, sequence)? {
                Some(since) if is_settled(since, tip) => changes.settled.push(payment.number),
                Some(_) => {}
                None => changes.taken.push((sender, sequence, tip)),
            }
        }
    }
    Ok(changes)
}

/// Since which height another payment has had a sequence: where that payment stands, or the
/// tip at which it was noticed first if this home did not make it.
fn taken_since(
    tables: &dyn ReadTables,
    chain: &dyn ChainSnapshot,
    sender: &Address,
    sequence: Sequence,
) -> Result<Option<Height>, OutboxError> {
    for other in with_sequence(tables, sender, sequence)? {
        if let Some(location) = chain.transaction(&other.id)? {
            return Ok(Some(location.height));
        }
    }
    match tables.get(&of_sequence(b't', sender, sequence))? {
        Some(height) => number_of(&height).map(|height| Some(Height(height))),
        None => Ok(None),
    }
}

/// Writes an observation down.
pub(super) fn apply(tables: &mut dyn WriteTables, changes: &Changes) -> Result<(), OutboxError> {
    for (id, seen) in &changes.seen {
        tables.put(&of_id(b'c', id), &codec::encode(seen))?;
    }
    for (sender, sequence, height) in &changes.taken {
        tables.put(&of_sequence(b't', sender, *sequence), &height.to_be_bytes())?;
    }
    for number in &changes.settled {
        tables.delete(&numbered(b'u', *number))?;
    }
    Ok(())
}

fn is_settled(height: Height, tip: Height) -> bool {
    tip.0.saturating_add(1).saturating_sub(height.0) >= SETTLED_DEPTH
}

fn load(tables: &dyn ReadTables, number: u64) -> Result<SavedPayment, OutboxError> {
    let name = || damaged(format!("payment number {number}"));
    let bytes = tables.get(&numbered(b'p', number))?.ok_or_else(name)?;
    let transaction: Transaction = codec::decode(&bytes).map_err(|_| name())?;
    let id = transaction.id();
    let seen = match tables.get(&of_id(b'c', &id))? {
        Some(bytes) => Some(codec::decode(&bytes).map_err(|_| name())?),
        None => None,
    };
    Ok(SavedPayment {
        number,
        id,
        transaction: Arc::new(transaction),
        seen,
    })
}

fn numbered(kind: u8, number: u64) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn of_id(kind: u8, id: &TxId) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&id.0);
    key
}

fn of_sequence(kind: u8, sender: &Address, sequence: Sequence) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&sender.0);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// The number at the end of a key of so many bytes.
fn number_of_key(key: &[u8], bytes: usize) -> Result<u64, OutboxError> {
    match key.last_chunk() {
        Some(number) if key.len() == bytes => Ok(u64::from_be_bytes(*number)),
        _ => Err(damaged("a key of another length".to_owned())),
    }
}

/// The number that is a whole value.
fn number_of(value: &[u8]) -> Result<u64, OutboxError> {
    number_of_key(value, 8)
}

fn damaged(what: String) -> OutboxError {
    OutboxError::Damaged { what }
}
