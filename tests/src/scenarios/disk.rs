//! A disk that is full, or that fails: the node says so in one line and ends, nothing it
//! had acknowledged is lost, and with room again it goes on. The full disk is a small tmpfs
//! inside the scenario's own mount namespace; the failing one is a limit on file sizes, or
//! strace, which makes the system refuse what it is asked for.

use super::{Lab, chain, is_tip, mine, new_address, reaches, send, verify};
use crate::process::{Finished, Mvb, PATIENCE, Running};
use serde_json::Value;
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a disk that filled up came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct FullDisk {
    /// The chain's height when the disk was full.
    pub height: u64,
    /// First starts tried with less room than they need.
    pub short_starts: usize,
}

fn restless(lab: &Lab, home: PathBuf) -> Mvb {
    lab.home("any")
        .at(home)
        .set("block_size", 1)
        .set("difficulty", 8)
        .set("status_broadcast_interval_seconds", 0.1)
}

/// A file system of a few KiB, mounted until the namespace ends.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(super) fn mount(folder: PathBuf, kib: usize) -> Self {
        fs::create_dir(&folder).expect("a new folder");
        let disk = Self(folder);
        disk.run("-ttmpfs", &format!("size={kib}k"));
        disk
    }

    pub(super) fn resize(&self, kib: usize) {
        self.run("-ttmpfs", &format!("remount,size={kib}k"));
    }

    pub(super) fn forbid_writing(&self) {
        self.run("-ttmpfs", "remount,ro");
    }

    fn run(&self, kind: &str, options: &str) {
        let mounted = Command::new("mount")
            .args([kind, "-o", options, "tmpfs"])
            .arg(&self.0)
            .status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "mount {options}"
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The folder is removed with its lab only when nothing is mounted on it; the
        // namespace's end unmounts what this does not.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Waits until a miner ends by itself, and checks that it did so with an error in one line.
fn ended(miner: Running, says: &str) -> Finished {
    let done = miner.finish(PATIENCE);
    assert_eq!(done.status.code(), Some(1), "{done}");
    let errors = |line: &&str| line.starts_with("error: ") || line.contains("ERROR");
    let errors: Vec<_> = done.stderr.lines().filter(errors).collect();
    assert_eq!(errors.len(), 1, "{done}");
    assert!(errors[0].contains(says), "{done}");
    assert_eq!(done.stderr.lines().last(), Some(errors[0]), "{done}");
    done
}

/// The tips a program said it had.
fn told(done: &Finished) -> Vec<String> {
    let events = done
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    events
        .filter(is_tip)
        .filter_map(|event: Value| Some(event["tip"].as_str()?.to_owned()))
        .collect()
}

/// A miner fills its disk; so do a payment, a key and a home that begin on it. Each ends
/// with one line, and with room again all of it works and nothing acknowledged is gone.
///
/// `short` lists how much room, in KiB, first starts are tried with besides.
pub fn full(program: &Path, short: impl IntoIterator<Item = usize>) -> FullDisk {
    let lab = Lab::new(program);
    let disk = SmallDisk::mount(lab.folder().join("disk"), 1_024);
    let home = restless(&lab, disk.0.join("home"));
    let done = ended(mine(&home), "the disk is full");
    let stored = chain(&home);
    for tip in told(&done) {
        home.json(&["chain", "block", &tip]);
    }
    verify(&home);

    let filler = disk.0.join("filler");
    // Fails, as it must: what matters is that no room is left.
    let _ = fs::write(&filler, vec![0; 4 << 20]);
    for (command, says) in [
        (&["wallet", "new-address", "bob"][..], "No space left"),
        (
            &["wallet", "send", "mining_rewards", "1", "mining_rewards"],
            "space left on",
        ),
        (&["miner"], "the disk is full"),
    ] {
        let tried = home.with(["--json"]).start(command);
        ended(tried, says);
    }
    // Pages that were free already may have taken a few blocks more.
    let now = chain(&home);
    assert!(now.work >= stored.work, "{now:?} after {stored:?}");
    verify(&home);
    let pending = home.json(&["wallet", "history", "mining_rewards", "--limit", "1"]);
    assert_ne!(pending["entries"][0]["state"], "pending", "{pending}");
    assert!(!home.home().join("bob.pem").exists());

    disk.resize(64 << 10);
    fs::remove_file(&filler).expect("the filler");
    let mut miner = mine(&home);
    let bob = new_address(&home, "bob");
    send(&home, "mining_rewards", "1", &bob);
    reaches(&mut miner, now.height + 1);
    miner.kill();
    verify(&home);
    FullDisk {
        height: stored.height,
        short_starts: short_starts(&lab, short),
    }
}

/// First starts on disks from nearly none of the room they need to all of it: each ends
/// with one line or works, none dies of a signal, and each works once there is room.
fn short_starts(lab: &Lab, short: impl IntoIterator<Item = usize>) -> usize {
    let mut tried = 0;
    for kib in short {
        let disk = SmallDisk::mount(lab.folder().join(format!("disk-{kib}")), kib);
        let home = restless(lab, disk.0.join("home")).set("difficulty", 10);
        ended(mine(&home), "");
        disk.resize(8 << 10);
        let mut miner = mine(&home);
        reaches(&mut miner, 1);
        miner.kill();
        verify(&home);
        tried += 1;
    }
    tried
}

/// A disk that refuses to let a file grow: the node ends with one line that does not blame
/// a full disk, and the chain stands as it was acknowledged. Returns its height.
pub fn failing(program: &Path) -> u64 {
    let lab = Lab::new(program);
    let home = restless(&lab, lab.folder().join("home"));
    // A write beyond the limit fails; without the trap the system would end the program.
    let limited = home.inside(vec![
        "sh".into(),
        "-c".into(),
        "trap '' XFSZ; ulimit -f 512; exec \"$0\" \"$@\"".into(),
    ]);
    let done = ended(mine(&limited), "chain store");
    let stored = chain(&home);
    for tip in told(&done) {
        home.json(&["chain", "block", &tip]);
    }
    verify(&home);
    let mut miner = mine(&home);
    reaches(&mut miner, stored.height + 1);
    miner.kill();
    verify(&home);
    stored.height
}

/// A disk whose writes or syncs fail with EIO from the first, the second, … on, on a new home
/// each: the node ends with one line, what it had acknowledged stands, and it goes on once the
/// disk works. Returns the highest chain that stood; `None` where strace cannot be used.
pub fn io_errors(program: &Path, tries: usize) -> Option<u64> {
    let traced = |options: &[&str]| -> Vec<OsString> {
        let command = ["strace", "-f", "-qq", "-o", "/dev/null"];
        command.iter().chain(options).map(Into::into).collect()
    };
    let usable = Command::new("strace")
        .args(["-qq", "-e", "trace=none", "true"])
        .status();
    if !usable.is_ok_and(|status| status.success()) {
        return None;
    }
    let lab = Lab::new(program);
    let mut highest = 0;
    for attempt in 0..tries {
        let call = ["pwrite64", "fdatasync"][attempt % 2];
        let inject = format!("inject={call}:error=EIO:when={}+", 1 + attempt / 2);
        let trace = format!("trace={call}");
        let home = restless(&lab, lab.folder().join(format!("home-{attempt}")));
        let failing = home.inside(traced(&["-e", &trace, "-e", &inject]));
        let done = ended(mine(&failing), "Input/output error");
        let mut miner = mine(&home);
        reaches(&mut miner, 1);
        miner.kill();
        for tip in told(&done) {
            home.json(&["chain", "block", &tip]);
        }
        verify(&home);
        highest = highest.max(chain(&home).height);
    }
    Some(highest)
}
