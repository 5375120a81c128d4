//! Key files on the disk: made whole or not at all, never over another file, readable by
//! their owner alone; read with limits, because a folder may hold anything.

use super::{KeyFileError, KeyWarning};
use crate::home::sync_folder;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};
use zeroize::Zeroizing;

/// The largest key file: two PEM blocks of P-521 have about 1,000 bytes.
const MOST_BYTES: u64 = 64 << 10;

/// What a file's mode must not allow: anything to its group or to others.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// Makes a file with a content: written under another name and synced first, so that a
/// crash leaves the file whole or absent. A leftover of a crash has a name that is no key's.
///
/// # Errors
/// `AlreadyExists` when anything has that name.
pub(super) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let temporary = folder.join(format!(".{name}.{:016x}.tmp", u64::from_be_bytes(random)));
    let created = write_new(&temporary, content).and_then(|()| claim(&temporary, path));
    let removed = fs::remove_file(&temporary);
    created?;
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync_folder(folder),
    }
}

/// Gives a file its name. A hard link fails where the name is taken, which a rename does
/// not; only file systems without hard links are left with asking first.
fn claim(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            if path.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(temporary, path)
        }
        linked => linked,
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Reads a key file, and says what its owner should know of it.
pub(super) fn read(path: &Path) -> Result<(Zeroizing<String>, Vec<KeyWarning>), KeyFileError> {
    // Asked before it is opened: opening a pipe would wait for ever.
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(KeyFileError::NotAFile);
    }
    if found.len() > MOST_BYTES {
        return Err(KeyFileError::TooLarge { got: found.len() });
    }
    let mut text = Zeroizing::new(String::with_capacity(MOST_BYTES as usize));
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text))
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => KeyFileError::NotText,
            _ => unreadable(error),
        })?;
    Ok((text, warnings(path, &found)))
}

fn unreadable(error: io::Error) -> KeyFileError {
    KeyFileError::Unreadable {
        kind: error.kind(),
        reason: error.to_string(),
    }
}

#[cfg(unix)]
fn warnings(path: &Path, found: &fs::Metadata) -> Vec<KeyWarning> {
    use std::os::unix::fs::PermissionsExt;
    let mode = found.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Vec::new();
    }
    vec![KeyWarning::ReadableByOthers {
        path: path.to_owned(),
        mode,
    }]
}

#[cfg(not(unix))]
fn warnings(_: &Path, _: &fs::Metadata) -> Vec<KeyWarning> {
    Vec::new()
}
