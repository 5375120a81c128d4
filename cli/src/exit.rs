//! How the program ends: its exit codes, the one line an error becomes, and the hook that
//! turns any panic into the end of the process. Only `lib.rs` uses it.

use crate::output::OutputError;
use mvb_node::config::ConfigError;
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
        if cause.is::<UsageError>() || cause.is::<ConfigError>() {
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
    let told = told.replace(" tip: ", "; ");
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
        // What it says must be seen, on a screen that is the user's again.
        crate::dashboard::screen::leave_for_good();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;
    use std::ffi::OsString;

    fn usage_of(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        usage_line(&args::parse(words).unwrap_err())
    }

    #[test]
    fn a_wrong_command_line_is_one_line_that_says_what_to_do() {
        for (typed, told) in [
            (
                "mvb wallet send alice 10",
                "the following required arguments were not provided: <TO>; usage: mvb wallet \
                 send <FROM> <AMOUNT> <TO>",
            ),
            (
                "mvb wallet send alice -1 bob",
                "invalid value '-1' for '<AMOUNT>': got amount \"-1\", expected coins such as 10 \
                 or 0.5 with at most 6 decimals; `mvb --help` explains",
            ),
            (
                "mvb wallet sedn",
                "unrecognized subcommand 'sedn'; a similar subcommand exists: 'send'; usage: mvb \
                 wallet [OPTIONS] <COMMAND>",
            ),
            (
                "mvb miner --threads 0",
                "invalid value '0' for '--threads <N>': expected 1 to 1024; `mvb --help` explains",
            ),
            (
                "mvb --set difficulty config",
                "invalid value 'difficulty' for '--set <KEY=VALUE>': expected KEY=VALUE such as \
                 difficulty=20; `mvb --help` explains",
            ),
            (
                "mvb wallet new-address a --key-size 255",
                "invalid value '255' for '--key-size <BITS>' [possible values: 256, 384, 521]; a \
                 similar value exists: '256'; \
                 `mvb --help` explains",
            ),
            (
                "mvb chain block x",
                "invalid value 'x' for '<HEIGHT|ID>': expected a height such as 12, or 64 hex \
                 digits; `mvb --help` explains",
            ),
        ] {
            assert_eq!(usage_of(typed), told, "{typed}");
        }
    }

    /// Set for the process that is to die of a panic.
    const PANICS: &str = "MVB_TEST_PANICS";

    /// Runs this very test once more, as a process of its own that panics in a thread nobody
    /// waits for.
    #[test]
    fn a_panic_in_any_thread_ends_the_process_with_one_line() {
        if std::env::var_os(PANICS).is_some() {
            end_on_panic();
            std::thread::Builder::new()
                .name("search-0".to_owned())
                .spawn(|| panic!("a bug"))
                .unwrap();
            loop {
                std::thread::park();
            }
        }
        let test = "exit::tests::a_panic_in_any_thread_ends_the_process_with_one_line";
        let ended = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(PANICS, "1")
            .output()
            .unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success());
        assert_eq!(ended.status.code(), None, "ended by the signal of abort");
        assert!(
            stderr.starts_with("error: mvb has a bug and ends now (thread search-0, "),
            "{stderr}"
        );
        assert!(stderr.contains("a bug") && stderr.ends_with("please report this\n"));
    }

    #[test]
    fn an_error_is_one_line_without_repeated_causes() {
        let cause = io::Error::other("disk\non fire");
        let error = anyhow::Error::new(cause).context("cannot save: disk\non fire");
        assert_eq!(line(&error), "cannot save: disk on fire");
        let cause = io::Error::other("on fire");
        let error = anyhow::Error::new(cause).context("cannot save");
        assert_eq!(line(&error), "cannot save: on fire");
    }

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        let of = |error: anyhow::Error| of_error(&error.context("while doing something")).code();
        assert_eq!(of(UsageError("x".into()).into()), 2);
        assert_eq!(of(Interrupted("x".into()).into()), 130);
        assert_eq!(of(OutputError::Closed.into()), 0);
        assert_eq!(of(io::Error::other("x").into()), 1);
        let set = mvb_node::config::parse_set("x").unwrap_err();
        assert_eq!(of(set.into()), 2);
    }
}
