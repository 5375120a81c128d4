//! The holes of the Python original that are about money and blocks, numbers 1 to 19 of its
//! review, each as the claim that this one does not have it. Every claim was seen to fail
//! with its hole put back.

#![allow(clippy::unwrap_used)] // A test may, its helpers too.

#[path = "support/chain.rs"]
mod chain;

use chain::{MemoryChain, address_of, mine_on, payment, seal, secret, solve, trust_signatures};
use mvb_protocol::{
    address::Address,
    amount::{Amount, MAX_SUPPLY},
    block::Block,
    codec::{decode, encode},
    hash::{BlockId, GenesisId, Wid},
    keys::{Curve, KeyError, SecretKey, Signature},
    ledger::LedgerError,
    numbers::{Sequence, Timestamp},
    params::ChainParams,
    transaction::{Payment, Transaction, TransactionError},
    validate::{BlockError, CheckedBlock, Sequential, Verdict, verify_signatures},
    wire::{Datagram, GetBlocks, Request, Response, WireError},
};
use std::sync::Arc;

const NOW: Timestamp = Timestamp(1_000_000);
const BOB: Address = Address([0xb0; 32]);

fn params() -> ChainParams {
    ChainParams {
        network_name: "holes".to_owned(),
        difficulty: 2,
        ..ChainParams::default()
    }
}

fn alice() -> SecretKey {
    secret(Curve::P256, "alice")
}

/// A chain on which alice has the first reward, 10 coins.
fn rich_alice(params: ChainParams) -> MemoryChain {
    let mut chain = MemoryChain::new(params);
    let first = chain.mine(Vec::new(), address_of(&alice()));
    chain.submit(&first, NOW).unwrap();
    chain
}

fn signed(chain: &MemoryChain, edit: impl Fn(&mut Payment)) -> Transaction {
    let mut payment = payment(&chain.params, BOB, 1_000_000, 0, Sequence(0));
    edit(&mut payment);
    payment.sign(&alice())
}

/// Submits a block of these payments whose header and reward are right.
fn submit(chain: &mut MemoryChain, transactions: Vec<Transaction>) -> Result<(), BlockError> {
    let block = chain.mine(transactions, BOB);
    chain.submit(&block, NOW)
}

fn ledger_error(result: Result<(), BlockError>) -> LedgerError {
    match result {
        Err(BlockError::Ledger { error, .. }) => error,
        other => panic!("expected a ledger error, got {other:?}"),
    }
}

fn transaction_error(result: Result<(), BlockError>) -> TransactionError {
    match result {
        Err(BlockError::Transaction { error, .. }) => error,
        other => panic!("expected a payment's error, got {other:?}"),
    }
}

mod theft_and_inflation {
    use super::*;

    /// Hole 1.
    #[test]
    fn a_key_spends_its_own_address_only() {
        let mut chain = rich_alice(params());
        let thief = secret(Curve::P256, "thief");
        let theft = chain.pay(&thief, BOB, 1_000_000, 0);
        assert_eq!(theft.from(), address_of(&thief));
        let refused = ledger_error(submit(&mut chain, vec![theft.clone()]));
        assert!(matches!(refused, LedgerError::Balance { .. }), "{refused}");

        let mut in_her_name = theft;
        in_her_name.key = alice().public_key();
        assert_eq!(in_her_name.from(), address_of(&alice()));
        let refused = transaction_error(submit(&mut chain, vec![in_her_name]));
        assert_eq!(refused, KeyError::Mismatch.into());
    }

    /// Hole 2.
    #[test]
    fn an_amount_or_fee_is_never_negative() {
        let mut chain = rich_alice(params());
        for (amount, fee) in [(-1, 0), (1_000_000, -1_000_000), (-5, 5), (i64::MIN, 0)] {
            let (amount, fee) = (amount as u64, fee as u64);
            let tx = signed(&chain, |payment| {
                payment.amount = Amount::from_units(amount);
                payment.fee = Amount::from_units(fee);
            });
            let refused = transaction_error(submit(&mut chain, vec![tx]));
            assert!(
                matches!(refused, TransactionError::TooMuch { .. }),
                "{refused}"
            );
        }
    }

    /// Holes 3 and 9: the amount stands in the encoding as 1 byte, 5, which is replaced.
    #[test]
    fn an_amount_is_an_integer_and_neither_nan_nor_a_float_nor_true() {
        let chain = rich_alice(params());
        let tx = signed(&chain, |payment| payment.amount = Amount::from_units(5));
        let good = encode(&tx);
        let at = 1 + 34 + 34;
        assert_eq!(good[at], 5);
        let nan = [&[0xcb][..], &f64::NAN.to_be_bytes()].concat();
        let five = [&[0xcb][..], &5f64.to_be_bytes()].concat();
        let half = [&[0xca][..], &0.5f32.to_be_bytes()].concat();
        let text = b"\xa15".to_vec();
        for other in [
            nan,
            five,
            half,
            text,
            vec![0xc3],
            vec![0xc2],
            vec![0xc0],
            vec![0xff],
        ] {
            let bytes = [&good[..at], &other, &good[at + 1..]].concat();
            assert!(decode::<Transaction>(&bytes).is_err(), "{other:02x?}");
        }
        assert_eq!(decode::<Transaction>(&good), Ok(tx));
    }

    /// Hole 4.
    #[test]
    fn paying_oneself_costs_the_fee_and_mints_nothing() {
        let mut chain = rich_alice(params());
        let me = address_of(&alice());
        let before = chain.supply();
        let to_self = chain.pay(&alice(), me, 4_000_000, 1_000);
        submit(&mut chain, vec![to_self]).unwrap();
        assert_eq!(chain.accounts[&me].balance.units(), 10_000_000 - 1_000);
        assert_eq!(chain.supply() - before, 10_000_000);
    }

    /// Hole 4, its other half.
    #[test]
    fn paying_oneself_needs_the_money_first() {
        let mut chain = rich_alice(params());
        let to_self = chain.pay(&alice(), address_of(&alice()), 10_000_001, 0);
        let refused = ledger_error(submit(&mut chain, vec![to_self]));
        assert!(matches!(refused, LedgerError::Balance { .. }), "{refused}");
    }

    /// Hole 5.
    #[test]
    fn a_payment_counts_once() {
        let mut chain = rich_alice(params());
        let tx = chain.pay(&alice(), BOB, 1_000_000, 0);
        submit(&mut chain, vec![tx.clone()]).unwrap();
        let refused = ledger_error(submit(&mut chain, vec![tx.clone()]));
        assert!(matches!(refused, LedgerError::Sequence { .. }), "{refused}");
        let next = chain.pay(&alice(), BOB, 1_000_000, 0);
        let twice = submit(&mut chain, vec![next.clone(), next]);
        assert!(
            matches!(twice, Err(BlockError::Duplicate { .. })),
            "{twice:?}"
        );
    }

    /// Hole 6: a name follows from what was signed, so nobody can give it to something else.
    #[test]
    fn whatever_differs_in_a_payment_gives_it_another_id() {
        let chain = rich_alice(params());
        let base = signed(&chain, |_| {});
        let edits: [fn(&mut Payment); 6] = [
            |p| p.genesis = GenesisId([1; 32]),
            |p| p.to = Address([1; 32]),
            |p| p.amount = Amount::from_units(1),
            |p| p.fee = Amount::from_units(1),
            |p| p.sequence = Sequence(1),
            |p| p.timestamp = Timestamp(1),
        ];
        for edit in edits {
            assert_ne!(signed(&chain, edit).id(), base.id());
        }
        let by_another = base.payment().sign(&secret(Curve::P256, "mallory"));
        assert_ne!(by_another.id(), base.id());
    }

    /// Hole 6, as it would come back through a cache of what was verified.
    #[test]
    fn a_known_id_with_a_garbage_signature_is_refused_by_warm_and_cold_nodes_alike() {
        let chain = rich_alice(params());
        let good = chain.pay(&alice(), BOB, 1, 0);
        let mut garbage = good.clone();
        garbage.signature = Signature::from_bytes(&[0x11; 64]).unwrap();
        assert_eq!(garbage.id(), good.id());
        assert_ne!(garbage.wid(), good.wid());
        let warm = move |wid: &_| *wid == good.wid();
        let block = Arc::new(chain.mine(vec![garbage], BOB));
        let judge = |is_known: &(dyn Fn(&_) -> bool + Sync)| {
            let checked = CheckedBlock::check(block.clone(), &chain.params).unwrap();
            verify_signatures(vec![checked], is_known, &Sequential).remove(0)
        };
        let cold = judge(&|_| false);
        assert!(cold.is_err());
        assert_eq!(judge(&warm), cold);
        // Only the very same signed bytes and signature stand for a verification.
        let checked = CheckedBlock::check(block.clone(), &chain.params).unwrap();
        assert_eq!(checked.wids(), block.wids());
        assert!(judge(&|wid: &_| checked.wids().contains(wid)).is_ok());
        let id = Wid(block.transactions[0].id().0);
        assert_eq!(judge(&|wid: &_| *wid == id), cold);
    }

    /// Hole 6, seen from the block: other signature bytes are another body, not another verdict
    /// on the same id.
    #[test]
    fn a_body_with_other_signature_bytes_is_a_mismatch_and_does_not_taint_the_block() {
        let mut chain = rich_alice(params());
        let block = chain.mine(vec![chain.pay(&alice(), BOB, 1, 0)], BOB);
        let mut copy = block.clone();
        copy.transactions[0].signature = Signature::from_bytes(&[0x11; 64]).unwrap();
        assert_eq!(copy.id(), block.id());
        let refused = chain.submit(&copy, NOW).unwrap_err();
        assert_eq!(refused.verdict(), Verdict::BodyMismatch);
        chain.submit(&block, NOW).unwrap();
    }

    /// Hole 7.
    #[test]
    fn a_payment_counts_on_its_own_network_only() {
        let mut other = params();
        other.network_name = "holes, started over".to_owned();
        let old = rich_alice(params()).pay(&alice(), BOB, 1, 0);
        let mut chain = rich_alice(other);
        let refused = transaction_error(submit(&mut chain, vec![old]));
        assert!(
            matches!(refused, TransactionError::Genesis { .. }),
            "{refused}"
        );
    }

    /// Hole 8.
    #[test]
    fn a_payment_has_one_signature_that_its_sender_did_not_choose_twice() {
        let n: [u8; 32] =
            hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
                .unwrap()
                .try_into()
                .unwrap();
        let chain = rich_alice(params());
        let tx = chain.pay(&alice(), BOB, 1, 0);
        let mut twin = tx.signature.as_bytes().to_vec();
        let mut borrow = 0;
        for i in (0..32).rev() {
            let digit = i16::from(n[i]) - i16::from(twin[32 + i]) - borrow;
            borrow = i16::from(digit < 0);
            twin[32 + i] = digit.rem_euclid(256) as u8;
        }
        let twin = Transaction {
            signature: Signature::from_bytes(&twin).unwrap(),
            ..tx
        };
        assert_eq!(twin.check_signature(), Err(KeyError::HighS.into()));
    }

    /// Hole 8, its other half: fields have fixed widths, so none can flow into the next.
    #[test]
    fn two_payments_never_share_their_signed_bytes() {
        let chain = rich_alice(params());
        let of = |amount, fee| {
            signed(&chain, |payment| {
                payment.amount = Amount::from_units(amount);
                payment.fee = Amount::from_units(fee);
            })
        };
        assert_ne!(of(11, 1).signed_bytes(), of(1, 11).signed_bytes());
        assert_ne!(of(0x0101, 1).signed_bytes(), of(1, 0x0101).signed_bytes());
    }

    /// Hole 10: a recipient is 32 bytes.
    #[test]
    fn a_recipient_of_another_form_is_refused() {
        let chain = rich_alice(params());
        let good = encode(&signed(&chain, |_| {}));
        let (before, after) = (&good[..35], &good[35 + 34..]);
        for to in [
            [&[0xc4, 31][..], &[0xb0; 31]].concat(),
            [&[0xc4, 33][..], &[0xb0; 33]].concat(),
            b"\xa3bob".to_vec(),
            vec![0xc4, 0],
            vec![0xc0],
        ] {
            let bytes = [before, &to, after].concat();
            assert!(decode::<Transaction>(&bytes).is_err(), "{to:02x?}");
        }
    }

    /// Hole 10: the reward has no sender that could be spent from.
    #[test]
    fn a_block_creates_its_subsidy_and_nobody_loses_by_it() {
        let mut chain = rich_alice(params());
        for _ in 0..3 {
            let before = chain.accounts.clone();
            let supply = chain.supply();
            let to_bob = chain.pay(&alice(), BOB, 1, 7);
            let block = chain.mine(vec![to_bob], Address([7; 32]));
            chain.submit(&block, NOW).unwrap();
            assert_eq!(chain.supply() - supply, 10_000_000);
            for (address, account) in &before {
                let lost = account
                    .balance
                    .saturating_sub(chain.accounts[address].balance);
                assert!(lost == Amount::ZERO || *address == address_of(&alice()));
            }
        }
    }
}

mod block_rules {
    use super::*;

    fn with_payment(chain: &MemoryChain) -> Block {
        chain.mine(vec![chain.pay(&alice(), BOB, 1, 0)], BOB)
    }

    /// Hole 11: the id is the hash, and the hash is the work.
    #[test]
    fn a_block_whose_hash_is_not_below_its_target_is_refused_before_its_signatures() {
        let mut chain = rich_alice(ChainParams {
            difficulty: 8,
            ..params()
        });
        let mut block = with_payment(&chain);
        block.transactions[0].signature = Signature::from_bytes(&[0x11; 64]).unwrap();
        block = seal(block, &chain.params);
        let target = block.header.target.expand().unwrap();
        while target.is_met_by(&block.id()) {
            block.header.nonce += 1;
        }
        let refused = CheckedBlock::check(Arc::new(block.clone()), &chain.params).unwrap_err();
        assert!(
            matches!(refused, BlockError::ProofOfWork { .. }),
            "{refused}"
        );
        let refused = chain
            .end()
            .push(&chain.params, &block.header, Some(NOW))
            .unwrap_err();
        assert!(
            matches!(refused, BlockError::ProofOfWork { .. }),
            "{refused}"
        );
        assert!(chain.submit(&block, NOW).is_err());
    }

    /// Hole 11: an easier target than the chain's is no way round the work.
    #[test]
    fn a_target_of_ones_own_choice_is_refused() {
        let mut chain = rich_alice(ChainParams {
            difficulty: 8,
            ..params()
        });
        for compact in [
            0x2100_8000,
            0x2100_ffff,
            0x2000_8000,
            0x1f01_0000,
            0,
            0xffff_ffff,
        ] {
            let mut block = with_payment(&chain);
            block.header.target.0 = compact;
            if let Some(target) = block.header.target.expand() {
                while !target.is_met_by(&block.id()) {
                    block.header.nonce += 1;
                }
            }
            let refused = chain.submit(&block, NOW).unwrap_err();
            assert!(matches!(refused, BlockError::Target { .. }), "{refused}");
        }
    }

    /// Hole 12: only the block at height 1 is a first block, whatever it names as its parent.
    #[test]
    fn a_later_block_cannot_pass_for_a_first_one() {
        let mut chain = rich_alice(params());
        let mut block = chain.mine(Vec::new(), BOB);
        block.header.height.0 = 1;
        let refused = chain
            .submit(&seal(block.clone(), &chain.params), NOW)
            .unwrap_err();
        assert!(matches!(refused, BlockError::Height { .. }), "{refused}");

        block.header.height.0 = 2;
        block.header.previous = BlockId::from(chain.params.genesis_id());
        let refused = chain.submit(&seal(block, &chain.params), NOW).unwrap_err();
        assert!(matches!(refused, BlockError::Height { .. }), "{refused}");

        let refused = chain.submit(&chain.mine(Vec::new(), BOB), NOW).unwrap_err();
        assert!(
            matches!(refused, BlockError::TooFewPayments { got: 0, least: 1 }),
            "{refused}"
        );
    }

    /// Hole 13.
    #[test]
    fn an_id_is_32_bytes_and_nothing_else() {
        let id = BlockId([1; 32]);
        let good = Request::GetBlocks(GetBlocks { ids: vec![id] }).to_frame();
        for other in [
            &[0xc0][..],
            &[0xc4, 0],
            &[0xa0],
            &[0xa7, b'g', b'e', b'n', b'e', b's', b'i', b's'],
        ] {
            let bytes = [&good[..3], other].concat();
            let refused = Request::from_frame(&bytes);
            assert!(matches!(refused, Err(WireError::Codec(_))), "{refused:?}");
        }
        assert!(Response::from_frame(&[21, 0xc0], &params()).is_err());
    }

    /// Hole 13: what is sent twice or out of place is the sender's fault, not the block's.
    #[test]
    fn a_block_sent_twice_or_out_of_place_blames_the_sender_and_not_the_block() {
        let mut chain = rich_alice(params());
        let second = with_payment(&chain);
        let verified = trust_signatures(second, &chain.params).unwrap();
        let connection = chain.adopt(&[verified.clone(), verified], NOW);
        assert_eq!(chain.active.len(), 3);
        let (_, error) = connection.rejected.unwrap();
        assert!(matches!(error, BlockError::Link { .. }), "{error}");
        assert_eq!(error.verdict(), Verdict::BodyMismatch);
    }

    /// Hole 14.
    #[test]
    fn block_size_counts_the_reward_for_everybody() {
        for block_size in 1..=4 {
            let params = ChainParams {
                block_size,
                ..params()
            };
            let mut chain = rich_alice(params.clone());
            let pay = |count: u32| -> Vec<Transaction> {
                (0..count)
                    .map(|i| signed(&chain, |payment| payment.sequence = Sequence(u64::from(i))))
                    .collect()
            };
            assert_eq!(
                params.least_payments(chain.end().tip().height.next().unwrap()),
                block_size - 1
            );
            if block_size > 1 {
                let one_less = pay(block_size - 2);
                let refused = submit(&mut chain.clone(), one_less).unwrap_err();
                assert!(
                    matches!(refused, BlockError::TooFewPayments { .. }),
                    "{refused}"
                );
            }
            let enough = pay(block_size - 1);
            submit(&mut chain, enough).unwrap();
        }
    }

    /// Hole 15.
    #[test]
    fn a_block_takes_exactly_its_reward() {
        for difference in [-10_000_000i64, -1, 1, 10_000_000] {
            let mut chain = MemoryChain::new(params());
            let mut first = chain.mine(Vec::new(), BOB);
            let units = first.reward.amount.units().wrapping_add_signed(difference);
            first.reward.amount = Amount::from_units(units);
            let refused = chain.submit(&seal(first, &chain.params), NOW).unwrap_err();
            assert!(matches!(refused, BlockError::Reward { .. }), "{refused}");
        }
    }

    /// Hole 15: a body without a reward cannot even be written down.
    #[test]
    fn a_body_without_a_reward_or_with_two_is_refused() {
        let chain = MemoryChain::new(params());
        let block = chain.mine(Vec::new(), BOB);
        let good = encode(&block);
        let reward = encode(&block.reward);
        let without = &good[..good.len() - reward.len()];
        let missing = [&[0x92], &without[1..]].concat();
        let nil = [without, &[0xc0]].concat();
        let two = [&[0x94], &good[1..], &reward].concat();
        for bytes in [missing, nil, two] {
            assert!(decode::<Block>(&bytes).is_err());
        }
    }

    /// Hole 16: what the rules refuse is no payment, so it cannot make anybody mine.
    #[test]
    fn a_bad_datagram_never_becomes_a_verified_payment() {
        let chain = rich_alice(ChainParams {
            block_size: 1,
            ..params()
        });
        let genesis = chain.params.genesis_id();
        let mut bad = signed(&chain, |_| {});
        bad.amount = Amount::from_units(2);
        let Ok(Datagram::Transaction(read)) = Datagram::from_bytes(&bad.to_datagram()) else {
            panic!("its form is right");
        };
        assert!(read.verify(genesis).is_err());
        let mut garbage = bad.to_datagram();
        garbage.truncate(100);
        assert!(Datagram::from_bytes(&garbage).is_err());
    }

    /// Hole 17.
    #[test]
    fn two_blocks_never_share_a_reward() {
        let chain = rich_alice(params());
        let reward = chain.mine(Vec::new(), BOB).reward;
        let (genesis, height) = (chain.params.genesis_id(), chain.end().tip().height);
        let hash = reward.hash(genesis, height);
        assert_ne!(reward.hash(genesis, height.next().unwrap()), hash);
        assert_ne!(reward.hash(GenesisId([1; 32]), height), hash);
        let mut other = reward;
        other.extra_nonce = 1;
        assert_ne!(other.hash(genesis, height), hash);
    }

    /// Hole 18: size.
    #[test]
    fn a_block_larger_than_the_limit_is_refused() {
        let params = ChainParams {
            max_block_bytes: 1_024,
            ..params()
        };
        let chain = rich_alice(params);
        let pay = |count| {
            (0..count)
                .map(|i| signed(&chain, |p| p.sequence = Sequence(i)))
                .collect()
        };
        submit(&mut chain.clone(), pay(4)).unwrap();
        let refused = submit(&mut chain.clone(), pay(5)).unwrap_err();
        assert!(
            matches!(refused, BlockError::TooLarge { most: 1_024, .. }),
            "{refused}"
        );
        // To the byte.
        let size = chain.mine(pay(5), BOB).size();
        for (max_block_bytes, is_taken) in [(size, true), (size - 1, false)] {
            let params = ChainParams {
                max_block_bytes: max_block_bytes as u32,
                ..chain.params.clone()
            };
            let mut chain = rich_alice(params);
            let pay = |i| signed(&chain, |p| p.sequence = Sequence(i));
            let five = (0..5).map(pay).collect();
            assert_eq!(submit(&mut chain, five).is_ok(), is_taken);
        }
    }

    /// Hole 18: the cost of verifying.
    #[test]
    fn a_block_whose_signatures_weigh_too_much_is_refused() {
        let chain = MemoryChain::new(params());
        let carol = secret(Curve::P521, "carol");
        let one = payment(&chain.params, BOB, 1, 0, Sequence(0)).sign(&carol);
        let block = |count: u64| {
            let many = (0..count).map(|i| Transaction {
                sequence: Sequence(i),
                ..one.clone()
            });
            Arc::new(chain.mine(many.collect(), BOB))
        };
        assert!(CheckedBlock::check(block(1_024), &chain.params).is_ok());
        let refused = CheckedBlock::check(block(1_025), &chain.params);
        assert_eq!(refused, Err(BlockError::TooHeavy { got: 6_150 }));
    }

    /// Hole 18: heights.
    #[test]
    fn a_height_follows_its_parents() {
        for height in [0, 1, 3, u64::MAX] {
            let mut chain = rich_alice(params());
            let mut block = with_payment(&chain);
            block.header.height.0 = height;
            let refused = chain.submit(&seal(block, &chain.params), NOW).unwrap_err();
            assert!(matches!(refused, BlockError::Height { .. }), "{refused}");
        }
    }

    /// Hole 18: timestamps.
    #[test]
    fn a_timestamp_is_later_than_the_parents_and_not_far_ahead_of_the_clock() {
        for (seconds, most) in [(0, 7_200_000), (10, 30_000)] {
            let chain = rich_alice(ChainParams {
                target_block_seconds: seconds,
                ..params()
            });
            let parent = chain.end();
            let least = parent.least_timestamp();
            let at = |timestamp: u64| {
                let pay = vec![chain.pay(&alice(), BOB, 1, 0)];
                let block = mine_on(&parent, &chain.params, pay, BOB, Timestamp(timestamp));
                chain.clone().submit(&block, NOW)
            };
            at(least.0).unwrap();
            let refused = at(least.0 - 1).unwrap_err();
            assert!(matches!(refused, BlockError::TooEarly { .. }), "{refused}");
            at(NOW.0 + most).unwrap();
            let refused = at(NOW.0 + most + 1).unwrap_err();
            assert_eq!(refused.verdict(), Verdict::NotYet, "{refused}");
            assert!(at(u64::MAX).is_err());
        }
    }

    /// Hole 18: a nonce is eight bytes of the header.
    #[test]
    fn a_header_is_96_bytes_and_every_one_of_them_is_hashed() {
        let chain = rich_alice(params());
        let header = chain.mine(Vec::new(), BOB).header;
        let bytes = header.to_bytes();
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = mvb_protocol::block::Header::from_bytes(&changed);
            assert_ne!(changed, header);
            assert_ne!(changed.id(), header.id());
        }
    }

    /// Hole 19.
    #[test]
    fn the_genesis_id_commits_to_every_parameter() {
        let edits: [fn(&mut ChainParams); 7] = [
            |p| p.rules_version += 1,
            |p| p.network_name = "hoops".to_owned(),
            |p| p.difficulty += 1,
            |p| p.block_size += 1,
            |p| p.block_reward = Amount::from_units(1),
            |p| p.target_block_seconds += 1,
            |p| p.max_block_bytes += 1,
        ];
        for (number, edit) in edits.into_iter().enumerate() {
            let mut other = params();
            edit(&mut other);
            assert_ne!(other.genesis_id(), params().genesis_id(), "edit {number}");
            assert_eq!(params().differences(&other).len(), 1, "edit {number}");
        }
    }

    /// Hole 19: a block is a block of one network only.
    #[test]
    fn a_block_of_another_network_is_refused() {
        let mut other = params();
        other.block_size = 1;
        let foreign = MemoryChain::new(other).mine(Vec::new(), BOB);
        let mut chain = MemoryChain::new(params());
        assert!(chain.submit(&foreign, NOW).is_err());
        let mut rerooted = foreign;
        rerooted.header.previous = chain.params.genesis_id().into();
        assert!(chain.submit(&solve(rerooted), NOW).is_err());
    }

    /// Hole 9 once more: the money never leaves the range in which sums are safe.
    #[test]
    fn the_supply_ends_exactly_and_never_overflows() {
        let params = ChainParams {
            block_size: 1,
            block_reward: Amount::from_units(MAX_SUPPLY.units() / 2 + 1_000),
            ..params()
        };
        let mut chain = MemoryChain::new(params);
        let rewards: Vec<u64> = (0..4)
            .map(|_| {
                let block = chain.mine(Vec::new(), BOB);
                chain.submit(&block, NOW).unwrap();
                block.reward.amount.units()
            })
            .collect();
        let max = MAX_SUPPLY.units();
        assert_eq!(rewards, [max / 2 + 1_000, max - max / 2 - 1_000, 0, 0]);
        assert_eq!(chain.supply(), u128::from(max));
    }
}

mod host {
    use super::*;
    use mvb_protocol::wire::{MAX_STATUS_BYTES, MAX_TRANSACTION_BYTES};

    /// What every network carries in one packet: IPv6's least MTU less its and UDP's headers.
    const ONE_PACKET: usize = 1_280 - 40 - 8;

    /// Hole 42.
    #[test]
    fn the_largest_payment_fits_one_packet_whatever_its_key() {
        const { assert!(MAX_STATUS_BYTES <= ONE_PACKET && MAX_TRANSACTION_BYTES <= ONE_PACKET) };
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let mut payment = payment(&params(), BOB, MAX_SUPPLY.units(), 0, Sequence(u64::MAX));
            payment.fee = MAX_SUPPLY;
            payment.timestamp = Timestamp(u64::MAX);
            let bytes = payment.sign(&secret(curve, "alice")).to_datagram();
            assert!(bytes.len() <= MAX_TRANSACTION_BYTES, "{}", bytes.len());
        }
    }
}
