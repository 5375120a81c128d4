//! The chain store on disk: LMDB through heed. Several processes may read one store beside
//! the one that writes it; who may write is decided by the home's lock, not here.
//!
//! Every commit is synced before it returns (neither `NO_SYNC` nor `WRITE_MAP` is set). A
//! write transaction begins and ends inside one call on the caller's thread. Handles to one
//! folder share one environment inside a process, because LMDB forbids a second.

use crate::{
    chain,
    environment::{Bucket, Environment, Presence, store_error},
    open::{self, OpenError},
    schema,
    tables::{Batch, Plan, Read, Table, Tables, Visit},
    verify::{VerifyReport, verify},
};
use heed::{RoTxn, RwTxn, WithoutTls};
use mvb_protocol::{
    chain::{ChainSnapshot, ChainStore, ChangeSet, StoreError},
    numbers::Height,
    params::ChainParams,
    validate::Parallel,
};
use std::{ops::Bound, path::Path, sync::Arc};

/// How many names stay recent. They take 600 pages, nearly all of which a large batch writes, and
/// settle several to a page in a chain of ten million payments.
const MOST_RECENT: u64 = 1 << 16;

/// One handle a table, in the order of the tables.
type Databases = [Bucket; Table::ALL.len()];

/// What a handle may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    ReadWrite,
    ReadOnly,
}

/// A chain store in a folder. Clones share it.
#[derive(Clone)]
pub struct LmdbStore {
    environment: Arc<Environment>,
    databases: Databases,
    params: Arc<ChainParams>,
    access: Access,
}

impl LmdbStore {
    /// Opens the store in a folder, and creates both if they do not exist. The caller
    /// holds the home's lock, since it may write.
    ///
    /// # Errors
    /// When the store is of another network or another schema, damaged, or cannot be read.
    pub fn open(path: &Path, params: &ChainParams) -> Result<Self, OpenError> {
        let environment = Environment::open(path, Presence::Create)?;
        refuse_other_schema(path, &environment)?;
        let databases = environment
            .create_tables(Table::ALL.map(Table::name))
            .map_err(OpenError::store(path))?;
        let store = Self {
            environment,
            databases,
            params: Arc::new(params.clone()),
            access: Access::ReadWrite,
        };
        open::fill(&store, params).map_err(OpenError::store(path))?;
        let stored = store
            .stored_params(path)?
            .ok_or_else(|| OpenError::missing(path))?;
        open::check_params(path, &stored, params)?;
        Ok(store)
    }

    /// Opens the store in a folder for reading, beside a process that may be writing it.
    /// Creates nothing, and its commits are refused.
    ///
    /// # Errors
    /// [`OpenError::Missing`] when there is none; otherwise as [`Self::open`].
    pub fn open_existing(path: &Path, params: &ChainParams) -> Result<Self, OpenError> {
        let store = Self::open_stored(path)?.ok_or_else(|| OpenError::missing(path))?;
        open::check_params(path, &store.params, params)?;
        Ok(store)
    }

    /// The parameters of the chain in a folder, or `None` when there is no chain in it.
    /// Creates nothing.
    ///
    /// # Errors
    /// When the store is of another schema, damaged, or cannot be read.
    pub fn stored(path: &Path) -> Result<Option<ChainParams>, OpenError> {
        Ok(Self::open_stored(path)?.map(|store| ChainParams::clone(&store.params)))
    }

    /// The parameters of its chain.
    pub fn params(&self) -> &ChainParams {
        &self.params
    }

    /// Frees the slots of readers whose processes died, so that the pages they held can be
    /// used again, and says how many there were. Done at every open; a process that runs
    /// for long repeats it.
    ///
    /// # Errors
    /// When LMDB's lock file cannot be used.
    pub fn clear_stale_readers(&self) -> Result<usize, StoreError> {
        self.environment.clear_stale_readers()
    }

    /// Notes that nothing but this program has written its file, so that the next start need
    /// not look at all of it. Done when it is opened and closed; a process that runs for long
    /// repeats it.
    pub fn seal(&self) {
        self.environment.seal();
    }

    /// Replays the chain from genesis: checks every rule again and compares accounts and
    /// indices with what follows. `progress` hears the height reached and the tip's. Beside a
    /// writer it follows the chain as it grows, and holds no old state of the file for long.
    ///
    /// # Errors
    /// Only when the store cannot be read, or left far behind; what is wrong in it is part of
    /// the report.
    pub fn verify(
        &self,
        parallel: &dyn Parallel,
        progress: &mut dyn FnMut(Height, Height),
    ) -> Result<VerifyReport, StoreError> {
        match self.environment.read_checked() {
            Ok(transaction) => drop(transaction),
            Err(StoreError::Damaged { what }) => {
                return Ok(VerifyReport::unreadable(&self.params, what));
            }
            Err(error) => return Err(error),
        }
        verify(self, &self.params, parallel, progress)
    }

    fn open_stored(path: &Path) -> Result<Option<Self>, OpenError> {
        let environment = match Environment::open(path, Presence::Require) {
            Err(OpenError::Missing { .. }) => return Ok(None),
            opened => opened?,
        };
        refuse_other_schema(path, &environment)?;
        let databases = environment
            .tables(Table::ALL.map(Table::name))
            .map_err(OpenError::store(path))?;
        let Some(databases) = databases else {
            return Ok(None);
        };
        let mut store = Self {
            environment,
            databases,
            params: Arc::default(),
            access: Access::ReadOnly,
        };
        Ok(store.stored_params(path)?.map(|params| {
            store.params = Arc::new(params);
            store
        }))
    }

    fn stored_params(&self, path: &Path) -> Result<Option<ChainParams>, OpenError> {
        self.read()
            .and_then(|tables| open::stored_params(&*tables))
            .map_err(OpenError::store(path))
    }
}

/// Another version may have other tables, so its number is read before they are opened, and
/// none is created in its store.
fn refuse_other_schema(path: &Path, environment: &Environment) -> Result<(), OpenError> {
    let failed = OpenError::store(path);
    let tables = environment.tables([Table::Meta.name()]).map_err(&failed)?;
    let Some([meta]) = tables else {
        return Ok(());
    };
    let transaction = environment.read().map_err(&failed)?;
    let record = meta
        .get(&transaction, schema::SCHEMA)
        .map_err(|error| failed(store_error(error)))?;
    match record {
        Some(record) => open::check_version(path, schema::version(record).map_err(failed)?),
        None => Ok(()),
    }
}

impl ChainStore for LmdbStore {
    fn snapshot(&self) -> Result<Box<dyn ChainSnapshot + Send + '_>, StoreError> {
        chain::snapshot(self)
    }

    fn commit(&self, changes: &ChangeSet) -> Result<(), StoreError> {
        if self.access == Access::ReadOnly {
            return Err(StoreError::Io {
                reason: "this process opened it for reading only".to_owned(),
            });
        }
        chain::commit(self, changes)
    }
}

impl Tables for LmdbStore {
    fn read(&self) -> Result<Box<dyn Read + Send + '_>, StoreError> {
        Ok(Box::new(Reader {
            transaction: self.environment.read()?,
            databases: self.databases,
        }))
    }

    fn write(&self, plan: Plan<'_>) -> Result<(), StoreError> {
        let mut transaction = self.environment.write()?;
        let batch = plan(&Writer {
            transaction: &transaction,
            databases: self.databases,
        })?;
        let failed = |error| self.environment.write_error(error);
        apply(&mut transaction, self.databases, &batch).map_err(failed)?;
        self.environment.commit(transaction)
    }

    fn most_recent(&self) -> u64 {
        MOST_RECENT
    }
}

fn apply(transaction: &mut RwTxn<'_>, databases: Databases, batch: &Batch) -> heed::Result<()> {
    for (table, key, value) in batch.iter() {
        let database = databases[table as usize];
        match value {
            Some(value) => database.put(transaction, key, value)?,
            None => {
                database.delete(transaction, key)?;
            }
        }
    }
    Ok(())
}

/// A snapshot.
struct Reader<'e> {
    transaction: RoTxn<'e, WithoutTls>,
    databases: Databases,
}

/// The state a write transaction begins at.
struct Writer<'t, 'e> {
    transaction: &'t RwTxn<'e>,
    databases: Databases,
}

impl Read for Reader<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        get(&self.transaction, self.databases, table, key)
    }

    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        scan(&self.transaction, self.databases, table, from, visit)
    }

    fn entries(&self, table: Table) -> Result<u64, StoreError> {
        entries(&self.transaction, self.databases, table)
    }
}

impl Read for Writer<'_, '_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        get(self.transaction, self.databases, table, key)
    }

    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        scan(self.transaction, self.databases, table, from, visit)
    }

    fn entries(&self, table: Table) -> Result<u64, StoreError> {
        entries(self.transaction, self.databases, table)
    }
}

fn get<'t>(
    transaction: &'t RoTxn<'_, WithoutTls>,
    databases: Databases,
    table: Table,
    key: &[u8],
) -> Result<Option<&'t [u8]>, StoreError> {
    databases[table as usize]
        .get(transaction, key)
        .map_err(store_error)
}

fn entries(
    transaction: &RoTxn<'_, WithoutTls>,
    databases: Databases,
    table: Table,
) -> Result<u64, StoreError> {
    databases[table as usize]
        .len(transaction)
        .map_err(store_error)
}

fn scan(
    transaction: &RoTxn<'_, WithoutTls>,
    databases: Databases,
    table: Table,
    from: &[u8],
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    let start = if from.is_empty() {
        Bound::Unbounded
    } else {
        Bound::Included(from)
    };
    let range = (start, Bound::Unbounded);
    let entries = databases[table as usize]
        .range(transaction, &range)
        .map_err(store_error)?;
    for entry in entries {
        let (key, value) = entry.map_err(store_error)?;
        if visit(key, value)?.is_break() {
            break;
        }
    }
    Ok(())
}
