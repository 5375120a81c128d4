//! The explorer and the lab's page in headless Chromium. Where no browser is installed the test says so and skips;
//! with `MVB_REQUIRE_ALL=1` that is a failure.

use mvb_tests::{
    browser, isolated, namespaces,
    scenarios::{explorer, lab_page},
};
use std::path::Path;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mvb-under-test"))
}

#[test]
fn pages_follow_payments_blocks_and_a_fork_without_a_fault_that_a_browser_or_axe_finds() {
    match browser::is_there() {
        Ok(()) => isolated!(|| explorer::everything(program())),
        Err(reason) => namespaces::skip("the explorer in a browser", &reason),
    }
}

#[test]
fn on_the_labs_page_a_person_splits_the_network_sees_the_fork_and_heals_it() {
    match browser::is_there() {
        Ok(()) => isolated!(|| lab_page::split_and_heal(program())),
        Err(reason) => namespaces::skip("the lab's page in a browser", &reason),
    }
}
