//! The simulated parts of an [`mvb_actors::env::Env`] that are neither network nor store:
//! the power switch of one boot, the trace of everything that happens, the wall clock and
//! the workers. The cluster builds them anew for each boot of a machine; actors see them
//! only through the traits of the Env. Nothing here reads real time.

use mvb_actors::env::{Job, RandomStream, WallClock, Workers};
use mvb_protocol::{
    hash::sha256,
    numbers::Timestamp,
    validate::{Parallel, Sequential},
};
use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// Where simulated wall clocks begin: 2023-11-14, in milliseconds since 1970.
pub const EPOCH_MS: u64 = 1_700_000_000_000;

/// The power of one boot. Once cut it stays off: the next boot gets a new one, so that
/// nothing left over from this boot can reach the network, the disk or the trace.
#[derive(Clone, Debug)]
pub struct Power(Arc<AtomicBool>);

impl Default for Power {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Power {
    /// Whether it is still on.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Cuts it for good.
    pub fn cut(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// Returns at once while the power is on, and never once it is cut. A machine without
    /// power sees no errors; it sees nothing.
    pub async fn needed(&self) {
        if !self.is_on() {
            std::future::pending::<()>().await;
        }
    }
}

/// A hash over every event of a run in its order, with simulated times. Two runs of one
/// seed must end with the same hash.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    digest: [u8; 32],
    events: u64,
    aloud: bool,
}

impl Trace {
    /// A trace that also prints its events to stderr if `aloud`.
    pub fn new(aloud: bool) -> Self {
        Self(Arc::new(Mutex::new(Recorded {
            aloud,
            ..Recorded::default()
        })))
    }

    /// Notes an event of a machine at the simulated time of the host that runs now, or at
    /// `elapsed` where the harness itself acts.
    pub fn note(&self, elapsed: Option<Duration>, machine: usize, event: &str) {
        let at = elapsed.or_else(turmoil::sim_elapsed).unwrap_or_default();
        let line = format!("{:>9.3} n{machine} {event}", at.as_secs_f64());
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.aloud {
            eprintln!("{line}");
        }
        recorded.digest = sha256(&[&recorded.digest, line.as_bytes()]);
        recorded.events += 1;
    }

    /// The hash so far, in short, and the number of events.
    pub fn summary(&self) -> (String, u64) {
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hex = recorded.digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        (hex, recorded.events)
    }
}

/// A machine's wall clock: simulated time since [`EPOCH_MS`], with an error that the
/// harness may change while the machine runs.
#[derive(Clone, Debug)]
pub struct SimClock {
    power: Power,
    skew_ms: Rc<Cell<i64>>,
    last: Cell<Timestamp>,
}

impl SimClock {
    /// The clock of one boot; `skew_ms` is the machine's and outlives it.
    pub fn new(power: Power, skew_ms: Rc<Cell<i64>>) -> Self {
        Self {
            power,
            skew_ms,
            last: Cell::new(Timestamp(EPOCH_MS)),
        }
    }
}

impl WallClock for SimClock {
    fn now(&self) -> Timestamp {
        // While a crashed machine's actors are dropped there is no simulated time to ask
        // for, and asking would give real time.
        if self.power.is_on()
            && let Some(elapsed) = turmoil::sim_elapsed()
        {
            let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            let now = EPOCH_MS.saturating_add(elapsed);
            self.last
                .set(Timestamp(now.saturating_add_signed(self.skew_ms.get())));
        }
        self.last.get()
    }
}

/// Workers without threads. A computation runs inline, and its result arrives later; a
/// write waits its turn on the simulated disk, so that messages arrive before, during and
/// after every commit. A power cut loses the writes that still wait.
pub struct SimWorkers {
    disk: mpsc::UnboundedSender<Job>,
    random: Rc<RandomStream>,
    slowest: Duration,
}

impl SimWorkers {
    /// Starts the disk's task on the current LocalSet. No step takes longer than `slowest`.
    pub fn start(power: Power, random: Rc<RandomStream>, slowest: Duration) -> Self {
        let (disk, mut jobs) = mpsc::unbounded_channel::<Job>();
        let seeks = random.clone();
        tokio::task::spawn_local(async move {
            while let Some(job) = jobs.recv().await {
                tokio::time::sleep(share(&seeks, slowest)).await;
                power.needed().await;
                job();
            }
        });
        Self {
            disk,
            random,
            slowest,
        }
    }
}

/// A random part of `most`.
fn share(random: &RandomStream, most: Duration) -> Duration {
    Duration::from_micros(random.below(u64::try_from(most.as_micros()).unwrap_or(u64::MAX)))
}

impl Workers for SimWorkers {
    fn compute(&self, job: Job) {
        job();
    }

    fn write(&self, job: Job) {
        // The task ends only with the machine, and then nobody waits for the job.
        drop(self.disk.send(job));
    }

    fn delay(&self) -> Option<Duration> {
        Some(share(&self.random, self.slowest))
    }

    fn parallel(&self) -> Arc<dyn Parallel + Send + Sync> {
        Arc::new(Sequential)
    }
}
