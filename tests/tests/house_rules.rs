//! The rules of the house that a compiler does not know: which crate may use which, what
//! `protocol` may not touch, and how files begin.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each crate with those of ours that it may use. Dependencies run one way.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("protocol", &[]),
    ("actors/kernels", &[]),
    ("node/storage", &["mvb-protocol"]),
    ("actors", &["mvb-protocol", "mvb-kernels"]),
    (
        "node",
        &["mvb-protocol", "mvb-storage", "mvb-actors", "mvb-kernels"],
    ),
    ("node/explorer", &["mvb-protocol", "mvb-actors", "mvb-node"]),
    (
        "cli",
        &[
            "mvb-explorer",
            "mvb-protocol",
            "mvb-kernels",
            "mvb-storage",
            "mvb-actors",
            "mvb-node",
        ],
    ),
    (
        "tests",
        &[
            "mvb-protocol",
            "mvb-kernels",
            "mvb-storage",
            "mvb-actors",
            "mvb-node",
            "mvb-cli",
        ],
    ),
    (
        "tests/fuzzing",
        &[
            "mvb-protocol",
            "mvb-storage",
            "mvb-actors",
            "mvb-node",
            "mvb-explorer",
        ],
    ),
];

/// All that `protocol` needs: hashes, signatures, wide integers, the codec.
const PROTOCOL_USES: [&str; 11] = [
    "aws-lc-rs",
    "p256",
    "p384",
    "p521",
    "primitive-types",
    "rmp-serde",
    "serde",
    "serde_bytes",
    "sha2",
    "thiserror",
    "zeroize",
];

/// The six actors: each may know messages, none another's file.
const ACTORS: [&str; 6] = [
    "transaction_intake",
    "gossip_broadcaster",
    "block_server",
    "chain_manager",
    "fork_resolver",
    "miner",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate lies in the workspace")
        .to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file of a folder.
fn rust_files(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("a folder's entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The names under a heading of a manifest, each with the rest of its line.
fn table(manifest: &str, heading: &str) -> BTreeMap<String, String> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(['.', ' ', '=']))
        .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        .collect()
}

/// A file's lines of code, without comments.
fn code(path: &Path) -> Vec<String> {
    read(path)
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn dependencies_run_one_way() {
    for (folder, allowed) in MAY_USE {
        let used = table(&read(format!("{folder}/Cargo.toml")), "[dependencies]");
        let ours: BTreeSet<&str> = used
            .keys()
            .map(String::as_str)
            .filter(|name| name.starts_with("mvb-"))
            .collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        let more: Vec<_> = ours.difference(&allowed).collect();
        assert!(more.is_empty(), "{folder} may not use {more:?}");
    }
}

#[test]
fn every_crate_of_the_workspace_has_its_rule() {
    let manifest = read("Cargo.toml");
    let members = manifest
        .lines()
        .find(|line| line.starts_with("members"))
        .expect("the workspace lists its members");
    for member in members.split('"').skip(1).step_by(2) {
        let known = MAY_USE.iter().any(|(folder, _)| *folder == member);
        assert!(known, "{member} has no rule in this file");
    }
}

#[test]
fn the_search_kernels_depend_on_nothing() {
    let used = table(&read("actors/kernels/Cargo.toml"), "[dependencies]");
    assert!(used.is_empty(), "{used:?}");
}

#[test]
fn protocol_uses_hashes_signatures_and_the_codec_only() {
    let used = table(&read("protocol/Cargo.toml"), "[dependencies]");
    let used: Vec<&str> = used.keys().map(String::as_str).collect();
    assert_eq!(used, PROTOCOL_USES);
}

#[test]
fn protocol_does_no_io_reads_no_clock_draws_no_randomness_and_awaits_nothing() {
    const FOREIGN: [&str; 15] = [
        "actix",
        "tokio",
        "futures::",
        "rand",
        "getrandom",
        "std::net",
        "std::fs",
        "std::io",
        "std::env",
        "std::process",
        "std::thread",
        "std::time",
        "async ",
        ".await",
        "println!",
    ];
    for path in rust_files("protocol/src") {
        for (number, line) in code(&path).iter().enumerate() {
            for foreign in FOREIGN {
                let word = foreign.trim_end_matches(|c: char| !c.is_alphanumeric());
                let found = line.match_indices(foreign).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let after = line[at + word.len()..].chars().next();
                    let letter =
                        |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                    !letter(before) && (word != foreign || !letter(after))
                });
                assert!(
                    !found,
                    "{}:{}: {foreign} has no place in protocol",
                    path.display(),
                    number + 1
                );
            }
        }
    }
}

/// Unchecked `Verified` values are for tests.
#[test]
fn no_build_can_make_a_verified_payment_without_verifying() {
    for (folder, _) in MAY_USE {
        let manifest = read(format!("{folder}/Cargo.toml"));
        let used = table(&manifest, "[dependencies]");
        for (name, rest) in used {
            assert!(
                !rest.contains("testing"),
                "{folder} builds {name} with its testing feature"
            );
            assert!(
                !rest.contains("fuzzing") || folder == "tests/fuzzing",
                "{folder} builds {name} with what is for fuzz targets only"
            );
        }
    }
    assert!(!read("Cargo.toml").contains("testing"));
}

#[test]
fn actors_know_messages_and_never_each_other() {
    for path in rust_files("actors/src") {
        let text = path
            .strip_prefix(root().join("actors/src"))
            .expect("found below it");
        let text = text.to_string_lossy().into_owned();
        let Some(own) = ACTORS.iter().find(|actor| text.starts_with(*actor)) else {
            continue;
        };
        if text.contains("tests") {
            continue;
        }
        for other in ACTORS.iter().filter(|other| *other != own) {
            let import = format!("{other}::");
            assert!(
                !code(&path).iter().any(|line| line.contains(&import)),
                "{text} knows {other}"
            );
        }
    }
}

#[test]
fn only_the_program_itself_uses_anyhow() {
    for (folder, _) in MAY_USE {
        let used = table(&read(format!("{folder}/Cargo.toml")), "[dependencies]");
        assert!(folder == "cli" || !used.contains_key("anyhow"), "{folder}");
    }
}

#[test]
fn every_select_is_biased_and_tokios() {
    for (folder, _) in MAY_USE {
        for path in rust_files(format!("{folder}/src")) {
            let lines = code(&path);
            for (number, line) in lines.iter().enumerate() {
                let place = format!("{}:{}", path.display(), number + 1);
                assert!(
                    !line.contains("futures::select"),
                    "{place}: not repeatable by seed"
                );
                if line.contains("select! {") {
                    let next = lines.get(number + 1).map_or("", |line| line.trim());
                    assert_eq!(next, "biased;", "{place}");
                }
            }
        }
    }
}

#[test]
fn every_file_says_what_it_owns_and_none_is_called_mod() {
    for (folder, _) in MAY_USE {
        for path in rust_files(format!("{folder}/src")) {
            let name = path.display().to_string();
            assert!(
                !name.ends_with("mod.rs"),
                "{name}: foo.rs beside foo/ instead"
            );
            assert!(
                read(&path).starts_with("//!"),
                "{name} does not open with //!"
            );
        }
    }
}

/// Requests that are awaited flow one way round, so that no two actors wait for each other:
/// hole 46 of the original, whose two locks were taken in opposite orders. The two that
/// others wait for answer, or send to themselves, and wait for nobody.
#[test]
fn whoever_is_waited_for_waits_for_no_other_actor() {
    const ANSWERS: [&str; 3] = ["asker", "waiter", "intake"];
    for path in rust_files("actors/src") {
        let name = path.display().to_string();
        let is_waited_for = ["chain_manager", "transaction_intake"]
            .iter()
            .any(|actor| name.contains(actor));
        if !is_waited_for || name.contains("tests") {
            continue;
        }
        let text: String = code(&path).concat();
        let text: String = text.split_whitespace().collect();
        for (at, _) in text.match_indices(".send(") {
            let to = text[..at]
                .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            assert!(ANSWERS.contains(&to), "{name} waits for {to}");
        }
    }
}

/// The tests that a line of a table names are there, and there is one at least.
fn assert_tests_exist(what: &str, cell: &str) {
    let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    assert!(!names.is_empty(), "{what} has no test");
    for name in names {
        let (file, test) = name.split_once("::").expect("a file and a test");
        let lines = code(&root().join(file));
        let heading = format!("fn {test}(");
        let at = lines.iter().position(|line| line.contains(&heading));
        let at = at.unwrap_or_else(|| panic!("{what}: {file} has no test {test}"));
        let is_test = lines[at.saturating_sub(3)..at].iter().any(|line| {
            let attributes = ["#[test]", "#[tokio::test", "#[actix_web::test"];
            attributes.iter().any(|is| line.contains(is))
        });
        assert!(is_test, "{what}: {test} is no test");
    }
}

/// Every test that docs/HOLES.md names is there, and every hole has one.
#[test]
fn each_of_the_55_holes_has_its_tests() {
    let page = read("docs/HOLES.md");
    let mut holes = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let Some(hole) = cells.next().and_then(|cell| cell.parse::<u32>().ok()) else {
            continue;
        };
        let tests = cells.nth(1).expect("a third column");
        assert_tests_exist(&format!("hole {hole}"), tests);
        holes.push(hole);
    }
    assert_eq!(holes, (1..=55).collect::<Vec<_>>());
}

/// Every promise of docs/SECURITY.md names tests, and they are there.
#[test]
fn each_promise_of_security_has_its_tests() {
    let page = read("docs/SECURITY.md");
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && *line != "| promise | tests |");
    let mut promises = 0;
    for line in rows {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let promise = cells.next().unwrap_or_default();
        assert_tests_exist(promise, cells.next().unwrap_or_default());
        promises += 1;
    }
    assert!(promises > 0, "no promise was found");
}
