//! With `--json` stdout holds JSON and nothing else, whatever the command and however it
//! ends. Runs the program in homes of its own; no other node is needed.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// Ports that no other test uses, shared with whoever runs these tests at the same time.
const PORTS: [&str; 2] = [
    "--set=status_broadcast_port=42606",
    "--set=transaction_port=42608",
];

fn mvb(home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvb"));
    command
        .env_clear()
        .arg("--json")
        .arg("--home")
        .arg(home)
        .args(PORTS)
        .arg("--set=difficulty=1")
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The documents on stdout, one a line.
fn documents(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("JSON is UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}")))
        .collect()
}

#[test]
fn every_command_that_ends_prints_one_document() {
    let folder = TempDir::new().unwrap();
    let home = folder.path().join("home");
    let id = "ab".repeat(32);
    for (words, code, field) in [
        (vec!["chain", "info"], 1, "error"),
        (vec!["wallet", "new-address", "alice"], 0, "address"),
        (vec!["wallet", "new-address", "alice"], 1, "error"),
        (vec!["wallet", "new-address", "../x"], 2, "error"),
        (vec!["wallet", "list-addresses"], 0, "addresses"),
        (vec!["wallet", "send", "alice", "1", "alice"], 1, "error"),
        (vec!["wallet", "send", "alice", "0", "alice"], 2, "error"),
        (vec!["wallet", "send", "alice", "-1", "alice"], 2, "error"),
        (vec!["wallet", "send", "alice", "NaN", "alice"], 2, "error"),
        (vec!["wallet", "cancel", &id], 1, "error"),
        (vec!["wallet", "why", &id], 1, "error"),
        (vec!["wallet", "history", "alice"], 0, "entries"),
        (vec!["chain", "info"], 0, "height"),
        (vec!["completions", "bash"], 0, "script"),
        (vec!["chain", "block", "1"], 1, "error"),
        (vec!["chain", "verify"], 1, "error"),
        (vec!["chain", "reset", "next", "--yes"], 1, "error"),
        (vec!["config"], 0, "parameters"),
        (vec!["--set", "nonsense=1", "config"], 2, "error"),
        (vec!["--set", "difficulty=99", "miner"], 2, "error"),
        (vec!["miner", "--reward-to", "nobody"], 1, "error"),
        (vec!["--network", "lna", "wallet", "sync"], 2, "error"),
        (vec!["demo", "--miners", "99"], 2, "error"),
        (vec!["nonsense"], 2, "error"),
    ] {
        let output = mvb(&home, &words).output().unwrap();
        let documents = documents(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {documents:?}");
        assert_eq!(documents.len(), 1, "{words:?}: {documents:?}");
        assert!(
            documents[0].get(field).is_some(),
            "{words:?}: {documents:?}"
        );
        if code != 0 {
            assert_eq!(documents[0]["exit_code"], code, "{words:?}");
        }
    }
}

#[test]
fn a_miner_and_what_follows_it_print_one_document_a_line() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let words = [
        "--set=status_broadcast_interval_seconds=0.1",
        "miner",
        "--threads=1",
    ];
    let mut miner = mvb(&one, &words).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(miner.stdout.take().unwrap()).lines();
    let mut events = Vec::new();
    while !events.iter().any(|event| event == "mined") {
        let line = lines.next().expect("the miner ended").unwrap();
        let document: Value = serde_json::from_str(&line).unwrap();
        events.push(document["event"].as_str().unwrap().to_owned());
    }
    assert_eq!(events[0], "started");

    let sync = mvb(&two, &["wallet", "sync", "--until-synced"]);
    let synced = documents(&{ sync }.output().unwrap());
    assert_eq!(synced.first().unwrap()["event"], "listening");
    assert_eq!(synced.last().unwrap()["event"], "synced");

    let pay = [
        "wallet",
        "send",
        "mining_rewards",
        "1",
        "mining_rewards",
        "--wait",
    ];
    let paid = documents(&mvb(&one, &pay).output().unwrap());
    assert_eq!(paid.last().unwrap()["state"], "confirmed", "{paid:?}");
    miner.kill().unwrap();
    miner.wait().unwrap();

    for (words, field) in [
        (vec!["chain", "block", "1"], "reward"),
        (vec!["chain", "verify"], "ok"),
        (vec!["wallet", "history", "mining_rewards"], "entries"),
    ] {
        let found = documents(&mvb(&one, &words).output().unwrap());
        assert_eq!(found.len(), 1);
        assert!(found[0].get(field).is_some(), "{words:?}: {found:?}");
    }
}
