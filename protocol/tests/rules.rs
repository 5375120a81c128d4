//! What an attacker or a bad clock would try against the rules, beyond the original's holes.

#![allow(clippy::unwrap_used)] // A test may, its helpers too.

#[path = "support/chain.rs"]
mod chain;

use chain::{MemoryChain, address_of, mine_on, payment, secret, trust_signatures};
use mvb_protocol::{
    address::Address,
    amount::{Amount, MAX_SUPPLY},
    block::Block,
    chain::{Account, ChainSnapshot, HistoryKind, StoreError, Tip},
    codec::{CodecError, decode, encode},
    hash::BlockId,
    keys::{Curve, PublicKey, SecretKey},
    ledger::{Ledger, LedgerError},
    locator::{MAX_LOCATOR, fork_point, locator},
    numbers::{Height, Sequence, Timestamp},
    params::ChainParams,
    retarget::{RetargetPoint, next_target},
    target::{CompactTarget, Target, Work},
    transaction::{Transaction, Verified},
    validate::{BlockError, HeaderChain, Verdict},
    wire::{MAX_TEXT_BYTES, Refused, Response},
};

const NOW: Timestamp = Timestamp(10_000_000);
const BOB: Address = Address([0xb0; 32]);

fn params() -> ChainParams {
    ChainParams {
        network_name: "rules".to_owned(),
        difficulty: 1,
        block_size: 1,
        ..ChainParams::default()
    }
}

fn alice() -> SecretKey {
    secret(Curve::P256, "alice")
}

/// A chain of `count` blocks without payments, all rewards to alice.
fn chain_of(count: u64, params: ChainParams) -> MemoryChain {
    let mut chain = MemoryChain::new(params);
    for _ in 0..count {
        let block = chain.mine(Vec::new(), address_of(&alice()));
        chain.submit(&block, NOW).unwrap();
    }
    chain
}

/// A branch of `count` blocks on the block at `height`, its rewards to `to`.
fn branch(chain: &MemoryChain, height: u64, count: u64, to: Address) -> Vec<Block> {
    let at = chain.active_id(Height(height)).unwrap().unwrap();
    let mut end = HeaderChain::ending_at(chain, &chain.params, at).unwrap();
    (0..count)
        .map(|_| {
            let block = mine_on(&end, &chain.params, Vec::new(), to, end.least_timestamp());
            end.push(&chain.params, &block.header, None).unwrap();
            block
        })
        .collect()
}

fn verified(
    chain: &MemoryChain,
    blocks: &[Block],
) -> Vec<Verified<mvb_protocol::validate::CheckedBlock>> {
    let trust = |block: &Block| trust_signatures(block.clone(), &chain.params).unwrap();
    blocks.iter().map(trust).collect()
}

#[test]
fn a_stored_block_is_not_judged_against_the_clock_again() {
    let mut chain = chain_of(1, params());
    // Two blocks whose timestamps are fine now, and too far ahead for a clock set back to 1970.
    let mut end = chain.end();
    let mut old = Vec::new();
    for _ in 0..2 {
        let timestamp = end.least_timestamp().max(NOW);
        let block = mine_on(&end, &chain.params, Vec::new(), BOB, timestamp);
        end.push(&chain.params, &block.header, None).unwrap();
        old.push(block);
    }
    let mut back = verified(&chain, &old);
    chain.adopt(&back, NOW).changes.unwrap();
    let longer = verified(&chain, &branch(&chain, 1, 3, BOB));
    chain.adopt(&longer, NOW).changes.unwrap();

    // The way back over the stored blocks stays open; only what is new has to wait.
    for _ in 0..2 {
        let block = mine_on(&end, &chain.params, Vec::new(), BOB, end.least_timestamp());
        end.push(&chain.params, &block.header, None).unwrap();
        back.extend(verified(&chain, &[block]));
    }
    let refused = chain.clone().adopt(&back, Timestamp(0)).rejected.unwrap();
    assert_eq!(refused.0, back[2].id(), "a stored block was refused");
    assert_eq!(refused.1.verdict(), Verdict::NotYet);
    assert_eq!(chain.adopt(&back, NOW).rejected, None);
}

#[test]
fn blocks_that_are_active_already_are_passed_over() {
    let mut chain = chain_of(2, params());
    let mut blocks: Vec<Block> = (1..=2)
        .map(|height| {
            let id = chain.active_id(Height(height)).unwrap().unwrap();
            chain.block(&id).unwrap().unwrap()
        })
        .collect();
    let known = verified(&chain, &blocks);
    assert_eq!(chain.adopt(&known, NOW).changes, None);
    blocks.push(chain.mine(Vec::new(), BOB));
    let all = verified(&chain, &blocks);
    let changes = chain.adopt(&all, NOW).changes.unwrap();
    assert_eq!((changes.disconnect.len(), changes.connect.len()), (0, 1));
}

#[test]
fn a_branch_whose_last_block_is_invalid_leaves_the_tip_unless_the_rest_is_better() {
    for (count, adopted) in [(2, false), (3, true)] {
        let mut chain = chain_of(2, params());
        let before = chain.clone();
        let mut blocks = branch(&chain, 0, count + 1, BOB);
        let last = blocks.last_mut().unwrap();
        last.reward.amount = Amount::from_units(1);
        *last = chain::seal(last.clone(), &chain.params);
        let wrong = last.id();
        let work = verified(&chain, &blocks[..count as usize]);
        let better = {
            let mut twin = chain.clone();
            twin.adopt(&work, NOW).changes.is_some()
        };
        let all = verified(&chain, &blocks);
        let connection = chain.adopt(&all, NOW);
        assert_eq!(connection.rejected.unwrap().0, wrong);
        assert_eq!(connection.changes.is_some(), better);
        assert!(!adopted || better, "three blocks are more work than two");
        if !better {
            assert!(chain.state() == before.state());
        }
    }
}

#[test]
fn at_equal_work_the_smaller_id_wins_whenever_it_is_heard() {
    let chain = chain_of(1, params());
    let ours = branch(&chain, 1, 1, address_of(&alice())).remove(0);
    let theirs = branch(&chain, 1, 1, BOB).remove(0);
    let smaller = ours.id().min(theirs.id());
    for order in [[&ours, &theirs], [&theirs, &ours]] {
        let mut chain = chain.clone();
        for block in order {
            let block = verified(&chain, std::slice::from_ref(block));
            chain.adopt(&block, NOW);
        }
        assert_eq!(chain.end().tip().id, smaller);
    }
}

#[test]
fn an_unknown_parent_is_no_fault() {
    let mut chain = chain_of(1, params());
    let orphans = verified(&chain, &branch(&chain_of(3, params()), 3, 1, BOB));
    let (_, error) = chain.adopt(&orphans, NOW).rejected.unwrap();
    assert!(matches!(error, BlockError::UnknownParent { .. }));
    assert_eq!(error.verdict(), Verdict::NotYet);
}

/// Payments at the ends of every range, past the stateless checks, which tests may skip.
#[test]
fn no_sum_at_the_extremes_panics_or_wraps() {
    let chain = MemoryChain::new(params());
    let me = address_of(&alice());
    for units in [1, MAX_SUPPLY.units(), u64::MAX] {
        for fee in [0, 1, u64::MAX] {
            for sequence in [0, u64::MAX] {
                let account = Account {
                    balance: Amount::from_units(u64::MAX),
                    sequence: Sequence(sequence),
                };
                let mut rich = chain.clone();
                rich.accounts.insert(me, account);
                rich.accounts.insert(BOB, account);
                for to in [me, BOB] {
                    let tx =
                        payment(&chain.params, to, units, fee, Sequence(sequence)).sign(&alice());
                    let mut ledger = Ledger::new(&rich);
                    let result = ledger.apply_transaction(Verified::for_tests(&tx)).unwrap();
                    if sequence == u64::MAX || to == BOB || tx.total().is_err() {
                        assert!(result.is_err(), "{units} {fee} {sequence}");
                        assert_eq!(ledger.account(&me).unwrap(), account, "half a payment");
                    }
                }
            }
        }
    }
}

#[test]
fn undoing_a_block_that_was_not_the_last_says_that_the_store_is_damaged() {
    let mut chain = chain_of(1, params());
    let paid = chain.mine(vec![chain.pay(&alice(), BOB, 1, 0)], BOB);
    chain.submit(&paid, NOW).unwrap();
    let mut ledger = Ledger::new(&chain);
    ledger.undo_block(&paid).unwrap();
    assert_eq!(ledger.account(&BOB).unwrap(), Account::default());
    let twice = ledger.undo_block(&paid);
    assert!(
        matches!(twice, Err(StoreError::Damaged { .. })),
        "{twice:?}"
    );
    let mut other_sequence = chain.clone();
    let account = other_sequence
        .accounts
        .get_mut(&address_of(&alice()))
        .unwrap();
    account.sequence = Sequence(9);
    let undone = Ledger::new(&other_sequence).undo_block(&paid);
    assert!(
        matches!(undone, Err(StoreError::Damaged { .. })),
        "{undone:?}"
    );
}

#[test]
fn a_payment_that_does_not_fit_changes_nothing() {
    let chain = chain_of(1, params());
    let mut ledger = Ledger::new(&chain);
    let mut apply = |tx: Transaction| ledger.apply_transaction(Verified::for_tests(&tx)).unwrap();
    let over = chain.pay(&alice(), BOB, 10_000_001, 0);
    assert!(matches!(apply(over), Err(LedgerError::Balance { .. })));
    let gap = payment(&chain.params, BOB, 1, 0, Sequence(1)).sign(&alice());
    assert!(matches!(apply(gap), Err(LedgerError::Sequence { .. })));
    assert!(ledger.into_accounts().is_empty());
}

#[test]
fn the_first_retarget_is_at_height_62_on_every_way_to_it() {
    let params = ChainParams {
        target_block_seconds: 5,
        ..params()
    };
    let easiest = params.easiest_target();
    let chain = chain_of(62, params.clone());
    let mut walked = HeaderChain::genesis(&params);
    for height in 0..=62 {
        let id = chain.active_id(Height(height)).unwrap().unwrap();
        let read = HeaderChain::ending_at(&chain, &params, id).unwrap();
        if height > 0 {
            let header = chain.block(&id).unwrap().unwrap().header;
            walked.push(&params, &header, None).unwrap();
        }
        assert_eq!(walked, read, "height {height}");
        assert_eq!(
            read.next_target(&params) == easiest,
            height <= 60,
            "after height {height}"
        );
    }
}

/// FAULTS' gamed timestamps: whatever the last 61 say, one step stays within fixed bounds.
#[test]
fn timestamps_move_the_target_by_at_most_six_and_a_tenth() {
    let params = ChainParams {
        target_block_seconds: 10,
        difficulty: 1,
        ..params()
    };
    let target = Target::from_difficulty(30).to_compact();
    let work = |compact: CompactTarget| compact.expand().unwrap().work().as_f64();
    for pattern in [
        [1, 1],
        [u64::MAX / 200, 1],
        [1, u64::MAX / 200],
        [60_000, 60_000],
        [30_000, 1],
    ] {
        let mut time = 0;
        let recent: Vec<RetargetPoint> = (0..61)
            .map(|i| {
                time += pattern[i % 2];
                RetargetPoint {
                    timestamp: Timestamp(time),
                    target,
                }
            })
            .collect();
        let ratio = work(next_target(&params, &recent)) / work(target);
        assert!((1.0 / 6.01..=10.2).contains(&ratio), "{pattern:?}: {ratio}");
    }
}

#[test]
fn the_last_timestamp_has_no_successor() {
    let params = params();
    let mut end = HeaderChain::genesis(&params);
    let last = mine_on(&end, &params, Vec::new(), BOB, Timestamp(u64::MAX));
    end.push(&params, &last.header, None).unwrap();
    let next = mine_on(&end, &params, Vec::new(), BOB, Timestamp(u64::MAX));
    let refused = end.push(&params, &next.header, None);
    assert!(
        matches!(refused, Err(BlockError::TooEarly { .. })),
        "{refused:?}"
    );
}

#[test]
fn work_never_overflows() {
    let most = Work::from_be_bytes([0xff; 32]);
    assert_eq!(most.saturating_add(most), most);
    let tip = |work, id| Tip {
        id: BlockId([id; 32]),
        height: Height(1),
        work,
    };
    assert!(tip(most, 1).is_better_than(&tip(most, 2)));
    assert!(!tip(most, 1).is_better_than(&tip(most, 1)));
    assert!(tip(most, 9).is_better_than(&tip(Work::ZERO, 0)));
}

#[test]
fn a_locator_is_short_and_finds_the_last_common_block() {
    let chain = chain_of(300, params());
    let ids = locator(&chain).unwrap();
    assert!(ids.len() < 30 && ids.len() <= MAX_LOCATOR, "{}", ids.len());
    assert_eq!(ids[0], chain.end().tip().id);
    assert_eq!(ids.last(), Some(&chain.params.genesis_id().into()));
    assert_eq!(fork_point(&chain, &ids).unwrap(), Height(300));
    let mut fork = chain.clone();
    let longer = verified(&fork, &branch(&fork, 290, 40, BOB));
    fork.adopt(&longer, NOW).changes.unwrap();
    let common = fork_point(&chain, &locator(&fork).unwrap()).unwrap().0;
    assert!((250..=290).contains(&common), "{common}");
    assert_eq!(fork_point(&chain, &[]).unwrap(), Height(0));
    assert_eq!(
        fork_point(&chain, &[BlockId([9; 32]); 64]).unwrap(),
        Height(0)
    );
}

/// A store that does not keep blocks encoded gives what [`encode`] makes of them.
#[test]
fn a_stored_block_is_passed_on_as_it_is_encoded() {
    let chain = chain_of(1, params());
    let id = chain.end().tip().id;
    let block = chain.block(&id).unwrap().unwrap();
    assert_eq!(chain.encoded_block(&id), Ok(Some(encode(&block))));
    assert_eq!(chain.encoded_block(&BlockId([9; 32])), Ok(None));
}

#[test]
fn a_decode_error_does_not_quote_the_whole_input() {
    let mut bytes = vec![0xdb, 0, 1, 0, 0];
    bytes.extend([b'x'; 1 << 16]);
    let Err(CodecError::Malformed { reason }) = decode::<PublicKey>(&bytes) else {
        panic!("text where a key must be was accepted");
    };
    assert!(
        reason.contains("xxx"),
        "the decoder no longer quotes: {reason}"
    );
    assert!(reason.len() <= 4 * 160, "{} bytes", reason.len());
}

/// A damaged store named a kind of history that a terminal would have obeyed.
#[test]
fn a_decode_error_shows_no_control_characters() {
    let Err(CodecError::Malformed { reason }) = decode::<HistoryKind>(b"\xa6a\x1b[31m") else {
        panic!("a kind of history that there is not was accepted");
    };
    assert!(reason.contains("a\u{fffd}[31m"), "{reason:?}");
    assert!(!reason.chars().any(char::is_control), "{reason:?}");
}

#[test]
fn a_refusal_is_made_to_fit_and_shows_no_control_characters() {
    let id = MemoryChain::new(params()).pay(&alice(), BOB, 1, 0).id();
    for reason in [
        "ok",
        &"ü".repeat(150),
        "\u{1b}[31mred\r\n",
        &"a".repeat(199).replace("aa", "aü"),
    ] {
        let refused = Refused::new(id, reason);
        assert!(refused.reason.len() <= MAX_TEXT_BYTES);
        let frame = Response::Refused(refused.clone()).to_frame();
        assert_eq!(
            Response::from_frame(&frame, &params()),
            Ok(Response::Refused(refused))
        );
    }
}
