//! What liars say: the chains they pretend to have, made from what they see of the honest
//! ones, and the datagrams they send in other names.

use super::Trick;
use crate::{
    cluster::Machine,
    sim_net::{BLOCK_SERVER_PORT, forged},
    simulation::{
        forge::{Flaw, Forge, Order, spoil},
        people::People,
    },
};
use mvb_actors::env::{Channel, Env, RandomStream};
use mvb_protocol::{
    block::{Block, Header},
    chain::{ChainSnapshot, ChainStore, StoreError, Tip},
    hash::{BlockId, sha256},
    mutants,
    numbers::{Height, Sequence},
    target::Target,
    transaction::Transaction,
    wire::{Response, Status},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::time::sleep;

/// What all liars of a run share.
pub struct Underworld {
    /// The tricks they know.
    pub tricks: Vec<Trick>,
    /// The honest machines, known once they exist.
    pub machines: RefCell<Vec<Rc<Machine>>>,
    /// Everybody's keys.
    pub people: People,
    /// Whether they must leave the chain itself alone.
    pub peace: Cell<bool>,
    /// Whether those who besiege begin.
    pub siege: Cell<bool>,
    /// The flaw whose turn it is, so that none is left out.
    pub next_flaw: Cell<usize>,
    /// How often each trick was played.
    pub played: RefCell<BTreeMap<&'static str, u64>>,
}

/// A lie told by one identity.
pub(super) struct Lie {
    pub(super) trick: Trick,
    pub(super) claim: Tip,
    /// Whether some of its blocks are valid, which ends with the chaos.
    pub(super) moves_the_chain: bool,
    /// The ids of the chain that it pretends to have, from height 1.
    ids: Vec<BlockId>,
    pub(super) blocks: BTreeMap<BlockId, Arc<Block>>,
}

impl Lie {
    pub(super) fn headers_after(&self, locator: &[BlockId]) -> Vec<Header> {
        let common = locator
            .iter()
            .find_map(|id| self.ids.iter().position(|known| known == id));
        let from = common.map_or(0, |at| at + 1);
        self.ids[from..]
            .iter()
            .filter_map(|id| Some(self.blocks.get(id)?.header))
            .collect()
    }

    /// A block as this lie shows it.
    pub(super) fn twisted(&self, block: &Block) -> Response {
        let mut block = block.clone();
        if self.trick == Trick::ForeignBody && self.ids.last() == Some(&block.id()) {
            match block.transactions.first_mut() {
                Some(payment) => spoil(payment),
                None => block.reward.extra_nonce ^= 1,
            }
        }
        Response::Block(Box::new(block))
    }
}

impl Underworld {
    pub(super) fn count(&self, trick: Trick) {
        *self.played.borrow_mut().entry(trick.name()).or_default() += 1;
    }

    /// The honest machine with the best tip.
    fn best(&self) -> Result<(Rc<Machine>, Tip), StoreError> {
        let machines = self.machines.borrow();
        let mut best = (machines[0].clone(), machines[0].disk.snapshot()?.tip()?);
        for machine in machines.iter() {
            let tip = machine.disk.snapshot()?.tip()?;
            if tip.is_better_than(&best.1) {
                best = (machine.clone(), tip);
            }
        }
        Ok(best)
    }

    /// Waits for what the harness announces to all liars at once.
    pub(super) async fn until(&self, signal: &Cell<bool>) {
        while !signal.get() {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for a new best tip, but not for long.
    pub(super) async fn next_tip(&self, env: &Env) {
        let tip = || mutants::without(|| self.best().map(|(_, tip)| tip.id).ok());
        let before = tip();
        for _ in 0..50 + env.random.below(50) {
            if tip() != before {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes a lie for a trick, where the chain allows it.
    pub(super) fn lie(&self, env: &Env, trick: Trick) -> Result<Option<Lie>, StoreError> {
        let (machine, tip) = self.best()?;
        let chain = machine.disk.snapshot()?;
        let random = &env.random;
        let mut lie = Lie {
            trick,
            claim: tip,
            moves_the_chain: false,
            ids: Vec::new(),
            blocks: BTreeMap::new(),
        };
        let order = match trick {
            // Who asks them for the honest tip must not wait for them alone.
            Trick::NoHello | Trick::Mute if random.below(2) == 0 => None,
            Trick::Boast | Trick::Spoof | Trick::NoHello | Trick::Mute => {
                lie.claim = invented(tip, random.next_u64());
                None
            }
            Trick::ForeignBody | Trick::Flood | Trick::Mimic => None,
            Trick::Besiege => Some((0, 1, Some(Flaw::Reward), 0)),
            Trick::Flaw => Some(self.flawed(random)),
            Trick::Reorg => {
                let back = random.below(12);
                let length = back + 1 + random.below(3);
                // As far apart as the chain wants them, so that the target stays where it is.
                let apart_ms = 1_000 * u64::from(env.params.target_block_seconds);
                Some((back, length, None, length * apart_ms))
            }
            Trick::LowWork => {
                let back = 10 + random.below(10);
                Some((back, back + 2 + random.below(4), None, 1_000_000))
            }
            Trick::Trickle | Trick::Withhold | Trick::Unlinked | Trick::Unrequested => {
                match self.peace.get() {
                    true => Some((0, 1, Some(Flaw::Reward), 0)),
                    false => Some((random.below(2), 3, None, 0)),
                }
            }
        };
        let mut root = tip.height;
        if let Some((back, length, flaw, spread_ms)) = order {
            let order = Order {
                back,
                length,
                flaw,
                spread_ms,
                now: env.clock.now(),
            };
            let forge = Forge {
                params: &env.params,
                keys: self.people.keys(),
                pending: self.pending(),
                random,
            };
            let Some(branch) = forge.branch(&*chain, order)? else {
                return Ok(None);
            };
            (root, lie.claim) = (branch.root, branch.tip);
            lie.moves_the_chain = !self.peace.get() && trick != Trick::Besiege;
            lie.add_honest(&*chain, root)?;
            for block in branch.blocks {
                lie.ids.push(block.id());
                lie.blocks.insert(block.id(), block);
            }
        } else if matches!(trick, Trick::ForeignBody | Trick::Mimic) {
            lie.add_honest(&*chain, root)?;
        }
        Ok(Some(lie))
    }

    /// One rule broken, mostly on the honest tip. While the chain is to be left alone, no
    /// valid block stands before the forged one.
    fn flawed(&self, random: &RandomStream) -> (u64, u64, Option<Flaw>, u64) {
        let flaw = Flaw::ALL[self.next_flaw.get() % Flaw::ALL.len()];
        self.next_flaw.set(self.next_flaw.get() + 1);
        let is_simple = matches!(flaw, Flaw::Reward | Flaw::Work | Flaw::Version);
        match flaw {
            Flaw::Link if self.peace.get() => (0, 1, Some(Flaw::Work), 0),
            Flaw::Link => (0, 2, Some(flaw), 0),
            _ if is_simple && !self.peace.get() && random.below(2) == 0 => {
                let back = 1 + random.below(4);
                (back, back + 1, Some(flaw), 0)
            }
            _ => (0, 1, Some(flaw), 0),
        }
    }

    fn pending(&self) -> Vec<Arc<Transaction>> {
        let machines = self.machines.borrow();
        machines
            .iter()
            .flat_map(|machine| machine.outbox.payments())
            .collect()
    }

    /// Statuses in the names of all honest machines, and of one that does not exist.
    pub(super) async fn spoof(&self, env: &Env, mut status: Status) {
        status.endpoint.port = BLOCK_SERVER_PORT;
        let honest = self.machines.borrow().len();
        let mut sources: Vec<IpAddr> = (0..honest)
            .map(|number| turmoil::lookup(format!("n{number}")))
            .collect();
        sources.push(IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9)));
        for source in sources {
            status.announcement.tip = invented(status.announcement.tip, env.random.next_u64());
            let source = SocketAddr::new(source, 2_606);
            let bytes = forged(source, &status.to_datagram());
            let _ = env.net.broadcast(Channel::Status, &bytes).await;
        }
    }

    /// Payments with wrong signatures, from far ahead, and more than the mempool holds.
    pub(super) async fn flood(&self, env: &Env) {
        let worthless = mutants::without(|| self.worthless(env)).unwrap_or_default();
        for payment in worthless {
            let _ = env
                .net
                .broadcast(Channel::Transactions, &payment.to_datagram())
                .await;
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn worthless(&self, env: &Env) -> Result<Vec<Transaction>, StoreError> {
        let mut payments = Vec::new();
        for payment in self.pending().iter().take(10) {
            let mut copy = Transaction::clone(payment);
            spoil(&mut copy);
            payments.push(copy);
        }
        let (machine, _) = self.best()?;
        let chain = machine.disk.snapshot()?;
        let keys = self.people.keys();
        let (key, address) = &keys[env.random.below(keys.len() as u64) as usize];
        let next = chain.account(address)?.sequence.0;
        let (first, step) = match env.random.below(2) {
            0 => (next + 1, 1),
            _ => (next + 60, 1),
        };
        for number in 0..24 {
            let sequence = Sequence(first + number * step);
            payments.push(
                self.people
                    .worthless(key, *address, env.params.genesis_id(), sequence),
            );
        }
        Ok(payments)
    }
}

impl Lie {
    /// The honest chain up to a height.
    fn add_honest(&mut self, chain: &dyn ChainSnapshot, to: Height) -> Result<(), StoreError> {
        for height in 1..=to.0 {
            if let Some(id) = chain.active_id(Height(height))?
                && let Some(block) = chain.block(&id)?
            {
                self.ids.push(id);
                self.blocks.insert(id, Arc::new(block));
            }
        }
        Ok(())
    }
}

/// A tip that nobody has, better than `tip`.
fn invented(tip: Tip, salt: u64) -> Tip {
    let work = Target::from_difficulty(60).work();
    Tip {
        id: BlockId(sha256(&[b"invented", &salt.to_be_bytes()])),
        height: Height(tip.height.0 + 1 + salt % (1 << 40)),
        work: tip.work.saturating_add(work),
    }
}
