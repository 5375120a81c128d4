//! What is in a key file: PKCS#8, plain or encrypted, as `openssl genpkey` writes it, or
//! SEC1 as `openssl ecparam -genkey` does. Errors say what a file is instead, never what
//! is in it.

use super::Passphrase;
use mvb_protocol::keys::{Curve, PublicKey, SecretKey};
use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding, ObjectIdentifier, PrivateKeyInfoRef,
    SubjectPublicKeyInfoRef,
    der::{Decode, Encode, asn1::BitStringRef, pem},
    pkcs5::{self, pbes2},
    spki::AlgorithmIdentifierRef,
};
use std::io;
use zeroize::Zeroizing;

/// The random bytes that encrypting needs: salt and initialisation vector.
pub(super) const RANDOM_BYTES: usize = SALT_BYTES + 16;

const SALT_BYTES: usize = 16;

/// scrypt with 2^14 · 8 · 128 bytes of memory, the most that `openssl` allows itself,
/// five times over.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 5;

/// The most memory and work that a key file may ask for: eight times what `openssl` allows
/// itself, so that a damaged or hostile file cannot take all memory, which would end the
/// process, or keep it busy for hours.
const MOST_SCRYPT_BYTES: u64 = 256 << 20;
const MOST_SCRYPT_PASSES: u64 = 16;
const MOST_PBKDF2_ITERATIONS: u32 = 10_000_000;

/// The algorithm of all elliptic-curve keys, which says nothing of the curve.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";
const SEC1_PARAMETERS: &str = "EC PARAMETERS";
const PUBLIC: &str = "PUBLIC KEY";

/// What a key file holds.
pub(super) enum Contents {
    /// A key.
    Plain(SecretKey),
    /// A key that a passphrase protects.
    Encrypted(Locked),
}

/// An encrypted key.
pub(super) struct Locked {
    der: Vec<u8>,
    /// The public key beside it, if there is one.
    pub(super) public: Option<PublicKey>,
}

/// Why a file is no usable key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// Its name is no key's.
    #[error("its name is no key's, expected 1 to 16 characters of A-Z a-z 0-9 _ - and .pem")]
    Name,
    /// A folder, a pipe or the like.
    #[error("not a file")]
    NotAFile,
    /// Too large for a key.
    #[error("{got} bytes are too many for a key")]
    TooLarge {
        /// Its size.
        got: u64,
    },
    /// The system refused.
    #[error("cannot be read: {reason}")]
    Unreadable {
        /// What kind of refusal.
        kind: io::ErrorKind,
        /// What it said.
        reason: String,
    },
    /// Bytes that are no text.
    #[error("not a PEM file: it is not a text")]
    NotText,
    /// Nothing is in it.
    #[error("the file is empty")]
    Empty,
    /// No PEM block is in it.
    #[error("not a PEM file: no -----BEGIN line")]
    NotPem,
    /// A PEM block is broken.
    #[error("its {label} block is damaged: {reason}")]
    Damaged {
        /// The block's label.
        label: String,
        /// What is wrong, without its content.
        reason: &'static str,
    },
    /// It holds something else.
    #[error(
        "holds {found:?}, expected a private key (PRIVATE KEY, ENCRYPTED PRIVATE KEY or EC PRIVATE KEY)"
    )]
    NotAPrivateKey {
        /// The label of what it holds.
        found: String,
    },
    /// A key of another algorithm.
    #[error("holds a key of algorithm {found}, expected ECDSA on P-256, P-384 or P-521")]
    Algorithm {
        /// The algorithm's name or object identifier.
        found: String,
    },
    /// A key on another curve.
    #[error("holds a key on curve {found}, expected P-256, P-384 or P-521")]
    Curve {
        /// The curve's name or object identifier.
        found: String,
    },
    /// The numbers in it are no key.
    #[error("holds no valid key of its curve")]
    Invalid,
    /// Encrypted in a way that is not supported here.
    #[error(
        "encrypted in an unsupported way; `openssl pkcs8 -topk8 -scrypt` writes a supported one"
    )]
    UnsupportedEncryption,
    /// Opening it would take too much memory or time.
    #[error(
        "its encryption asks for too much memory or time; `openssl pkcs8 -topk8 -scrypt` writes a reasonable one"
    )]
    TooCostly,
    /// The passphrase does not open it.
    #[error("wrong passphrase, or damaged")]
    WrongPassphrase,
    /// The public key beside an encrypted key belongs to another one.
    #[error("its public key does not belong to its private key")]
    PublicKeyMismatch,
    /// An encrypted key without its public key.
    #[error(
        "encrypted, and without its public key beside it its address is not known; append what `openssl pkey -pubout` prints for it"
    )]
    UnknownAddress,
}

impl Locked {
    /// Opens the key with its passphrase.
    pub(super) fn unlock(&self, passphrase: &Passphrase) -> Result<SecretKey, KeyFileError> {
        let damaged = || damaged(ENCRYPTED, "not PKCS#8");
        let info = EncryptedPrivateKeyInfoRef::from_der(&self.der).map_err(|_| damaged())?;
        check_cost(&info)?;
        let document = info
            .decrypt(passphrase.as_bytes())
            .map_err(|error| match error {
                pkcs8::Error::EncryptedPrivateKey(
                    pkcs5::Error::UnsupportedAlgorithm { .. } | pkcs5::Error::NoPbes1CryptSupport,
                ) => KeyFileError::UnsupportedEncryption,
                // A wrong passphrase gives bytes that are no padding, or by chance no PKCS#8.
                _ => KeyFileError::WrongPassphrase,
            })?;
        let secret = read_pkcs8(document.as_bytes()).map_err(|error| match error {
            KeyFileError::Damaged { .. } => KeyFileError::WrongPassphrase,
            error => error,
        })?;
        match &self.public {
            Some(public) if *public != secret.public_key() => Err(KeyFileError::PublicKeyMismatch),
            _ => Ok(secret),
        }
    }
}

/// Refuses what would take too much memory or time, before anything is derived. A cost of 0
/// is none, and the library panics on it.
fn check_cost(info: &EncryptedPrivateKeyInfoRef<'_>) -> Result<(), KeyFileError> {
    let cheap_enough = match info.encryption_algorithm.pbes2().map(|pbes2| &pbes2.kdf) {
        Some(pbes2::Kdf::Scrypt(cost)) if cost.cost_parameter == 0 => {
            return Err(damaged(ENCRYPTED, "not PKCS#8"));
        }
        Some(pbes2::Kdf::Scrypt(cost)) => {
            let block = 128 * u64::from(cost.block_size);
            let memory = cost.cost_parameter.checked_mul(block);
            memory.is_some_and(|memory| memory <= MOST_SCRYPT_BYTES)
                && u64::from(cost.parallelization) <= MOST_SCRYPT_PASSES
        }
        Some(pbes2::Kdf::Pbkdf2(cost)) => cost.iteration_count <= MOST_PBKDF2_ITERATIONS,
        // Refused further on, as what it is.
        Some(_) | None => true,
    };
    cheap_enough.then_some(()).ok_or(KeyFileError::TooCostly)
}

/// The cost up to which a fuzz target waits for a passphrase to be tried.
#[cfg(feature = "fuzzing")]
const CHEAP: u64 = 1 << 12;

#[cfg(feature = "fuzzing")]
impl Locked {
    /// Whether the passphrase is tried in no time, or refused before it is tried.
    pub(super) fn is_cheap(&self) -> bool {
        let Ok(info) = EncryptedPrivateKeyInfoRef::from_der(&self.der) else {
            return true;
        };
        check_cost(&info).is_err()
            || match info.encryption_algorithm.pbes2().map(|pbes2| &pbes2.kdf) {
                Some(pbes2::Kdf::Scrypt(cost)) => {
                    let passes = u64::from(cost.block_size) * u64::from(cost.parallelization);
                    cost.cost_parameter.saturating_mul(passes) <= CHEAP
                }
                Some(pbes2::Kdf::Pbkdf2(cost)) => u64::from(cost.iteration_count) <= CHEAP,
                Some(_) | None => true,
            }
    }
}

/// Reads a key file.
pub(super) fn read(text: &str) -> Result<Contents, KeyFileError> {
    let blocks = blocks(text)?;
    let public = blocks.iter().find(|block| block.label == PUBLIC);
    for block in &blocks {
        match block.label {
            PLAIN => return Ok(Contents::Plain(read_pkcs8(&block.decode()?)?)),
            SEC1 => return Ok(Contents::Plain(read_sec1(block)?)),
            ENCRYPTED => {
                return Ok(Contents::Encrypted(Locked {
                    der: block.decode()?.to_vec(),
                    public: public.map(read_public).transpose()?,
                }));
            }
            _ => {}
        }
    }
    let other = blocks.iter().find(|block| block.label != SEC1_PARAMETERS);
    Err(match other {
        Some(block) => KeyFileError::NotAPrivateKey {
            found: block.label.chars().take(40).collect(),
        },
        None if text.trim().is_empty() => KeyFileError::Empty,
        None => KeyFileError::NotPem,
    })
}

/// A PEM file with a key in the clear.
pub(super) fn write_plain(secret: &SecretKey) -> Zeroizing<String> {
    let der = pkcs8_der(secret);
    encode(PLAIN, der.as_bytes())
}

/// A PEM file with an encrypted key, and its public key.
pub(super) fn write_encrypted(
    secret: &SecretKey,
    passphrase: &Passphrase,
    random: &[u8; RANDOM_BYTES],
) -> Zeroizing<String> {
    let (salt, iv) = random.split_at(SALT_BYTES);
    let iv = iv.try_into().expect("16 bytes follow the salt");
    let cost = pkcs5::scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P)
        .expect("the cost is within scrypt's limits");
    let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(cost, salt, iv)
        .expect("a salt of 16 bytes fits");
    let der = pkcs8_der(secret);
    let encrypted = PrivateKeyInfoRef::from_der(der.as_bytes())
        .map(|info| info.encrypt_with_params(parameters, passphrase.as_bytes()))
        .expect("it was encoded here")
        .expect("supported parameters encrypt anything");
    let mut text = encode(ENCRYPTED, encrypted.as_bytes());
    text.push_str(&encode(PUBLIC, &public_der(&secret.public_key())));
    text
}

/// A PEM block and the text it was cut from.
struct Block<'a> {
    label: &'a str,
    text: &'a str,
}

impl Block<'_> {
    fn decode(&self) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
        let encrypted_in_the_old_way = self.text.contains("Proc-Type:");
        if encrypted_in_the_old_way {
            return Err(KeyFileError::UnsupportedEncryption);
        }
        pem::decode_vec(self.text.as_bytes())
            .map(|(_, bytes)| Zeroizing::new(bytes))
            .map_err(|_| damaged(self.label, "not base64 in lines of 64"))
    }
}

/// Cuts a text into its PEM blocks; what stands around them is commentary. Labels are shown,
/// so one that a terminal could take for commands is none.
fn blocks(text: &str) -> Result<Vec<Block<'_>>, KeyFileError> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        rest = &rest[start..];
        let label = rest["-----BEGIN ".len()..]
            .split_once("-----")
            .map(|(label, _)| label)
            .filter(|label| label.chars().all(|c| c == ' ' || c.is_ascii_graphic()))
            .ok_or(KeyFileError::NotPem)?;
        let end = format!("-----END {label}-----");
        let Some(length) = rest.find(&end) else {
            let label: String = label.chars().take(40).collect();
            return Err(damaged(&label, "it has no end"));
        };
        let length = length + end.len();
        blocks.push(Block {
            label,
            text: &rest[..length],
        });
        rest = &rest[length..];
    }
    Ok(blocks)
}

fn damaged(label: &str, reason: &'static str) -> KeyFileError {
    KeyFileError::Damaged {
        label: label.to_owned(),
        reason,
    }
}

fn read_pkcs8(der: &[u8]) -> Result<SecretKey, KeyFileError> {
    let info = PrivateKeyInfoRef::from_der(der).map_err(|_| damaged(PLAIN, "not PKCS#8"))?;
    let curve = curve_of(&info.algorithm)?;
    macro_rules! read {
        ($curve:ident) => {
            $curve::SecretKey::try_from(info)
                .map_err(|_| KeyFileError::Invalid)
                .map(|key| SecretKey::from_bytes(curve, &Zeroizing::new(key.to_bytes())))
        };
    }
    match curve {
        Curve::P256 => read!(p256),
        Curve::P384 => read!(p384),
        Curve::P521 => read!(p521),
    }?
    .map_err(|_| KeyFileError::Invalid)
}

/// SEC1 names its curve inside, so only one of the three takes it.
fn read_sec1(block: &Block<'_>) -> Result<SecretKey, KeyFileError> {
    let der = block.decode()?;
    macro_rules! read {
        ($curve:ident, $known:expr) => {
            $curve::SecretKey::from_sec1_der(&der)
                .ok()
                .and_then(|key| SecretKey::from_bytes($known, &Zeroizing::new(key.to_bytes())).ok())
        };
    }
    read!(p256, Curve::P256)
        .or_else(|| read!(p384, Curve::P384))
        .or_else(|| read!(p521, Curve::P521))
        .ok_or_else(|| damaged(SEC1, "no key on P-256, P-384 or P-521"))
}

fn read_public(block: &Block<'_>) -> Result<PublicKey, KeyFileError> {
    let der = block.decode()?;
    let info = SubjectPublicKeyInfoRef::from_der(&der)
        .map_err(|_| damaged(PUBLIC, "not a SubjectPublicKeyInfo"))?;
    let curve = curve_of(&info.algorithm)?;
    let bytes = info.subject_public_key.raw_bytes();
    macro_rules! compress {
        ($curve:ident) => {
            $curve::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                .map(|key| key.to_sec1_point(true).as_bytes().to_vec())
        };
    }
    let compressed = match curve {
        Curve::P256 => compress!(p256),
        Curve::P384 => compress!(p384),
        Curve::P521 => compress!(p521),
    };
    compressed
        .ok()
        .and_then(|bytes| PublicKey::from_bytes(&bytes).ok())
        .ok_or(KeyFileError::Invalid)
}

fn curve_of(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<Curve, KeyFileError> {
    if algorithm.oid != EC_PUBLIC_KEY {
        return Err(KeyFileError::Algorithm {
            found: known_name(algorithm.oid),
        });
    }
    match algorithm.parameters_oid() {
        Ok(oid) => curve_of_oid(oid),
        Err(_) => Err(KeyFileError::Curve {
            found: "given by its numbers".to_owned(),
        }),
    }
}

fn curve_of_oid(oid: ObjectIdentifier) -> Result<Curve, KeyFileError> {
    Curve::ALL
        .into_iter()
        .find(|curve| oid_of(*curve) == oid)
        .ok_or_else(|| KeyFileError::Curve {
            found: known_name(oid),
        })
}

fn oid_of(curve: Curve) -> ObjectIdentifier {
    use pkcs8::AssociatedOid;
    match curve {
        Curve::P256 => p256::NistP256::OID,
        Curve::P384 => p384::NistP384::OID,
        Curve::P521 => p521::NistP521::OID,
    }
}

/// The name of what people are likely to have by mistake.
fn known_name(oid: ObjectIdentifier) -> String {
    let text = oid.to_string();
    let name = match text.as_str() {
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.10040.4.1" => "DSA",
        "1.3.101.110" => "X25519",
        "1.3.101.112" => "Ed25519",
        "1.3.101.113" => "Ed448",
        "1.3.132.0.10" => "secp256k1",
        "1.3.132.0.33" => "P-224",
        "1.3.36.3.3.2.8.1.1.7" => "brainpoolP256r1",
        _ => return text,
    };
    name.to_owned()
}

fn pkcs8_der(secret: &SecretKey) -> pkcs8::SecretDocument {
    use pkcs8::EncodePrivateKey;
    let bytes = secret.to_bytes();
    macro_rules! encode {
        ($curve:ident) => {
            $curve::SecretKey::from_slice(&bytes)
                .expect("it was a key of this curve")
                .to_pkcs8_der()
        };
    }
    match secret.curve() {
        Curve::P256 => encode!(p256),
        Curve::P384 => encode!(p384),
        Curve::P521 => encode!(p521),
    }
    .expect("a key has an encoding")
}

fn public_der(key: &PublicKey) -> Vec<u8> {
    let curve = oid_of(key.curve());
    SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef {
            oid: EC_PUBLIC_KEY,
            parameters: Some((&curve).into()),
        },
        subject_public_key: BitStringRef::from_bytes(key.as_bytes())
            .expect("a public key is short"),
    }
    .to_der()
    .expect("a public key has an encoding")
}

fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    pem::encode_string(label, LineEnding::LF, der)
        .map(Zeroizing::new)
        .expect("a short document has an encoding")
}
