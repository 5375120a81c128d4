//! Crashes and failing disks, in small counts; `scenarios` runs the large ones.

use mvb_tests::{
    isolated,
    scenarios::{crashes, disk, operator},
};
use std::path::Path;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mvb-under-test"))
}

#[test]
fn a_creation_that_is_killed_leaves_a_home_that_starts_and_keys_that_are_whole() {
    isolated!(|| {
        crashes::during_first_creation(program(), 4, 1);
    });
}

#[test]
fn a_start_that_is_killed_again_and_again_loses_nothing() {
    isolated!(|| {
        crashes::during_recovery(program(), 10, 1);
    });
}

#[test]
fn an_acknowledged_payment_outlives_the_kill_of_whoever_sent_it() {
    isolated!(|| {
        crashes::during_payments(program(), 20, 1);
    });
}

#[test]
fn a_full_disk_ends_a_node_in_words_and_room_lets_it_go_on() {
    isolated!(|| {
        disk::full(program(), [8, 28, 48, 72]);
    });
}

#[test]
fn a_failing_disk_ends_a_node_in_words_and_the_chain_stands() {
    isolated!(|| {
        disk::failing(program());
    });
}

#[test]
fn a_home_removed_under_a_node_is_told_and_never_begun_anew() {
    isolated!(|| operator::a_removed_home(program()));
}
