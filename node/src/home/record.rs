//! What a home remembers of the chain it is part of: the chain's parameters, so that they
//! need not be given again and cannot be changed by mistake.

use super::{CHAIN_RECORD, CHAINS, Home, HomeError, Outlives, write_atomically};
use mvb_protocol::{
    amount::Amount,
    params::{ChainParams, RULES_VERSION},
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Why what the home remembers of its chain makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// It is not what was written.
    #[error("{} is damaged: {reason}; remove it and give the chain's parameters once more", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It was written for other rules than this program's.
    #[error("the chain of this home has rules version {got}, expected {RULES_VERSION} ({}); use another --home", path.display())]
    Rules {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: u32,
    },
}

/// The record as it is written; amounts in coins, as everywhere people look.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    rules_version: u32,
    network_name: String,
    difficulty: u8,
    block_size: u32,
    block_reward: String,
    target_block_seconds: u32,
    max_block_bytes: u32,
    genesis: String,
}

/// The parameters of the chain a home is part of, if it is part of one yet.
///
/// # Errors
/// When the record cannot be read or makes no sense.
pub fn remembered_params(home: &Path) -> Result<Option<ChainParams>, RecordError> {
    let path = home.join(CHAIN_RECORD);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(only_chain(home)),
        Err(error) => {
            return Err(RecordError::Unreadable {
                path,
                reason: error.to_string(),
            });
        }
    };
    read_record(&text, path).map(Some)
}

/// A crash between making a chain and writing its record leaves one chain without a record.
fn only_chain(home: &Path) -> Option<ChainParams> {
    let mut stored: Vec<ChainParams> = fs::read_dir(home.join(CHAINS))
        .ok()?
        .flatten()
        .filter_map(|folder| mvb_storage::stored_params(&folder.path()).ok().flatten())
        .collect();
    stored.pop().filter(|_| stored.is_empty())
}

fn read_record(text: &str, path: PathBuf) -> Result<ChainParams, RecordError> {
    let damaged = |reason: String| RecordError::Damaged {
        path: path.clone(),
        reason,
    };
    let record: Record = toml::from_str(text).map_err(|error| damaged(error.message().into()))?;
    if record.rules_version != RULES_VERSION {
        return Err(RecordError::Rules {
            path,
            got: record.rules_version,
        });
    }
    let params = ChainParams {
        rules_version: record.rules_version,
        network_name: record.network_name,
        difficulty: record.difficulty,
        block_size: record.block_size,
        block_reward: record
            .block_reward
            .parse::<Amount>()
            .map_err(|error| damaged(error.to_string()))?,
        target_block_seconds: record.target_block_seconds,
        max_block_bytes: record.max_block_bytes,
    };
    params
        .validate()
        .map_err(|error| damaged(error.to_string()))?;
    if params.genesis_id().to_string() != record.genesis {
        return Err(damaged(format!(
            "its parameters give genesis {:.8}, expected {:.8}",
            params.genesis_id(),
            record.genesis
        )));
    }
    Ok(params)
}

impl Home {
    /// Writes the record.
    pub(super) fn remember(&self, params: &ChainParams) -> Result<(), HomeError> {
        let path = self.chain_record();
        let record = Record {
            rules_version: params.rules_version,
            network_name: params.network_name.clone(),
            difficulty: params.difficulty,
            block_size: params.block_size,
            block_reward: params.block_reward.to_string(),
            target_block_seconds: params.target_block_seconds,
            max_block_bytes: params.max_block_bytes,
            genesis: params.genesis_id().to_string(),
        };
        let text = toml::to_string(&record).expect("a flat record of numbers and texts is TOML");
        let text =
            format!("# The chain this home is part of. Written by mvb; not for editing.\n{text}");
        write_atomically(&path, text.as_bytes(), Outlives::Crash)
            .map_err(|source| HomeError::Io { path, source })
    }
}
