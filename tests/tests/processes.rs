//! Scenarios with real processes, in small counts; `scenarios` runs the large ones.

use mvb_tests::{
    isolated,
    scenarios::{
        doctor, endurance, lan,
        lan::Payments::{Conflicting, Covered},
        life, operator, parameters, payments,
    },
};
use std::path::Path;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mvb-under-test"))
}

#[test]
fn two_miners_and_two_wallets_of_one_host_agree_on_a_ledger() {
    isolated!(|| payments::two_miners_and_two_wallets(program()));
}

#[test]
fn five_commands_lead_from_nothing_to_a_confirmed_payment() {
    isolated!(|| {
        payments::five_commands(program());
    });
}

#[test]
fn the_demo_ends_with_a_confirmed_payment_and_leaves_nothing_behind() {
    isolated!(|| {
        payments::demo_once(program());
    });
}

#[test]
fn a_payment_made_offline_is_confirmed_once_a_miner_is_there() {
    isolated!(|| payments::a_payment_made_offline(program()));
}

#[test]
fn two_sends_at_once_reserve_two_sequences() {
    isolated!(|| payments::two_sends_at_once(program()));
}

#[test]
fn three_hosts_of_a_lan_mine_and_pay() {
    isolated!(|| lan::three_hosts(program()));
}

#[test]
fn halves_of_equal_work_agree_on_the_smaller_tip_with_mining_stopped() {
    isolated!(|| {
        lan::divided(program(), Conflicting, 1, 1);
    });
}

#[test]
fn halves_of_unequal_work_agree_on_the_heavier_with_mining_stopped() {
    isolated!(|| {
        lan::divided(program(), Conflicting, 1, 2);
    });
}

#[test]
fn after_halves_of_equal_work_every_covered_payment_is_confirmed_again() {
    isolated!(|| {
        lan::divided(program(), Covered, 2, 2);
    });
}

#[test]
fn after_halves_of_unequal_work_every_covered_payment_is_confirmed_again() {
    isolated!(|| {
        lan::divided(program(), Covered, 3, 1);
    });
}

#[test]
fn a_miner_whose_cable_is_pulled_goes_on_and_is_heard_again() {
    isolated!(|| lan::a_pulled_cable(program()));
}

#[test]
fn a_wallet_lists_and_sends_beside_a_miner_that_never_pauses() {
    isolated!(|| {
        endurance::commands_beside_a_busy_miner(program(), 5);
    });
}

#[test]
fn a_killed_miner_loses_no_block_it_had_announced() {
    isolated!(|| {
        endurance::kill_nine(program(), 4, 1);
    });
}

#[test]
fn every_mistake_gets_one_line_that_says_what_to_do() {
    isolated!(|| {
        let wrong = operator::mistakes(program());
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    });
}

#[test]
fn ctrl_c_and_sigterm_end_everything_within_two_seconds() {
    isolated!(|| {
        life::signals_end_everything(program());
    });
}

#[test]
fn silent_clients_keep_nobody_from_the_block_server() {
    isolated!(|| life::silent_clients(program(), 20));
}

#[test]
fn the_second_miner_of_a_host_takes_the_next_block_server_port() {
    isolated!(|| life::the_second_miner_takes_the_next_port(program()));
}

#[test]
fn a_machine_without_a_network_mines_and_pays_all_the_same() {
    isolated!(|| life::no_network_at_all(program()));
}

#[test]
fn the_parameters_of_the_chain_make_the_chain() {
    isolated!(|| parameters::the_rules_of_the_chain(program()));
}

#[test]
fn the_three_ports_are_where_a_node_speaks_and_listens() {
    isolated!(|| parameters::the_three_ports(program()));
}

#[test]
fn the_two_intervals_say_what_is_repeated_how_often() {
    isolated!(|| parameters::the_two_intervals(program()));
}

#[test]
fn the_doctor_finds_a_running_network_well() {
    isolated!(|| doctor::a_healthy_home(program()));
}

#[test]
fn the_doctor_finds_taken_ports_open_files_and_wrong_settings() {
    isolated!(|| doctor::faults_of_a_machine(program()));
}

#[test]
fn the_doctor_finds_a_full_and_a_read_only_disk() {
    isolated!(|| doctor::faults_of_a_disk(program()));
}

#[test]
fn the_doctor_finds_a_damaged_and_a_missing_chain() {
    isolated!(|| doctor::faults_of_a_chain(program()));
}

#[test]
fn the_doctor_tells_a_network_of_other_parameters() {
    isolated!(|| doctor::a_network_of_other_parameters(program()));
}

#[test]
fn the_doctor_tells_which_interface_a_broadcast_cannot_leave_by() {
    isolated!(|| doctor::a_lan(program()));
}
