//! The simulator: whole nodes on simulated machines, driven by one seed through chaos, then
//! healing, then peace. A seed decides everything, so a failure is repeated by its seed
//! alone. `cargo test` runs a few seeds, the `simulate` program as many as it is asked for.

mod chaos;
mod forge;
mod history;
mod liar;
#[cfg(mvb_mutants)]
pub mod mutants;
mod people;
mod profile;
mod report;

pub use profile::Kind;
pub use report::{Broken, Failure, Report};

use crate::{
    checks::{Limits, Replayer},
    cluster::{Cluster, Machine, Program},
    sim_env::EPOCH_MS,
    sim_node,
};
use chaos::{BEAT, skew};
use liar::Underworld;
use mvb_actors::{env::RandomStream, view::MiningState};
use mvb_protocol::{
    chain::{ChainStore, StoreError, Tip},
    hash::TxId,
    mutants::without,
    numbers::Timestamp,
    transaction::Transaction,
    validate::Sequential,
};
use people::People;
use profile::Profile;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops::Range,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Every payment that can be paid must be in a block so long after mining goes on.
const SETTLING: Duration = Duration::from_secs(60);

/// And so many blocks later, beside one for each payment.
const SETTLING_BLOCKS: u64 = 8;

/// Every so many runs the whole store of a machine is verified at the end, as `mvb chain
/// verify` does.
const RUNS_PER_VERIFY: u64 = 8;

/// Runs one seed from genesis to peace. With `aloud` every event is printed.
///
/// # Errors
/// Names the first promise broken.
pub fn run(seed: u64, kind: Kind, aloud: bool) -> Result<Report, Failure> {
    let fail = |at, broken| Failure {
        seed,
        kind,
        at,
        broken,
    };
    let mut run = Run::new(seed, kind, aloud).map_err(|broken| fail(Duration::ZERO, broken))?;
    let result = run.all_phases();
    let at = run.cluster.elapsed();
    result.map_err(|broken| fail(at, broken))?;
    Ok(run.report)
}

/// Runs many seeds on some threads; a run itself needs but one. Each end is handed to
/// `on_end` at once; the reports of runs without failure come in order of their seeds.
pub fn run_many(
    seeds: Range<u64>,
    kind: Kind,
    threads: usize,
    aloud: bool,
    on_end: &(dyn Fn(&Result<Report, Failure>) + Sync),
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
                    let end = run(seed, kind, aloud);
                    on_end(&end);
                    if let Ok(report) = end {
                        let mut reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
                        reports.insert(seed, report);
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
    underworld: Rc<Underworld>,
    replayer: Replayer,
    /// When each cut link works again.
    mends: BTreeMap<(usize, usize), Duration>,
    /// When each crashed machine boots again.
    boots: BTreeMap<usize, Duration>,
    /// When each failing disk works again.
    disks: BTreeMap<usize, Duration>,
    report: Report,
}

impl Run {
    fn new(seed: u64, kind: Kind, aloud: bool) -> Result<Self, Broken> {
        let random = RandomStream::new(seed, u64::MAX);
        let profile = Profile::new(seed, kind, &random, aloud);
        let people = People::new(profile.nodes, profile.shared_key);
        let underworld = Rc::new(Underworld {
            tricks: profile.tricks.clone(),
            machines: RefCell::default(),
            people: People::new(profile.nodes, profile.shared_key),
            peace: Cell::new(false),
            next_flaw: Cell::new(seed as usize % 1_024),
            played: RefCell::default(),
        });
        let honest = sim_node::program(people.addresses(), profile.config.clone());
        let lying = liar::program(underworld.clone());
        let nodes = profile.nodes;
        let program: Program = Rc::new(move |machine, env| {
            if machine < nodes {
                honest(machine, env)
            } else {
                lying(machine, env)
            }
        });
        let cluster = Cluster::new(profile.cluster.clone(), program);
        for machine in &cluster.machines()[..nodes] {
            machine.skew_ms.set(skew(&random, profile.skew_ms));
            underworld.machines.borrow_mut().push(machine.clone());
        }
        without(|| history::write(&cluster.machines()[..nodes], &profile, &people.addresses()))?;
        Ok(Self {
            replayer: Replayer::new(profile.cluster.params.clone(), people.addresses()),
            report: Report {
                seed,
                kind: profile.kind.name(),
                ..Report::default()
            },
            mends: BTreeMap::new(),
            boots: BTreeMap::new(),
            disks: BTreeMap::new(),
            profile,
            random,
            cluster,
            people,
            underworld,
        })
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

    /// The network works again and nobody mines: all machines must come to one tip, the
    /// best that any of them has.
    fn heal(&mut self) -> Result<(), Broken> {
        self.cluster.set_mining(false);
        self.repair_everything();
        if self.profile.wallets_end {
            for machine in self.nodes() {
                machine.outbox.clear();
                machine.journal.lock().disconnected.clear();
            }
        }
        self.report.healed_after = self.agree()?;
        self.check_all()
    }

    /// Mining goes on, until no payment that can be paid waits.
    fn settle(&mut self) -> Result<(), Broken> {
        let (start, from) = (self.cluster.elapsed(), best_of(&self.tips()?));
        let before = self.blocks_found();
        // The smallest blocks hold little more than one payment.
        let blocks = SETTLING_BLOCKS + without(|| self.waiting())?.len() as u64;
        self.cluster.set_mining(true);
        loop {
            let waiting = without(|| self.waiting())?;
            let ready = self.ready();
            let took = self.cluster.elapsed() - start;
            self.report.settled_after = took;
            if waiting.is_empty() && ready.is_empty() {
                break;
            }
            // Liars may have made blocks so hard that a minute sees none.
            let height = best_of(&self.tips()?).height.0;
            let is_long_over = took > 20 * SETTLING;
            let is_over = took > SETTLING && height >= from.height.0 + blocks;
            let is_lost = is_over || is_long_over && !self.searches_in_vain();
            if !waiting.is_empty() && is_lost {
                return Err(Broken::Unpaid { waiting });
            }
            let found = self.blocks_found();
            let had_its_turn = |machine: usize| found[machine] >= before[machine] + 2;
            let mut stuck = ready.into_iter();
            if let Some((machine, ready)) = stuck.find(|(machine, _)| had_its_turn(*machine))
                && is_over
            {
                return Err(Broken::Stuck { machine, ready });
            }
            if is_long_over {
                break;
            }
            self.advance(4 * BEAT)?;
        }
        self.cluster.set_mining(false);
        self.agree()?;
        self.check_all()
    }

    /// Whether miners search for a block that may be out of their reach: a moving target that
    /// liars have driven up takes longer to come down than a run lasts.
    fn searches_in_vain(&self) -> bool {
        let moves = self.profile.cluster.params.target_block_seconds > 0;
        let searches = |machine: &Rc<Machine>| {
            let view = machine.view();
            view.is_some_and(|view| {
                matches!(view.mining.borrow().state, MiningState::Searching { .. })
            })
        };
        moves && self.nodes().iter().any(searches)
    }

    /// Runs until all machines have one tip and work on it.
    fn agree(&mut self) -> Result<Duration, Broken> {
        let start = self.cluster.elapsed();
        loop {
            let tips = self.tips()?;
            let best = without(|| self.goal(&tips));
            let took = self.cluster.elapsed() - start;
            let agreed = self.have_agreed(&tips, best);
            if agreed && self.not_at_work(best).is_none() {
                // What was under way when the mining stopped may still arrive.
                self.advance(BEAT)?;
                if self.have_agreed(&self.tips()?, best) {
                    return Ok(took);
                }
            }
            if took > self.profile.healing {
                return Err(match self.not_at_work(best) {
                    Some((machine, doing)) if agreed => Broken::Idle {
                        after: self.profile.healing,
                        machine,
                        doing,
                    },
                    _ => Broken::Diverged {
                        after: self.profile.healing,
                        tips,
                    },
                });
            }
            self.advance(BEAT)?;
        }
    }

    /// What all machines are to agree on: the best tip, or where there are liars the best of
    /// those who serve others. A branch that liars have shown to nobody but wallets, and now
    /// keep to themselves, is for nobody else to have.
    fn goal(&self, tips: &[Tip]) -> Tip {
        let serving = match self.profile.tricks.is_empty() {
            true => tips.len(),
            false => self.profile.cluster.miners,
        };
        best_of(&tips[..serving])
    }

    fn have_agreed(&self, tips: &[Tip], goal: Tip) -> bool {
        let mut tips = tips.iter().enumerate();
        tips.all(|(number, tip)| *tip == goal || self.is_ahead(number, *tip, goal))
    }

    /// Whether a machine is a wallet that liars have shown something better.
    fn is_ahead(&self, number: usize, tip: Tip, goal: Tip) -> bool {
        let is_wallet = number >= self.profile.cluster.miners;
        is_wallet && !self.profile.tricks.is_empty() && without(|| tip.is_better_than(&goal))
    }

    /// A machine that does not show `tip`, or whose miner neither searches for the block
    /// after it nor waits for payments; and what it does instead.
    fn not_at_work(&self, tip: Tip) -> Option<(usize, String)> {
        let machines = self.nodes().iter().enumerate();
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
                let shows = shown == tip || self.is_ahead(number, shown, tip);
                (!shows || !works).then(|| (number, format!("{shown:?}, {mining:?}")))
            })
            .next()
    }

    /// The payments somebody still remembers and that the next blocks could hold, unless
    /// they are too few for a block.
    fn waiting(&self) -> Result<Vec<TxId>, Broken> {
        let mut remembered: BTreeMap<TxId, Arc<Transaction>> = BTreeMap::new();
        for machine in self.nodes() {
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

    /// How many blocks each machine has found since its boot.
    fn blocks_found(&self) -> Vec<u64> {
        let found = |machine: &Rc<Machine>| Some(machine.view()?.chain.borrow().blocks_found);
        let nodes = self.nodes().iter();
        nodes.map(|machine| found(machine).unwrap_or(0)).collect()
    }

    /// The miners whose mempools hold payments enough for a block, each with how many.
    fn ready(&self) -> Vec<(usize, usize)> {
        let needed = self.profile.cluster.params.block_size.saturating_sub(1) as usize;
        let miners = self.nodes()[..self.profile.cluster.miners].iter();
        let ready = |machine: &Rc<Machine>| Some(machine.view()?.mempool.borrow().ready);
        miners
            .enumerate()
            .map(|(number, machine)| (number, ready(machine).unwrap_or(0)))
            .filter(|(_, ready)| *ready >= needed.max(1))
            .collect()
    }

    fn finish(&mut self) -> Result<(), Broken> {
        self.verify_a_store()?;
        let report = &mut self.report;
        for (trick, times) in self.underworld.played.borrow().iter() {
            *report.faults.entry(trick).or_default() += times;
        }
        for machine in &self.cluster.machines()[..self.profile.nodes] {
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
        let disturbed = self.cluster.weather().disturbed.get();
        if disturbed > 0 {
            report.faults.insert("datagrams lost or doubled", disturbed);
        }
        (report.trace, report.events) = self.cluster.trace();
        Ok(())
    }

    fn advance(&mut self, duration: Duration) -> Result<(), Broken> {
        let result = self.cluster.run_for(duration);
        result.map_err(|what| Broken::Ended { what })
    }

    /// Checks what must hold at any moment, on every machine.
    fn check_all(&mut self) -> Result<(), Broken> {
        let elapsed = u64::try_from(self.cluster.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ahead = self.profile.cluster.params.max_future_ms() + self.profile.skew_ms;
        let limits = Limits {
            latest: Timestamp(EPOCH_MS + elapsed + ahead),
            mempool_bytes: self.profile.config.mempool_bytes,
            pins: self.profile.config.pinned,
        };
        let nodes = &self.cluster.machines()[..self.profile.nodes];
        for (number, machine) in nodes.iter().enumerate() {
            let checked = without(|| self.replayer.check(machine, &limits));
            checked.map_err(|violation| Broken::Unsafe {
                machine: number,
                violation: Box::new(violation),
            })?;
        }
        Ok(())
    }

    /// Once in a while, a machine's store is verified the way its owner would.
    fn verify_a_store(&self) -> Result<(), Broken> {
        if !self.report.seed.is_multiple_of(RUNS_PER_VERIFY) {
            return Ok(());
        }
        let disk = &self.cluster.machines()[0].disk;
        let report = without(|| disk.verify(&Sequential, &mut |_, _| {}))?;
        match report.difference {
            Some(difference) => Err(Broken::Ended {
                what: format!("verifying the store of n0: {difference}"),
            }),
            None => Ok(()),
        }
    }

    /// The honest machines.
    fn nodes(&self) -> &[Rc<Machine>] {
        &self.cluster.machines()[..self.profile.nodes]
    }

    fn tips(&self) -> Result<Vec<Tip>, StoreError> {
        let machines = self.nodes().iter();
        machines
            .map(|machine| machine.disk.snapshot()?.tip())
            .collect()
    }
}

/// The best of some tips.
fn best_of(tips: &[Tip]) -> Tip {
    tips.iter().fold(tips[0], |best, tip| {
        if tip.is_better_than(&best) {
            *tip
        } else {
            best
        }
    })
}
