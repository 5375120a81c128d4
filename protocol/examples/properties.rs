//! The properties of `tests/prop.rs` over many cases, with what was seen and how long it took:
//!
//!     cargo run --release -p mvb-protocol --example properties -- --cases 100000

#[path = "../tests/properties/bytes.rs"]
mod bytes;
#[path = "../tests/support/chain.rs"]
mod chain;
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
    let cases: u64 = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => 1_000,
        (Some("--cases"), Some(count)) => count.parse().expect("--cases takes a number"),
        _ => panic!("usage: properties [--cases N]"),
    };
    let mut seen = trees::Seen::default();
    for seed in 0..cases {
        // Most trees are small, so that many shapes are seen; every hundredth is 400 blocks.
        let blocks = if seed % 100 == 0 { 400 } else { 30 };
        let tree = trees::a_reorg_equals_a_replay(seed, blocks);
        seen.reorgs += tree.reorgs;
        seen.deepest = seen.deepest.max(tree.deepest);
        seen.refused += tree.refused;
        seen.payments += tree.payments;
    }
    println!(
        "{cases} trees: every state that of the simple ledger and of a replay; {} reorgs, the deepest {}, {} branches refused, {} payments",
        seen.reorgs, seen.deepest, seen.refused, seen.payments
    );

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
