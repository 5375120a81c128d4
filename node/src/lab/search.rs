//! The lab's proof of work: a wait that follows a miner's share of the hash power, then a
//! real nonce at so low a difficulty that any machine finds it at once. So a person can give
//! away hash power that the machine does not have.

use mvb_actors::env::{OnFound, RandomStream, SearchJob, Searcher};
use mvb_protocol::block::Header;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};

/// The chain's difficulty: 256 hashes a block.
pub(super) const DIFFICULTY: u8 = 8;

/// The hashes that a block of this difficulty takes on average.
const HASHES: f64 = 256.0;

/// How often a search draws whether it has found something. A wait in such steps has no
/// memory, so a share that changes counts at once.
const STEP: Duration = Duration::from_millis(10);

/// Who has which share of the hash power.
pub(super) struct Powers {
    shares: RefCell<Vec<f64>>,
    block_time: Duration,
}

impl Powers {
    /// Equal shares; all together find a block in `block_time` on average.
    pub(super) fn new(miners: usize, block_time: Duration) -> Self {
        let powers = Self {
            shares: RefCell::new(vec![0.0; miners]),
            block_time,
        };
        powers.share();
        powers
    }

    /// Shares it equally.
    pub(super) fn share(&self) {
        let mut shares = self.shares.borrow_mut();
        let equal = 1.0 / shares.len().max(1) as f64;
        shares.fill(equal);
    }

    /// Gives a miner that share; the others have equal parts of the rest.
    pub(super) fn give(&self, miner: usize, share: f64) {
        let mut shares = self.shares.borrow_mut();
        let others = shares.len().saturating_sub(1).max(1);
        shares.fill((1.0 - share) / others as f64);
        if let Some(its) = shares.get_mut(miner) {
            *its = share;
        }
    }

    /// A miner's share, from 0 to 1.
    pub(super) fn of(&self, miner: usize) -> f64 {
        self.shares.borrow().get(miner).copied().unwrap_or_default()
    }

    /// How likely a miner finds a block within one step.
    fn chance(&self, miner: usize) -> f64 {
        let blocks = STEP.as_secs_f64() / self.block_time.as_secs_f64() * self.of(miner);
        -(-blocks).exp_m1()
    }
}

/// One miner's search.
pub(super) struct LabSearcher {
    powers: Rc<Powers>,
    miner: usize,
    random: Rc<RandomStream>,
    hashes: Rc<Cell<u64>>,
    at_work: RefCell<Option<JoinHandle<()>>>,
}

impl LabSearcher {
    /// That of miner number `miner`.
    pub(super) fn new(powers: Rc<Powers>, miner: usize, random: Rc<RandomStream>) -> Self {
        Self {
            powers,
            miner,
            random,
            hashes: Rc::default(),
            at_work: RefCell::default(),
        }
    }
}

impl Searcher for LabSearcher {
    fn start(&self, job: SearchJob, on_found: OnFound) {
        self.stop();
        let (powers, random) = (self.powers.clone(), self.random.clone());
        let (hashes, miner) = (self.hashes.clone(), self.miner);
        let search = tokio::task::spawn_local(async move {
            loop {
                sleep(STEP).await;
                let chance = powers.chance(miner);
                hashes.set(hashes.get().saturating_add((chance * HASHES).ceil() as u64));
                if random.unit() < chance {
                    break;
                }
            }
            if let Some(header) = solve(&job) {
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
        1
    }
}

impl Drop for LabSearcher {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The first nonce from where the job begins that meets its target.
fn solve(job: &SearchJob) -> Option<Header> {
    let mut header = job.header;
    header.content_root = *job.roots.first()?;
    loop {
        if job.target.is_met_by(&header.id()) {
            return Some(header);
        }
        header.nonce = header.nonce.checked_add(1)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_all_of_it() {
        let powers = Powers::new(4, Duration::from_secs(1));
        assert_eq!(powers.of(0), 0.25);
        powers.give(2, 0.7);
        let sum: f64 = (0..4).map(|miner| powers.of(miner)).sum();
        assert!((sum - 1.0).abs() < 1e-9 && powers.of(2) == 0.7);
        assert!((powers.of(0) - 0.1).abs() < 1e-9);
        powers.share();
        assert_eq!(powers.of(2), 0.25);
        assert_eq!(powers.of(9), 0.0);
    }

    #[test]
    fn chances_follow_the_share_and_the_block_time() {
        let powers = Powers::new(2, Duration::from_secs(1));
        powers.give(0, 0.9);
        let (most, least) = (powers.chance(0), powers.chance(1));
        assert!((most - 0.009).abs() < 1e-4 && (least - 0.001).abs() < 1e-5);
    }
}
