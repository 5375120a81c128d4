//! `mvb bench explorer`: how long every page and every answer of the explorer takes on a long
//! chain and for an address with a long history. A real miner that waits for payments serves
//! them as a program of its own; this asks over one connection, as a browser does.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

mod http;
mod report;

use super::{
    generated::{Generated, Size},
    interrupt::Interrupt,
    programs::{Ports, Program},
};
use crate::{args, context::Context, exit::Exit, output, progress::Progress};
use anyhow::{Context as _, Result, bail};
use http::Connection;
use mvb_node::system::ThreadWorkers;
use mvb_protocol::{
    address::Address,
    chain::{ChainSnapshot, ChainStore, TxLocation},
    hash::{BlockId, TxId, sha256},
    numbers::Height,
};
use report::{Page, Report};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Instant,
};

/// How many blocks and payments of the chain are asked for in turn.
const PLACES: u64 = 50;

/// How many entries of a history are read at a time when they are counted.
const COUNTED: usize = 1_000;

/// Measures and reports.
pub fn run(context: &Context, wanted: &args::BenchExplorer, interrupt: &Interrupt) -> Result<Exit> {
    let size = Size {
        blocks: wanted.blocks,
        payments: wanted.transactions_per_block,
    };
    let place = super::Place::new(wanted.dir.as_deref())?;
    let threads = ThreadWorkers::new()?;
    let mut progress = Progress::new(&context.output);
    context.output.hint(format_args!(
        "making a chain of {} with {} in {}",
        output::count(size.blocks, "block"),
        output::count(size.all_payments(), "payment"),
        place.path().display()
    ));
    // Each payment has a sender and a receiver.
    let people = (2 * size.all_payments() / wanted.payments_of_one_address).max(2);
    let folder = place.path().join("serving");
    let chain =
        Generated::find_or_make_of(&folder, size, people, &threads, &mut progress, interrupt)?;
    let known = Known::of(&chain)?;

    context.output.hint("asking for pages");
    let ports = Ports::free().context("no free port on the loopback network")?;
    let port = free_port().context("no free port on the loopback network")?;
    let blocks = format!("block_server_port={}", ports.blocks);
    let http = port.to_string();
    let arguments = ["--set", &blocks, "miner", "--threads", "1", "--http", &http];
    let home = chain.home.path();
    let mut node = Program::start("miner", home, &chain.params, &ports, &arguments)?;
    node.until_serving(ports.blocks)?;
    node.until_serving(port)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut pages = known.pages();
    let mut connection = Connection::open(address)?;
    for round in 0..=wanted.requests {
        interrupt.check()?;
        for (page, took) in &mut pages {
            let path = page.path(&known, u64::from(round));
            let began = Instant::now();
            let answer = connection.get(&path)?;
            let passed = began.elapsed();
            if answer.status != page.status {
                bail!("{path} is answered with {}", answer.status);
            }
            took.bytes = answer.bytes;
            // The first round warms up what would be warm on a machine in use.
            if round > 0 {
                took.times.push(passed);
            }
        }
        let (done, of) = (u64::from(round), u64::from(wanted.requests));
        progress.set(done, of, "asking for pages");
    }
    progress.clear();
    node.check_alive()?;
    let pages = pages.into_iter().map(|(_, page)| page);
    context
        .output
        .report(&Report::new(size, known.entries, wanted.requests, pages))?;
    Ok(Exit::Done)
}

fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// What the chain holds, to be asked for.
struct Known {
    places: Vec<(Height, BlockId, TxId)>,
    busy: Address,
    entries: u64,
    middle: TxLocation,
}

impl Known {
    fn of(chain: &Generated) -> Result<Self> {
        let store = chain.store()?;
        let snapshot = store.snapshot()?;
        let blocks = chain.tip.height.0;
        let place = |number: u64| {
            let height = Height(2 + drawn(number) % (blocks - 1));
            let id = snapshot.active_id(height)?.context("a block is missing")?;
            let block = snapshot.block(&id)?.context("a block is missing")?;
            let ids = block.transaction_ids();
            let at = usize::try_from(drawn(number) >> 32)? % ids.len().max(1);
            let payment = ids.get(at).context("a block has no payment")?;
            Ok((height, id, *payment))
        };
        let places: Result<Vec<_>> = (0..PLACES).map(place).collect();
        // The one who gave everybody something has the longest history.
        let busy = chain.address(0);
        let (entries, _) = history(&*snapshot, &busy, u64::MAX)?;
        let (_, middle) = history(&*snapshot, &busy, entries / 2)?;
        Ok(Self {
            places: places?,
            busy,
            entries,
            middle: middle.context("the busiest address has no history")?,
        })
    }

    /// Everything that is asked for, in its order.
    fn pages(&self) -> Vec<(Asked, Page)> {
        let asked = |(name, path): &(&'static str, &'static str)| {
            let (status, path) = match path.strip_prefix("404 ") {
                Some(path) => (404, path),
                None => (if name.starts_with("search") { 303 } else { 200 }, *path),
            };
            (Asked { path, status }, Page::new(name))
        };
        PAGES.iter().map(asked).collect()
    }
}

/// What is asked for by which name. Words in braces stand for something of the chain.
const PAGES: [(&str, &str); 31] = [
    ("overview", "/"),
    ("blocks", "/blocks"),
    ("blocks, further down", "/blocks?before={height}"),
    ("block by height", "/blocks/{height}"),
    ("block by id", "/blocks/{block}"),
    ("payment", "/transactions/{payment}"),
    ("payment that nobody knows", "404 /transactions/{nothing}"),
    ("address", "/addresses/{busy}"),
    ("address, further down", "/addresses/{busy}?cursor={middle}"),
    ("address that nobody knows", "/addresses/{nothing}"),
    ("mempool", "/mempool"),
    ("peers", "/peers"),
    ("fork tree", "/forks"),
    ("search for a height", "/search?q={height}"),
    ("search for a block", "/search?q={block}"),
    ("search for a payment", "/search?q={payment}"),
    ("search for an address", "/search?q={busy}"),
    ("metrics", "/metrics"),
    ("health", "/healthz"),
    ("API: description", "/api/v1/openapi.json"),
    ("API: params", "/api/v1/params"),
    ("API: tip", "/api/v1/tip"),
    ("API: blocks", "/api/v1/blocks?limit=100"),
    ("API: block", "/api/v1/blocks/{height}"),
    ("API: payment", "/api/v1/transactions/{payment}"),
    ("API: address", "/api/v1/addresses/{busy}"),
    ("API: history", "/api/v1/addresses/{busy}/history?limit=100"),
    (
        "API: history, further down",
        "/api/v1/addresses/{busy}/history?limit=100&cursor={middle}",
    ),
    ("API: mempool", "/api/v1/mempool?limit=100"),
    ("API: peers", "/api/v1/peers"),
    ("API: fork tree", "/api/v1/forks"),
];

/// One of [`PAGES`], and the status of its answer.
struct Asked {
    path: &'static str,
    status: u16,
}

impl Asked {
    /// Its path in a round: each round asks for another place of the chain.
    fn path(&self, known: &Known, round: u64) -> String {
        let at = usize::try_from(round % PLACES).unwrap_or_default();
        let (height, block, payment) = known.places[at];
        let middle = known.middle;
        self.path
            .replace("{height}", &height.to_string())
            .replace("{block}", &block.to_string())
            .replace("{payment}", &payment.to_string())
            .replace("{busy}", &known.busy.to_lower_hex())
            .replace("{middle}", &format!("{}-{}", middle.height, middle.index))
            .replace("{nothing}", &BlockId(sha256(&[b"nothing"])).to_string())
    }
}

/// The entries of a history, the newest first, counted up to a number, and where that ends.
fn history(
    chain: &dyn ChainSnapshot,
    address: &Address,
    most: u64,
) -> Result<(u64, Option<TxLocation>)> {
    let (mut count, mut last) = (0, None);
    while count < most {
        let limit = usize::try_from(most - count).map_or(COUNTED, |left| left.min(COUNTED));
        let entries = chain.history(address, last, limit)?;
        let Some(entry) = entries.last() else {
            break;
        };
        last = Some(entry.location);
        count += entries.len() as u64;
    }
    Ok((count, last))
}

/// A number that looks random and is the same in every run.
fn drawn(number: u64) -> u64 {
    let bytes = sha256(&[&number.to_be_bytes()]);
    u64::from_be_bytes(bytes[..8].try_into().expect("a hash has more than 8 bytes"))
}
