//! What people do wrong, and what they are told: each mistake ends with an exit code that
//! is not 0 and one line on stderr that names the cause and what to do.

use super::{Lab, mine, new_address, reaches};
use crate::process::{Mvb, Running};
use std::{
    fs,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::Path,
    time::Duration,
};

/// How long a mistake may stay untold, on a busy machine too.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// A mistake, and words that the answer must have.
struct Mistake {
    /// What is wrong.
    name: &'static str,
    /// Makes the situation; what it returns is kept until the command has ended.
    prepare: fn(&Lab) -> Situation,
    /// What is typed.
    command: &'static [&'static str],
    /// What the line names.
    says: &'static [&'static str],
}

/// Where a mistake is made.
struct Situation {
    home: Mvb,
    /// Whatever must exist or run meanwhile.
    _kept: Vec<Box<dyn std::any::Any>>,
}

impl Situation {
    fn of(home: Mvb) -> Self {
        Self {
            home,
            _kept: Vec::new(),
        }
    }

    fn keep(home: Mvb, kept: impl std::any::Any) -> Self {
        Self {
            home,
            _kept: vec![Box::new(kept)],
        }
    }
}

fn plain(lab: &Lab) -> Situation {
    Situation::of(lab.home("plain"))
}

fn set(key: &str, value: &str, lab: &Lab) -> Situation {
    Situation::of(lab.home("plain").set(key, value))
}

/// A miner with its first block, and what it works on.
fn miner(lab: &Lab, home: &str) -> (Mvb, Running) {
    let home = lab.home(home);
    let mut miner = mine(&home);
    reaches(&mut miner, 1);
    (home, miner)
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "an unknown key",
        prepare: |lab| set("dificulty", "20", lab),
        command: &["chain", "info"],
        says: &["dificulty", "difficulty"],
    },
    Mistake {
        name: "a value that is no number",
        prepare: |lab| set("difficulty", "x", lab),
        command: &["chain", "info"],
        says: &["difficulty", "\"x\"", "1 to 64"],
    },
    Mistake {
        name: "a value out of range",
        prepare: |lab| set("difficulty", "65", lab),
        command: &["miner"],
        says: &["difficulty", "65", "1 to 64"],
    },
    Mistake {
        name: "a value with an equals sign",
        prepare: |lab| set("difficulty", "20=21", lab),
        command: &["chain", "info"],
        says: &["difficulty", "20=21"],
    },
    Mistake {
        name: "no network of that name",
        prepare: |lab| Situation::of(lab.home("plain").with(["--network", "lna"])),
        command: &["chain", "info"],
        says: &["lna", "lan"],
    },
    Mistake {
        name: "lan with the default name",
        prepare: |lab| Situation::of(lab.bare_home("plain").with(["--network", "lan"])),
        command: &["miner"],
        says: &["network_name", "--set network_name="],
    },
    Mistake {
        name: "a block server's port that is busy",
        prepare: |lab| {
            let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 3001)).expect("a free port");
            Situation::keep(lab.home("plain").set("block_server_port", 3001), held)
        },
        command: &["miner"],
        says: &[
            "block_server_port",
            "3001",
            "busy",
            "--set block_server_port=",
        ],
    },
    Mistake {
        name: "a status port that another program does not share",
        prepare: |lab| {
            let broadcast = Ipv4Addr::new(127, 255, 255, 255);
            let held = UdpSocket::bind((broadcast, 2606)).expect("a free port");
            Situation::keep(lab.home("plain"), held)
        },
        command: &["miner"],
        says: &[
            "status_broadcast_port",
            "2606",
            "--set status_broadcast_port=",
        ],
    },
    Mistake {
        name: "a port that no peer would connect to",
        prepare: |lab| set("block_server_port", "80", lab),
        command: &["miner"],
        says: &["block_server_port", "80", "1024"],
    },
    Mistake {
        name: "a home of another network",
        prepare: |lab| {
            let (home, miner) = miner(lab, "mined");
            miner.kill();
            Situation::of(home.set("difficulty", 13))
        },
        command: &["chain", "info"],
        says: &["difficulty", "13", "12", "chain reset"],
    },
    Mistake {
        name: "a network of other parameters",
        prepare: |lab| {
            let (_, miner) = miner(lab, "mined");
            Situation::keep(lab.home("other").set("difficulty", 13), miner)
        },
        command: &["wallet", "sync", "--until-synced"],
        says: &["difficulty 12", "13"],
    },
    Mistake {
        name: "a second writer",
        prepare: |lab| {
            let (home, miner) = miner(lab, "mined");
            Situation::keep(home, miner)
        },
        command: &["miner"],
        says: &["miner", "process"],
    },
    Mistake {
        name: "an address with a mistyped letter",
        prepare: |lab| {
            let home = lab.home("plain");
            new_address(&home, "alice");
            Situation::of(home)
        },
        command: &[
            "wallet",
            "send",
            "alice",
            "1",
            "aBcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789",
        ],
        says: &["checksum"],
    },
    Mistake {
        name: "an address that is too short",
        prepare: |lab| {
            let home = lab.home("plain");
            new_address(&home, "alice");
            Situation::of(home)
        },
        command: &[
            "wallet",
            "send",
            "alice",
            "1",
            "abcdef0123456789abcdef0123456789",
        ],
        says: &["abcdef0123456789abcdef0123456789"],
    },
    Mistake {
        name: "a key that cannot be read",
        prepare: |lab| {
            let home = lab.home("plain");
            fs::create_dir_all(home.home()).expect("a new home");
            fs::write(home.home().join("broken.pem"), "no key\n").expect("a new file");
            Situation::of(home)
        },
        command: &["wallet", "send", "broken", "1", "broken"],
        says: &["broken.pem"],
    },
    Mistake {
        name: "a key name that leaves the folder",
        prepare: plain,
        command: &["wallet", "new-address", "../../x"],
        says: &["../../x", "16"],
    },
    Mistake {
        name: "a key name twice",
        prepare: |lab| {
            let home = lab.home("plain");
            new_address(&home, "alice");
            Situation::of(home)
        },
        command: &["wallet", "new-address", "alice"],
        says: &["alice"],
    },
    Mistake {
        name: "more than the balance",
        prepare: |lab| {
            let home = lab.home("plain");
            new_address(&home, "alice");
            Situation::of(home)
        },
        command: &["wallet", "send", "alice", "1", "alice"],
        says: &["1 needed", "balance 0"],
    },
    Mistake {
        name: "a home that is a file",
        prepare: |lab| {
            let home = lab.home("file");
            fs::write(home.home(), "").expect("a new file");
            Situation::of(home)
        },
        command: &["miner"],
        says: &["file"],
    },
];

/// Makes every mistake in turn and returns what is wrong with the answers, none if all is
/// well.
pub fn mistakes(program: &Path) -> Vec<String> {
    MISTAKES
        .iter()
        .flat_map(|mistake| answer(program, mistake))
        .collect()
}

/// What is wrong with the answer to one mistake.
fn answer(program: &Path, mistake: &Mistake) -> Vec<String> {
    let lab = Lab::new(program);
    let situation = (mistake.prepare)(&lab);
    let mut command = situation.home.start(mistake.command);
    let mut wrong = Vec::new();
    let done = if command.falls_silent(TOLD_WITHIN) {
        command.finish(crate::process::PATIENCE)
    } else {
        wrong.push(format!("it still runs after {TOLD_WITHIN:?}"));
        command.kill()
    };
    let errors: Vec<_> = done
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    if !matches!(done.status.code(), Some(1 | 2)) {
        wrong.push("the exit code is neither 1 nor 2".to_owned());
    }
    let [error] = errors[..] else {
        wrong.push(format!("{} error lines instead of one", errors.len()));
        return explain(mistake, &wrong, &done);
    };
    for words in mistake.says {
        if !error.contains(words) {
            wrong.push(format!("it does not say {words:?}"));
        }
    }
    if done.stderr.lines().last() != Some(error) {
        wrong.push("the error is not the last line".to_owned());
    }
    explain(mistake, &wrong, &done)
}

fn explain(mistake: &Mistake, wrong: &[String], done: &crate::process::Finished) -> Vec<String> {
    let explained = |problem: &String| format!("{}: {problem}: {done}", mistake.name);
    wrong.iter().map(explained).collect()
}

/// A home that is removed under its miner: the miner says so and ends, and does not make a
/// new one in its place. A chain that alone is removed is missed at the next start.
pub fn a_removed_home(program: &Path) {
    let lab = Lab::new(program);
    let (home, running) = miner(&lab, "removed");
    fs::remove_dir_all(home.home()).expect("the home");
    let done = running.finish(crate::process::PATIENCE);
    assert_eq!(done.status.code(), Some(1), "{done}");
    assert!(done.stderr.contains("was removed while"), "{done}");
    assert!(!home.home().exists(), "a new home was made");

    let (home, running) = miner(&lab, "emptied");
    running.kill();
    fs::remove_dir_all(home.home().join("chains")).expect("the chain");
    for command in [&["miner"][..], &["chain", "info"], &["wallet", "sync"]] {
        let done = home.run(command);
        assert_eq!(done.status.code(), Some(1), "{command:?}: {done}");
        assert!(done.stderr.contains("is missing from this home"), "{done}");
    }
    assert!(!home.home().join("chains").exists(), "a new chain was made");
}
