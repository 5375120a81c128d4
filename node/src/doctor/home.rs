//! The home: whether it can be used by its owner and by nobody else, the room on its disk,
//! its keys' files, who holds it, and whether its chain and its payments can be read.

use super::{Check, Finding, peers::Stamp};
use crate::{
    config::Config,
    home::{Holder, Home, HomeError},
    resident::Resident,
    wallet::{KeyStore, Outbox, OutboxError, key_store::KeyWarning},
};
use mvb_protocol::{
    block::Block,
    chain::{ChainSnapshot, ChainStore, StoreError, Tip},
    hash::BlockId,
    numbers::Height,
};
use mvb_storage::LmdbStore;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// With less room than this on its disk a node may soon have to end.
const LEAST_ROOM: u64 = 1 << 30;

/// How many of the newest blocks are read, to see whether the store answers.
const BLOCKS_READ: u64 = 32;

/// Looks at the home. Returns the newest block's time as well, where there is one.
pub(super) fn examine(config: &Config, resident: &Resident) -> (Vec<Finding>, Option<Stamp>) {
    let mut findings = Vec::new();
    let mut stamp = None;
    match Home::open(&config.home) {
        Ok(home) => {
            findings.push(judge_folder(&folder(home.path())));
            findings.extend(room(home.path()));
            findings.extend(keys(&config.key_store_dir));
            findings.push(match held(&home, resident) {
                Ok(held) => judge_lock(&held),
                Err(error) => unusable(Check::Lock, &error),
            });
            let (finding, newest) = chain(&home, config);
            findings.push(finding);
            findings.push(payments(&home, config));
            stamp = newest;
        }
        Err(HomeError::Missing { path }) => {
            findings.push(Finding::note(
                Check::Home,
                format!("no home at {} yet", path.display()),
                "`mvb wallet new-address NAME` or `mvb miner` makes one; if there should be one, \
                 check --home and MVB_HOME",
            ));
            // The disk on which it will be made.
            let above = path.ancestors().map(|above| match above.as_os_str() {
                name if name.is_empty() => Path::new("."),
                _ => above,
            });
            findings.extend({ above }.find(|above| above.is_dir()).and_then(room));
        }
        Err(error) => findings.push(unusable(Check::Home, &error)),
    }
    (findings, stamp)
}

/// A folder as it was found.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// Who may do what, as nine bits.
    mode: Option<u32>,
    writable: bool,
}

fn folder(path: &Path) -> Folder {
    Folder {
        path: path.to_owned(),
        mode: mode(path),
        writable: writable(path),
    }
}

fn judge_folder(folder: &Folder) -> Finding {
    let shown = folder.path.display();
    if !folder.writable {
        return Finding::problem(
            Check::Home,
            format!("{shown} cannot be written to"),
            "run mvb as its owner, make its disk writable, or choose another --home",
        );
    }
    match folder.mode {
        Some(mode) if mode & 0o022 != 0 => Finding::problem(
            Check::Home,
            format!("{shown} can be written to by others (mode {mode:03o})"),
            format!("chmod 700 {shown}"),
        ),
        Some(mode) if mode & 0o055 != 0 => Finding::note(
            Check::Home,
            format!("{shown} can be entered by others (mode {mode:03o}), though not its keys"),
            format!("chmod 700 {shown}"),
        ),
        _ => Finding::good(Check::Home, format!("{shown} is its owner's alone")),
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}

/// Whether this process may make files in a folder; asks without making one.
#[cfg(unix)]
fn writable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn writable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.permissions().readonly())
}

fn room(path: &Path) -> Option<Finding> {
    Some(judge_room(path, free(path)?))
}

/// The bytes that this user may still write to a folder's disk.
#[cfg(unix)]
fn free(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

fn judge_room(path: &Path, free: u64) -> Finding {
    let found = format!("{} free on the disk of {}", size(free), path.display());
    if free < LEAST_ROOM {
        let remedy = "make room, or move the home to another disk and name it with --home; a node \
                      that cannot write ends";
        return Finding::problem(
            Check::Disk,
            format!("{found}, less than {}", size(LEAST_ROOM)),
            remedy,
        );
    }
    Finding::good(Check::Disk, found)
}

fn size(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1_000.0 {
        return format!("{mib:.1} MiB");
    }
    format!("{:.1} GiB", mib / 1_024.0)
}

fn keys(folder: &Path) -> Vec<Finding> {
    let listing = match KeyStore::new(folder).list() {
        Ok(listing) => listing,
        Err(error) => {
            return vec![Finding::problem(
                Check::Keys,
                error.to_string(),
                format!("make {} readable, or set key_store_dir", folder.display()),
            )];
        }
    };
    let mut findings = Vec::new();
    for KeyWarning::ReadableByOthers { path, mode } in
        listing.keys.iter().flat_map(|key| &key.warnings)
    {
        findings.push(Finding::problem(
            Check::Keys,
            format!("{} can be read by others (mode {mode:03o})", path.display()),
            format!("chmod 600 {}", path.display()),
        ));
    }
    for (path, error) in &listing.problems {
        findings.push(Finding::problem(
            Check::Keys,
            format!("{}: {error}", path.display()),
            "put a copy of the key back, or move the file elsewhere",
        ));
    }
    if findings.is_empty() {
        let keys = match listing.keys.len() {
            0 => "no key yet".to_owned(),
            1 => "1 key, its owner's alone".to_owned(),
            count => format!("{count} keys, their owner's alone"),
        };
        findings.push(Finding::good(Check::Keys, keys));
    }
    findings
}

/// Who holds the home.
#[derive(Debug)]
enum Held {
    /// Nobody; whether somebody ended without a word.
    Free { abandoned: bool },
    /// Somebody; `there` is whether this machine has such a process, where that can be asked.
    By {
        holder: Option<Holder>,
        there: Option<bool>,
        resident: Resident,
    },
}

fn held(home: &Home, resident: &Resident) -> Result<Held, HomeError> {
    if !home.is_locked()? {
        return Ok(Held::Free {
            abandoned: home.resident_file().exists(),
        });
    }
    let holder = home.holder()?;
    Ok(Held::By {
        holder,
        there: holder.and_then(|holder| is_there(holder.pid)),
        resident: resident.clone(),
    })
}

fn is_there(process: u32) -> Option<bool> {
    let processes = Path::new("/proc/self");
    processes
        .exists()
        .then(|| Path::new(&format!("/proc/{process}")).exists())
}

fn judge_lock(held: &Held) -> Finding {
    match held {
        Held::Free { abandoned: false } => Finding::good(Check::Lock, "nobody holds the home"),
        Held::Free { abandoned: true } => Finding::note(
            Check::Lock,
            "nobody holds the home, but the last one ended without cleaning up (killed, or a \
             power cut)",
            "nothing to do: the next `mvb miner` or `mvb wallet sync` goes on from what was saved",
        ),
        Held::By { holder: None, .. } => Finding::note(
            Check::Lock,
            "a process that has not written its name yet holds the home",
            "ask again; if it stays, end that process or use another --home",
        ),
        Held::By {
            holder: Some(Holder { pid, role }),
            there,
            resident,
        } => {
            let by = format!("the {role} process {pid} holds the home");
            match (there, resident) {
                (Some(false), _) => Finding::problem(
                    Check::Lock,
                    format!("{by}, and this machine has no such process"),
                    "it runs in a container or on another machine that shares the folder: end it \
                     there, or use a home of this machine's own",
                ),
                (_, Resident::Silent { since }) if !since.is_zero() => Finding::problem(
                    Check::Lock,
                    format!(
                        "{by}, but it has shown no sign of life for {}",
                        super::span(since.as_millis() as u64)
                    ),
                    format!("it was stopped or hangs: continue it (kill -CONT {pid}) or end it"),
                ),
                _ => Finding::good(Check::Lock, by),
            }
        }
    }
}

fn chain(home: &Home, config: &Config) -> (Finding, Option<Stamp>) {
    let store = match home.read_chain(config.chain_params()) {
        Ok(Some(store)) => store,
        Ok(None) => {
            return (
                Finding::good(Check::Chain, "none yet; a miner or sync makes it"),
                None,
            );
        }
        Err(error) => return (unusable(Check::Chain, &error), None),
    };
    match newest(&store) {
        Ok((tip, stamp)) => (
            Finding::good(
                Check::Chain,
                format!(
                    "height {}, tip {:.12}; the newest blocks can be read (`mvb chain verify` \
                     reads all)",
                    tip.height, tip.id
                ),
            ),
            stamp,
        ),
        Err(error) => (damaged(&error.to_string()), None),
    }
}

/// Reads the newest blocks and follows them back.
fn newest(store: &LmdbStore) -> Result<(Tip, Option<Stamp>), StoreError> {
    let chain = store.snapshot()?;
    let tip = chain.tip()?;
    let mut id = tip.id;
    let mut stamp = None;
    for height in (1..=tip.height.0).rev().take(BLOCKS_READ as usize) {
        let block = readable(&*chain, &id, Height(height))?;
        if stamp.is_none() {
            stamp = Some(Stamp {
                by: "this home's chain".to_owned(),
                height: tip.height,
                timestamp: block.header.timestamp,
                is_new: false,
            });
        }
        id = block.header.previous;
    }
    Ok((tip, stamp))
}

fn readable(chain: &dyn ChainSnapshot, id: &BlockId, height: Height) -> Result<Block, StoreError> {
    let active = chain.active_id(height)?;
    match chain.block(id)? {
        Some(block) if active == Some(*id) && block.header.id() == *id => Ok(block),
        _ => Err(StoreError::Damaged {
            what: format!("block {height}"),
        }),
    }
}

fn damaged(reason: &str) -> Finding {
    Finding::problem(
        Check::Chain,
        format!("cannot be read: {reason}"),
        "keep a copy of the home; remove chains/ and chain.toml, and sync again with the \
         network's parameters",
    )
}

fn payments(home: &Home, config: &Config) -> Finding {
    let folder = home.outbox_folder(config.chain_params().genesis_id());
    let unsettled = || {
        Outbox::find(&folder)?
            .map(|outbox| outbox.unsettled())
            .transpose()
    };
    judge_payments(
        &folder,
        unsettled().map(|saved| saved.map(|saved| saved.len())),
    )
}

/// `unsettled` is how many payments are not settled yet, where there is an outbox.
fn judge_payments(folder: &Path, unsettled: Result<Option<usize>, OutboxError>) -> Finding {
    let error = match unsettled {
        Ok(None) => return Finding::good(Check::Payments, "none sent yet"),
        Ok(Some(count)) => {
            let found = format!("can be read, {count} of them not settled yet");
            return Finding::good(Check::Payments, found);
        }
        Err(error) => error,
    };
    let remedy = match error {
        OutboxError::Io { .. } => {
            "make it readable and writable for its owner (chmod, chown)".to_owned()
        }
        _ => format!(
            "keep a copy of the home, then move {} out of it; what was not confirmed is no longer \
             announced then",
            folder.display()
        ),
    };
    Finding::problem(Check::Payments, error.to_string(), remedy)
}

/// What an error says, whose words name the remedy too where there is one.
fn unusable(check: Check, error: &HomeError) -> Finding {
    match error {
        HomeError::Store(error) => damaged(&error.to_string()),
        HomeError::Io { .. } => Finding::problem(
            check,
            error.to_string(),
            "make it readable and writable for its owner (chmod, chown), or choose another --home",
        ),
        HomeError::NotAFolder { .. } => Finding::problem(
            check,
            error.to_string(),
            "choose a folder with --home or MVB_HOME",
        ),
        HomeError::ChainMissing { record, .. } => Finding::problem(
            check,
            error.to_string(),
            format!(
                "put it back, or remove {} to fetch it anew",
                record.display()
            ),
        ),
        _ => Finding::problem(check, error.to_string(), "use another --home"),
    }
}

#[cfg(test)]
mod tests;
