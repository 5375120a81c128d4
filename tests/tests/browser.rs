//! The explorer in headless Chromium. Where no browser is installed the test says so and skips;
//! with `MVB_REQUIRE_ALL=1` that is a failure.

use mvb_tests::{browser, isolated, namespaces, scenarios::explorer};
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
