//! `mvb demo --lab` played by a script: commands on stdin, answers on stdout, and an end with
//! the input.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

fn play(options: &[&str], commands: &str) -> Output {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_mvb"))
        .env_clear()
        .args(options)
        .args(["demo", "--lab"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = lab.stdin.take().unwrap();
    stdin.write_all(commands.as_bytes()).unwrap();
    drop(stdin);
    lab.wait_with_output().unwrap()
}

#[test]
fn a_script_splits_and_heals_the_network_and_ends_with_its_input() {
    let done = play(&[], "help\nsplit 2 2\nwait 1\nheal\nstatus\n");
    let told = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0), "{told}");
    for expected in [
        "$ split 2 2",
        "├─ 1 ",
        "m1 m2 at height",
        "m3 m4 wallet at height",
        "owns",
        "gave up",
        "all agree: m1 m2 m3 m4 wallet at height",
        "alice",
    ] {
        assert!(told.contains(expected), "{expected:?} in\n{told}");
    }
}

#[test]
fn what_cannot_be_done_is_told_and_the_lab_goes_on() {
    let commands =
        "fly\nsplit 3 3\npay eve bob 1\npay alice bob 1\npower 9 50\npower 1 90\nquit\nstatus\n";
    let done = play(&[], commands);
    let told = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0), "{told}");
    for expected in [
        "expected a command",
        "got sides of 6 miners",
        "nobody is called",
        "refused: balance 0",
        "nobody is called \"m9\"",
        "m1 90, m2 3, m3 3, m4 3",
    ] {
        let flat = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(expected), "{expected:?} in\n{told}");
    }
    assert!(!told.contains("$ status"), "{told}");
}

#[test]
fn with_json_every_answer_is_a_document() {
    let done = play(&["--json"], "status\nattack\nquit\n");
    let told = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0), "{told}");
    for line in told.lines() {
        let document: Value = serde_json::from_str(line).unwrap();
        let event = document["event"].as_str().unwrap();
        assert!(["fact", "line", "command"].contains(&event), "{line}");
        assert!(document["text"].is_string(), "{line}");
    }
}
