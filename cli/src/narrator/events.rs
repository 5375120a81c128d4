//! The lines and JSON documents of a running node. Each reads both ways; the pages of the
//! help document the JSON.

use super::{PaymentEvent, Seen};
use crate::output::{count, duration, hash_rate};
use mvb_actors::view::MiningState;
use mvb_protocol::{hash::BlockId, numbers::Height, target::Work};
use serde::{Serialize, Serializer};
use std::{fmt, net::SocketAddr};

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The miner begins.
    Started {
        /// The network's name.
        network: String,
        /// Its genesis id.
        genesis: String,
        /// The chain's height.
        height: u64,
        /// The chain's tip.
        tip: String,
        /// The address that gets the rewards.
        reward_to: String,
        /// The same for people.
        #[serde(skip)]
        shown_reward_to: String,
        /// Search threads.
        threads: usize,
        /// The search kernel.
        kernel: String,
        /// The block server's port.
        port: u16,
        /// Where its explorer is.
        explorer: Option<String>,
    },
    /// The wallet begins to follow.
    Listening {
        /// The network's name.
        network: String,
        /// Its genesis id.
        genesis: String,
        /// The chain's height.
        height: u64,
        /// The chain's tip.
        tip: String,
        /// Where its explorer is.
        explorer: Option<String>,
    },
    /// The number of peers changed.
    Peers {
        /// How many are heard.
        count: usize,
        /// The greatest height one claims.
        best_height: Option<u64>,
    },
    /// Blocks are being downloaded.
    Download {
        /// From whom.
        from: SocketAddr,
        /// The height reached.
        height: u64,
        /// The height claimed.
        claimed: u64,
    },
    /// The chain grew by somebody else's block, or was reorganised.
    Tip(TipEvent),
    /// The chain grew by a block found here.
    Mined(TipEvent),
    /// The miner does something else now, or its rate is told again.
    Mining(MiningEvent),
    /// Payments of this home wait.
    Pending {
        /// How many.
        count: usize,
    },
    /// A reorg touched a payment from or to this home.
    Payment(PaymentEvent),
    /// Something the user may have to act on.
    Warning {
        /// In words.
        text: String,
    },
    /// Nobody heard has a better chain.
    Synced {
        /// The chain's height.
        height: u64,
        /// Its tip.
        tip: String,
    },
}

/// A new tip.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TipEvent {
    /// Its height.
    #[serde(serialize_with = "height")]
    pub height: Height,
    /// Its id.
    #[serde(serialize_with = "text")]
    pub tip: BlockId,
    /// The chain's work.
    #[serde(serialize_with = "text")]
    pub work: Work,
    /// The payments in its block.
    pub payments: usize,
    /// Whether blocks left the chain for it.
    pub reorg: bool,
}

/// What the miner does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MiningEvent {
    state: &'static str,
    height: u64,
    missing: usize,
    hashes_per_second: f64,
    seconds_per_block: Option<f64>,
    blocks_found: u64,
    peers: usize,
    waiting_payments: usize,
    #[serde(skip)]
    payments: usize,
}

impl MiningEvent {
    /// As the node shows it.
    pub fn new(seen: &Seen) -> Self {
        let (state, missing, payments) = match &seen.mining.state {
            MiningState::Off => ("off", 0, 0),
            MiningState::Listening => ("listening", 0, 0),
            MiningState::CatchingUp => ("catching-up", 0, 0),
            MiningState::WaitingForPayments { missing } => ("waiting-for-payments", *missing, 0),
            MiningState::Searching { payments, .. } => ("searching", 0, *payments),
        };
        let rate = seen.mining.hashes_per_second;
        let expected = seen.mining.block_work.as_f64() / rate;
        Self {
            state,
            height: seen.chain.tip.height.0.saturating_add(1),
            missing,
            hashes_per_second: rate,
            seconds_per_block: Some(expected).filter(|seconds| seconds.is_finite()),
            blocks_found: seen.chain.blocks_found,
            peers: seen.peers.peers.len(),
            waiting_payments: seen.mempool.waiting,
            payments,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started {
                network,
                genesis,
                height,
                shown_reward_to,
                threads,
                kernel,
                port,
                explorer,
                ..
            } => write!(
                f,
                "miner of network {network:?} (genesis {genesis:.8}), chain at height {height}\n\
                 rewards go to {shown_reward_to}; blocks are served on port {port}; Ctrl-C ends it\n\
                 {} {} with kernel {kernel}{}",
                count(*threads, "thread"),
                if *threads == 1 { "searches" } else { "search" },
                explorer_line(explorer)
            ),
            Self::Listening {
                network,
                genesis,
                height,
                explorer,
                ..
            } => write!(
                f,
                "following network {network:?} (genesis {genesis:.8}), chain at height {height}{}",
                explorer_line(explorer)
            ),
            Self::Peers {
                count: 0,
                best_height: _,
            } => write!(f, "no miner is heard any more"),
            Self::Peers {
                count: peers,
                best_height,
            } => write!(
                f,
                "{} heard, the longest chain at height {}",
                count(*peers, "miner"),
                best_height.unwrap_or_default()
            ),
            Self::Download {
                from,
                height,
                claimed,
            } => {
                let percent = height.saturating_mul(100) / (*claimed).max(1);
                write!(
                    f,
                    "downloading from {from}: block {height} of {claimed} ({} %)",
                    percent.min(100)
                )
            }
            Self::Tip(tip) => write!(f, "new tip: {tip}"),
            Self::Mined(tip) => write!(f, "mined {tip}"),
            Self::Mining(mining) => mining.fmt(f),
            Self::Pending { count: 0 } => write!(f, "every payment of this home is confirmed"),
            Self::Pending { count: pending } => write!(
                f,
                "{} of this home not confirmed yet, announced until then",
                count(*pending, "payment")
            ),
            Self::Payment(payment) => payment.fmt(f),
            Self::Warning { text } => write!(f, "warning: {text}"),
            Self::Synced { height, tip } => {
                write!(
                    f,
                    "synced: block {height} {tip:.12} is the best anybody has"
                )
            }
        }
    }
}

/// Where to look, on a line of its own.
fn explorer_line(explorer: &Option<String>) -> String {
    match explorer {
        Some(url) => format!("\nexplorer at {url}"),
        None => String::new(),
    }
}

impl fmt::Display for TipEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            height,
            tip,
            payments,
            ..
        } = self;
        write!(
            f,
            "block {height} {tip:.12} with {}",
            count(*payments, "payment")
        )?;
        if self.reorg {
            write!(
                f,
                " on a better branch; payments of the blocks it replaces wait again"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for MiningEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let height = self.height;
        match self.state {
            "listening" => write!(f, "listens for other miners before it begins"),
            "catching-up" => write!(f, "catches up with a better chain before it mines"),
            "waiting-for-payments" => {
                let missing = count(self.missing, "more transaction");
                write!(f, "waits for {missing} to mine block {height}")?;
                write!(f, "{}", self.surroundings())
            }
            _ => {
                let payments = count(self.payments, "payment");
                write!(f, "mining block {height} with {payments}")?;
                if self.hashes_per_second > 0.0 {
                    write!(f, " at {}", hash_rate(self.hashes_per_second))?;
                }
                if let Some(seconds) = self.seconds_per_block {
                    write!(f, ", about {} a block", duration(seconds))?;
                }
                write!(f, "{}", self.surroundings())
            }
        }
    }
}

impl MiningEvent {
    fn surroundings(&self) -> String {
        let peers = match self.peers {
            0 => "no other miner heard".to_owned(),
            peers => format!("{} heard", count(peers, "other miner")),
        };
        // Those in the block that is searched are told already.
        match self.waiting_payments.saturating_sub(self.payments) {
            0 => format!(" ({peers})"),
            waiting => format!(" ({peers}, {} waiting)", count(waiting, "more payment")),
        }
    }
}

fn height<S: Serializer>(height: &Height, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(height.0)
}

fn text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
