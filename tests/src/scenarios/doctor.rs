//! What `mvb doctor` finds of faults that are really there: a taken port, a full disk, a
//! home that cannot be written to, a killed process, a network of other parameters, an
//! interface that is down. All of it inside a namespace of the test's own.

use super::{Lab, disk::SmallDisk, mine, new_address, reaches};
use crate::{
    namespaces::{Bridge, Half},
    process::{Finished, Mvb},
};
use serde_json::Value;
use std::{
    fs,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Examines a home; the report, and how the command ended.
fn examine(home: &Mvb) -> (Vec<Value>, Finished) {
    let done = home.with(["--json"]).run(&["doctor", "--seconds", "2"]);
    let last = done.stdout.lines().last().unwrap_or_default();
    let report: Value =
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {done}"));
    let well = report["well"] == true;
    assert_eq!(done.status.code(), Some(i32::from(!well)), "{done}");
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    (findings, done)
}

/// The one finding of a check and level that says all this; it must have a remedy unless good.
fn expect(home: &Mvb, check: &str, level: &str, says: &[&str]) {
    let (findings, done) = examine(home);
    let fits = |finding: &&Value| {
        let found = finding["found"].as_str().unwrap_or_default();
        finding["check"] == check
            && finding["level"] == level
            && says.iter().all(|words| found.contains(words))
            && finding["remedy"].is_string() == (level != "ok")
    };
    assert!(
        findings.iter().any(|finding| fits(&finding)),
        "no {level} of {check} saying {says:?}: {done}"
    );
    if level == "problem" {
        assert_eq!(done.status.code(), Some(1), "{done}");
    }
}

/// A home as it should be: a miner runs, and another home's examination hears it.
pub fn a_healthy_home(program: &Path) {
    let lab = Lab::new(program);
    let (here, there) = (lab.home("here"), lab.home("there"));
    new_address(&there, "alice");
    let mut miner = mine(&here);
    reaches(&mut miner, 1);
    for home in [&here, &there] {
        let (findings, done) = examine(home);
        assert!(done.status.success(), "{done}");
        assert!(findings.len() >= 10, "{done}");
    }
    expect(
        &here,
        "lock",
        "ok",
        &[&format!("miner process {}", miner.id())],
    );
    expect(&here, "ports", "ok", &["this home's miner serves blocks"]);
    expect(&here, "ports", "ok", &["2606", "shared with"]);
    expect(&here, "chain", "ok", &["height 1"]);
    expect(&here, "peers", "note", &["no miner but this home's own"]);
    expect(
        &there,
        "peers",
        "ok",
        &["1 miner of this network", "height 1"],
    );
    expect(&there, "clock", "ok", &["agrees with the newest block"]);
    expect(
        &there,
        "ports",
        "ok",
        &["2607 (TCP) is held by", "takes 2608"],
    );
    expect(&there, "keys", "ok", &["1 key"]);
    expect(
        &there,
        "broadcast",
        "ok",
        &["loopback", "heard by this machine"],
    );
    drop(miner.kill());
    expect(&here, "lock", "note", &["without cleaning up"]);
}

/// Each fault in turn, on a home that is otherwise well.
pub fn faults_of_a_machine(program: &Path) {
    let lab = Lab::new(program);
    let home = lab.home("home");
    new_address(&home, "alice");

    let held = UdpSocket::bind((Ipv4Addr::new(127, 255, 255, 255), 2606)).expect("a free port");
    let me = format!("process {}", std::process::id());
    expect(&home, "ports", "problem", &["2606", &me, "does not share"]);
    drop(held);

    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 3001)).expect("a free port");
    let asked = home.set("block_server_port", 3001);
    expect(&asked, "ports", "problem", &["block_server_port 3001", &me]);
    drop(held);

    let elsewhere = home.set("peers", "127.0.0.1:3999");
    expect(
        &elsewhere,
        "peers",
        "problem",
        &["127.0.0.1:3999", "no connection"],
    );

    let key = home.home().join("alice.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("one's own file");
    expect(&home, "keys", "problem", &["alice.pem", "644"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("one's own file");

    let folder = fs::Permissions::from_mode(0o777);
    fs::set_permissions(home.home(), folder).expect("one's own folder");
    expect(&home, "home", "problem", &["777"]);

    let wrong = home.set("difficulty", 99);
    expect(
        &wrong,
        "settings",
        "problem",
        &["difficulty", "99", "1 to 64"],
    );
}

/// A disk with little room, and one that cannot be written to.
pub fn faults_of_a_disk(program: &Path) {
    let lab = Lab::new(program);
    let disk = SmallDisk::mount(lab.folder().join("disk"), 64 << 10);
    let home = lab.home("any").at(lab.folder().join("disk").join("home"));
    new_address(&home, "alice");
    expect(&home, "disk", "problem", &["MiB free", "less than 1.0 GiB"]);
    disk.resize(2 << 20);
    expect(&home, "disk", "ok", &["GiB free"]);
    disk.forbid_writing();
    expect(&home, "home", "problem", &["cannot be written to"]);
}

/// A chain whose file is damaged, and one that is gone.
pub fn faults_of_a_chain(program: &Path) {
    let lab = Lab::new(program);
    let home = lab.home("home");
    let mut miner = mine(&home);
    reaches(&mut miner, 1);
    drop(miner.kill());
    let chains = home.home().join("chains");
    let chain = fs::read_dir(&chains)
        .expect("a chain")
        .flatten()
        .next()
        .expect("a chain");
    fs::write(chain.path().join("data.mdb"), [7; 8192]).expect("one's own file");
    expect(&home, "chain", "problem", &["cannot be read"]);
    fs::remove_dir_all(chain.path()).expect("one's own folder");
    expect(&home, "chain", "problem", &["is missing from this home"]);
}

/// A miner of another difficulty is heard, on the same ports.
pub fn a_network_of_other_parameters(program: &Path) {
    let lab = Lab::new(program);
    let mut miner = mine(&lab.home("mined"));
    reaches(&mut miner, 1);
    let other = lab.home("other").set("difficulty", 13);
    expect(
        &other,
        "peers",
        "problem",
        &["127.0.0.1 runs difficulty 12, this network 13"],
    );
    // Where the chain's parameters are remembered, a contradiction is told as the settings'.
    drop(miner.kill());
    let home = lab.home("mined").set("difficulty", 13);
    expect(
        &home,
        "settings",
        "problem",
        &["difficulty is 13", "difficulty 12"],
    );
}

/// Two hosts: the one hears the other's miner by its broadcasts, until its own
/// interface is down.
pub fn a_lan(program: &Path) {
    let lab = Lab::new(program);
    let bridge = Bridge::build(&[Half::West, Half::East]);
    let on = |index: usize, name: &str| {
        lab.home(name)
            .inside(bridge.host(index).entry())
            .with(["--network", "lan"])
    };
    let (there, here) = (on(0, "there"), on(1, "here"));
    let mut miner = mine(&there);
    reaches(&mut miner, 1);
    expect(&here, "peers", "ok", &["1 miner of this network"]);
    expect(
        &here,
        "broadcast",
        "ok",
        &["eth0, from 10.77.0.2 to 10.77.0.255 port 2606"],
    );
    expect(&here, "broadcast", "ok", &["eth0", "port 2608", "heard"]);
    bridge.host(1).unplug();
    let (findings, done) = examine(&here);
    let told = findings.iter().any(|finding| {
        finding["check"] == "broadcast"
            && finding["level"] == "problem"
            && (finding["found"].as_str().unwrap_or_default()).contains("eth0")
    });
    assert!(told, "{done}");
    expect(
        &here.set("interfaces", "eth7"),
        "broadcast",
        "problem",
        &["no interface in use"],
    );
}
