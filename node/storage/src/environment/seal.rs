//! A note beside an LMDB file of how the file system describes it: which file, how long, last
//! changed when. LMDB's own pages are sound whenever nothing but LMDB has written them, so a
//! file that is still as it was noted need not be looked at page by page before it is opened.
//! Whatever else happened to it, a copy, a cut, a byte set by some other program, a crash after
//! the note, shows as another description, and then every page is looked at.

use crate::file::DATA_FILE;
use std::{fs, path::Path, time::Duration};

/// The note inside an environment's folder.
const SEAL_FILE: &str = "data.seal";

/// The clock of a file system may stand still for so long, so that what is written right after
/// the note may bear the same time as what was written right before.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// Notes how the file is described now. Whoever calls this knows that only LMDB wrote it. A
/// note that cannot be written is one that does not vouch for anything.
pub(super) fn set(folder: &Path, description: &str) {
    if let Err(error) = fs::write(folder.join(SEAL_FILE), description) {
        tracing::debug!(%error, "cannot write {SEAL_FILE}");
    }
}

/// Whether the file is as it was noted last.
pub(super) fn is_intact(folder: &Path) -> bool {
    let noted = fs::read_to_string(folder.join(SEAL_FILE)).ok();
    let note = fs::metadata(folder.join(SEAL_FILE));
    let (Ok(file), Ok(note)) = (fs::metadata(folder.join(DATA_FILE)), note) else {
        return false;
    };
    let times = note.modified().ok().zip(file.modified().ok());
    let apart = times.and_then(|(note, file)| note.duration_since(file).ok());
    noted.is_some() && noted == describe(&file) && apart.is_some_and(|apart| apart >= TICK)
}

/// What the file system says of a file, but for what reading changes.
#[cfg(unix)]
pub(super) fn describe(file: &fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    Some(format!(
        "file {}, {} bytes, written {}.{:09}, changed {}.{:09}\n",
        file.ino(),
        file.len(),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec()
    ))
}

/// Elsewhere there is no time of change that a program cannot set.
#[cfg(not(unix))]
pub(super) fn describe(_: &fs::Metadata) -> Option<String> {
    None
}
