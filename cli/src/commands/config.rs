//! `mvb config`: every parameter, its value, where that came from, what it means.

use crate::{context::Context, exit::Exit};
use anyhow::Result;
use mvb_node::config::Entry;
use serde::Serialize;
use std::fmt;

/// Prints all parameters.
pub fn run(context: &Context) -> Result<Exit> {
    let config = context.config()?;
    let entries = config.entries();
    context.output.report(&ConfigReport {
        home: config.home.display().to_string(),
        genesis: config.chain_params().genesis_id().to_string(),
        parameters: entries.into_iter().map(ParameterLine::from).collect(),
    })?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct ConfigReport {
    home: String,
    genesis: String,
    parameters: Vec<ParameterLine>,
}

#[derive(Serialize)]
struct ParameterLine {
    name: &'static str,
    value: String,
    source: String,
    default: String,
    allowed: &'static str,
    meaning: &'static str,
}

impl From<Entry> for ParameterLine {
    fn from(entry: Entry) -> Self {
        Self {
            name: entry.name,
            value: entry.value,
            source: entry.source.to_string(),
            default: entry.default,
            allowed: entry.allowed,
            meaning: entry.meaning,
        }
    }
}

impl fmt::Display for ConfigReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "home {}", self.home)?;
        writeln!(
            f,
            "network {:.8} (its genesis id, from network_name to max_block_bytes)",
            self.genesis
        )?;
        for parameter in &self.parameters {
            write!(f, "\n{parameter}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ParameterLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.value.is_empty() {
            "(none)"
        } else {
            &self.value
        };
        writeln!(f, "{} = {value}   ({})", self.name, self.source)?;
        writeln!(f, "    {}", self.meaning)?;
        writeln!(f, "    allowed: {}", self.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_reads_as_value_source_meaning_and_range() {
        let report = ConfigReport {
            home: "/home/x".into(),
            genesis: "3fa0b1c2d4".into(),
            parameters: vec![ParameterLine {
                name: "difficulty",
                value: "20".into(),
                source: "MVB_DIFFICULTY".into(),
                default: "26".into(),
                allowed: "1 to 64 bits",
                meaning: "leading zero bits a block's id needs",
            }],
        };
        assert_eq!(
            report.to_string(),
            "home /home/x\n\
             network 3fa0b1c2 (its genesis id, from network_name to max_block_bytes)\n\n\
             difficulty = 20   (MVB_DIFFICULTY)\n    \
             leading zero bits a block's id needs\n    \
             allowed: 1 to 64 bits\n"
        );
    }
}
