//! The page of the fork tree: branches as they stand beside each other, in a picture and in
//! words.

use super::{
    layout::{Live, Place, ago, block_link, empty, heading, page},
    tree,
};
use crate::{
    forks::{self, ForkTree, TreeBlock},
    problem::Problem,
    reply::{Reply, Request},
};
use maud::{Markup, html};
use mvb_actors::seen_blocks::Fate;
use mvb_node::words;
use mvb_protocol::numbers::Timestamp;

/// The page.
///
/// # Errors
/// When the chain cannot be read.
pub fn forks(request: &Request) -> Result<Reply, Problem> {
    let now = request.node.now();
    let chain = request.node.chain()?;
    let tree = forks::tree(&*chain, &now)?;
    let main = html! {
        (heading("Fork tree", html! {
            "The last " (forks::HEIGHTS) " heights, and every branch that this node has seen since it started; "
            "one that was seen before is not kept. "
            "The chain with the most work is active; at equal work the smaller id wins."
        }))
        div #tree data-live {
            @if tree.blocks.is_empty() && tree.claims.is_empty() {
                (empty("No block yet", html! { "The tree grows from the first block on." }))
            } @else {
                (tree::of_node(&tree))
                (legend())
            }
        }
        section aria-labelledby="told" {
            header {
                h2 #told { "Forks" }
                span .quiet #reorgs data-live {
                    (words::count(now.chain.reorgs, "reorg")) " in this run"
                }
            }
            div #forks data-live { (told(&tree, request.now)) }
        }
    };
    Ok(Reply::page(page(
        &request.node,
        Place::Forks,
        "Fork tree",
        Live::Yes,
        main,
    )))
}

fn legend() -> Markup {
    html! {
        ul .legend {
            li { span .tag .good { "active" } "on the chain" }
            li { span .tag .bad { "orphaned" } "left the chain in a reorg" }
            li { span .tag { "outdone" } "came too late to be on it" }
            li { span .tag { "claimed" } "told by peers, not shown yet" }
        }
    }
}

/// The same in words.
fn told(tree: &ForkTree, now: Timestamp) -> Markup {
    let sides = || tree.blocks.iter().rev().filter(|block| block.lane > 0);
    if sides().next().is_none() && tree.claims.is_empty() {
        return empty(
            "No fork",
            html! { "Everybody heard agrees, as far as the picture goes back." },
        );
    }
    html! {
        ul .list {
            @for claim in &tree.claims {
                li {
                    (words::count(claim.peers, "peer")) " at block "
                    (words::grouped(claim.tip.height.0)) " "
                    code { (super::layout::short(&claim.tip.id)) }
                    @if claim.is_better { ", said to be the better chain: it is being asked for" }
                    @else { ", which has no more work than this chain: they will come over" }
                }
            }
            @for block in sides() { li { (one(tree, block, now)) } }
        }
    }
}

fn one(tree: &ForkTree, block: &TreeBlock, now: Timestamp) -> Markup {
    let active = tree
        .blocks
        .iter()
        .find(|other| other.lane == 0 && other.height == block.height);
    html! {
        "Block " (words::grouped(block.height.0)) " " (block_link(&block.id))
        @if block.found_here { ", found here," }
        @match block.fate {
            Fate::Outdone => " came too late",
            Fate::Active | Fate::Orphaned => " was replaced",
        }
        @if let Some(active) = active { ": " (block_link(&active.id)) " stands at its height" }
        ", made " (ago(block.time, now))
        @if block.peers > 0 { "; " (words::count(block.peers, "peer")) " still on it" }
    }
}
