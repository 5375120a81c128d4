//! `mvb chain info`: where this home's chain stands.

use super::OpenChain;
use crate::{
    context::Context,
    exit::Exit,
    output::{count, utc},
};
use anyhow::Result;
use mvb_node::resident::{self, Resident};
use mvb_protocol::{
    amount::{Amount, MAX_SUPPLY},
    numbers::Height,
    params::ChainParams,
};
use serde::Serialize;
use std::fmt;

/// Prints height, tip, work and parameters.
pub fn run(context: &Context) -> Result<Exit> {
    let open = OpenChain::new(context)?;
    let params = open.config.chain_params();
    let store = open.store();
    let chain = store.snapshot()?;
    let tip = chain.tip()?;
    let time = chain
        .header(&tip.id)?
        .map(|stored| stored.header.timestamp.0);
    let resident = match resident::read(&open.home, context.now())? {
        Resident::None => None,
        Resident::Alive(status) => Some(format!("{} (process {})", status.role, status.pid)),
        Resident::Silent { .. } => open
            .home
            .holder()?
            .map(|holder| format!("{} (process {})", holder.role, holder.pid)),
    };
    context.output.report(&ChainInfo {
        network_name: params.network_name.clone(),
        genesis: params.genesis_id().to_string(),
        height: tip.height.0,
        tip: tip.id.to_string(),
        work: tip.work.to_string(),
        time,
        supply: supply(params, tip.height).to_string(),
        difficulty: params.difficulty,
        block_size: params.block_size,
        block_reward: params.block_reward.to_string(),
        target_block_seconds: params.target_block_seconds,
        max_block_bytes: params.max_block_bytes,
        folder: open
            .home
            .chain_folder(params.genesis_id())
            .display()
            .to_string(),
        resident,
    })?;
    Ok(Exit::Done)
}

/// The coins that exist: each block created exactly its subsidy.
fn supply(params: &ChainParams, height: Height) -> Amount {
    let issued = params.block_reward.units().saturating_mul(height.0);
    Amount::from_units(issued).min(MAX_SUPPLY)
}

#[derive(Serialize)]
struct ChainInfo {
    network_name: String,
    genesis: String,
    height: u64,
    tip: String,
    work: String,
    time: Option<u64>,
    supply: String,
    difficulty: u8,
    block_size: u32,
    block_reward: String,
    target_block_seconds: u32,
    max_block_bytes: u32,
    folder: String,
    resident: Option<String>,
}

impl fmt::Display for ChainInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = match self.time {
            Some(time) => format!("{} UTC", utc(time)),
            None => "no block yet".to_owned(),
        };
        let difficulty = match self.target_block_seconds {
            0 => format!("{} bits, fixed", self.difficulty),
            seconds => format!(
                "{} bits at least, adjusted to a block every {seconds} s",
                self.difficulty
            ),
        };
        let block_size = count(self.block_size, "transaction");
        writeln!(f, "network       {}", self.network_name)?;
        writeln!(f, "genesis       {}", self.genesis)?;
        writeln!(f, "height        {}", self.height)?;
        writeln!(f, "tip           {}", self.tip)?;
        writeln!(f, "tip's time    {time}")?;
        writeln!(f, "work          {} hashes expected", self.work)?;
        writeln!(f, "supply        {} coins", self.supply)?;
        writeln!(f, "difficulty    {difficulty}")?;
        writeln!(
            f,
            "block         {block_size} at least, its reward of {} coins counted; {} bytes at most",
            self.block_reward, self.max_block_bytes
        )?;
        writeln!(f, "folder        {}", self.folder)?;
        writeln!(
            f,
            "running       {}",
            self.resident.as_deref().unwrap_or("nothing on this home")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ChainInfo {
        ChainInfo {
            network_name: "mvb".into(),
            genesis: "aa".repeat(32),
            height: 0,
            tip: "aa".repeat(32),
            work: "0".into(),
            time: None,
            supply: "0".into(),
            difficulty: 26,
            block_size: 2,
            block_reward: "10".into(),
            target_block_seconds: 0,
            max_block_bytes: 1_048_576,
            folder: "/home/x/chains/aa".into(),
            resident: None,
        }
    }

    #[test]
    fn a_chain_without_blocks_reads_as_one() {
        let id = "aa".repeat(32);
        assert_eq!(
            info().to_string(),
            format!(
                "network       mvb\ngenesis       {id}\nheight        0\ntip           {id}\n\
                 tip's time    no block yet\nwork          0 hashes expected\nsupply        0 coins\n\
                 difficulty    26 bits, fixed\n\
                 block         2 transactions at least, its reward of 10 coins counted; 1048576 bytes at most\n\
                 folder        /home/x/chains/aa\nrunning       nothing on this home\n"
            )
        );
    }

    #[test]
    fn json_has_height_tip_work_and_genesis() {
        let json: serde_json::Value = serde_json::to_value(info()).unwrap();
        assert_eq!(json["height"], 0);
        assert_eq!(json["work"], "0");
        assert_eq!(json["tip"], json["genesis"]);
    }
}
