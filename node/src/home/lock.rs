//! The lock of a home: one process at a time writes the chain. It is an advisory lock of
//! the system, so it ends with its process, however that ends; the file's content only
//! says who holds it.

use super::{Home, HomeError};
use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    thread,
    time::Duration,
};

/// How often the lock is tried for: somebody who only asks who holds it has it for a moment.
const ATTEMPTS: u32 = 10;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);

/// The content of the lock file is a process id and a role, far less than this.
const MOST_BYTES: u64 = 64;

/// What a process that holds the lock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `mvb miner`.
    Miner,
    /// `mvb wallet sync`.
    Wallet,
    /// A command that changes the chain and ends, such as `mvb chain reset`.
    Maintenance,
}

/// The process that holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// What it does.
    pub role: Role,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it. Reading beside it is fine.
    #[error("this home is in use by the {role} process {pid}: end it first, or use another --home")]
    Held {
        /// Its process id.
        pid: u32,
        /// What it does.
        role: Role,
    },
    /// Another process has just taken it and has not written its name yet.
    #[error("this home is in use by another process: end it first, or use another --home")]
    HeldByUnknown,
}

/// The lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
    role: Role,
}

impl HomeLock {
    /// What it was taken for.
    pub fn role(&self) -> Role {
        self.role
    }
}

impl Home {
    /// Takes the lock, before anything is created in the home.
    ///
    /// # Errors
    /// When another process holds it, named where it has written its name.
    pub fn lock(&self, role: Role) -> Result<HomeLock, HomeError> {
        let mut file = self.open_lock_file()?;
        if !try_lock(&file).map_err(|error| self.lock_error(error))? {
            return Err(match read_holder(&mut file) {
                Some(Holder { pid, role }) => LockError::Held { pid, role },
                None => LockError::HeldByUnknown,
            }
            .into());
        }
        let name = format!("{} {role}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(name.as_bytes()))
            .map_err(|error| self.lock_error(error))?;
        Ok(HomeLock { _file: file, role })
    }

    /// Who holds the lock now. Asking takes nothing from anybody.
    ///
    /// # Errors
    /// When the lock file cannot be read.
    pub fn holder(&self) -> Result<Option<Holder>, HomeError> {
        if !self.is_locked()? {
            return Ok(None);
        }
        Ok(read_holder(&mut self.open_lock_file()?))
    }

    /// Whether some process holds the lock now.
    ///
    /// # Errors
    /// When the lock file cannot be read.
    pub fn is_locked(&self) -> Result<bool, HomeError> {
        let file = match File::open(self.lock_file()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.lock_error(error)),
        };
        // A shared lock for a moment; whoever wants the lock just then tries again.
        taken(file.try_lock_shared())
            .map(|taken| !taken)
            .map_err(|error| self.lock_error(error))
    }

    fn open_lock_file(&self) -> Result<File, HomeError> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.lock_file())
            .map_err(|error| self.lock_error(error))
    }

    fn lock_error(&self, source: io::Error) -> HomeError {
        HomeError::Io {
            path: self.lock_file(),
            source,
        }
    }
}

fn try_lock(file: &File) -> io::Result<bool> {
    for _ in 1..ATTEMPTS {
        if taken(file.try_lock())? {
            return Ok(true);
        }
        thread::sleep(BETWEEN_ATTEMPTS);
    }
    taken(file.try_lock())
}

fn taken(result: Result<(), TryLockError>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    let (pid, role) = text.strip_suffix('\n')?.split_once(' ')?;
    Some(Holder {
        pid: pid.parse().ok()?,
        role: [Role::Miner, Role::Wallet, Role::Maintenance]
            .into_iter()
            .find(|known| known.to_string() == role)?,
    })
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Miner => "miner",
            Self::Wallet => "wallet",
            Self::Maintenance => "maintenance",
        })
    }
}
