//! Keys that are made, found, foreign, broken or half written.

use super::*;
use std::{
    process::{Command, Stdio},
    thread,
};

fn store() -> (tempfile::TempDir, KeyStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::new(folder.path().join("keys"));
    (folder, store)
}

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned())
}

#[test]
fn a_new_key_of_each_curve_is_found_again_and_signs() {
    let (_folder, store) = store();
    for curve in Curve::ALL {
        let name = name(&format!("key{}", curve.bits()));
        let created = store.create(&name, curve, None).unwrap();
        assert_eq!(created.curve(), curve);
        assert_eq!(store.find(&name).unwrap(), created);
        let secret = store.load(&name, None).unwrap();
        let signature = secret.sign(b"text");
        created.key.verify(b"text", &signature).unwrap();
        let found = store.find_address(&created.address()).unwrap();
        assert_eq!(found, Some(created));
    }
    assert_eq!(store.list().unwrap().keys.len(), 3);
}

#[test]
fn a_key_is_never_overwritten() {
    let (_folder, store) = store();
    let first = store.create(&name("a"), Curve::P256, None).unwrap();
    let refused = store.create(&name("a"), Curve::P384, None).unwrap_err();
    assert!(matches!(refused, KeyStoreError::Exists { .. }), "{refused}");
    assert_eq!(store.find(&name("a")).unwrap(), first);
    fs::create_dir(store.path(&name("folder"))).unwrap();
    assert!(store.create(&name("folder"), Curve::P256, None).is_err());
    assert_eq!(
        store.find_or_create(&name("a"), Curve::P521).unwrap(),
        first
    );
}

#[test]
fn of_two_that_make_one_key_at_once_one_wins_and_the_file_is_its() {
    let (_folder, store) = store();
    let made: Vec<_> = thread::scope(|scope| {
        let makers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| store.create(&name("same"), Curve::P256, None)))
            .collect();
        makers
            .into_iter()
            .map(|maker| maker.join().unwrap())
            .collect()
    });
    let winners: Vec<_> = made.into_iter().flatten().collect();
    assert_eq!(winners, [store.find(&name("same")).unwrap()]);
    assert_eq!(fs::read_dir(store.folder()).unwrap().count(), 1);
}

#[test]
fn a_leftover_of_a_crash_is_no_key_and_stands_in_nobodys_way() {
    let (_folder, store) = store();
    fs::create_dir_all(store.folder()).unwrap();
    let leftover = store.folder().join(".a.pem.0123456789abcdef.tmp");
    fs::write(&leftover, "-----BEGIN PRIVATE KEY-----\nhalf").unwrap();
    let listing = store.list().unwrap();
    assert!(listing.keys.is_empty() && listing.problems.is_empty());
    store.create(&name("a"), Curve::P256, None).unwrap();
    assert_eq!(store.list().unwrap().keys.len(), 1);
}

#[test]
fn the_address_of_an_encrypted_key_needs_no_passphrase_but_its_secret_does() {
    let (_folder, store) = store();
    let right = passphrase("correct horse");
    let created = store
        .create(&name("safe"), Curve::P384, Some(&right))
        .unwrap();
    assert!(created.encrypted);
    assert_eq!(store.find(&name("safe")).unwrap(), created);
    let locked = store.load(&name("safe"), None).unwrap_err();
    assert!(matches!(locked, KeyStoreError::Locked { .. }), "{locked}");
    let wrong = store.load(&name("safe"), Some(&passphrase("wrong")));
    let wrong = wrong.unwrap_err().to_string();
    assert!(wrong.contains("wrong passphrase"), "{wrong}");
    let secret = store.load(&name("safe"), Some(&right)).unwrap();
    assert_eq!(secret.public_key(), created.key);
    let empty = store.create(&name("b"), Curve::P256, Some(&passphrase("")));
    assert!(matches!(empty, Err(KeyStoreError::EmptyPassphrase)));
}

/// An encrypted key file that asks for a cost.
fn file_of_cost(kdf: pkcs8::pkcs5::pbes2::Kdf) -> String {
    use pkcs8::{
        EncryptedPrivateKeyInfoRef, LineEnding,
        der::{Encode, asn1::OctetStringRef, pem},
        pkcs5::{EncryptionScheme, pbes2},
    };
    let parameters = pbes2::Parameters {
        kdf,
        encryption: pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] },
    };
    let der = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: EncryptionScheme::Pbes2(parameters),
        encrypted_data: OctetStringRef::new(&[0; 48]).unwrap(),
    };
    pem::encode_string(
        "ENCRYPTED PRIVATE KEY",
        LineEnding::LF,
        &der.to_der().unwrap(),
    )
    .unwrap()
}

/// Found by the fuzz targets: memory for 2^40 blocks ends the process, a cost of 0 made the
/// library panic.
#[test]
fn an_encrypted_key_that_asks_for_too_much_memory_or_time_is_refused_at_once() {
    use pkcs8::pkcs5::pbes2::{Kdf, Pbkdf2Params, Pbkdf2Prf, ScryptParams};
    let scrypt = |cost_parameter, block_size, parallelization| {
        Kdf::Scrypt(ScryptParams {
            salt: [7; 16].as_slice().try_into().unwrap(),
            cost_parameter,
            block_size,
            parallelization,
            key_length: None,
        })
    };
    let pbkdf2 = |iteration_count| {
        Kdf::Pbkdf2(Pbkdf2Params {
            salt: [7; 16].as_slice().try_into().unwrap(),
            iteration_count,
            key_length: None,
            prf: Pbkdf2Prf::HmacWithSha256,
        })
    };
    let (folder, store) = store();
    let path = store.path(&name("a"));
    fs::create_dir_all(store.folder()).unwrap();
    let told = |kdf| {
        fs::write(&path, file_of_cost(kdf)).unwrap();
        let refused = store.load(&name("a"), Some(&passphrase("p"))).unwrap_err();
        match refused {
            KeyStoreError::File { error, .. } => error,
            other => panic!("{other}"),
        }
    };
    for kdf in [
        scrypt(1 << 40, 8, 1),
        scrypt(1 << 19, 8, 1),
        scrypt(u64::MAX, u16::MAX, 1),
        scrypt(2, 8, 17),
        pbkdf2(10_000_001),
        pbkdf2(u32::MAX),
    ] {
        assert_eq!(told(kdf), KeyFileError::TooCostly);
    }
    let damaged = told(scrypt(0, 8, 1));
    assert!(matches!(damaged, KeyFileError::Damaged { .. }), "{damaged}");
    // Within the limits the passphrase is tried.
    for kdf in [scrypt(2, 8, 16), scrypt(3, 8, 1), pbkdf2(1), pbkdf2(0)] {
        assert_eq!(told(kdf), KeyFileError::WrongPassphrase);
    }
    drop(folder);
}

/// Found by the fuzz targets: a label is told to the key's owner, on a terminal.
#[test]
fn a_label_with_control_characters_is_no_label() {
    let (_folder, store) = store();
    fs::create_dir_all(store.folder()).unwrap();
    for label in ["\u{1b}[2JX", "PRIVATE\u{b}KEY", "PRIVATE\rKEY"] {
        let text = format!("-----BEGIN {label}-----\nAAAA\n");
        fs::write(store.path(&name("a")), text).unwrap();
        let told = store.find(&name("a")).unwrap_err().to_string();
        assert!(told.contains("not a PEM file"), "{told:?}");
    }
}

#[test]
fn a_foreign_public_key_beside_an_encrypted_key_is_refused() {
    let (_folder, store) = store();
    let right = passphrase("p");
    let paths = ["a", "b"].map(|text| {
        let key = store.create(&name(text), Curve::P256, Some(&right));
        key.unwrap().path
    });
    let [a, b] = paths
        .each_ref()
        .map(|path| fs::read_to_string(path).unwrap());
    let public = "-----BEGIN PUBLIC KEY-----";
    let (private_a, public_b) = (
        a.split(public).next().unwrap(),
        b.split(public).nth(1).unwrap(),
    );
    fs::write(&paths[0], format!("{private_a}{public}{public_b}")).unwrap();
    let refused = store.load(&name("a"), Some(&right)).unwrap_err();
    assert!(
        matches!(
            &refused,
            KeyStoreError::File {
                error: KeyFileError::PublicKeyMismatch,
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn listing_survives_whatever_lies_in_the_folder_and_names_each_reason() {
    let (_folder, store) = store();
    let good = store.create(&name("good"), Curve::P256, None).unwrap();
    let whole = fs::read_to_string(&good.path).unwrap();
    let put = |file: &str, content: &[u8]| fs::write(store.folder().join(file), content).unwrap();
    put("a_empty.pem", b"");
    put("b_text.pem", b"no key at all");
    put("c_binary.pem", &[0xff, 0xfe, 0x00]);
    put(
        "d_cert.pem",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    put("e_cut.pem", &whole.as_bytes()[..whole.len() / 2]);
    put(
        "f_bad.pem",
        b"-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n",
    );
    put("g.name.pem", whole.as_bytes());
    put("h_large.pem", &vec![b'x'; 100_000]);
    put(
        "i_old.pem",
        b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
    );
    put(".pem", whole.as_bytes());
    put("readme.txt", b"not looked at");
    fs::create_dir(store.folder().join("j_folder.pem")).unwrap();
    let listing = store.list().unwrap();
    assert_eq!(listing.keys, [good]);
    let reasons: Vec<String> = listing
        .problems
        .iter()
        .map(|(path, error)| {
            let file = path.file_name().unwrap().to_string_lossy();
            format!("{file}: {error}")
        })
        .collect();
    let expected = [
        ("a_empty.pem", "empty"),
        ("b_text.pem", "not a PEM file"),
        ("c_binary.pem", "not a text"),
        ("d_cert.pem", "holds \"CERTIFICATE\""),
        ("e_cut.pem", "no end"),
        ("f_bad.pem", "not base64"),
        ("g.name.pem", "its name is no key's"),
        ("h_large.pem", "too many"),
        ("i_old.pem", "unsupported way"),
        ("j_folder.pem", "not a file"),
    ];
    assert_eq!(reasons.len(), expected.len(), "{reasons:#?}");
    for (reason, (file, text)) in reasons.iter().zip(expected) {
        assert!(
            reason.starts_with(file) && reason.contains(text),
            "{reason}"
        );
    }
}

#[test]
fn no_message_holds_a_part_of_a_key() {
    let (_folder, store) = store();
    let good = store.create(&name("good"), Curve::P256, None).unwrap();
    let whole = fs::read_to_string(&good.path).unwrap();
    let body: Vec<&str> = whole
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    for i in (0..whole.len()).step_by(3) {
        let mut broken = whole.clone().into_bytes();
        broken[i] ^= 0x15;
        fs::write(&good.path, broken).unwrap();
        let Err(error) = store.load(&name("good"), None) else {
            continue;
        };
        let message = format!("{error} {error:?}");
        for line in &body {
            assert!(!message.contains(&line[..8]), "{message}");
        }
    }
    let secret = format!("{:?}", store.load(&name("good"), None).is_ok());
    assert!(secret == "true" || secret == "false");
}

#[cfg(unix)]
#[test]
fn a_key_is_its_owners_alone_and_one_readable_by_others_is_a_loud_warning() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, store) = store();
    let key = store.create(&name("a"), Curve::P256, None).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&key.path), 0o600);
    assert_eq!(mode(store.folder()), 0o700);
    assert!(store.find(&name("a")).unwrap().warnings.is_empty());
    fs::set_permissions(&key.path, fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = store.find(&name("a")).unwrap().warnings;
    let text = warnings[0].to_string();
    assert!(
        text.contains("READABLE BY OTHERS") && text.contains("0644") && text.contains("chmod 600"),
        "{text}"
    );
}

#[test]
fn a_missing_key_is_said_with_what_makes_one() {
    let (_folder, store) = store();
    let missing = store.load(&name("nobody"), None).unwrap_err().to_string();
    assert!(
        missing.contains("mvb wallet new-address nobody"),
        "{missing}"
    );
    assert!(matches!(
        store.find(&name("nobody")),
        Err(KeyStoreError::Missing { .. })
    ));
    assert!(store.list().unwrap().keys.is_empty());
}

#[test]
fn rewards_go_to_a_key_made_for_them_a_named_one_or_an_address() {
    let (_folder, store) = store();
    let default = Party::Name(name(MINING_REWARDS));
    let made = store.reward_address(&default, Curve::P256).unwrap();
    assert_eq!(store.reward_address(&default, Curve::P521).unwrap(), made);
    let mistyped = Party::Name(name("mining_reward"));
    assert!(store.reward_address(&mistyped, Curve::P256).is_err());
    let foreign = Address([7; 32]);
    assert_eq!(
        store
            .reward_address(&Party::Address(foreign), Curve::P256)
            .unwrap(),
        foreign
    );
}

/// Runs `openssl` with a line of arguments in the key store's folder, or says that there is
/// none here.
fn openssl(store: &KeyStore, line: &str) -> Option<String> {
    let run = Command::new("openssl")
        .args(line.split(' '))
        .current_dir(store.folder())
        .stdin(Stdio::null())
        .output();
    let Ok(output) = run else {
        assert!(
            std::env::var_os("MVB_REQUIRE_ALL").is_none(),
            "no openssl here"
        );
        eprintln!("skipped: no openssl here");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {line}: {errors}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The compressed point in what `openssl ... -text -conv_form compressed` prints.
fn point(text: &str) -> Vec<u8> {
    let after = text.split("pub:").nth(1).unwrap();
    let digits: String = after
        .split("ASN1")
        .next()
        .unwrap()
        .chars()
        .filter(char::is_ascii_hexdigit)
        .collect();
    hex::decode(digits).unwrap()
}

#[test]
fn openssl_reads_our_keys_plain_and_encrypted() {
    let (_folder, store) = store();
    for curve in Curve::ALL {
        let plain = name(&format!("plain{}", curve.bits()));
        let key = store.create(&plain, curve, None).unwrap();
        let shown = openssl(
            &store,
            &format!("pkey -in {plain}.pem -noout -text -ec_conv_form compressed"),
        );
        let Some(shown) = shown else { return };
        assert_eq!(point(&shown), key.key.as_bytes());
        let locked = name(&format!("locked{}", curve.bits()));
        let key = store
            .create(&locked, curve, Some(&passphrase("s3cret")))
            .unwrap();
        for arguments in ["-passin pass:s3cret", "-pubin"] {
            let line =
                format!("pkey -in {locked}.pem {arguments} -noout -text -ec_conv_form compressed");
            assert_eq!(point(&openssl(&store, &line).unwrap()), key.key.as_bytes());
        }
    }
}

#[test]
fn keys_of_openssl_load_in_each_of_its_forms() {
    let (_folder, store) = store();
    fs::create_dir_all(store.folder()).unwrap();
    for (curve, known) in [
        (Curve::P256, "prime256v1"),
        (Curve::P384, "secp384r1"),
        (Curve::P521, "secp521r1"),
    ] {
        let bits = curve.bits();
        for line in [
            format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{known} -out pkcs{bits}.pem"),
            format!("ecparam -name {known} -genkey -out sec{bits}.pem"),
            format!("pkcs8 -topk8 -in sec{bits}.pem -passout pass:pw -out pb{bits}.pem"),
            format!("pkcs8 -topk8 -scrypt -in sec{bits}.pem -passout pass:pw -out sc{bits}.pem"),
        ] {
            if openssl(&store, &line).is_none() {
                return;
            }
        }
        assert_eq!(
            store.find(&name(&format!("pkcs{bits}"))).unwrap().curve(),
            curve
        );
        let secret = store.load(&name(&format!("sec{bits}")), None).unwrap();
        assert_eq!(secret.curve(), curve);
        for file in ["pb", "sc"] {
            let name = name(&format!("{file}{bits}"));
            let opened = store.load(&name, Some(&passphrase("pw"))).unwrap();
            assert_eq!(opened.public_key(), secret.public_key());
            let unknown = store.find(&name).unwrap_err().to_string();
            assert!(unknown.contains("openssl pkey -pubout"), "{unknown}");
            let public = openssl(&store, &format!("pkey -in sec{bits}.pem -pubout")).unwrap();
            let path = store.path(&name);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, format!("{text}{public}")).unwrap();
            assert_eq!(store.find(&name).unwrap().key, secret.public_key());
        }
    }
}

#[test]
fn a_key_of_another_kind_is_refused_by_its_name() {
    let (_folder, store) = store();
    fs::create_dir_all(store.folder()).unwrap();
    for (file, line, expected) in [
        (
            "rsa",
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out rsa.pem",
            "RSA",
        ),
        ("ed", "genpkey -algorithm ED25519 -out ed.pem", "Ed25519"),
        (
            "koblitz",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out koblitz.pem",
            "secp256k1",
        ),
        (
            "sec",
            "ecparam -name secp256k1 -genkey -out sec.pem",
            "no key on P-256",
        ),
    ] {
        if openssl(&store, line).is_none() {
            return;
        }
        let refused = store.load(&name(file), None).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}
