//! Homes that are there, gone, or somebody else's.

use super::*;
use mvb_protocol::{chain::ChainStore, params::ChainParams};

fn params(name: &str) -> ChainParams {
    ChainParams {
        network_name: name.to_owned(),
        ..ChainParams::default()
    }
}

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let (home, _) = Home::open_or_create(&folder.path().join("home")).unwrap();
    (folder, home)
}

#[test]
fn the_flag_wins_over_the_variable_and_both_over_the_platform() {
    let flag = Path::new("/flag");
    let variable = OsStr::new("/variable");
    assert_eq!(locate(Some(flag), Some(variable)).unwrap(), flag);
    assert_eq!(locate(None, Some(variable)).unwrap(), Path::new(variable));
    assert_ne!(
        locate(None, Some(OsStr::new(""))).ok(),
        Some(PathBuf::new())
    );
}

#[test]
fn a_home_with_a_dot_in_its_path_holds_everything_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v1.2.d").join("home.x");
    let (home, found) = Home::open_or_create(&path).unwrap();
    assert_eq!(found, Found::Created);
    let lock = home.lock(Role::Wallet).unwrap();
    drop(home.open_chain(&params("dots"), &lock).unwrap());
    let outbox = home.outbox_folder(params("dots").genesis_id());
    drop(crate::wallet::Outbox::open(&outbox).unwrap());
    assert!(outbox.starts_with(&path) && outbox.join("data.mdb").is_file());
    let beside: Vec<_> = fs::read_dir(folder.path().join("v1.2.d"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(beside, ["home.x"]);
}

#[test]
fn a_missing_home_is_said_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone");
    let refused = Home::open(&path).unwrap_err();
    assert!(refused.to_string().contains("no home at"), "{refused}");
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    assert!(matches!(
        Home::open_or_create(&path),
        Err(HomeError::NotAFolder { .. })
    ));
}

#[test]
fn a_second_writer_is_told_who_holds_the_home() {
    let (_folder, home) = home();
    let lock = home.lock(Role::Miner).unwrap();
    let refused = home.lock(Role::Wallet).unwrap_err();
    assert!(matches!(
        refused,
        HomeError::Lock(LockError::Held { pid, role: Role::Miner }) if pid == std::process::id()
    ));
    assert!(
        refused.to_string().contains("the miner process"),
        "{refused}"
    );
    assert_eq!(home.holder().unwrap().unwrap().role, Role::Miner);
    drop(lock);
    assert_eq!(home.holder().unwrap(), None);
    home.lock(Role::Wallet).unwrap();
}

#[test]
fn a_reader_opens_the_chain_beside_its_writer() {
    let (_folder, home) = home();
    assert!(home.read_chain(&params("a")).unwrap().is_none());
    let lock = home.lock(Role::Miner).unwrap();
    let opened = home.open_chain(&params("a"), &lock).unwrap();
    assert_eq!(opened.found, Found::Created);
    let reader = home.read_chain(&params("a")).unwrap().unwrap();
    assert_eq!(
        reader.snapshot().unwrap().tip().unwrap(),
        opened.store.snapshot().unwrap().tip().unwrap()
    );
}

#[test]
fn a_chain_that_is_gone_is_said_and_no_new_one_begun() {
    let (_folder, home) = home();
    let lock = home.lock(Role::Miner).unwrap();
    drop(home.open_chain(&params("a"), &lock).unwrap());
    fs::remove_dir_all(home.path().join("chains")).unwrap();
    let refused = home.open_chain(&params("a"), &lock).err().unwrap();
    assert!(
        matches!(refused, HomeError::ChainMissing { .. }),
        "{refused}"
    );
    assert!(home.read_chain(&params("a")).is_err());
    assert!(!home.path().join("chains").exists());
    fs::remove_file(home.chain_record()).unwrap();
    let opened = home.open_chain(&params("a"), &lock).unwrap();
    assert_eq!(opened.found, Found::Created);
}

#[test]
fn a_crash_between_the_chain_and_its_record_loses_no_parameters() {
    let (_folder, home) = home();
    let lock = home.lock(Role::Miner).unwrap();
    drop(home.open_chain(&params("a"), &lock).unwrap());
    fs::remove_file(home.chain_record()).unwrap();
    assert_eq!(remembered_params(home.path()).unwrap(), Some(params("a")));
    let opened = home.open_chain(&params("a"), &lock).unwrap();
    assert_eq!(opened.found, Found::Existing);
    assert!(home.chain_record().exists());
}

#[test]
fn a_damaged_record_is_said_with_its_path() {
    let (_folder, home) = home();
    let lock = home.lock(Role::Miner).unwrap();
    drop(home.open_chain(&params("a"), &lock).unwrap());
    let text = fs::read_to_string(home.chain_record()).unwrap();
    for changed in [
        text.replace("difficulty = 26", "difficulty = 25"),
        text.replace("difficulty = 26", "difficulty = 0"),
        text.replace("network_name", "name"),
        String::new(),
    ] {
        fs::write(home.chain_record(), changed).unwrap();
        let refused = remembered_params(home.path()).unwrap_err().to_string();
        assert!(refused.contains("chain.toml is damaged"), "{refused}");
    }
    fs::write(
        home.chain_record(),
        text.replace("rules_version = 1", "rules_version = 2"),
    )
    .unwrap();
    let refused = remembered_params(home.path()).unwrap_err().to_string();
    assert!(refused.contains("rules version 2"), "{refused}");
}

#[test]
fn a_reset_demands_a_new_name_and_keeps_keys_and_payments() {
    let (_folder, home) = home();
    let lock = home.lock(Role::Maintenance).unwrap();
    drop(home.open_chain(&params("a"), &lock).unwrap());
    let outbox = home.outbox_folder(params("a").genesis_id());
    drop(crate::wallet::Outbox::open(&outbox).unwrap());
    assert!(matches!(
        home.reset_chain(&params("a"), &lock),
        Err(HomeError::SameName { .. })
    ));
    drop(home.reset_chain(&params("b"), &lock).unwrap());
    assert_eq!(remembered_params(home.path()).unwrap(), Some(params("b")));
    assert!(!home.chain_folder(params("a").genesis_id()).exists());
    assert!(outbox.exists());
}

#[test]
fn an_atomic_write_leaves_one_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.json");
    write_atomically(&path, b"old", Outlives::Crash).unwrap();
    write_atomically(&path, b"new", Outlives::Nothing).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
