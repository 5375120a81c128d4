//! The lab's chains as one picture: what all machines have in common, the branches above it
//! with who is on which, and what everybody owns by each.

use super::machine::Machine;
use mvb_protocol::{
    address::Address,
    amount::Amount,
    chain::{ChainSnapshot, ChainStore, StoreError, Tip},
    hash::BlockId,
    numbers::Height,
};
use std::collections::BTreeMap;

/// How many blocks of the common chain are shown.
const TRUNK: usize = 3;

/// All machines' chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// The newest blocks that all machines have, the oldest first.
    pub trunk: Vec<TreeBlock>,
    /// What stands above them: one branch for each tip.
    pub branches: Vec<Branch>,
}

/// The machines with one tip, and how they came to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its tip.
    pub tip: Tip,
    /// Who is on it.
    pub machines: Vec<String>,
    /// Its blocks above the trunk, the oldest first.
    pub blocks: Vec<TreeBlock>,
    /// What everybody owns by it.
    pub balances: Vec<Balance>,
    /// Payments that wait in the fullest mempool there.
    pub waiting: usize,
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeBlock {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
    /// Who mined it.
    pub miner: String,
    /// Its payments.
    pub payments: usize,
}

/// What somebody owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Who.
    pub name: String,
    /// How much.
    pub amount: Amount,
}

/// The picture of these machines now.
pub(super) fn picture(machines: &[Machine]) -> Result<Picture, StoreError> {
    let names: BTreeMap<Address, String> = machines.iter().flat_map(Machine::names).collect();
    let mut chains = Vec::new();
    for machine in machines {
        chains.push(machine.store().snapshot()?);
    }
    let mut lowest = u64::MAX;
    for chain in &chains {
        lowest = lowest.min(chain.tip()?.height.0);
    }
    let fork = common(&chains, lowest)?;
    let mut picture = Picture::default();
    if let Some(chain) = chains.first() {
        let first = (fork + 1).saturating_sub(TRUNK as u64).max(1);
        picture.trunk = blocks(&**chain, first, fork, &names)?;
    }
    for (machine, chain) in machines.iter().zip(&chains) {
        let tip = chain.tip()?;
        let known = picture.branches.iter_mut().find(|branch| branch.tip == tip);
        if let Some(branch) = known {
            branch.machines.push(machine.name().to_owned());
            branch.waiting = branch.waiting.max(machine.waiting());
            continue;
        }
        let mut balances = Vec::new();
        for (person, address) in machines.iter().flat_map(people) {
            balances.push(Balance {
                amount: chain.account(&address)?.balance,
                name: person,
            });
        }
        picture.branches.push(Branch {
            tip,
            machines: vec![machine.name().to_owned()],
            blocks: blocks(&**chain, fork + 1, tip.height.0, &names)?,
            balances,
            waiting: machine.waiting(),
        });
    }
    Ok(picture)
}

fn people(machine: &Machine) -> Vec<(String, Address)> {
    (0..machine.people().len())
        .map(|person| (machine.people()[person].clone(), machine.address(person)))
        .collect()
}

type Snapshot<'s> = Box<dyn ChainSnapshot + Send + 's>;

/// The greatest height up to which all chains are the same. Chains that agree at a height
/// agree below it.
fn common(chains: &[Snapshot<'_>], mut highest: u64) -> Result<u64, StoreError> {
    let mut lowest = 0;
    while lowest < highest {
        let middle = lowest + (highest - lowest).div_ceil(2);
        let mut ids = Vec::new();
        for chain in chains {
            ids.push(chain.active_id(Height(middle))?);
        }
        if ids.iter().all(|id| Some(id) == ids.first()) {
            lowest = middle;
        } else {
            highest = middle - 1;
        }
    }
    Ok(lowest)
}

fn blocks(
    chain: &dyn ChainSnapshot,
    first: u64,
    last: u64,
    names: &BTreeMap<Address, String>,
) -> Result<Vec<TreeBlock>, StoreError> {
    let mut found = Vec::new();
    for height in first..=last {
        let Some(id) = chain.active_id(Height(height))? else {
            break;
        };
        let Some(block) = chain.block(&id)? else {
            break;
        };
        let miner = names.get(&block.reward.to).cloned();
        found.push(TreeBlock {
            height: Height(height),
            id,
            miner: miner.unwrap_or_else(|| "somebody".to_owned()),
            payments: block.transactions.len(),
        });
    }
    Ok(found)
}
