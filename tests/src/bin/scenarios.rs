//! The long forms of the process scenarios: `scenarios [NAME] [COUNT]`, built with
//! `--release` beside the program under test. Without a name it runs them all, and prints
//! what each came to.

use mvb_tests::{
    namespaces,
    scenarios::{
        attacks, bad_peers, crashes, disk, endurance, lan, lan::Payments, life, long, operator,
        payments,
    },
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
    Scenario {
        name: "kill-creation",
        count: 200,
        run: |program, count| format!("{:?}", crashes::during_first_creation(program, count, 2)),
    },
    Scenario {
        name: "kill-recovery",
        count: 200,
        run: |program, count| {
            let height = crashes::during_recovery(program, count, 2);
            format!("{count} starts killed, height {height}")
        },
    },
    Scenario {
        name: "kill-payments",
        count: 200,
        run: |program, count| format!("{:?}", crashes::during_payments(program, count, 2)),
    },
    Scenario {
        name: "full-disk",
        count: 1,
        run: |program, _| format!("{:?}", disk::full(program, (4..=120).step_by(4))),
    },
    Scenario {
        name: "failing-disk",
        count: 1,
        run: |program, _| format!("height {}", disk::failing(program)),
    },
    Scenario {
        name: "io-errors",
        count: 40,
        run: |program, tries| match disk::io_errors(program, tries) {
            Some(height) => format!("{tries} times told, the highest chain of {height} blocks"),
            None => "skipped, strace cannot be used here".to_owned(),
        },
    },
    Scenario {
        name: "removed-home",
        count: 1,
        run: |program, _| {
            operator::a_removed_home(program);
            "it is told".to_owned()
        },
    },
    Scenario {
        name: "status-flood",
        count: 60,
        run: |program, seconds| {
            let endured = attacks::status_flood(program, seconds as u64, 100_000);
            format!("{seconds} s: {endured:?}")
        },
    },
    Scenario {
        name: "payment-flood",
        count: 30,
        run: |program, seconds| {
            let endured = attacks::payment_flood(program, seconds as u64, 50_000);
            format!("{seconds} s: {endured:?}")
        },
    },
    Scenario {
        name: "slow-clients",
        count: 1_000,
        run: |program, clients| {
            let served = attacks::slow_clients(program, clients, 20_000, 5);
            format!("{clients} clients: {served:?}")
        },
    },
    Scenario {
        name: "connection-flood",
        count: 5_000,
        run: |program, blocks| {
            let served = attacks::connection_flood(program, blocks as u64, 5);
            format!("{served:?}")
        },
    },
    Scenario {
        name: "reflection",
        count: 1,
        run: |program, _| {
            let connections = attacks::reflection(program);
            format!("nothing came back; 2000 statuses made it connect {connections} times")
        },
    },
    Scenario {
        name: "eclipse",
        count: 30,
        run: |program, seconds| {
            let endured = attacks::eclipse(program, 200, seconds as u64);
            format!("{seconds} s among 200 liars: {endured:?}")
        },
    },
    Scenario {
        name: "bad-peers",
        count: 20_000,
        run: |program, blocks| {
            println!("making a chain of {blocks} blocks");
            let cost = bad_peers::cost(program, blocks as u64, 8, |round| {
                println!("ratio {:.2} of {round:?}", round.ratio());
            });
            format!("{blocks} blocks: {cost:?}")
        },
    },
    Scenario {
        name: "busy-miner",
        count: 200,
        run: |program, askers| {
            let [half, all] = long::greetings_of_a_busy_miner(program, askers);
            format!("half of {askers} askers were greeted within {half:?}, all within {all:?}")
        },
    },
    Scenario {
        name: "long-run",
        count: 120,
        run: |program, seconds| format!("{seconds} s: {:?}", long::run(program, seconds as u64)),
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
        namespaces::skip(
            scenario.name,
            &format!("no network namespace here: {reason}"),
        );
        return true;
    }
    namespaces::enter(scenario.name)
        .args([scenario.name, &count.to_string()])
        .status()
        .is_ok_and(|status| status.success())
}
