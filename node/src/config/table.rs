//! The one table of parameters. A new parameter is a field in [`Settings`] and a row here;
//! files, environment, command line and `mvb config` follow from it.

use super::settings::Settings;
use crate::transport::Network;
use mvb_protocol::{amount::Amount, keys::Curve, wire::MIN_ANNOUNCED_PORT};
use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// One parameter: how it is called, what it allows and means, how it is read and shown.
pub struct Parameter {
    /// Its name in files and on the command line; in the environment `MVB_` and the name
    /// in capitals.
    pub name: &'static str,
    /// Whether every member of a network must have the same value.
    pub of_the_chain: bool,
    /// What it allows, in words.
    pub allowed: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Reads a text into the settings; relative paths are meant from the given folder.
    /// `None` when the text is not what the parameter allows.
    pub(super) parse: fn(&mut Settings, &str, &Path) -> Option<()>,
    /// The value as a text that `parse` reads back.
    pub(super) show: fn(&Settings) -> String,
}

/// A row of the table whose value is one field with a reader of its own.
macro_rules! parameter {
    ($name:literal, $of_the_chain:literal, $allowed:literal, $meaning:literal, $($field:ident).+, $read:expr, $show:expr) => {
        Parameter {
            name: $name,
            of_the_chain: $of_the_chain,
            allowed: $allowed,
            meaning: $meaning,
            parse: |settings, text, base| {
                let read: fn(&str, &Path) -> Option<_> = $read;
                settings.$($field).+ = read(text, base)?;
                Some(())
            },
            show: |settings| {
                let show: fn(&_) -> String = $show;
                show(&settings.$($field).+)
            },
        }
    };
}

/// Every parameter, in the order in which `mvb config` shows them.
pub static PARAMETERS: &[Parameter] = &[
    parameter!(
        "network_name",
        true,
        "1 to 32 bytes without control characters",
        "the network's name; starting over means a new one, so that old payments do not count",
        chain.network_name,
        |text, _| {
            let fits = (1..=32).contains(&text.len()) && !text.chars().any(char::is_control);
            fits.then(|| text.to_owned())
        },
        Clone::clone
    ),
    parameter!(
        "difficulty",
        true,
        "1 to 64 bits",
        "leading zero bits a block's id needs; each one more doubles the work of a block",
        chain.difficulty,
        |text, _| number(text, 1..=64),
        ToString::to_string
    ),
    parameter!(
        "block_size",
        true,
        "1 or more transactions, as many as fit max_block_bytes",
        "the least transactions in a block, its reward counted; the first block needs none",
        chain.block_size,
        |text, _| number(text, 1..=u64::from(u32::MAX)),
        ToString::to_string
    ),
    parameter!(
        "block_reward",
        true,
        "0.000001 to 9223372036854.775807 coins",
        "the coins a block creates for its miner, on top of the fees",
        chain.block_reward,
        |text, _| Amount::from_str(text)
            .ok()
            .filter(|amount| *amount > Amount::ZERO),
        ToString::to_string
    ),
    parameter!(
        "target_block_seconds",
        true,
        "0 (fixed difficulty) or 5 to 86400 seconds",
        "the interval between blocks that the difficulty is adjusted to, never below `difficulty`; with block_size > 1 it also measures how often people pay",
        chain.target_block_seconds,
        |text, _| number(text, 0..=86_400).filter(|seconds| *seconds == 0 || *seconds >= 5),
        ToString::to_string
    ),
    parameter!(
        "max_block_bytes",
        true,
        "1024 to 8388608 bytes",
        "the largest block",
        chain.max_block_bytes,
        |text, _| number(text, 1024..=8_388_608),
        ToString::to_string
    ),
    parameter!(
        "key_size",
        false,
        "256, 384 or 521",
        "the curve of new keys: P-256, P-384 or P-521; every network accepts all three",
        key_size,
        |text, _| number(text, 0..=1_000).and_then(Curve::from_bits),
        |curve: &Curve| curve.bits().to_string()
    ),
    parameter!(
        "status_broadcast_interval_seconds",
        false,
        "0.1 to 3600 seconds",
        "how often a miner announces its chain, beside at once when it changes",
        status_broadcast_interval_seconds,
        |text, _| seconds(text),
        show_seconds
    ),
    parameter!(
        "transaction_broadcast_interval_seconds",
        false,
        "0.1 to 3600 seconds",
        "how often a pending payment is announced until it is confirmed",
        transaction_broadcast_interval_seconds,
        |text, _| seconds(text),
        show_seconds
    ),
    parameter!(
        "status_broadcast_port",
        false,
        "1 to 65535",
        "the UDP port of status datagrams, the same for all members of a network",
        status_broadcast_port,
        |text, _| number(text, 1..=65_535),
        ToString::to_string
    ),
    parameter!(
        "block_server_port",
        false,
        "1024 to 65535",
        "the TCP port from which a miner serves blocks; left at its default, the next free port is taken",
        block_server_port,
        |text, _| number(text, u64::from(MIN_ANNOUNCED_PORT)..=65_535),
        ToString::to_string
    ),
    parameter!(
        "transaction_port",
        false,
        "1 to 65535",
        "the UDP port of payment datagrams, the same for all members of a network",
        transaction_port,
        |text, _| number(text, 1..=65_535),
        ToString::to_string
    ),
    parameter!(
        "key_store_dir",
        false,
        "a folder; in mvb.toml a relative one is meant from the home",
        "where the keys are, one file NAME.pem each",
        key_store_dir,
        |text, base| (!text.is_empty()).then(|| base.join(text)),
        |path: &PathBuf| path.display().to_string()
    ),
    parameter!(
        "network",
        false,
        "local or lan",
        "how far the network reaches: this machine only, or also the networks its interfaces are on",
        network,
        |text, _| {
            [Network::Local, Network::Lan]
                .into_iter()
                .find(|kind| kind.to_string() == text)
        },
        ToString::to_string
    ),
    parameter!(
        "interfaces",
        false,
        "names or addresses of interfaces, separated by commas; empty for all",
        "the interfaces that network lan uses",
        interfaces,
        |text, _| list(text, |item| Some(item.to_owned())),
        |interfaces: &Vec<String>| interfaces.join(",")
    ),
    parameter!(
        "peers",
        false,
        "addresses such as 192.168.1.7:2607 or [fd00::7]:2607, separated by commas; empty for none",
        "nodes that are asked for blocks whether they are heard or not",
        peers,
        |text, _| list(text, |item| item.parse().ok()),
        |peers: &Vec<SocketAddr>| {
            let shown: Vec<String> = peers.iter().map(ToString::to_string).collect();
            shown.join(",")
        }
    ),
    parameter!(
        "threads",
        false,
        "1 to 1024, or all",
        "how many threads search for blocks; all means one for each core",
        threads,
        |text, _| match text {
            "all" => Some(None),
            _ => number(text, 1..=1024).map(NonZeroUsize::new),
        },
        |threads: &Option<NonZeroUsize>| threads
            .map_or_else(|| "all".to_owned(), |count| count.to_string())
    ),
    parameter!(
        "kernel",
        false,
        "the name of a search kernel, or auto",
        "how the threads search for blocks; auto means the fastest that this CPU can run",
        kernel,
        |text, _| match text {
            "auto" => Some(None),
            _ => (1..=32)
                .contains(&text.len())
                .then(|| Some(text.to_owned())),
        },
        |kernel: &Option<String>| kernel.clone().unwrap_or_else(|| "auto".to_owned())
    ),
    parameter!(
        "reward_to",
        false,
        "the name of a key here, or an address",
        "who gets the rewards; the key is created where it is mining_rewards and missing",
        reward_to,
        |text, _| text.parse().ok(),
        ToString::to_string
    ),
    parameter!(
        "mempool_bytes",
        false,
        "65536 to 17179869184 bytes",
        "the most bytes of payments that wait; beyond them the lowest fees per byte go",
        mempool_bytes,
        |text, _| number(text, 65_536..=17_179_869_184),
        ToString::to_string
    ),
    parameter!(
        "mempool_per_source_per_second",
        false,
        "1 to 1000000 payments a second",
        "the most payments a second that are looked at from one address",
        mempool_per_source_per_second,
        |text, _| number(text, 1..=1_000_000),
        ToString::to_string
    ),
    parameter!(
        "http",
        false,
        "a port of this machine only, an address with a port, or off",
        "where `mvb miner` and `mvb wallet sync` serve the explorer; left at its default, the next free port is taken",
        http,
        |text, _| http(text),
        |address: &Option<SocketAddr>| address
            .map_or_else(|| "off".to_owned(), |address| address.to_string())
    ),
];

/// Where to serve the explorer. A port alone means the loopback network, so that nothing else
/// is reached unless its address is typed.
fn http(text: &str) -> Option<Option<SocketAddr>> {
    if text == "off" {
        return Some(None);
    }
    let port = number(text, 1..=65_535).map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)));
    let address = || {
        text.parse()
            .ok()
            .filter(|address: &SocketAddr| address.port() > 0)
    };
    port.or_else(address).map(Some)
}

/// A whole number of plain digits in a range.
fn number<T: TryFrom<u64>>(text: &str, range: RangeInclusive<u64>) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = text.parse().ok().filter(|value| range.contains(value))?;
    T::try_from(value).ok()
}

/// Seconds with up to three decimals, 0.1 to 3600.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.len() > 3 {
        return None;
    }
    let whole: u64 = number(whole, 0..=3600)?;
    let milliseconds: u64 = number(&format!("{decimals:0<3}"), 0..=999)?;
    let total = whole * 1_000 + milliseconds;
    let given = !decimals.is_empty() && (100..=3_600_000).contains(&total);
    given.then(|| Duration::from_millis(total))
}

fn show_seconds(duration: &Duration) -> String {
    let shown = format!("{}.{:03}", duration.as_secs(), duration.subsec_millis());
    shown.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Items separated by commas; spaces around them do not count.
fn list<T>(text: &str, read: fn(&str) -> Option<T>) -> Option<Vec<T>> {
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    text.split(',')
        .map(|item| {
            Some(item.trim())
                .filter(|item| !item.is_empty())
                .and_then(read)
        })
        .collect()
}
