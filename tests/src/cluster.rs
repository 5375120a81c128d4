//! The in-process cluster: machines on one simulated network, each with a disk, a clock, a
//! wallet's outbox and a power cord. The simulator and tests of whole networks drive it
//! step by step, cut its links and crash its machines. What runs on the machines is a
//! [`Program`], normally a node; the cluster itself knows no actor.

use crate::{
    sim_env::{Power, SimClock, SimWorkers, Trace},
    sim_net::{Dialled, SimTransport, Weather, Wire},
    sim_search::{MiningSwitch, SimSearcher},
    sim_store::{SharedJournal, SimOutbox, SimStore},
};
use futures::future::LocalBoxFuture;
use mvb_actors::{
    env::{Env, NoSearcher, RandomStream, Searcher},
    view::View,
};
use mvb_protocol::{
    chain::{ChainStore, Tip},
    params::ChainParams,
    wire::NodeId,
};
use mvb_storage::MemoryStore;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

/// How far simulated time moves in one step.
pub const TICK: Duration = Duration::from_millis(10);

/// What a machine runs from its boot until it crashes, given its number and its Env.
pub type Program = Rc<dyn Fn(usize, Env) -> LocalBoxFuture<'static, turmoil::Result>>;

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Decides everything that is random.
    pub seed: u64,
    /// The chain's parameters.
    pub params: Arc<ChainParams>,
    /// How many machines there are.
    pub machines: usize,
    /// How many of them, the first ones, have a proof-of-work search.
    pub miners: usize,
    /// The hash rate of each search.
    pub hashes_per_second: f64,
    /// The slowest that a message crosses the network; most are faster.
    pub latency: Duration,
    /// The slowest that a computation or a write takes.
    pub slowest_work: Duration,
    /// Whether every event is printed.
    pub aloud: bool,
}

/// Machines on a simulated network.
pub struct Cluster {
    sim: Option<turmoil::Sim<'static>>,
    elapsed: Duration,
    machines: Vec<Rc<Machine>>,
    shared: Rc<Shared>,
    cut: BTreeSet<(usize, usize)>,
}

struct Shared {
    config: ClusterConfig,
    weather: Rc<Weather>,
    mining: MiningSwitch,
    trace: Trace,
}

/// One machine. All of it but the power and the view outlives a crash.
pub struct Machine {
    number: usize,
    name: String,
    /// The chain store's content, read by the checks without the node's knowledge.
    pub disk: Arc<MemoryStore>,
    /// What the store has acknowledged.
    pub journal: SharedJournal,
    /// The wallet's unsettled payments.
    pub outbox: SimOutbox,
    /// The error of the wall clock, in milliseconds.
    pub skew_ms: Rc<Cell<i64>>,
    /// The tips it has announced.
    pub announced: Rc<RefCell<Vec<Tip>>>,
    /// Whom it heard and whom it dialled.
    pub dialled: Rc<RefCell<Dialled>>,
    power: RefCell<Power>,
    view: RefCell<Option<Rc<View>>>,
    boots: Cell<u64>,
}

/// What a machine's random streams are for.
#[derive(Clone, Copy)]
enum Stream {
    Node = 1,
    Workers,
    Network,
    Search,
}

impl Cluster {
    /// Boots all machines; their programs begin with the first step.
    pub fn new(config: ClusterConfig, program: Program) -> Self {
        let mut builder = turmoil::Builder::new();
        builder
            .rng_seed(config.seed)
            .epoch(std::time::UNIX_EPOCH + Duration::from_millis(crate::sim_env::EPOCH_MS))
            .simulation_duration(Duration::from_secs(1 << 30))
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(config.latency)
            .tcp_capacity(1024)
            .udp_capacity(1024)
            .enable_random_order();
        let mut sim = builder.build();
        let shared = Rc::new(Shared {
            weather: Rc::default(),
            mining: Rc::new(Cell::new(true)),
            trace: Trace::new(config.aloud),
            config,
        });
        let machines: Vec<_> = (0..shared.config.machines)
            .map(|number| Rc::new(Machine::new(number, &shared.config.params)))
            .collect();
        for machine in &machines {
            let (shared, machine, program) = (shared.clone(), machine.clone(), program.clone());
            sim.host(machine.name.clone(), move || {
                let (shared, machine, program) = (shared.clone(), machine.clone(), program.clone());
                async move {
                    let env = machine.boot(&shared)?;
                    program(machine.number, env).await
                }
            });
        }
        Self {
            sim: Some(sim),
            elapsed: Duration::ZERO,
            machines,
            shared,
            cut: BTreeSet::new(),
        }
    }

    /// Moves simulated time on by one [`TICK`].
    ///
    /// # Errors
    /// When a program ended with an error, or anything on a machine panicked; the cluster
    /// cannot be used any more then.
    pub fn step(&mut self) -> Result<(), String> {
        let mut sim = self.sim.take().ok_or("the simulation has ended")?;
        match catch_unwind(AssertUnwindSafe(|| sim.step())) {
            Ok(result) => {
                self.elapsed = sim.elapsed();
                self.sim = Some(sim);
                result.map_err(|error| format!("a machine's program ended: {error}"))?;
                Ok(())
            }
            Err(_) => {
                // The machines' runtimes may panic again as they are dropped, which would
                // end the process: their memory is left behind instead.
                std::mem::forget(sim);
                Err("something panicked on a machine, see its message above".to_owned())
            }
        }
    }

    /// Moves simulated time on by `duration`.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn run_for(&mut self, duration: Duration) -> Result<(), String> {
        let end = self.elapsed() + duration;
        while self.elapsed() < end {
            self.step()?;
        }
        Ok(())
    }

    /// Simulated time since the first step.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The machines in order of their numbers.
    pub fn machines(&self) -> &[Rc<Machine>] {
        &self.machines
    }

    /// Lost and doubled datagrams.
    pub fn weather(&self) -> &Weather {
        &self.shared.weather
    }

    /// Whether searches find anything.
    pub fn set_mining(&self, enabled: bool) {
        self.shared.mining.set(enabled);
    }

    /// The slowest that a message crosses the network from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.sim().set_max_message_latency(latency);
    }

    /// Notes an act of the harness in the trace.
    pub fn note(&self, machine: usize, event: &str) {
        self.shared.trace.note(Some(self.elapsed()), machine, event);
    }

    /// The trace's hash and number of events.
    pub fn trace(&self) -> (String, u64) {
        self.shared.trace.summary()
    }

    /// Whether the machine has power.
    pub fn is_up(&self, machine: usize) -> bool {
        self.machines[machine].power.borrow().is_on()
    }

    /// Cuts the power of a machine. Everything that was not synced is lost, and nobody is
    /// told: connections to it go silent.
    pub fn crash(&mut self, machine: usize) {
        if self.sim.is_none() || !self.is_up(machine) {
            return;
        }
        self.note(machine, "power cut");
        // Turmoil ends a machine gently: its actors are polled once more and its streams
        // say goodbye. Without power neither reaches anything.
        self.machines[machine].power.borrow().cut();
        let name = self.machines[machine].name.clone();
        for other in self.machines.iter().filter(|other| other.number != machine) {
            self.sim().partition(name.as_str(), other.name.as_str());
        }
        if let Some(sim) = &mut self.sim {
            sim.crash(name.as_str());
        }
        for other in 0..self.machines.len() {
            self.set_link(machine, other);
            self.set_link(other, machine);
        }
    }

    /// Gives a crashed machine its power back; its program begins anew on the same disk.
    pub fn boot(&mut self, machine: usize) {
        if self.is_up(machine) {
            return;
        }
        self.note(machine, "boots");
        *self.machines[machine].power.borrow_mut() = Power::default();
        if let Some(sim) = &mut self.sim {
            sim.bounce(self.machines[machine].name.as_str());
        }
    }

    /// Stops everything that `from` sends to `to`, what is under way included.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.note(from, &format!("cut off from n{to}"));
        self.cut.insert((from, to));
        self.set_link(from, to);
    }

    /// Lets `from` reach `to` again.
    pub fn mend(&mut self, from: usize, to: usize) {
        if self.cut.remove(&(from, to)) {
            self.note(from, &format!("reaches n{to} again"));
            self.set_link(from, to);
        }
    }

    /// Whether nothing that `from` sends reaches `to`.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(from, to))
    }

    fn sim(&self) -> &turmoil::Sim<'static> {
        self.sim
            .as_ref()
            .expect("a cluster whose step failed is not used any more")
    }

    fn set_link(&self, from: usize, to: usize) {
        if from == to {
            return;
        }
        let (a, b) = (&self.machines[from].name, &self.machines[to].name);
        if self.is_cut(from, to) {
            self.sim().partition_oneway(a.as_str(), b.as_str());
        } else {
            self.sim().repair_oneway(a.as_str(), b.as_str());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for machine in 0..self.machines.len() {
            self.crash(machine);
        }
    }
}

impl Machine {
    fn new(number: usize, params: &ChainParams) -> Self {
        Self {
            number,
            name: format!("n{number}"),
            disk: Arc::new(MemoryStore::new(params.clone())),
            journal: SharedJournal::default(),
            outbox: SimOutbox::default(),
            skew_ms: Rc::default(),
            announced: Rc::default(),
            dialled: Rc::default(),
            power: RefCell::default(),
            view: RefCell::default(),
            boots: Cell::new(0),
        }
    }

    /// What the node of the newest boot shows people.
    pub fn view(&self) -> Option<Rc<View>> {
        self.view.borrow().clone()
    }

    /// The Env of a new boot, made on the machine's own LocalSet.
    fn boot(&self, shared: &Shared) -> Result<Env, mvb_protocol::chain::StoreError> {
        let boot = self.boots.get();
        self.boots.set(boot + 1);
        let config = &shared.config;
        let power = self.power.borrow().clone();
        let stream = |purpose: Stream| {
            let number = ((self.number as u64) << 32) | (boot << 8) | purpose as u64;
            Rc::new(RandomStream::new(config.seed, number))
        };
        let random = stream(Stream::Node);
        let mut node = [0; 16];
        node[..8].copy_from_slice(&random.next_u64().to_be_bytes());
        node[8..].copy_from_slice(&random.next_u64().to_be_bytes());
        let searcher: Rc<dyn Searcher> = if self.number < config.miners {
            Rc::new(SimSearcher::new(
                self.number,
                power.clone(),
                stream(Stream::Search),
                shared.trace.clone(),
                shared.mining.clone(),
                config.hashes_per_second,
            ))
        } else {
            Rc::new(NoSearcher)
        };
        let view = Rc::new(View::new(self.disk.snapshot()?.tip()?));
        *self.view.borrow_mut() = Some(view.clone());
        Ok(Env {
            params: config.params.clone(),
            node: NodeId(node),
            net: Rc::new(SimTransport::new(Wire {
                machine: self.number,
                power: power.clone(),
                weather: shared.weather.clone(),
                random: stream(Stream::Network),
                trace: shared.trace.clone(),
                announced: self.announced.clone(),
                dialled: self.dialled.clone(),
            })),
            clock: Rc::new(SimClock::new(power.clone(), self.skew_ms.clone())),
            random,
            store: Arc::new(SimStore::new(
                self.number,
                power.clone(),
                self.disk.clone(),
                self.journal.clone(),
                shared.trace.clone(),
            )),
            outbox: Arc::new(self.outbox.clone()),
            verified: Arc::default(),
            workers: Rc::new(SimWorkers::start(
                power,
                stream(Stream::Workers),
                config.slowest_work,
            )),
            searcher,
            view,
        })
    }
}
