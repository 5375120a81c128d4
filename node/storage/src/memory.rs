//! The in-memory twin of the LMDB store, for simulations and tests. Same schema, same
//! limits on keys, same all-or-nothing commits; its faults are switches.
//!
//! A store stands for a disk: a clone is the same disk, so a node that restarts is given a
//! clone and finds what was committed. It never forgets a commit it has acknowledged.

use crate::{
    chain, schema,
    tables::{Batch, MAX_KEY_BYTES, Plan, Read, Table, Tables, Visit},
    verify::{VerifyReport, verify},
};
use mvb_protocol::{
    chain::{ChainSnapshot, ChainStore, ChangeSet, StoreError},
    numbers::Height,
    params::ChainParams,
    validate::Parallel,
};
use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard},
};

/// How many names stay recent: few, so that they settle on the short chains of tests too.
const MOST_RECENT: u64 = 8;

/// A chain store that lives as long as its last clone.
#[derive(Clone)]
pub struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
    params: Arc<ChainParams>,
}

struct Disk {
    tables: Arc<Maps>,
    fault: Option<StoreError>,
}

/// A table's entries. Keys and values are shared, so that copying a table under a
/// snapshot copies pointers.
type Map = BTreeMap<Arc<[u8]>, Arc<[u8]>>;

#[derive(Clone, Default)]
struct Maps([Arc<Map>; Table::ALL.len()]);

impl MemoryStore {
    /// A new store of a chain without blocks.
    pub fn new(params: ChainParams) -> Self {
        let mut tables = Maps::default();
        tables
            .apply(&schema::genesis_records(&params))
            .expect("the schema's keys are within the limits");
        let disk = Disk {
            tables: Arc::new(tables),
            fault: None,
        };
        Self {
            disk: Arc::new(Mutex::new(disk)),
            params: Arc::new(params),
        }
    }

    /// The parameters of its chain.
    pub fn params(&self) -> &ChainParams {
        &self.params
    }

    /// Cuts or restores the power. While it is off every commit fails and changes nothing;
    /// snapshots, old and new, stay readable, because what a cut must not do is to lose or
    /// halve a commit, and the reader's own end is its host's business.
    pub fn set_power(&self, on: bool) {
        self.set_fault((!on).then(|| StoreError::Io {
            reason: "the power is off".to_owned(),
        }));
    }

    /// Makes every commit fail with this error and change nothing, until it is taken away.
    pub fn set_fault(&self, fault: Option<StoreError>) {
        self.disk().fault = fault;
    }

    /// Replays the chain from genesis: checks every rule again and compares accounts and
    /// indices with what follows. `progress` hears the height reached and the tip's.
    ///
    /// # Errors
    /// Only when the store cannot be read; what is wrong in it is part of the report.
    pub fn verify(
        &self,
        parallel: &dyn Parallel,
        progress: &mut dyn FnMut(Height, Height),
    ) -> Result<VerifyReport, StoreError> {
        verify(self, &self.params, parallel, progress)
    }

    /// How many tables it has.
    #[cfg(feature = "fuzzing")]
    pub const TABLES: usize = Table::ALL.len();

    /// Damages the store: sets or removes a record, by the number of its table.
    ///
    /// # Errors
    /// When the key is outside the limits.
    #[cfg(feature = "fuzzing")]
    pub fn scribble(
        &self,
        table: usize,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let table = Table::ALL[table % Table::ALL.len()];
        self.write(&|_| {
            let mut batch = Batch::default();
            match value {
                Some(value) => batch.put(table, key, value),
                None => batch.delete(table, key),
            }
            Ok(batch)
        })
    }

    /// Every record of a table, by the table's number.
    #[cfg(feature = "fuzzing")]
    pub fn records(&self, table: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let tables = self.disk().tables.clone();
        let records = tables.0[table % Table::ALL.len()].iter();
        records
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect()
    }

    /// A store of its own with the same records.
    #[cfg(feature = "fuzzing")]
    pub fn copy(&self) -> Self {
        let disk = Disk {
            tables: self.disk().tables.clone(),
            fault: None,
        };
        Self {
            disk: Arc::new(Mutex::new(disk)),
            params: self.params.clone(),
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // A batch is checked before it is applied, so a panic elsewhere leaves no half state.
        self.disk
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl ChainStore for MemoryStore {
    fn snapshot(&self) -> Result<Box<dyn ChainSnapshot + Send + '_>, StoreError> {
        chain::snapshot(self)
    }

    fn commit(&self, changes: &ChangeSet) -> Result<(), StoreError> {
        chain::commit(self, changes)
    }
}

impl Tables for MemoryStore {
    fn read(&self) -> Result<Box<dyn Read + Send + '_>, StoreError> {
        Ok(Box::new(self.disk().tables.clone()))
    }

    fn write(&self, plan: Plan<'_>) -> Result<(), StoreError> {
        let mut disk = self.disk();
        if let Some(fault) = &disk.fault {
            return Err(fault.clone());
        }
        let batch = plan(&disk.tables)?;
        Arc::make_mut(&mut disk.tables).apply(&batch)
    }

    fn most_recent(&self) -> u64 {
        MOST_RECENT
    }
}

impl Maps {
    /// Applies a batch, or nothing when a key is outside the limits.
    fn apply(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for (_, key, value) in batch.iter() {
            check_key(
                key,
                if value.is_some() {
                    MAX_KEY_BYTES
                } else {
                    usize::MAX
                },
            )?;
        }
        for (table, key, value) in batch.iter() {
            let map = Arc::make_mut(&mut self.0[table as usize]);
            match value {
                Some(value) => map.insert(key.into(), value.into()),
                None => map.remove(key),
            };
        }
        Ok(())
    }
}

impl Read for Arc<Maps> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        check_key(key, usize::MAX)?;
        Ok(self.0[table as usize].get(key).map(|value| &**value))
    }

    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let range = (Bound::Included(from), Bound::Unbounded);
        for (key, value) in self.0[table as usize].range::<[u8], _>(range) {
            if visit(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn entries(&self, table: Table) -> Result<u64, StoreError> {
        Ok(self.0[table as usize].len() as u64)
    }
}

/// LMDB refuses empty keys always, and long ones where something is to be stored; its twin
/// does the same.
fn check_key(key: &[u8], most: usize) -> Result<(), StoreError> {
    if (1..=most).contains(&key.len()) {
        return Ok(());
    }
    Err(StoreError::Io {
        reason: format!("key of {} bytes, expected 1 to {MAX_KEY_BYTES}", key.len()),
    })
}
