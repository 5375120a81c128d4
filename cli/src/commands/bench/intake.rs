//! `mvb bench intake`: what becomes of payments that arrive as datagrams, many a second for a
//! while, at a node that mines on all cores meanwhile.
//!
//! One node is a process of its own over loopback. Every payment is valid, signed beforehand by
//! payers whose coins are on the chain, and sent once, at an even pace, from one address. What
//! the node counts is read from the file in which it tells other processes what it sees; what the
//! system dropped for want of room in the node's receive buffer is the system's own count. Each
//! payment must be in one of these counts: what is in none was lost, and is reported as such.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

use super::{
    funds::Funds,
    processes::{self, Bed, NodeProcess},
};
use crate::{args, context::Context, exit::Exit, output, progress::Progress};
use anyhow::{Context as _, Result};
use mvb_node::{
    home::Home,
    resident::{self, IntakeStatus, Resident},
};
use mvb_protocol::{amount::Amount, params::ChainParams};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt, fs,
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The payments of one payer that wait at most, of those that a mempool holds for one sender.
const PER_PAYER: usize = 60;

/// About what a block with a reward holds.
const MOST_PAYERS: usize = 5_000;

/// How often the next few datagrams are sent.
const TICK: Duration = Duration::from_millis(1);

/// How long the node may take for what it has been sent, once the last datagram is out.
const SETTLING: Duration = Duration::from_secs(20);

/// How often the node writes what it has counted.
const INTERVAL: Duration = Duration::from_millis(500);

/// Bytes of mempool for each payment: one has about 200 over the fixed layouts.
const BYTES_A_PAYMENT: usize = 256;

/// Measures and reports.
pub fn run(context: &Context, intake: &args::BenchIntake) -> Result<Exit> {
    let report = processes::run(measure(context, intake))?;
    context.output.report(&report)?;
    Ok(Exit::Done)
}

async fn measure(context: &Context, intake: &args::BenchIntake) -> Result<Report> {
    let count = intake.rate as usize * usize::from(intake.seconds);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let params = ChainParams {
        network_name: "intake".to_owned(),
        difficulty: intake.difficulty,
        block_size: 1,
        block_reward: Amount::from_units(1_000_000_000_000),
        ..ChainParams::default()
    };
    context.output.hint(format_args!(
        "signing {}, then {} a second for {} s while {} mine at difficulty {}",
        output::count(count as u64, "payment"),
        intake.rate,
        intake.seconds,
        output::count(threads as u64, "thread"),
        intake.difficulty,
    ));
    let payers = count.div_ceil(PER_PAYER).clamp(1, MOST_PAYERS);
    let mut funds = Funds::new(&params, payers, payers)?;
    let payments = funds.payments(count);
    let datagrams: Vec<Vec<u8>> = payments.iter().map(|p| p.to_datagram()).collect();
    drop(payments);

    let bed = Bed::new(params)?;
    bed.make_chain("node", |store| funds.write(store))?;
    let settings = [
        (
            "mempool_bytes",
            (count * BYTES_A_PAYMENT).max(1 << 20).to_string(),
        ),
        (
            "mempool_per_source_per_second",
            (2 * intake.rate).to_string(),
        ),
        (
            "status_broadcast_interval_seconds",
            INTERVAL.as_secs_f64().to_string(),
        ),
    ];
    let mut node = bed.start("node", threads, &settings).await?;
    node.wait_for("mining", |event| event["state"] == "searching")
        .await?;

    let home = Home::open(&bed.home("node"))?;
    let before = seen(context, &home)?.height;
    let mut progress = Progress::new(&context.output);
    let sending = Sending::begin(datagrams, intake.rate, bed.transaction_port)?;
    while !sending.is_done() {
        node.check_alive()?;
        progress.set(seen(context, &home)?.counted(), count as u64, "payments");
        tokio::time::sleep(INTERVAL).await;
    }
    let sent = sending.finish()?;
    let settled = settle(context, &home, &mut node, &bed, sent.count).await?;
    progress.clear();
    Ok(Report::new(intake, &sent, settled, before))
}

/// What the node says of itself.
struct Seen {
    height: u64,
    waiting: usize,
    intake: IntakeStatus,
}

impl Seen {
    fn counted(&self) -> u64 {
        self.intake.total()
    }
}

fn seen(context: &Context, home: &Home) -> Result<Seen> {
    match resident::read(home, context.now())? {
        Resident::Alive(status) => Ok(Seen {
            height: status.height,
            waiting: status.waiting,
            intake: status.intake,
        }),
        _ => Ok(Seen {
            height: 0,
            waiting: 0,
            intake: IntakeStatus::default(),
        }),
    }
}

/// What had become of the payments, and when.
struct Settled {
    seen: Seen,
    kernel_drops: Option<u64>,
    after: Duration,
}

/// Waits until every payment is accounted for, or nothing has moved for long.
async fn settle(
    context: &Context,
    home: &Home,
    node: &mut NodeProcess,
    bed: &Bed,
    sent: u64,
) -> Result<Settled> {
    let began = Instant::now();
    loop {
        node.check_alive()?;
        let seen = seen(context, home)?;
        let kernel_drops = kernel_drops(bed.transaction_port);
        let after = began.elapsed();
        if seen.counted() + kernel_drops.unwrap_or_default() >= sent || after > SETTLING {
            return Ok(Settled {
                seen,
                kernel_drops,
                after,
            });
        }
        tokio::time::sleep(INTERVAL / 5).await;
    }
}

/// A thread that sends datagrams at an even pace.
struct Sending {
    thread: Option<std::thread::JoinHandle<Result<Sent>>>,
    ended: Arc<AtomicBool>,
}

/// What was sent.
struct Sent {
    count: u64,
    took: Duration,
}

/// Tells the thread to end when the measurement does.
impl Drop for Sending {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

impl Sending {
    fn begin(datagrams: Vec<Vec<u8>>, rate: u32, port: u16) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_broadcast(true)?;
        let to = (Ipv4Addr::new(127, 255, 255, 255), port);
        let ended = Arc::new(AtomicBool::new(false));
        let is_ended = ended.clone();
        let thread = std::thread::spawn(move || {
            let began = Instant::now();
            let mut sent = 0;
            while sent < datagrams.len() && !is_ended.load(Ordering::Relaxed) {
                let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as usize;
                // A sender that was held up for long does not make up for it in one burst.
                let burst = (rate as usize / 20).max(1);
                for datagram in datagrams.iter().take(due).skip(sent).take(burst) {
                    socket.send_to(datagram, to)?;
                    sent += 1;
                }
                std::thread::sleep(TICK);
            }
            Ok(Sent {
                count: sent as u64,
                took: began.elapsed(),
            })
        });
        Ok(Self {
            thread: Some(thread),
            ended,
        })
    }

    fn is_done(&self) -> bool {
        self.thread
            .as_ref()
            .is_none_or(|thread| thread.is_finished())
    }

    fn finish(mut self) -> Result<Sent> {
        let thread = self.thread.take().context("it is finished once")?;
        let sent = thread.join().ok().context("the sender has panicked")?;
        sent.context("cannot send datagrams")
    }
}

/// The datagrams that the system dropped at the sockets bound to a port of the loopback
/// network, where it tells.
fn kernel_drops(port: u16) -> Option<u64> {
    drops_of(&fs::read_to_string("/proc/net/udp").ok()?, port)
}

/// The last column of the lines of a port, as Linux writes them.
fn drops_of(table: &str, port: u16) -> Option<u64> {
    let bound = format!(":{port:04X}");
    let drops = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_whitespace();
        let is_bound = columns.nth(1)?.ends_with(&bound);
        let drops = columns.last()?.parse::<u64>().ok()?;
        is_bound.then_some(drops)
    });
    drops.reduce(|sum, drops| sum + drops)
}

/// What was measured.
#[derive(Serialize)]
struct Report {
    difficulty: u8,
    sent: u64,
    per_second: f64,
    accepted: u64,
    accepted_share: f64,
    duplicates: u64,
    refused: BTreeMap<String, u64>,
    dropped: u64,
    malformed: u64,
    kernel_drops: Option<u64>,
    unaccounted: u64,
    settled_after_seconds: f64,
    blocks: u64,
    waiting: usize,
}

impl Report {
    fn new(intake: &args::BenchIntake, sent: &Sent, settled: Settled, before: u64) -> Self {
        let Settled {
            seen,
            kernel_drops,
            after,
        } = settled;
        let counted = seen.counted() + kernel_drops.unwrap_or_default();
        Self {
            difficulty: intake.difficulty,
            sent: sent.count,
            per_second: sent.count as f64 / sent.took.as_secs_f64(),
            accepted: seen.intake.accepted,
            accepted_share: seen.intake.accepted as f64 / sent.count.max(1) as f64,
            duplicates: seen.intake.duplicates,
            refused: seen.intake.refused,
            dropped: seen.intake.dropped_datagrams,
            malformed: seen.intake.bad_datagrams,
            kernel_drops,
            unaccounted: sent.count.saturating_sub(counted),
            settled_after_seconds: after.as_secs_f64(),
            blocks: seen.height.saturating_sub(before),
            waiting: seen.waiting,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} valid payments sent, {:.0} a second, while mining; {} found meanwhile\n",
            self.sent,
            self.per_second,
            output::count(self.blocks, "block")
        )?;
        let share = |count: u64| 100.0 * count as f64 / self.sent.max(1) as f64;
        let mut line =
            |what: &str, count: u64| writeln!(f, "{what:<52}{count:>10}{:>9.2} %", share(count));
        line("accepted", self.accepted)?;
        line("known already", self.duplicates)?;
        for (reason, count) in &self.refused {
            line(&format!("refused: {reason}"), *count)?;
        }
        line("dropped by the node", self.dropped)?;
        line("not understood", self.malformed)?;
        match self.kernel_drops {
            Some(drops) => line("dropped by the system, receive buffer full", drops)?,
            None => writeln!(f, "this system does not tell what it drops")?,
        }
        writeln!(
            f,
            "{:<52}{:>10}{:>9.2} %",
            "not accounted for",
            self.unaccounted,
            share(self.unaccounted)
        )?;
        writeln!(
            f,
            "\nall settled {:.1} s after the last was sent; {} wait",
            self.settled_after_seconds, self.waiting
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_drops_are_those_of_the_ports_own_lines() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  123: FFFFFF7F:0A30 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 11 2 0000000000000000 17
  124: FFFFFF7F:0A2E 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12 2 0000000000000000 5
  125: 0100007F:0A30 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 13 2 0000000000000000 1
";
        assert_eq!(drops_of(table, 0x0A30), Some(18));
        assert_eq!(drops_of(table, 1), None);
    }
}
