//! One machine of the lab: a node as it runs for real, around it a chain in memory, the keys
//! of those who use it, and what they have paid.

use super::{
    LabError,
    net::Cables,
    search::{LabSearcher, Powers},
};
use crate::{
    system::SystemClock,
    wiring::{Node, NodeConfig, Role, start_node},
};
use mvb_actors::{
    env::{Env, Job, NoSearcher, Outbox, RandomStream, Searcher, Workers},
    fork_resolver::ResolverConfig,
    gossip_broadcaster::GossipConfig,
    miner::MinerConfig,
    seen_blocks::SeenBlocks,
    verified_cache::VerifiedCache,
    view::View,
};
use mvb_protocol::{
    address::Address,
    chain::{ChainStore, StoreError, Tip},
    hash::{TxId, sha256},
    keys::{Curve, SecretKey},
    numbers::Sequence,
    params::ChainParams,
    transaction::Transaction,
    validate::{Parallel, Sequential},
    wire::NodeId,
};
use mvb_storage::MemoryStore;
use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch::Ref;

/// How often nodes announce themselves and their payments.
const INTERVAL: Duration = Duration::from_millis(300);

/// The most payments that a machine announces again and again.
const MOST_KEPT: usize = 256;

/// A running node and what belongs to it.
pub(super) struct Machine {
    people: Vec<String>,
    keys: Vec<SecretKey>,
    store: MemoryStore,
    outbox: LabOutbox,
    view: Rc<View>,
    params: Arc<ChainParams>,
    node: Node,
}

impl Machine {
    /// Starts a node. With `powers` it mines, for the first of its people.
    pub(super) async fn start(
        number: usize,
        people: Vec<String>,
        params: Arc<ChainParams>,
        cables: &Rc<Cables>,
        powers: Option<Rc<Powers>>,
        random: Rc<RandomStream>,
    ) -> Result<Self, LabError> {
        let keys: Vec<SecretKey> = people.iter().map(|_| draw_key(&random)).collect();
        let store = MemoryStore::new((*params).clone());
        let outbox = LabOutbox::default();
        let view = Rc::new(View::new(store.snapshot()?.tip()?));
        let role = match (&powers, keys.first()) {
            (Some(_), Some(key)) => Role::Miner(MinerConfig {
                reward_to: Address::of_key(key.public_key().as_bytes()),
                listen: INTERVAL,
            }),
            _ => Role::Wallet,
        };
        let searcher: Rc<dyn Searcher> = match powers {
            Some(powers) => Rc::new(LabSearcher::new(powers, number, random.clone())),
            None => Rc::new(NoSearcher),
        };
        let mut node = [0; 16];
        node[..8].copy_from_slice(&random.next_u64().to_be_bytes());
        node[8..].copy_from_slice(&random.next_u64().to_be_bytes());
        let env = Env {
            params: params.clone(),
            node: NodeId(node),
            net: Rc::new(cables.plug(number)),
            clock: Rc::new(SystemClock),
            random,
            store: Arc::new(store.clone()),
            outbox: Arc::new(outbox.clone()),
            verified: Arc::new(VerifiedCache::default()),
            workers: Rc::new(Inline),
            searcher,
            view: view.clone(),
        };
        let config = NodeConfig {
            gossip: GossipConfig {
                status_interval: INTERVAL,
                transaction_interval: INTERVAL,
            },
            resolver: ResolverConfig {
                status_interval: INTERVAL,
                ..ResolverConfig::default()
            },
            ..NodeConfig::default()
        };
        let node = start_node(env, config, role).await?;
        Ok(Self {
            people,
            keys,
            store,
            outbox,
            view,
            params,
            node,
        })
    }

    /// Those who use it.
    pub(super) fn people(&self) -> &[String] {
        &self.people
    }

    /// What it is called: after its miner, or `wallet`.
    pub(super) fn name(&self) -> &str {
        match &self.people[..] {
            [miner] => miner,
            _ => "wallet",
        }
    }

    pub(super) fn key(&self, person: usize) -> &SecretKey {
        &self.keys[person]
    }

    pub(super) fn address(&self, person: usize) -> Address {
        Address::of_key(self.keys[person].public_key().as_bytes())
    }

    pub(super) fn params(&self) -> &ChainParams {
        &self.params
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn store(&self) -> &MemoryStore {
        &self.store
    }

    pub(super) fn tip(&self) -> Result<Tip, StoreError> {
        self.store.snapshot()?.tip()
    }

    /// The blocks that joined, left or missed its chain lately.
    pub(super) fn seen(&self) -> Ref<'_, SeenBlocks> {
        self.view.blocks.borrow()
    }

    /// Payments that wait in its mempool.
    pub(super) fn waiting(&self) -> usize {
        self.view.mempool.borrow().waiting
    }

    /// Announces a payment from now on, until the oldest of too many are forgotten.
    pub(super) fn keep(&self, payment: Arc<Transaction>) {
        self.outbox.with(|kept| {
            kept.push(payment);
            let spare = kept.len().saturating_sub(MOST_KEPT);
            kept.drain(..spare);
        });
    }

    /// Announces nothing any more.
    pub(super) fn forget_payments(&self) {
        self.outbox.with(Vec::clear);
    }

    /// The sequence of somebody's next payment, after those that are under way.
    pub(super) fn next_sequence(&self, person: usize) -> Result<Sequence, StoreError> {
        let address = self.address(person);
        let on_chain = self.store.snapshot()?.account(&address)?.sequence;
        let under_way = self.outbox.with(|kept| {
            let own = kept.iter().filter(|payment| payment.from() == address);
            own.map(|payment| payment.sequence.0.saturating_add(1))
                .max()
        });
        Ok(Sequence(on_chain.0.max(under_way.unwrap_or_default())))
    }

    /// The height of a payment's block on this machine's chain.
    pub(super) fn confirmed(&self, id: &TxId) -> Result<Option<u64>, StoreError> {
        let location = self.store.snapshot()?.transaction(id)?;
        Ok(location.map(|location| location.height.0))
    }

    /// Everybody's names by their addresses.
    pub(super) fn names(&self) -> BTreeMap<Address, String> {
        (0..self.people.len())
            .map(|person| (self.address(person), self.people[person].clone()))
            .collect()
    }
}

/// A key from the lab's random stream. Only one number in 2^32 is none.
fn draw_key(random: &RandomStream) -> SecretKey {
    loop {
        let bytes = sha256(&[&random.next_u64().to_be_bytes()]);
        if let Ok(key) = SecretKey::from_bytes(Curve::P256, &bytes) {
            return key;
        }
    }
}

/// The payments that a machine's people made.
#[derive(Clone, Default)]
struct LabOutbox(Arc<Mutex<Vec<Arc<Transaction>>>>);

impl LabOutbox {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Arc<Transaction>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Outbox for LabOutbox {
    fn unsettled(&self) -> Result<Vec<Arc<Transaction>>, StoreError> {
        Ok(self.with(|kept| kept.clone()))
    }
}

/// Workers without threads: a lab's blocks are few and small.
struct Inline;

impl Workers for Inline {
    fn compute(&self, job: Job) {
        job();
    }

    fn write(&self, job: Job) {
        job();
    }

    fn parallel(&self) -> Arc<dyn Parallel + Send + Sync> {
        Arc::new(Sequential)
    }
}
