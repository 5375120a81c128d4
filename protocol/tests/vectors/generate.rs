//! Writes down what the frozen vectors say, from the rules themselves. `examples/vectors.rs`
//! saves it, `tests/vectors.rs` compares it with the files that were saved before.

#[path = "../support/chain.rs"]
pub mod chain;
pub mod ledger;
pub mod messages;
pub mod numbers;
#[path = "../support/read.rs"]
pub mod read;
mod refused;
pub mod secrets;

use mvb_protocol::params::ChainParams;
use serde_json::{Value, json};

/// Every file by name, with its contents.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("addresses.json", secrets::addresses()),
        ("blocks.json", ledger::blocks()),
        ("genesis.json", numbers::genesis()),
        ("keys.json", secrets::keys()),
        ("merkle.json", numbers::merkle()),
        ("messages.json", messages::messages()),
        ("retargets.json", numbers::retargets()),
        ("targets.json", numbers::targets()),
        ("transactions.json", ledger::transactions()),
    ]
}

/// The file's text.
pub fn text(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("plain values have a text");
    text.push('\n');
    text
}

/// The chain that the vectors are of.
pub fn params() -> ChainParams {
    ChainParams {
        network_name: "vectors".to_owned(),
        difficulty: 8,
        ..ChainParams::default()
    }
}

pub fn hex(bytes: impl AsRef<[u8]>) -> Value {
    Value::String(hex::encode(bytes))
}

/// Parameters as JSON, with the amount in units.
pub fn params_json(params: &ChainParams) -> Value {
    json!({
        "rules_version": params.rules_version,
        "network_name": params.network_name,
        "difficulty": params.difficulty,
        "block_size": params.block_size,
        "block_reward": params.block_reward.units(),
        "target_block_seconds": params.target_block_seconds,
        "max_block_bytes": params.max_block_bytes,
    })
}
