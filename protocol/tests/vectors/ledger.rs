//! Payments and blocks.

use super::{
    chain::{MemoryChain, address_of, mine_on, payment, seal, secret, solve},
    hex, params, params_json,
};
use mvb_protocol::{
    address::Address,
    amount::{Amount, MAX_SUPPLY},
    block::Block,
    codec::{decode, encode},
    hash::GenesisId,
    keys::{Curve, SecretKey, Signature},
    merkle::merkle_root,
    numbers::{Sequence, Timestamp},
    target::CompactTarget,
    transaction::{Payment, Transaction},
};
use serde_json::{Value, json};

/// This node's clock while the blocks are judged.
pub const NOW: Timestamp = Timestamp(1_700_000_100_000);

/// One secret key of each curve, and one more.
fn people() -> [SecretKey; 4] {
    [
        secret(Curve::P256, "alice"),
        secret(Curve::P384, "bob"),
        secret(Curve::P521, "carol"),
        secret(Curve::P256, "dora"),
    ]
}

/// Payments of the three curves, valid as far as no ledger is asked.
pub fn payments() -> Vec<Transaction> {
    let [alice, bob, carol, dora] = people();
    let max = MAX_SUPPLY.units();
    vec![
        payment(&params(), address_of(&bob), 1_500_000, 0, Sequence(0)).sign(&alice),
        payment(&params(), address_of(&carol), 200, 300, Sequence(127)).sign(&bob),
        payment(&params(), address_of(&dora), 65_536, 1, Sequence(1 << 32)).sign(&carol),
        payment(
            &params(),
            address_of(&dora),
            1,
            max - 1,
            Sequence(u64::MAX - 1),
        )
        .sign(&dora),
    ]
}

pub fn describe(tx: &Transaction) -> Value {
    json!({
        "genesis": tx.genesis.to_string(),
        "to": tx.to.to_lower_hex(),
        "amount": tx.amount.units(),
        "fee": tx.fee.units(),
        "sequence": tx.sequence.0,
        "timestamp": tx.timestamp.0,
        "key": hex(tx.key.as_bytes()),
        "signature": hex(tx.signature.as_bytes()),
        "from": tx.from().to_lower_hex(),
        "signed_bytes": hex(tx.signed_bytes()),
        "id": tx.id().to_string(),
        "wid": tx.wid().to_string(),
        "size": tx.size(),
        "messagepack": hex(encode(tx)),
    })
}

pub fn transactions() -> Value {
    let valid: Vec<Value> = payments().iter().map(describe).collect();
    let genesis = params().genesis_id();
    let good = payments()[0].payment();
    let [alice, bob, ..] = people();
    let signed = |edit: fn(&mut Payment)| {
        let mut payment = good;
        edit(&mut payment);
        payment.sign(&alice)
    };
    let forged = |edit: fn(&mut Transaction)| {
        let mut tx = good.sign(&alice);
        edit(&mut tx);
        tx
    };
    let flip = |tx: &mut Transaction, at: usize| {
        let mut bytes = tx.signature.as_bytes().to_vec();
        bytes[at] ^= 1;
        tx.signature = Signature::from_bytes(&bytes).expect("the length stays");
    };
    let mut damaged = forged(|_| {});
    flip(&mut damaged, 40);
    let mut by_bob = forged(|_| {});
    by_bob.key = bob.public_key();
    let mut of_bob = good.sign(&bob);
    of_bob.key = alice.public_key();
    let cases = [
        (
            "of another network",
            signed(|p| p.genesis = GenesisId([7; 32])),
        ),
        ("moves nothing", signed(|p| p.amount = Amount::ZERO)),
        (
            "more than can exist",
            signed(|p| p.amount = Amount::from_units(MAX_SUPPLY.units() + 1)),
        ),
        (
            "amount and fee overflow",
            signed(|p| (p.amount, p.fee) = (Amount::from_units(u64::MAX), Amount::from_units(2))),
        ),
        (
            "the last sequence",
            signed(|p| p.sequence = Sequence(u64::MAX)),
        ),
        (
            "the amount was changed after signing",
            forged(|tx| tx.amount = Amount::from_units(1)),
        ),
        (
            "the recipient was changed after signing",
            forged(|tx| tx.to = Address([1; 32])),
        ),
        (
            "the sequence was changed after signing",
            forged(|tx| tx.sequence = Sequence(1)),
        ),
        ("one bit of the signature is changed", damaged),
        ("another key than the signer's, of another curve", by_bob),
        ("a signature of another curve", of_bob),
    ];
    let invalid: Vec<Value> = cases
        .into_iter()
        .map(|(what, tx)| {
            let messagepack = hex(encode(&tx));
            let reason = tx.verify(genesis).expect_err(what).to_string();
            json!({ "what": what, "messagepack": messagepack, "reason": reason })
        })
        .collect();
    json!({
        "about": "Amounts and fees are units. Valid means: as far as it can be said without a ledger.",
        "genesis": genesis.to_string(),
        "valid": valid,
        "invalid": invalid,
    })
}

/// Four blocks with payments of every curve.
pub fn chain() -> (MemoryChain, Vec<Block>) {
    let [alice, bob, carol, dora] = people();
    let mut chain = MemoryChain::new(params());
    let mut blocks = Vec::new();
    for height in 1..=4 {
        let transactions = match height {
            2 => vec![chain.pay(&alice, address_of(&bob), 4_000_000, 1_000)],
            3 => {
                let first = chain.pay(&alice, address_of(&carol), 3_000_000, 0);
                let mut second = first.payment();
                second.sequence = Sequence(2);
                second.to = address_of(&alice);
                let spends_at_once = payment(&chain.params, address_of(&dora), 1, 2, Sequence(0));
                vec![
                    first,
                    second.sign(&alice),
                    chain.pay(&bob, address_of(&alice), 5, 7),
                    spends_at_once.sign(&carol),
                ]
            }
            4 => vec![chain.pay(&carol, address_of(&carol), 2_000_000, 0)],
            _ => Vec::new(),
        };
        let parent = chain.end();
        let block = mine_on(
            &parent,
            &chain.params,
            transactions,
            address_of(&alice),
            Timestamp(1_700_000_000_000 + 1_000 * height),
        );
        chain.submit(&block, NOW).expect("chosen to be valid");
        blocks.push(block);
    }
    (chain, blocks)
}

pub fn blocks() -> Value {
    let (mut chain, blocks) = chain();
    let mut replay = MemoryChain::new(params());
    let valid: Vec<Value> = blocks
        .iter()
        .map(|block| {
            replay.submit(block, NOW).expect("just connected");
            let accounts: serde_json::Map<String, Value> = replay
                .accounts
                .iter()
                .map(|(address, account)| {
                    (address.to_lower_hex(), json!([account.balance.units(), account.sequence.0]))
                })
                .collect();
            json!({
                "header": hex(block.header.to_bytes()),
                "id": block.id().to_string(),
                "height": block.header.height.0,
                "wids": block.wids().iter().map(|wid| wid.to_string()).collect::<Vec<_>>(),
                "merkle_root": hex(merkle_root(&block.wids())),
                "reward_hash": hex(block.reward.hash(params().genesis_id(), block.header.height)),
                "content_root": hex(block.header.content_root.0),
                "reward": { "to": block.reward.to.to_lower_hex(), "amount": block.reward.amount.units(), "extra_nonce": block.reward.extra_nonce },
                "size": block.size(),
                "weight": block.weight(),
                "messagepack": hex(encode(block)),
                "work_after": replay.end().tip().work.to_string(),
                "accounts_after": accounts,
            })
        })
        .collect();
    let good = chain.mine(
        vec![chain.pay(&people()[0], Address([9; 32]), 1, 0)],
        Address([8; 32]),
    );
    let invalid: Vec<Value> = invalid_blocks(&chain, &good)
        .into_iter()
        .map(|(what, block)| {
            let block: Block = decode(&encode(&block)).expect("a block as it travels");
            let error = chain.submit(&block, NOW).expect_err(what);
            json!({
                "what": what,
                "messagepack": hex(encode(&block)),
                "reason": error.to_string(),
                "verdict": format!("{:?}", error.verdict()),
            })
        })
        .collect();
    json!({
        "about": "valid holds the blocks of heights 1 to 4, each judged after the one before it; accounts_after holds [balance in units, next sequence]. Each of invalid is judged after block 4. now is the clock in milliseconds.",
        "params": params_json(&params()),
        "genesis": params().genesis_id().to_string(),
        "now": NOW.0,
        "valid": valid,
        "invalid": invalid,
    })
}

fn invalid_blocks(chain: &MemoryChain, good: &Block) -> Vec<(&'static str, Block)> {
    let [alice, bob, carol, dora] = people();
    let params = params();
    // With a header edit the work is done again; with a body edit also the content root.
    let header = |edit: fn(&mut Block)| {
        let mut block = good.clone();
        edit(&mut block);
        solve(block)
    };
    let body = |edit: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        edit(&mut block);
        seal(block, &params)
    };
    let with = |transactions: Vec<Transaction>| chain.mine(transactions, Address([8; 32]));
    let next = chain.pay(&alice, Address([9; 32]), 1, 0);
    let again = |sequence: u64| {
        let mut payment = next.payment();
        payment.sequence = Sequence(sequence);
        payment.sign(&alice)
    };
    let at = next.sequence.0;
    let mut other_signature = next.clone();
    other_signature.signature = again(at + 1).signature;
    let mut unsolved = good.clone();
    while unsolved
        .header
        .target
        .expand()
        .is_some_and(|target| target.is_met_by(&unsolved.id()))
    {
        unsolved.header.nonce += 1;
    }
    let mut claims_less = good.clone();
    claims_less.header.target = CompactTarget(0x2100_8000);
    let mut swapped_body = good.clone();
    swapped_body.transactions[0] = other_signature.clone();
    vec![
        (
            "a parent that is unknown",
            header(|b| b.header.previous.0 = [3; 32]),
        ),
        ("the parent's height", header(|b| b.header.height.0 -= 1)),
        ("a height too far", {
            let mut block = good.clone();
            block.header.height.0 += 1;
            seal(block, &params)
        }),
        ("version 2", header(|b| b.header.version = 2)),
        ("an easier target than the chain's", claims_less),
        (
            "a harder target than the chain's",
            header(|b| b.header.target = CompactTarget(0x2000_8000)),
        ),
        ("no work", unsolved),
        (
            "the parent's timestamp",
            header(|b| b.header.timestamp.0 = 1_700_000_004_000),
        ),
        (
            "too far ahead of the clock",
            header(|b| b.header.timestamp.0 = NOW.0 + 7_200_001),
        ),
        (
            "another content root",
            header(|b| b.header.content_root.0[0] ^= 1),
        ),
        (
            "a known payment with a garbage signature in the body only",
            swapped_body,
        ),
        (
            "the same with the work done for it",
            body(&|b| b.transactions[0] = other_signature.clone()),
        ),
        ("another reward in the body only", {
            let mut block = good.clone();
            block.reward.to = Address([1; 32]);
            block
        }),
        ("no payment, block_size is 2", with(Vec::new())),
        ("a payment twice", with(vec![next.clone(), next.clone()])),
        ("a sequence used before", with(vec![again(at - 1)])),
        ("a gap in the sequences", with(vec![again(at + 1)])),
        (
            "sequences out of order",
            with(vec![again(at + 1), next.clone()]),
        ),
        (
            "more than the balance",
            with(vec![chain.pay(&dora, Address([9; 32]), 1_000_000_000, 0)]),
        ),
        (
            "more than the balance because of its fee",
            with(vec![chain.pay(&dora, Address([9; 32]), 1, 1)]),
        ),
        ("two payments, each covered, not both", {
            let half = chain.accounts[&address_of(&bob)].balance.units() / 2 + 1;
            let first = chain.pay(&bob, Address([9; 32]), half, 0);
            let mut second = first.payment();
            second.sequence = Sequence(second.sequence.0 + 1);
            with(vec![first, second.sign(&bob)])
        }),
        (
            "spends this block's reward",
            with(vec![chain.pay(
                &secret(Curve::P256, "nobody"),
                Address([9; 32]),
                1,
                0,
            )]),
        ),
        (
            "a payment of another network",
            with(vec![{
                let mut payment = next.payment();
                payment.genesis = GenesisId([7; 32]);
                payment.sign(&alice)
            }]),
        ),
        (
            "a payment of nothing",
            with(vec![chain.pay(&carol, Address([9; 32]), 0, 1)]),
        ),
        (
            "one unit of reward too much",
            body(&|b| b.reward.amount = Amount::from_units(b.reward.amount.units() + 1)),
        ),
        (
            "one unit of reward too little",
            body(&|b| b.reward.amount = Amount::from_units(b.reward.amount.units() - 1)),
        ),
        (
            "a reward without the fees",
            body(&|b| {
                b.transactions = vec![chain.pay(&alice, Address([9; 32]), 1, 50)];
            }),
        ),
        ("a content root over another payment count", {
            let mut block = good.clone();
            block.header.content_root = mvb_protocol::block::content_root(
                &merkle_root(&block.wids()),
                2,
                &block.reward.hash(params.genesis_id(), block.header.height),
            );
            solve(block)
        }),
        ("a reward of another network", {
            let mut block = good.clone();
            block.header.content_root = block.content_root(GenesisId([7; 32]), &block.wids());
            solve(block)
        }),
    ]
}
