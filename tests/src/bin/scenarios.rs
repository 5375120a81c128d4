//! The long forms of the process scenarios: `scenarios [NAME] [COUNT]`, built with
//! `--release` beside the program under test. Without a name it runs them all, and prints
//! what each came to.

use mvb_tests::{
    namespaces,
    scenarios::{endurance, lan, lan::Payments, life, operator, payments},
};
use std::{path::Path, process::ExitCode};

/// A scenario by name, with the count it runs when none is asked for.
struct Scenario {
    name: &'static str,
    count: usize,
    run: fn(&Path, usize) -> String,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "payments",
        count: 1,
        run: |program, count| {
            for _ in 0..count {
                payments::two_miners_and_two_wallets(program);
            }
            format!("{count} times agreed")
        },
    },
    Scenario {
        name: "five-commands",
        count: 1,
        run: |program, _| format!("{:?}", payments::five_commands(program)),
    },
    Scenario {
        name: "demo",
        count: 1,
        run: |program, _| format!("{:?}", payments::demo_once(program)),
    },
    Scenario {
        name: "commands",
        count: 200,
        run: |program, count| {
            let blocks = endurance::commands_beside_a_busy_miner(program, count);
            format!("{count} times listed and sent beside {blocks} blocks")
        },
    },
    Scenario {
        name: "kill",
        count: 50,
        run: |program, count| format!("{:?}", endurance::kill_nine(program, count, 2)),
    },
    Scenario {
        name: "equal-halves",
        count: 1,
        run: |program, _| {
            let stopped = lan::divided(program, Payments::Conflicting, 1, 1);
            format!("{stopped:?}")
        },
    },
    Scenario {
        name: "unequal-halves",
        count: 1,
        run: |program, _| format!("{:?}", lan::divided(program, Payments::Covered, 3, 1)),
    },
    Scenario {
        name: "signals",
        count: 1,
        run: |program, _| format!("the slowest {:?}", life::signals_end_everything(program)),
    },
    Scenario {
        name: "silent-clients",
        count: 200,
        run: |program, count| {
            life::silent_clients(program, count);
            format!("{count} clients")
        },
    },
    Scenario {
        name: "mistakes",
        count: 1,
        run: |program, _| {
            let wrong = operator::mistakes(program);
            assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
            "every mistake is told".to_owned()
        },
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    let chosen = arguments.first();
    if chosen.is_some_and(|name| !names.contains(&name.as_str())) {
        eprintln!("usage: scenarios [{}] [COUNT]", names.join("|"));
        return ExitCode::from(2);
    }
    let count = arguments.get(1).and_then(|count| count.parse().ok());
    let mut failed = false;
    for scenario in SCENARIOS {
        if chosen.is_none_or(|name| name == scenario.name) {
            failed |= !run(scenario, count.unwrap_or(scenario.count));
        }
    }
    ExitCode::from(u8::from(failed))
}

/// Runs a scenario inside a namespace of its own: this program again, which then is inside.
fn run(scenario: &Scenario, count: usize) -> bool {
    if namespaces::is_inside(scenario.name) {
        let program = std::env::current_exe().expect("the system knows this program's file");
        let came_to = (scenario.run)(&program.with_file_name("mvb-under-test"), count);
        println!("{}: {came_to}", scenario.name);
        return true;
    }
    if let Err(reason) = namespaces::permitted() {
        namespaces::skip(scenario.name, reason);
        return true;
    }
    namespaces::enter(scenario.name)
        .args([scenario.name, &count.to_string()])
        .status()
        .is_ok_and(|status| status.success())
}
