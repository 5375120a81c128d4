//! Benchmarks with counts so small that only their words are of use.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::process::Command;

#[test]
fn every_page_of_the_explorer_is_measured_on_a_generated_chain() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_mvb"));
    bench
        .env_clear()
        .args(["--json", "bench", "explorer", "--blocks=60"])
        .args(["--payments-of-one-address=30", "--requests=2"]);
    let done = bench.output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{told}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["blocks"], 60);
    // Payments made and received, and rewards.
    let entries = report["history_entries"].as_u64().unwrap();
    assert!((30..=80).contains(&entries), "{report}");
    let pages = report["pages"].as_array().unwrap();
    for name in ["overview", "address", "metrics", "API: history"] {
        let page = pages.iter().find(|page| page["page"] == name);
        let page = page.unwrap_or_else(|| panic!("no {name}: {report}"));
        let (p50, p95) = (page["p50_ms"].as_f64(), page["p95_ms"].as_f64());
        assert!(p50 > Some(0.0) && p95 >= p50, "{page}");
        assert!(page["bytes"].as_u64() > Some(100), "{page}");
    }
}
