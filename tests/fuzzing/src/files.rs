//! The files of a home, whoever damaged them: keys, the record of the chain, what the
//! resident process says, the lock, and the chain's own file.

use crate::{Seed, Target, Verdict, accepted, beyond, bytes::Bytes, ledger, records, refused};
use mvb_node::{
    home::{CHAIN_RECORD, Home, Role, remembered_params},
    resident::ResidentStatus,
    wallet::{
        Passphrase,
        key_store::fuzzing::{Found, read, write},
    },
};
use mvb_protocol::{
    keys::{Curve, SecretKey},
    validate::Sequential,
};
use mvb_storage::{LmdbStore, VerifyReport, check_file, stored_params};
use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef,
    der::{Decode, Encode, asn1::OctetStringRef, pem},
    pkcs5::{EncryptionScheme, pbes2, scrypt},
};
use std::{fs, sync::OnceLock, thread_local};
use tempfile::TempDir;

pub(crate) const KEY_FILE: Target = Target {
    name: "key_file",
    run: key_file,
    seeds: key_file_seeds,
    tokens: &[
        b"-----BEGIN PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
        b"-----END PRIVATE KEY-----\n",
        b"-----BEGIN EC PRIVATE KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\n",
        b"Proc-Type: 4,ENCRYPTED\n",
        b"-----BEGIN ",
        b"\n",
    ],
    few: 300,
};

pub(crate) const CHAIN: Target = Target {
    name: "chain_record",
    run: chain_record,
    seeds: chain_record_seeds,
    tokens: &[
        b"genesis = \"",
        b"rules_version = ",
        b"\n",
        b"block_reward = \"",
    ],
    few: 500,
};

pub(crate) const RESIDENT: Target = Target {
    name: "resident",
    run: resident,
    seeds: resident_seeds,
    tokens: &[
        b"null",
        b"18446744073709551615",
        b"[1,2]",
        b"\"pid\":",
        b"\\u0000",
    ],
    few: 2_000,
};

pub(crate) const LOCK: Target = Target {
    name: "lock",
    run: lock,
    seeds: lock_seeds,
    tokens: &[b"miner", b"wallet", b"4294967295", b" ", b"\n"],
    few: 300,
};

pub(crate) const STORE_FILE: Target = Target {
    name: "store_file",
    run: store_file,
    seeds: store_file_seeds,
    tokens: &[b"\x00\x10", b"\x00\x0c", b"\xff\xff"],
    few: 15,
};

thread_local! {
    static FOLDER: TempDir = tempfile::tempdir().expect("a folder for tests");
}

const PASSPHRASE: &str = "correct horse";

/// A key file's bytes.
fn key_file(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else {
        return Verdict::Refused;
    };
    let passphrase = Passphrase::new(PASSPHRASE.to_owned());
    match read(text, &passphrase) {
        Ok(Found::Plain(secret)) => same_after_writing(&secret, &passphrase),
        Ok(Found::Encrypted(public, tried)) => match tried {
            Some(Ok(secret)) => {
                assert!(public.is_none_or(|public| public == secret.public_key()));
                same_after_writing(&secret, &passphrase);
            }
            Some(Err(error)) => return refused(error),
            None => {}
        },
        Err(error) => {
            let told = error.to_string();
            for line in text.lines().filter(|line| line.len() >= 32) {
                // A label is told, up to 40 characters, and is no part of a key; nor is a line
                // that happens to say what is told, words with spaces between them.
                let is_of_key = !line.contains("-----") && !line.trim().contains(' ');
                assert!(
                    !is_of_key || !told.contains(line),
                    "a key's line is told: {told}"
                );
            }
            return refused(error);
        }
    }
    Verdict::Accepted
}

fn same_after_writing(secret: &SecretKey, passphrase: &Passphrase) {
    match read(&write(secret), passphrase) {
        Ok(Found::Plain(again)) => assert_eq!(again.to_bytes(), secret.to_bytes()),
        _ => panic!("its own file is no plain key"),
    }
}

/// The file in which a home remembers its chain.
fn chain_record(data: &[u8]) -> Verdict {
    FOLDER.with(|folder| {
        let file = folder.path().join(CHAIN_RECORD);
        fs::write(&file, data).expect("a folder for tests");
        let read = remembered_params(folder.path());
        fs::remove_file(&file).expect("it was just written");
        match read {
            Ok(params) => {
                let params = params.expect("there is a record");
                assert_eq!(params.validate(), Ok(()));
                let text = String::from_utf8_lossy(data);
                assert!(text.contains(&params.genesis_id().to_string()));
                Verdict::Accepted
            }
            Err(error) => refused(error),
        }
    })
}

/// What the resident process wrote last.
fn resident(data: &[u8]) -> Verdict {
    match serde_json::from_slice::<ResidentStatus>(data) {
        Ok(status) => {
            let again = serde_json::to_vec_pretty(&status).expect("a flat record");
            let again: ResidentStatus = serde_json::from_slice(&again).expect("just written");
            assert_eq!(again, status);
            Verdict::Accepted
        }
        Err(error) => refused(error),
    }
}

/// The lock file's content, while the lock is held.
fn lock(data: &[u8]) -> Verdict {
    FOLDER.with(|folder| {
        let home = Home::open(folder.path()).expect("a folder for tests");
        let _held = home
            .lock(Role::Miner)
            .expect("nobody else knows the folder");
        fs::write(home.lock_file(), data).expect("a folder for tests");
        match home.holder().expect("it can be read") {
            Some(holder) => {
                let said = format!("{} {}", holder.pid, holder.role);
                let text = String::from_utf8_lossy(data);
                let words: Vec<&str> = text.split_whitespace().collect();
                assert!(words.len() >= 2, "{said} was not written");
                Verdict::Accepted
            }
            None => Verdict::Refused,
        }
    })
}

/// The file of a sound store, and what its replay says.
fn sound_file() -> &'static (Vec<u8>, VerifyReport) {
    static FILE: OnceLock<(Vec<u8>, VerifyReport)> = OnceLock::new();
    FILE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for tests");
        let store = LmdbStore::open(folder.path(), &ledger::params()).expect("a new store");
        records::fill(&store);
        let report = store
            .verify(&Sequential, &mut |_, _| {})
            .expect("it is new");
        assert!(report.is_sound());
        drop(store);
        let bytes = fs::read(folder.path().join("data.mdb")).expect("it was just written");
        (bytes, report)
    })
}

/// A list of damages to a sound store's file: scribbles, copied pages, a cut. Whatever is
/// opened is what was there, or what is wrong is found; LMDB alone would crash.
fn store_file(data: &[u8]) -> Verdict {
    const PAGE: usize = 4_096;
    let (sound, report) = sound_file();
    let (mut bytes, mut choices) = (sound.clone(), Bytes(data));
    while !choices.is_empty() && !bytes.is_empty() {
        let pages = bytes.len() / PAGE;
        match choices.byte() % 4 {
            // The first bytes of a page decide where LMDB goes.
            0 => {
                let at = choices.below(pages) * PAGE + choices.below(160);
                let piece = choices.take(2);
                for (byte, new) in bytes.iter_mut().skip(at).zip(piece) {
                    *byte = *new;
                }
            }
            1 => {
                let at = choices.below(pages) * PAGE + choices.below(PAGE);
                let piece = choices.chunk();
                for (byte, new) in bytes.iter_mut().skip(at).zip(piece) {
                    *byte ^= *new;
                }
            }
            2 => {
                let (from, to) = (choices.below(pages), choices.below(pages));
                if pages > 0 {
                    bytes.copy_within(from * PAGE..(from + 1) * PAGE, to * PAGE);
                }
            }
            _ => {
                let cut = choices.below(4) * PAGE + choices.below(PAGE) % 3;
                bytes.truncate(bytes.len().saturating_sub(cut));
            }
        }
    }
    let folder = tempfile::tempdir().expect("a folder for tests");
    let file = folder.path().join("data.mdb");
    fs::write(&file, &bytes).expect("a folder for tests");
    let checked = check_file(folder.path());
    drop(stored_params(folder.path()));
    let opened = LmdbStore::open(folder.path(), &ledger::params());
    if bytes.is_empty() {
        return Verdict::Refused;
    }
    match opened {
        Ok(store) => {
            assert_eq!(checked.err(), None, "opened, but its pages are damaged");
            let replayed = store
                .verify(&Sequential, &mut |_, _| {})
                .expect("it is readable");
            records::look_at_everything(&store);
            // What is called sound is what was there, or one commit before it.
            let same = replayed == *report || replayed.height < report.height;
            assert!(
                same || !replayed.is_sound(),
                "{replayed:?}, it was {report:?}"
            );
            Verdict::Accepted
        }
        Err(error) => refused(error),
    }
}

fn encrypted(secret: &SecretKey, parameters: pbes2::Parameters) -> String {
    let plain = pem::decode_vec(write(secret).as_bytes())
        .expect("just written")
        .1;
    let info = PrivateKeyInfoRef::from_der(&plain).expect("just written");
    let document = info
        .encrypt_with_params(parameters, PASSPHRASE.as_bytes())
        .expect("supported parameters");
    encode("ENCRYPTED PRIVATE KEY", document.as_bytes())
}

fn encode(label: &str, der: &[u8]) -> String {
    pem::encode_string(label, LineEnding::LF, der).expect("a short document")
}

/// An encrypted key that asks for a cost, of nothing.
fn of_cost(cost_parameter: u64, block_size: u16, parallelization: u16) -> String {
    let kdf = pbes2::Kdf::Scrypt(pbes2::ScryptParams {
        salt: [7; 16].as_slice().try_into().expect("a short salt"),
        cost_parameter,
        block_size,
        parallelization,
        key_length: None,
    });
    let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] };
    let info = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: EncryptionScheme::Pbes2(pbes2::Parameters { kdf, encryption }),
        encrypted_data: OctetStringRef::new(&[0; 48]).expect("short"),
    };
    encode("ENCRYPTED PRIVATE KEY", &info.to_der().expect("short"))
}

fn key_file_seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for curve in Curve::ALL {
        let secret = ledger::secret(curve);
        let plain = write(&secret);
        seeds.push(accepted(plain.clone()));
        seeds.push(accepted(format!("a comment\n{plain}another\n")));
        seeds.push(beyond(plain.replace("-----END", "-----EMD")));
        let cost = scrypt::Params::new(1, 1, 1).expect("a low cost");
        let scrypt = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &[1; 16], [2; 16]);
        let pbkdf2 = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(1, &[1; 16], [2; 16]);
        for parameters in [scrypt, pbkdf2] {
            let text = encrypted(&secret, parameters.expect("a short salt"));
            seeds.push(accepted(text.clone()));
            seeds.push(accepted(format!("{text}{}", public(curve))));
            let other = Curve::ALL[(curve as usize + 1) % 3];
            seeds.push(beyond(format!("{text}{}", public(other))));
        }
    }
    seeds.push(accepted(sec1()));
    for (n, r, p) in [
        (0, 8, 1),
        (3, 8, 1),
        (1 << 40, 8, 1),
        (u64::MAX, u16::MAX, 9),
        (2, 1, 17),
    ] {
        seeds.push(beyond(of_cost(n, r, p)));
    }
    for text in FOREIGN {
        seeds.push(beyond(*text));
    }
    seeds
}

fn public(curve: Curve) -> String {
    use pkcs8::{ObjectIdentifier, SubjectPublicKeyInfoRef, der::asn1::BitStringRef, spki};
    let oid = ObjectIdentifier::new_unwrap(match curve {
        Curve::P256 => "1.2.840.10045.3.1.7",
        Curve::P384 => "1.3.132.0.34",
        Curve::P521 => "1.3.132.0.35",
    });
    let key = ledger::secret(curve).public_key();
    let info = SubjectPublicKeyInfoRef {
        algorithm: spki::AlgorithmIdentifierRef {
            oid: ObjectIdentifier::new_unwrap("1.2.840.10045.2.1"),
            parameters: Some((&oid).into()),
        },
        subject_public_key: BitStringRef::from_bytes(key.as_bytes()).expect("short"),
    };
    encode("PUBLIC KEY", &info.to_der().expect("short"))
}

fn sec1() -> String {
    let bytes = ledger::secret(Curve::P256).to_bytes();
    let key = p256::SecretKey::from_slice(&bytes).expect("a key of this curve");
    encode("EC PRIVATE KEY", &key.to_sec1_der().expect("short"))
}

/// Files that people have by mistake: RSA, Ed25519, secp256k1, encrypted in the old way.
const FOREIGN: &[&str] = &[
    "",
    "\n",
    "hello",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n-----END PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\nMD4CAQAwEAYHKoZIzj0CAQYFK4EEAAoEJzAlAgEBBCAHBwcHBwcHBwcHBwcHBwcH\nBwcHBwcHBwcHBwcHBwcHBw==\n-----END PRIVATE KEY-----\n",
    "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
    "-----BEGIN \u{1b}[2J-----\n-----END \u{1b}[2J-----\n",
];

fn chain_record_seeds() -> Vec<Seed> {
    let params = ledger::params();
    let text = format!(
        "# A comment.\nrules_version = 1\nnetwork_name = \"{}\"\ndifficulty = {}\nblock_size = {}\n\
        block_reward = \"{}\"\ntarget_block_seconds = {}\nmax_block_bytes = {}\ngenesis = \"{}\"\n",
        params.network_name,
        params.difficulty,
        params.block_size,
        params.block_reward,
        params.target_block_seconds,
        params.max_block_bytes,
        params.genesis_id()
    );
    vec![
        accepted(text.clone()),
        beyond(text.replace("rules_version = 1", "rules_version = 2")),
        beyond(text.replace("difficulty = 1", "difficulty = 0")),
        beyond(text.replace("difficulty = 1", "difficulty = 2")),
        beyond(text.replace("difficulty = 1", "difficulty = 1\nmore = 1")),
        beyond(text.replace("genesis", "Genesis")),
        beyond(Vec::new()),
        beyond(vec![0xff]),
    ]
}

fn resident_seeds() -> Vec<Seed> {
    let status = ResidentStatus {
        pid: 7,
        role: "miner".to_owned(),
        genesis: "00".repeat(32),
        started: 1,
        written: u64::MAX,
        interval: 5_000,
        height: 9,
        tip: "11".repeat(32),
        miner_heard: Some(3),
        peers: 2,
        waiting: 1,
        ready: 1,
        mining: Some("searching block 10".to_owned()),
        catching_up: Some((u64::MAX, 0)),
        other_network: None,
        block_server_port: Some(2_607),
        intake: Default::default(),
    };
    let text = serde_json::to_string_pretty(&status).expect("a flat record");
    vec![
        accepted(text.clone()),
        beyond(text.replace("\"pid\": 7", "\"pid\": -7")),
        beyond(text.replace("\"pid\": 7", "\"pid\": 4294967296")),
        beyond(text[..text.len() / 2].to_owned()),
        beyond(format!("{text}x")),
        beyond("[".repeat(10_000)),
        beyond(Vec::new()),
    ]
}

fn lock_seeds() -> Vec<Seed> {
    vec![
        accepted("1234 miner\n"),
        accepted("4294967295 wallet\n"),
        beyond("4294967296 miner\n"),
        beyond("miner\n"),
        beyond("1234\n"),
        beyond(""),
        beyond(vec![0xff; 200]),
        beyond("1234 king\n"),
    ]
}

fn store_file_seeds() -> Vec<Seed> {
    vec![
        accepted(Vec::new()),
        // A meta page whose magic is gone, a page that is another's, a cut.
        beyond([0, 0, 0, 0, 16, 1, 1]),
        beyond([2, 0, 9, 0, 5]),
        beyond([3, 0, 3, 0, 1, 3, 0, 3, 0, 1, 3, 0, 3, 0, 1, 3, 0, 3, 0, 1]),
    ]
}
