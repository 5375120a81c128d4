//! Examines what a node on this home would need, and says of each thing what was found and,
//! where it is not as it should be, what to do. `mvb doctor` prints the findings. Nothing here
//! changes the home; on the network it says what a node of this configuration would, only less:
//! one datagram that is no message each way, and a question to the peers that are heard.
//!
//! Each file below gathers what it looks at and judges it in a function of its own, so that
//! every finding can be tried in a test without a machine that has the fault.

mod firewall;
mod holders;
mod home;
mod peers;
mod ports;
mod reach;

use crate::{
    config::Config,
    home::Home,
    resident::{self, Resident},
    running,
    system::{SystemClock, fresh_node_id},
};
use mvb_actors::env::WallClock;
use std::{path::Path, time::Duration};

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// How it is.
    pub level: Level,
    /// What was found, with its value.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The configuration as a whole.
    Settings,
    /// The home's folder.
    Home,
    /// The room on its disk.
    Disk,
    /// The keys' files.
    Keys,
    /// Who holds the home.
    Lock,
    /// The stored chain.
    Chain,
    /// What this home has sent.
    Payments,
    /// The UDP and TCP ports.
    Ports,
    /// Whether broadcasts go out and come back.
    Broadcast,
    /// Firewalls known to be at work.
    Firewall,
    /// Who is heard, and by which parameters.
    Peers,
    /// This machine's clock against the blocks'.
    Clock,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Good,
    /// Worth knowing, and not wrong by itself.
    Note,
    /// Wrong, or about to be.
    Problem,
}

impl Check {
    /// Its name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Home => "home",
            Self::Disk => "disk",
            Self::Keys => "keys",
            Self::Lock => "lock",
            Self::Chain => "chain",
            Self::Payments => "payments",
            Self::Ports => "ports",
            Self::Broadcast => "broadcast",
            Self::Firewall => "firewall",
            Self::Peers => "peers",
            Self::Clock => "clock",
        }
    }
}

impl Level {
    /// Its name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

impl Finding {
    fn good(check: Check, found: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Good,
            found: found.into(),
            remedy: None,
        }
    }

    fn note(check: Check, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Note,
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// Something wrong, with what to do about it.
    pub fn problem(check: Check, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Problem,
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// Looks at everything, and listens for peers as long as told.
pub async fn examine(config: &Config, listen: Duration) -> Vec<Finding> {
    let clock = SystemClock;
    let resident = Home::open(&config.home)
        .and_then(|home| resident::read(&home, clock.now()))
        .unwrap_or_default();
    let (mut findings, chain) = home::examine(config, &resident);
    let transport = running::transport(config);
    let port = block_server_port(&resident);
    findings.extend(ports::examine(&transport, port).await);
    match fresh_node_id() {
        Ok(node) => {
            findings.extend(reach::examine(&transport, node).await);
            findings.push(firewall::examine(Path::new("/"), config));
            let heard = peers::listen(config, node, listen, port).await;
            findings.extend(peers::judge(config.chain_params(), &heard));
            let mut stamps = heard.stamps;
            stamps.extend(chain);
            findings.push(peers::judge_clock(clock.now(), &stamps));
        }
        Err(error) => findings.push(Finding::problem(
            Check::Settings,
            format!("this system gives no randomness: {error}"),
            "restart the machine; without random numbers no key is safe",
        )),
    }
    findings
}

/// The port from which this home's own miner serves blocks.
fn block_server_port(resident: &Resident) -> Option<u16> {
    match resident {
        Resident::Alive(status) => status.block_server_port,
        Resident::None | Resident::Silent { .. } => None,
    }
}

/// A length of time in the words of a conversation.
fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
