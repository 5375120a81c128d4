//! Keys, signatures and addresses.

use super::{
    chain::{address_of, secret},
    hex,
};
use mvb_protocol::{
    address::{Address, Checksum},
    keys::{Curve, PublicKey, Signature},
};
use serde_json::{Value, json};

const MESSAGE: &[u8] = b"mvb test message";

/// The order of each curve's group and the prime of its field, as in FIPS 186-4.
const ORDERS: [&str; 3] = [
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
];
const PRIMES: [&str; 3] = [
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
    "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

pub fn keys() -> Value {
    let mut valid = Vec::new();
    for curve in Curve::ALL {
        for name in ["mvb vector key one", "mvb vector key two"] {
            let secret = secret(curve, name);
            let key = secret.public_key();
            valid.push(json!({
                "key_size": curve.bits(),
                "secret": hex(secret.to_bytes().as_slice()),
                "public_key": hex(key.as_bytes()),
                "address": address_of(&secret).to_string(),
                "message": hex(MESSAGE),
                "signature": hex(secret.sign(MESSAGE).as_bytes()),
            }));
        }
    }
    json!({
        "about": "Signatures are RFC 6979 with the curve's hash, then the lower s. The address is SHA-256 of the public key.",
        "valid": valid,
        "invalid_public_keys": invalid_public_keys(),
        "invalid_signatures": invalid_signatures(),
    })
}

fn invalid_public_keys() -> Vec<Value> {
    let mut cases: Vec<(&str, Vec<u8>)> = vec![("empty", Vec::new())];
    for (curve, prime) in Curve::ALL.into_iter().zip(PRIMES) {
        let good = secret(curve, "mvb vector key one").public_key();
        let with = |edit: fn(&mut Vec<u8>)| {
            let mut bytes = good.as_bytes().to_vec();
            edit(&mut bytes);
            bytes
        };
        cases.push((
            "one byte too few",
            with(|bytes| bytes.truncate(bytes.len() - 1)),
        ));
        cases.push(("one byte too many", with(|bytes| bytes.push(0))));
        cases.push(("the tag of an uncompressed key", with(|bytes| bytes[0] = 4)));
        cases.push(("the tag of a compact key", with(|bytes| bytes[0] = 5)));
        cases.push(("the tag of a hybrid key", with(|bytes| bytes[0] = 6)));
        cases.push(("the tag of a hybrid key", with(|bytes| bytes[0] = 7)));
        cases.push((
            "the tag of the point at infinity",
            with(|bytes| bytes[0] = 0),
        ));
        cases.push(("x is the field's prime", [vec![2], unhex(prime)].concat()));
        cases.push(("x is on no point of the curve", off_curve(curve)));
    }
    let refuse = |(why, bytes): (&str, Vec<u8>)| json!({ "public_key": hex(&bytes), "what": why, "reason": key_error(&bytes) });
    cases.into_iter().map(refuse).collect()
}

/// The first x from 1 on that no point has.
fn off_curve(curve: Curve) -> Vec<u8> {
    let mut bytes = vec![0; curve.public_key_bytes()];
    bytes[0] = 2;
    for x in 1..=255 {
        *bytes.last_mut().expect("a key has bytes") = x;
        if key_error(&bytes).contains("point") {
            return bytes;
        }
    }
    unreachable!("half of all x are on no point")
}

/// Why a key is refused, at the latest when it verifies.
pub fn key_error(bytes: &[u8]) -> String {
    let key = match PublicKey::from_bytes(bytes) {
        Ok(key) => key,
        Err(error) => return error.to_string(),
    };
    let mut ones = vec![0; key.curve().signature_bytes()];
    let half = ones.len() / 2;
    ones[half - 1] = 1;
    ones[2 * half - 1] = 1;
    let signature = Signature::from_bytes(&ones).expect("the length is the curve's");
    key.verify(MESSAGE, &signature)
        .expect_err("r = s = 1 signs nothing of ours")
        .to_string()
}

fn invalid_signatures() -> Vec<Value> {
    let mut found = Vec::new();
    for (curve, order) in Curve::ALL.into_iter().zip(ORDERS) {
        let secret = secret(curve, "mvb vector key one");
        let (key, good) = (secret.public_key(), secret.sign(MESSAGE));
        let (r, s) = good.as_bytes().split_at(curve.scalar_bytes());
        let (zero, order) = (vec![0; s.len()], unhex(order));
        let cases: [(&str, Vec<u8>); 9] = [
            (
                "s is the higher of the two",
                [r, &difference(&order, s)].concat(),
            ),
            ("r is 0", [&zero, s].concat()),
            ("s is 0", [r, &zero].concat()),
            ("r is the order", [&order, s].concat()),
            ("s is the order", [r, &order].concat()),
            ("r and s are swapped", [s, r].concat()),
            ("one byte too few", good.as_bytes()[1..].to_vec()),
            ("one byte too many", [good.as_bytes(), &[0]].concat()),
            (
                "of another message",
                secret.sign(b"another message").as_bytes().to_vec(),
            ),
        ];
        for (what, signature) in cases {
            let reason = Signature::from_bytes(&signature)
                .and_then(|signature| key.verify(MESSAGE, &signature))
                .expect_err(what)
                .to_string();
            found.push(json!({
                "public_key": hex(key.as_bytes()),
                "message": hex(MESSAGE),
                "signature": hex(&signature),
                "what": what,
                "reason": reason,
            }));
        }
    }
    found
}

pub fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).expect("a constant of this file")
}

/// The difference of two big-endian numbers of one length.
fn difference(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut result = vec![0; left.len()];
    let mut borrow = 0;
    for i in (0..left.len()).rev() {
        let digit = i16::from(left[i]) - i16::from(right[i]) - borrow;
        borrow = i16::from(digit < 0);
        result[i] = digit.rem_euclid(256) as u8;
    }
    result
}

pub fn addresses() -> Value {
    let shown: Vec<String> = ["one", "two", "three", "four"]
        .into_iter()
        .map(|name| Address::of_key(name.as_bytes()).to_string())
        .collect();
    let mut valid: Vec<Value> = Vec::new();
    for text in &shown {
        for text in [text.clone(), text.to_lowercase(), text.to_uppercase()] {
            let (address, checksum) = Address::parse(&text).expect("shown by this program");
            valid.push(json!({
                "text": text,
                "address": hex(address.0),
                "checksum": match checksum {
                    Checksum::Verified => "verified",
                    Checksum::Absent => "absent",
                },
            }));
        }
    }
    let first = &shown[0];
    let swap = |text: &str| -> String {
        let at = text.find(char::is_alphabetic).expect("a hash has letters");
        let other = text[at..=at].chars().map(|c| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        });
        format!(
            "{}{}{}",
            &text[..at],
            other.collect::<String>(),
            &text[at + 1..]
        )
    };
    let cases = [
        ("one letter in the wrong case", swap(first)),
        (
            "another address's checksum",
            format!(
                "{}{}",
                &first[..63],
                if first.ends_with('0') { '1' } else { '0' }
            ),
        ),
        ("63 digits", first[1..].to_owned()),
        ("65 digits", format!("{first}0")),
        ("a newline at the end", format!("{first}\n")),
        ("a space at the start", format!(" {first}")),
        ("a prefix", format!("0x{}", &first[2..])),
        ("no hex digit", "g".repeat(64)),
        ("digits of another script", "٣".repeat(64)),
        ("nothing", String::new()),
    ];
    let invalid: Vec<Value> = cases
        .into_iter()
        .map(|(what, text)| {
            let reason = Address::parse(&text).expect_err(what).to_string();
            json!({ "text": text, "what": what, "reason": reason })
        })
        .collect();
    json!({
        "about": "Digit i is upper case when nibble i of SHA-256 over the 64 lower-case ASCII digits is 8 or more.",
        "valid": valid,
        "invalid": invalid,
    })
}
