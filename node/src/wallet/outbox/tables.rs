//! The ordered table under the outbox: one LMDB environment, or a map in memory. The
//! records above it do not know which.

use super::OutboxError;
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, RoTxn, RwTxn, WithoutTls, types::Bytes};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

/// The address space to reserve: 2^30 bytes hold millions of payments.
const MAP_BYTES: usize = 1 << 30;

/// Readers of all processes at one moment.
const MAX_READERS: u32 = 256;

/// How long another thread's last handle may take to close.
const CLOSING: Duration = Duration::from_secs(5);

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
    Lmdb(Arc<Environment>),
    Memory(Mutex<Memory>),
}

/// The table in memory.
type Memory = BTreeMap<Vec<u8>, Vec<u8>>;

impl Backend {
    pub(super) fn open(folder: &Path) -> Result<Self, OutboxError> {
        Ok(Self::Lmdb(Environment::open(folder)?))
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
            Self::Lmdb(environment) => {
                let failed = environment.failed();
                let transaction = environment.env.read_txn().map_err(&failed)?;
                job(&Reader {
                    environment,
                    transaction,
                })
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
            Self::Lmdb(environment) => {
                let failed = environment.failed();
                let transaction = environment.env.write_txn().map_err(&failed)?;
                let mut writer = Writer {
                    environment,
                    transaction,
                };
                let result = job(&mut writer)?;
                writer.transaction.commit().map_err(&failed)?;
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

/// An open environment, closed when its last handle is dropped.
pub(super) struct Environment {
    folder: PathBuf,
    env: Env<WithoutTls>,
    database: Database<'static, Bytes, Bytes>,
}

/// The environments this process has open, by canonical path: LMDB forbids a second one.
static OPEN: Mutex<BTreeMap<PathBuf, Weak<Environment>>> = Mutex::new(BTreeMap::new());

impl Environment {
    fn open(folder: &Path) -> Result<Arc<Self>, OutboxError> {
        let failed = |error: io::Error| failed_in(folder)(error.into());
        crate::home::create_private(folder).map_err(|error| OutboxError::Io {
            path: folder.to_owned(),
            reason: error.to_string(),
        })?;
        let canonical = folder.canonicalize().map_err(failed)?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, environment| environment.strong_count() > 0);
        if let Some(environment) = open.get(&canonical).and_then(Weak::upgrade) {
            return Ok(environment);
        }
        let env = match open_env(&canonical) {
            Err(heed::Error::EnvAlreadyOpened) => {
                // The last handle is gone, but another thread is still closing it.
                if let Some(event) = heed::env_closing_event(&canonical) {
                    event.wait_timeout(CLOSING);
                }
                open_env(&canonical)
            }
            opened => opened,
        }
        .map_err(failed_in(folder))?;
        env.clear_stale_readers().map_err(failed_in(folder))?;
        let database = create_database(&env).map_err(failed_in(folder))?;
        let environment = Arc::new(Self {
            folder: folder.to_owned(),
            env,
            database,
        });
        open.insert(canonical, Arc::downgrade(&environment));
        Ok(environment)
    }

    fn failed(&self) -> impl Fn(heed::Error) -> OutboxError + '_ {
        failed_in(&self.folder)
    }
}

fn failed_in(folder: &Path) -> impl Fn(heed::Error) -> OutboxError + '_ {
    move |error| OutboxError::Io {
        path: folder.to_owned(),
        reason: error.to_string(),
    }
}

fn create_database(env: &Env<WithoutTls>) -> heed::Result<Database<'static, Bytes, Bytes>> {
    let created = env.create_databases_and_commit(env.write_txn()?, |opener, transaction| {
        let database = opener.create_database(transaction, None)?;
        heed::Result::Ok(CommitOrAbort::<_, ()>::Commit(database))
    })?;
    created
        .commit()
        .ok_or_else(|| io::Error::other("the table was not created").into())
}

/// The exception to the house's rule on `unsafe`: heed marks opening a memory map so,
/// because no type can promise what other processes do to the file.
#[allow(unsafe_code)]
fn open_env(folder: &Path) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_BYTES).max_readers(MAX_READERS);
    // SAFETY: the map is undefined behaviour to read only when something other than LMDB
    // changes or cuts the file while it is open. The files are mvb's own, inside its home;
    // no flag that weakens LMDB's locking is set; and a process opens each folder once.
    unsafe { options.open(folder) }
}

struct Reader<'e> {
    environment: &'e Environment,
    transaction: RoTxn<'e, WithoutTls>,
}

struct Writer<'e> {
    environment: &'e Environment,
    transaction: RwTxn<'e>,
}

macro_rules! read_lmdb {
    ($reader:ident) => {
        impl ReadTables for $reader<'_> {
            fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, OutboxError> {
                let found = self.environment.database.get(&self.transaction, key);
                Ok(found
                    .map_err(self.environment.failed())?
                    .map(<[u8]>::to_vec))
            }

            fn all(&self, prefix: &[u8]) -> Result<Vec<Entry>, OutboxError> {
                let failed = self.environment.failed();
                self.environment
                    .database
                    .prefix_iter(&self.transaction, prefix)
                    .map_err(&failed)?
                    .map(|entry| match entry {
                        Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
                        Err(error) => Err(failed(error)),
                    })
                    .collect()
            }

            fn last(&self, prefix: &[u8]) -> Result<Option<Entry>, OutboxError> {
                let failed = self.environment.failed();
                self.environment
                    .database
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
        self.environment
            .database
            .put(&mut self.transaction, key, value)
            .map_err(self.environment.failed())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), OutboxError> {
        self.environment
            .database
            .delete(&mut self.transaction, key)
            .map(drop)
            .map_err(self.environment.failed())
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
