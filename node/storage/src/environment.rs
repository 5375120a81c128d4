//! LMDB environments: opening one, once a process, with the settings the project relies on.
//! The chain store opens its own here, and so can whatever else is kept in LMDB. The only
//! call of this crate that Rust cannot check is here. What the tables hold is their owner's
//! business.

mod held;
mod room;
mod seal;

use crate::{
    file::{self, Checked, DATA_FILE, Depth, Found},
    open::OpenError,
};
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, RoTxn, RwTxn, WithoutTls, types::Bytes};
use mvb_protocol::chain::StoreError;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

/// A table of bytes.
pub type Bucket = Database<'static, Bytes, Bytes>;

/// The address space to reserve. Nothing is allocated until it is used.
const MAP_BYTES: usize = 2 << 40;

/// The least that is tried when address space is short.
const LEAST_MAP_BYTES: usize = 1 << 30;

/// The most tables an environment can have.
const MAX_TABLES: u32 = 16;

/// Readers of all processes at one moment, each a snapshot.
const MAX_READERS: u32 = 512;

/// A file so large takes longer to look at than its note takes to become certain.
const LARGE_BYTES: u64 = 16 << 20;

/// How long another thread's last handle may take to close.
const CLOSING: Duration = Duration::from_secs(5);

/// How often a file is looked at again because a writer replaced what was looked at.
const ATTEMPTS: usize = 100;

/// Whether a store that is not there is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is, and its folder too.
    Create,
    /// It must be there.
    Require,
}

/// An open environment. It closes when its last handle is dropped.
pub struct Environment {
    env: Env<WithoutTls>,
    /// Whether it was opened to be written, so that its file is vouched for when it closes.
    presence: Presence,
    /// How the file was described when it was vouched for last.
    sealed: Mutex<Option<String>>,
    /// Why the last commit that failed did. Locked while one runs.
    failure: Mutex<Option<StoreError>>,
    /// Tells readers that they need not look at every page.
    _held: Option<fs::File>,
}

/// The environments this process has open, by canonical path.
static OPEN: Mutex<BTreeMap<PathBuf, Weak<Environment>>> = Mutex::new(BTreeMap::new());

impl Environment {
    /// Opens the environment in a folder, or hands out the one this process has open.
    ///
    /// # Errors
    /// [`OpenError::Missing`] when it is not there and must be; else what LMDB says.
    pub fn open(path: &Path, presence: Presence) -> Result<Arc<Self>, OpenError> {
        let failed = |error: io::Error| OpenError::store(path)(store_error(error.into()));
        if presence == Presence::Create {
            fs::create_dir_all(path).map_err(failed)?;
        } else if !path.join(DATA_FILE).exists() {
            return Err(OpenError::missing(path));
        }
        let canonical = path.canonicalize().map_err(failed)?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, environment| environment.strong_count() > 0);
        if let Some(environment) = open.get(&canonical).and_then(Weak::upgrade) {
            return if environment.is_still_at(&canonical) {
                Ok(environment)
            } else {
                Err(OpenError::Removed {
                    path: path.to_owned(),
                })
            };
        }
        prepare(&canonical, presence)?;
        room::reserve(&canonical, MAX_READERS).map_err(failed)?;
        let env = match open_env(&canonical) {
            Err(heed::Error::EnvAlreadyOpened) => {
                wait_until_closed(&canonical)?;
                open_env(&canonical)
            }
            opened => opened,
        };
        let env = env.map_err(|error| OpenError::store(path)(store_error(error)))?;
        let environment = Arc::new(Self {
            env,
            presence,
            sealed: Mutex::default(),
            failure: Mutex::default(),
            _held: match presence {
                Presence::Create => held::hold(&canonical),
                Presence::Require => None,
            },
        });
        environment.seal();
        environment
            .clear_stale_readers()
            .map_err(OpenError::store(path))?;
        open.insert(canonical, Arc::downgrade(&environment));
        Ok(environment)
    }

    /// Whether the file that is open is the one in the folder. What is written to a file
    /// that was removed is lost when it closes.
    fn is_still_at(&self, folder: &Path) -> bool {
        let open = self.env.try_clone_inner_file().map_err(store_error);
        let open = open.ok().and_then(|file| file.metadata().ok());
        let there = fs::metadata(folder.join(DATA_FILE)).ok();
        open.zip(there)
            .is_some_and(|(open, there)| is_same_file(&open, &there))
    }

    /// The tables of these names in order, created where they do not exist.
    ///
    /// # Errors
    /// When LMDB cannot write.
    pub fn create_tables<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<[Bucket; N], StoreError> {
        if let Some(tables) = self.tables(names)? {
            return Ok(tables);
        }
        let created = self
            .env
            .create_databases_and_commit(self.write()?, |opener, transaction| {
                let mut tables = Vec::with_capacity(N);
                for name in names {
                    tables.push(opener.create_database(transaction, Some(name))?);
                }
                heed::Result::Ok(array(tables))
            })
            .map_err(|error| self.write_error(error))?;
        created.commit().ok_or_else(|| StoreError::Io {
            reason: "its tables were not created".to_owned(),
        })
    }

    /// The tables of these names in order, or `None` when one of them was never created.
    ///
    /// # Errors
    /// When LMDB cannot read.
    pub fn tables<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<Option<[Bucket; N]>, StoreError> {
        let opened = self
            .env
            .open_databases_and_commit(self.read()?, |opener, transaction| {
                let mut tables = Vec::with_capacity(N);
                for name in names {
                    tables.extend(opener.open_database(transaction, Some(name))?);
                }
                heed::Result::Ok(array(tables))
            })
            .map_err(store_error)?;
        Ok(opened.commit())
    }

    /// Begins a read transaction, which may end on another thread.
    ///
    /// # Errors
    /// When LMDB cannot read.
    pub fn read(&self) -> Result<RoTxn<'_, WithoutTls>, StoreError> {
        self.env.read_txn().map_err(|error| self.told(error))
    }

    /// A read transaction on a state of which every page was looked at.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when LMDB would stumble over one.
    pub(crate) fn read_checked(&self) -> Result<RoTxn<'_, WithoutTls>, StoreError> {
        for _ in 0..ATTEMPTS {
            let transaction = self.read()?;
            let number = transaction.id() as u64;
            // Its pages stay as they are while the transaction lives, its meta page may not.
            if file::check(self.env.path(), Some(number), Depth::Pages)? == Checked::Sound {
                return Ok(transaction);
            }
        }
        Err(StoreError::Io {
            reason: "it is written faster than it can be looked at".to_owned(),
        })
    }

    /// Begins the write transaction, once that of any other process has ended. It must end
    /// on this thread: LMDB's lock belongs to it.
    ///
    /// # Errors
    /// When LMDB cannot write.
    pub fn write(&self) -> Result<RwTxn<'_>, StoreError> {
        self.env.write_txn().map_err(|error| self.told(error))
    }

    /// Ends a write transaction, synced when this returns `Ok`.
    ///
    /// # Errors
    /// When LMDB cannot write; nothing is changed then.
    pub fn commit(&self, transaction: RwTxn<'_>) -> Result<(), StoreError> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        transaction.commit().map_err(|error| {
            let error = self.write_error(error);
            *failure = Some(error.clone());
            error
        })
    }

    /// What an error of a transaction's beginning means. Once a commit has failed for good, LMDB
    /// says no more than that, and it may say so before the one who committed has been told why.
    fn told(&self, error: heed::Error) -> StoreError {
        let failure = matches!(error, heed::Error::Mdb(heed::MdbError::Panic))
            .then(|| self.failure.lock().unwrap_or_else(PoisonError::into_inner));
        match failure.as_deref() {
            Some(Some(why)) => why.clone(),
            _ => store_error(error),
        }
    }

    /// What a write that failed means. LMDB calls it an input/output error when only some
    /// of its pages found room.
    pub fn write_error(&self, error: heed::Error) -> StoreError {
        match store_error(error) {
            StoreError::Io { .. } if room::is_short(self.env.path()) => StoreError::Full,
            other => other,
        }
    }

    /// Notes that the file is as LMDB left it, so that the next to open it need not look at all of
    /// its pages. Done when it was opened and when it closes; a process that runs
    /// for long repeats it, lest it is killed. Does nothing where it is only read.
    pub fn seal(&self) {
        if self.presence != Presence::Create {
            return;
        }
        let file = self.env.try_clone_inner_file().map_err(store_error);
        let file = file.ok().and_then(|file| file.metadata().ok());
        let Some(now) = file.and_then(|file| seal::describe(&file)) else {
            return;
        };
        let mut sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        if sealed.as_ref() != Some(&now) || !seal::is_intact(self.env.path()) {
            seal::set(self.env.path(), &now);
            *sealed = Some(now);
        }
    }

    /// Frees the slots of readers whose processes died, and says how many there were.
    ///
    /// # Errors
    /// When LMDB's lock file cannot be used.
    pub fn clear_stale_readers(&self) -> Result<usize, StoreError> {
        self.env.clear_stale_readers().map_err(store_error)
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        let length = self.env.try_clone_inner_file().ok();
        let length = length.and_then(|file| Some(file.metadata().ok()?.len()));
        if self.presence == Presence::Create && length.is_some_and(|bytes| bytes >= LARGE_BYTES) {
            // So that the note is clearly later than the last commit.
            std::thread::sleep(seal::TICK);
        }
        self.seal();
    }
}

#[cfg(unix)]
fn is_same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn is_same_file(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

/// Refuses a file that LMDB would stumble over, and clears away what a creation left that
/// was cut off before anything was in it.
fn prepare(folder: &Path, presence: Presence) -> Result<(), OpenError> {
    let failed = OpenError::store(folder);
    match (file::find(folder).map_err(&failed)?, presence) {
        (Found::Nothing | Found::Blank, Presence::Require) => Err(OpenError::missing(folder)),
        (Found::Nothing, Presence::Create) => Ok(()),
        (Found::Blank, Presence::Create) => fs::OpenOptions::new()
            .write(true)
            .open(folder.join(DATA_FILE))
            .and_then(|file| file.set_len(0))
            .map_err(|error| failed(store_error(error.into()))),
        (Found::Data, _) => {
            let beside = presence == Presence::Require && held::is_held(folder);
            let depth = match beside || seal::is_intact(folder) {
                true => Depth::Header,
                false => Depth::Pages,
            };
            look(folder, depth).map_err(failed)
        }
    }
}

/// Looks at the newest state of a file that another process may be writing. One that is
/// written faster than it can be looked at is in use, and so not what this guards against.
fn look(folder: &Path, depth: Depth) -> Result<(), StoreError> {
    for _ in 0..ATTEMPTS {
        if file::check(folder, None, depth)? == Checked::Sound {
            break;
        }
    }
    Ok(())
}

/// Commits when every table is there, and gives the transaction up otherwise.
fn array<T, const N: usize>(tables: Vec<T>) -> CommitOrAbort<[T; N], ()> {
    tables.try_into().map_err(|_| ()).into()
}

/// The last handle is gone, but another thread is still closing the environment.
fn wait_until_closed(path: &Path) -> Result<(), OpenError> {
    match heed::env_closing_event(path) {
        Some(event) if !event.wait_timeout(CLOSING) => Err(OpenError::Closing {
            path: path.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Opens an environment with the largest map that the address space has room for.
fn open_env(path: &Path) -> heed::Result<Env<WithoutTls>> {
    let mut map_bytes = MAP_BYTES;
    loop {
        match open_env_with(path, map_bytes) {
            Err(heed::Error::Io(error))
                if error.kind() == io::ErrorKind::OutOfMemory && map_bytes > LEAST_MAP_BYTES =>
            {
                map_bytes /= 2;
                tracing::debug!(map_bytes, "address space is short, mapping less");
            }
            opened => return opened,
        }
    }
}

/// The unavoidable exception to the house's rule on `unsafe`: heed marks opening a memory
/// map so, because no type can promise what other processes do to the file.
#[allow(unsafe_code)]
fn open_env_with(path: &Path, map_bytes: usize) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options
        .map_size(map_bytes)
        .max_readers(MAX_READERS)
        .max_dbs(MAX_TABLES);
    // SAFETY: the map is undefined behaviour to read only when something other than LMDB
    // changes or cuts the file while it is open. The files are mvb's own, inside its home;
    // no flag that weakens LMDB's locking is set; and a process opens each folder once.
    unsafe { options.open(path) }
}

/// ENOSPC and EDQUOT, the same on every Unix this runs on, Linux first.
const NO_SPACE: [i32; 2] = if cfg!(target_os = "linux") {
    [28, 122]
} else {
    [28, 69]
};

/// What LMDB's error means to the owner of a store.
pub fn store_error(error: heed::Error) -> StoreError {
    use heed::MdbError as Mdb;
    match error {
        heed::Error::Mdb(Mdb::MapFull) => StoreError::Full,
        heed::Error::Io(error)
            if error
                .raw_os_error()
                .is_some_and(|code| NO_SPACE.contains(&code)) =>
        {
            StoreError::Full
        }
        heed::Error::Mdb(
            error @ (Mdb::Corrupted
            | Mdb::PageNotFound
            | Mdb::Invalid
            | Mdb::Incompatible
            | Mdb::CursorFull
            | Mdb::VersionMismatch),
        ) => StoreError::Damaged {
            what: error.to_string(),
        },
        error => StoreError::Io {
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests;
