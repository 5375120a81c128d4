//! The simulator: whole nodes on simulated machines, driven by one seed through chaos, then
//! healing, then peace. A seed decides everything, so a failure is repeated by its seed
//! alone. `cargo test` runs a few seeds, the `simulate` program as many as it is asked for.

mod people;
mod profile;
mod report;

pub use report::{Broken, Failure, Report};

use crate::{checks::Replayer, cluster::Cluster, sim_env::EPOCH_MS, sim_node};
use mvb_actors::{env::RandomStream, view::MiningState};
use mvb_protocol::{
    chain::{ChainStore, StoreError, Tip},
    hash::TxId,
    numbers::Timestamp,
    transaction::Transaction,
};
use people::People;
use profile::{MACHINES, Profile};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// How often the harness acts: breaks something, repairs it, pays.
const BEAT: Duration = Duration::from_millis(250);

/// How many beats pass between two checks of every machine.
const BEATS_PER_CHECK: u32 = 4;

/// All machines must have one tip so long after the network has healed.
const HEALING: Duration = Duration::from_secs(10);

/// Every payment that can be paid must be in a block so long after mining goes on.
const SETTLING: Duration = Duration::from_secs(60);

/// How wrong a clock may be, in milliseconds. Two of them lie within the 15 seconds that a
/// block may be ahead of the clock.
const MOST_SKEW_MS: u64 = 6_000;

/// Runs one seed from genesis to peace. With `aloud` every event is printed.
///
/// # Errors
/// Names the first promise broken.
pub fn run(seed: u64, aloud: bool) -> Result<Report, Failure> {
    let mut run = Run::new(seed, aloud);
    let result = run.all_phases();
    let at = run.cluster.elapsed();
    result.map_err(|broken| Failure { seed, at, broken })?;
    Ok(run.report)
}

/// Runs many seeds on some threads; a run itself needs but one. A failure is handed to
/// `on_failure` as soon as it is found; the reports of the others are in order of their seeds.
pub fn run_many(
    seeds: Range<u64>,
    threads: usize,
    aloud: bool,
    on_failure: &(dyn Fn(&Failure) + Sync),
) -> Vec<Report> {
    let next = AtomicU64::new(seeds.start);
    let reports = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    match run(seed, aloud) {
                        Ok(report) => {
                            let mut reports =
                                reports.lock().unwrap_or_else(PoisonError::into_inner);
                            reports.insert(seed, report);
                        }
                        Err(failure) => on_failure(&failure),
                    }
                }
            });
        }
    });
    let reports = reports.into_inner();
    let reports = reports.unwrap_or_else(PoisonError::into_inner);
    reports.into_values().collect()
}

/// A run under way.
struct Run {
    profile: Profile,
    random: RandomStream,
    cluster: Cluster,
    people: People,
    replayer: Replayer,
    /// When each cut link works again.
    mends: BTreeMap<(usize, usize), Duration>,
    /// When each crashed machine boots again.
    boots: BTreeMap<usize, Duration>,
    report: Report,
}

impl Run {
    fn new(seed: u64, aloud: bool) -> Self {
        let random = RandomStream::new(seed, u64::MAX);
        let profile = Profile::new(seed, &random, aloud);
        let people = People::new(MACHINES);
        let program = sim_node::program(people.addresses(), profile.cluster.miners);
        let cluster = Cluster::new(profile.cluster.clone(), program);
        for machine in cluster.machines() {
            machine.skew_ms.set(skew(&random));
        }
        Self {
            replayer: Replayer::new(profile.cluster.params.clone()),
            report: Report {
                seed,
                ..Report::default()
            },
            mends: BTreeMap::new(),
            boots: BTreeMap::new(),
            profile,
            random,
            cluster,
            people,
        }
    }

    fn all_phases(&mut self) -> Result<(), Broken> {
        if !cfg!(tokio_unstable) {
            return Err(Broken::NotSeeded);
        }
        self.chaos()?;
        self.heal()?;
        self.settle()?;
        self.finish()
    }

    /// Everything goes wrong, and people pay all the same.
    fn chaos(&mut self) -> Result<(), Broken> {
        self.cluster.weather().loss.set(self.profile.loss);
        self.cluster.weather().doubled.set(self.profile.doubled);
        let mut beat = 0;
        while self.cluster.elapsed() < self.profile.chaos {
            self.advance(BEAT)?;
            self.repair_what_is_due();
            if self.happens(self.profile.partitions) {
                self.split();
            }
            if self.happens(self.profile.crashes) {
                self.crash_one();
            }
            if self.happens(self.profile.clock_jumps) {
                let machine = self.any_machine();
                self.cluster.note(machine, "clock jumps");
                self.cluster.machines()[machine]
                    .skew_ms
                    .set(skew(&self.random));
                self.report.clock_jumps += 1;
            }
            self.people_pay()?;
            beat += 1;
            if beat % BEATS_PER_CHECK == 0 {
                self.check_all()?;
            }
        }
        Ok(())
    }

    /// The network works again and nobody mines: all machines must come to one tip, the
    /// best that any of them has.
    fn heal(&mut self) -> Result<(), Broken> {
        self.cluster.set_mining(false);
        self.cluster.weather().loss.set(0.0);
        self.cluster.weather().doubled.set(0.0);
        self.cluster.set_latency(Duration::from_millis(100));
        for link in std::mem::take(&mut self.mends).into_keys() {
            self.cluster.mend(link.0, link.1);
        }
        for machine in std::mem::take(&mut self.boots).into_keys() {
            self.cluster.boot(machine);
        }
        if self.profile.wallets_end {
            for machine in self.cluster.machines() {
                machine.outbox.clear();
                machine.journal.lock().disconnected.clear();
            }
        }
        self.report.healed_after = self.agree()?;
        self.check_all()
    }

    /// Mining goes on, until no payment that can be paid waits.
    fn settle(&mut self) -> Result<(), Broken> {
        let start = self.cluster.elapsed();
        self.cluster.set_mining(true);
        loop {
            let waiting = self.waiting()?;
            self.report.settled_after = self.cluster.elapsed() - start;
            if waiting.is_empty() {
                break;
            }
            if self.report.settled_after > SETTLING {
                return Err(Broken::Unpaid { waiting });
            }
            self.advance(4 * BEAT)?;
        }
        self.cluster.set_mining(false);
        self.agree()?;
        self.check_all()
    }

    /// Runs until all machines have one tip and work on it.
    fn agree(&mut self) -> Result<Duration, Broken> {
        let start = self.cluster.elapsed();
        loop {
            let tips = self.tips()?;
            let best = tips.iter().fold(tips[0], |best, tip| {
                if tip.is_better_than(&best) {
                    *tip
                } else {
                    best
                }
            });
            let took = self.cluster.elapsed() - start;
            let agreed = tips.iter().all(|tip| *tip == best);
            if agreed && self.not_at_work(best).is_none() {
                // What was under way when the mining stopped may still arrive.
                self.advance(BEAT)?;
                if self.tips()?.iter().all(|tip| *tip == best) {
                    return Ok(took);
                }
            }
            if took > HEALING {
                return Err(match self.not_at_work(best) {
                    Some((machine, doing)) if agreed => Broken::Idle { machine, doing },
                    _ => Broken::Diverged { tips },
                });
            }
            self.advance(BEAT)?;
        }
    }

    /// A machine that does not show `tip`, or whose miner neither searches for the block
    /// after it nor waits for payments; and what it does instead.
    fn not_at_work(&self, tip: Tip) -> Option<(usize, String)> {
        let machines = self.cluster.machines().iter().enumerate();
        machines
            .filter_map(|(number, machine)| {
                let view = machine.view()?;
                let (shown, mining) = (view.chain.borrow().tip, view.mining.borrow().state.clone());
                let works = match &mining {
                    MiningState::Searching { parent, .. } => *parent == tip.id,
                    MiningState::WaitingForPayments { .. } => true,
                    MiningState::Off => number >= self.profile.cluster.miners,
                    MiningState::Listening | MiningState::CatchingUp => false,
                };
                (shown != tip || !works).then(|| (number, format!("{shown:?}, {mining:?}")))
            })
            .next()
    }

    /// The payments somebody still remembers and that the next blocks could hold, unless
    /// they are too few for a block.
    fn waiting(&self) -> Result<Vec<TxId>, Broken> {
        let mut remembered: BTreeMap<TxId, Arc<Transaction>> = BTreeMap::new();
        for machine in self.cluster.machines() {
            for payment in machine.outbox.payments() {
                remembered.insert(payment.id(), payment);
            }
            for id in &machine.journal.lock().disconnected {
                remembered.extend(self.people.made().get(id).map(|tx| (*id, tx.clone())));
            }
        }
        let disk = self.cluster.machines()[0].disk.clone();
        let waiting = self.replayer.payable(&*disk.snapshot()?, &remembered)?;
        let block_needs = self.profile.cluster.params.block_size - 1;
        Ok(if waiting.len() < block_needs as usize {
            Vec::new()
        } else {
            waiting
        })
    }

    fn finish(&mut self) -> Result<(), Broken> {
        let report = &mut self.report;
        for machine in self.cluster.machines() {
            let journal = machine.journal.lock();
            report.reorgs += journal.reorgs;
            report.deepest_reorg = report.deepest_reorg.max(journal.deepest_reorg);
        }
        let disk = self.cluster.machines()[0].disk.clone();
        let chain = disk.snapshot()?;
        report.height = chain.tip()?.height.0;
        report.payments = self.people.made().len();
        for id in self.people.made().keys() {
            report.confirmed += usize::from(chain.transaction(id)?.is_some());
        }
        report.disturbed = self.cluster.weather().disturbed.get();
        (report.trace, report.events) = self.cluster.trace();
        Ok(())
    }

    fn advance(&mut self, duration: Duration) -> Result<(), Broken> {
        let result = self.cluster.run_for(duration);
        result.map_err(|what| Broken::Ended { what })
    }

    fn check_all(&mut self) -> Result<(), Broken> {
        for (number, machine) in self.cluster.machines().iter().enumerate() {
            self.replayer
                .check(machine)
                .map_err(|violation| Broken::Unsafe {
                    machine: number,
                    violation: Box::new(violation),
                })?;
        }
        Ok(())
    }

    fn tips(&self) -> Result<Vec<Tip>, StoreError> {
        let machines = self.cluster.machines().iter();
        machines
            .map(|machine| machine.disk.snapshot()?.tip())
            .collect()
    }

    fn people_pay(&mut self) -> Result<(), Broken> {
        let elapsed = u64::try_from(self.cluster.elapsed().as_millis()).unwrap_or(u64::MAX);
        let timestamp = Timestamp(EPOCH_MS + elapsed);
        let genesis = self.profile.cluster.params.genesis_id();
        for number in 0..MACHINES {
            if !self.cluster.is_up(number) || !self.happens(self.profile.payments) {
                continue;
            }
            let machine = self.cluster.machines()[number].clone();
            let paid = self
                .people
                .pay(number, &machine, genesis, timestamp, &self.random)?;
            if let Some(id) = paid {
                self.cluster.note(number, &format!("pays {id:.8}"));
            }
        }
        Ok(())
    }

    fn repair_what_is_due(&mut self) {
        let now = self.cluster.elapsed();
        let due: Vec<_> = self.mends.extract_if(.., |_, at| *at <= now).collect();
        for ((from, to), _) in due {
            self.cluster.mend(from, to);
        }
        let due: Vec<_> = self.boots.extract_if(.., |_, at| *at <= now).collect();
        for (machine, _) in due {
            self.cluster.boot(machine);
        }
    }

    /// Splits the network in two for some seconds, one time in three in one direction only.
    fn split(&mut self) {
        let until =
            self.cluster.elapsed() + Duration::from_millis(1_000 + self.random.below(14_000));
        let half = 1 + self.random.below((1 << MACHINES) - 2);
        let one_way = self.random.below(3) == 0;
        let inside = |machine: usize| half & (1 << machine) != 0;
        for from in 0..MACHINES {
            for to in 0..MACHINES {
                if from != to && inside(from) != inside(to) && (inside(from) || !one_way) {
                    self.cluster.cut(from, to);
                    let mend = self.mends.entry((from, to)).or_insert(until);
                    *mend = until.max(*mend);
                }
            }
        }
        self.report.partitions += 1;
    }

    fn crash_one(&mut self) {
        let machine = self.any_machine();
        if !self.cluster.is_up(machine) {
            return;
        }
        self.cluster.crash(machine);
        let off = Duration::from_millis(self.random.below(8_000));
        self.boots.insert(machine, self.cluster.elapsed() + off);
        self.report.crashes += 1;
    }

    fn any_machine(&self) -> usize {
        self.random.below(MACHINES as u64) as usize
    }

    fn happens(&self, share: f64) -> bool {
        self.random.unit() < share
    }
}

/// An error for a clock, either way.
fn skew(random: &RandomStream) -> i64 {
    random.below(2 * MOST_SKEW_MS) as i64 - MOST_SKEW_MS as i64
}
