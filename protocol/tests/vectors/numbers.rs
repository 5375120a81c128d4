//! Parameters, targets, retargeting and Merkle roots.

use super::{hex, params, params_json};
use mvb_protocol::{
    amount::{Amount, MAX_SUPPLY},
    hash::Wid,
    merkle::{leaf_hash, merkle_root},
    numbers::Timestamp,
    params::ChainParams,
    retarget::{RetargetPoint, next_target},
    target::{CompactTarget, Target},
};
use serde_json::{Value, json};

pub fn genesis() -> Value {
    let with = |edit: fn(&mut ChainParams)| {
        let mut params = ChainParams::default();
        edit(&mut params);
        params
    };
    let valid: Vec<Value> = [
        ChainParams::default(),
        params(),
        with(|p| p.network_name = "a".repeat(32)),
        with(|p| p.network_name = "Klasse 7b, Übung".to_owned()),
        with(|p| p.difficulty = 27),
        with(|p| p.block_size = 3),
        with(|p| p.block_reward = Amount::from_units(1)),
        with(|p| p.target_block_seconds = 60),
        with(|p| p.max_block_bytes = 8 << 20),
    ]
    .iter()
    .map(|params| {
        params.validate().expect("chosen to be valid");
        json!({ "params": params_json(params), "genesis": params.genesis_id().to_string() })
    })
    .collect();
    let invalid: Vec<Value> = [
        with(|p| p.rules_version = 2),
        with(|p| p.network_name = String::new()),
        with(|p| p.network_name = "a".repeat(33)),
        with(|p| p.network_name = "a\nb".to_owned()),
        with(|p| p.difficulty = 0),
        with(|p| p.difficulty = 65),
        with(|p| p.block_size = 0),
        with(|p| p.block_size = 5_166),
        with(|p| (p.block_size, p.max_block_bytes) = (6_146, 8 << 20)),
        with(|p| p.block_reward = Amount::ZERO),
        with(|p| p.block_reward = Amount::from_units(MAX_SUPPLY.units() + 1)),
        with(|p| p.target_block_seconds = 4),
        with(|p| p.target_block_seconds = 86_401),
        with(|p| p.max_block_bytes = 1_023),
        with(|p| p.max_block_bytes = (8 << 20) + 1),
    ]
    .iter()
    .map(|params| {
        let reason = params
            .validate()
            .expect_err("chosen to be invalid")
            .to_string();
        json!({ "params": params_json(params), "reason": reason })
    })
    .collect();
    json!({
        "about": "block_reward is in units. The genesis id is SHA-256 of the parameters' fixed layout.",
        "valid": valid,
        "invalid": invalid,
    })
}

pub fn targets() -> Value {
    let describe = |target: Target| {
        json!({
            "compact": target.to_compact().0,
            "target": hex(target.to_be_bytes()),
            "work": target.work().to_string(),
        })
    };
    let difficulties: Vec<Value> = (1..=64)
        .map(|difficulty| {
            let mut value = describe(Target::from_difficulty(difficulty));
            value["difficulty"] = difficulty.into();
            value
        })
        .collect();
    let compact: Vec<Value> = [
        0x2100_8000,
        0x207f_ffff,
        0x2000_8000,
        0x1d00_ffff,
        0x1d3f_ffff,
        0x1b04_04cb,
        0x0300_8000,
        0x0312_3456,
        0x0212_3400,
        0x0112_0000,
        0x0101_0000,
        0x2100_ffff,
    ]
    .into_iter()
    .map(|bits| {
        describe(
            CompactTarget(bits)
                .expand()
                .expect("chosen to be canonical"),
        )
    })
    .collect();
    let invalid: Vec<Value> = [
        (0x0000_0000, "zero"),
        (0x2000_0000, "zero digits"),
        (0x0012_3456, "all digits are shifted out"),
        (0x1d80_0000, "the sign bit is set"),
        (0x1dff_ffff, "the sign bit is set"),
        (0x1d00_7fff, "not the shortest form"),
        (0x2100_0001, "not the shortest form"),
        (0x0112_3456, "digits below the point"),
        (0x0212_3456, "digits below the point"),
        (0x2101_0000, "2^256"),
        (0x2200_8000, "above 2^256"),
        (0xff12_3456, "above 2^256"),
    ]
    .into_iter()
    .map(|(bits, reason)| {
        assert_eq!(CompactTarget(bits).expand(), None, "{bits:#010x}");
        json!({ "compact": bits, "reason": reason })
    })
    .collect();
    json!({
        "about": "compact is the header's u32. An id meets a target when it is below it as a big-endian number.",
        "difficulties": difficulties,
        "compact": compact,
        "invalid": invalid,
    })
}

/// What it shows, target_block_seconds, difficulty, the difficulty now, blocks, timestamps.
type Retarget = (&'static str, u32, u8, u8, u64, fn(u64) -> u64);

pub fn retargets() -> Value {
    fn slow(i: u64) -> u64 {
        15_000 * i
    }
    fn fast(i: u64) -> u64 {
        2_500 * i
    }
    let cases: Vec<Retarget> = vec![
        ("fixed difficulty", 0, 20, 24, 90, fast),
        ("no block yet", 10, 20, 20, 0, fast),
        ("one block too few for a window", 10, 20, 24, 60, fast),
        ("the first full window", 10, 20, 24, 61, fast),
        ("only the last 61 blocks count", 10, 20, 24, 62, |i| {
            if i == 1 { 1 } else { fast(i) }
        }),
        ("blocks on time", 10, 20, 24, 61, |i| 10_000 * i),
        ("slow blocks", 10, 20, 24, 61, slow),
        ("slow blocks at the easiest target", 10, 20, 20, 61, slow),
        ("one millisecond a block", 10, 20, 24, 61, |i| i),
        (
            "a block of ten hours counts as six intervals",
            10,
            20,
            24,
            61,
            |i| 10_000 * i + if i > 50 { 36_000_000 } else { 0 },
        ),
        ("the longest interval", 86_400, 1, 9, 61, |i| {
            700_000_000 * i
        }),
        ("the shortest interval", 5, 64, 64, 61, |i| 4_999 * i),
        ("the greatest timestamps", 60, 30, 31, 61, |i| {
            u64::MAX - 61 + i
        }),
    ];
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(what, seconds, difficulty, now, blocks, timestamp)| {
            let params = ChainParams {
                target_block_seconds: seconds,
                difficulty,
                ..ChainParams::default()
            };
            // Uneven targets, so that a wrong order or a wrong window shows.
            let recent: Vec<RetargetPoint> = (1..=blocks)
                .map(|i| RetargetPoint {
                    timestamp: Timestamp(timestamp(i)),
                    target: CompactTarget(
                        Target::from_difficulty(now).to_compact().0 - (i as u32 % 7),
                    ),
                })
                .map(|mut point| {
                    if point.target.expand().is_none() {
                        point.target = Target::from_difficulty(now).to_compact();
                    }
                    point
                })
                .collect();
            let points: Vec<Value> = recent
                .iter()
                .map(|point| json!([point.timestamp.0, point.target.0]))
                .collect();
            json!({
                "what": what,
                "difficulty": difficulty,
                "target_block_seconds": seconds,
                "recent": points,
                "next": next_target(&params, &recent).0,
            })
        })
        .collect();
    json!({
        "about": "recent holds [timestamp, compact target] of the chain's last blocks, the oldest first; next is the compact target of the block after them.",
        "cases": cases,
    })
}

pub fn merkle() -> Value {
    let mut cases = Vec::new();
    for count in [0u8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13] {
        let leaves: Vec<Wid> = (0..count).map(|i| Wid(leaf_hash(&[&[i]]))).collect();
        cases.push(json!({
            "leaves": leaves.iter().map(|leaf| leaf.to_string()).collect::<Vec<_>>(),
            "root": hex(merkle_root(&leaves)),
        }));
    }
    json!({
        "about": "leaf i is SHA-256(00 ‖ byte i); roots as in RFC 6962, section 2.1.",
        "cases": cases,
    })
}
