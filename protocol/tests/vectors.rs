//! The frozen vectors: this crate's rules must say what `docs/vectors` says, and say it of
//! these files alone, so that a change of the rules or of the wire cannot pass unseen.

#![allow(clippy::unwrap_used)] // A test may, its helpers too.

#[path = "vectors/generate.rs"]
mod generate;

use generate::{chain::MemoryChain, ledger::NOW, read::read_message, secrets::key_error};
use mvb_protocol::{
    address::{Address, Checksum},
    amount::Amount,
    block::{Block, HEADER_BYTES, Header},
    codec::{decode, encode},
    hash::{GenesisId, Wid},
    keys::{Curve, PublicKey, SecretKey, Signature},
    merkle::merkle_root,
    numbers::{Sequence, Timestamp},
    params::ChainParams,
    retarget::{RetargetPoint, next_target},
    target::{CompactTarget, Target},
    transaction::{Payment, Transaction},
};
use serde_json::Value;

fn file(name: &str) -> String {
    let path = format!("{}/../docs/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read(name: &str) -> Value {
    serde_json::from_str(&file(name)).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    let list = value[name].as_array().unwrap();
    assert!(!list.is_empty(), "no case in {name}");
    list
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

fn number(value: &Value, name: &str) -> u64 {
    value[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(value, name)).unwrap()
}

fn params(value: &Value) -> ChainParams {
    ChainParams {
        rules_version: number(value, "rules_version") as u32,
        network_name: text(value, "network_name").to_owned(),
        difficulty: number(value, "difficulty") as u8,
        block_size: number(value, "block_size") as u32,
        block_reward: Amount::from_units(number(value, "block_reward")),
        target_block_seconds: number(value, "target_block_seconds") as u32,
        max_block_bytes: number(value, "max_block_bytes") as u32,
    }
}

#[test]
fn the_files_say_what_the_rules_say() {
    for (name, value) in generate::all() {
        assert!(
            generate::text(&value) == file(name),
            "docs/vectors/{name} and the rules differ. If the change is meant, run\n    \
             cargo run -p mvb-protocol --example vectors"
        );
    }
}

#[test]
fn keys_and_signatures_are_as_frozen() {
    let file = read("keys.json");
    for case in list(&file, "valid") {
        let curve = Curve::from_bits(number(case, "key_size") as u16).unwrap();
        let secret = SecretKey::from_bytes(curve, &bytes(case, "secret")).unwrap();
        let key = PublicKey::from_bytes(&bytes(case, "public_key")).unwrap();
        let signature = Signature::from_bytes(&bytes(case, "signature")).unwrap();
        let message = bytes(case, "message");
        assert_eq!(secret.public_key(), key);
        assert_eq!(secret.sign(&message), signature);
        assert_eq!((secret.curve(), key.curve()), (curve, curve));
        key.verify(&message, &signature).unwrap();
        assert_eq!(
            Address::of_key(key.as_bytes()).to_string(),
            text(case, "address")
        );
    }
    for case in list(&file, "invalid_public_keys") {
        assert_eq!(
            key_error(&bytes(case, "public_key")),
            text(case, "reason"),
            "{case}"
        );
    }
    for case in list(&file, "invalid_signatures") {
        let key = PublicKey::from_bytes(&bytes(case, "public_key")).unwrap();
        let refused = Signature::from_bytes(&bytes(case, "signature"))
            .and_then(|signature| key.verify(&bytes(case, "message"), &signature))
            .unwrap_err();
        assert_eq!(refused.to_string(), text(case, "reason"), "{case}");
    }
}

#[test]
fn addresses_are_read_and_refused_as_frozen() {
    let file = read("addresses.json");
    for case in list(&file, "valid") {
        let (address, checksum) = Address::parse(text(case, "text")).unwrap();
        assert_eq!(address.0.as_slice(), bytes(case, "address"));
        assert_eq!(
            checksum == Checksum::Verified,
            text(case, "checksum") == "verified"
        );
        if checksum == Checksum::Verified {
            assert_eq!(address.to_string(), text(case, "text"));
        }
    }
    for case in list(&file, "invalid") {
        let refused = Address::parse(text(case, "text")).unwrap_err();
        assert_eq!(refused.to_string(), text(case, "reason"));
    }
}

#[test]
fn transactions_are_as_frozen() {
    let file = read("transactions.json");
    let genesis: GenesisId = text(&file, "genesis").parse().unwrap();
    for case in list(&file, "valid") {
        let tx: Transaction = decode(&bytes(case, "messagepack")).unwrap();
        assert_eq!(encode(&tx), bytes(case, "messagepack"));
        let payment = Payment {
            genesis: text(case, "genesis").parse().unwrap(),
            to: text(case, "to").parse().unwrap(),
            amount: Amount::from_units(number(case, "amount")),
            fee: Amount::from_units(number(case, "fee")),
            sequence: Sequence(number(case, "sequence")),
            timestamp: Timestamp(number(case, "timestamp")),
        };
        assert_eq!(tx.payment(), payment);
        assert_eq!(tx.key.as_bytes(), bytes(case, "key"));
        assert_eq!(tx.signature.as_bytes(), bytes(case, "signature"));
        assert_eq!(tx.signed_bytes(), bytes(case, "signed_bytes"));
        assert_eq!(tx.from().to_lower_hex(), text(case, "from"));
        assert_eq!(tx.id().to_string(), text(case, "id"));
        assert_eq!(tx.wid().to_string(), text(case, "wid"));
        assert_eq!(tx.size() as u64, number(case, "size"));
        tx.verify(genesis).unwrap();
    }
    for case in list(&file, "invalid") {
        let tx: Transaction = decode(&bytes(case, "messagepack")).unwrap();
        assert_eq!(
            tx.verify(genesis).unwrap_err().to_string(),
            text(case, "reason"),
            "{case}"
        );
    }
}

#[test]
fn blocks_are_judged_as_frozen() {
    let file = read("blocks.json");
    let mut chain = MemoryChain::new(params(&file["params"]));
    let genesis = chain.params.genesis_id();
    assert_eq!(genesis.to_string(), text(&file, "genesis"));
    assert_eq!(NOW.0, number(&file, "now"));
    for case in list(&file, "valid") {
        let block: Block = decode(&bytes(case, "messagepack")).unwrap();
        let header: [u8; HEADER_BYTES] = bytes(case, "header").try_into().unwrap();
        assert_eq!(Header::from_bytes(&header), block.header);
        assert_eq!(block.header.to_bytes(), header);
        assert_eq!(block.id().to_string(), text(case, "id"));
        assert_eq!(block.size() as u64, number(case, "size"));
        assert_eq!(u64::from(block.weight()), number(case, "weight"));
        assert_eq!(
            merkle_root(&block.wids()).as_slice(),
            bytes(case, "merkle_root")
        );
        let reward = block.reward.hash(genesis, block.header.height);
        assert_eq!(reward.as_slice(), bytes(case, "reward_hash"));
        chain.submit(&block, NOW).unwrap();
        assert_eq!(chain.end().tip().work.to_string(), text(case, "work_after"));
        let accounts = case["accounts_after"].as_object().unwrap();
        assert_eq!(accounts.len(), chain.accounts.len());
        for (address, account) in &chain.accounts {
            let frozen = &accounts[&address.to_lower_hex()];
            assert_eq!(frozen[0], account.balance.units());
            assert_eq!(frozen[1], account.sequence.0);
        }
    }
    for case in list(&file, "invalid") {
        let block: Block = decode(&bytes(case, "messagepack")).unwrap();
        let error = chain.clone().submit(&block, NOW).unwrap_err();
        assert_eq!(error.to_string(), text(case, "reason"), "{}", case["what"]);
        assert_eq!(
            format!("{:?}", error.verdict()),
            text(case, "verdict"),
            "{}",
            case["what"]
        );
    }
}

#[test]
fn genesis_ids_are_as_frozen() {
    let file = read("genesis.json");
    for case in list(&file, "valid") {
        let params = params(&case["params"]);
        params.validate().unwrap();
        assert_eq!(params.genesis_id().to_string(), text(case, "genesis"));
    }
    for case in list(&file, "invalid") {
        let refused = params(&case["params"]).validate().unwrap_err();
        assert_eq!(refused.to_string(), text(case, "reason"));
    }
}

#[test]
fn targets_and_work_are_as_frozen() {
    let file = read("targets.json");
    for case in list(&file, "difficulties")
        .iter()
        .chain(list(&file, "compact"))
    {
        let compact = CompactTarget(number(case, "compact") as u32);
        let target = compact.expand().unwrap();
        assert_eq!(target.to_be_bytes().as_slice(), bytes(case, "target"));
        assert_eq!(target.to_compact(), compact);
        assert_eq!(target.work().to_string(), text(case, "work"));
        if let Some(difficulty) = case["difficulty"].as_u64() {
            assert_eq!(Target::from_difficulty(difficulty as u8), target);
        }
    }
    for case in list(&file, "invalid") {
        assert_eq!(
            CompactTarget(number(case, "compact") as u32).expand(),
            None,
            "{case}"
        );
    }
}

#[test]
fn retargets_are_as_frozen() {
    for case in list(&read("retargets.json"), "cases") {
        let params = ChainParams {
            difficulty: number(case, "difficulty") as u8,
            target_block_seconds: number(case, "target_block_seconds") as u32,
            ..ChainParams::default()
        };
        let point = |point: &Value| RetargetPoint {
            timestamp: Timestamp(point[0].as_u64().unwrap()),
            target: CompactTarget(point[1].as_u64().unwrap() as u32),
        };
        let recent: Vec<RetargetPoint> = case["recent"]
            .as_array()
            .unwrap()
            .iter()
            .map(point)
            .collect();
        assert_eq!(
            u64::from(next_target(&params, &recent).0),
            number(case, "next"),
            "{}",
            case["what"]
        );
    }
}

#[test]
fn merkle_roots_are_as_frozen() {
    for case in list(&read("merkle.json"), "cases") {
        let leaves: Vec<Wid> = case["leaves"]
            .as_array()
            .unwrap()
            .iter()
            .map(|leaf| leaf.as_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(merkle_root(&leaves).as_slice(), bytes(case, "root"));
    }
}

#[test]
fn messages_are_read_and_refused_as_frozen() {
    let file = read("messages.json");
    let params = params(&file["params"]);
    for case in list(&file, "valid") {
        let message = bytes(case, "bytes");
        assert_eq!(
            read_message(text(case, "read_as"), &message, &params),
            Ok(message),
            "{case}"
        );
    }
    for case in list(&file, "invalid") {
        let refused =
            read_message(text(case, "read_as"), &bytes(case, "bytes"), &params).unwrap_err();
        assert_eq!(refused, text(case, "reason"), "{}", case["what"]);
    }
}
