//! What a resident process says is believed only while it lives and writes.

use super::*;
use mvb_protocol::{chain::Tip, params::ChainParams};
use std::fs;

const NOW: Timestamp = Timestamp(1_000_000);

struct World {
    _folder: tempfile::TempDir,
    home: Home,
    view: View,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path()).unwrap();
    let genesis = ChainParams::default().genesis_id();
    World {
        _folder: folder,
        home,
        view: View::new(Tip::genesis(genesis)),
    }
}

fn writer(home: &Home) -> ResidentWriter {
    let genesis = ChainParams::default().genesis_id();
    let interval = Duration::from_secs(5);
    ResidentWriter::new(
        home.clone(),
        Role::Miner,
        genesis,
        NOW,
        interval,
        Some(2607),
    )
}

#[test]
fn what_is_written_is_read_while_the_lock_is_held() {
    let world = world();
    let lock = world.home.lock(Role::Miner).unwrap();
    let writer = writer(&world.home);
    world.view.mempool.send_modify(|mempool| mempool.ready = 3);
    writer.write(&world.view, NOW).unwrap();
    let Resident::Alive(status) = read(&world.home, NOW.saturating_add(1)).unwrap() else {
        panic!("it has just written");
    };
    assert_eq!((status.ready, status.role.as_str()), (3, "miner"));
    assert_eq!(status.miner_heard, None);
    drop(writer);
    assert!(!world.home.resident_file().exists());
    drop(lock);
    assert_eq!(read(&world.home, NOW).unwrap(), Resident::None);
}

#[test]
fn every_payment_heard_is_in_one_of_its_counts() {
    let world = world();
    let _lock = world.home.lock(Role::Miner).unwrap();
    let counters = &world.view.counters;
    counters.accepted_payments.set(5);
    counters.duplicate_payments.set(2);
    counters.bad_datagrams.set(1);
    counters.refusals.borrow_mut().insert("mempool full", 3);
    let writer = writer(&world.home);
    writer.write(&world.view, NOW).unwrap();
    let Resident::Alive(status) = read(&world.home, NOW).unwrap() else {
        panic!("it has just written");
    };
    assert_eq!(status.intake.refused["mempool full"], 3);
    assert_eq!(status.intake.total(), 11);
}

#[test]
fn its_own_mining_counts_as_a_miner_heard() {
    let world = world();
    world
        .view
        .mining
        .send_modify(|mining| mining.state = MiningState::WaitingForPayments { missing: 1 });
    let status = writer(&world.home).status(&world.view, NOW);
    assert_eq!(status.miner_heard, Some(NOW.0));
    assert_eq!(status.mining.unwrap(), "waits for 1 more transaction");
}

#[test]
fn a_file_without_a_living_process_is_not_believed() {
    let world = world();
    let writer = writer(&world.home);
    writer.write(&world.view, NOW).unwrap();
    assert_eq!(read(&world.home, NOW).unwrap(), Resident::None);
}

#[test]
fn a_process_that_stopped_writing_is_silent() {
    let world = world();
    let _lock = world.home.lock(Role::Miner).unwrap();
    assert_eq!(
        read(&world.home, NOW).unwrap(),
        Resident::Silent {
            since: Duration::ZERO
        }
    );
    let writer = writer(&world.home);
    writer.write(&world.view, NOW).unwrap();
    let later = NOW.saturating_add(16_000);
    assert_eq!(
        read(&world.home, later).unwrap(),
        Resident::Silent {
            since: Duration::from_secs(16)
        }
    );
}

#[test]
fn a_file_of_the_process_before_is_not_this_ones() {
    let world = world();
    let writer = writer(&world.home);
    writer.write(&world.view, NOW).unwrap();
    let text = fs::read_to_string(world.home.resident_file()).unwrap();
    let own = format!("\"pid\": {}", std::process::id());
    fs::write(world.home.resident_file(), text.replace(&own, "\"pid\": 1")).unwrap();
    let _lock = world.home.lock(Role::Miner).unwrap();
    assert_eq!(
        read(&world.home, NOW).unwrap(),
        Resident::Silent {
            since: Duration::ZERO
        }
    );
}

#[test]
fn a_home_deleted_under_the_process_is_an_error() {
    let world = world();
    let writer = writer(&world.home);
    fs::remove_dir_all(world.home.path()).unwrap();
    assert!(writer.write(&world.view, NOW).is_err());
}
