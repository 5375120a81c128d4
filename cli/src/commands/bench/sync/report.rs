//! What `mvb bench sync` found, as it is printed.

use super::{Alone, Size, Synced};
use crate::output;
use serde::Serialize;
use std::{fmt, time::Duration};

/// How far the chain was at a moment after the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The moment.
    pub at: Duration,
    /// The height that was stored.
    pub height: u64,
}

/// All of it.
#[derive(Serialize)]
pub struct Report {
    /// The blocks fetched.
    blocks: u64,
    /// The payments in each.
    transactions_per_block: u32,
    /// From the start of the process to the tip being stored, without the turns of the other.
    seconds: f64,
    /// Blocks.
    blocks_per_second: f64,
    /// Payments.
    transactions_per_second: f64,
    /// What the same signatures take by themselves, on all cores.
    verifications_per_second: f64,
    /// In how many turns the two were measured.
    turns: usize,
    /// The one by the other.
    ratio_to_verification: f64,
    /// In the first tenth of the blocks.
    first_tenth_blocks_per_second: f64,
    /// In the last tenth.
    last_tenth_blocks_per_second: f64,
    /// What the signatures of the first tenth took by themselves, so that a machine that changed
    /// its speed is seen.
    first_tenth_verifications_per_second: f64,
    /// Those of the last tenth.
    last_tenth_verifications_per_second: f64,
    /// The most anonymous memory of the syncing process.
    most_anonymous_bytes: Option<u64>,
    /// Its processor time.
    processor_seconds: Option<f64>,
    /// That of the process that served it.
    serving_processor_seconds: Option<f64>,
    /// The store's file afterwards.
    file_bytes: u64,
    /// The same by the payments.
    bytes_per_payment: f64,
}

impl Report {
    /// From what was seen of both.
    pub fn new(size: Size, synced: &Synced, alone: &Alone) -> Self {
        let seconds = synced.samples.last().map_or(Duration::ZERO, |last| last.at);
        let seconds = seconds.as_secs_f64();
        let payments = size.all_payments() as f64;
        let tenth = size.blocks / 10;
        let rate = |from, to| blocks_per_second(&synced.samples, from, to);
        let alone_rate =
            |from, to| blocks_per_second(&alone.samples, from, to) * f64::from(size.payments);
        let transactions_per_second = payments / seconds;
        let verifications_per_second = payments / alone.reached().at.as_secs_f64();
        Self {
            blocks: size.blocks,
            transactions_per_block: size.payments,
            seconds,
            blocks_per_second: size.blocks as f64 / seconds,
            transactions_per_second,
            verifications_per_second,
            turns: alone.samples.len() - 1,
            ratio_to_verification: transactions_per_second / verifications_per_second,
            first_tenth_blocks_per_second: rate(0, tenth),
            last_tenth_blocks_per_second: rate(size.blocks - tenth, size.blocks),
            first_tenth_verifications_per_second: alone_rate(0, tenth),
            last_tenth_verifications_per_second: alone_rate(size.blocks - tenth, size.blocks),
            most_anonymous_bytes: synced.most_memory,
            processor_seconds: synced.processor_time,
            serving_processor_seconds: synced.serving_time,
            file_bytes: synced.file_bytes,
            bytes_per_payment: synced.file_bytes as f64 / payments,
        }
    }
}

/// How fast the chain grew from one height to another. It was seen growing in steps, so the
/// moment of a height lies between two of them.
fn blocks_per_second(samples: &[Sample], from: u64, to: u64) -> f64 {
    let moment = |height: u64| {
        let after = samples.partition_point(|sample| sample.height < height);
        let (Some(after), before) = (samples.get(after), after.saturating_sub(1)) else {
            return 0.0;
        };
        let before = samples[before];
        let step = (after.height - before.height).max(1) as f64;
        let part = (height - before.height.min(height)) as f64 / step;
        before.at.as_secs_f64() + part * (after.at.saturating_sub(before.at)).as_secs_f64()
    };
    (to - from) as f64 / (moment(to) - moment(from))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "{} of {} in {}",
            output::count(self.blocks, "block"),
            output::count(self.transactions_per_block, "payment"),
            output::duration(self.seconds)
        )?;
        writeln!(
            f,
            "{:.0} blocks/s, {:.0} payments/s; the signatures alone, on all cores: {:.0}/s; ratio {:.2}, \
             measured in {}",
            self.blocks_per_second,
            self.transactions_per_second,
            self.verifications_per_second,
            self.ratio_to_verification,
            output::count(self.turns as u64, "turn"),
        )?;
        writeln!(
            f,
            "first tenth {:.0} blocks/s, last tenth {:.0} blocks/s; the signatures of these alone: \
             {:.0}/s and {:.0}/s",
            self.first_tenth_blocks_per_second,
            self.last_tenth_blocks_per_second,
            self.first_tenth_verifications_per_second,
            self.last_tenth_verifications_per_second
        )?;
        if let (Some(own), Some(serving)) = (self.processor_seconds, self.serving_processor_seconds)
        {
            writeln!(
                f,
                "processor time {own:.1} s, of the node that served it {serving:.1} s"
            )?;
        }
        if let Some(memory) = self.most_anonymous_bytes {
            writeln!(f, "anonymous memory at most {:.0} MiB", mib(memory))?;
        }
        writeln!(
            f,
            "file {:.0} MiB, {:.0} bytes a payment",
            mib(self.file_bytes),
            self.bytes_per_payment
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_its_part_of_the_way() {
        let samples = [(0, 0), (10, 50), (12, 90), (22, 100)].map(|(at, height)| Sample {
            at: Duration::from_secs(at),
            height,
        });
        assert_eq!(blocks_per_second(&samples, 0, 10), 5.0);
        assert_eq!(blocks_per_second(&samples, 50, 90), 20.0);
        assert_eq!(blocks_per_second(&samples, 90, 100), 1.0);
    }
}
