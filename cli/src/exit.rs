//! How the program ends: its exit codes, the one line an error becomes, and the hook that
//! turns any panic into the end of the process. Only `lib.rs` uses it.

use crate::output::OutputError;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// The exit codes, as `mvb --help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// It failed.
    Failed,
    /// The command line or a setting is wrong.
    Usage,
    /// Ended by a signal before it was done.
    Interrupted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// What was typed cannot be done, whatever the state of the chain.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// A signal ended a command that was asked to wait for something.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {0}")]
pub struct Interrupted(pub String);

/// The exit code an error stands for. Nobody reading the output any more is no error.
pub fn of_error(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if matches!(cause.downcast_ref(), Some(OutputError::Closed)) {
            return Exit::Done;
        }
        if cause.is::<UsageError>() {
            return Exit::Usage;
        }
        if cause.is::<Interrupted>() {
            return Exit::Interrupted;
        }
    }
    Exit::Failed
}

/// An error with its causes in one line. A cause that the line before it already quotes is
/// left out.
pub fn line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.contains(&cause) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&cause);
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What clap says about a wrong command line, in one line, with the usage of the command.
pub fn usage_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let told = text.split("\n\nUsage:").next().unwrap_or(&text);
    let told = told
        .split("\n\nFor more information")
        .next()
        .unwrap_or(told);
    let told = told.trim_start_matches("error: ");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let usage = text
        .split("\n\nUsage: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    match usage {
        Some(usage) => format!("{told}; usage: {usage}"),
        None => format!("{told}; `mvb --help` explains"),
    }
}

/// Ends the process on any panic, in any thread: a node of which one part is dead must not
/// go on as if it lived.
pub fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed").to_owned();
        // Nothing can be done about a stderr that is gone.
        let _ = writeln!(
            io::stderr(),
            "error: mvb has a bug and ends now (thread {name}, {panic}); please report this"
        );
        std::process::abort();
    }));
}
