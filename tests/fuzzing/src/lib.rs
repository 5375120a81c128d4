//! Fuzz targets: one plain function for each thing that is read from outside, which panics
//! if a property does not hold. Nothing read panics; what is accepted is within every limit
//! and is written again as it was read; what is refused is refused in one line of words.
//!
//! The targets in `fuzz/` hand them what libFuzzer invents; [`harness`] runs them on stable
//! Rust with a seeded mutator, which `cargo test` does for a moment and the `fuzz` program
//! for as long as one likes. No target touches the network or a file outside a folder of
//! its own.

mod bytes;
mod files;
pub mod harness;
mod http;
mod ledger;
mod mutate;
mod records;
mod text;
mod wire;

pub use mutate::Mutator;

use std::fmt::Display;

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was read.
    Accepted,
    /// It was refused with a reason.
    Refused,
}

/// A valid input, or one at or just beyond a limit.
pub struct Seed {
    /// The input.
    pub bytes: Vec<u8>,
    /// What must become of it.
    pub verdict: Verdict,
}

/// One target.
pub struct Target {
    /// Its name, also that of its corpus.
    pub name: &'static str,
    /// Tries one input; panics if a property does not hold.
    pub run: fn(&[u8]) -> Verdict,
    /// Where its inputs begin: both sides of every limit, with what must become of them.
    pub seeds: fn() -> Vec<Seed>,
    /// What makes its inputs likelier to be understood.
    pub tokens: &'static [&'static [u8]],
    /// How many inputs a short run tries; fewer where one costs much.
    pub few: u64,
}

/// Every target.
pub static TARGETS: &[Target] = &[
    wire::DATAGRAM,
    wire::HELLO,
    wire::REQUEST,
    wire::RESPONSE,
    wire::FRAMES,
    ledger::TRANSACTION,
    ledger::BLOCK,
    ledger::HEADER,
    ledger::TARGET,
    ledger::PARAMS,
    ledger::SIGNATURE,
    text::ADDRESS,
    text::AMOUNT,
    text::NAMES,
    text::CONFIG,
    files::KEY_FILE,
    files::CHAIN,
    files::RESIDENT,
    files::LOCK,
    files::STORE_FILE,
    records::STORE_RECORDS,
    records::OUTBOX,
    http::HTTP,
];

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Tries an input on the target of a name.
///
/// # Panics
/// When a property does not hold, or there is no such target.
pub fn run(name: &str, input: &[u8]) -> Verdict {
    let target = target(name).expect("libFuzzer's targets have the names of these");
    (target.run)(input)
}

/// The input was refused: in words, in one line that a terminal can show.
fn refused(reason: impl Display) -> Verdict {
    let reason = reason.to_string();
    assert!(!reason.is_empty(), "refused without a reason");
    assert!(
        !reason.chars().any(char::is_control),
        "a reason with control characters: {reason:?}"
    );
    Verdict::Refused
}

fn accepted(bytes: impl Into<Vec<u8>>) -> Seed {
    Seed {
        bytes: bytes.into(),
        verdict: Verdict::Accepted,
    }
}

fn beyond(bytes: impl Into<Vec<u8>>) -> Seed {
    Seed {
        bytes: bytes.into(),
        verdict: Verdict::Refused,
    }
}
