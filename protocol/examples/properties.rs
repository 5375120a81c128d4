//! The properties of `tests/prop.rs` over many cases, with what was seen and how long it took:
//!
//!     cargo run --release -p mvb-protocol --example properties -- --cases 100000
//!     cargo run --release -p mvb-protocol --example properties -- --model 1000000
//!     cargo run --release -p mvb-protocol --example properties -- --deep 100000

#[path = "../tests/properties/bytes.rs"]
mod bytes;
#[path = "../tests/support/chain.rs"]
mod chain;
#[path = "../tests/properties/faults.rs"]
mod faults;
#[path = "../tests/properties/judged.rs"]
mod judged;
#[path = "../tests/properties/model.rs"]
mod model;
#[path = "../tests/properties/numbers.rs"]
mod numbers;
#[path = "../tests/support/random.rs"]
mod random;
#[path = "../tests/support/read.rs"]
mod read;
#[path = "../tests/properties/trees.rs"]
mod trees;

use mvb_protocol::codec::encode;
use random::Random;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (what, count) = (arguments.next(), arguments.next());
    let count = count.map(|count| count.parse().expect("a number follows"));
    match (what.as_deref(), count) {
        (None, _) => every_property(1_000),
        (Some("--cases"), Some(cases)) => every_property(cases),
        (Some("--model"), Some(blocks)) => the_model_agrees(blocks),
        (Some("--deep"), Some(trees)) => deep_reorgs(trees),
        _ => panic!("usage: properties [--cases N | --model BLOCKS | --deep TREES]"),
    }
}

/// Blocks that the rules and the naive model judge alike, and how many broke which rule.
fn the_model_agrees(blocks: u64) {
    let (mut total, mut chains) = (judged::Tally::default(), 0);
    while total.blocks() < blocks {
        total.add(&judged::the_model_agrees(chains, 300));
        chains += 1;
        if chains % 500 == 0 {
            eprintln!("{} blocks in {chains} chains", total.blocks());
        }
    }
    let refused: u64 = total.refused.values().sum();
    println!(
        "{} blocks in {chains} chains judged as the model judges: {} accepted, {refused} refused; {} reorgs, the deepest {}; {} failures of the store",
        total.blocks(),
        total.accepted,
        total.reorgs,
        total.deepest,
        total.store_failures
    );
    for rule in model::Rule::ALL {
        let count = total.refused.get(&rule).copied().unwrap_or_default();
        println!("{count:>8} {rule:?}");
    }
}

/// Trees whose last branch replaces one of 1 to 200 blocks.
fn deep_reorgs(trees: u64) {
    let mut seen = trees::Seen::default();
    for seed in 0..trees {
        let depth = 1 + seed as usize % 200;
        seen.add(&trees::a_reorg_equals_a_replay(
            seed,
            trees::Shape::Forked(depth),
        ));
        if (seed + 1) % 5_000 == 0 {
            eprintln!("{} trees", seed + 1);
        }
    }
    println!("{trees} trees: every state that of the simple ledger and of a replay; {seen}");
}

fn every_property(cases: u64) {
    let mut seen = trees::Seen::default();
    for seed in 0..cases {
        // Most trees are small, so that many shapes are seen; every hundredth is 400 blocks.
        let blocks = if seed % 100 == 0 { 400 } else { 30 };
        seen.add(&trees::a_reorg_equals_a_replay(
            seed,
            trees::Shape::Bushy(blocks),
        ));
    }
    println!("{cases} trees: every state that of the simple ledger and of a replay; {seen}");

    let valid = bytes::valid_messages();
    let accepted = (0..10 * cases)
        .filter(|seed| bytes::what_is_accepted_has_one_encoding(*seed, &valid))
        .count();
    println!(
        "{} damaged messages: {accepted} still accepted, each in its one encoding",
        10 * cases
    );

    let mut flips = 0;
    for seed in 0..=cases / 6_000 {
        let (chain, block) = bytes::solved_block(seed, 20);
        for bit in 0..8 * encode(&block).len() {
            bytes::a_flipped_bit_is_refused(&chain, &block, bit);
            flips += 1;
        }
    }
    println!("{flips} flipped bits of valid blocks: all refused");

    for seed in 0..cases {
        numbers::targets_are_those_of_unbounded_numbers(seed);
        numbers::retargeting_is_that_of_unbounded_numbers(seed);
        numbers::merkle_roots_are_those_of_a_stack(seed);
    }
    println!("{cases} targets, retargets and Merkle roots: those of their twins");
}
