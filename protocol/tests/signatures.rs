//! Signatures against what others published: Wycheproof's cases for the three curves, and the
//! vectors of RFC 6979 and of SHA-256's standard.

#![allow(clippy::unwrap_used)] // A test may, its helpers too.

use mvb_protocol::{
    hash::sha256,
    keys::{Curve, KeyError, PublicKey, SecretKey, Signature},
};
use wycheproof::{TestResult, ecdsa};

/// Whether s is at most half of the group's order, told by the digits alone.
fn is_low(curve: Curve, signature: &[u8]) -> bool {
    let half = match curve {
        Curve::P256 => "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8",
        Curve::P384 => {
            "7fffffffffffffffffffffffffffffffffffffffffffffffe3b1a6c0fa1b96efac0d06d9245853bd76760cb5666294b9"
        }
        Curve::P521 => concat!(
            "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "fd28c343c1df97cb35bfe600a47b84d2e81ddae4dc44ce23d75db7db8f489c3204"
        ),
    };
    let half = hex::decode(half).unwrap();
    assert_eq!(half.len(), curve.scalar_bytes());
    signature[curve.scalar_bytes()..] <= half[..]
}

/// Every case of one of Wycheproof's sets of signatures r‖s. What it calls invalid is
/// refused; what it calls valid is accepted exactly when s is low.
fn check(curve: Curve, name: ecdsa::TestName) {
    let set = ecdsa::TestSet::load(name).unwrap();
    let (mut accepted, mut high, mut refused) = (0, 0, 0);
    for group in &set.test_groups {
        let point = &group.key.key;
        let size = curve.scalar_bytes();
        assert_eq!((point[0], point.len()), (4, 1 + 2 * size), "uncompressed");
        let tag = 2 + (point[2 * size] & 1);
        let key = PublicKey::from_bytes(&[&[tag], &point[1..=size]].concat()).unwrap();
        assert_eq!(key.curve(), curve);
        for test in &group.tests {
            let result =
                Signature::from_bytes(&test.sig).and_then(|sig| key.verify(&test.msg, &sig));
            match test.result {
                TestResult::Invalid => {
                    assert!(result.is_err(), "case {}: {}", test.tc_id, test.comment);
                    refused += 1;
                }
                TestResult::Valid | TestResult::Acceptable if is_low(curve, &test.sig) => {
                    assert_eq!(result, Ok(()), "case {}: {}", test.tc_id, test.comment);
                    accepted += 1;
                }
                TestResult::Valid | TestResult::Acceptable => {
                    assert_eq!(result, Err(KeyError::HighS), "case {}", test.tc_id);
                    high += 1;
                }
            }
        }
    }
    println!("{curve:?}: {accepted} accepted, {high} refused for their high s, {refused} invalid");
    assert!(
        accepted > 50 && high > 50 && refused > 50,
        "{accepted} {high} {refused}"
    );
}

#[test]
fn wycheproof_agrees_on_p256() {
    check(Curve::P256, ecdsa::TestName::EcdsaSecp256r1Sha256P1363);
}

#[test]
fn wycheproof_agrees_on_p384() {
    check(Curve::P384, ecdsa::TestName::EcdsaSecp384r1Sha384P1363);
}

#[test]
fn wycheproof_agrees_on_p521() {
    check(Curve::P521, ecdsa::TestName::EcdsaSecp521r1Sha512P1363);
}

/// RFC 6979, appendix A.2.5 to A.2.7, with the curve's own hash: secret, message, r, s.
const RFC_6979: [(Curve, &str, &str, &str, &str); 6] = [
    (
        Curve::P256,
        "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
        "sample",
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
    ),
    (
        Curve::P256,
        "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
        "test",
        "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
        "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
    ),
    (
        Curve::P384,
        "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5",
        "sample",
        "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46",
        "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8",
    ),
    (
        Curve::P384,
        "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5",
        "test",
        "8203B63D3C853E8D77227FB377BCF7B7B772E97892A80F36AB775D509D7A5FEB0542A7F0812998DA8F1DD3CA3CF023DB",
        "DDD0760448D42D8A43AF45AF836FCE4DE8BE06B485E9B61B827C2F13173923E06A739F040649A667BF3B828246BAA5A5",
    ),
    (
        Curve::P521,
        "00FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75CAA896EB32F1F47C70855836A6D16FCC1466F6D8FBEC67DB89EC0C08B0E996B83538",
        "sample",
        "00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF05EC36E377FA",
        "00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4A67A",
    ),
    (
        Curve::P521,
        "00FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75CAA896EB32F1F47C70855836A6D16FCC1466F6D8FBEC67DB89EC0C08B0E996B83538",
        "test",
        "013E99020ABF5CEE7525D16B69B229652AB6BDF2AFFCAEF38773B4B7D08725F10CDB93482FDCC54EDCEE91ECA4166B2A7C6265EF0CE2BD7051B7CEF945BABD47EE6D",
        "01FBD0013C674AA79CB39849527916CE301C66EA7CE8B80682786AD60F98F7E78A19CA69EFF5C57400E3B3A0AD66CE0978214D13BAF4E9AC60752F7B155E2DE4DCE3",
    ),
];

#[test]
fn signatures_are_those_of_rfc_6979_with_the_lower_s() {
    for (curve, secret, message, r, s) in RFC_6979 {
        let secret = SecretKey::from_bytes(curve, &hex::decode(secret).unwrap()).unwrap();
        let published = hex::decode(format!("{r}{s}")).unwrap();
        let signature = secret.sign(message.as_bytes());
        let size = curve.scalar_bytes();
        assert_eq!(signature.as_bytes()[..size], published[..size], "{curve:?}");
        let same = signature.as_bytes() == published;
        assert_eq!(same, is_low(curve, &published), "{curve:?} {message}");
        assert!(is_low(curve, signature.as_bytes()));
        secret
            .public_key()
            .verify(message.as_bytes(), &signature)
            .unwrap();
    }
}

#[test]
fn hashes_are_those_of_the_standard() {
    for (message, digest) in [
        (
            "",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        assert_eq!(hex::encode(sha256(&[message.as_bytes()])), digest);
        let (left, right) = message.as_bytes().split_at(message.len() / 2);
        assert_eq!(hex::encode(sha256(&[left, right])), digest, "in parts");
    }
    let million = vec![b'a'; 1_000_000];
    assert_eq!(
        hex::encode(sha256(&[&million])),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    );
}

#[test]
fn a_secret_has_one_encoding() {
    for curve in Curve::ALL {
        let mut one = vec![0; curve.scalar_bytes()];
        assert_eq!(
            SecretKey::from_bytes(curve, &one).err(),
            Some(KeyError::SecretKey(curve))
        );
        *one.last_mut().unwrap() = 1;
        assert!(SecretKey::from_bytes(curve, &one).is_ok());
        assert!(
            SecretKey::from_bytes(curve, &one[1..]).is_err(),
            "one byte too few"
        );
        assert!(SecretKey::from_bytes(curve, &[&[0], &one[..]].concat()).is_err());
        assert!(SecretKey::from_bytes(curve, &vec![0xff; curve.scalar_bytes()]).is_err());
    }
}
