//! The one function that verifies against the p256 family, on signatures that are right, and
//! on what becomes of them by every kind of damage: whichever library decides, the answer is
//! the same, its reason included.

use crate::random::Random;
use mvb_protocol::keys::{Curve, KeyError, PublicKey, SecretKey, Signature};

/// A message and its signature.
#[derive(Clone)]
pub struct Signed {
    curve: Curve,
    key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

/// Signatures to begin with: as many of each curve as one likes.
pub fn signed(each: u64) -> Vec<Signed> {
    let mut random = Random::new(1);
    let mut all = Vec::new();
    for curve in Curve::ALL {
        for _ in 0..each {
            let mut secret = bytes(&mut random, curve.scalar_bytes());
            // P-521's highest byte holds one bit; zero there is below every order.
            secret[0] = 0;
            let secret = SecretKey::from_bytes(curve, &secret).expect("it is below the order");
            let length = random.below(300) as usize;
            let message = bytes(&mut random, length);
            all.push(Signed {
                curve,
                key: secret.public_key().as_bytes().to_vec(),
                signature: secret.sign(&message).as_bytes().to_vec(),
                message,
            });
        }
    }
    all
}

/// Damages one of them, or not, and compares. Returns whether it was accepted.
pub fn both_libraries_say_the_same(seed: u64, signed: &[Signed]) -> bool {
    let mut random = Random::new(seed);
    let mut case = signed[random.below(signed.len() as u64) as usize].clone();
    let other = &signed[random.below(signed.len() as u64) as usize];
    for _ in 0..=random.below(8) / 7 {
        damage(&mut case, other, &mut random);
    }
    let ours = ours(&case);
    assert_eq!(
        ours,
        theirs(&case),
        "seed {seed}: key {:02x?}, message {:02x?}, signature {:02x?}",
        case.key,
        case.message,
        case.signature
    );
    ours.is_ok()
}

fn damage(case: &mut Signed, other: &Signed, random: &mut Random) {
    let size = case.curve.scalar_bytes();
    match random.below(14) {
        0 | 1 => {}
        2 => flip(&mut case.key, random),
        3 => flip(&mut case.signature, random),
        4 => flip(&mut case.message, random),
        5 => set(&mut case.key, 0, random.below(9) as u8),
        6 => {
            let length = random.below(140) as usize;
            case.key.resize(length, 0);
        }
        7 => {
            let length = random.below(140) as usize;
            case.signature.resize(length, 0);
        }
        8 => high(case),
        9 => case.key.clone_from(&other.key),
        10 => case.signature.clone_from(&other.signature),
        11 if case.signature.len() == 2 * size => case.signature.rotate_left(size),
        12 if case.signature.len() == 2 * size => {
            let at = size * random.below(2) as usize;
            let number = edge(case.curve, random);
            case.signature[at..at + size].copy_from_slice(&number);
        }
        _ => {
            let x = bytes(random, size);
            case.key = [&[2 + random.below(2) as u8], &x[..]].concat();
        }
    }
}

/// Numbers at which something changes: around zero, the order, its half, and the most.
fn edge(curve: Curve, random: &mut Random) -> Vec<u8> {
    let size = curve.scalar_bytes();
    let mut number = match random.below(4) {
        0 => vec![0; size],
        1 => order(curve),
        2 => halved(&order(curve)),
        _ => vec![0xff; size],
    };
    // One less, the number itself, or one more.
    let step = random.pick(&[0xff, 0, 1]);
    number[size - 1] = number[size - 1].wrapping_add(step);
    number
}

/// Takes the other s, the order less this one.
fn high(case: &mut Signed) {
    let size = case.curve.scalar_bytes();
    if case.signature.len() != 2 * size {
        return;
    }
    let mut borrow = 0;
    for (digit, s) in order(case.curve)
        .iter()
        .zip(&mut case.signature[size..])
        .rev()
    {
        let difference = i16::from(*digit) - i16::from(*s) - borrow;
        borrow = i16::from(difference < 0);
        *s = difference.rem_euclid(256) as u8;
    }
}

fn order(curve: Curve) -> Vec<u8> {
    let digits = match curve {
        Curve::P256 => "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        Curve::P384 => {
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973"
        }
        Curve::P521 => concat!(
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409"
        ),
    };
    hex::decode(digits).expect("these are digits")
}

fn halved(number: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let half = number.iter().map(|byte| {
        let half = byte >> 1 | carry;
        carry = byte << 7;
        half
    });
    half.collect()
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    if !bytes.is_empty() {
        let bit = random.below(8 * bytes.len() as u64) as usize;
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

fn set(bytes: &mut [u8], at: usize, to: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = to;
    }
}

fn bytes(random: &mut Random, length: usize) -> Vec<u8> {
    (0..length).map(|_| random.next() as u8).collect()
}

fn ours(case: &Signed) -> Result<(), KeyError> {
    let key = PublicKey::from_bytes(&case.key)?;
    let signature = Signature::from_bytes(&case.signature)?;
    let verdict = key.verify(&case.message, &signature);
    // Whether a key is remembered or not makes no difference.
    assert_eq!(key.verify(&case.message, &signature), verdict);
    assert_eq!(key.verify_afresh(&case.message, &signature), verdict);
    verdict
}

/// The same rules by the p256 family, from the bytes on.
fn theirs(case: &Signed) -> Result<(), KeyError> {
    macro_rules! verify {
        ($curve:ident, $name:expr) => {{
            use $curve::ecdsa::{Signature, VerifyingKey, signature::Verifier};
            let signature =
                Signature::from_slice(&case.signature).map_err(|_| KeyError::SignatureRange)?;
            if signature.normalize_s() != signature {
                return Err(KeyError::HighS);
            }
            VerifyingKey::from_sec1_bytes(&case.key)
                .map_err(|_| KeyError::PublicKeyPoint($name))?
                .verify(&case.message, &signature)
                .map_err(|_| KeyError::Mismatch)
        }};
    }
    let expected = match case.key.len() {
        33 => 64,
        49 => 96,
        67 => 132,
        got => return Err(KeyError::PublicKeyLength { got }),
    };
    let got = case.key[0];
    if got != 2 && got != 3 {
        return Err(KeyError::PublicKeyTag { got });
    }
    match case.signature.len() {
        got if ![64, 96, 132].contains(&got) => Err(KeyError::NoSignatureLength { got }),
        got if got != expected => Err(KeyError::SignatureLength { got, expected }),
        64 => verify!(p256, Curve::P256),
        96 => verify!(p384, Curve::P384),
        _ => verify!(p521, Curve::P521),
    }
}
