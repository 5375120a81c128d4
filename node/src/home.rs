//! The home: the folder in which one participant's keys, payments and chain lie.
//!
//! ```text
//! <home>/
//!   mvb.toml                 configuration, written by people only
//!   mvb.lock                 held by the one process that writes the chain
//!   chain.toml               the parameters of the chain this home is part of
//!   NAME.pem                 keys, unless key_store_dir says otherwise
//!   chains/<genesis id>/     the chain (LMDB)
//!   outbox/<genesis id>/     this home's payments (LMDB)
//!   resident.json            what the resident process sees, rewritten every interval
//! ```
//!
//! Every command opens the home through this file, which alone knows the names above. It
//! never creates a chain where one is remembered but gone: that is said.

mod chain;
mod lock;
mod record;

pub use chain::OpenChain;
pub use lock::{Holder, HomeLock, LockError, Role};
pub use record::{RecordError, remembered_params};

use mvb_protocol::hash::GenesisId;
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// The configuration file.
pub const CONFIG_FILE: &str = "mvb.toml";

/// What the home remembers of its chain.
pub const CHAIN_RECORD: &str = "chain.toml";

const LOCK_FILE: &str = "mvb.lock";
const RESIDENT_FILE: &str = "resident.json";
const CHAINS: &str = "chains";
const OUTBOXES: &str = "outbox";

/// A home that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
}

/// Whether a home or a chain was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was there.
    Existing,
    /// It was made just now.
    Created,
}

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The platform does not say where a person's data lies.
    #[error("this system names no data folder: choose a home with --home DIR or MVB_HOME")]
    NoDataFolder,
    /// There is no such folder.
    #[error("no home at {}: check --home and MVB_HOME; `mvb wallet new-address NAME` begins a new one there", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Something else has its name.
    #[error("the home {} is not a folder", path.display())]
    NotAFolder {
        /// Its path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The home remembers a chain that is gone.
    #[error(
        "the chain of network {network:?} is missing from this home ({}); put it back, or remove {} to fetch the chain anew",
        folder.display(), record.display()
    )]
    ChainMissing {
        /// Its network's name.
        network: String,
        /// Where it was.
        folder: PathBuf,
        /// What remembers it.
        record: PathBuf,
    },
    /// A chain is replaced under the same name.
    #[error(
        "network_name {name:?} is the old chain's, on which old payments would count again: choose a new one with --set network_name=NAME"
    )]
    SameName {
        /// The name.
        name: String,
    },
    /// What the home remembers of its chain could not be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Another process holds the home.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The chain store refused.
    #[error(transparent)]
    Store(#[from] mvb_storage::OpenError),
}

/// Where the home is: the flag, or else `MVB_HOME`, or else the platform's data folder. An
/// empty variable counts as unset.
///
/// # Errors
/// When neither is given and the platform names no data folder.
pub fn locate(flag: Option<&Path>, variable: Option<&OsStr>) -> Result<PathBuf, HomeError> {
    if let Some(path) = flag {
        return Ok(path.to_owned());
    }
    if let Some(path) = variable.filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    directories::ProjectDirs::from("", "", "mvb")
        .map(|folders| folders.data_dir().to_owned())
        .ok_or(HomeError::NoDataFolder)
}

impl Home {
    /// Opens a home for a command that makes no sense without one.
    ///
    /// # Errors
    /// When it does not exist or is no folder.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Ok(Self {
                path: path.to_owned(),
            }),
            Ok(_) => Err(HomeError::NotAFolder {
                path: path.to_owned(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(HomeError::Missing {
                path: path.to_owned(),
            }),
            Err(source) => Err(HomeError::Io {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Opens a home, or makes one that only its owner can enter. The caller tells its user
    /// which, so that a mistyped path is noticed.
    ///
    /// # Errors
    /// When it is no folder or cannot be made.
    pub fn open_or_create(path: &Path) -> Result<(Self, Found), HomeError> {
        match Self::open(path) {
            Err(HomeError::Missing { .. }) => {}
            opened => return opened.map(|home| (home, Found::Existing)),
        }
        create_private(path)?;
        Ok((Self::open(path)?, Found::Created))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration file, which may be absent.
    pub fn config_file(&self) -> PathBuf {
        self.path.join(CONFIG_FILE)
    }

    /// The record of the chain's parameters.
    pub fn chain_record(&self) -> PathBuf {
        self.path.join(CHAIN_RECORD)
    }

    /// The chain of a network.
    pub fn chain_folder(&self, genesis: GenesisId) -> PathBuf {
        self.path.join(CHAINS).join(genesis.to_string())
    }

    /// The payments made on a network.
    pub fn outbox_folder(&self, genesis: GenesisId) -> PathBuf {
        self.path.join(OUTBOXES).join(genesis.to_string())
    }

    /// The file in which the resident process says what it sees.
    pub fn resident_file(&self) -> PathBuf {
        self.path.join(RESIDENT_FILE)
    }

    /// The lock file.
    pub fn lock_file(&self) -> PathBuf {
        self.path.join(LOCK_FILE)
    }
}

/// Makes a folder, and those above it, that only its owner can enter.
pub(crate) fn create_private(path: &Path) -> Result<(), HomeError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| HomeError::Io {
        path: path.to_owned(),
        source,
    })
}

/// What of a replaced file must outlive a crash of the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlives {
    /// Old content or new: it is synced.
    Crash,
    /// Nothing: the file is of no use then, and syncing would stop the caller for a while.
    Nothing,
}

/// Replaces a file so that a reader sees the old content or the new, never a part.
pub(crate) fn write_atomically(path: &Path, content: &[u8], outlives: Outlives) -> io::Result<()> {
    use io::Write;
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(content)?;
            match outlives {
                Outlives::Crash => file.sync_all(),
                Outlives::Nothing => Ok(()),
            }
        })
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| match outlives {
            Outlives::Crash => sync_folder(folder),
            Outlives::Nothing => Ok(()),
        });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Makes new and removed names in a folder survive a crash. Systems that cannot open a
/// folder do this on their own.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    match fs::File::open(folder) {
        Ok(file) if cfg!(unix) => file.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
