//! What people type: addresses, amounts, ids, names, and every source of the configuration.

use crate::{Seed, Target, Verdict, accepted, beyond, refused};
use mvb_node::{
    config::{Config, ConfigError, parse_set},
    home::CONFIG_FILE,
    wallet::{KeyName, Party},
};
use mvb_protocol::{
    address::{Address, Checksum},
    amount::{Amount, MAX_SUPPLY},
    hash::BlockId,
};
use std::{fs, thread_local};
use tempfile::TempDir;

pub(crate) const ADDRESS: Target = Target {
    name: "address",
    run: address,
    seeds: address_seeds,
    tokens: &[b"a", b"F", b"0", b"\xd9\xa3"],
    few: 3_000,
};

pub(crate) const AMOUNT: Target = Target {
    name: "amount",
    run: amount,
    seeds: amount_seeds,
    tokens: &[
        b".",
        b"0",
        b"9",
        b"9223372036854.775807",
        b"\xd9\xa3",
        b"-",
        b"e",
    ],
    few: 5_000,
};

pub(crate) const NAMES: Target = Target {
    name: "names",
    run: names,
    seeds: names_seeds,
    tokens: &[b"../", b"-", b"\0", b"\xc3\xa4"],
    few: 5_000,
};

pub(crate) const CONFIG: Target = Target {
    name: "config",
    run: config,
    seeds: config_seeds,
    tokens: &[
        b"\n--set ",
        b"\nenv MVB_",
        b"difficulty = ",
        b"network_name = \"",
        b"peers = [\"",
        b"[::1]:2607",
        b"block_reward = ",
        b"reward_to = \"",
        b"threads",
        b"key_store_dir = \"",
        b"\"\"\"",
        b"{ a = ",
        b"[[",
        b"1979-05-27",
    ],
    few: 500,
};

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

fn address(data: &[u8]) -> Verdict {
    let Some(text) = text(data) else {
        return Verdict::Refused;
    };
    match Address::parse(text) {
        Ok((address, checksum)) => {
            let shown = address.to_string();
            assert!(shown.eq_ignore_ascii_case(text));
            assert_eq!(
                Address::parse(&shown),
                Ok((address, shown_checksum(&shown)))
            );
            assert_eq!(
                checksum == Checksum::Verified,
                shown == text && is_mixed(text)
            );
            assert_eq!(address.to_lower_hex(), text.to_lowercase());
            let id: BlockId = text.parse().expect("the same digits");
            assert_eq!(id.to_string(), text.to_lowercase());
            Verdict::Accepted
        }
        Err(error) => {
            assert!(text.parse::<Address>().is_err());
            refused(error)
        }
    }
}

fn is_mixed(text: &str) -> bool {
    let has = |case: fn(&u8) -> bool| text.as_bytes().iter().any(case);
    has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
}

fn shown_checksum(shown: &str) -> Checksum {
    if is_mixed(shown) {
        Checksum::Verified
    } else {
        Checksum::Absent
    }
}

fn amount(data: &[u8]) -> Verdict {
    let Some(text) = text(data) else {
        return Verdict::Refused;
    };
    match text.parse::<Amount>() {
        Ok(amount) => {
            assert!(amount <= MAX_SUPPLY);
            let shown = amount.to_string();
            assert_eq!(shown.parse(), Ok(amount));
            assert_eq!(format!("{amount:.6}").parse(), Ok(amount));
            assert!(text.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
            // The same number, digit for digit.
            let plain = |text: &str| {
                let (coins, decimals) = text.split_once('.').unwrap_or((text, ""));
                let coins = coins.trim_start_matches('0').to_owned();
                (coins, decimals.trim_end_matches('0').to_owned())
            };
            assert_eq!(plain(text), plain(&shown));
            Verdict::Accepted
        }
        Err(error) => refused(error),
    }
}

fn names(data: &[u8]) -> Verdict {
    let Some(text) = text(data) else {
        return Verdict::Refused;
    };
    let name = text.parse::<KeyName>();
    if let Ok(name) = &name {
        assert_eq!(name.as_str(), text);
        assert!(text.len() <= 16 && !text.contains(['/', '.', '\\', '\0']));
    }
    match text.parse::<Party>() {
        Ok(party) => {
            assert_eq!(matches!(party, Party::Name(_)), name.is_ok());
            assert_eq!(party.to_string().parse(), Ok(party));
            Verdict::Accepted
        }
        Err(error) => {
            assert!(name.is_err());
            refused(error)
        }
    }
}

/// Lines that begin with `--set ` are the command line's, those that begin with `env ` the
/// environment's, all others `mvb.toml`.
fn config(data: &[u8]) -> Verdict {
    thread_local! {
        static HOME: TempDir = tempfile::tempdir().expect("a folder for tests");
    }
    let (mut overrides, mut environment, mut file) = (Vec::new(), Vec::new(), Vec::new());
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        let own = text(line).map(|line| line.trim_end_matches('\n'));
        if let Some(set) = own.and_then(|line| line.strip_prefix("--set ")) {
            match parse_set(set) {
                Ok(pair) => overrides.push(pair),
                Err(error) => return refused(error),
            }
        } else if let Some(pair) = own.and_then(|line| line.strip_prefix("env ")) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            environment.push((name.to_owned(), value.to_owned()));
        } else {
            file.extend_from_slice(line);
        }
    }
    HOME.with(|home| {
        let path = home.path();
        fs::write(path.join(CONFIG_FILE), &file).expect("a folder for tests");
        let loaded = Config::load(path, &overrides, environment.into_iter());
        fs::remove_file(path.join(CONFIG_FILE)).expect("it was just written");
        match loaded {
            Ok(config) => {
                // What `mvb config` shows can be given again and means the same.
                let shown: Vec<(String, String)> = config
                    .entries()
                    .into_iter()
                    .map(|entry| (entry.name.to_owned(), entry.value))
                    .collect();
                let again = Config::load(path, &shown, std::iter::empty());
                let again = again.unwrap_or_else(|error| panic!("shown, but: {error}"));
                assert_eq!(*again, *config, "shown as {shown:?}");
                assert_eq!(config.chain_params().validate(), Ok(()));
                Verdict::Accepted
            }
            Err(error) => {
                if let ConfigError::Unparsable { line, .. } = &error {
                    assert!(*line >= 1);
                }
                refused(error)
            }
        }
    })
}

fn address_seeds() -> Vec<Seed> {
    let shown = Address([0xab; 32]).to_string();
    let swapped: String = shown
        .chars()
        .map(|c| match c.is_ascii_uppercase() {
            true => c.to_ascii_lowercase(),
            false => c.to_ascii_uppercase(),
        })
        .collect();
    vec![
        accepted(shown.clone()),
        accepted(shown.to_lowercase()),
        accepted(shown.to_uppercase()),
        beyond(swapped),
        beyond(&shown[1..]),
        beyond(format!("{shown}0")),
        accepted("0".repeat(64)),
        beyond(format!("{}\n", "0".repeat(64))),
        beyond("٣".repeat(64)),
    ]
}

fn amount_seeds() -> Vec<Seed> {
    let mut seeds: Vec<Seed> = [
        "0",
        "10",
        "0.5",
        "0.000001",
        "007.10",
        "9223372036854.775807",
    ]
    .into_iter()
    .map(accepted)
    .collect();
    for text in [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "1e3",
        "1,0",
        " 1",
        "0.0000001",
        "9223372036854.775808",
        "18446744073709.551616",
        "99999999999999999999999",
    ] {
        seeds.push(beyond(text));
    }
    seeds
}

fn names_seeds() -> Vec<Seed> {
    vec![
        accepted("a"),
        accepted("abcdefghijklmnop"),
        beyond("abcdefghijklmnopq"),
        beyond(""),
        beyond("../x"),
        beyond("a.pem"),
        accepted("mining_rewards"),
        accepted(Address([0x1c; 32]).to_string()),
        beyond("g".repeat(64)),
    ]
}

fn config_seeds() -> Vec<Seed> {
    let ranges: [(&str, &[&str], &[&str]); 16] = [
        ("difficulty", &["1", "64"], &["0", "65", "", "1.0", "-1"]),
        ("block_size", &["1", "5165"], &["0", "4294967296", "5166"]),
        (
            "block_reward",
            &["0.000001", "9223372036854.775807"],
            &["0", "9223372036854.775808"],
        ),
        (
            "target_block_seconds",
            &["0", "5", "86400"],
            &["4", "86401"],
        ),
        (
            "max_block_bytes",
            &["1024", "8388608"],
            &["1023", "8388609"],
        ),
        (
            "network_name",
            &["n", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"],
            &["", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"],
        ),
        ("key_size", &["256", "384", "521"], &["255", "512", "p256"]),
        (
            "status_broadcast_interval_seconds",
            &["0.1", "3600"],
            &["0.099", "3600.001", "1.", ".5"],
        ),
        (
            "status_broadcast_port",
            &["1", "65535"],
            &["0", "65536", "2608"],
        ),
        ("block_server_port", &["1024", "65535"], &["1023", "65536"]),
        ("threads", &["1", "1024", "all"], &["0", "1025", "All"]),
        (
            "mempool_bytes",
            &["65536", "17179869184"],
            &["65535", "17179869185"],
        ),
        (
            "mempool_per_source_per_second",
            &["1", "1000000"],
            &["0", "1000001"],
        ),
        (
            "peers",
            &["", "[fd00::7]:2607, 10.0.0.1:1"],
            &["localhost:2607", "10.0.0.1", ","],
        ),
        ("network", &["local"], &["lan", "internet", ""]),
        (
            "http",
            &["off", "1", "65535", "[::1]:8600", "0.0.0.0:1"],
            &[
                "",
                "0",
                "65536",
                "127.0.0.1",
                "localhost:8600",
                "127.0.0.1:0",
            ],
        ),
    ];
    let mut seeds = Vec::new();
    for (key, good, bad) in ranges {
        for (values, verdict) in [(good, Verdict::Accepted), (bad, Verdict::Refused)] {
            for value in values {
                for form in [
                    format!("{key} = \"{value}\"\n"),
                    format!("--set {key}={value}\n"),
                    format!("env MVB_{}={value}\n", key.to_uppercase()),
                ] {
                    let bytes = form.into_bytes();
                    seeds.push(Seed { bytes, verdict });
                }
            }
        }
    }
    let all = "difficulty = 20\nblock_reward = 0.5\ninterfaces = [\"eth0\", \"wlan0\"]\n\
        reward_to = \"alice\"\nkey_store_dir = \"keys\"\nnetwork = \"lan\"\n\
        env MVB_NETWORK_NAME=room\nenv PATH=/bin\nenv MVB_HOME=x\n--set peers=10.0.0.1:2607\n";
    seeds.push(accepted(all));
    for text in [
        "dificulty = 3",
        "difficulty",
        "difficulty = {a = 1}",
        "--set difficulty\n",
        "[x]\ny = 1",
    ] {
        seeds.push(beyond(text));
    }
    // Nested as deeply as a person would not.
    seeds.push(beyond(format!("peers = {}", "[".repeat(3_000))));
    seeds
}
