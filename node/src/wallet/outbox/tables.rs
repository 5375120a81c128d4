//! The ordered table under the outbox: one LMDB environment, or a map in memory. The
//! records above it do not know which.

use super::OutboxError;
use heed::{RoTxn, RwTxn, WithoutTls};
use mvb_protocol::chain::StoreError;
use mvb_storage::{
    OpenError,
    environment::{Bucket, Environment, Presence, store_error},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// The name of the one table.
const PAYMENTS: &str = "payments";

/// A key and its value.
pub(super) type Entry = (Vec<u8>, Vec<u8>);

/// Look-ups at one moment.
pub(super) trait ReadTables {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, OutboxError>;

    /// Every entry whose key begins so, in order.
    fn all(&self, prefix: &[u8]) -> Result<Vec<Entry>, OutboxError>;

    /// The last entry whose key begins so.
    fn last(&self, prefix: &[u8]) -> Result<Option<Entry>, OutboxError>;
}

/// A write transaction.
pub(super) trait WriteTables: ReadTables {
    /// Sets a key.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), OutboxError>;

    /// Removes a key.
    fn delete(&mut self, key: &[u8]) -> Result<(), OutboxError>;
}

/// Where the table is.
pub(super) enum Backend {
    Lmdb(Lmdb),
    Memory(Mutex<Memory>),
}

/// The table in memory.
type Memory = BTreeMap<Vec<u8>, Vec<u8>>;

impl Backend {
    pub(super) fn open(folder: &Path) -> Result<Self, OutboxError> {
        Ok(Self::Lmdb(Lmdb::open(folder)?))
    }

    /// That in a folder, or `None` where nothing was ever saved there.
    pub(super) fn find(folder: &Path) -> Result<Option<Self>, OutboxError> {
        Ok(Lmdb::find(folder)?.map(Self::Lmdb))
    }

    pub(super) fn in_memory() -> Self {
        Self::Memory(Mutex::default())
    }

    /// Reads in one transaction.
    pub(super) fn read<T>(
        &self,
        job: impl FnOnce(&dyn ReadTables) -> Result<T, OutboxError>,
    ) -> Result<T, OutboxError> {
        match self {
            Self::Lmdb(table) => {
                let transaction = table.environment.read().map_err(table.failed())?;
                job(&Reader { table, transaction })
            }
            Self::Memory(memory) => job(&*memory.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Writes in one transaction, which begins and ends on this thread; an error undoes it.
    pub(super) fn write<T, E: From<OutboxError>>(
        &self,
        job: impl FnOnce(&mut dyn WriteTables) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::Lmdb(table) => {
                let transaction = table.environment.write().map_err(table.failed())?;
                let mut writer = Writer { table, transaction };
                let result = job(&mut writer)?;
                let committed = table.environment.commit(writer.transaction);
                committed.map_err(table.failed())?;
                Ok(result)
            }
            Self::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                let mut changed = memory.clone();
                let result = job(&mut changed)?;
                *memory = changed;
                Ok(result)
            }
        }
    }
}

/// The table in its environment, which processes and handles share.
pub(super) struct Lmdb {
    folder: PathBuf,
    environment: Arc<Environment>,
    bucket: Bucket,
}

impl Lmdb {
    fn open(folder: &Path) -> Result<Self, OutboxError> {
        crate::home::create_private(folder).map_err(|error| OutboxError::Io {
            path: folder.to_owned(),
            reason: error.to_string(),
        })?;
        let environment = Environment::open(folder, Presence::Create)
            .map_err(|error| not_opened(folder, error))?;
        let [bucket] = environment
            .create_tables([PAYMENTS])
            .map_err(|error| told(folder, error))?;
        Ok(Self {
            folder: folder.to_owned(),
            environment,
            bucket,
        })
    }

    /// The table where it was made before.
    fn find(folder: &Path) -> Result<Option<Self>, OutboxError> {
        let environment = match Environment::open(folder, Presence::Require) {
            Err(OpenError::Missing { .. }) => return Ok(None),
            opened => opened.map_err(|error| not_opened(folder, error))?,
        };
        let tables = environment.tables([PAYMENTS]);
        let tables = tables.map_err(|error| told(folder, error))?;
        Ok(tables.map(|[bucket]| Self {
            folder: folder.to_owned(),
            environment,
            bucket,
        }))
    }

    /// What the environment's own failures mean here.
    fn failed(&self) -> impl Fn(StoreError) -> OutboxError + '_ {
        |error| told(&self.folder, error)
    }

    /// What failures to read mean.
    fn read_failed(&self) -> impl Fn(heed::Error) -> OutboxError + '_ {
        |error| told(&self.folder, store_error(error))
    }

    /// What failures to write mean.
    fn write_failed(&self) -> impl Fn(heed::Error) -> OutboxError + '_ {
        |error| told(&self.folder, self.environment.write_error(error))
    }
}

/// What it means that an environment was not opened.
fn not_opened(folder: &Path, error: OpenError) -> OutboxError {
    match error {
        OpenError::Store { error, .. } => told(folder, error),
        other => OutboxError::Io {
            path: folder.to_owned(),
            reason: other.to_string(),
        },
    }
}

/// The environment was written for the chain's store, whose errors say what to do about that.
fn told(folder: &Path, error: StoreError) -> OutboxError {
    let reason = match error {
        StoreError::Damaged { what } => return OutboxError::Damaged { what },
        StoreError::Full => "no space left on the disk".to_owned(),
        StoreError::Io { reason } => reason,
        other @ StoreError::Stale { .. } => other.to_string(),
    };
    OutboxError::Io {
        path: folder.to_owned(),
        reason,
    }
}

struct Reader<'e> {
    table: &'e Lmdb,
    transaction: RoTxn<'e, WithoutTls>,
}

struct Writer<'e> {
    table: &'e Lmdb,
    transaction: RwTxn<'e>,
}

macro_rules! read_lmdb {
    ($reader:ident) => {
        impl ReadTables for $reader<'_> {
            fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, OutboxError> {
                let found = self.table.bucket.get(&self.transaction, key);
                Ok(found.map_err(self.table.read_failed())?.map(<[u8]>::to_vec))
            }

            fn all(&self, prefix: &[u8]) -> Result<Vec<Entry>, OutboxError> {
                let failed = self.table.read_failed();
                self.table
                    .bucket
                    .prefix_iter(&self.transaction, prefix)
                    .map_err(&failed)?
                    .map(|entry| match entry {
                        Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
                        Err(error) => Err(failed(error)),
                    })
                    .collect()
            }

            fn last(&self, prefix: &[u8]) -> Result<Option<Entry>, OutboxError> {
                let failed = self.table.read_failed();
                self.table
                    .bucket
                    .rev_prefix_iter(&self.transaction, prefix)
                    .map_err(&failed)?
                    .next()
                    .transpose()
                    .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
                    .map_err(&failed)
            }
        }
    };
}

read_lmdb!(Reader);
read_lmdb!(Writer);

impl WriteTables for Writer<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), OutboxError> {
        self.table
            .bucket
            .put(&mut self.transaction, key, value)
            .map_err(self.table.write_failed())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), OutboxError> {
        self.table
            .bucket
            .delete(&mut self.transaction, key)
            .map(drop)
            .map_err(self.table.write_failed())
    }
}

impl ReadTables for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, OutboxError> {
        Ok(BTreeMap::get(self, key).cloned())
    }

    fn all(&self, prefix: &[u8]) -> Result<Vec<Entry>, OutboxError> {
        Ok(self
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Entry>, OutboxError> {
        Ok(self.all(prefix)?.pop())
    }
}

impl WriteTables for Memory {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), OutboxError> {
        self.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), OutboxError> {
        self.remove(key);
        Ok(())
    }
}
