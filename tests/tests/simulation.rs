//! Whole networks under seeded faults. The `simulate` program runs the same for as many
//! seeds as one likes.

use mvb_tests::simulation::{Kind, run, run_many};
use std::sync::Mutex;

const SEEDS: std::ops::Range<u64> = 0..50;

#[test]
fn networks_under_partitions_and_crashes_agree_and_lose_nothing() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failures = Mutex::new(Vec::new());
    let reports = run_many(SEEDS, Kind::Mixture, threads, false, &|end| {
        if let Err(failure) = end {
            failures.lock().unwrap().push(failure.to_string());
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // Networks in which nothing happened would keep every promise.
    assert!(reports.iter().all(|report| report.height > 0));
    for fault in [
        "power cuts",
        "partitions",
        "partitions in one direction",
        "clocks set back",
        "failing disks",
        "forged blocks",
        "private branches",
        "datagrams lost or doubled",
    ] {
        assert!(
            reports
                .iter()
                .any(|report| report.faults.contains_key(fault)),
            "no {fault}"
        );
    }
    assert!(reports.iter().any(|report| report.deepest_reorg > 1));
    assert!(reports.iter().any(|report| report.confirmed > 10));
}

#[test]
fn a_whole_run_repeats_by_its_seed() {
    for seed in 1_000..1_006 {
        let kind = Kind::Mixture;
        let (first, second) = (run(seed, kind, false), run(seed, kind, false));
        assert_eq!(first.unwrap(), second.unwrap());
    }
}

/// Seeds that once found a fault, each with what it was.
const FOUND: [(u64, Kind, &str); 10] = [
    (
        130,
        Kind::Lone,
        "a block that came a moment too early was asked for again a minute later",
    ),
    (183, Kind::Lone, "the same"),
    (
        300,
        Kind::Eclipse,
        "peers who withheld what they had announced kept a miner from mining",
    ),
    (301, Kind::Eclipse, "the same"),
    (
        400,
        Kind::Payments,
        "tiny blocks: the simulator waited for fewer of them than there were payments",
    ),
    (424, Kind::Payments, "the same"),
    (
        5_146,
        Kind::Storm,
        "a peer was left alone because a block was found here meanwhile",
    ),
    (
        5_167,
        Kind::Storm,
        "the same, with the peer that alone had the best chain",
    ),
    (
        101_585,
        Kind::Mixture,
        "a payment that came back uncovered was announced in vain and never again",
    ),
    (
        103_757,
        Kind::Mixture,
        "the simulator expected more payments of a sender back than a mempool takes",
    ),
];

#[test]
fn seeds_that_once_found_a_fault_find_none() {
    for (seed, kind, fault) in FOUND {
        if let Err(failure) = run(seed, kind, false) {
            panic!("{fault}, again?\n{failure}");
        }
    }
}
