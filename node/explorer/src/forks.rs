//! The fork tree: the last blocks of the active chain, the branches beside it that this node
//! has seen since it started, and the tips that peers claim and nobody has shown yet. A plain
//! value that is laid out in lanes; the page draws it and the API writes it.

use mvb_actors::{
    seen_blocks::{Fate, SeenBlock},
    view::PeerView,
};
use mvb_node::snapshot::NodeSnapshot;
use mvb_protocol::{
    address::Address,
    chain::{ChainSnapshot, StoreError, Tip},
    hash::BlockId,
    numbers::{Height, Timestamp},
};
use std::collections::BTreeMap;

/// How many heights the tree shows.
pub const HEIGHTS: u64 = 24;

/// The most branches beside the active chain.
const MOST_LANES: usize = 12;

/// A block of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeBlock {
    /// Its id.
    pub id: BlockId,
    /// Its parent.
    pub previous: BlockId,
    /// Its height.
    pub height: Height,
    /// When it was made, by its miner's clock.
    pub time: Timestamp,
    /// What became of it.
    pub fate: Fate,
    /// Its row: 0 for the active chain.
    pub lane: usize,
    /// Its payments and who was rewarded, where they are known.
    pub body: Option<(usize, Address)>,
    /// Whether this run's miner has found it.
    pub found_here: bool,
    /// How many peers have it as their tip.
    pub peers: usize,
}

/// A tip that peers claim and this node does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The tip.
    pub tip: Tip,
    /// How many peers claim it.
    pub peers: usize,
    /// Whether it would be the better chain.
    pub is_better: bool,
}

/// The tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkTree {
    /// The least height shown.
    pub from: Height,
    /// The tip.
    pub tip: Tip,
    /// The blocks, the lowest first, the active one of a height before the others.
    pub blocks: Vec<TreeBlock>,
    /// What peers claim beside that.
    pub claims: Vec<Claim>,
    /// How many lanes there are.
    pub lanes: usize,
}

/// The tree of a chain and of what its node has seen.
///
/// # Errors
/// When the store cannot be read.
pub fn tree(chain: &dyn ChainSnapshot, now: &NodeSnapshot) -> Result<ForkTree, StoreError> {
    let tip = chain.tip()?;
    let from = Height(tip.height.0.saturating_sub(HEIGHTS - 1));
    let mut blocks = Vec::new();
    for height in (from.0.max(1)..=tip.height.0).map(Height) {
        let Some(id) = chain.active_id(height)? else {
            continue;
        };
        if let Some(stored) = chain.header(&id)? {
            let seen = now.blocks.iter().rev().find(|seen| seen.id == id);
            blocks.push(TreeBlock {
                id,
                previous: stored.header.previous,
                height,
                time: stored.header.timestamp,
                fate: Fate::Active,
                lane: 0,
                body: seen.map(|seen| (seen.payments, seen.reward_to)),
                found_here: seen.is_some_and(|seen| seen.found_here),
                peers: 0,
            });
        }
    }
    let sides = now.blocks.iter().filter(|seen| {
        // What the store says is newer than what was taken a moment ago.
        let is_new = !blocks.iter().any(|block| block.id == seen.id);
        is_new && seen.fate != Fate::Active && seen.header.height >= from
    });
    blocks.extend(sides.map(of_side).collect::<Vec<_>>());
    let mut tree = laid_out(from, tip, blocks);
    tree.claims = count_peers(&mut tree.blocks, &now.peers.peers, &tip, from);
    Ok(tree)
}

/// A tree of these blocks: those in lane 0 stay there, the others get lanes of their own.
pub fn laid_out(from: Height, tip: Tip, mut blocks: Vec<TreeBlock>) -> ForkTree {
    let lanes = lay_out(&mut blocks);
    blocks.sort_by_key(|block| (block.height, block.lane));
    ForkTree {
        from,
        tip,
        blocks,
        claims: Vec::new(),
        lanes,
    }
}

fn of_side(seen: &SeenBlock) -> TreeBlock {
    TreeBlock {
        id: seen.id,
        previous: seen.header.previous,
        height: seen.header.height,
        time: seen.header.timestamp,
        fate: seen.fate,
        lane: usize::MAX,
        body: Some((seen.payments, seen.reward_to)),
        found_here: seen.found_here,
        peers: 0,
    }
}

/// Gives every block off the active chain a lane: its parent's if it is the first child there,
/// else the first lane that is free where its branch begins. Drops those beyond the last lane.
fn lay_out(blocks: &mut Vec<TreeBlock>) -> usize {
    // Where each lane ends, and with which block.
    let mut ends: Vec<(Height, BlockId)> = Vec::new();
    blocks.sort_by_key(|block| (block.lane != 0, block.height));
    for block in blocks.iter_mut().filter(|block| block.lane != 0) {
        let continued = ends.iter().position(|(_, last)| *last == block.previous);
        let free = || {
            // One height is left between branches, for the line that leads to the second.
            let free = |(end, _): &(Height, BlockId)| end.0 + 1 < block.height.0;
            ends.iter().position(free)
        };
        let lane = continued.or_else(free).unwrap_or(ends.len());
        let end = (block.height, block.id);
        match ends.get_mut(lane) {
            Some(taken) => *taken = end,
            None => ends.push(end),
        }
        block.lane = lane + 1;
    }
    blocks.retain(|block| block.lane <= MOST_LANES);
    1 + ends.len().min(MOST_LANES)
}

/// Counts the peers at each block, and gathers the tips that nobody has shown.
fn count_peers(
    blocks: &mut [TreeBlock],
    peers: &[PeerView],
    tip: &Tip,
    from: Height,
) -> Vec<Claim> {
    let mut unknown: BTreeMap<BlockId, Claim> = BTreeMap::new();
    for peer in peers {
        if let Some(block) = blocks.iter_mut().find(|block| block.id == peer.tip.id) {
            block.peers += 1;
        } else if peer.tip.height >= from && peer.tip.height.0 > 0 {
            let claim = unknown.entry(peer.tip.id).or_insert(Claim {
                tip: peer.tip,
                peers: 0,
                is_better: peer.tip.is_better_than(tip),
            });
            claim.peers += 1;
        }
    }
    let mut claims: Vec<Claim> = unknown.into_values().collect();
    claims.sort_by_key(|claim| (std::cmp::Reverse(claim.peers), claim.tip.id));
    claims.truncate(MOST_LANES);
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(id: u8, previous: u8, height: u64, lane: usize) -> TreeBlock {
        TreeBlock {
            id: BlockId([id; 32]),
            previous: BlockId([previous; 32]),
            height: Height(height),
            time: Timestamp(height),
            fate: if lane == 0 {
                Fate::Active
            } else {
                Fate::Orphaned
            },
            lane,
            body: None,
            found_here: false,
            peers: 0,
        }
    }

    fn lanes(mut blocks: Vec<TreeBlock>) -> (Vec<(u8, usize)>, usize) {
        let lanes = lay_out(&mut blocks);
        let mut shown: Vec<_> = blocks.iter().map(|b| (b.id.0[0], b.lane)).collect();
        shown.sort();
        (shown, lanes)
    }

    #[test]
    fn a_branch_stays_in_its_lane_and_one_at_the_same_height_gets_another() {
        let side = usize::MAX;
        let blocks = vec![
            block(1, 0, 1, 0),
            block(2, 1, 2, 0),
            block(3, 2, 3, 0),
            block(12, 1, 2, side),
            block(13, 12, 3, side),
            block(23, 2, 3, side),
        ];
        let expected = vec![(1, 0), (2, 0), (3, 0), (12, 1), (13, 1), (23, 2)];
        assert_eq!(lanes(blocks), (expected, 3));
    }

    #[test]
    fn a_lane_is_used_again_where_the_branch_before_it_has_ended() {
        let side = usize::MAX;
        let blocks = vec![block(12, 1, 2, side), block(15, 4, 5, side)];
        assert_eq!(lanes(blocks), (vec![(12, 1), (15, 1)], 2));
    }

    #[test]
    fn however_many_branches_there_are_few_lanes_are_drawn() {
        let blocks = (1..=100).map(|id| block(id, 0, 7, usize::MAX)).collect();
        let (shown, lanes) = lanes(blocks);
        assert_eq!((shown.len(), lanes), (MOST_LANES, MOST_LANES + 1));
    }
}
