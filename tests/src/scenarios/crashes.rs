//! `kill -9` where something is being made: a home in its first moments, a key, a start on
//! what a crash left, a payment. Afterwards each is whole or was never there, and what was
//! acknowledged is kept. Kills of a miner among its commits are in `endurance`.

use super::{Lab, chain, mine, new_address, reaches, verify};
use crate::process::{Finished, Mvb, Running, Stopwatch, until};
use mvb_actors::env::RandomStream;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// The longest that anything killed here lives: a start takes some tens of milliseconds.
const LIFE: Duration = Duration::from_millis(150);

/// Where the kills of first creations fell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Creations {
    /// Homes whose creation was cut off.
    pub homes: usize,
    /// Of these, how many had their key already.
    pub with_key: usize,
    /// Of these, how many had the chain's file already.
    pub with_chain: usize,
    /// Keys whose creation was cut off.
    pub keys: usize,
    /// Of these, how many were there all the same, whole.
    pub whole_keys: usize,
}

/// What is killed on the way, after at most that long; what it said.
fn cut_off(mut command: Running, random: &RandomStream, longest: Duration) -> Finished {
    let life = Duration::from_micros(random.below(longest.as_micros() as u64));
    let began = Stopwatch::start();
    while began.elapsed() < life && command.line_within(began.left(life)).is_some() {}
    std::thread::sleep(began.left(life));
    command.kill()
}

fn restless(lab: &Lab, name: &str) -> Mvb {
    lab.home(name)
        .set("block_size", 1)
        .set("difficulty", 8)
        .set("status_broadcast_interval_seconds", 0.1)
}

/// Files in a folder and below it whose names end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path, ending),
            path if path.to_string_lossy().ends_with(ending) => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

/// A miner on a new home, and `new-address`, are killed before they are done. The same
/// command then succeeds, a key that was there is the same key, and the chain verifies.
pub fn during_first_creation(program: &Path, times: usize, seed: u64) -> Creations {
    let random = RandomStream::new(seed, 1);
    let mut seen = Creations::default();
    for turn in 0..times {
        let lab = Lab::new(program);
        let home = restless(&lab, "new");
        cut_off(mine(&home), &random, LIFE);
        let keys = files(home.home(), ".pem");
        let key = keys.first().map(|key| fs::read(key).expect("a key's file"));
        seen.homes += 1;
        seen.with_key += usize::from(key.is_some());
        seen.with_chain += usize::from(!files(&home.home().join("chains"), "data.mdb").is_empty());
        let mut miner = mine(&home);
        reaches(&mut miner, 1);
        miner.kill();
        verify(&home);
        if let Some(key) = key {
            let now = fs::read(&keys[0]).expect("a key's file");
            assert_eq!(now, key, "turn {turn}, seed {seed}: another key");
        }

        let new = ["wallet", "new-address", "alice"];
        let done = cut_off(home.with(["--json"]).start(&new), &random, LIFE / 10);
        seen.keys += 1;
        let file = home.home().join("alice.pem");
        let exists = file.exists();
        assert!(exists || !done.status.success(), "{done}");
        seen.whole_keys += usize::from(exists);
        match exists {
            true => assert_eq!(address_of(&home, "alice").len(), 64),
            false => drop(new_address(&home, "alice")),
        }
    }
    seen
}

/// The address of a key whose file must be whole.
fn address_of(home: &Mvb, name: &str) -> String {
    let list = home.json(&["wallet", "list-addresses"]);
    let entries = list["addresses"].as_array().cloned().unwrap_or_default();
    let entry = entries.iter().find(|entry| entry["name"] == name);
    let address = entry.and_then(|entry| entry["address"].as_str());
    address
        .unwrap_or_else(|| panic!("no address of {name}: {list}"))
        .to_owned()
}

/// A miner that was killed among its commits is started and killed again before it has
/// come up, over and over. Each time nothing it had stored is gone. Returns the height.
pub fn during_recovery(program: &Path, times: usize, seed: u64) -> u64 {
    let lab = Lab::new(program);
    let home = restless(&lab, "miner");
    let random = RandomStream::new(seed, 2);
    let mut miner = mine(&home);
    reaches(&mut miner, 20);
    miner.kill();
    let mut before = chain(&home);
    for turn in 0..times {
        cut_off(mine(&home), &random, LIFE);
        if turn % 10 == 9 || turn + 1 == times {
            let now = chain(&home);
            assert!(now.work >= before.work, "turn {turn}, seed {seed}");
            before = now;
            verify(&home);
        }
    }
    let mut miner = mine(&home);
    let height = reaches(&mut miner, before.height + 1).height;
    miner.kill();
    height
}

/// What became of payments whose senders were killed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payments {
    /// Sends that were killed or ended before.
    pub sends: usize,
    /// Payments that were acknowledged.
    pub acknowledged: usize,
    /// Payments that were saved.
    pub saved: usize,
}

/// `wallet send` is killed at random moments, and now and then the miner of the same home.
/// Every acknowledged payment is saved and confirmed, no sequence is used twice or left out.
pub fn during_payments(program: &Path, times: usize, seed: u64) -> Payments {
    let lab = Lab::new(program);
    let home = restless(&lab, "miner").set("difficulty", 16);
    let random = RandomStream::new(seed, 3);
    let alice = new_address(&home, "alice");
    let mut miner = mine(&home);
    reaches(&mut miner, 1);
    let mut seen = Payments::default();
    let mut acknowledged = BTreeSet::new();
    for turn in 0..times {
        let pay = ["wallet", "send", "mining_rewards", "0.000001", &alice];
        let done = cut_off(home.with(["--json"]).start(&pay), &random, LIFE / 3);
        seen.sends += 1;
        let id = done.stdout.lines().find_map(|line| {
            let event: Value = serde_json::from_str(line).ok()?;
            Some(event["id"].as_str()?.to_owned())
        });
        acknowledged.extend(id);
        if turn % 20 == 19 {
            miner.kill();
            miner = mine(&home);
        }
    }
    // The mempool takes 64 payments of a sender at a time, so that many sends take a while.
    until("every saved payment in a block", || {
        states(&home, 4 * times)
            .iter()
            .all(|(_, state)| state == "confirmed")
    });
    let saved: BTreeSet<_> = states(&home, 4 * times)
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    let lost: Vec<_> = acknowledged.difference(&saved).collect();
    assert!(lost.is_empty(), "seed {seed}: lost payments: {lost:?}");
    seen.acknowledged = acknowledged.len();
    seen.saved = saved.len();
    miner.kill();
    verify(&home);
    seen
}

/// The payments to alice that a home knows of, each with its state.
fn states(home: &Mvb, limit: usize) -> Vec<(String, String)> {
    let limit = limit.max(1).to_string();
    let history = home.json(&["wallet", "history", "alice", "--limit", &limit]);
    let entries = history["entries"].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value, key: &str| Some(entry[key].as_str()?.to_owned());
    entries
        .iter()
        .filter_map(|entry| Some((text(entry, "id")?, text(entry, "state")?)))
        .collect()
}
