//! Whole networks of the real program: each scenario starts mvb processes, lets them mine,
//! pay, crash or lose their network, and checks what they say. `cargo test` runs them with
//! small counts, the `scenarios` program with large ones. All run inside a network
//! namespace of their own.

pub mod attacks;
pub mod bad_peers;
pub mod crashes;
pub mod disk;
pub mod doctor;
pub mod endurance;
pub mod explorer;
pub mod lab_page;
pub mod lan;
pub mod life;
pub mod long;
pub mod operator;
pub mod parameters;
pub mod payments;

use crate::process::{Mvb, Running};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// A folder of homes, and the program.
pub struct Lab {
    folder: TempDir,
    program: PathBuf,
}

impl Lab {
    /// An empty folder that goes with the lab.
    pub fn new(program: &Path) -> Self {
        Self {
            folder: tempfile::tempdir().expect("the system's folder for temporary files"),
            program: program.to_owned(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A home with nothing in it and nothing set.
    pub fn bare_home(&self, name: &str) -> Mvb {
        Mvb::new(&self.program, self.folder.path().join(name))
    }

    /// A home of a network whose blocks take milliseconds and whose status goes out every
    /// second. A block needs a payment, as on any network.
    pub fn home(&self, name: &str) -> Mvb {
        self.bare_home(name)
            .set("network_name", "scenario")
            .set("difficulty", 12)
            .set("status_broadcast_interval_seconds", 1)
            .set("transaction_broadcast_interval_seconds", 1)
    }
}

/// One status interval of [`Lab::home`].
pub const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// What a miner or a wallet's `sync` says of a chain, and `chain info` too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSeen {
    /// The tip's id.
    pub tip: String,
    /// Its height.
    pub height: u64,
    /// The work up to it, a decimal number.
    pub work: u128,
}

impl ChainSeen {
    /// Reads `height`, `tip` and `work` of a document.
    pub fn of(document: &Value) -> Option<Self> {
        Some(Self {
            tip: document["tip"].as_str()?.to_owned(),
            height: document["height"].as_u64()?,
            work: document["work"].as_str()?.parse().ok()?,
        })
    }
}

/// Starts a miner of one thread that tells its events.
pub fn mine(home: &Mvb) -> Running {
    home.with(["--json"]).start(&["miner", "--threads", "1"])
}

/// Starts a wallet that follows the network and tells its events.
pub fn follow(home: &Mvb) -> Running {
    home.with(["--json"]).start(&["wallet", "sync"])
}

/// Waits until a node's chain is at least that high, and returns that chain.
pub fn reaches(node: &mut Running, height: u64) -> ChainSeen {
    let wanted = |event: &Value| is_tip(event) && event["height"].as_u64() >= Some(height);
    let event = node.wait_for_event(&format!("a chain of height {height}"), wanted);
    ChainSeen::of(&event).expect("a tip event has height, tip and work")
}

/// Whether an event tells of a new tip.
pub fn is_tip(event: &Value) -> bool {
    event["event"] == "tip" || event["event"] == "mined"
}

/// The chain a home has stored.
pub fn chain(home: &Mvb) -> ChainSeen {
    let info = home.json(&["chain", "info"]);
    ChainSeen::of(&info).unwrap_or_else(|| panic!("chain info without height, tip or work: {info}"))
}

/// Replays a home's chain and compares.
pub fn verify(home: &Mvb) {
    let verdict = home.json(&["chain", "verify"]);
    assert_eq!(verdict["ok"], true, "{}: {verdict}", home.home().display());
}

/// Creates a key and returns its address.
pub fn new_address(home: &Mvb, name: &str) -> String {
    let made = home.json(&["wallet", "new-address", name]);
    made["address"].as_str().expect("an address").to_owned()
}

/// Pays without waiting, and returns the payment's id.
pub fn send(home: &Mvb, from: &str, amount: &str, to: &str) -> String {
    let sent = home.json(&["wallet", "send", from, amount, to]);
    sent["id"].as_str().expect("an id").to_owned()
}

/// A key's confirmed balance by the chain its home has stored.
pub fn balance(home: &Mvb, name: &str) -> String {
    let list = home.json(&["wallet", "list-addresses"]);
    let of_name = |entry: &&Value| entry["name"] == name;
    list["addresses"]
        .as_array()
        .and_then(|entries| entries.iter().find(of_name))
        .and_then(|entry| entry["balance"].as_str())
        .unwrap_or_else(|| panic!("no balance of {name} in {list}"))
        .to_owned()
}

/// The ids of the payments in a home's active chain, from height 1 on.
pub fn confirmed(home: &Mvb) -> Vec<String> {
    let height = chain(home).height;
    let mut ids = Vec::new();
    for height in 1..=height {
        let block = home.json(&["chain", "block", &height.to_string()]);
        let payments = block["payments"].as_array().cloned().unwrap_or_default();
        ids.extend(
            payments
                .iter()
                .filter_map(|payment| Some(payment["id"].as_str()?.to_owned())),
        );
    }
    ids
}
