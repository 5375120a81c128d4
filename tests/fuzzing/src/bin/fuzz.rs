//! The fuzz targets at length, on stable Rust:
//!
//! ```text
//! cargo run --release -p mvb-fuzzing --bin fuzz -- --executions 1000000 [--seed S] [TARGET…]
//! cargo run --release -p mvb-fuzzing --bin fuzz -- --input FILE TARGET
//! cargo run --release -p mvb-fuzzing --bin fuzz -- --export FOLDER [TARGET…]
//! ```
//!
//! The last writes the seeds into files, for libFuzzer to begin with.
//!
//! A fault ends it non-zero, with the input in a file of the working folder.

use mvb_fuzzing::{TARGETS, Target, harness, target};
use std::{fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut executions, mut seed, mut input, mut export) = (100_000, 0, None, None);
    let mut chosen: Vec<&'static Target> = Vec::new();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("a value follows");
        match argument.as_str() {
            "--executions" => executions = value().parse().expect("a number"),
            "--seed" => seed = value().parse().expect("a number"),
            "--input" => input = Some(value()),
            "--export" => export = Some(value()),
            name => {
                chosen.push(target(name).unwrap_or_else(|| panic!("no target is called {name}")))
            }
        }
    }
    if let Some(file) = input {
        let bytes = fs::read(&file).expect("the input can be read");
        for target in chosen {
            println!("{}: {:?}", target.name, (target.run)(&bytes));
        }
        return ExitCode::SUCCESS;
    }
    if chosen.is_empty() {
        chosen = TARGETS.iter().collect();
    }
    if let Some(folder) = export {
        for target in chosen {
            harness::export(target, Path::new(&folder)).expect("the folder can be written");
        }
        return ExitCode::SUCCESS;
    }
    for target in chosen {
        let mut progress = |report: harness::Report| {
            if report.executions.is_multiple_of(1 << 20) {
                eprintln!("{}: {} executions", target.name, report.executions);
            }
        };
        match harness::run(target, seed, executions, &mut progress) {
            Ok(report) => println!(
                "{:<15} {:>10} executions, {:>10} accepted: nothing found",
                target.name, report.executions, report.accepted
            ),
            Err(fault) => {
                let file = format!("fault-{}", fault.target);
                fs::write(&file, &fault.input).expect("the working folder can be written");
                println!("{}: {}; its input is in {file}", fault.target, fault.origin);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
