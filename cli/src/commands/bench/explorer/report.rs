//! What `mvb bench explorer` found, as it is printed.

use super::Size;
use crate::output;
use serde::Serialize;
use std::{fmt, time::Duration};

/// All of it.
#[derive(Serialize)]
pub struct Report {
    /// The blocks of the chain.
    blocks: u64,
    /// The payments in a block.
    transactions_per_block: u32,
    /// The entries in the history of the address that is asked for.
    history_entries: u64,
    /// How often each page was asked for.
    requests: u32,
    /// The pages.
    pages: Vec<PageLine>,
}

/// One page while it is measured.
pub struct Page {
    name: &'static str,
    /// How long each answer took.
    pub times: Vec<Duration>,
    /// The bytes of the last one.
    pub bytes: usize,
}

/// One page.
#[derive(Debug, PartialEq, Serialize)]
struct PageLine {
    page: &'static str,
    p50_ms: f64,
    p95_ms: f64,
    max_ms: f64,
    bytes: usize,
}

impl Page {
    /// Of that name, not asked for yet.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            times: Vec::new(),
            bytes: 0,
        }
    }

    fn line(&self) -> PageLine {
        let mut sorted: Vec<f64> = self.times.iter().map(|t| t.as_secs_f64() * 1e3).collect();
        sorted.sort_by(f64::total_cmp);
        let part = |share: f64| {
            let at = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        PageLine {
            page: self.name,
            p50_ms: part(0.50),
            p95_ms: part(0.95),
            max_ms: part(1.0),
            bytes: self.bytes,
        }
    }
}

impl Report {
    /// From its parts.
    pub fn new(
        size: Size,
        history_entries: u64,
        requests: u32,
        pages: impl Iterator<Item = Page>,
    ) -> Self {
        Self {
            blocks: size.blocks,
            transactions_per_block: size.payments,
            history_entries,
            requests,
            pages: pages.map(|page| page.line()).collect(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} with {} each; the address asked for has a history of {}; each page {}",
            output::count(self.blocks, "block"),
            output::count(u64::from(self.transactions_per_block), "payment"),
            output::grouped(self.history_entries),
            output::count(u64::from(self.requests), "time"),
        )?;
        writeln!(
            f,
            "{:<28}{:>10}{:>10}{:>10}{:>12}",
            "milliseconds", "p50", "p95", "max", "bytes"
        )?;
        for line in &self.pages {
            let PageLine {
                page,
                p50_ms,
                p95_ms,
                max_ms,
                bytes,
            } = line;
            let bytes = output::grouped(*bytes as u64);
            writeln!(
                f,
                "{page:<28}{p50_ms:>10.2}{p95_ms:>10.2}{max_ms:>10.2}{bytes:>12}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_of_twenty_answers_take_no_longer_than_p95() {
        let mut page = Page::new("overview");
        page.times = (1..=20).map(Duration::from_millis).collect();
        let line = page.line();
        assert_eq!((line.p50_ms, line.p95_ms, line.max_ms), (10.0, 19.0, 20.0));
    }
}
