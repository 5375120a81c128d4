//! Metrics for Prometheus in its text format, and the health of the node. Made from one
//! snapshot and no look-up in the chain, so that asking often costs nothing.

use crate::{
    problem::Problem,
    reply::{Reply, Request},
};
use actix_web::http::StatusCode;
use mvb_actors::view::MiningState;
use std::fmt::Write;

/// The text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics.
///
/// # Errors
/// Never.
pub fn metrics(request: &Request) -> Result<Reply, Problem> {
    let now = request.node.now();
    let (chain, mempool, counters) = (&now.chain, &now.mempool, &now.counters);
    let best = now.peers.peers.iter().map(|peer| peer.tip.height.0).max();
    let proven = now.peers.peers.iter().filter(|peer| peer.proven).count();
    let is_searching = matches!(now.mining.state, MiningState::Searching { .. });
    let threads = now.facts.search.as_ref().map_or(0, |search| search.threads);
    let up = request.now.0.saturating_sub(now.facts.started.0) as f64 / 1e3;
    let mut page = Page::default();
    let mut gauge = |name, help, value| page.add(name, "gauge", help, value);
    gauge(
        "mvb_height",
        "Height of the active chain",
        chain.tip.height.0 as f64,
    );
    gauge(
        "mvb_work",
        "Work of the active chain in hashes",
        chain.tip.work.as_f64(),
    );
    gauge(
        "mvb_tip_timestamp_seconds",
        "When the tip was made",
        chain.timestamp.0 as f64 / 1e3,
    );
    gauge(
        "mvb_deepest_reorg_blocks",
        "Deepest reorg of this run",
        chain.deepest_reorg as f64,
    );
    gauge(
        "mvb_mempool_payments",
        "Payments that wait",
        mempool.waiting as f64,
    );
    gauge(
        "mvb_mempool_ready_payments",
        "Payments that could be in the next block",
        mempool.ready as f64,
    );
    gauge(
        "mvb_mempool_bytes",
        "Bytes of the payments that wait",
        mempool.bytes as f64,
    );
    gauge(
        "mvb_peers",
        "Miners heard lately",
        now.peers.peers.len() as f64,
    );
    gauge(
        "mvb_proven_peers",
        "Miners heard lately whose claims were proven",
        proven as f64,
    );
    gauge(
        "mvb_best_peer_height",
        "Greatest height that a peer claims",
        best.unwrap_or(0) as f64,
    );
    gauge(
        "mvb_syncing",
        "Whether a better chain is being downloaded",
        f64::from(u8::from(now.peers.sync.is_some())),
    );
    gauge(
        "mvb_open_sessions",
        "Open sessions of the block server",
        now.open_sessions as f64,
    );
    gauge(
        "mvb_mining",
        "Whether a nonce is searched for",
        f64::from(u8::from(is_searching)),
    );
    gauge("mvb_search_threads", "Threads that search", threads as f64);
    gauge(
        "mvb_hashes_per_second",
        "Headers tried a second",
        now.mining.hashes_per_second,
    );
    gauge(
        "mvb_block_work",
        "Expected hashes of the block being searched",
        now.mining.block_work.as_f64(),
    );
    gauge("mvb_uptime_seconds", "Seconds since the start", up);
    let mut counter = |name, help, value: u64| page.add(name, "counter", help, value as f64);
    counter("mvb_reorgs_total", "Reorgs of this run", chain.reorgs);
    counter(
        "mvb_blocks_found_total",
        "Blocks found here and adopted",
        chain.blocks_found,
    );
    counter(
        "mvb_bad_datagrams_total",
        "Datagrams that were no message",
        counters.bad_datagrams,
    );
    counter(
        "mvb_dropped_datagrams_total",
        "Datagrams dropped in a rush",
        counters.dropped_datagrams,
    );
    counter(
        "mvb_other_network_total",
        "Statuses of other networks",
        counters.other_network,
    );
    counter(
        "mvb_refused_payments_total",
        "Payments refused",
        counters.refused_payments,
    );
    counter(
        "mvb_refused_connections_total",
        "Connections turned away",
        counters.refused_connections,
    );
    counter(
        "mvb_failed_sessions_total",
        "Sessions that failed",
        counters.failed_sessions,
    );
    Ok(Reply::of(TEXT, page.0))
}

/// Whether the node can go on.
///
/// # Errors
/// Never.
pub fn health(request: &Request) -> Result<Reply, Problem> {
    let now = request.node.now();
    match &now.fatal {
        None => Ok(Reply::of(TEXT, "ok\n")),
        Some(reason) => {
            let reply = Reply::of(TEXT, format!("{reason}\n"));
            Ok(reply.with_status(StatusCode::SERVICE_UNAVAILABLE))
        }
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn add(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        // Writing into a text cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP {name} {help}.\n# TYPE {name} {kind}\n{name} {value}"
        );
    }
}
