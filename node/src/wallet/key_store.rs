//! The key store: a folder with one file `NAME.pem` for each key, in PKCS#8 as `openssl`
//! reads and writes it. The wallet and the miner's reward use it. It never overwrites a
//! file, and no message of it holds a byte of a key.
//!
//! An encrypted key's file holds its public key as well, in a second PEM block after the
//! first, so that its address is known without the passphrase. `openssl pkey` reads the
//! first block, `openssl pkey -pubin` the second.

mod file;
mod pem;

pub use pem::KeyFileError;

use super::{KeyName, Party, names::KeyNameError};
use crate::config::MINING_REWARDS;
use mvb_protocol::{
    address::Address,
    keys::{Curve, PublicKey, SecretKey},
};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// A passphrase, wiped from memory when dropped.
pub type Passphrase = Zeroizing<String>;

/// What a key's file ends in.
const EXTENSION: &str = "pem";

/// A folder of keys. The folder is made with the first key.
#[derive(Clone, Debug)]
pub struct KeyStore {
    folder: PathBuf,
}

/// A key as its file shows it without a passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// Its name.
    pub name: KeyName,
    /// Its file.
    pub path: PathBuf,
    /// Its public key.
    pub key: PublicKey,
    /// Whether a passphrase protects it.
    pub encrypted: bool,
    /// What its owner should know of the file.
    pub warnings: Vec<KeyWarning>,
}

/// What the owner of a key should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyWarning {
    /// Other users of this machine can take the key.
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Everything in the folder that is named as a key's file.
#[derive(Debug, Default)]
pub struct Listing {
    /// The keys, by name.
    pub keys: Vec<KeyFile>,
    /// The files that are no usable keys, and why.
    pub problems: Vec<(PathBuf, KeyFileError)>,
}

/// Why a key cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] KeyNameError),
    /// A key or another file has this name.
    #[error("key {name} exists already ({}); it is never overwritten", path.display())]
    Exists {
        /// The name.
        name: KeyName,
        /// Its file.
        path: PathBuf,
    },
    /// No key has this name.
    #[error("no key {name} in {}: `mvb wallet list-addresses` shows those there are, `mvb wallet new-address {name}` makes one", folder.display())]
    Missing {
        /// The name.
        name: KeyName,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The file is no usable key.
    #[error("key {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyFileError,
    },
    /// The key needs its passphrase, which was not given.
    #[error("key {name} is encrypted, its passphrase is needed")]
    Locked {
        /// The name.
        name: KeyName,
    },
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The system refused.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The system gives no random numbers.
    #[error("no random numbers for a new key: {reason}")]
    Random {
        /// What it said.
        reason: String,
    },
}

impl KeyFile {
    /// The key's address.
    pub fn address(&self) -> Address {
        Address::of_key(self.key.as_bytes())
    }

    /// The key's curve.
    pub fn curve(&self) -> Curve {
        self.key.curve()
    }
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadableByOthers { path, mode } => write!(
                f,
                "KEY READABLE BY OTHERS: {} has mode {mode:04o}; whoever can read it can spend its money: chmod 600 it",
                path.display()
            ),
        }
    }
}

impl KeyStore {
    /// The keys of a folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a key, whether there is one or not.
    pub fn path(&self, name: &KeyName) -> PathBuf {
        self.folder.join(format!("{name}.{EXTENSION}"))
    }

    /// Makes a new key and saves it. When this returns it is on the disk; after a crash it
    /// is there whole or not at all.
    ///
    /// # Errors
    /// When the name is taken, or the file cannot be written.
    pub fn create(
        &self,
        name: &KeyName,
        curve: Curve,
        passphrase: Option<&Passphrase>,
    ) -> Result<KeyFile, KeyStoreError> {
        let path = self.path(name);
        let exists = || KeyStoreError::Exists {
            name: name.clone(),
            path: path.clone(),
        };
        // Asked before the slow part, and decided once more when the file gets its name.
        if path.symlink_metadata().is_ok() {
            return Err(exists());
        }
        if passphrase.is_some_and(|passphrase| passphrase.is_empty()) {
            return Err(KeyStoreError::EmptyPassphrase);
        }
        let secret = random_key(curve)?;
        let text = match passphrase {
            None => pem::write_plain(&secret),
            Some(passphrase) => {
                let mut random = [0; pem::RANDOM_BYTES];
                fill_random(&mut random)?;
                pem::write_encrypted(&secret, passphrase, &random)
            }
        };
        match file::create(&path, text.as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists()),
            Err(source) => return Err(KeyStoreError::Io { path, source }),
        }
        Ok(KeyFile {
            name: name.clone(),
            path,
            key: secret.public_key(),
            encrypted: passphrase.is_some(),
            warnings: Vec::new(),
        })
    }

    /// The key of a name, made without a passphrase where there is none yet.
    ///
    /// # Errors
    /// When the file is no usable key, or cannot be written.
    pub fn find_or_create(&self, name: &KeyName, curve: Curve) -> Result<KeyFile, KeyStoreError> {
        match self.create(name, curve, None) {
            Err(KeyStoreError::Exists { .. }) => self.find(name),
            created => created,
        }
    }

    /// The address that rewards go to. The key that is there by default is made where it
    /// is missing; another that is missing is an error, because its name may be mistyped.
    ///
    /// # Errors
    /// When there is no such key, or it cannot be made or used.
    pub fn reward_address(&self, to: &Party, curve: Curve) -> Result<Address, KeyStoreError> {
        match to {
            Party::Address(address) => Ok(*address),
            Party::Name(name) if name.as_str() == MINING_REWARDS => {
                Ok(self.find_or_create(name, curve)?.address())
            }
            Party::Name(name) => Ok(self.find(name)?.address()),
        }
    }

    /// The key of a name, without its secret.
    ///
    /// # Errors
    /// When there is none, or its file is no usable key.
    pub fn find(&self, name: &KeyName) -> Result<KeyFile, KeyStoreError> {
        let path = self.path(name);
        match inspect(name, &path) {
            Ok(found) => Ok(found),
            Err(KeyFileError::Unreadable {
                kind: io::ErrorKind::NotFound,
                ..
            }) => Err(KeyStoreError::Missing {
                name: name.clone(),
                folder: self.folder.clone(),
            }),
            Err(error) => Err(KeyStoreError::File { path, error }),
        }
    }

    /// The key of an address, without its secret.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn find_address(&self, address: &Address) -> Result<Option<KeyFile>, KeyStoreError> {
        let listing = self.list()?;
        Ok(listing
            .keys
            .into_iter()
            .find(|key| key.address() == *address))
    }

    /// The secret of a key.
    ///
    /// # Errors
    /// When there is none, its file is no usable key, or the passphrase is missing or wrong.
    pub fn load(
        &self,
        name: &KeyName,
        passphrase: Option<&Passphrase>,
    ) -> Result<SecretKey, KeyStoreError> {
        let found = self.find_locked(name)?;
        let path = self.path(name);
        match (found, passphrase) {
            (pem::Contents::Plain(secret), _) => Ok(secret),
            (pem::Contents::Encrypted(_), None) => {
                Err(KeyStoreError::Locked { name: name.clone() })
            }
            (pem::Contents::Encrypted(locked), Some(passphrase)) => locked
                .unlock(passphrase)
                .map_err(|error| KeyStoreError::File { path, error }),
        }
    }

    /// Every key by name, and every `.pem` file that is none with the reason. Other files
    /// are not looked at.
    ///
    /// # Errors
    /// When the folder cannot be read; one that does not exist holds no keys.
    pub fn list(&self) -> Result<Listing, KeyStoreError> {
        let failed = |source| KeyStoreError::Io {
            path: self.folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
            Err(error) => return Err(failed(error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == EXTENSION)
            {
                paths.push(path);
            }
        }
        paths.sort();
        let mut listing = Listing::default();
        for path in paths {
            let name = path.file_stem().and_then(|stem| stem.to_str());
            let inspected = match name.and_then(|name| name.parse().ok()) {
                Some(name) => inspect(&name, &path),
                None => Err(KeyFileError::Name),
            };
            match inspected {
                Ok(key) => listing.keys.push(key),
                Err(error) => listing.problems.push((path, error)),
            }
        }
        Ok(listing)
    }

    fn find_locked(&self, name: &KeyName) -> Result<pem::Contents, KeyStoreError> {
        let path = self.path(name);
        match file::read(&path).and_then(|(text, _)| pem::read(&text)) {
            Ok(contents) => Ok(contents),
            Err(KeyFileError::Unreadable {
                kind: io::ErrorKind::NotFound,
                ..
            }) => Err(KeyStoreError::Missing {
                name: name.clone(),
                folder: self.folder.clone(),
            }),
            Err(error) => Err(KeyStoreError::File { path, error }),
        }
    }
}

/// Reads what a file shows without a passphrase.
fn inspect(name: &KeyName, path: &Path) -> Result<KeyFile, KeyFileError> {
    let (text, warnings) = file::read(path)?;
    let (key, encrypted) = match pem::read(&text)? {
        pem::Contents::Plain(secret) => (secret.public_key(), false),
        pem::Contents::Encrypted(locked) => {
            (locked.public.ok_or(KeyFileError::UnknownAddress)?, true)
        }
    };
    Ok(KeyFile {
        name: name.clone(),
        path: path.to_owned(),
        key,
        encrypted,
        warnings,
    })
}

/// What the fuzz targets try of key files.
#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    use super::{KeyFileError, Passphrase, PublicKey, SecretKey, pem};

    /// What a key file was found to hold.
    pub enum Found {
        /// A key.
        Plain(SecretKey),
        /// An encrypted one: the public key beside it, and what trying a passphrase gave,
        /// unless that takes long.
        Encrypted(Option<PublicKey>, Option<Result<SecretKey, KeyFileError>>),
    }

    /// Reads a key file's text, and tries a passphrase on it.
    ///
    /// # Errors
    /// What its owner would be told.
    pub fn read(text: &str, passphrase: &Passphrase) -> Result<Found, KeyFileError> {
        Ok(match pem::read(text)? {
            pem::Contents::Plain(secret) => Found::Plain(secret),
            pem::Contents::Encrypted(locked) => {
                let tried = locked.is_cheap().then(|| locked.unlock(passphrase));
                Found::Encrypted(locked.public, tried)
            }
        })
    }

    /// The text of a key's file.
    pub fn write(secret: &SecretKey) -> String {
        pem::write_plain(secret).to_string()
    }
}

fn random_key(curve: Curve) -> Result<SecretKey, KeyStoreError> {
    loop {
        let mut bytes = Zeroizing::new(vec![0; curve.scalar_bytes()]);
        fill_random(&mut bytes)?;
        if curve == Curve::P521 {
            // 521 bits in 66 bytes: the highest seven are always zero.
            bytes[0] &= 1;
        }
        // Out of range once in 2^32 on P-256 and far more rarely on the others: then again.
        if let Ok(secret) = SecretKey::from_bytes(curve, &bytes) {
            return Ok(secret);
        }
    }
}

fn fill_random(bytes: &mut [u8]) -> Result<(), KeyStoreError> {
    getrandom::fill(bytes).map_err(|error| KeyStoreError::Random {
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
