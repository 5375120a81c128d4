//! `mvb miner --dashboard` on a terminal of the test's own: it takes the screen, follows its
//! size, and leaves everything as it was, however it is ended.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/pty.rs"]
mod pty;

use pty::{GIVES_BACK, Pty, TAKES};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

fn miner(home: &Path) -> Command {
    // Without a session of its own it would ask the terminal of whoever runs the tests for its
    // size.
    let mut command = Command::new("setsid");
    command
        .arg(env!("CARGO_BIN_EXE_mvb"))
        .env_clear()
        .arg("--home")
        .arg(home)
        // Ports that no other test uses.
        .arg("--set=status_broadcast_port=43606")
        .arg("--set=transaction_port=43608")
        .arg("--set=status_broadcast_interval_seconds=0.1")
        .arg("--set=difficulty=1")
        .args(["miner", "--threads=1", "--dashboard"]);
    command
}

/// A dashboard that has drawn what a miner shows.
fn running(home: &TempDir) -> (Pty, Child) {
    let pty = Pty::open(80, 24);
    let child = pty.start(&mut miner(&home.path().join("home")));
    pty.wait("screen", |written| written.contains(TAKES));
    pty.wait("picture", |written| written.contains("mempool"));
    (pty, child)
}

#[test]
fn keys_and_signals_end_it_and_leave_the_terminal_clean() {
    for end in ["q", "\x03", "TERM", "HUP"] {
        let home = TempDir::new().unwrap();
        let (mut pty, child) = running(&home);
        assert!(!pty.written().contains(GIVES_BACK));
        if end.len() == 1 {
            pty.press(end);
        } else {
            let pid = child.id().to_string();
            let kill = ["-c", "kill -\"$0\" \"$1\"", end, &pid];
            assert!(Command::new("sh").args(kill).status().unwrap().success());
        }
        let status = pty.finish(child);
        assert_eq!(status.code(), Some(0), "{end:?}: {}", pty.tail());
        pty.clean();
    }
}

#[test]
fn it_follows_the_size_of_its_terminal() {
    let home = TempDir::new().unwrap();
    let (mut pty, child) = running(&home);
    pty.resize(30, 6);
    // In so little room there is no pane, but a line that says how it ends.
    let drawn = pty.written().len();
    pty.wait("small picture", |written| {
        written[drawn..].contains("waiting")
    });
    pty.resize(120, 40);
    let drawn = pty.written().len();
    pty.wait("large picture", |written| {
        written[drawn..].contains("heard")
    });
    pty.press("q");
    assert_eq!(pty.finish(child).code(), Some(0));
    pty.clean();
}

#[test]
fn without_a_terminal_it_says_what_to_do_and_makes_nothing() {
    let folder = TempDir::new().unwrap();
    let home = folder.path().join("home");
    let done = miner(&home).stdin(Stdio::null()).output().unwrap();
    assert_eq!(done.status.code(), Some(2));
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(
        told.starts_with("error: --dashboard needs a terminal"),
        "{told}"
    );
    assert!(!home.exists());
}
