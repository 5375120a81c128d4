//! Where the node's log goes: stderr, at the level the command line asks for, or the
//! dashboard's pane while that has the screen. `RUST_LOG` overrides the level, for those who
//! look for one actor's words.

use crate::args::Global;
use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// The most lines that the pane keeps.
const MOST_LINES: usize = 500;

/// The longest line that it keeps, in characters.
const LONGEST: usize = 400;

/// Where lines go while the dashboard has the screen.
pub static PANE: Pane = Pane {
    lines: Mutex::new(None),
};

/// The newest lines of the log.
pub struct Pane {
    lines: Mutex<Option<VecDeque<String>>>,
}

impl Pane {
    /// Begins to take lines.
    pub fn open(&self) {
        self.with(|lines| *lines = Some(VecDeque::new()));
    }

    /// Takes no more lines, and forgets those it has.
    pub fn close(&self) {
        self.with(|lines| *lines = None);
    }

    /// Adds a line, unless the pane is closed. Says whether it was taken.
    pub fn push(&self, line: &str) -> bool {
        self.with(|lines| {
            let Some(lines) = lines else {
                return false;
            };
            for line in line.lines() {
                // Characters that would move the cursor have no place in a picture.
                let shown = line.chars().filter(|c| !c.is_control());
                lines.push_back(shown.take(LONGEST).collect());
            }
            while lines.len() > MOST_LINES {
                lines.pop_front();
            }
            true
        })
    }

    /// The newest lines, the newest last.
    pub fn tail(&self, most: usize) -> Vec<String> {
        self.with(|lines| {
            let lines = lines.iter().flatten();
            let skipped = lines.clone().count().saturating_sub(most);
            lines.skip(skipped).cloned().collect()
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Option<VecDeque<String>>) -> T) -> T {
        act(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Begins to log. Called once, before any thread is started. Lines that a dashboard will
/// show have no colours.
pub fn begin(global: &Global, dashboard: bool) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, 2) => "debug",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A stderr that is gone must not end a node, so failures to log are not logged.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Destination)
        .with_ansi(io::stderr().is_terminal() && !dashboard)
        .with_target(global.verbose > 1)
        .log_internal_errors(false)
        .init();
}

/// Stderr, or the pane where it is open.
#[derive(Clone, Copy)]
struct Destination;

impl<'a> MakeWriter<'a> for Destination {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for Destination {
    /// An event is written as a whole.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !PANE.push(&String::from_utf8_lossy(bytes)) {
            io::stderr().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pane_keeps_the_newest_lines_without_control_characters() {
        let pane = Pane {
            lines: Mutex::new(None),
        };
        assert!(!pane.push("before it is open"));
        pane.open();
        assert!(pane.push("one\u{1b}[2J\ntwo\n"));
        assert_eq!(pane.tail(9), ["one[2J", "two"]);
        for number in 0..2 * MOST_LINES {
            pane.push(&number.to_string());
        }
        assert_eq!(pane.tail(2), ["998", "999"]);
        assert_eq!(pane.tail(usize::MAX).len(), MOST_LINES);
        pane.push(&"x".repeat(10_000));
        assert_eq!(pane.tail(1)[0].len(), LONGEST);
        pane.close();
        assert!(pane.tail(9).is_empty() && !pane.push("afterwards"));
    }
}
