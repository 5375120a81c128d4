//! Who has looked at an LMDB file and keeps it open to write it. A reader beside such a process
//! need not look at every page, which on a long chain takes seconds; one that is alone must,
//! unless the file's note vouches for it. An advisory lock of the operating system says which:
//! it ends with its process, however that ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

/// The file inside an environment's folder that is locked. Nothing is in it.
const HELD_FILE: &str = "data.held";

/// How often somebody who is asked about is asked about again.
const ATTEMPTS: usize = 64;

/// Tells others that this process has looked at the file, until the lock is dropped. Without it
/// they look themselves.
pub(super) fn hold(folder: &Path) -> Option<File> {
    let path = folder.join(HELD_FILE);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    // Several processes may write, in turns. One that asks has the lock for a moment.
    let locked = file.and_then(|file| file.lock_shared().map(|()| file));
    locked
        .inspect_err(|error| tracing::debug!(%error, "cannot lock {HELD_FILE}"))
        .ok()
}

/// Whether some process has looked at the file and keeps it open.
pub(super) fn is_held(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(HELD_FILE)) else {
        return false;
    };
    // Who else asks has the lock for a moment, too; that is waited for.
    (0..ATTEMPTS).all(|_| {
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
            && file.lock_shared().and_then(|()| file.unlock()).is_ok()
    })
}
