//! `mvb chain block --explain`: the hashes that lead to a block's id, so that each can be
//! checked with another program. `block` prints it below the block.

use mvb_protocol::{
    block::Block,
    explain::{Step, explain},
    hash::GenesisId,
};
use serde::Serialize;
use std::fmt;

/// The way to a block's id.
#[derive(Serialize)]
pub struct Explanation {
    /// Every hash, each made of bytes given and of hashes before it.
    explanation: Vec<Hash>,
    /// What the id must be below, in full.
    full_target: String,
    #[serde(skip)]
    id: String,
}

#[derive(Serialize)]
struct Hash {
    name: String,
    parts: Vec<Bytes>,
    hash: String,
}

#[derive(Serialize)]
struct Bytes {
    meaning: String,
    bytes: String,
}

impl Explanation {
    /// Explains a stored block of the network.
    pub fn new(block: &Block, genesis: GenesisId) -> Self {
        let target = block.header.target.expand();
        Self {
            explanation: explain(block, genesis).into_iter().map(Hash::new).collect(),
            full_target: target.map_or_else(String::new, |target| hex(&target.to_be_bytes())),
            id: block.id().to_string(),
        }
    }
}

impl Hash {
    fn new(step: Step) -> Self {
        let parts = step.parts.into_iter().map(|part| Bytes {
            bytes: hex(&part.bytes),
            meaning: part.meaning,
        });
        Self {
            name: step.name,
            parts: parts.collect(),
            hash: hex(&step.hash),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "How this id comes about. Every hash is the SHA-256 of the bytes above it, from top to"
        )?;
        writeln!(
            f,
            "bottom and without gaps; the command below each recomputes it."
        )?;
        for (index, hash) in self.explanation.iter().enumerate() {
            writeln!(f, "\n{}. {}", index + 1, hash.name)?;
            for part in &hash.parts {
                writeln!(f, "     {}  {}", part.bytes, part.meaning)?;
            }
            writeln!(f, "   = {}", hash.hash)?;
            let bytes: String = hash.parts.iter().map(|part| part.bytes.as_str()).collect();
            writeln!(f, "   printf '{bytes}' | xxd -r -p | sha256sum")?;
        }
        writeln!(
            f,
            "\nThe proof of work: read as numbers, the id is below the target."
        )?;
        writeln!(f, "     {}  id", self.id)?;
        writeln!(f, "     {}  target", self.full_target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_protocol::{
        address::Address,
        amount::Amount,
        block::{Header, Reward},
        hash::BlockId,
        numbers::{Height, Timestamp},
        target::Target,
    };

    #[test]
    fn every_step_can_be_copied_into_a_shell() {
        let genesis = GenesisId([9; 32]);
        let mut block = Block {
            header: Header {
                previous: BlockId([3; 32]),
                content_root: Default::default(),
                version: 1,
                target: Target::from_difficulty(5).to_compact(),
                height: Height(1),
                timestamp: Timestamp(1_000),
                nonce: 66,
            },
            transactions: Vec::new(),
            reward: Reward {
                to: Address([4; 32]),
                amount: Amount::from_units(10),
                extra_nonce: 11,
            },
        };
        block.header.content_root = block.content_root(genesis, &[]);
        let explanation = Explanation::new(&block, genesis);
        let text = explanation.to_string();
        let header = hex(&block.header.to_bytes());
        let told = format!(
            "4. id of the block\n     {}  id of the previous block\n",
            "03".repeat(32)
        );
        assert!(text.contains(&told), "{text}");
        let command = format!(
            "   = {}\n   printf '{header}' | xxd -r -p | sha256sum\n",
            block.id()
        );
        assert!(text.contains(&command), "{text}");
        assert!(text.ends_with(&format!("     08{}  target\n", "00".repeat(31))));
        let json = serde_json::to_value(&explanation).unwrap();
        assert_eq!(json["explanation"][3]["hash"], block.id().to_string());
        assert_eq!(json["explanation"][3]["parts"][6]["meaning"], "nonce");
    }
}
