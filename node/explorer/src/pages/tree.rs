//! The picture of a fork tree: a column a height, a row a branch, the active chain on top. What
//! is said of a block is whoever's tree it is.

use super::layout::short;
use crate::forks::{Claim, ForkTree, TreeBlock};
use maud::{Markup, html};
use mvb_actors::seen_blocks::Fate;
use mvb_node::words;

const COLUMN: i64 = 132;
const ROW: i64 = 64;
const BOX: (i64, i64) = (104, 40);
const TOP: i64 = 34;
const LEFT: i64 = 16;

/// What is said of a block.
pub struct Label {
    /// How it is drawn: `active`, `rival`, `orphaned` or `outdone`.
    pub fate: &'static str,
    /// A second line in its box.
    pub more: String,
    /// What stands below the box.
    pub below: String,
    /// All of it in words.
    pub about: String,
    /// Where it leads.
    pub href: Option<String>,
}

/// The picture of what a node sees.
pub fn of_node(tree: &ForkTree) -> Markup {
    draw(tree, &|block| {
        let fate = match block.fate {
            _ if block.lane == 0 => "active",
            Fate::Active | Fate::Orphaned => "orphaned",
            Fate::Outdone => "outdone",
        };
        let mut about = format!("block {}, {fate}", block.height);
        if let Some((payments, _)) = block.body {
            about += &format!(", {}", words::count(payments, "payment"));
        }
        let more = match (block.found_here, block.peers) {
            (true, 0) => "found here".to_owned(),
            (true, peers) => format!("here, {}", words::count(peers, "peer")),
            (false, 0) => String::new(),
            (false, peers) => words::count(peers, "peer"),
        };
        Label {
            fate,
            more,
            below: String::new(),
            about,
            href: Some(format!("/blocks/{}", block.id)),
        }
    })
}

/// The picture, in a frame that scrolls.
pub fn draw(tree: &ForkTree, label: &dyn Fn(&TreeBlock) -> Label) -> Markup {
    let last = tree.blocks.iter().map(|block| block.height.0).max();
    let last = last.unwrap_or(tree.tip.height.0).max(tree.from.0);
    let columns = (last - tree.from.0) as i64 + 1 + i64::from(!tree.claims.is_empty());
    let rows = tree.lanes.max(tree.claims.len()) as i64;
    let (width, height) = (LEFT + columns * COLUMN, TOP + rows * ROW);
    let sides = tree.blocks.iter().filter(|block| block.lane > 0).count();
    let about = format!(
        "{} of the active chain up to height {}, {} beside it, {} claimed by peers",
        words::count(tree.blocks.len() - sides, "block"),
        tree.tip.height,
        words::count(sides, "block"),
        words::count(tree.claims.len(), "tip"),
    );
    html! {
        div .scroll .newest tabindex="0" role="region" aria-label="Fork tree, scrolls sideways" {
            svg .tree width=(width) height=(height) viewBox=(format!("0 0 {width} {height}"))
                role="group" aria-labelledby="tree-title tree-about" {
                title #tree-title { "Fork tree" }
                desc #tree-about { (about) }
                @for offset in 0..=(last - tree.from.0) {
                    text .small x=(LEFT + offset as i64 * COLUMN) y="20" {
                        (words::grouped(tree.from.0 + offset))
                    }
                }
                @if tree.from.0 == 0 {
                    text .small x=(LEFT) y=(TOP + BOX.1 / 2 + 4) { "genesis" }
                }
                @for block in &tree.blocks { (edge(tree, block)) }
                @for block in &tree.blocks { (node(tree, block, &label(block))) }
                @for (row, claim) in tree.claims.iter().enumerate() {
                    (claimed(claim, columns - 1, row as i64))
                }
            }
        }
    }
}

fn place(tree: &ForkTree, block: &TreeBlock) -> (i64, i64) {
    let column = block.height.0.saturating_sub(tree.from.0) as i64;
    (LEFT + column * COLUMN, TOP + block.lane as i64 * ROW)
}

/// The line from a block's parent to it.
fn edge(tree: &ForkTree, block: &TreeBlock) -> Markup {
    let Some(parent) = tree.blocks.iter().find(|other| other.id == block.previous) else {
        return html! {};
    };
    let ((x0, y0), (x1, y1)) = (place(tree, parent), place(tree, block));
    let (x0, y0, y1) = (x0 + BOX.0, y0 + BOX.1 / 2, y1 + BOX.1 / 2);
    let middle = (x0 + x1) / 2;
    let class = if block.lane == 0 {
        "edge active"
    } else {
        "edge side"
    };
    html! {
        path class=(class) d=(format!("M{x0} {y0}C{middle} {y0} {middle} {y1} {x1} {y1}")) {}
    }
}

fn node(tree: &ForkTree, block: &TreeBlock, label: &Label) -> Markup {
    let Label {
        fate,
        more,
        below,
        about,
        href,
    } = label;
    let (x, y) = place(tree, block);
    let tip = if block.id == tree.tip.id { " tip" } else { "" };
    let class = format!("{fate}{tip}");
    let drawn = html! {
        // It names the link too; what is seen comes first, so that it can be said to a
        // machine that listens.
        title { (format!("{:.10} {more} {below} {about}", block.id)) }
        rect x=(x) y=(y) width=(BOX.0) height=(BOX.1) rx="8" {}
        text x=(x + 10) y=(y + if more.is_empty() { 25 } else { 17 }) { (format!("{:.10}", block.id)) }
        @if !more.is_empty() { text .small x=(x + 10) y=(y + 32) { (more) } }
        @if !below.is_empty() { text .small .below x=(x + 2) y=(y + BOX.1 + 14) { (below) } }
    };
    html! {
        @match href {
            Some(href) => a class=(class) href=(href) { (drawn) },
            None => g class=(class) { (drawn) },
        }
    }
}

fn claimed(claim: &Claim, column: i64, row: i64) -> Markup {
    let (x, y) = (LEFT + column * COLUMN, TOP + row * ROW);
    html! {
        g .claimed {
            title {
                "Claimed: block " (claim.tip.height) " " (short(&claim.tip.id)) ", by "
                (words::count(claim.peers, "peer"))
            }
            rect x=(x) y=(y) width=(BOX.0) height=(BOX.1) rx="8" {}
            text x=(x + 10) y=(y + 17) { (format!("{:.10}", claim.tip.id)) }
            text .small x=(x + 10) y=(y + 32) {
                "at " (claim.tip.height) ", " (words::count(claim.peers, "peer"))
            }
        }
    }
}
