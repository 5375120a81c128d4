//! `mvb bench propagate`: how long a block takes from the miner that finds it to the disk of
//! every node of a network of real processes over loopback.
//!
//! Every node is a miner that waits for payments, so none takes processor time from the others.
//! One after the other is handed the payment it lacks; at difficulty 1 it finds the block at
//! once. The block then takes the way that every block takes: commit and sync at the finder,
//! status datagram, connection, headers, body, commit and sync at each of the others.
//!
//! What is told, and how fine: this process is connected to every node's block server, as a
//! peer is, and each node announces a tip there as soon as its disk has it. One process reads
//! one monotonic clock: just before it writes the payment to the finder's connection, and
//! whenever an announcement has been read. A block counts from the time in its header, which the
//! miner reads when it begins to put the block together, or from the payment, whichever is
//! later. So each figure also holds the hashing of the payments, the search, and the way of the
//! announcement to this process: a little too much, never too little. In the same run the
//! sync alone of a small file beside the homes is measured: a block needs two, one after the
//! other, the second at all nodes but the finder at once.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

use super::{
    client::Client,
    funds::Funds,
    processes::{self, Bed, NodeProcess},
    share::Share,
};
use crate::{args, context::Context, exit::Exit, progress::Progress};
use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use mvb_protocol::{
    amount::Amount,
    chain::Tip,
    hash::BlockId,
    params::ChainParams,
    transaction::Transaction,
    wire::{GetHeaders, Headers, Request, Response},
};
use serde::Serialize;
use std::{
    fmt,
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// What a full block holds: about the most that fits its bytes.
const FULL: usize = 4_000;

/// For each full block so many small ones are measured, since it takes as much longer.
const SMALL_FOR_A_FULL: u32 = 10;

/// Those who pay for the full blocks, each at most as often as a mempool holds for one sender.
const PAYERS: usize = 80;

/// Between two blocks, so that one's way does not touch the next one's: a node announces its
/// status some times a second at most.
const GAP: Duration = Duration::from_millis(300);

/// Syncs measured alone.
const SYNCS: usize = 100;

/// Measures and reports.
pub fn run(context: &Context, propagate: &args::BenchPropagate) -> Result<Exit> {
    let report = processes::run(measure(context, propagate))?;
    context.output.report(&report)?;
    Ok(Exit::Done)
}

async fn measure(context: &Context, propagate: &args::BenchPropagate) -> Result<Report> {
    let nodes = usize::from(propagate.nodes);
    let full_blocks = propagate.blocks.div_ceil(SMALL_FOR_A_FULL);
    context.output.hint(format_args!(
        "{nodes} nodes; {} blocks of a payment, then {full_blocks} of {FULL} that all nodes know",
        propagate.blocks
    ));
    let mut progress = Progress::new(&context.output);

    let mut network = Network::start(nodes, 1).await?;
    let sync = Share::millis(syncs(network.bed.folder())?);
    let mut small = Vec::new();
    for number in 0..propagate.blocks {
        progress.set(number.into(), propagate.blocks.into(), "small blocks");
        let payment = network.treasury_payment();
        small.push(network.block(number as usize % nodes, payment).await?);
    }
    drop(network);

    let mut network = Network::start(nodes, FULL + 1).await?;
    let mut full = Vec::new();
    for number in 0..full_blocks {
        progress.set(number.into(), full_blocks.into(), "full blocks");
        let known = network.funds.payments(FULL);
        try_join_all(
            network
                .clients
                .iter_mut()
                .map(|client| client.offer(&known)),
        )
        .await?;
        let payment = network.treasury_payment();
        full.push(network.block(number as usize % nodes, payment).await?);
    }
    progress.clear();
    Ok(Report {
        nodes,
        sync,
        small: Found::of(&small),
        full_payments: FULL,
        full: Found::of(&full),
    })
}

/// Nodes that all have the same chain, and a connection to each.
struct Network {
    clients: Vec<Client>,
    funds: Funds,
    nodes: Vec<NodeProcess>,
    bed: Bed,
}

/// How long a block took, from before it was found.
struct Block {
    /// To the finder's disk.
    finder: Duration,
    /// To each other node's.
    others: Vec<Duration>,
}

impl Network {
    /// A network whose blocks need so many payments.
    async fn start(nodes: usize, payments: usize) -> Result<Self> {
        let params = ChainParams {
            network_name: format!("propagate-{payments}"),
            difficulty: 1,
            block_size: u32::try_from(payments + 1)?,
            block_reward: Amount::from_units(1_000_000_000_000),
            ..ChainParams::default()
        };
        let payers = if payments > 1 { PAYERS } else { 0 };
        let funds = Funds::new(&params, payers, payments)?;
        let bed = Bed::new(params)?;
        let mut network = Self {
            clients: Vec::new(),
            funds,
            nodes: Vec::new(),
            bed,
        };
        for number in 1..=nodes {
            let name = format!("node-{number}");
            let bed = &network.bed;
            bed.make_chain(&name, |store| network.funds.write(store))?;
            let node = bed.start(&name, 1, &[]).await?;
            network
                .clients
                .push(Client::connect(node.port, &bed.params).await?);
            network.nodes.push(node);
        }
        // Until it has listened for one status interval, a miner does not mine.
        for node in &mut network.nodes {
            node.wait_for("waiting for payments", |event| {
                event["state"] == "waiting-for-payments"
            })
            .await?;
        }
        Ok(network)
    }

    fn treasury_payment(&mut self) -> Transaction {
        let Funds {
            treasury, payers, ..
        } = &mut self.funds;
        let to = payers
            .first()
            .map_or_else(|| treasury.address(), |payer| payer.address());
        treasury.pay(&self.bed.params, to, Amount::from_units(1))
    }

    /// Hands the finder the payment it lacks, and waits until every node has the block.
    async fn block(&mut self, finder: usize, payment: Transaction) -> Result<Block> {
        tokio::time::sleep(GAP).await;
        for node in &mut self.nodes {
            node.check_alive()?;
        }
        for (client, node) in self.clients.iter_mut().zip(&self.nodes) {
            // A connection tells of some hundred tips and ends when nothing is asked on it.
            *client = Client::connect(node.port, &self.bed.params).await?;
        }
        let height = self.clients[finder].greeted.height;
        let same = self
            .clients
            .iter()
            .all(|client| client.greeted == self.clients[finder].greeted);
        ensure!(same, "the nodes did not agree before a block was found");
        let offer = Request::OfferTransaction(Box::new(payment));
        let parent = self.clients[finder].greeted.id;
        let (began, wall) = (Instant::now(), SystemTime::now());
        self.clients[finder].write(&offer).await?;
        let committed = self
            .clients
            .iter_mut()
            .map(|client| client.announced(move |tip| tip.height > height));
        let committed = try_join_all(committed).await?;
        let same = committed.iter().all(|(_, tip)| *tip == committed[finder].1);
        ensure!(same, "two nodes found a block at once");
        let begun = UNIX_EPOCH + self.begun(finder, parent).await?;
        let began = began + begun.duration_since(wall).unwrap_or_default();
        let took = |(at, _): &(Instant, Tip)| at.checked_duration_since(began);
        let took: Option<Vec<Duration>> = committed.iter().map(took).collect();
        let mut took = took.context("a block is younger than its announcement")?;
        Ok(Block {
            finder: took.remove(finder),
            others: took,
        })
    }
}

impl Network {
    /// When the finder began to put together the block after this one, since 1970.
    async fn begun(&mut self, finder: usize, parent: BlockId) -> Result<Duration> {
        let locator = vec![parent];
        let request = Request::GetHeaders(GetHeaders { locator, limit: 1 });
        match self.clients[finder].ask(&request).await? {
            Response::Headers(Headers { headers }) if headers.len() == 1 => {
                Ok(Duration::from_millis(headers[0].timestamp.0))
            }
            other => bail!("got {other:?} for the header of a new block"),
        }
    }
}

/// Writes and syncs a small file again and again.
fn syncs(folder: &Path) -> Result<Vec<Duration>> {
    let mut file = File::create(folder.join("sync"))?;
    (0..SYNCS)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&[1; 16 << 10])?;
            file.sync_data()?;
            Ok(began.elapsed())
        })
        .collect()
}

/// What was measured, in milliseconds.
#[derive(Serialize)]
struct Report {
    nodes: usize,
    sync: Share,
    small: Found,
    full_payments: usize,
    full: Found,
}

/// From before a block was found to the disk of some nodes.
#[derive(Serialize)]
struct Found {
    blocks: usize,
    all: Share,
    finder: Share,
    last: Share,
}

impl Found {
    fn of(blocks: &[Block]) -> Self {
        let others = || blocks.iter().flat_map(|block| &block.others).copied();
        let finders = || blocks.iter().map(|block| block.finder);
        let last = |block: &Block| {
            block
                .others
                .iter()
                .copied()
                .fold(block.finder, Duration::max)
        };
        Self {
            blocks: blocks.len(),
            all: Share::millis(finders().chain(others())),
            finder: Share::millis(finders()),
            last: Share::millis(blocks.iter().map(last)),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            nodes,
            sync,
            small,
            full_payments,
            full,
        } = self;
        writeln!(
            f,
            "milliseconds from before a block is found to its commit, syncs included, {nodes} nodes\n"
        )?;
        writeln!(f, "{:<44}{:>9}{:>9}{:>9}", "", "p50", "p99", "max")?;
        let mut line = |what: String, share: &Share| {
            let Share { p50, p99, max } = share;
            writeln!(f, "{what:<44}{p50:>9.2}{p99:>9.2}{max:>9.2}")
        };
        for (what, found) in [
            ("1 payment".to_owned(), small),
            (format!("{full_payments} known payments"), full),
        ] {
            let blocks = found.blocks;
            line(format!("{blocks} blocks of {what}: each node"), &found.all)?;
            line("  the finder alone".to_owned(), &found.finder)?;
            line("  the last of the nodes".to_owned(), &found.last)?;
        }
        line("a sync of 16 KiB alone, one at a time".to_owned(), sync)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finder_counts_among_all_nodes_and_the_last_is_the_slowest() {
        let ms = Duration::from_millis;
        let block = Block {
            finder: ms(1),
            others: vec![ms(3), ms(2)],
        };
        let found = Found::of(&[block]);
        assert_eq!((found.all.p50, found.all.max), (2.0, 3.0));
        assert_eq!((found.finder.max, found.last.p50), (1.0, 3.0));
    }
}
