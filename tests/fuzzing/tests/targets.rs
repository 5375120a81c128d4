//! Every target for a moment, on its seeds, its corpus and a few thousand inputs that are
//! the same in every run.

use mvb_fuzzing::{TARGETS, harness};

#[test]
fn no_target_finds_a_fault_in_a_short_run() {
    let mut faults = Vec::new();
    for target in TARGETS {
        match harness::run(target, 1, target.few, &mut |_| {}) {
            Ok(report) => assert!(report.accepted > 0, "{} reads nothing", target.name),
            Err(fault) => faults.push(format!(
                "{}: {}: {:02x?}",
                fault.target, fault.origin, fault.input
            )),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The targets for libFuzzer, the list here and the corpora are of the same names.
#[test]
fn every_target_has_its_corpus_and_its_libfuzzer_twin() {
    let fuzz = harness::corpus_folder().join("..");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let names: Vec<String> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    for name in &names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(
            fuzz.join(format!("fuzz_targets/{name}.rs")).exists(),
            "{name}"
        );
    }
    for entry in std::fs::read_dir(harness::corpus_folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "a corpus for no target: {name}");
    }
}
