//! The simulated proof-of-work search: a seeded wait whose mean follows the target and the
//! machine's hash rate, then a real nonce, found by trial. It asks for difficulties of at
//! most about 8 bits, so that the trial costs nothing.

use crate::sim_env::{Power, Trace};
use mvb_actors::env::{OnFound, RandomStream, SearchJob, Searcher};
use mvb_protocol::{block::Header, target::Target};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};
use tokio::task::JoinHandle;

/// Whether the miners of a cluster find anything. The harness holds it back while it waits
/// for the network to agree.
pub type MiningSwitch = Rc<Cell<bool>>;

/// The search of one boot of one machine.
pub struct SimSearcher {
    machine: usize,
    power: Power,
    random: Rc<RandomStream>,
    trace: Trace,
    enabled: MiningSwitch,
    hashes_per_second: f64,
    hashes: Rc<Cell<u64>>,
    at_work: RefCell<Option<JoinHandle<()>>>,
}

impl SimSearcher {
    /// A search at `hashes_per_second`, while `enabled`.
    pub fn new(
        machine: usize,
        power: Power,
        random: Rc<RandomStream>,
        trace: Trace,
        enabled: MiningSwitch,
        hashes_per_second: f64,
    ) -> Self {
        Self {
            machine,
            power,
            random,
            trace,
            enabled,
            hashes_per_second,
            hashes: Rc::default(),
            at_work: RefCell::default(),
        }
    }

    /// The wait until the next block would be found: exponential, so that it does not
    /// matter how often a search is given up and begun anew.
    fn wait(&self, target: Target) -> impl Fn() -> Duration + use<> {
        let mean = target.work().as_f64() / self.hashes_per_second;
        let random = self.random.clone();
        move || Duration::from_secs_f64(-mean * (1.0 - random.unit()).ln())
    }
}

impl Searcher for SimSearcher {
    fn start(&self, job: SearchJob, on_found: OnFound) {
        self.stop();
        if !self.power.is_on() {
            return;
        }
        let wait = self.wait(job.target);
        let (enabled, power) = (self.enabled.clone(), self.power.clone());
        let (hashes, rate) = (self.hashes.clone(), self.hashes_per_second);
        let (trace, machine) = (self.trace.clone(), self.machine);
        let search = tokio::task::spawn_local(async move {
            loop {
                let wait = wait();
                tokio::time::sleep(wait).await;
                hashes.set(hashes.get() + (wait.as_secs_f64() * rate) as u64);
                if enabled.get() {
                    break;
                }
            }
            power.needed().await;
            if let Some(header) = solve(&job) {
                trace.note(None, machine, &format!("found {:.8}", header.id()));
                on_found(header);
            }
        });
        *self.at_work.borrow_mut() = Some(search);
    }

    fn stop(&self) {
        if let Some(search) = self.at_work.borrow_mut().take() {
            search.abort();
        }
    }

    fn hashes(&self) -> u64 {
        self.hashes.get()
    }

    fn threads(&self) -> usize {
        1
    }

    fn roots(&self) -> usize {
        2
    }
}

/// The first nonce from where the job begins that meets its target with one of its roots.
fn solve(job: &SearchJob) -> Option<Header> {
    let headers = (job.header.nonce..).flat_map(|nonce| {
        job.roots.iter().map(move |root| Header {
            content_root: *root,
            nonce,
            ..job.header
        })
    });
    headers
        .into_iter()
        .find(|header| job.target.is_met_by(&header.id()))
}
