//! The whole examination, of a home on this machine's loopback network.

use super::*;
use mvb_protocol::{
    address::Address,
    block::{Block, Header, Reward},
    chain::ChainStore,
    connect::connect,
    hash::ContentRoot,
    numbers::{Height, Timestamp},
    params::BLOCK_VERSION,
    validate::{HeaderChain, expected_reward, verify_block},
};
use std::{collections::BTreeSet, sync::Arc};

#[test]
fn lengths_of_time_are_told_in_one_unit() {
    for (milliseconds, text) in [
        (999, "0 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h"),
        (172_800_000, "2 days"),
    ] {
        assert_eq!(span(milliseconds), text);
    }
}

#[tokio::test]
async fn everything_is_looked_at_and_every_problem_has_a_remedy() {
    let place = tempfile::tempdir().unwrap();
    let config = Config::load(place.path(), &[], std::iter::empty()).unwrap();
    let findings = examine(&config, Duration::from_millis(10)).await;
    let checks: BTreeSet<&str> = findings.iter().map(|found| found.check.name()).collect();
    for check in [
        "home",
        "disk",
        "keys",
        "lock",
        "chain",
        "ports",
        "broadcast",
        "firewall",
        "peers",
        "clock",
    ] {
        assert!(checks.contains(check), "{check} in {findings:?}");
    }
    for finding in &findings {
        assert_eq!(finding.remedy.is_some(), finding.level != Level::Good);
        assert!(!finding.found.contains('\n'), "{finding:?}");
    }
    // Nothing is left in the home by looking.
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

/// Puts one block into a home's chain, stamped at that moment.
fn mine_at(config: &Config, timestamp: Timestamp) {
    let params = config.chain_params();
    let home = Home::open(&config.home).unwrap();
    let lock = home.lock(crate::home::Role::Miner).unwrap();
    let store = home.open_chain(params, &lock).unwrap().store;
    let chain = store.snapshot().unwrap();
    let headers = HeaderChain::ending_at(&*chain, params, chain.tip().unwrap().id).unwrap();
    let reward = Reward {
        to: Address::default(),
        amount: expected_reward(params, Height(1), &[]).unwrap(),
        extra_nonce: 0,
    };
    let mut block = Block {
        header: Header {
            previous: chain.tip().unwrap().id,
            content_root: ContentRoot::default(),
            version: BLOCK_VERSION,
            target: headers.next_target(params),
            height: Height(1),
            timestamp,
            nonce: 0,
        },
        transactions: Vec::new(),
        reward,
    };
    block.header.content_root = block.content_root(params.genesis_id(), &[]);
    let target = block.header.target.expand().unwrap();
    while !target.is_met_by(&block.header.id()) {
        block.header.nonce += 1;
    }
    let branch = [verify_block(Arc::new(block), params).unwrap()];
    let connection = connect(&*chain, params, &branch, timestamp).unwrap();
    drop(chain);
    store.commit(&connection.changes.unwrap()).unwrap();
}

#[tokio::test]
async fn a_block_from_the_future_in_the_own_chain_shows_a_wrong_clock() {
    let place = tempfile::tempdir().unwrap();
    let set = [("difficulty".to_owned(), "1".to_owned())];
    let config = Config::load(place.path(), &set, std::iter::empty()).unwrap();
    let hour = 3_600_000;
    mine_at(&config, Timestamp(SystemClock.now().0 + hour));
    let findings = examine(&config, Duration::from_millis(10)).await;
    let clock = findings.iter().find(|found| found.check == Check::Clock);
    let clock = clock.unwrap();
    assert_eq!(clock.level, Level::Problem);
    assert!(
        clock
            .found
            .starts_with("block 1 of this home's chain is stamped"),
        "{clock:?}"
    );
}
