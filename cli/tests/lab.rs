//! `mvb demo --lab` played by a script: commands on stdin, answers on stdout, and an end with
//! the input; and played by the forms of its page.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

fn play(options: &[&str], commands: &str) -> Output {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_mvb"))
        .env_clear()
        .args(options)
        .args(["demo", "--lab", "--no-http"])
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

/// Asks the lab's page for something, or sends it a form.
fn ask(host: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let (length, origin) = (body.len(), format!("Origin: http://{host}"));
    write!(
        stream,
        "{head} HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n{kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_page_splits_and_heals_the_network_and_the_terminal_tells_of_it() {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_mvb"))
        .env_clear()
        .args(["demo", "--lab"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = lab.stdin.take();
    let mut lines = BufReader::new(lab.stdout.take().unwrap()).lines();
    let page = lines.find_map(|line| {
        let line = line.unwrap();
        let at = line.find("http://")?;
        Some(line[at..].to_owned())
    });
    let page = page.expect("the address of the page");
    let host = page.trim_start_matches("http://").trim_end_matches('/');
    let told = thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    let look = || ask(host, "GET /", "");
    let first = look();
    let (_, token) = first.split_once("name=\"token\" value=\"").unwrap();
    let token = token.split('"').next().unwrap();
    let act = |deed: &str| {
        let answer = ask(host, "POST /do", &format!("token={token}&{deed}"));
        assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    };
    let wait = |what: &str| {
        let found = (0..3_000).any(|_| {
            thread::sleep(Duration::from_millis(20));
            look().contains(what)
        });
        assert!(found, "no {what:?} in {}", look());
    };
    act("do=split&sides=1+3");
    wait("The network is split");
    wait("class=\"rival\"");
    act("do=heal");
    wait("The network is whole");
    act("do=pay&from=alice&to=bob&amount=1000000");
    wait("refused: balance");
    drop(stdin);
    assert!(lab.wait().unwrap().success());
    let told = told.join().unwrap().join("\n");
    assert!(
        told.contains("$ split 1 3") && told.contains("$ heal"),
        "{told}"
    );
}
