//! How a block's id comes about: every hash on the way with the bytes that are hashed, so
//! that a person can check it with any SHA-256 program. Written from the layouts and not
//! from the code that computes them, so that the two check each other. The program's
//! `chain block --explain` prints it; nothing decides by it.

use crate::{
    block::Block,
    hash::{GenesisId, HASH_BYTES},
    transaction::Transaction,
};
use sha2::{Digest, Sha256};

/// One hash: what it is called, what goes in, what comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the hash is called, for a person.
    pub name: String,
    /// The hashed bytes, in order.
    pub parts: Vec<Part>,
    /// SHA-256 of the parts, one after the other.
    pub hash: [u8; HASH_BYTES],
}

/// Some of the bytes that are hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What they stand for.
    pub meaning: String,
    /// They themselves.
    pub bytes: Vec<u8>,
}

/// Every hash from the payments of a block to its id, which is the last.
pub fn explain(block: &Block, genesis: GenesisId) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, payment) in block.transactions.iter().enumerate() {
        let number = index + 1;
        steps.push(step(format!("id of payment {number}"), signed(payment)));
        let mut parts = vec![part("mark of a leaf", [0])];
        parts.extend(signed(payment));
        parts.push(part("signature", payment.signature.as_bytes()));
        steps.push(step(format!("leaf of payment {number}"), parts));
    }
    let leaves: Vec<[u8; HASH_BYTES]> = steps.iter().skip(1).step_by(2).map(|s| s.hash).collect();
    let root = merkle(&leaves, 1, &mut steps);
    let reward = step("reward", reward(block, genesis));
    let content = step(
        "content root",
        vec![
            part("mark of a body, \"mvb/body\"", b"mvb/body"),
            part(
                "count of payments",
                (block.transactions.len() as u32).to_be_bytes(),
            ),
            part("root of the payments", root),
            part("reward", reward.hash),
            part("extension, unused", [0; HASH_BYTES]),
        ],
    );
    steps.extend([reward, content, step("id of the block", header(block))]);
    steps
}

fn signed(payment: &Transaction) -> Vec<Part> {
    vec![
        part(
            "mark of a payment, \"mvb/tx\" and version 1",
            b"mvb/tx\x00\x01",
        ),
        part("network, its genesis id", payment.genesis.0),
        part("kind, 1", [1]),
        part("receiver's address", payment.to.0),
        part("amount in units", payment.amount.to_be_bytes()),
        part("fee in units", payment.fee.to_be_bytes()),
        part("sequence", payment.sequence.to_be_bytes()),
        part("time in ms", payment.timestamp.to_be_bytes()),
        part("length of the key", [payment.key.as_bytes().len() as u8]),
        part("sender's public key", payment.key.as_bytes()),
    ]
}

fn reward(block: &Block, genesis: GenesisId) -> Vec<Part> {
    vec![
        part("mark of a reward, \"mvb/reward\"", b"mvb/reward"),
        part("network, its genesis id", genesis.0),
        part("height", block.header.height.to_be_bytes()),
        part("miner's address", block.reward.to.0),
        part("amount in units", block.reward.amount.to_be_bytes()),
        part("extra nonce", block.reward.extra_nonce.to_be_bytes()),
    ]
}

fn header(block: &Block) -> Vec<Part> {
    let header = &block.header;
    vec![
        part("id of the previous block", header.previous.0),
        part("content root", header.content_root.0),
        part("version", header.version.to_be_bytes()),
        part("target, compact", header.target.to_be_bytes()),
        part("height", header.height.to_be_bytes()),
        part("time in ms", header.timestamp.to_be_bytes()),
        part("nonce", header.nonce.to_be_bytes()),
    ]
}

/// RFC 6962, section 2.1: a tree of n leaves splits at the largest power of two below n.
fn merkle(leaves: &[[u8; HASH_BYTES]], first: usize, steps: &mut Vec<Step>) -> [u8; HASH_BYTES] {
    match leaves {
        [] => push(steps, step("root of no payments", Vec::new())),
        [leaf] => *leaf,
        _ => {
            let mut split = 1;
            while 2 * split < leaves.len() {
                split *= 2;
            }
            let (left, right) = leaves.split_at(split);
            let (left, right) = (
                merkle(left, first, steps),
                merkle(right, first + split, steps),
            );
            let last = first + leaves.len() - 1;
            let parts = vec![
                part("mark of a node", [1]),
                part("left half", left),
                part("right half", right),
            ];
            push(
                steps,
                step(format!("root of payments {first} to {last}"), parts),
            )
        }
    }
}

fn push(steps: &mut Vec<Step>, step: Step) -> [u8; HASH_BYTES] {
    let hash = step.hash;
    steps.push(step);
    hash
}

fn step(name: impl Into<String>, parts: Vec<Part>) -> Step {
    let mut hasher = Sha256::new();
    for part in &parts {
        hasher.update(&part.bytes);
    }
    Step {
        name: name.into(),
        parts,
        hash: hasher.finalize().into(),
    }
}

fn part(meaning: &str, bytes: impl AsRef<[u8]>) -> Part {
    Part {
        meaning: meaning.to_owned(),
        bytes: bytes.as_ref().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::Address,
        amount::Amount,
        block::{Header, Reward},
        hash::BlockId,
        keys::{Curve, SecretKey},
        numbers::{Height, Sequence, Timestamp},
        target::Target,
        transaction::Payment,
    };

    fn block(payments: u64) -> Block {
        let genesis = GenesisId([9; 32]);
        let key = SecretKey::from_bytes(Curve::P384, &[7; 48]).unwrap();
        let transactions = (0..payments).map(|sequence| {
            Payment {
                genesis,
                to: Address([2; 32]),
                amount: Amount::from_units(5),
                fee: Amount::from_units(1),
                sequence: Sequence(sequence),
                timestamp: Timestamp(77),
            }
            .sign(&key)
        });
        let mut block = Block {
            header: Header {
                previous: BlockId([3; 32]),
                content_root: Default::default(),
                version: 1,
                target: Target::from_difficulty(5).to_compact(),
                height: Height(8),
                timestamp: Timestamp(1_000),
                nonce: 66,
            },
            transactions: transactions.collect(),
            reward: Reward {
                to: Address([4; 32]),
                amount: Amount::from_units(10),
                extra_nonce: 11,
            },
        };
        block.header.content_root = block.content_root(genesis, &block.wids());
        block
    }

    #[test]
    fn the_explanation_comes_to_what_the_rules_compute() {
        for payments in 0..10 {
            let block = block(payments);
            let steps = explain(&block, GenesisId([9; 32]));
            let hash = |name: &str| steps.iter().find(|step| step.name == name).unwrap().hash;
            assert_eq!(hash("id of the block"), block.id().0);
            assert_eq!(hash("content root"), block.header.content_root.0);
            for (index, payment) in block.transactions.iter().enumerate() {
                let number = index + 1;
                assert_eq!(hash(&format!("id of payment {number}")), payment.id().0);
                assert_eq!(hash(&format!("leaf of payment {number}")), payment.wid().0);
            }
        }
    }

    /// RFC 6962, section 2.1.
    #[test]
    fn each_part_of_the_tree_says_which_payments_it_holds() {
        let steps = explain(&block(7), GenesisId([9; 32]));
        let names = steps.iter().map(|step| step.name.as_str());
        let roots: Vec<&str> = names
            .filter_map(|name| name.strip_prefix("root of payments "))
            .collect();
        let expected = ["1 to 2", "3 to 4", "1 to 4", "5 to 6", "5 to 7", "1 to 7"];
        assert_eq!(roots, expected);
    }

    #[test]
    fn a_part_that_is_a_hash_was_a_step_before() {
        let steps = explain(&block(7), GenesisId([9; 32]));
        for (index, step) in steps.iter().enumerate() {
            for part in &step.parts {
                let derived = [
                    "left half",
                    "right half",
                    "root of the payments",
                    "reward",
                    "content root",
                ];
                if derived.contains(&part.meaning.as_str()) {
                    let before = steps[..index].iter().any(|s| s.hash[..] == part.bytes[..]);
                    assert!(before, "{} in {}", part.meaning, step.name);
                }
            }
        }
    }
}
