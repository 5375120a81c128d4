//! The lab: miners and a wallet in one process, on a network in memory that a person splits
//! and heals. The nodes are those of `mvb miner`, wired by
//! [`start_node`](crate::wiring::start_node) as for real; only what is around them differs:
//! chains in memory, a network that can be cut, and a search that takes the time its share of
//! the hash power gives it. `mvb demo --lab` talks to it.
//!
//! Everything runs on the current LocalSet. Nothing here prints, and nothing leaves the process.

mod attacks;
mod forest;
mod machine;
mod net;
mod search;
mod tree;

pub use attacks::{Attack, Told};
pub use forest::{Forest, ForestBlock, Stands};
pub use tree::{Balance, Branch, Picture, TreeBlock};

use crate::system::{SystemClock, fresh_seed};
use crate::wiring::StartError;
use machine::Machine;
use mvb_actors::{
    env::{RandomStream, WallClock},
    messages::{Refusal, SubmitTransaction, TransactionSource},
};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    chain::{StoreError, Tip},
    hash::TxId,
    numbers::Sequence,
    params::ChainParams,
    transaction::{Payment, Transaction},
};
use net::Cables;
use search::Powers;
use std::{rc::Rc, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// The most miners; more would not fit a screen.
pub const MOST_MINERS: usize = 8;

/// The wallet's people.
const PEOPLE: [&str; 2] = ["alice", "bob"];

/// How often the lab looks whether what it waits for has happened.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// What a lab is made of.
#[derive(Clone, Copy, Debug)]
pub struct LabConfig {
    /// How many miners, 2 to [`MOST_MINERS`].
    pub miners: usize,
    /// How long a block takes with all the hash power, on average.
    pub block_time: Duration,
    /// Decides everything that is random; drawn where it is `None`.
    pub seed: Option<u64>,
}

/// The machines, the cables between them, and who has how much hash power.
pub struct Lab {
    machines: Vec<Machine>,
    cables: Rc<Cables>,
    powers: Rc<Powers>,
    config: LabConfig,
    miners: usize,
}

/// Why the lab did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// There is nobody of that name.
    #[error("nobody is called {name:?}: there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The sides do not add up to the miners.
    #[error("got sides of {got} miners in all, expected {expected}, in two or more sides")]
    Sides {
        /// The sum.
        got: usize,
        /// How many miners there are.
        expected: usize,
    },
    /// A share of the hash power that is none.
    #[error("got {got} parts of 100, expected 1 to 99")]
    Share {
        /// The share.
        got: u8,
    },
    /// A node refused the payment.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// Something did not happen.
    #[error("gave up waiting until {what}")]
    Patience {
        /// What was waited for.
        what: String,
    },
    /// A node could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A chain in memory could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no randomness.
    #[error("this system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// A node does not answer any more.
    #[error("a node of the lab has ended")]
    Gone,
}

impl Lab {
    /// Starts miners `m1`, `m2`, … and a wallet with the keys of alice and bob.
    ///
    /// # Errors
    /// When a node cannot be started.
    pub async fn start(config: LabConfig) -> Result<Self, LabError> {
        let seed = match config.seed {
            Some(seed) => seed,
            None => fresh_seed()?,
        };
        let miners = config.miners.clamp(2, MOST_MINERS);
        let params = Arc::new(ChainParams {
            network_name: "lab".to_owned(),
            difficulty: search::DIFFICULTY,
            block_size: 1,
            ..ChainParams::default()
        });
        let cables = Rc::new(Cables::new(miners + 1));
        let powers = Rc::new(Powers::new(miners, config.block_time));
        let mut machines = Vec::new();
        for number in 0..=miners {
            let people: Vec<String> = match number {
                _ if number == miners => PEOPLE.map(str::to_owned).to_vec(),
                _ => vec![format!("m{}", number + 1)],
            };
            let random = Rc::new(RandomStream::new(seed, number as u64));
            let powers = (number < miners).then(|| powers.clone());
            let machine =
                Machine::start(number, people, params.clone(), &cables, powers, random).await?;
            machines.push(machine);
        }
        Ok(Self {
            machines,
            cables,
            powers,
            config,
            miners,
        })
    }

    /// How many miners there are.
    pub fn miners(&self) -> usize {
        self.miners
    }

    /// Cuts the network into sides of so many miners each, in their order; the wallet stays
    /// with the last side.
    ///
    /// # Errors
    /// When the sides do not add up to the miners.
    pub fn split(&self, sides: &[usize]) -> Result<(), LabError> {
        let got = sides
            .iter()
            .fold(0_usize, |sum, side| sum.saturating_add(*side));
        if got != self.miners || sides.len() < 2 || sides.contains(&0) {
            return Err(LabError::Sides {
                got,
                expected: self.miners,
            });
        }
        let mut of: Vec<usize> = sides
            .iter()
            .enumerate()
            .flat_map(|(side, miners)| std::iter::repeat_n(side, *miners))
            .collect();
        of.push(sides.len() - 1);
        self.cables.set_sides(of);
        Ok(())
    }

    /// Joins all sides again.
    pub fn heal(&self) {
        self.cables.set_sides(vec![0; self.machines.len()]);
    }

    /// Whether the network is split now.
    pub fn is_split(&self) -> bool {
        self.cables.is_split()
    }

    /// Gives a miner so many parts of 100 of all hash power; the others share the rest.
    ///
    /// # Errors
    /// When there is no such miner, or the share is none.
    pub fn set_power(&self, miner: usize, percent: u8) -> Result<(), LabError> {
        if miner == 0 || miner > self.miners {
            return Err(self.unknown(&format!("m{miner}")));
        }
        if !(1..=99).contains(&percent) {
            return Err(LabError::Share { got: percent });
        }
        self.powers.give(miner - 1, f64::from(percent) / 100.0);
        Ok(())
    }

    /// Shares the hash power equally.
    pub fn share_power(&self) {
        self.powers.share();
    }

    /// The share of all hash power that a miner has, in parts of 100.
    pub fn power(&self, miner: usize) -> f64 {
        self.powers.of(miner.saturating_sub(1)) * 100.0
    }

    /// Pays, on the machine of whoever pays.
    ///
    /// # Errors
    /// When a name is nobody's, or the payer's node refuses.
    pub async fn pay(&self, from: &str, to: &str, amount: Amount) -> Result<TxId, LabError> {
        let (machine, _) = self.find(from)?;
        let payment = self.sign(from, self.address(to)?, amount, None)?;
        self.submit(machine, payment, Keep::InOutbox).await
    }

    /// Everybody's chains and balances now.
    ///
    /// # Errors
    /// When a chain cannot be read.
    pub fn picture(&self) -> Result<Picture, LabError> {
        Ok(tree::picture(&self.machines)?)
    }

    /// The blocks of the last heights that anybody knows, those that were given up included.
    ///
    /// # Errors
    /// When a chain cannot be read.
    pub fn forest(&self, heights: u64) -> Result<Forest, LabError> {
        Ok(forest::forest(&self.machines, heights)?)
    }

    /// The machines that reach each other, side by side; one side where nothing is cut.
    pub fn sides(&self) -> Vec<Vec<String>> {
        let mut sides: Vec<Vec<usize>> = Vec::new();
        for number in 0..self.machines.len() {
            let side = sides.iter_mut().find(|side| {
                let first = side.first();
                first.is_some_and(|first| self.cables.reaches(*first, number))
            });
            match side {
                Some(side) => side.push(number),
                None => sides.push(vec![number]),
            }
        }
        let named = |side: Vec<usize>| {
            let name = |number: usize| self.machines[number].name().to_owned();
            side.into_iter().map(name).collect()
        };
        sides.into_iter().map(named).collect()
    }

    /// Everybody who can pay and be paid.
    pub fn people(&self) -> Vec<String> {
        let people = self.machines.iter().flat_map(Machine::people);
        people.cloned().collect()
    }

    /// Waits until every machine's chain has grown by so many blocks.
    ///
    /// # Errors
    /// When that takes far longer than it should.
    pub async fn grow(&self, blocks: u64) -> Result<(), LabError> {
        let mut wanted = Vec::new();
        for machine in &self.machines {
            wanted.push(machine.tip()?.height.0.saturating_add(blocks));
        }
        self.until("every chain has grown", || {
            for (machine, wanted) in self.machines.iter().zip(&wanted) {
                if machine.tip()?.height.0 < *wanted {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    /// Waits until all that can reach each other have one tip.
    ///
    /// # Errors
    /// When that takes far longer than it should.
    pub async fn agree(&self) -> Result<(), LabError> {
        self.until("those who can reach each other agree", || {
            for (number, machine) in self.machines.iter().enumerate() {
                for (other, second) in self.machines.iter().enumerate().skip(number + 1) {
                    if self.cables.reaches(number, other) && machine.tip()? != second.tip()? {
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        })
        .await
    }

    /// Looks again and again. A block in a side with little hash power may take a hundred
    /// times the block time, so patience is long.
    async fn until(
        &self,
        what: &str,
        mut holds: impl FnMut() -> Result<bool, LabError>,
    ) -> Result<(), LabError> {
        let patience = self.config.block_time * 400 + Duration::from_secs(10);
        let started = Instant::now();
        while !holds()? {
            if started.elapsed() > patience {
                return Err(LabError::Patience {
                    what: what.to_owned(),
                });
            }
            sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }

    /// A payment signed with somebody's key, with their next sequence unless one is given.
    fn sign(
        &self,
        from: &str,
        to: Address,
        amount: Amount,
        sequence: Option<Sequence>,
    ) -> Result<Transaction, LabError> {
        let (machine, person) = self.find(from)?;
        let machine = &self.machines[machine];
        let sequence = match sequence {
            Some(sequence) => sequence,
            None => machine.next_sequence(person)?,
        };
        Ok(Payment {
            genesis: machine.params().genesis_id(),
            to,
            amount,
            fee: Amount::ZERO,
            sequence,
            timestamp: SystemClock.now(),
        }
        .sign(machine.key(person)))
    }

    /// Hands a payment to a machine's node.
    async fn submit(
        &self,
        machine: usize,
        payment: Transaction,
        keep: Keep,
    ) -> Result<TxId, LabError> {
        let payment = Arc::new(payment);
        let message = SubmitTransaction {
            transaction: payment.clone(),
            source: TransactionSource::Outbox,
        };
        let machine = &self.machines[machine];
        let id = machine
            .node()
            .intake
            .send(message)
            .await
            .map_err(|_| LabError::Gone)??;
        if keep == Keep::InOutbox {
            machine.keep(payment);
        }
        Ok(id)
    }

    fn tip(&self, machine: usize) -> Result<Tip, LabError> {
        Ok(self.machines[machine].tip()?)
    }

    fn address(&self, name: &str) -> Result<Address, LabError> {
        let (machine, person) = self.find(name)?;
        Ok(self.machines[machine].address(person))
    }

    /// Somebody's machine, and which of its people they are.
    fn find(&self, name: &str) -> Result<(usize, usize), LabError> {
        self.machines
            .iter()
            .enumerate()
            .find_map(|(number, machine)| {
                let person = machine.people().iter().position(|person| person == name)?;
                Some((number, person))
            })
            .ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> LabError {
        let known: Vec<&str> = self
            .machines
            .iter()
            .flat_map(|machine| machine.people().iter().map(String::as_str))
            .collect();
        LabError::Unknown {
            name: name.to_owned(),
            known: known.join(", "),
        }
    }
}

/// Whether a payment is announced again and again by the machine that made it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    InOutbox,
    Nowhere,
}

#[cfg(test)]
mod tests;
