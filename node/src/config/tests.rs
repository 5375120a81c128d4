//! Every parameter has an effect, every mistake a line that says what to do.

use super::*;
use mvb_protocol::{amount::Amount, keys::Curve, target::Target};
use std::{fs, time::Duration};

struct Given {
    home: tempfile::TempDir,
    environment: Vec<(String, String)>,
    overrides: Vec<(String, String)>,
}

fn given() -> Given {
    Given {
        home: tempfile::tempdir().unwrap(),
        environment: Vec::new(),
        overrides: Vec::new(),
    }
}

impl Given {
    fn file(self, text: &str) -> Self {
        fs::write(self.home.path().join("mvb.toml"), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn set(mut self, text: &str) -> Self {
        self.overrides.push(parse_set(text).unwrap());
        self
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(
            self.home.path(),
            &self.overrides,
            self.environment.clone().into_iter(),
        )
    }

    fn error(&self) -> String {
        let line = self.load().unwrap_err().to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    }
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = given().load().unwrap();
    let shown: Vec<String> = config
        .entries()
        .iter()
        .map(|entry| format!("{}={}", entry.name, entry.value))
        .collect();
    let home = config.home.display();
    assert_eq!(
        shown,
        [
            "network_name=mvb".to_owned(),
            "difficulty=26".to_owned(),
            "block_size=2".to_owned(),
            "block_reward=10".to_owned(),
            "target_block_seconds=0".to_owned(),
            "max_block_bytes=1048576".to_owned(),
            "key_size=256".to_owned(),
            "status_broadcast_interval_seconds=5".to_owned(),
            "transaction_broadcast_interval_seconds=5".to_owned(),
            "status_broadcast_port=2606".to_owned(),
            "block_server_port=2607".to_owned(),
            "transaction_port=2608".to_owned(),
            format!("key_store_dir={home}"),
            "network=local".to_owned(),
            "interfaces=".to_owned(),
            "peers=".to_owned(),
            "threads=all".to_owned(),
            "kernel=auto".to_owned(),
            "reward_to=mining_rewards".to_owned(),
            "mempool_bytes=67108864".to_owned(),
            "mempool_per_source_per_second=1000".to_owned(),
            "http=127.0.0.1:8600".to_owned(),
        ]
    );
    assert_eq!(config.chain_params(), &ChainParams::default());
}

#[test]
fn every_parameter_reads_back_what_it_shows() {
    let config = given().load().unwrap();
    for entry in config.entries() {
        let again = given().set(&format!("{}={}", entry.name, entry.value));
        let shown = again.load().unwrap().entries();
        let found = shown.iter().find(|other| other.name == entry.name).unwrap();
        assert_eq!(found.value, entry.value);
        assert_eq!(found.source, Source::CommandLine, "{}", entry.name);
        assert!(!entry.meaning.is_empty() && !entry.allowed.is_empty());
    }
}

#[test]
fn a_kernel_that_does_not_exist_is_refused_with_those_that_do() {
    let config = given().set("kernel=abacus").load().unwrap();
    let refused = config.search_kernel().unwrap_err().to_string();
    for name in ["abacus", "portable"] {
        assert!(refused.contains(name), "{refused}");
    }
    let fastest = given().set("kernel=auto").load().unwrap();
    assert!(fastest.search_kernel().is_ok());
}

#[test]
fn every_parameter_has_its_effect() {
    let config = given()
        .set("network_name=room 7")
        .set("difficulty=20")
        .set("block_size=3")
        .set("block_reward=2.5")
        .set("target_block_seconds=30")
        .set("max_block_bytes=4096")
        .set("key_size=521")
        .set("status_broadcast_interval_seconds=0.25")
        .set("transaction_broadcast_interval_seconds=7")
        .set("status_broadcast_port=4001")
        .set("block_server_port=4002")
        .set("transaction_port=4003")
        .set("key_store_dir=/somewhere/else")
        .set("network=lan")
        .set("interfaces=eth0, 10.0.0.1")
        .set("peers=192.168.1.7:2607,[fd00::7]:2607")
        .set("threads=3")
        .set("kernel=portable")
        .set("reward_to=alice")
        .set("mempool_bytes=65536")
        .set("mempool_per_source_per_second=5")
        .set("http=[::1]:8700")
        .load()
        .unwrap();
    let chain = config.chain_params();
    assert_eq!(chain.network_name, "room 7");
    assert_eq!(chain.difficulty, 20);
    assert_eq!(chain.least_payments(mvb_protocol::numbers::Height(2)), 2);
    assert_eq!(
        chain.subsidy(mvb_protocol::numbers::Height(1)),
        Amount::from_units(2_500_000)
    );
    assert_eq!(chain.max_future_ms(), 90_000);
    assert_eq!(chain.max_block_bytes, 4096);
    assert_eq!(config.key_size, Curve::P521);
    assert_eq!(
        config.status_broadcast_interval_seconds,
        Duration::from_millis(250)
    );
    assert_eq!(
        config.transaction_broadcast_interval_seconds,
        Duration::from_secs(7)
    );
    assert_eq!(
        (
            config.status_broadcast_port,
            config.block_server_port,
            config.transaction_port
        ),
        (4001, 4002, 4003)
    );
    assert_eq!(config.key_store_dir, Path::new("/somewhere/else"));
    assert_eq!(config.network, Network::Lan);
    assert_eq!(config.interfaces, ["eth0", "10.0.0.1"]);
    assert_eq!(config.peers.len(), 2);
    assert_eq!(config.search_threads(), 3);
    assert_eq!(config.search_kernel().unwrap().name(), "portable");
    assert_eq!(config.reward_to.to_string(), "alice");
    assert_eq!(config.mempool_bytes, 65_536);
    assert_eq!(config.mempool_per_source_per_second, 5);
    assert_eq!(config.http.unwrap().to_string(), "[::1]:8700");
}

#[test]
fn the_explorer_is_for_this_machine_unless_an_address_is_typed() {
    let http = |text: &str| given().set(&format!("http={text}")).load().unwrap().http;
    assert_eq!(http("9000").unwrap().to_string(), "127.0.0.1:9000");
    assert_eq!(http("0.0.0.0:9000").unwrap().to_string(), "0.0.0.0:9000");
    assert_eq!(http("off"), None);
    assert!(given().load().unwrap().http.unwrap().ip().is_loopback());
}

#[test]
fn the_target_of_one_difficulty_more_is_half() {
    let target = |difficulty: u8| {
        let config = given().set(&format!("difficulty={difficulty}")).load();
        let params = config.unwrap().chain_params().clone();
        params.easiest_target().expand().unwrap()
    };
    let (easier, harder) = (target(20), target(21));
    assert_eq!(easier, Target::from_difficulty(20));
    let double = |mut bytes: [u8; 32]| {
        let mut carry = 0;
        for byte in bytes.iter_mut().rev() {
            (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
        }
        bytes
    };
    assert_eq!(double(harder.to_be_bytes()), easier.to_be_bytes());
}

#[test]
fn the_later_source_wins_and_is_remembered() {
    let all = given()
        .file("difficulty = 20\nblock_size = 3\nkey_size = 384")
        .variable("MVB_DIFFICULTY", "21")
        .variable("MVB_BLOCK_SIZE", "4")
        .variable("MVB_HOME", "/not/a/parameter")
        .variable("MVB_TEST_ANYTHING", "not a parameter either")
        .variable("PATH", "/bin")
        .set("difficulty=22");
    let config = all.load().unwrap();
    assert_eq!(config.chain.difficulty, 22);
    assert_eq!(config.source("difficulty"), Source::CommandLine);
    assert_eq!(config.chain.block_size, 4);
    assert_eq!(
        config.source("block_size"),
        Source::Environment("MVB_BLOCK_SIZE".to_owned())
    );
    assert_eq!(
        config.source("key_size"),
        Source::File(all.home.path().join("mvb.toml"))
    );
    assert!(!config.is_explicit("threads"));
}

#[test]
fn lists_and_numbers_of_toml_are_taken_as_they_are() {
    let config = given()
        .file("peers = ['10.0.0.1:2607', '10.0.0.2:2607']\nblock_reward = 0.5\nstatus_broadcast_interval_seconds = 0.1")
        .load()
        .unwrap();
    assert_eq!(config.peers.len(), 2);
    assert_eq!(config.chain.block_reward, Amount::from_units(500_000));
    assert_eq!(
        config.status_broadcast_interval_seconds,
        Duration::from_millis(100)
    );
}

#[test]
fn a_mistyped_parameter_is_an_error_that_names_it_and_its_neighbour() {
    let line = given().set("dificulty=20").error();
    assert!(
        line.contains("\"dificulty\" (command line), did you mean difficulty?"),
        "{line}"
    );
    let line = given().variable("MVB_TREADS", "2").error();
    assert!(
        line.contains("(MVB_TREADS), did you mean threads?"),
        "{line}"
    );
    let line = given().file("zzz = 1").error();
    assert!(
        line.contains("mvb.toml") && !line.contains("did you mean"),
        "{line}"
    );
}

#[test]
fn malformed_settings_are_refused_not_taken_for_arguments() {
    assert_eq!(parse_set("a=b=c").unwrap(), ("a".into(), "b=c".into()));
    assert!(
        given()
            .set("a=b=c")
            .error()
            .contains("unknown parameter \"a\"")
    );
    assert!(given().set("difficulty=2=3").error().contains("\"2=3\""));
    let line = given().set("difficulty=x").error();
    assert!(
        line.contains("difficulty is \"x\" (command line), expected 1 to 64 bits"),
        "{line}"
    );
    for text in ["difficulty", "=5", ""] {
        assert!(parse_set(text).is_err());
    }
}

#[test]
fn values_out_of_range_are_refused_with_what_is_allowed() {
    for text in [
        "network_name=",
        "network_name=a\nb",
        "network_name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "difficulty=0",
        "difficulty=65",
        "difficulty=-1",
        "difficulty=+5",
        "difficulty= 5",
        "difficulty=true",
        "block_size=0",
        "block_size=4294967296",
        "block_size=100000",
        "block_reward=0",
        "block_reward=-1",
        "block_reward=true",
        "block_reward=NaN",
        "block_reward=1e3",
        "target_block_seconds=4",
        "max_block_bytes=1023",
        "key_size=255",
        "status_broadcast_interval_seconds=0",
        "status_broadcast_interval_seconds=0.05",
        "status_broadcast_interval_seconds=.5",
        "status_broadcast_interval_seconds=5.",
        "transaction_broadcast_interval_seconds=3600.001",
        "status_broadcast_port=0",
        "block_server_port=1023",
        "transaction_port=65536",
        "transaction_port=2606",
        "key_store_dir=",
        "network=internet",
        "interfaces=eth0,,",
        "peers=somewhere",
        "threads=0",
        "threads=1025",
        "reward_to=not/a/name",
        "mempool_bytes=1",
        "mempool_per_source_per_second=0",
        "http=somewhere",
        "http=0",
        "http=127.0.0.1",
        "http=127.0.0.1:0",
    ] {
        let (key, value) = text.split_once('=').unwrap();
        let line = given().set(text).error();
        let shown = value.escape_debug().to_string();
        assert!(line.contains(key) && line.contains(&shown), "{line}");
        assert!(line.contains("expected"), "{line}");
    }
}

#[test]
fn a_broken_file_is_told_with_its_line() {
    let line = given().file("difficulty = 20\nblock_size = = 3").error();
    assert!(line.contains("mvb.toml line 2:"), "{line}");
    let folder = given();
    fs::create_dir(folder.home.path().join("mvb.toml")).unwrap();
    assert!(folder.error().contains("cannot read"));
}

#[test]
fn a_relative_key_folder_in_the_file_is_meant_from_the_home() {
    let given = given().file("key_store_dir = 'keys'");
    let config = given.load().unwrap();
    assert_eq!(config.key_store_dir, given.home.path().join("keys"));
}

#[test]
fn network_lan_needs_a_name_of_its_own() {
    let line = given().set("network=lan").error();
    assert!(line.contains("--set network_name=NAME"), "{line}");
    let named = given().set("network=lan").set("network_name=class");
    assert_eq!(named.load().unwrap().network, Network::Lan);
}

fn with_chain(given: Given) -> Given {
    let params = ChainParams {
        network_name: "remembered".to_owned(),
        difficulty: 12,
        ..ChainParams::default()
    };
    let (home, _) = home::Home::open_or_create(given.home.path()).unwrap();
    let lock = home.lock(home::Role::Maintenance).unwrap();
    drop(home.open_chain(&params, &lock).unwrap());
    given
}

#[test]
fn the_home_remembers_its_chain_where_only_defaults_speak() {
    let given = with_chain(given()).set("block_size=2");
    let config = given.load().unwrap();
    assert_eq!(config.chain.network_name, "remembered");
    assert_eq!(config.chain.difficulty, 12);
    assert_eq!(
        config.source("difficulty"),
        Source::Chain(given.home.path().join("chain.toml"))
    );
    assert_eq!(config.source("block_size"), Source::CommandLine);
}

#[test]
fn an_explicit_contradiction_is_refused_with_both_values() {
    let line = with_chain(given()).set("difficulty=13").error();
    assert!(
        line.contains("difficulty is 13 (command line)") && line.contains("has difficulty 12"),
        "{line}"
    );
    assert!(line.contains("mvb chain reset"), "{line}");
}

#[test]
fn a_reset_takes_new_values_and_keeps_the_others() {
    let given = with_chain(given()).set("network_name=second");
    let config =
        Config::load_for_reset(given.home.path(), &given.overrides, std::iter::empty()).unwrap();
    assert_eq!(config.chain.network_name, "second");
    assert_eq!(config.chain.difficulty, 12);
}
