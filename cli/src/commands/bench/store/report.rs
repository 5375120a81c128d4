//! What `mvb bench store` found, as it is printed.

use super::Size;
use crate::output;
use serde::Serialize;
use std::{fmt, time::Duration};

/// All of it.
#[derive(Serialize)]
pub struct Report {
    /// The payments in a block.
    transactions_per_block: u32,
    /// The short chain and the long one.
    chains: Vec<ChainLine>,
    /// `mvb wallet list-addresses` on an empty chain.
    empty_list_addresses_seconds: f64,
    /// The start of a node on an empty chain.
    empty_start_seconds: f64,
    /// A balance of the long chain by one of the short one.
    balance_ratio: f64,
    /// `mvb wallet list-addresses` on the long chain by that on an empty one.
    list_addresses_ratio: f64,
}

/// One chain.
#[derive(Serialize)]
pub struct ChainLine {
    /// Its blocks.
    blocks: u64,
    /// Each kind of look-up.
    lookups_microseconds: Lookups,
    /// One block, synced: half of them took at most so long.
    commit_p50_ms: f64,
    /// 99 of 100 took at most so long.
    commit_p99_ms: f64,
    /// `mvb wallet list-addresses` with 10 keys, as a whole program.
    pub list_addresses_seconds: f64,
    /// From a node's start until others can connect to it.
    pub start_seconds: f64,
    /// The store's file.
    file_bytes: u64,
    /// The same by the payments.
    bytes_per_payment: f64,
}

/// Microseconds of each, with the beginning and the end of the snapshot it is made in.
#[derive(Serialize)]
pub struct Lookups {
    /// An account by its address.
    pub balance: f64,
    /// A block by its height.
    pub block_by_height: f64,
    /// A block by its id.
    pub block_by_id: f64,
    /// Where a payment stands, by its id.
    pub transaction: f64,
    /// The newest 25 entries of an address's history.
    pub history_page: f64,
}

impl ChainLine {
    /// From what was measured inside this process.
    pub fn new(size: Size, lookups: Lookups, commits: &[Duration], file_bytes: u64) -> Self {
        let mut sorted: Vec<f64> = commits.iter().map(|c| c.as_secs_f64() * 1e3).collect();
        sorted.sort_by(f64::total_cmp);
        let part = |share: f64| {
            let at = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        Self {
            blocks: size.blocks,
            lookups_microseconds: lookups,
            commit_p50_ms: part(0.50),
            commit_p99_ms: part(0.99),
            list_addresses_seconds: 0.0,
            start_seconds: 0.0,
            file_bytes,
            bytes_per_payment: file_bytes as f64 / size.all_payments() as f64,
        }
    }
}

impl Report {
    /// From its parts; of an empty chain the listing of addresses and the start.
    pub fn new(payments: u32, empty: (f64, f64), chains: Vec<ChainLine>) -> Self {
        let ratio = |long: f64, short: f64| long / short.max(f64::MIN_POSITIVE);
        let balance =
            |line: Option<&ChainLine>| line.map_or(0.0, |line| line.lookups_microseconds.balance);
        let listing = chains
            .last()
            .map_or(0.0, |line| line.list_addresses_seconds);
        Self {
            transactions_per_block: payments,
            empty_list_addresses_seconds: empty.0,
            empty_start_seconds: empty.1,
            balance_ratio: ratio(balance(chains.last()), balance(chains.first())),
            list_addresses_ratio: ratio(listing, empty.0),
            chains,
        }
    }
}

/// The middle value; between two, the upper.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |what: &str, unit: &str, value: &dyn Fn(&ChainLine) -> f64| {
            write!(f, "{:<34}", format!("{what}, {unit}"))?;
            for chain in &self.chains {
                write!(f, "{:>16.2}", value(chain))?;
            }
            writeln!(f)
        };
        line("blocks", "thousands", &|chain| chain.blocks as f64 / 1e3)?;
        line("balance", "µs", &|c| c.lookups_microseconds.balance)?;
        line("block by height", "µs", &|c| {
            c.lookups_microseconds.block_by_height
        })?;
        line("block by id", "µs", &|c| {
            c.lookups_microseconds.block_by_id
        })?;
        line("payment by id", "µs", &|c| {
            c.lookups_microseconds.transaction
        })?;
        line("page of history", "µs", &|c| {
            c.lookups_microseconds.history_page
        })?;
        line("commit of a block, p50", "ms", &|c| c.commit_p50_ms)?;
        line("commit of a block, p99", "ms", &|c| c.commit_p99_ms)?;
        line("list-addresses", "ms", &|c| c.list_addresses_seconds * 1e3)?;
        line("start of a node", "ms", &|c| c.start_seconds * 1e3)?;
        line("file", "MiB", &|c| c.file_bytes as f64 / f64::from(1 << 20))?;
        line("bytes a payment", "bytes", &|c| c.bytes_per_payment)?;
        writeln!(
            f,
            "a balance takes {:.2} times as long on the long chain; on an empty chain \
             list-addresses takes {:.1} ms, the long chain {:.2} times that, and a start {}",
            self.balance_ratio,
            self.empty_list_addresses_seconds * 1e3,
            self.list_addresses_ratio,
            output::duration(self.empty_start_seconds)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_no_slower_than_half_of_its_values() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0].into_iter()), 4.0);
    }
}
