//! What is told of a home, as it is found and as it is judged.

use super::*;
use crate::{doctor::Level, home::Role, wallet::KeyName};
use mvb_protocol::keys::Curve;
use std::time::Duration;

fn home() -> (tempfile::TempDir, Config) {
    let place = tempfile::tempdir().unwrap();
    let config = Config::load(&place.path().join("home"), &[], std::iter::empty()).unwrap();
    Home::open_or_create(&config.home).unwrap();
    (place, config)
}

fn found(config: &Config, check: Check) -> Finding {
    let (findings, _) = examine(config, &Resident::None);
    findings
        .into_iter()
        .find(|finding| finding.check == check)
        .unwrap()
}

#[test]
fn a_new_home_is_well() {
    let (_place, config) = home();
    let (findings, stamp) = examine(&config, &Resident::None);
    let but_the_disk = findings.iter().filter(|found| found.check != Check::Disk);
    assert!(
        but_the_disk.clone().all(|found| found.level == Level::Good),
        "{findings:?}"
    );
    assert_eq!((but_the_disk.count(), stamp), (5, None));
}

#[test]
fn a_home_that_is_missing_is_noted_with_how_to_make_one() {
    let (place, config) = home();
    fs::remove_dir(&config.home).unwrap();
    let finding = found(&config, Check::Home);
    assert_eq!(finding.level, Level::Note);
    assert!(finding.found.contains("no home at"), "{finding:?}");
    // The disk that it would lie on is looked at all the same.
    found(&config, Check::Disk);
    fs::write(place.path().join("home"), "").unwrap();
    assert_eq!(found(&config, Check::Home).level, Level::Problem);
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
#[cfg(unix)]
fn a_home_open_to_others_is_told_with_its_mode_and_the_command() {
    let (_place, config) = home();
    for (mode, level) in [
        (0o700, Level::Good),
        (0o755, Level::Note),
        (0o770, Level::Problem),
    ] {
        set_mode(&config.home, mode);
        let finding = found(&config, Check::Home);
        assert_eq!(finding.level, level, "{finding:?}");
        if level != Level::Good {
            assert!(finding.found.contains(&format!("{mode:03o}")));
            assert!(finding.remedy.unwrap().starts_with("chmod 700 "));
        }
    }
}

#[test]
fn a_home_that_cannot_be_written_to_is_a_problem() {
    let finding = judge_folder(&Folder {
        path: "/x".into(),
        mode: Some(0o500),
        writable: false,
    });
    assert_eq!(finding.level, Level::Problem);
    assert_eq!(finding.found, "/x cannot be written to");
}

#[test]
fn a_disk_with_less_than_the_least_room_is_a_problem() {
    for (free, level, says) in [
        (LEAST_ROOM, Level::Good, "1.0 GiB free"),
        (
            LEAST_ROOM - 1,
            Level::Problem,
            "GiB free on the disk of /x, less than 1.0 GiB",
        ),
        (3 << 20, Level::Problem, "3.0 MiB free"),
    ] {
        let finding = judge_room(Path::new("/x"), free);
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.found.contains(says), "{finding:?}");
    }
}

#[test]
#[cfg(unix)]
fn a_key_that_others_can_read_and_one_that_is_none_are_named() {
    let (_place, config) = home();
    let name: KeyName = "alice".parse().unwrap();
    let keys = KeyStore::new(&config.key_store_dir);
    let key = keys.create(&name, Curve::P256, None).unwrap();
    assert_eq!(
        found(&config, Check::Keys).found,
        "1 key, its owner's alone"
    );
    set_mode(&key.path, 0o644);
    let open = found(&config, Check::Keys);
    assert_eq!(open.level, Level::Problem);
    assert!(
        open.found
            .contains("alice.pem can be read by others (mode 644)")
    );
    assert!(open.remedy.unwrap().starts_with("chmod 600 "));
    set_mode(&key.path, 0o600);
    fs::write(config.home.join("broken.pem"), "no key").unwrap();
    let broken = found(&config, Check::Keys);
    assert_eq!(broken.level, Level::Problem);
    assert!(broken.found.contains("broken.pem"), "{broken:?}");
}

#[test]
fn who_holds_the_home_is_told() {
    let (_place, config) = home();
    let home = Home::open(&config.home).unwrap();
    let lock = home.lock(Role::Miner).unwrap();
    let held = found(&config, Check::Lock);
    assert_eq!(held.level, Level::Good);
    let by = format!("the miner process {} holds the home", std::process::id());
    assert_eq!(held.found, by);
    drop(lock);
    assert_eq!(found(&config, Check::Lock).found, "nobody holds the home");
    fs::write(home.resident_file(), "{}").unwrap();
    let abandoned = found(&config, Check::Lock);
    assert_eq!(abandoned.level, Level::Note);
    assert!(abandoned.found.contains("without cleaning up"));
}

#[test]
fn a_lock_whose_holder_is_gone_or_silent_is_a_problem() {
    let by = |there, since| Held::By {
        holder: Some(Holder {
            pid: 77,
            role: Role::Wallet,
        }),
        there,
        resident: Resident::Silent {
            since: Duration::from_secs(since),
        },
    };
    let gone = judge_lock(&by(Some(false), 0));
    assert_eq!(gone.level, Level::Problem);
    assert!(
        gone.found
            .contains("77 holds the home, and this machine has no such")
    );
    let silent = judge_lock(&by(Some(true), 60));
    assert_eq!(silent.level, Level::Problem);
    assert!(
        silent.found.contains("no sign of life for 60 s"),
        "{silent:?}"
    );
    // It has not written at all yet: it is starting.
    assert_eq!(judge_lock(&by(Some(true), 0)).level, Level::Good);
    assert_eq!(judge_lock(&by(None, 0)).level, Level::Good);
    let nameless = Held::By {
        holder: None,
        there: None,
        resident: Resident::None,
    };
    assert_eq!(judge_lock(&nameless).level, Level::Note);
}

#[test]
fn a_chain_is_told_by_its_height_and_a_damaged_or_missing_one_as_that() {
    let (_place, config) = home();
    let home = Home::open(&config.home).unwrap();
    assert!(found(&config, Check::Chain).found.starts_with("none yet"));
    let lock = home.lock(Role::Wallet).unwrap();
    drop(home.open_chain(config.chain_params(), &lock).unwrap());
    assert!(found(&config, Check::Chain).found.starts_with("height 0, "));

    let folder = home.chain_folder(config.chain_params().genesis_id());
    fs::write(folder.join("data.mdb"), [7; 8192]).unwrap();
    let damaged = found(&config, Check::Chain);
    assert_eq!(damaged.level, Level::Problem);
    assert!(damaged.found.starts_with("cannot be read: "), "{damaged:?}");

    fs::remove_dir_all(folder).unwrap();
    let missing = found(&config, Check::Chain);
    assert_eq!(missing.level, Level::Problem);
    assert!(missing.found.contains("is missing from this home"));
}

#[test]
fn payments_are_looked_at_without_a_change_and_told_where_they_are_damaged() {
    let (_place, config) = home();
    let home = Home::open(&config.home).unwrap();
    let folder = home.outbox_folder(config.chain_params().genesis_id());
    let finding = found(&config, Check::Payments);
    assert_eq!(
        (finding.level, finding.found.as_str()),
        (Level::Good, "none sent yet")
    );
    assert!(!folder.exists());

    drop(Outbox::open(&folder).unwrap());
    let finding = found(&config, Check::Payments);
    assert_eq!(finding.level, Level::Good);
    assert_eq!(finding.found, "can be read, 0 of them not settled yet");

    fs::write(folder.join("data.mdb"), [7; 8192]).unwrap();
    let finding = found(&config, Check::Payments);
    assert_eq!(finding.level, Level::Problem);
    assert!(
        finding.found.contains("saved payments are damaged"),
        "{finding:?}"
    );
    assert!(
        finding
            .remedy
            .unwrap()
            .contains(&folder.display().to_string())
    );
}
