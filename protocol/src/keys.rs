//! ECDSA on P-256, P-384 and P-521: keys, signatures and the one function that verifies.
//!
//! Only one encoding of anything is accepted: compressed SEC1 keys that begin with 02 or
//! 03, signatures r‖s of exact length with s in the lower half of the group's order.
//!
//! The p256 family makes keys and signatures; AWS-LC, several times as fast, verifies, and is
//! held against the p256 family by tests (`examples/signatures.rs`).

mod parsed;
mod range;

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use zeroize::Zeroizing;

/// The longest public key, P-521's.
pub const MAX_PUBLIC_KEY_BYTES: usize = 67;

/// The longest signature, P-521's.
pub const MAX_SIGNATURE_BYTES: usize = 132;

/// The curves every network accepts. A public key's length names its curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Curve {
    /// NIST P-256 with SHA-256, the default.
    #[default]
    P256,
    /// NIST P-384 with SHA-384.
    P384,
    /// NIST P-521 with SHA-512.
    P521,
}

impl Curve {
    /// All curves, the smallest first.
    pub const ALL: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

    /// The size people type: 256, 384 or 521.
    pub const fn bits(self) -> u16 {
        match self {
            Curve::P256 => 256,
            Curve::P384 => 384,
            Curve::P521 => 521,
        }
    }

    /// The curve of a `key_size`, if there is one.
    pub fn from_bits(bits: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.bits() == bits)
    }

    /// Bytes of a compressed public key.
    pub const fn public_key_bytes(self) -> usize {
        1 + self.scalar_bytes()
    }

    /// Bytes of a signature.
    pub const fn signature_bytes(self) -> usize {
        2 * self.scalar_bytes()
    }

    /// Bytes of a secret key, and of each half of a signature.
    pub const fn scalar_bytes(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }

    /// What one verification costs, in those of P-256; a block's sum is bounded.
    pub const fn weight(self) -> u32 {
        match self {
            Curve::P256 => 1,
            Curve::P384 => 4,
            Curve::P521 => 6,
        }
    }
}

/// Why a key or signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No curve has public keys of this length.
    #[error("public key has {got} bytes, expected 33, 49 or 67")]
    PublicKeyLength {
        /// Its length.
        got: usize,
    },
    /// The key is not in compressed form.
    #[error("public key begins with {got:#04x}, expected 0x02 or 0x03")]
    PublicKeyTag {
        /// Its first byte.
        got: u8,
    },
    /// The key is no point of its curve.
    #[error("public key is not a point of {0:?}")]
    PublicKeyPoint(Curve),
    /// A signature of another length than the curve's.
    #[error("signature has {got} bytes, expected {expected}")]
    SignatureLength {
        /// Its length.
        got: usize,
        /// The length that the key's curve needs.
        expected: usize,
    },
    /// No curve has signatures of this length.
    #[error("signature has {got} bytes, expected 64, 96 or 132")]
    NoSignatureLength {
        /// Its length.
        got: usize,
    },
    /// r or s is zero or not below the group's order.
    #[error("signature out of range")]
    SignatureRange,
    /// s is in the upper half, which would allow two signatures for one payment.
    #[error("signature has a high s, expected the lower of the two")]
    HighS,
    /// The signature is not the key's over these bytes.
    #[error("signature does not match")]
    Mismatch,
    /// The secret has another length than the curve's, is zero or not below the group's order.
    #[error("secret key out of range for {0:?}")]
    SecretKey(Curve),
}

/// A public key in compressed SEC1 form. Its length and first byte are right; whether it
/// is a point of its curve is found when a signature is verified.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    length: u8,
    bytes: [u8; MAX_PUBLIC_KEY_BYTES],
}

/// A signature r‖s. Its length is that of some curve.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    length: u8,
    bytes: [u8; MAX_SIGNATURE_BYTES],
}

/// A secret key. It is wiped from memory when dropped and never printed.
#[derive(Clone)]
pub enum SecretKey {
    /// On P-256.
    P256(p256::ecdsa::SigningKey),
    /// On P-384.
    P384(p384::ecdsa::SigningKey),
    /// On P-521.
    P521(p521::ecdsa::SigningKey),
}

impl PublicKey {
    /// Takes the bytes of a compressed key.
    ///
    /// # Errors
    /// When the length names no curve or the first byte is not 02 or 03.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if !Curve::ALL
            .iter()
            .any(|curve| curve.public_key_bytes() == bytes.len())
        {
            return Err(KeyError::PublicKeyLength { got: bytes.len() });
        }
        if !matches!(bytes[0], 0x02 | 0x03) {
            return Err(KeyError::PublicKeyTag { got: bytes[0] });
        }
        let mut key = Self {
            length: bytes.len() as u8,
            bytes: [0; MAX_PUBLIC_KEY_BYTES],
        };
        key.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(key)
    }

    /// The compressed SEC1 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The curve that the key's length names.
    pub fn curve(&self) -> Curve {
        match usize::from(self.length) {
            length if length == Curve::P256.public_key_bytes() => Curve::P256,
            length if length == Curve::P384.public_key_bytes() => Curve::P384,
            _ => Curve::P521,
        }
    }

    /// Verifies a signature over `message`, which is hashed with the curve's hash.
    ///
    /// # Errors
    /// Says which of the rules at the top of this file the key or signature breaks.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        self.check_range(signature)?;
        matches(&*parsed::remembered(self)?, message, signature)
    }

    /// The same as the library does it by itself, which finds the key's point each time: what
    /// this node's speed is compared with.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_afresh(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        self.check_range(signature)?;
        matches(&parsed::parse(self)?, message, signature)
    }

    /// The rules that no library decides.
    fn check_range(&self, signature: &Signature) -> Result<(), KeyError> {
        let curve = self.curve();
        let expected = curve.signature_bytes();
        if signature.as_bytes().len() != expected {
            return Err(KeyError::SignatureLength {
                got: signature.as_bytes().len(),
                expected,
            });
        }
        range::check(curve, signature.as_bytes())
    }
}

/// The only place where signatures are verified.
fn matches(key: &ParsedPublicKey, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
    key.verify_sig(message, signature.as_bytes())
        .map_err(|_| KeyError::Mismatch)
}

fn algorithm(curve: Curve) -> &'static dyn VerificationAlgorithm {
    match curve {
        Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED,
        Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED,
        Curve::P521 => &signature::ECDSA_P521_SHA512_FIXED,
    }
}

impl Signature {
    /// Takes the bytes r‖s.
    ///
    /// # Errors
    /// When no curve has signatures of this length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if !Curve::ALL
            .iter()
            .any(|curve| curve.signature_bytes() == bytes.len())
        {
            return Err(KeyError::NoSignatureLength { got: bytes.len() });
        }
        let mut signature = Self {
            length: bytes.len() as u8,
            bytes: [0; MAX_SIGNATURE_BYTES],
        };
        signature.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(signature)
    }

    /// The bytes r‖s.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl SecretKey {
    /// Takes the big-endian bytes of the secret number.
    ///
    /// # Errors
    /// When there are too few or too many bytes, or the number is zero or not below the
    /// group's order.
    pub fn from_bytes(curve: Curve, bytes: &[u8]) -> Result<Self, KeyError> {
        // The libraries pad a secret that is too short, which would give it two encodings.
        if bytes.len() != curve.scalar_bytes() {
            return Err(KeyError::SecretKey(curve));
        }
        let error = |_| KeyError::SecretKey(curve);
        Ok(match curve {
            Curve::P256 => Self::P256(p256::ecdsa::SigningKey::from_slice(bytes).map_err(error)?),
            Curve::P384 => Self::P384(p384::ecdsa::SigningKey::from_slice(bytes).map_err(error)?),
            Curve::P521 => Self::P521(p521::ecdsa::SigningKey::from_slice(bytes).map_err(error)?),
        })
    }

    /// The big-endian bytes of the secret number, wiped when dropped.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::P256(key) => key.to_bytes().to_vec(),
            Self::P384(key) => key.to_bytes().to_vec(),
            Self::P521(key) => key.to_bytes().to_vec(),
        })
    }

    /// The key's curve.
    pub fn curve(&self) -> Curve {
        match self {
            Self::P256(_) => Curve::P256,
            Self::P384(_) => Curve::P384,
            Self::P521(_) => Curve::P521,
        }
    }

    /// The public key.
    pub fn public_key(&self) -> PublicKey {
        let bytes = match self {
            Self::P256(key) => key.verifying_key().to_sec1_point(true).as_bytes().to_vec(),
            Self::P384(key) => key.verifying_key().to_sec1_point(true).as_bytes().to_vec(),
            Self::P521(key) => key.verifying_key().to_sec1_point(true).as_bytes().to_vec(),
        };
        PublicKey::from_bytes(&bytes).expect("a compressed point has one of the three lengths")
    }

    /// Signs `message` as RFC 6979 describes, the same signature every time, with the
    /// lower s.
    pub fn sign(&self, message: &[u8]) -> Signature {
        macro_rules! sign {
            ($curve:ident, $key:expr) => {{
                use $curve::ecdsa::{Signature, signature::Signer};
                let signature: Signature = $key.sign(message);
                signature.normalize_s().to_bytes().to_vec()
            }};
        }
        let bytes = match self {
            Self::P256(key) => sign!(p256, key),
            Self::P384(key) => sign!(p384, key),
            Self::P521(key) => sign!(p521, key),
        };
        Signature::from_bytes(&bytes).expect("a signature has one of the three lengths")
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({:?}, …)", self.curve())
    }
}

macro_rules! byte_string {
    ($name:ident, $what:literal) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(", stringify!($name))?;
                self.as_bytes()
                    .iter()
                    .try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(")")
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(self.as_bytes())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        $name::from_bytes(bytes).map_err(E::custom)
                    }
                }
                deserializer.deserialize_bytes(Visitor)
            }
        }
    };
}

byte_string!(PublicKey, "a compressed public key");
byte_string!(Signature, "a signature r‖s");
