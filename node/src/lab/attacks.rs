//! What a part of the hash power can do to the others, played through: a private chain by a
//! majority and by a minority, payments kept out, and things that no hash power buys. The
//! attacker is m1. Each attack tells what it does and what came of it, and leaves the network
//! whole and the hash power shared equally.

use super::{Keep, Lab, LabError};
use crate::system::SystemClock;
use mvb_actors::{
    env::WallClock,
    messages::{SubmitBlock, SubmitTransaction, TransactionSource},
};
use mvb_protocol::{
    amount::Amount,
    block::{Block, Header, Reward},
    chain::{ChainStore, StoreError},
    hash::{ContentRoot, TxId},
    params::BLOCK_VERSION,
    transaction::Transaction,
    validate::{HeaderChain, expected_reward},
};
use std::sync::Arc;

/// The attacker's share as a majority and as a minority, in parts of 100.
const MAJORITY: u8 = 80;
const MINORITY: u8 = 15;

/// How far the others must be ahead before a minority gives up.
const HOPELESS: u64 = 3;

/// How often payments are kept out before the attacker stops.
const ROUNDS: u32 = 2;

/// What the attacker tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// To take back a payment, with most of the hash power.
    Majority,
    /// The same with little of it.
    Minority,
    /// To keep somebody's payments out, with most of it.
    Censor,
    /// To spend others' coins and to make coins, which no hash power allows.
    Forge,
}

impl Attack {
    /// Each with its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("majority", Self::Majority),
        ("minority", Self::Minority),
        ("censor", Self::Censor),
        ("forge", Self::Forge),
    ];
}

/// Where an attack tells what happens.
pub type Told<'a> = &'a mut dyn FnMut(String);

impl Lab {
    /// Plays an attack through.
    ///
    /// # Errors
    /// When something does not happen that should, or `tell`'s machines fail.
    pub async fn attack(&self, attack: Attack, tell: Told<'_>) -> Result<(), LabError> {
        self.heal();
        self.share_power();
        self.agree().await?;
        let done = match attack {
            Attack::Majority => self.take_back(MAJORITY, tell).await,
            Attack::Minority => self.take_back(MINORITY, tell).await,
            Attack::Censor => self.censor(tell).await,
            Attack::Forge => self.forge(tell).await,
        };
        self.heal();
        self.share_power();
        self.cables.set_deaf(None);
        done
    }

    /// m1 pays alice, and in secret mines a chain on which it paid bob instead.
    async fn take_back(&self, percent: u8, tell: Told<'_>) -> Result<(), LabError> {
        let coins = Amount::from_units(5_000_000);
        self.earn("m1", coins, tell).await?;
        self.set_power(1, percent)?;
        tell(format!("m1 has {percent} of 100 parts of the hash power."));
        let honest = self.sign("m1", self.address("alice")?, coins, None)?;
        let sequence = honest.sequence;
        let rival = self.sign("m1", self.address("bob")?, coins, Some(sequence))?;
        self.split_off_attacker();
        let id = self.submit(1, honest, Keep::Nowhere).await?;
        let rival = self.submit(0, rival, Keep::Nowhere).await?;
        tell(format!(
            "m1 pays alice {coins} (payment {id:.8}), and mines on in secret, on a chain of its own \
             on which the same coins go to bob (payment {rival:.8})."
        ));
        let wallet = self.miners();
        self.until("alice's payment is confirmed", || {
            Ok(self.confirmed(wallet, &id)?.is_some())
        })
        .await?;
        tell("Alice sees her payment in a block, and hands over the goods.".to_owned());
        let is_majority = percent > 50;
        self.until("one chain is far enough ahead", || {
            let (secret, open) = (self.tip(0)?, self.tip(wallet)?);
            Ok(if is_majority {
                secret.work > open.work && self.confirmed(0, &rival)?.is_some()
            } else {
                open.height.0 >= secret.height.0.saturating_add(HOPELESS)
            })
        })
        .await?;
        let (secret, open) = (self.tip(0)?.height, self.tip(wallet)?.height);
        tell(format!(
            "The secret chain has reached height {secret}, everybody else's {open}. m1 publishes it."
        ));
        self.heal();
        self.agree().await?;
        let kept = self.confirmed(wallet, &id)?;
        tell(match (kept, self.confirmed(wallet, &rival)?) {
            (None, Some(height)) => format!(
                "Everybody has adopted the chain with more work. Alice's payment is gone, and never \
                 comes back: its place in m1's order is taken by the payment to bob in block \
                 {height}. A majority can take back what it paid itself, so wait for more blocks \
                 on top of a payment, the more the larger it is."
            ),
            (Some(height), _) => format!(
                "Nobody moves: the open chain has more work. Alice's payment stays in block \
                 {height}, and m1 has lost the rewards of all it mined in secret. The deeper a \
                 payment is, the less likely a minority ever catches up."
            ),
            (None, None) => "Neither payment is in a block yet.".to_owned(),
        });
        Ok(())
    }

    /// m1 replaces every block with alice's payment by blocks without one.
    async fn censor(&self, tell: Told<'_>) -> Result<(), LabError> {
        let coins = Amount::from_units(1_000_000);
        self.earn("m2", coins, tell).await?;
        let first = self.pay("m2", "alice", coins).await?;
        let wallet = self.miners();
        self.until("alice has coins", || {
            Ok(self.confirmed(wallet, &first)?.is_some())
        })
        .await?;
        self.agree().await?;
        self.set_power(1, MAJORITY)?;
        tell(format!(
            "m1 has {MAJORITY} of 100 parts of the hash power, and does not like alice."
        ));
        self.cables.set_deaf(Some(0));
        self.split_off_attacker();
        let id = self.pay("alice", "bob", coins).await?;
        tell(format!("Alice pays bob {coins} (payment {id:.8})."));
        for _ in 0..ROUNDS {
            self.until("alice's payment is confirmed", || {
                Ok(self.confirmed(wallet, &id)?.is_some())
            })
            .await?;
            self.until("the secret chain is ahead", || {
                Ok(self.tip(0)?.work > self.tip(wallet)?.work)
            })
            .await?;
            let secret = self.tip(0)?;
            self.heal();
            self.until("everybody has adopted the secret chain", || {
                Ok(self.tip(wallet)?.work >= secret.work)
            })
            .await?;
            let waits = self.confirmed(wallet, &id)?.is_none();
            self.split_off_attacker();
            tell(if waits {
                "A block had alice's payment; m1 has published a longer chain without it. The \
                 payment is back in the mempool."
                    .to_owned()
            } else {
                "This time the payment had got into the chain that m1 built on.".to_owned()
            });
        }
        self.heal();
        self.share_power();
        self.until("alice's payment is confirmed again", || {
            Ok(self.confirmed(wallet, &id)?.is_some())
        })
        .await?;
        tell(
            "m1 has stopped, and alice's payment is in a block at once: her machine went on \
             announcing it. A majority can keep payments out, but only for as long as it goes on \
             mining more than all others together."
                .to_owned(),
        );
        Ok(())
    }

    /// What no share of the hash power allows.
    async fn forge(&self, tell: Told<'_>) -> Result<(), LabError> {
        let coins = Amount::from_units(1_000_000);
        self.earn("m2", coins, tell).await?;
        self.set_power(1, MAJORITY)?;
        tell(format!("m1 has {MAJORITY} of 100 parts of the hash power."));
        let [(stolen, theft), (raised, change)] = self.forged(coins)?;
        for (what, payment) in [(theft, stolen), (change, raised)] {
            let refusal = self.refused_payment(payment).await?;
            tell(format!("{what} m2 answers: {refusal}"));
        }
        let block = self.greedy_block()?;
        let id = block.header.id();
        let answer = self.machines[1]
            .node()
            .chain
            .send(SubmitBlock {
                block: block.into(),
            })
            .await
            .map_err(|_| LabError::Gone)?;
        let answer = match answer {
            Ok(_) => "it was taken".to_owned(),
            Err(error) => error.to_string(),
        };
        tell(format!(
            "m1 mines block {id:.8} with real proof of work, whose reward is one coin more than \
             the rules allow. m2 answers: {answer}"
        ));
        tell(
            "Everybody checks every signature and every coin for themselves. Hash power decides \
             which of several valid chains counts, and never what is valid."
                .to_owned(),
        );
        Ok(())
    }

    /// Two payments that m1 has no right to, with what is done.
    fn forged(&self, coins: Amount) -> Result<[(Transaction, &'static str); 2], LabError> {
        let to = self.address("m1")?;
        let of_m2 = self.sign("m2", to, coins, None)?;
        let own = self.sign("m1", to, coins, None)?;
        let stolen = Transaction {
            signature: own.signature,
            ..of_m2.clone()
        };
        let raised = Transaction {
            amount: Amount::from_units(coins.units().saturating_mul(2)),
            ..of_m2
        };
        Ok([
            (
                stolen,
                "m1 makes a payment from m2 to itself, and signs it with its own key.",
            ),
            (
                raised,
                "m1 takes a payment that m2 did sign, and doubles its amount.",
            ),
        ])
    }

    async fn refused_payment(&self, payment: Transaction) -> Result<String, LabError> {
        let message = SubmitTransaction {
            transaction: Arc::new(payment),
            source: TransactionSource::Outbox,
        };
        let answer = self.machines[1].node().intake.send(message).await;
        Ok(match answer.map_err(|_| LabError::Gone)? {
            Ok(id) => format!("payment {id:.8} was taken"),
            Err(refusal) => refusal.to_string(),
        })
    }

    /// A block on m2's tip that is right but for its reward.
    fn greedy_block(&self) -> Result<Arc<Block>, LabError> {
        let machine = &self.machines[1];
        let params = machine.params();
        let chain = machine.store().snapshot()?;
        let damaged = |what: &str| StoreError::Damaged {
            what: what.to_owned(),
        };
        let headers = HeaderChain::ending_at(&*chain, params, chain.tip()?.id)
            .map_err(|_| damaged("headers"))?;
        let height = headers
            .tip()
            .height
            .next()
            .ok_or_else(|| damaged("height"))?;
        let allowed = expected_reward(params, height, &[]).map_err(|_| damaged("reward"))?;
        let one_more = Amount::from_units(allowed.units().saturating_add(1_000_000));
        let mut block = Block {
            header: Header {
                previous: headers.tip().id,
                content_root: ContentRoot::default(),
                version: BLOCK_VERSION,
                target: headers.next_target(params),
                height,
                timestamp: SystemClock.now().max(headers.least_timestamp()),
                nonce: 0,
            },
            transactions: Vec::new(),
            reward: Reward {
                to: self.address("m1")?,
                amount: one_more,
                extra_nonce: 0,
            },
        };
        block.header.content_root = block.content_root(params.genesis_id(), &[]);
        let target = block
            .header
            .target
            .expand()
            .ok_or_else(|| damaged("target"))?;
        while !target.is_met_by(&block.header.id()) {
            block.header.nonce = block.header.nonce.wrapping_add(1);
        }
        Ok(Arc::new(block))
    }

    /// Waits until somebody can pay so much on everybody's chain.
    async fn earn(&self, name: &str, coins: Amount, tell: Told<'_>) -> Result<(), LabError> {
        let address = self.address(name)?;
        let has_coins = || -> Result<bool, LabError> {
            for machine in &self.machines {
                if machine.store().snapshot()?.account(&address)?.balance < coins {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        if !has_coins()? {
            tell(format!("First {name} has to mine a block."));
            self.until("it has", has_coins).await?;
        }
        self.agree().await
    }

    /// Cuts m1 off from all others.
    fn split_off_attacker(&self) {
        let mut sides = vec![1; self.machines.len()];
        sides[0] = 0;
        self.cables.set_sides(sides);
        self.machines[0].forget_payments();
    }

    fn confirmed(&self, machine: usize, id: &TxId) -> Result<Option<u64>, LabError> {
        Ok(self.machines[machine].confirmed(id)?)
    }
}
