//! Attacks on real nodes in a network of their own, short; `scenarios` runs the long forms.

use mvb_tests::{
    isolated,
    scenarios::{attacks, bad_peers, long},
};
use std::path::Path;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mvb-under-test"))
}

#[test]
fn a_flood_of_statuses_costs_no_memory_and_honest_blocks_come_through() {
    isolated!(|| {
        attacks::status_flood(program(), 2, 20_000);
    });
}

#[test]
fn a_flood_of_forged_payments_costs_no_memory_and_honest_ones_are_mined() {
    isolated!(|| {
        attacks::payment_flood(program(), 2, 5_000);
    });
}

#[test]
fn slow_clients_keep_no_newcomer_from_the_chain() {
    isolated!(|| {
        attacks::slow_clients(program(), 300, 200, 1);
    });
}

#[test]
fn a_flood_of_connections_keeps_no_newcomer_from_the_chain() {
    isolated!(|| {
        attacks::connection_flood(program(), 200, 1);
    });
}

#[test]
fn a_datagram_reflects_nothing_and_points_at_nobody_but_its_source() {
    isolated!(|| {
        attacks::reflection(program());
    });
}

#[test]
fn one_pinned_peer_is_enough_among_liars() {
    isolated!(|| {
        attacks::eclipse(program(), 100, 2);
    });
}

#[test]
fn beside_one_that_stalls_one_that_trickles_and_one_that_lies_a_good_peers_chain_is_fetched() {
    isolated!(|| {
        bad_peers::cost(program(), 400, 1, |_| {});
    });
}

#[test]
fn a_miner_on_all_cores_greets_whoever_asks() {
    isolated!(|| {
        long::greetings_of_a_busy_miner(program(), 5);
    });
}

#[test]
fn a_run_keeps_its_memory_and_its_descriptors() {
    isolated!(|| {
        long::run(program(), 4);
    });
}
