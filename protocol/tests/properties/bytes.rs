//! Changed bytes: what is accepted has one encoding, and no changed block is accepted.

use crate::chain::{MemoryChain, address_of, mine_on, secret};
use crate::{Random, read::read_message};
use mvb_protocol::{
    address::Address,
    block::Block,
    codec::{decode, encode},
    keys::Curve,
    numbers::Timestamp,
    params::ChainParams,
};
use serde_json::Value;

const NOW: Timestamp = Timestamp(1_000_000);

/// The parameters of the chain that the vectors are of.
fn vector_params() -> ChainParams {
    ChainParams {
        network_name: "vectors".to_owned(),
        difficulty: 8,
        ..ChainParams::default()
    }
}

/// Every valid message of the vectors: how it is read, and its bytes.
pub fn valid_messages() -> Vec<(String, Vec<u8>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vectors/messages.json");
    let text = std::fs::read_to_string(path).expect("the vectors are part of the repository");
    let file: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let cases = file["valid"].as_array().expect("they hold a list");
    let field = |case: &Value, name: &str| case[name].as_str().expect("a text").to_owned();
    cases
        .iter()
        .map(|case| {
            (
                field(case, "read_as"),
                hex::decode(field(case, "bytes")).expect("hex"),
            )
        })
        .collect()
}

/// Damages a message in one to three places; whatever is still accepted must be the one
/// encoding of what was read. Says whether it was accepted.
pub fn what_is_accepted_has_one_encoding(seed: u64, valid: &[(String, Vec<u8>)]) -> bool {
    let mut random = Random::new(seed);
    let (place, good) = &valid[random.below(valid.len() as u64) as usize];
    let mut bytes = good.clone();
    for _ in 0..=random.below(3) {
        // Marks of MessagePack that make another form of the same value more likely.
        const MARKS: [u8; 16] = [
            0xc0, 0xc2, 0xc4, 0xc5, 0xc6, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd9, 0xdc,
            0xdd, 0x81,
        ];
        let at = random.below(bytes.len() as u64) as usize;
        let byte = if random.below(2) == 0 {
            random.pick(&MARKS)
        } else {
            random.below(256) as u8
        };
        match random.below(6) {
            0 => bytes.insert(at, byte),
            1 if bytes.len() > 1 => drop(bytes.remove(at)),
            2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes.truncate(at.max(1)),
            4 => bytes.extend([0; 8].iter().take(random.below(9) as usize)),
            _ => bytes[at] = byte,
        }
    }
    match read_message(place, &bytes, &vector_params()) {
        Ok(again) => {
            assert_eq!(
                again, bytes,
                "accepted, but it is not how it would be written"
            );
            true
        }
        Err(_) => false,
    }
}

/// A chain and a valid block on it with payments of all curves, whose work no changed header
/// meets by chance.
pub fn solved_block(seed: u64, difficulty: u8) -> (MemoryChain, Block) {
    let params = ChainParams {
        network_name: format!("bits {seed}"),
        difficulty,
        ..ChainParams::default()
    };
    let mut chain = MemoryChain::new(params);
    let people = Curve::ALL.map(|curve| secret(curve, "bits"));
    for (height, person) in people.iter().enumerate() {
        let payments = if height == 0 {
            Vec::new()
        } else {
            vec![chain.pay(&people[0], address_of(person), 1_000_000, 10)]
        };
        let block = chain.mine(payments, address_of(person));
        chain.submit(&block, NOW).expect("it is valid");
    }
    let payments = people
        .iter()
        .map(|person| chain.pay(person, Address([5; 32]), 1, 2))
        .collect();
    let block = mine_on(
        &chain.end(),
        &chain.params,
        payments,
        Address([6; 32]),
        Timestamp(500_000),
    );
    chain.clone().submit(&block, NOW).expect("it is valid");
    (chain, block)
}

/// Flips one bit of the block as it travels; it must be refused.
pub fn a_flipped_bit_is_refused(chain: &MemoryChain, good: &Block, bit: usize) {
    let mut bytes = encode(good);
    bytes[bit / 8] ^= 1 << (bit % 8);
    if let Ok(block) = decode::<Block>(&bytes) {
        let accepted = chain.clone().submit(&block, NOW);
        assert!(
            accepted.is_err(),
            "bit {bit} of {} changed nothing",
            good.id()
        );
    }
}
