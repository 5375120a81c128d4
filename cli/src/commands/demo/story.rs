//! What happens in the demonstration, step by step, and what is told of it. Each step waits
//! for what it tells; nothing is told that was not seen on the members' chains.

use super::{
    network::{Network, Part, Side},
    told::{Told, after, unbroken},
};
use crate::output::{Output, OutputError, count, duration, hash_rate};
use anyhow::{Context as _, Result};
use mvb_protocol::{address::Address, amount::Amount, hash::TxId, numbers::Height};
use std::path::Path;
use tokio::time::Instant;

/// The key that rewards go to.
const REWARDS: &str = "mining_rewards";

/// The first miner's place among the members.
const FIRST: usize = 0;

/// The demonstration as it goes.
pub struct Story<'o> {
    output: &'o Output,
    network: Network,
    started: Instant,
    step: u32,
    miners: usize,
    alice: usize,
    bob: usize,
}

impl<'o> Story<'o> {
    /// Of a network without members yet.
    pub fn new(output: &'o Output, network: Network, started: Instant) -> Self {
        Self {
            output,
            network,
            started,
            step: 0,
            miners: 0,
            alice: 0,
            bob: 0,
        }
    }

    /// Step 1: what everybody agrees on.
    pub fn rules(&mut self, rate: f64) -> Result<()> {
        self.step("The rules")?;
        let params = self.network.params.clone();
        let work = mvb_protocol::target::Target::from_difficulty(params.difficulty).work();
        self.fact(format!(
            "A network is whoever uses the same rules: its name {:?}, difficulty {}, at least {} \
             transactions a block, {} coins of reward a block. They hash to {:.12}…, the id of \
             genesis, which every first block names as its parent.",
            params.network_name,
            params.difficulty,
            params.block_size,
            params.block_reward,
            params.genesis_id(),
        ))?;
        self.fact(format!(
            "This machine tries {}. Difficulty {} means that a block's hash begins with {} zero \
             bits: {work} tries on average, about {} here.",
            unbroken(hash_rate(rate)),
            params.difficulty,
            params.difficulty,
            unbroken(duration(work.as_f64() / rate)),
        ))
    }

    /// Step 2: coins come into being.
    pub async fn first_miner(&mut self) -> Result<()> {
        self.step("A miner begins")?;
        self.command("mvb miner")?;
        self.network.join("miner-1", Part::Miner)?;
        self.miners = 1;
        self.fact(
            "It listens for a second, hears nobody, and searches for block 1. The first block \
             needs no payment in it, so that there are coins at all.",
        )?;
        let since = Instant::now();
        let tip = self
            .network
            .until("the first block was not found", |network| {
                Ok(Some(network.tip(FIRST)?).filter(|tip| tip.height >= Height(1)))
            })
            .await?;
        self.fact(format!(
            "Found {}: block 1 is {}. It pays {} coins to the key {REWARDS} of miner-1. \
             For block 2 it waits: a block needs one payment beside its reward.",
            after(since.elapsed()),
            tip.id,
            self.network.params.block_reward,
        ))?;
        if let Some(page) = self.network.page(FIRST) {
            self.fact(format!(
                "Until the demo ends a browser shows what this miner knows, at {page}"
            ))?;
        }
        Ok(())
    }

    /// Step 3: others join and download the chain.
    pub async fn more_miners(&mut self, miners: usize) -> Result<()> {
        self.step("More miners join")?;
        for number in 2..=miners {
            self.network.join(&format!("miner-{number}"), Part::Miner)?;
        }
        self.miners = miners;
        self.command("mvb miner")?;
        self.fact(
            "Each miner announces its chain every second by a UDP broadcast. Whoever hears of a \
             chain with more work than its own downloads it over TCP, checks every rule and \
             every hash itself, and trusts nobody.",
        )?;
        let tip = self.agree("the miners do not agree").await?;
        self.fact(format!(
            "All {miners} miners now have the same chain: height {}, tip {:.12}….",
            tip.height, tip.id
        ))
    }

    /// Step 4: addresses.
    pub async fn wallets(&mut self) -> Result<()> {
        self.step("Two people get an address")?;
        let side = self.network.sides[0];
        for name in ["alice", "bob"] {
            let index = self.network.join(name, Part::Wallet)?;
            self.network.wallet(index, side, &["new-address", name])?;
            self.command(format!("mvb wallet new-address {name}"))?;
            let address = self.network.address(index, name)?;
            self.line(format!("{name:5} {address}"))?;
            if name == "alice" {
                self.alice = index;
            } else {
                self.bob = index;
            }
        }
        self.fact(
            "An address is the hash of a public key; the key is a file, and whoever has it can \
             spend. Alice and Bob also run `mvb wallet sync`: they follow the chain but do not \
             mine.",
        )?;
        self.agree("the wallets did not catch up").await.map(drop)
    }

    /// Step 5: the first payment, confirmed on every member.
    pub async fn payment(&mut self) -> Result<TxId> {
        self.step("A payment")?;
        let side = self.network.sides[0];
        let alice = self.network.address(self.alice, "alice")?;
        let since = Instant::now();
        let id = self.pay(FIRST, REWARDS, "4", &alice, side)?;
        self.fact(
            "The payment is signed with the key, saved, and announced. Every miner checks the \
             signature and the balance, then searches for block 2 with the payment in it: a race.",
        )?;
        let height = self.confirmed_everywhere(id).await?;
        let block = self.network.block(FIRST, height)?;
        let winner = self.network.miner_of(&block.reward.to).unwrap_or("a miner");
        self.fact(format!(
            "{winner} won and got {} coins. The payment is confirmed in block {height}, and {} \
             all {} have that block: {} and two wallets.",
            block.reward.amount,
            after(since.elapsed()),
            count(self.network.members.len(), "program"),
            count(self.miners, "miner"),
        ))?;
        Ok(id)
    }

    /// Step 6: the network falls apart and both halves go on. Returns the payment that
    /// only the half with less work has.
    pub async fn cut(&mut self) -> Result<TxId> {
        self.step("The network is cut in two")?;
        let (here, there) = self.halves();
        let sides = self.network.sides;
        let before = self.network.tip(FIRST)?.height;
        for index in &there {
            self.network.stop(*index);
            self.network.start(*index, sides[1])?;
        }
        self.fact(format!(
            "As if a cable were pulled: {} hear each other, and so do {}, but neither hears the \
             other half. Both pay and mine on.",
            self.names(&here),
            self.names(&there),
        ))?;
        let bob = self.network.address(self.bob, "bob")?;
        let orphan = self.pay(FIRST, REWARDS, "1", &bob, sides[0])?;
        self.pay(self.alice, "alice", "0.5", &bob, sides[1])?;
        let first = Height(before.0 + 1);
        let tip_here = self.reach(&here, first).await?;
        let fork = self.reach(&there, first).await?;
        self.fact(format!(
            "Now there are two blocks {first}: {:.12}… with one payment in one half, {:.12}… with \
             the other payment in the other. Both are valid. This is a fork.",
            tip_here.id, fork.id,
        ))?;
        self.pay(self.alice, "alice", "0.25", &bob, sides[1])?;
        let ahead = self.reach(&there, Height(before.0 + 2)).await?;
        self.fact(format!(
            "The half of {} also found block {}: more work than the other half has.",
            self.names(&there),
            ahead.height
        ))?;
        Ok(orphan)
    }

    /// Step 7: the halves meet again.
    pub async fn mend(&mut self, orphan: TxId) -> Result<()> {
        self.step("The cut is mended")?;
        let (here, there) = self.halves();
        let lost = self.network.tip(FIRST)?;
        let side = self.network.sides[0];
        let since = Instant::now();
        for index in there {
            self.network.stop(index);
            self.network.start(index, side)?;
        }
        self.network
            .until("the halves did not agree", |network| {
                let mut gone = true;
                for index in &here {
                    let id = network.chain(*index)?.snapshot()?.active_id(lost.height)?;
                    gone &= id.is_some_and(|id| id != lost.id);
                }
                Ok(gone.then_some(()))
            })
            .await?;
        self.fact(format!(
            "The chain with the most work wins: {} {} took back block {} {:.12}… and \
             adopted the other half's. Nobody decided that; everybody followed the same rule.",
            after(since.elapsed()),
            self.names(&here),
            lost.height,
            lost.id,
        ))?;
        let height = self.confirmed_everywhere(orphan).await?;
        self.fact(format!(
            "The payment in the block that was taken back ({orphan:.8}…) is not lost: it waited \
             again, and is now confirmed in block {height}.",
        ))
    }

    /// Step 8: the sum is right.
    pub fn balances(&mut self) -> Result<()> {
        self.step("What everybody has")?;
        let mut sum = 0;
        for index in 0..self.network.members.len() {
            let name = self.network.members[index].name.clone();
            let key = match name.strip_prefix("miner-") {
                Some(_) => REWARDS,
                None => name.as_str(),
            };
            let address = self.network.address(index, key)?;
            let balance = self.network.balance(FIRST, &address)?;
            sum += balance.units();
            self.line(format!("{name:8} {:>12} coins", balance.to_string()))?;
        }
        let height = self.network.tip(FIRST)?.height;
        self.fact(format!(
            "{} in all: {} of {} coins each. No coin came from anywhere else, and none was lost.",
            Amount::from_units(sum),
            count(height.0, "block"),
            self.network.params.block_reward,
        ))
    }

    /// Where to look further.
    pub fn kept(&mut self, base: &Path) -> Result<()> {
        self.fact("The homes are kept. To look around:")?;
        for member in ["miner-1", "alice"] {
            let home = base.join(member);
            let what = match member {
                "alice" => "wallet history alice",
                _ => "chain block 2",
            };
            self.command(format!("mvb --home {} {what}", home.display()))?;
        }
        Ok(())
    }

    /// The end.
    pub fn done(&mut self, payment: TxId) -> Result<()> {
        let tip = self.network.tip(FIRST)?;
        self.tell(&Told::Done {
            height: tip.height.0,
            tip: tip.id.to_string(),
            payment: payment.to_string(),
            seconds: self.started.elapsed().as_secs_f64(),
        })?;
        Ok(())
    }

    fn pay(&self, from: usize, key: &str, amount: &str, to: &Address, side: Side) -> Result<TxId> {
        let shown = to.to_string();
        self.command(format!("mvb wallet send {key} {amount} {shown:.8}…"))?;
        let sent = self
            .network
            .wallet(from, side, &["send", key, amount, &shown])?;
        let id: TxId = sent["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .context("send printed no id")?;
        self.line(format!("payment {id}"))?;
        Ok(id)
    }

    async fn agree(&mut self, otherwise: &str) -> Result<mvb_protocol::chain::Tip> {
        self.network
            .until(otherwise, |network| {
                let tip = network.common_tip(0..network.members.len())?;
                Ok(tip.filter(|tip| tip.height > Height(0)))
            })
            .await
    }

    async fn reach(
        &mut self,
        members: &[usize],
        height: Height,
    ) -> Result<mvb_protocol::chain::Tip> {
        self.network
            .until("a half of the network found no block", |network| {
                let tip = network.common_tip(members.iter().copied())?;
                Ok(tip.filter(|tip| tip.height >= height))
            })
            .await
    }

    /// Waits until every member has the payment in the same block.
    async fn confirmed_everywhere(&mut self, id: TxId) -> Result<Height> {
        self.network
            .until("the payment was not confirmed everywhere", |network| {
                if network.common_tip(0..network.members.len())?.is_none() {
                    return Ok(None);
                }
                let mut height = None;
                for index in 0..network.members.len() {
                    height = network.confirmed(index, &id)?;
                    if height.is_none() {
                        return Ok(None);
                    }
                }
                Ok(height)
            })
            .await
    }

    /// The members that stay connected, with the first miner and Bob; and those cut off,
    /// with Alice.
    fn halves(&self) -> (Vec<usize>, Vec<usize>) {
        let stays = |index: &usize| match *index {
            index if index == self.alice => false,
            index if index == self.bob => true,
            index => index < self.miners.div_ceil(2),
        };
        (0..self.network.members.len()).partition(stays)
    }

    fn names(&self, members: &[usize]) -> String {
        let names: Vec<&str> = members
            .iter()
            .map(|index| self.network.members[*index].name.as_str())
            .collect();
        match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => String::new(),
        }
    }

    fn step(&mut self, title: &str) -> Result<()> {
        self.step += 1;
        self.tell(&Told::Step {
            number: self.step,
            title: title.to_owned(),
        })?;
        Ok(())
    }

    fn fact(&self, text: impl Into<String>) -> Result<()> {
        let text = text.into();
        Ok(self.tell(&Told::Fact { text })?)
    }

    fn command(&self, text: impl Into<String>) -> Result<()> {
        let text = text.into();
        Ok(self.tell(&Told::Command { text })?)
    }

    fn line(&self, text: impl Into<String>) -> Result<()> {
        let text = text.into();
        Ok(self.tell(&Told::Line { text })?)
    }

    fn tell(&self, told: &Told) -> Result<(), OutputError> {
        self.output.event(told)
    }
}
