//! What a demo leaves behind when it is killed: no program.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Looks, and the time between two, before the test fails.
const LOOKS: u32 = 3_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A demo with its temporary folder.
struct Demo {
    child: Child,
    children: Vec<u32>,
    _folder: TempDir,
}

/// Starts a demo and waits until its first miner is told of; returns that one's page.
fn started() -> (Demo, String) {
    let folder = TempDir::new().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mvb"))
        .env_clear()
        .env("TMPDIR", folder.path())
        .arg("demo")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let page = lines.find_map(|line| {
        let line = line.unwrap();
        let at = line.find("http://127.0.0.1:")?;
        Some(line[at..].to_owned())
    });
    // Whoever writes into a closed pipe ends.
    thread::spawn(move || lines.for_each(drop));
    let children = children(child.id());
    let demo = Demo {
        child,
        children,
        _folder: folder,
    };
    (demo, page.expect("an address to look at"))
}

/// The programs that a program has started.
fn children(parent: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    pids.filter(|pid| state(*pid).is_some_and(|(_, its)| its == parent))
        .collect()
}

/// A process's state and its parent.
fn state(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_demo_that_is_killed_leaves_no_program_behind() {
    let (mut demo, _) = started();
    assert!(!demo.children.is_empty());
    demo.child.kill().unwrap();
    demo.child.wait().unwrap();
    for pid in &demo.children {
        let runs = || state(*pid).is_some_and(|(state, _)| state != 'Z');
        for look in 0.. {
            if !runs() {
                break;
            }
            assert!(look < LOOKS, "process {pid} still runs");
            thread::sleep(BETWEEN_LOOKS);
        }
    }
}

#[test]
fn a_demo_tells_an_address_where_its_first_miner_is_seen() {
    let (_demo, page) = started();
    let address = page.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    let ask = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, ask.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("This node mines on"), "{answer}");
}
