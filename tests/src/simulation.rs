//! The simulator: whole nodes on simulated machines, driven by one seed through chaos, then
//! healing, then peace. A seed decides everything, so a failure is repeated by its seed
//! alone. `cargo test` runs a few seeds, the `simulate` program as many as it is asked for.

mod chaos;
mod forge;
mod history;
mod liar;
#[cfg(mvb_mutants)]
pub mod mutants;
mod peace;
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
use chaos::skew;
use liar::Underworld;
use mvb_actors::env::RandomStream;
use mvb_protocol::{
    chain::{ChainStore, StoreError, Tip},
    mutants::without,
    numbers::Timestamp,
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
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

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
            siege: Cell::new(false),
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
        let first = &cluster.machines()[0].skew_ms;
        first.set(first.get().saturating_add_unsigned(profile.ahead_ms));
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
        let wrong = self.profile.skew_ms + self.profile.ahead_ms;
        let ahead = self.profile.cluster.params.max_future_ms() + wrong;
        let limits = Limits {
            latest: Timestamp(EPOCH_MS + elapsed + ahead),
            mempool_bytes: self.profile.config.mempool_bytes,
            per_sender: self.profile.config.per_sender,
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
