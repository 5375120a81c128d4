//! Benchmarks with counts so small that only their words are of use.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

/// What a benchmark says, which must end well.
fn report_of(bench: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvb"));
    command.env_clear().args(["--json", "bench"]);
    let done = command.args(bench.split(' ')).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{told}");
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn every_page_of_the_explorer_is_measured_on_a_generated_chain() {
    let report = report_of("explorer --blocks=60 --payments-of-one-address=30 --requests=2");
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

#[cfg(unix)]
#[test]
fn a_synchronisation_is_measured_in_turns_with_the_verification_alone() {
    let report = report_of("sync --blocks=60 --transactions-per-block=3");
    assert_eq!(report["blocks"], 60);
    assert!(report["turns"].as_u64() >= Some(1), "{report}");
    let figure = |name: &str| report[name].as_f64().unwrap();
    let ratio = figure("transactions_per_second") / figure("verifications_per_second");
    let told = figure("ratio_to_verification");
    assert!(
        told > 0.0 && (told / ratio - 1.0).abs() < 1e-9,
        "{ratio} {report}"
    );
}

#[cfg(unix)]
#[test]
fn a_measurement_that_is_interrupted_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_mvb"));
    bench
        .env_clear()
        .env("TMPDIR", folder.path())
        .args(["bench", "sync", "--blocks=1000000"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut bench = bench.spawn().unwrap();
    let mut told = BufReader::new(bench.stderr.take().unwrap()).lines();
    let first = told.next().unwrap().unwrap();
    assert!(first.starts_with("making a chain of 1,000,000 blocks"));
    let pid = rustix::process::Pid::from_child(&bench);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(130));
    let last = told.next().unwrap().unwrap();
    assert!(last.contains("cleaned up"), "{last}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
