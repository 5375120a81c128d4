//! Properties, each over a few dozen seeds; `examples/properties.rs` runs the same over as
//! many as one likes. A failure names its seed, and the seed alone repeats it.

#[path = "properties/bytes.rs"]
mod bytes;
#[path = "support/chain.rs"]
mod chain;
#[path = "properties/faults.rs"]
mod faults;
#[path = "properties/judged.rs"]
mod judged;
#[path = "properties/model.rs"]
mod model;
#[path = "properties/numbers.rs"]
mod numbers;
#[path = "support/random.rs"]
mod random;
#[path = "support/read.rs"]
mod read;
#[path = "properties/signatures.rs"]
mod signatures;
#[path = "properties/trees.rs"]
mod trees;

use mvb_protocol::codec::encode;
use random::Random;

fn each_seed(count: u64, property: impl Fn(u64)) {
    for seed in 0..count {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| property(seed)));
        assert!(result.is_ok(), "seed {seed} fails; see above");
    }
}

#[test]
fn a_reorg_equals_a_replay_from_genesis_and_the_simple_ledger() {
    let mut total = trees::Seen::default();
    for seed in 0..60 {
        total.add(&trees::a_reorg_equals_a_replay(
            seed,
            trees::Shape::Bushy(40),
        ));
    }
    assert!(
        total.reorgs > 100 && total.deepest > 2,
        "too quiet: {} reorgs, {} deep",
        total.reorgs,
        total.deepest
    );
    assert!(
        total.refused > 50 && total.payments > 500,
        "too quiet: {} refused, {} payments",
        total.refused,
        total.payments
    );
}

/// Tags 02 to 07, high s, wrong lengths, numbers at every edge and random damage.
#[test]
fn two_libraries_say_the_same_of_every_signature() {
    let signed = signatures::signed(4);
    let accepted = std::cell::Cell::new(0);
    each_seed(1_000, |seed| {
        let is_right = signatures::both_libraries_say_the_same(seed, &signed);
        accepted.set(accepted.get() + usize::from(is_right));
    });
    assert!((50..500).contains(&accepted.get()), "{}", accepted.get());
}

#[test]
fn a_deep_reorg_equals_a_replay() {
    for (seed, depth) in [(0, 10), (1, 60), (2, 200)] {
        let seen = trees::a_reorg_equals_a_replay(seed, trees::Shape::Forked(depth));
        assert!(seen.deepest >= depth, "{} of {depth}", seen.deepest);
    }
}

#[test]
fn the_rules_and_the_naive_model_say_the_same_of_every_block() {
    let mut total = judged::Tally::default();
    for seed in 0..12 {
        total.add(&judged::the_model_agrees(seed, 120));
    }
    for rule in model::Rule::ALL {
        assert!(
            total.refused.contains_key(&rule),
            "{rule:?} was never broken"
        );
    }
    assert!(total.reorgs > 20 && total.store_failures > 20);
}

#[test]
fn what_is_accepted_has_one_encoding() {
    let valid = bytes::valid_messages();
    each_seed(6_000, |seed| {
        bytes::what_is_accepted_has_one_encoding(seed, &valid);
    });
}

#[test]
fn every_flipped_bit_of_a_valid_block_is_refused() {
    let (chain, block) = bytes::solved_block(0, 16);
    for bit in 0..8 * encode(&block).len() {
        bytes::a_flipped_bit_is_refused(&chain, &block, bit);
    }
}

#[test]
fn targets_and_work_are_those_of_unbounded_numbers() {
    each_seed(200, numbers::targets_are_those_of_unbounded_numbers);
}

#[test]
fn retargeting_is_that_of_unbounded_numbers() {
    each_seed(100, numbers::retargeting_is_that_of_unbounded_numbers);
}

#[test]
fn merkle_roots_are_those_of_a_twin() {
    each_seed(100, numbers::merkle_roots_are_those_of_a_stack);
}
