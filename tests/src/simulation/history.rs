//! What everybody has before a run begins: a chain whose blocks came faster than they should,
//! so that its target has moved already and has far to go.

use super::{Broken, profile::Profile};
use crate::{cluster::Machine, sim_env::EPOCH_MS};
use mvb_protocol::{
    address::Address,
    block::{Block, Header, Reward},
    chain::ChainStore,
    connect::connect,
    hash::ContentRoot,
    numbers::{Height, Timestamp},
    params::BLOCK_VERSION,
    validate::{HeaderChain, verify_block},
};
use std::{rc::Rc, sync::Arc};

/// How far apart its blocks are; the chain wants 5 seconds.
const APART_MS: u64 = 2_500;

/// Writes the profile's history to every machine's disk. Its rewards go round.
pub(super) fn write(
    machines: &[Rc<Machine>],
    profile: &Profile,
    addresses: &[Address],
) -> Result<(), Broken> {
    if profile.history == 0 {
        return Ok(());
    }
    let params = &profile.cluster.params;
    let impossible = |what: &str| Broken::Ended {
        what: format!("no history: {what}"),
    };
    let mut headers = HeaderChain::genesis(params);
    let mut blocks = Vec::new();
    for (height, to) in (1..=profile.history).zip(addresses.iter().cycle()) {
        let target = headers.next_target(params);
        let full = target.expand().ok_or(impossible("target"))?;
        let mut block = Block {
            header: Header {
                previous: headers.tip().id,
                content_root: ContentRoot::default(),
                version: BLOCK_VERSION,
                target,
                height: Height(height),
                timestamp: Timestamp(EPOCH_MS - (profile.history - height + 4) * APART_MS),
                nonce: 0,
            },
            transactions: Vec::new(),
            reward: Reward {
                to: *to,
                amount: params.subsidy(Height(height)),
                extra_nonce: profile.cluster.seed,
            },
        };
        block.header.content_root = block.content_root(params.genesis_id(), &[]);
        while !full.is_met_by(&block.id()) {
            block.header.nonce += 1;
        }
        headers
            .push(params, &block.header, None)
            .map_err(|error| impossible(&error.to_string()))?;
        let verified = verify_block(Arc::new(block), params);
        blocks.push(verified.map_err(|error| impossible(&error.to_string()))?);
    }
    let disk = &machines[0].disk;
    let connection = connect(&*disk.snapshot()?, params, &blocks, Timestamp(EPOCH_MS))?;
    let changes = connection.changes.ok_or(impossible("refused"))?;
    for machine in machines {
        machine.disk.commit(&changes)?;
    }
    Ok(())
}
