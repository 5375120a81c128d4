//! The overview: what the node is at, at a glance.

use super::{
    chart,
    layout::{Live, Place, ago, empty, heading, page, span},
    lists,
};
use crate::{
    look,
    problem::Problem,
    reply::{Reply, Request},
};
use maud::{Markup, html};
use mvb_actors::view::{MiningState, MiningView};
use mvb_node::{snapshot::NodeSnapshot, words};
use mvb_protocol::{numbers::Timestamp, params::ChainParams};

/// How many blocks are plotted.
const PLOTTED: usize = 60;

/// How many are listed.
const LISTED: usize = 12;

/// The page.
///
/// # Errors
/// When the chain cannot be read.
pub fn overview(request: &Request) -> Result<Reply, Problem> {
    let now = request.node.now();
    let chain = request.node.chain()?;
    let mut headers = look::headers(&*chain, None, PLOTTED + 1)?;
    let points: Vec<chart::Point> = headers
        .iter()
        .rev()
        .map(|(_, stored)| (stored.header.height, stored.header.timestamp))
        .collect();
    let intervals = chart::intervals(&points);
    headers.truncate(LISTED);
    let lines = look::lines(&*chain, headers, &now.blocks)?;
    let params = &request.node.params;
    let target = u64::from(params.target_block_seconds) * 1_000;
    let main = html! {
        (heading("Overview", html! {
            @match &now.facts.search {
                Some(_) => "This node mines on ",
                None => "This node follows ",
            }
            strong { (params.network_name) } ". Up for "
            (span(request.now.0.saturating_sub(now.facts.started.0))) "."
        }))
        div #notices data-live { (notices(&now)) }
        div #figures data-live { (figures(&now, params, request.now, &intervals)) }
        section aria-labelledby="times" {
            header {
                h2 #times { "Block times" }
                span .quiet { "how long each of the last blocks took" }
            }
            div #plot data-live {
                @if intervals.is_empty() {
                    (empty("Nothing to plot yet", html! { "Two blocks make the first interval." }))
                } @else {
                    div .card { (chart::block_times(&intervals, (target > 0).then_some(target))) }
                }
            }
        }
        section aria-labelledby="latest" {
            header { h2 #latest { "Latest blocks" } a href="/blocks" { "All blocks" } }
            div #blocks data-live {
                @if lines.is_empty() {
                    (empty("No block yet", html! {
                        "The first one needs no payments. "
                        code { "mvb miner" } " on this network makes it."
                    }))
                } @else {
                    (lists::block_table(&lines, request.now, &now))
                }
            }
        }
    };
    let body = page(&request.node, Place::Overview, "Overview", Live::Yes, main);
    Ok(Reply::page(body))
}

/// What somebody may have to act on.
fn notices(now: &NodeSnapshot) -> Markup {
    html! {
        @if let Some(fatal) = &now.fatal { p .notice role="alert" { "This node cannot go on: " (fatal) } }
        @if let Some(other) = &now.peers.other_network { p .notice { "Ignored: " (other) } }
        @if let Some(sync) = &now.peers.sync {
            p .notice .good {
                "Downloading from " (sync.peer) ": block " (words::grouped(sync.height.0))
                " of " (words::grouped(sync.claimed.0))
            }
        }
    }
}

fn figures(
    now: &NodeSnapshot,
    params: &ChainParams,
    clock: Timestamp,
    intervals: &[(mvb_protocol::numbers::Height, u64)],
) -> Markup {
    let tip = &now.chain;
    let peers = &now.peers.peers;
    html! {
        dl .figures {
            (figure("Height", words::grouped(tip.tip.height.0), match tip.tip.height.0 {
                0 => "genesis".to_owned(),
                _ => ago(tip.timestamp, clock),
            }))
            (figure("Block time", match chart::mean(intervals) {
                Some(mean) => span(mean as u64),
                None => "–".to_owned(),
            }, match params.target_block_seconds {
                0 => format!("mean of {}", intervals.len()),
                seconds => format!("aimed at {seconds} s"),
            }))
            (figure("Difficulty", bits(now, params), match params.target_block_seconds {
                0 => "fixed".to_owned(),
                _ => format!("at least {} bits", params.difficulty),
            }))
            (mining(&now.mining))
            (figure("Peers", words::grouped(peers.len() as u64), match peers.iter().map(|peer| peer.tip.height).max() {
                Some(best) => format!("best claim: {}", words::grouped(best.0)),
                None => "nobody is heard".to_owned(),
            }))
            (figure("Mempool", words::grouped(now.mempool.waiting as u64),
                format!("{} ready, {}", words::grouped(now.mempool.ready as u64), lists::bytes(now.mempool.bytes))))
            (figure("Found here", words::grouped(tip.blocks_found), "blocks in this run".to_owned()))
            (figure("Reorgs", words::grouped(tip.reorgs), match tip.deepest_reorg {
                0 => "none in this run".to_owned(),
                deepest => format!("the deepest of {}", words::count(deepest, "block")),
            }))
        }
    }
}

fn mining(mining: &MiningView) -> Markup {
    let rate = match mining.hashes_per_second {
        rate if rate > 0.0 => words::hash_rate(rate),
        _ => "–".to_owned(),
    };
    let state = match &mining.state {
        MiningState::Off => "does not mine".to_owned(),
        MiningState::Listening => "listens for others first".to_owned(),
        MiningState::CatchingUp => "catches up first".to_owned(),
        MiningState::WaitingForPayments { missing } => {
            format!("waits for {}", words::count(*missing, "payment"))
        }
        MiningState::Searching { height, .. } => {
            format!("on block {}", words::grouped(height.0))
        }
    };
    figure("Hash rate", rate, state)
}

/// The work of the next block in bits, or what the parameters say.
fn bits(now: &NodeSnapshot, params: &ChainParams) -> String {
    let work = now.mining.block_work.as_f64();
    match work {
        work if work >= 1.0 && params.target_block_seconds > 0 => {
            format!("{:.1} bits", work.log2())
        }
        _ => format!("{} bits", params.difficulty),
    }
}

fn figure(name: &str, value: String, more: String) -> Markup {
    html! {
        div { dt { (name) } dd { span .value { (value) } span .more { (more) } } }
    }
}
