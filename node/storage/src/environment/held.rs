//! Who has looked at an LMDB file and keeps it open to write it. A reader beside such a process
//! need not look at every page, which takes the longer the longer the chain is; one alone must,
//! unless the file's note vouches for it. An advisory lock of the operating system says which:
//! it ends with its process, however that ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

/// The file inside an environment's folder that is locked. Nothing is in it.
const HELD_FILE: &str = "data.held";

/// How often the lock is tried for: somebody who only asks has it for a moment.
const ATTEMPTS: usize = 64;

/// Tells others that this process has looked at the file, until what is returned is dropped.
/// `None` where another process tells so already, or where locks are of no use: then readers look
/// themselves.
pub(super) fn hold(folder: &Path) -> Option<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join(HELD_FILE))
        .inspect_err(|error| tracing::debug!(%error, "cannot open {HELD_FILE}"))
        .ok()?;
    for _ in 0..ATTEMPTS {
        if file.try_lock().is_ok() {
            return Some(file);
        }
        // Waiting for another holder would cost each command beside a miner its share of the
        // processor; who only asks is soon done.
        if is_locked(&file) || file.unlock().is_err() {
            return None;
        }
    }
    None
}

/// Whether some process has looked at the file and keeps it open. Those who ask share the lock,
/// so that none takes another for a holder.
pub(super) fn is_held(folder: &Path) -> bool {
    File::open(folder.join(HELD_FILE)).is_ok_and(|file| is_locked(&file))
}

/// Whether another has the lock for itself; if not, it is shared now.
fn is_locked(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}
