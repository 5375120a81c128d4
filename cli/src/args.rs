//! The command line: what can be typed, what it means and how its help reads. `lib.rs`
//! parses it once; nothing here opens a file or prints.

use crate::pages;
use clap::{Args as ClapArgs, Parser, Subcommand, builder::TypedValueParser};
use mvb_protocol::{
    amount::Amount,
    hash::{BlockId, TxId},
    keys::Curve,
    numbers::Height,
};
use std::{ffi::OsString, path::PathBuf, str::FromStr};

/// A whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "mvb",
    version,
    about = "A Minimum Viable Blockchain: wallets, miners and one shared ledger",
    long_about = pages::ABOUT,
    after_help = pages::AFTER_HELP,
    after_long_help = pages::AFTER_LONG_HELP,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 92
)]
pub struct Args {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes, before or after its name.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Folder of keys, settings and chains [default: MVB_HOME, or the platform's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Who can be reached: local (this machine only) or lan [default: local]
    #[arg(long, global = true, value_name = "NETWORK")]
    pub network: Option<String>,
    /// Set a parameter for this run, again for more; `mvb config` lists them all
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<Setting>,
    /// Print JSON on stdout: one document, or one a line while something runs
    #[arg(long, global = true)]
    pub json: bool,
    /// Log more on stderr: -v what happens, -vv how, -vvv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print results only: no status lines, no hints, no warnings in the log
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keys, balances and payments
    #[command(subcommand, long_about = pages::WALLET, arg_required_else_help = true)]
    Wallet(Wallet),
    /// Mine blocks, serve them to others, earn coins
    #[command(long_about = pages::MINER, after_long_help = pages::MINER_JSON)]
    Miner(Miner),
    /// Look at the chain, check it, or begin a new one
    #[command(subcommand, long_about = pages::CHAIN, arg_required_else_help = true)]
    Chain(Chain),
    /// Every parameter: its value, where that came from, what it means
    #[command(long_about = pages::CONFIG, after_long_help = pages::CONFIG_JSON)]
    Config,
    /// What stands in the way of a node here, and what to do about it
    #[command(long_about = pages::DOCTOR, after_long_help = pages::DOCTOR_JSON)]
    Doctor {
        /// How long to listen for peers [default: a status interval and a second]
        #[arg(long, value_name = "S", value_parser = clap::value_parser!(u16).range(1..=60))]
        seconds: Option<u16>,
    },
    /// Watch a whole network at work on this machine, step by step
    #[command(long_about = pages::DEMO, after_long_help = pages::DEMO_JSON)]
    Demo(Demo),
    /// How fast this machine mines, stops, and brings blocks to other nodes
    #[command(subcommand, long_about = pages::BENCH, arg_required_else_help = true)]
    Bench(Bench),
    /// The script with which a shell completes mvb's commands and options
    #[command(long_about = pages::COMPLETIONS, after_long_help = pages::COMPLETIONS_JSON)]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Write the man pages, one for each command
    #[command(long_about = pages::MAN, after_long_help = pages::MAN_JSON)]
    Man {
        /// The folder to write them to, made when there is none
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// The wallet's commands.
#[derive(Debug, Subcommand)]
pub enum Wallet {
    /// Create a key and with it an address to be paid at
    #[command(long_about = pages::NEW_ADDRESS, after_long_help = pages::NEW_ADDRESS_JSON)]
    NewAddress {
        /// Name of the key on this machine: 1 to 16 of A-Z a-z 0-9 _ -
        name: String,
        /// Curve of the key: 256, 384 or 521 bits [default: parameter key_size, 256]
        #[arg(long, value_name = "BITS", value_parser = curve_parser())]
        key_size: Option<Curve>,
        /// Protect the key's file with a passphrase, asked for or from MVB_PASSPHRASE
        #[arg(long)]
        encrypt: bool,
    },
    /// The addresses of this home with their balances
    #[command(long_about = pages::LIST_ADDRESSES, after_long_help = pages::LIST_ADDRESSES_JSON)]
    ListAddresses,
    /// Pay somebody
    #[command(long_about = pages::SEND, after_long_help = pages::SEND_JSON)]
    Send(Send),
    /// Replace a payment that is not confirmed yet by one to oneself
    #[command(long_about = pages::CANCEL, after_long_help = pages::SEND_JSON)]
    Cancel {
        /// The payment's id
        #[arg(value_name = "ID")]
        id: TxId,
    },
    /// Follow the network: download new blocks, announce payments not confirmed yet
    #[command(long_about = pages::SYNC, after_long_help = pages::SYNC_JSON)]
    Sync(Sync),
    /// What an address was paid and has paid, the newest first
    #[command(long_about = pages::HISTORY, after_long_help = pages::HISTORY_JSON)]
    History {
        /// Name of a key of this home, or any address
        #[arg(value_name = "NAME|ADDRESS")]
        of: String,
        /// Payments and rewards in blocks at most; pending ones come on top
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Why a payment is not confirmed yet
    #[command(long_about = pages::WHY, after_long_help = pages::WHY_JSON)]
    Why {
        /// The payment's id
        #[arg(value_name = "ID")]
        id: TxId,
    },
}

/// A payment to make.
#[derive(Debug, ClapArgs)]
pub struct Send {
    /// Who pays: name or address of a key of this home
    pub from: String,
    /// How much, in coins: 10 or 0.5, at most six decimals
    #[arg(allow_hyphen_values = true)]
    pub amount: Amount,
    /// Who is paid: any address, or the name of a key of this home
    pub to: String,
    /// What the miner gets on top, in coins; payments with more per byte go first
    #[arg(
        long,
        value_name = "F",
        default_value = "0",
        allow_hyphen_values = true
    )]
    pub fee: Amount,
    /// Wait until the payment is in a block
    #[arg(long)]
    pub wait: bool,
}

/// Options of following the network.
#[derive(Debug, ClapArgs)]
pub struct Sync {
    /// End with exit code 0 once nobody heard has a better chain
    #[arg(long)]
    pub until_synced: bool,
    /// The explorer.
    #[command(flatten)]
    pub http: Http,
    /// End also when stdin does, for programs that start this one and must not leave it behind
    #[arg(long)]
    pub until_stdin_ends: bool,
}

/// Options of the miner.
#[derive(Debug, ClapArgs)]
pub struct Miner {
    /// Threads that search [default: one for each core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// How they search: a kernel that `mvb bench mine` names [default: the fastest here]
    #[arg(long, value_name = "NAME")]
    pub kernel: Option<String>,
    /// Who gets the rewards [default: the key mining_rewards, made when there is none]
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub reward_to: Option<String>,
    /// Show all of it on one screen; q ends it
    #[arg(long, conflicts_with = "json")]
    pub dashboard: bool,
    /// The explorer.
    #[command(flatten)]
    pub http: Http,
    /// End also when stdin does, for programs that start this one and must not leave it behind
    #[arg(long, conflicts_with = "dashboard")]
    pub until_stdin_ends: bool,
}

/// Where to serve the explorer.
#[derive(Debug, ClapArgs)]
pub struct Http {
    /// Serve the explorer here, PORT or ADDRESS:PORT [default: 127.0.0.1:8600 or the next free port]
    #[arg(long, value_name = "ADDR", conflicts_with = "no_http")]
    pub http: Option<String>,
    /// Serve no explorer
    #[arg(long)]
    pub no_http: bool,
}

impl Http {
    /// The parameter that the options stand for.
    pub fn parameter(self) -> (&'static str, Option<String>) {
        let off = self.no_http.then(|| "off".to_owned());
        ("http", self.http.or(off))
    }
}

/// The chain's commands.
#[derive(Debug, Subcommand)]
pub enum Chain {
    /// Height, tip, work and parameters of this home's chain
    #[command(after_long_help = pages::CHAIN_INFO_JSON)]
    Info,
    /// One block: its header, its payments, its reward
    #[command(after_long_help = pages::CHAIN_BLOCK_JSON)]
    Block {
        /// A height of the active chain, or the id of any stored block
        #[arg(value_name = "HEIGHT|ID")]
        block: BlockRef,
        /// Show every hash that leads to the block's id, with the bytes that are hashed
        #[arg(long)]
        explain: bool,
    },
    /// Replay every block from genesis and compare the balances with the stored ones
    #[command(after_long_help = pages::CHAIN_VERIFY_JSON)]
    Verify,
    /// Begin a new chain under a new name; keys and payments are kept
    #[command(long_about = pages::RESET, after_long_help = pages::RESET_JSON)]
    Reset(Reset),
}

/// What to reset to.
#[derive(Debug, ClapArgs)]
pub struct Reset {
    /// The new network's name, 1 to 32 bytes
    #[arg(value_name = "NEW_NAME")]
    pub network_name: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Options of the demonstration.
#[derive(Debug, ClapArgs)]
pub struct Demo {
    /// Miners in the network, 2 to 8 [default: 2, in the lab 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=8))]
    pub miners: Option<u8>,
    /// End once the first payment is confirmed everywhere
    #[arg(long)]
    pub once: bool,
    /// A network in this process to split, heal and attack, by commands or on a page
    #[arg(long, conflicts_with = "once")]
    pub lab: bool,
    /// Serve the lab's page here, PORT or ADDRESS:PORT [default: 127.0.0.1:8600 or the next free port]
    #[arg(
        long,
        value_name = "ADDR",
        requires = "lab",
        conflicts_with = "no_http"
    )]
    pub http: Option<String>,
    /// Serve no page
    #[arg(long, requires = "lab")]
    pub no_http: bool,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Every way to search that this CPU has, compared
    #[command(long_about = pages::BENCH_MINE, after_long_help = pages::BENCH_MINE_JSON)]
    Mine(BenchMine),
    /// From a better chain to idle search threads and to the next job's first nonce
    #[command(long_about = pages::BENCH_STOP, after_long_help = pages::BENCH_STOP_JSON)]
    Stop(BenchStop),
    /// What the whole miner makes of a kernel: its rate, its blocks, its answers to others
    #[command(long_about = pages::BENCH_MINER, after_long_help = pages::BENCH_MINER_JSON)]
    Miner(BenchMiner),
    /// From a block found to the disks of all nodes of a network
    #[command(long_about = pages::BENCH_PROPAGATE, after_long_help = pages::BENCH_PROPAGATE_JSON)]
    Propagate(BenchPropagate),
    /// A long chain fetched, verified and stored, compared with verifying alone
    #[command(long_about = pages::BENCH_SYNC, after_long_help = pages::BENCH_SYNC_JSON)]
    Sync(BenchSync),
    /// Look-ups, commits, starts and bytes of a long chain, beside a short one's
    #[command(long_about = pages::BENCH_STORE, after_long_help = pages::BENCH_STORE_JSON)]
    Store(BenchStore),
    /// What becomes of many payments a second at a node that mines
    #[command(long_about = pages::BENCH_INTAKE, after_long_help = pages::BENCH_INTAKE_JSON)]
    Intake(BenchIntake),
    /// Every page of the explorer, over HTTP, on a long chain and a long history
    #[command(long_about = pages::BENCH_EXPLORER, after_long_help = pages::BENCH_EXPLORER_JSON)]
    Explorer(BenchExplorer),
}

/// Options of the measurement of speed.
#[derive(Debug, ClapArgs)]
pub struct BenchMine {
    /// Threads of "all threads" [default: one for each core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Only this kernel
    #[arg(long, value_name = "NAME")]
    pub kernel: Option<String>,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=3_600))]
    pub seconds: u16,
}

/// Options of the measurement of stopping.
#[derive(Debug, ClapArgs)]
pub struct BenchStop {
    /// Blocks announced for each number of threads
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub announcements: u32,
}

/// Options of the measurement of a whole miner.
#[derive(Debug, ClapArgs)]
pub struct BenchMiner {
    /// The kernel [default: the fastest here]
    #[arg(long, value_name = "NAME")]
    pub kernel: Option<String>,
    /// How long blocks are counted
    #[arg(long, value_name = "S", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub seconds: u16,
}

/// Options of the measurement of propagation.
#[derive(Debug, ClapArgs)]
pub struct BenchPropagate {
    /// Nodes in the network
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(2..=32))]
    pub nodes: u8,
    /// Blocks of a payment; a tenth as many full ones follow
    #[arg(long, value_name = "K", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub blocks: u32,
}

/// Options of the measurement of the store.
#[derive(Debug, ClapArgs)]
pub struct BenchStore {
    /// Blocks of the long chain
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    pub blocks: u64,
    /// Payments in each block
    #[arg(long, value_name = "M", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_000))]
    pub transactions_per_block: u32,
    /// Where the homes are made; kept, and the chains in them are used again [default: a passing one]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Options of the measurement of the explorer.
#[derive(Debug, ClapArgs)]
pub struct BenchExplorer {
    /// Blocks of the chain
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=100_000_000))]
    pub blocks: u64,
    /// Payments in each of them
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3_000))]
    pub transactions_per_block: u32,
    /// About how many payments each address makes and gets, at most all of them
    #[arg(long, value_name = "P", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(2..=100_000_000))]
    pub payments_of_one_address: u64,
    /// How often each page is asked for
    #[arg(long, value_name = "R", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub requests: u32,
    /// Where the home is made; kept, and the chain in it is used again [default: a passing one]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Options of the measurement of synchronising.
#[derive(Debug, ClapArgs)]
pub struct BenchSync {
    /// Blocks of the chain
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(10..=100_000_000))]
    pub blocks: u64,
    /// Payments in each of them
    #[arg(long, value_name = "M", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_000))]
    pub transactions_per_block: u32,
    /// Where the homes are made; kept, and the chain in it is used again [default: a passing one]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Options of the measurement of intake.
#[derive(Debug, ClapArgs)]
pub struct BenchIntake {
    /// Payments a second
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// For how long they come
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=60))]
    pub seconds: u16,
    /// Difficulty at which the node mines meanwhile
    #[arg(long, value_name = "BITS", default_value_t = 29, value_parser = clap::value_parser!(u8).range(1..=40))]
    pub difficulty: u8,
}

/// A `KEY=VALUE` of `--set`. Whether the key exists is the configuration's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The parameter.
    pub key: String,
    /// Its value, everything after the first `=`.
    pub value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("expected KEY=VALUE such as difficulty=20".to_owned()),
        }
    }
}

/// A block as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockRef {
    /// A height of the active chain.
    Height(Height),
    /// Any stored block.
    Id(BlockId),
}

impl FromStr for BlockRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // No height has 64 digits, so a text of digits is never both.
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        match text.parse() {
            Ok(height) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Self::Height(Height(height)))
            }
            _ => Err("expected a height such as 12, or 64 hex digits".to_owned()),
        }
    }
}

/// Parses a command line. `--set` may stand anywhere any number of times.
///
/// # Errors
/// What clap found, help and version included.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
    Args::try_parse_from(settings_last(arguments))
}

/// Moves every `--set` behind the command's name: clap keeps only the innermost of an
/// option's values when it stands both before and after a subcommand.
fn settings_last(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut settings = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--") => {
                settings.push(argument);
                settings.extend(arguments);
                break;
            }
            Some("--set") => {
                settings.push(argument);
                settings.extend(arguments.next());
            }
            Some(text) if text.starts_with("--set=") => settings.push(argument),
            _ => kept.push(argument),
        }
    }
    kept.extend(settings);
    kept
}

fn curve_parser() -> impl TypedValueParser<Value = Curve> {
    clap::builder::PossibleValuesParser::new(["256", "384", "521"]).try_map(|text| {
        text.parse()
            .ok()
            .and_then(Curve::from_bits)
            .ok_or("expected 256, 384 or 521")
    })
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=1024) => Ok(threads),
        _ => Err("expected 1 to 1024".to_owned()),
    }
}

/// The page that `mvb --help` prints.
pub fn long_help() -> impl std::fmt::Display {
    command().render_long_help()
}

/// The description of the whole command line, for what is made from it.
pub fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

#[cfg(test)]
mod guide_tests;
#[cfg(test)]
mod tests;
