//! What follows the chaos: the network works again, and what has been promised of it must come
//! true in time. First all agree while nobody mines; then mining goes on, until blocks are found
//! and no payment that can be paid waits; then all agree once more.

use super::{Broken, Run, best_of, chaos::BEAT};
use crate::cluster::Machine;
use mvb_actors::view::MiningState;
use mvb_protocol::{
    chain::{ChainStore, Tip},
    hash::TxId,
    mutants::without,
    params::RETARGET_WINDOW,
    transaction::Transaction,
};
use std::{collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

/// Every payment that can be paid must be in a block so long after mining goes on.
pub(super) const SETTLING: Duration = Duration::from_secs(60);

/// And so many blocks later, beside one for each payment.
const SETTLING_BLOCKS: u64 = 8;

/// A download that has ended is shown to people no longer than this.
const SHOWN: Duration = Duration::from_secs(10);

impl Run {
    /// The network works again and nobody mines: all machines must come to one tip, the
    /// best that any of them has.
    pub(super) fn heal(&mut self) -> Result<(), Broken> {
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
    pub(super) fn settle(&mut self) -> Result<(), Broken> {
        let (start, from) = (self.cluster.elapsed(), best_of(&self.tips()?));
        let before = self.turns();
        // The smallest blocks hold little more than one payment, and a mempool may hold many that
        // no honest wallet sent.
        let mut payments = 0;
        self.cluster.set_mining(true);
        loop {
            let waiting = without(|| self.waiting())?;
            let ready = self.ready();
            let most_ready = ready.iter().map(|(_, ready)| *ready).max();
            // A branch that comes to light only now may bring back what was paid before.
            payments = payments.max(waiting.len() + most_ready.unwrap_or(0));
            let blocks = SETTLING_BLOCKS + payments as u64;
            let took = self.cluster.elapsed() - start;
            self.report.settled_after = took;
            let height = best_of(&self.tips()?).height.0;
            let is_barren = self.must_find_blocks(from) && height == from.height.0;
            if waiting.is_empty() && ready.is_empty() && !is_barren {
                break;
            }
            if is_barren && took > SETTLING {
                return Err(Broken::Barren);
            }
            // Liars may have made blocks so hard that a minute sees none.
            let is_long_over = took > 20 * SETTLING;
            let is_over = took > SETTLING && height >= from.height.0 + blocks;
            let is_lost = is_over || is_long_over && !self.searches_in_vain();
            if !waiting.is_empty() && is_lost {
                return Err(Broken::Unpaid { waiting });
            }
            let turns = self.turns();
            let had_its_turn = |machine: usize| turns[machine] >= before[machine] + 2;
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
        self.no_download_is_shown()?;
        self.check_all()
    }

    /// Whether a minute cannot pass without a block after this one: none needs payments, and
    /// none is harder than the first.
    fn must_find_blocks(&self, after: Tip) -> bool {
        let params = &self.profile.cluster.params;
        let has_moved = after.height.0 > RETARGET_WINDOW && params.target_block_seconds > 0;
        params.block_size == 1 && !has_moved
    }

    /// That nobody still shows a download though all have the best chain. Where there are liars
    /// there may always be one.
    fn no_download_is_shown(&mut self) -> Result<(), Broken> {
        let start = self.cluster.elapsed();
        while self.profile.tricks.is_empty() {
            let shows = |machine: &Rc<Machine>| {
                let view = machine.view();
                view.is_some_and(|view| view.peers.borrow().sync.is_some())
            };
            let Some(machine) = self.nodes().iter().position(shows) else {
                break;
            };
            if self.cluster.elapsed() - start > SHOWN {
                return Err(Broken::Downloading { machine });
            }
            self.advance(BEAT)?;
        }
        Ok(())
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
        let block_needs = self.profile.cluster.params.block_size - 1;
        Ok(self
            .replayer
            .payable(&*disk.snapshot()?, &remembered, block_needs as usize)?)
    }

    /// How many blocks each machine has found, less one for each reorg: a block that leaves the
    /// chain brings its payments back.
    fn turns(&self) -> Vec<i64> {
        let turns = |machine: &Rc<Machine>| {
            let view = machine.view()?;
            let chain = view.chain.borrow();
            Some(chain.blocks_found.cast_signed() - chain.reorgs.cast_signed())
        };
        let nodes = self.nodes().iter();
        nodes.map(|machine| turns(machine).unwrap_or(0)).collect()
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
}
