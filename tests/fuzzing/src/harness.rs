//! Runs targets on stable Rust: their seeds, their corpus, then mutated inputs by a seed.
//! A fault ends the run with the input that shows it.

use crate::{Mutator, Target, Verdict};
use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Inputs tried.
    pub executions: u64,
    /// Of these, how many were read rather than refused.
    pub accepted: u64,
}

/// An input on which a property does not hold.
#[derive(Debug)]
pub struct Fault {
    /// The target.
    pub target: &'static str,
    /// The input.
    pub input: Vec<u8>,
    /// Where it came from.
    pub origin: String,
}

/// Where the committed corpora are.
pub fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// The committed inputs of a target with their names, in the order of these.
///
/// # Errors
/// When a file cannot be read.
pub fn corpus(target: &Target) -> io::Result<Vec<(String, Vec<u8>)>> {
    let folder = corpus_folder().join(target.name);
    let mut inputs = Vec::new();
    if !folder.exists() {
        return Ok(inputs);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        inputs.push((name.into_owned(), fs::read(&path)?));
    }
    inputs.sort();
    Ok(inputs)
}

/// Writes a target's seeds into a folder of its name, but for those that are only long.
///
/// # Errors
/// When the folder cannot be written.
pub fn export(target: &Target, folder: &Path) -> io::Result<()> {
    const MOST_BYTES: usize = 4 << 10;
    let folder = folder.join(target.name);
    fs::create_dir_all(&folder)?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        if seed.bytes.len() <= MOST_BYTES {
            fs::write(folder.join(format!("seed-{number:03}")), &seed.bytes)?;
        }
    }
    Ok(())
}

/// Tries seeds, corpus and so many mutated inputs. `progress` hears the count now and then.
///
/// # Errors
/// The first input on which a property does not hold.
///
/// # Panics
/// When the corpus cannot be read.
pub fn run(
    target: &'static Target,
    seed: u64,
    executions: u64,
    progress: &mut dyn FnMut(Report),
) -> Result<Report, Fault> {
    let mut report = Report::default();
    let mut pool = Vec::new();
    for (number, seed) in (target.seeds)().into_iter().enumerate() {
        let got = try_one(target, &seed.bytes, || format!("seed {number}"))?;
        if got != seed.verdict {
            return Err(Fault {
                target: target.name,
                origin: format!("seed {number}: {got:?}, expected {:?}", seed.verdict),
                input: seed.bytes,
            });
        }
        report.count(got);
        pool.push(seed.bytes);
    }
    for (name, input) in corpus(target).expect("the corpus is part of the repository") {
        report.count(try_one(target, &input, || format!("corpus {name}"))?);
        pool.push(input);
    }
    let mut mutator = Mutator::new(seed);
    for number in 0..executions {
        let input = mutator.next(&pool, target.tokens);
        let origin = || format!("--seed {seed}, input {number}");
        report.count(try_one(target, &input, origin)?);
        if report.executions.is_multiple_of(1 << 16) {
            progress(report);
        }
    }
    Ok(report)
}

impl Report {
    fn count(&mut self, verdict: Verdict) {
        self.executions += 1;
        self.accepted += u64::from(verdict == Verdict::Accepted);
    }
}

fn try_one(
    target: &'static Target,
    input: &[u8],
    origin: impl FnOnce() -> String,
) -> Result<Verdict, Fault> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|_| Fault {
        target: target.name,
        input: input.to_vec(),
        origin: origin(),
    })
}
