//! The lab's chains as lines of text: the trunk, the branches above it, and a table of who
//! owns what by each.

use crate::output::count;
use mvb_node::lab::{Branch, Picture, TreeBlock};

/// How many blocks of a branch are shown; of a longer one the oldest and the newest.
const SHOWN: usize = 5;

/// The picture.
pub fn lines(picture: &Picture) -> Vec<String> {
    let mut lines = vec![match &picture.trunk[..] {
        [] => "0 genesis".to_owned(),
        trunk => chain(trunk),
    }];
    if let [one] = &picture.branches[..] {
        lines.push(format!("all agree: {}", told(one)));
    } else {
        let last = picture.branches.len().saturating_sub(1);
        for (number, branch) in picture.branches.iter().enumerate() {
            let (corner, below) = if number == last {
                ("└─", "  ")
            } else {
                ("├─", "│ ")
            };
            lines.push(format!("{corner} {}", chain(&branch.blocks)));
            lines.push(format!("{below}   {}", told(branch)));
        }
    }
    lines.extend(balances(&picture.branches));
    lines
}

/// What joining the network did, one sentence a side that lost.
pub fn healed(before: &Picture, after: &Picture) -> Vec<String> {
    let lost: Vec<String> = before
        .branches
        .iter()
        .filter(|branch| !branch.blocks.is_empty() && !survives(branch, after))
        .map(|branch| {
            let payments: usize = branch.blocks.iter().map(|block| block.payments).sum();
            format!(
                "{} gave up {} for the chain with more work: a reorg. {} wait again, unless the \
                 better chain has them too.",
                branch.machines.join(", "),
                count(branch.blocks.len(), "block"),
                count(payments, "payment"),
            )
        })
        .collect();
    if lost.is_empty() {
        vec!["All have one chain.".to_owned()]
    } else {
        lost
    }
}

/// Whether a branch's blocks, as far as they can be told, are part of the chain afterwards.
fn survives(branch: &Branch, after: &Picture) -> bool {
    let known = |block: &TreeBlock| {
        let in_branch = |other: &Branch| other.blocks.iter().any(|known| known.id == block.id);
        after.trunk.iter().any(|known| known.id == block.id) || after.branches.iter().any(in_branch)
    };
    branch.blocks.iter().any(known)
}

fn told(branch: &Branch) -> String {
    let mut text = format!(
        "{} at height {}",
        branch.machines.join(" "),
        branch.tip.height
    );
    if branch.waiting > 0 {
        text += &format!(", {} waiting", count(branch.waiting, "payment"));
    }
    text
}

fn chain(blocks: &[TreeBlock]) -> String {
    if blocks.is_empty() {
        return "(no block yet)".to_owned();
    }
    let left_out = blocks.len().saturating_sub(SHOWN);
    let shown = blocks.iter().enumerate().filter_map(|(index, block)| {
        if left_out == 0 || index == 0 || index > left_out {
            Some(one(block))
        } else if index == 1 {
            Some(format!("… {} …", count(left_out, "block")))
        } else {
            None
        }
    });
    shown.collect::<Vec<_>>().join(" ── ")
}

fn one(block: &TreeBlock) -> String {
    let payments = match block.payments {
        0 => String::new(),
        payments => format!(" +{payments}"),
    };
    format!("{} {:.6} {}{payments}", block.height, block.id, block.miner)
}

/// A row for each person, a column for each branch.
fn balances(branches: &[Branch]) -> Vec<String> {
    let Some(first) = branches.first() else {
        return Vec::new();
    };
    let mut lines = vec![format!(
        "{:8}{}",
        "owns",
        branches
            .iter()
            .map(|branch| format!("{:>14}", format!("by {}", branch.machines[0])))
            .collect::<String>()
    )];
    for (row, balance) in first.balances.iter().enumerate() {
        let columns: String = branches
            .iter()
            .filter_map(|branch| branch.balances.get(row))
            .map(|balance| format!("{:>14}", balance.amount.to_string()))
            .collect();
        lines.push(format!("{:8}{columns}", balance.name));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_node::lab::Balance;
    use mvb_protocol::{amount::Amount, chain::Tip, hash::BlockId, numbers::Height, target::Work};

    fn block(height: u64, byte: u8, miner: &str, payments: usize) -> TreeBlock {
        TreeBlock {
            height: Height(height),
            id: BlockId([byte; 32]),
            miner: miner.to_owned(),
            payments,
        }
    }

    fn branch(machines: &[&str], blocks: Vec<TreeBlock>, coins: u64) -> Branch {
        let last = blocks.last();
        Branch {
            tip: Tip {
                id: last.map(|block| block.id).unwrap_or_default(),
                height: last.map_or(Height(2), |block| block.height),
                work: Work::ZERO,
            },
            machines: machines.iter().map(|name| (*name).to_owned()).collect(),
            blocks,
            balances: vec![Balance {
                name: "alice".into(),
                amount: Amount::from_units(coins * 1_000_000),
            }],
            waiting: machines.len() - 2,
        }
    }

    fn forked() -> Picture {
        let long = (3..10).map(|height| block(height, height as u8, "m3", 0));
        Picture {
            trunk: vec![block(1, 1, "m1", 0), block(2, 2, "m2", 1)],
            branches: vec![
                branch(&["m1", "m2"], vec![block(3, 0xaa, "m1", 2)], 7),
                branch(&["m3", "m4", "wallet"], long.collect(), 5),
            ],
        }
    }

    #[test]
    fn a_fork_is_a_tree_and_a_table() {
        assert_eq!(
            lines(&forked()),
            [
                "1 010101 m1 ── 2 020202 m2 +1",
                "├─ 3 aaaaaa m1 +2",
                "│    m1 m2 at height 3",
                "└─ 3 030303 m3 ── … 2 blocks … ── 6 060606 m3 ── 7 070707 m3 ── 8 080808 m3 ── 9 090909 m3",
                "     m3 m4 wallet at height 9, 1 payment waiting",
                "owns             by m1         by m3",
                "alice                7             5",
            ]
        );
    }

    #[test]
    fn who_lost_blocks_by_healing_is_told() {
        let mut after = forked();
        after.branches.remove(0);
        after.trunk.append(&mut after.branches[0].blocks);
        assert_eq!(
            healed(&forked(), &after),
            [
                "m1, m2 gave up 1 block for the chain with more work: a reorg. 2 payments wait \
                 again, unless the better chain has them too."
            ]
        );
        assert_eq!(healed(&after, &after), ["All have one chain."]);
        assert!(lines(&after)[1].starts_with("all agree: m3 m4 wallet at height"));
    }
}
