//! The clocks of a benchmark and the core it runs on. CPU time is what a busy machine does not
//! distort: it counts only while our threads run.

use std::time::{Duration, Instant};

/// A moment on both clocks.
#[derive(Clone, Copy)]
pub struct Clocks {
    wall: Instant,
    cpu: Duration,
}

/// What passed between two moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passed {
    /// By the wall clock.
    pub wall: Duration,
    /// Of processor time, over all threads of the process.
    pub cpu: Duration,
}

impl Clocks {
    /// Now.
    #[allow(
        clippy::disallowed_methods,
        reason = "a benchmark reads the monotonic clock"
    )]
    pub fn now() -> Self {
        let wall = Instant::now();
        Self {
            wall,
            cpu: cpu_time().unwrap_or_else(|| wall.duration_since(*EPOCH)),
        }
    }

    /// What passed since then.
    pub fn passed(self) -> Passed {
        let now = Self::now();
        Passed {
            wall: now.wall - self.wall,
            cpu: now.cpu.saturating_sub(self.cpu),
        }
    }
}

/// Where the wall clock has to stand in for processor time.
#[allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]
static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

/// The processor time of all threads of the process, where the system tells.
#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().ok()
}

/// The processor time of all threads of the process, where the system tells.
#[cfg(not(unix))]
fn cpu_time() -> Option<Duration> {
    None
}

/// Holds the calling thread, and those it starts meanwhile, on one core where the system can.
#[cfg(target_os = "linux")]
pub fn pinned<T>(run: impl FnOnce() -> T) -> T {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let all = sched_getaffinity(None);
    if let Ok(all) = &all {
        let last = (0..CpuSet::MAX_CPU).rev().find(|core| all.is_set(*core));
        let mut one = CpuSet::new();
        one.set(last.unwrap_or(0));
        // A system that refuses lets the threads wander, which costs precision only.
        let _ = sched_setaffinity(None, &one);
    }
    let result = run();
    if let Ok(all) = &all {
        let _ = sched_setaffinity(None, all);
    }
    result
}

/// Holds the calling thread, and those it starts meanwhile, on one core where the system can.
#[cfg(not(target_os = "linux"))]
pub fn pinned<T>(run: impl FnOnce() -> T) -> T {
    run()
}
