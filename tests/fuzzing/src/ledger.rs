//! What the ledger is made of: payments, blocks, headers, targets, parameters, signatures.

use crate::{Seed, Target, Verdict, accepted, beyond, bytes::Bytes, refused};
use mvb_protocol::{
    address::Address,
    amount::{Amount, MAX_SUPPLY},
    block::{Block, HEADER_BYTES, Header, Reward},
    chain::ChainStore,
    codec::{decode, encode},
    connect::connect,
    hash::{BlockId, ContentRoot},
    keys::{Curve, PublicKey, SecretKey, Signature},
    numbers::{Height, Sequence, Timestamp},
    params::{BLOCK_VERSION, ChainParams, MAX_BLOCK_WEIGHT},
    target::{CompactTarget, Target as FullTarget},
    transaction::{Payment, Transaction},
    validate::{CheckedBlock, HeaderChain, Sequential, verify_signatures},
};
use mvb_storage::MemoryStore;
use std::sync::Arc;

/// The clock of these targets.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) const TRANSACTION: Target = Target {
    name: "transaction",
    run: transaction,
    seeds: transaction_seeds,
    tokens: &[
        b"\xc4\x21\x02",
        b"\xc4\x40",
        b"\xc4\x43\x03",
        b"\xc4\x84",
        b"\xcf",
    ],
    few: 3_000,
};

pub(crate) const BLOCK: Target = Target {
    name: "block",
    run: block_target,
    seeds: block_seeds,
    tokens: &[b"\xc4\x60", b"\xc4\x20", b"\x98", b"\xcf"],
    few: 500,
};

pub(crate) const HEADER: Target = Target {
    name: "header",
    run: header,
    seeds: header_seeds,
    tokens: &[b"\xc4\x60", b"\xc4\x20", b"\x93"],
    few: 3_000,
};

pub(crate) const TARGET: Target = Target {
    name: "compact_target",
    run: compact_target,
    seeds: target_seeds,
    tokens: &[b"\x21\x00\x80\x00", b"\x20\x7f\xff\xff"],
    few: 3_000,
};

pub(crate) const PARAMS: Target = Target {
    name: "params",
    run: params_target,
    seeds: params_seeds,
    tokens: &[b"\xa3mvb", b"\xd9\x20", b"\xcf", b"\xce"],
    few: 3_000,
};

pub(crate) const SIGNATURE: Target = Target {
    name: "signature",
    run: signature,
    seeds: signature_seeds,
    tokens: &[b"\x02", b"\x03", b"\x04"],
    few: 100,
};

pub(crate) fn params() -> ChainParams {
    ChainParams {
        network_name: "fuzz".to_owned(),
        difficulty: 1,
        block_size: 1,
        ..ChainParams::default()
    }
}

pub(crate) fn secret(curve: Curve) -> SecretKey {
    let mut bytes = vec![7; curve.scalar_bytes()];
    bytes[0] = 0;
    SecretKey::from_bytes(curve, &bytes).expect("a number below the order")
}

/// A payment of each curve.
pub(crate) fn payments() -> Vec<Transaction> {
    let payment = Payment {
        genesis: params().genesis_id(),
        to: Address([4; 32]),
        amount: Amount::from_units(1_000_000),
        fee: Amount::from_units(7),
        sequence: Sequence(0),
        timestamp: NOW,
    };
    Curve::ALL
        .iter()
        .map(|curve| payment.sign(&secret(*curve)))
        .collect()
}

/// A block on genesis with the first so many payments. Its work is done, its ledger is not
/// looked at.
pub(crate) fn block(count: usize) -> Block {
    let params = params();
    let mut transactions = payments();
    transactions.truncate(count);
    let fees = transactions.len() as u64 * 7;
    seal(Block {
        header: Header {
            previous: params.genesis_id().into(),
            content_root: ContentRoot::default(),
            version: BLOCK_VERSION,
            target: params.easiest_target(),
            height: Height(1),
            timestamp: NOW,
            nonce: 0,
        },
        transactions,
        reward: Reward {
            to: Address::of_key(secret(Curve::P256).public_key().as_bytes()),
            amount: Amount::from_units(params.block_reward.units() + fees),
            extra_nonce: 1,
        },
    })
}

fn seal(mut block: Block) -> Block {
    block.header.content_root = block.content_root(params().genesis_id(), &block.wids());
    let target = params().easiest_target().expand().expect("a difficulty's");
    while !target.is_met_by(&block.id()) {
        block.header.nonce = block.header.nonce.wrapping_add(1);
    }
    block
}

fn transaction(data: &[u8]) -> Verdict {
    let transaction: Transaction = match decode(data) {
        Ok(transaction) => transaction,
        Err(error) => return refused(error),
    };
    assert_eq!(encode(&transaction), data);
    let signed = transaction.signed_bytes();
    let key = transaction.key.as_bytes();
    assert_eq!(transaction.key.curve().public_key_bytes(), key.len());
    assert!(signed.ends_with(key));
    let size = signed.len() + transaction.signature.as_bytes().len();
    assert_eq!(transaction.size(), size);
    assert_ne!(transaction.id().0, transaction.wid().0);
    match transaction.check(params().genesis_id()) {
        Ok(()) => {
            assert!(transaction.amount > Amount::ZERO);
            assert!(transaction.total().is_ok_and(|total| total <= MAX_SUPPLY));
            assert!(transaction.sequence.next().is_some());
        }
        Err(error) => drop(refused(error)),
    }
    Verdict::Accepted
}

/// A block's bytes; whatever decodes is sealed and judged, its signatures taken as right.
fn block_target(data: &[u8]) -> Verdict {
    let block: Block = match decode(data) {
        Ok(block) => block,
        Err(error) => return refused(error),
    };
    assert_eq!(encode(&block), data);
    let sealed = seal(block);
    let params = params();
    let mut headers = HeaderChain::genesis(&params);
    if let Err(error) = headers.push(&params, &sealed.header, Some(NOW)) {
        refused(error);
    }
    let mut judged = sealed;
    judged.header.target = params.easiest_target();
    let judged = seal(judged);
    let checked = match CheckedBlock::check(Arc::new(judged), &params) {
        Ok(checked) => checked,
        Err(error) => {
            refused(error);
            return Verdict::Accepted;
        }
    };
    assert!(checked.block().weight() <= MAX_BLOCK_WEIGHT);
    assert!(checked.block().size() <= params.max_block_bytes as usize);
    let verified: Vec<_> = verify_signatures(vec![checked], &|_| true, &Sequential)
        .into_iter()
        .map(|result| result.expect("every payment counts as known"))
        .collect();
    let store = MemoryStore::new(params.clone());
    let snapshot = store.snapshot().expect("a store in memory");
    let connection = connect(&*snapshot, &params, &verified, NOW).expect("a store in memory");
    drop(snapshot);
    if let Some((_, error)) = connection.rejected {
        refused(error);
    }
    if let Some(changes) = connection.changes {
        store.commit(&changes).expect("a change set of its tip");
        let report = store
            .verify(&Sequential, &mut |_, _| {})
            .expect("a store in memory");
        assert_eq!(report.height, changes.tip.height, "{:?}", report.difference);
    }
    Verdict::Accepted
}

fn header(data: &[u8]) -> Verdict {
    if let Some(bytes) = data.first_chunk::<HEADER_BYTES>() {
        let header = Header::from_bytes(bytes);
        assert_eq!(&header.to_bytes(), bytes);
        assert_eq!(decode::<Header>(&encode(&header)), Ok(header));
    }
    match (decode::<Header>(data), decode::<Reward>(data)) {
        (Ok(header), _) => assert_eq!(encode(&header), data),
        (_, Ok(reward)) => {
            assert_eq!(encode(&reward), data);
            let genesis = params().genesis_id();
            assert_ne!(
                reward.hash(genesis, Height(1)),
                reward.hash(genesis, Height(2))
            );
        }
        (Err(header), Err(reward)) => {
            refused(header);
            return refused(reward);
        }
    }
    Verdict::Accepted
}

fn compact_target(data: &[u8]) -> Verdict {
    let compact = CompactTarget(Bytes(data).number() as u32);
    let Some(target) = compact.expand() else {
        return Verdict::Refused;
    };
    assert_eq!(target.to_compact(), compact);
    let bytes = target.to_be_bytes();
    let mut below = BlockId(bytes);
    assert!(!target.is_met_by(&below), "a target meets itself");
    for byte in below.0.iter_mut().rev() {
        let (less, borrow) = byte.overflowing_sub(1);
        *byte = less;
        if !borrow {
            break;
        }
    }
    assert!(target.is_met_by(&below));
    assert!(target.work() > Default::default());
    assert_eq!(decode(&encode(&compact)), Ok(compact));
    Verdict::Accepted
}

fn params_target(data: &[u8]) -> Verdict {
    let params: ChainParams = match decode(data) {
        Ok(params) => params,
        Err(error) => return refused(error),
    };
    assert_eq!(encode(&params), data);
    let other = self::params();
    assert_eq!(params.differences(&params), Vec::<String>::new());
    // Even of parameters out of range something is shown or computed, never a panic.
    for difference in other.differences(&params) {
        refused(difference);
    }
    for height in [0, 1, 2, 1 << 40, u64::MAX] {
        assert!(params.subsidy(Height(height)) <= params.block_reward);
        params.least_payments(Height(height));
    }
    assert!(params.easiest_target().expand().is_some());
    match params.validate() {
        Ok(()) => {
            assert!((1..=64).contains(&params.difficulty));
            assert!((1..=32).contains(&params.network_name.len()));
            assert_ne!(params == other, params.genesis_id() != other.genesis_id());
            Verdict::Accepted
        }
        Err(error) => refused(error),
    }
}

/// A chunk for the key, one for the signature, the rest for the message.
fn signature(data: &[u8]) -> Verdict {
    let mut choices = Bytes(data);
    let (key, signature) = (choices.chunk(), choices.chunk());
    let key = match PublicKey::from_bytes(key) {
        Ok(key) => key,
        Err(error) => return refused(error),
    };
    let signature = match Signature::from_bytes(signature) {
        Ok(signature) => signature,
        Err(error) => return refused(error),
    };
    assert_eq!(decode(&encode(&key)), Ok(key.clone()));
    assert_eq!(decode(&encode(&signature)), Ok(signature.clone()));
    match key.verify(choices.0, &signature) {
        Ok(()) => {
            let half = signature.as_bytes().len() / 2;
            let mut twin = signature.as_bytes().to_vec();
            twin[half..].iter_mut().for_each(|byte| *byte = !*byte);
            let twin = Signature::from_bytes(&twin).expect("the same length");
            assert!(key.verify(choices.0, &twin).is_err());
            Verdict::Accepted
        }
        Err(error) => refused(error),
    }
}

fn transaction_seeds() -> Vec<Seed> {
    let mut seeds: Vec<Seed> = payments().iter().map(|tx| accepted(encode(tx))).collect();
    let good = encode(&payments()[0]);
    seeds.push(beyond([&good[..], &[0]].concat()));
    seeds.push(beyond(good[..good.len() - 1].to_vec()));
    for amount in [0, 1, i64::MAX as u64, u64::MAX] {
        for (fee, sequence) in [(0, 0), (u64::MAX, u64::MAX), (1, u64::MAX - 1)] {
            let mut tx = payments()[0].clone();
            tx.amount = Amount::from_units(amount);
            (tx.fee, tx.sequence) = (Amount::from_units(fee), Sequence(sequence));
            seeds.push(accepted(encode(&tx)));
        }
    }
    // A tag of another form of key, and lengths of no curve.
    let at = good.windows(2).position(|pair| pair == [0xc4, 33]);
    if let Some(at) = at {
        for (offset, byte) in [(2, 4), (2, 0), (1, 32), (1, 34)] {
            let mut bad = good.clone();
            bad[at + offset] = byte;
            seeds.push(beyond(bad));
        }
    }
    seeds
}

fn block_seeds() -> Vec<Seed> {
    let mut seeds: Vec<Seed> = (0..=3).map(|n| accepted(encode(&block(n)))).collect();
    let good = encode(&block(1));
    seeds.push(beyond([&good[..], &[0xc0]].concat()));
    seeds.push(beyond(good[..good.len() - 1].to_vec()));
    seeds.push(beyond(
        [
            &[0x93, 0xc4, 96][..],
            &[1; 96],
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
        ]
        .concat(),
    ));
    seeds
}

fn header_seeds() -> Vec<Seed> {
    let block = block(0);
    let good = encode(&block.header);
    vec![
        accepted(good.clone()),
        accepted(encode(&block.reward)),
        accepted([&[0xc4, 96][..], &[0xff; 96]].concat()),
        beyond([&[0xc4, 95][..], &[0xff; 95]].concat()),
        beyond([&[0xc4, 97][..], &[0xff; 97]].concat()),
        beyond(block.header.to_bytes().to_vec()),
        beyond([&good[..], &[0]].concat()),
    ]
}

fn target_seeds() -> Vec<Seed> {
    let mut seeds: Vec<Seed> = (1..=64)
        .map(|bits| {
            let compact = FullTarget::from_difficulty(bits).to_compact();
            accepted([&[0; 4], &compact.to_be_bytes()[..]].concat())
        })
        .collect();
    for (compact, verdict) in [
        (0x2100_ffff, Verdict::Accepted),
        (0x2100_8000, Verdict::Accepted),
        (0x2101_0000, Verdict::Refused),
        (0x2200_0080, Verdict::Refused),
        (0x0100_0000, Verdict::Refused),
        (0x0101_0000, Verdict::Accepted),
        (0x0100_ffff, Verdict::Refused),
        (0x0180_0000, Verdict::Refused),
        (0x0000_0000, Verdict::Refused),
        (0x207f_ffff, Verdict::Accepted),
    ] {
        let compact: u32 = compact;
        let bytes = [&[0; 4], &compact.to_be_bytes()[..]].concat();
        seeds.push(Seed { bytes, verdict });
    }
    seeds
}

/// Parameters on both sides of each range.
pub(crate) fn params_at_the_limits() -> Vec<(ChainParams, Verdict)> {
    let mut cases = Vec::new();
    let mut case = |holds: bool, change: &dyn Fn(&mut ChainParams)| {
        let mut changed = params();
        change(&mut changed);
        let verdict = if holds {
            Verdict::Accepted
        } else {
            Verdict::Refused
        };
        cases.push((changed, verdict));
    };
    for (length, holds) in [(0, false), (1, true), (32, true), (33, false)] {
        case(holds, &|params| params.network_name = "n".repeat(length));
    }
    case(false, &|params| params.network_name = "a\nb".to_owned());
    for (difficulty, holds) in [(0, false), (1, true), (64, true), (65, false)] {
        case(holds, &|params| params.difficulty = difficulty);
    }
    let most = MAX_SUPPLY.units();
    for (units, holds) in [(0, false), (1, true), (most, true), (most + 1, false)] {
        case(holds, &|params| {
            params.block_reward = Amount::from_units(units)
        });
    }
    for (seconds, holds) in [
        (0, true),
        (4, false),
        (5, true),
        (86_400, true),
        (86_401, false),
    ] {
        case(holds, &|params| params.target_block_seconds = seconds);
    }
    for (bytes, holds) in [
        (1_023, false),
        (1_024, true),
        (8 << 20, true),
        ((8 << 20) + 1, false),
    ] {
        case(holds, &|params| params.max_block_bytes = bytes);
    }
    for (size, holds) in [(0, false), (1, true), (u32::MAX, false)] {
        case(holds, &|params| params.block_size = size);
    }
    // Of the smallest payments, of 203 bytes, four stand beside header and reward in 1,024.
    for (size, holds) in [(5, true), (6, false)] {
        case(holds, &|params| {
            (params.max_block_bytes, params.block_size) = (1_024, size)
        });
    }
    for version in [0, 2] {
        case(false, &|params| params.rules_version = version);
    }
    cases
}

fn params_seeds() -> Vec<Seed> {
    params_at_the_limits()
        .into_iter()
        .map(|(params, verdict)| Seed {
            bytes: encode(&params),
            verdict,
        })
        .chain([accepted(encode(&params()))])
        .collect()
}

fn signature_seeds() -> Vec<Seed> {
    let input = |key: &[u8], signature: &[u8], message: &[u8]| {
        let mut bytes = vec![key.len() as u8];
        bytes.extend_from_slice(key);
        bytes.push(signature.len() as u8);
        bytes.extend_from_slice(signature);
        bytes.extend_from_slice(message);
        bytes
    };
    let mut seeds = Vec::new();
    for curve in Curve::ALL {
        let secret = secret(curve);
        let (key, signature) = (secret.public_key(), secret.sign(b"message"));
        let (key, signature) = (key.as_bytes(), signature.as_bytes());
        seeds.push(accepted(input(key, signature, b"message")));
        seeds.push(beyond(input(key, signature, b"massage")));
        let half = curve.scalar_bytes();
        for bad in [
            [&[0; 66][..half], &signature[half..]],
            [&signature[..half], &[0; 66][..half]],
        ] {
            seeds.push(beyond(input(key, &bad.concat(), b"message")));
        }
        seeds.push(beyond(input(key, &vec![0xff; 2 * half], b"message")));
        seeds.push(beyond(input(key, &signature[1..], b"message")));
        let mut uncompressed = key.to_vec();
        uncompressed[0] = 4;
        seeds.push(beyond(input(&uncompressed, signature, b"message")));
    }
    seeds
}
