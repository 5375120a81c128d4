//! Room on the disk, asked for where LMDB does not ask. It maps its lock file before the
//! disk has given it room, so that on a full disk the process would end with SIGBUS; and it
//! calls a commit of which only a part found room an input/output error.

use std::{io, path::Path};

/// LMDB's lock file inside an environment's folder.
const LOCK_FILE: &str = "lock.mdb";

/// With less than this left, a commit that failed is taken to have failed for want of room:
/// more than the pages of the largest block.
#[cfg(unix)]
const LITTLE: u64 = 16 << 20;

/// Gives the lock file its room on the disk, as much as `readers` slots need, without
/// changing what is in it: another process may have it open.
///
/// # Errors
/// When there is no room.
#[cfg(target_os = "linux")]
pub(super) fn reserve(folder: &Path, readers: u32) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use std::os::unix::fs::OpenOptionsExt;
    /// A slot is a cache line; a page more than covers what stands before the first.
    const SLOT_BYTES: u64 = 64;
    const HEADER_BYTES: u64 = 4096;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join(LOCK_FILE))?;
    let bytes = HEADER_BYTES + SLOT_BYTES * u64::from(readers);
    match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, bytes) {
        Ok(()) => Ok(()),
        Err(error) if super::NO_SPACE.contains(&error.raw_os_error()) => Err(error.into()),
        Err(error) => {
            // Some file systems cannot promise room; most disks are not full.
            tracing::debug!(%error, "no room is reserved for {LOCK_FILE}");
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn reserve(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

/// Whether the disk with a folder has next to no room left.
#[cfg(unix)]
pub(super) fn is_short(folder: &Path) -> bool {
    rustix::fs::statvfs(folder)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < LITTLE)
}

#[cfg(not(unix))]
pub(super) fn is_short(_: &Path) -> bool {
    false
}
