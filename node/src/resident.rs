//! What the resident process of a home (`mvb miner` or `mvb wallet sync`) sees, in a small
//! file that it rewrites every status interval and that other commands read: `send`,
//! `why`, `chain info`. The file is a courtesy, never a source of truth: a process that
//! holds no lock or has not written for long is not believed.

use crate::home::{Home, HomeError, Outlives, Role, write_atomically};
use mvb_actors::view::{Counters, MiningState, View};
use mvb_protocol::{hash::GenesisId, numbers::Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, io, time::Duration};

/// How many intervals may pass before a status counts as old.
const INTERVALS: u64 = 3;

/// The least age at which a status counts as old, for short intervals on busy machines.
const LEAST_AGE_MS: u64 = 5_000;

/// What a resident process sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidentStatus {
    /// Its process id.
    pub pid: u32,
    /// What it does: `miner` or `wallet`.
    pub role: String,
    /// Its network, as hex digits.
    pub genesis: String,
    /// When it started, in milliseconds since 1970.
    pub started: u64,
    /// When it wrote this.
    pub written: u64,
    /// How often it writes, in milliseconds.
    pub interval: u64,
    /// The height of its chain.
    pub height: u64,
    /// The tip of its chain, as hex digits.
    pub tip: String,
    /// When it last heard a miner; its own mining counts.
    pub miner_heard: Option<u64>,
    /// How many peers it hears.
    pub peers: usize,
    /// Payments that wait in its mempool.
    pub waiting: usize,
    /// Of these, how many could be in the next block.
    pub ready: usize,
    /// What its miner does, in words; `None` where it does not mine.
    pub mining: Option<String>,
    /// The height it has reached and the height it was told of, while it catches up.
    pub catching_up: Option<(u64, u64)>,
    /// Why a peer of another network was ignored, in words.
    pub other_network: Option<String>,
    /// The block server's TCP port; `None` where it serves none.
    pub block_server_port: Option<u16>,
    /// What became of the payments it was sent.
    #[serde(default)]
    pub intake: IntakeStatus,
}

/// What became of payments since the process started. Whatever was heard is in one of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IntakeStatus {
    /// Taken into the mempool.
    pub accepted: u64,
    /// Known already.
    pub duplicates: u64,
    /// Refused, by a short word for the reason.
    pub refused: BTreeMap<String, u64>,
    /// Datagrams dropped because an actor could not take them, statuses counted.
    pub dropped_datagrams: u64,
    /// Datagrams that were no message, statuses counted.
    pub bad_datagrams: u64,
}

impl IntakeStatus {
    fn of(counters: &Counters) -> Self {
        let refusals = counters.refusals.borrow();
        let refused = refusals
            .iter()
            .map(|(reason, n)| ((*reason).to_owned(), *n));
        Self {
            accepted: counters.accepted_payments.get(),
            duplicates: counters.duplicate_payments.get(),
            refused: refused.collect(),
            dropped_datagrams: counters.dropped_datagrams.get(),
            bad_datagrams: counters.bad_datagrams.get(),
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        let counts = [
            self.accepted,
            self.duplicates,
            self.dropped_datagrams,
            self.bad_datagrams,
        ];
        let counts = counts.iter().chain(self.refused.values());
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// What a home's resident process is known to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Resident {
    /// There is none.
    #[default]
    None,
    /// It wrote lately.
    Alive(Box<ResidentStatus>),
    /// It runs but has not written for long, or not yet.
    Silent {
        /// For how long; zero where it has not written at all.
        since: Duration,
    },
}

/// Writes the status of this process. Dropping it removes the file.
#[derive(Debug)]
pub struct ResidentWriter {
    home: Home,
    role: Role,
    genesis: GenesisId,
    started: Timestamp,
    interval: Duration,
    block_server_port: Option<u16>,
}

impl ResidentWriter {
    /// For the process that holds the home's lock.
    pub fn new(
        home: Home,
        role: Role,
        genesis: GenesisId,
        started: Timestamp,
        interval: Duration,
        block_server_port: Option<u16>,
    ) -> Self {
        Self {
            home,
            role,
            genesis,
            started,
            interval,
            block_server_port,
        }
    }

    /// The home it writes into.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// How often it is to write at least.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Replaces the file by what the actors show now.
    ///
    /// # Errors
    /// When it cannot be written, as when the home was deleted under the process.
    pub fn write(&self, view: &View, now: Timestamp) -> Result<(), HomeError> {
        let path = self.home.resident_file();
        let text = serde_json::to_vec_pretty(&self.status(view, now))
            .expect("a flat record of numbers and texts is JSON");
        write_atomically(&path, &text, Outlives::Nothing)
            .map_err(|source| HomeError::Io { path, source })
    }

    fn status(&self, view: &View, now: Timestamp) -> ResidentStatus {
        let tip = view.chain.borrow().tip;
        let mempool = *view.mempool.borrow();
        let peers = view.peers.borrow();
        let mining = in_words(&view.mining.borrow().state);
        let heard = peers.last_heard.map(|heard| heard.0);
        ResidentStatus {
            pid: std::process::id(),
            role: self.role.to_string(),
            genesis: self.genesis.to_string(),
            started: self.started.0,
            written: now.0,
            interval: self.interval.as_millis() as u64,
            height: tip.height.0,
            tip: tip.id.to_string(),
            miner_heard: mining.as_ref().map_or(heard, |_| Some(now.0)),
            peers: peers.peers.len(),
            waiting: mempool.waiting,
            ready: mempool.ready,
            mining,
            catching_up: peers.sync.map(|sync| (sync.height.0, sync.claimed.0)),
            other_network: peers.other_network.clone(),
            block_server_port: self.block_server_port,
            intake: IntakeStatus::of(&view.counters),
        }
    }
}

impl Drop for ResidentWriter {
    fn drop(&mut self) {
        // A file that stays is recognised as stale: nobody holds the lock.
        let _ = fs::remove_file(self.home.resident_file());
    }
}

/// What the resident process of a home is known to do.
///
/// # Errors
/// When the lock cannot be asked. A file that cannot be read counts as not written.
pub fn read(home: &Home, now: Timestamp) -> Result<Resident, HomeError> {
    if !home.is_locked()? {
        return Ok(Resident::None);
    }
    let status = fs::read(home.resident_file())
        .and_then(|text| serde_json::from_slice(&text).map_err(io::Error::from));
    let Ok(status): io::Result<Box<ResidentStatus>> = status else {
        return Ok(Resident::Silent {
            since: Duration::ZERO,
        });
    };
    // Only the process that holds the lock now may speak, not the one before it.
    if home.holder()?.is_none_or(|holder| holder.pid != status.pid) {
        return Ok(Resident::Silent {
            since: Duration::ZERO,
        });
    }
    let age = now.0.saturating_sub(status.written);
    if age > (INTERVALS.saturating_mul(status.interval)).max(LEAST_AGE_MS) {
        return Ok(Resident::Silent {
            since: Duration::from_millis(age),
        });
    }
    Ok(Resident::Alive(status))
}

/// What a miner does, in words; `None` where nothing mines.
fn in_words(state: &MiningState) -> Option<String> {
    Some(match state {
        MiningState::Off => return None,
        MiningState::Listening => "listening for peers".to_owned(),
        MiningState::CatchingUp => "catching up".to_owned(),
        MiningState::WaitingForPayments { missing: 1 } => "waits for 1 more transaction".to_owned(),
        MiningState::WaitingForPayments { missing } => {
            format!("waits for {missing} more transactions")
        }
        MiningState::Searching {
            height, payments, ..
        } => {
            let payments = match payments {
                1 => "1 payment".to_owned(),
                _ => format!("{payments} payments"),
            };
            format!("searching block {height} with {payments}")
        }
    })
}

#[cfg(test)]
mod tests;
