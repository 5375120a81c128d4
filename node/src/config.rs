//! Every parameter of a node: its name, default, allowed values, meaning and value, and
//! where the value came from. `mvb config` shows all of it; the program loads it once at
//! its start and hands typed [`Settings`] to everything else. It never writes a file.
//!
//! Sources, the later winning: defaults, what the home remembers of its chain, `mvb.toml`
//! in the home, `MVB_*` in the environment, the command line. What the home remembers is
//! no preference but a fact: an explicit value that contradicts it is an error.

mod settings;
mod sources;
mod table;

pub use settings::{MINING_REWARDS, Settings};
pub use sources::{Source, parse_set};
pub use table::{PARAMETERS, Parameter};

use crate::{home, transport::Network};
use mvb_protocol::params::{ChainParams, ParamsError};
use sources::Given;
use std::{
    collections::BTreeMap,
    ops::Deref,
    path::{Path, PathBuf},
};

/// All parameters with their values, and where each came from.
#[derive(Clone, Debug)]
pub struct Config {
    settings: Settings,
    sources: BTreeMap<&'static str, Source>,
}

/// One parameter as `mvb config` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// The value it has when nobody sets it.
    pub default: String,
    /// What it allows, in words.
    pub allowed: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Where the value came from.
    pub source: Source,
}

/// Why the configuration is refused. Each prints as one line that names the key, its
/// value, what is allowed and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No parameter has this name.
    #[error("unknown parameter {key:?} ({from}){} `mvb config` lists all", suggest(.near))]
    Unknown {
        /// The name given.
        key: String,
        /// Where.
        from: Source,
        /// The parameter whose name is nearest, if one is near.
        near: Option<&'static str>,
    },
    /// The value is malformed or out of range.
    #[error("{key} is {value:?} ({from}), expected {allowed}")]
    Value {
        /// The parameter.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it allows.
        allowed: String,
        /// Where it came from.
        from: Source,
    },
    /// `--set` without a `=`.
    #[error("got --set {text:?}, expected --set KEY=VALUE")]
    Set {
        /// What was typed.
        text: String,
    },
    /// A file could not be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file is not TOML of the expected form.
    #[error("{} line {line}: {reason}", path.display())]
    Unparsable {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// An explicit value contradicts what the home remembers of its chain.
    #[error(
        "{key} is {value} ({from}), but the chain of this home has {key} {stored} ({}); leave it out, use another --home, or start over with `mvb chain reset`",
        record.display()
    )]
    Contradiction {
        /// The parameter.
        key: &'static str,
        /// The explicit value.
        value: String,
        /// Where it came from.
        from: Source,
        /// The chain's value.
        stored: String,
        /// Where the home remembers it.
        record: PathBuf,
    },
    /// Other networks in the room may have the default name too.
    #[error(
        "network lan needs a network_name of its own, not the default {name:?}: choose one with --set network_name=NAME, the same for everybody in the room{}",
        if *.remembered { "; this home already holds a chain of that name, so use another --home or `mvb chain reset`" } else { "" }
    )]
    LanNeedsName {
        /// The default name.
        name: String,
        /// Whether the home holds a chain of that name.
        remembered: bool,
    },
    /// What the home remembers of its chain could not be read.
    #[error(transparent)]
    Record(#[from] home::RecordError),
}

/// What an explicit parameter that differs from the home's chain means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    UseChain,
    ReplaceChain,
}

impl Config {
    /// Loads every source. `overrides` are the command line's names and values in order,
    /// `environment` all variables; only those that begin with `MVB_` are looked at.
    ///
    /// # Errors
    /// Names the first thing wrong in one line.
    pub fn load(
        home: &Path,
        overrides: &[(String, String)],
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::load_for(Purpose::UseChain, home, overrides, environment)
    }

    /// As [`Self::load`], for `mvb chain reset`: explicit parameters replace what the home
    /// remembers rather than contradict it.
    ///
    /// # Errors
    /// Names the first thing wrong in one line.
    pub fn load_for_reset(
        home: &Path,
        overrides: &[(String, String)],
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::load_for(Purpose::ReplaceChain, home, overrides, environment)
    }

    fn load_for(
        purpose: Purpose,
        home: &Path,
        overrides: &[(String, String)],
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self {
            settings: Settings::new(home),
            sources: BTreeMap::new(),
        };
        let file = home.join(home::CONFIG_FILE);
        let given = sources::file(&file)?
            .into_iter()
            .chain(sources::environment(environment))
            .chain(sources::command_line(overrides));
        for value in given {
            config.apply(home, value)?;
        }
        let remembered = home::remembered_params(home)?;
        if let Some(params) = &remembered {
            config.remember(purpose, home, params)?;
        }
        config.check(remembered.is_some())?;
        Ok(config)
    }

    fn apply(&mut self, home: &Path, given: Given) -> Result<(), ConfigError> {
        let Some(parameter) = PARAMETERS.iter().find(|p| p.name == given.key) else {
            return Err(ConfigError::Unknown {
                near: sources::nearest(&given.key),
                key: given.key,
                from: given.from,
            });
        };
        // A path in the home's own file is meant from there, one typed in a terminal
        // from where its user stands.
        let base = match given.from {
            Source::File(_) => home,
            _ => Path::new(""),
        };
        if (parameter.parse)(&mut self.settings, &given.value, base).is_none() {
            return Err(ConfigError::Value {
                key: parameter.name,
                value: given.value,
                allowed: parameter.allowed.to_owned(),
                from: given.from,
            });
        }
        self.sources.insert(parameter.name, given.from);
        Ok(())
    }

    /// Fills in the chain's parameters where only defaults speak.
    fn remember(
        &mut self,
        purpose: Purpose,
        home: &Path,
        params: &ChainParams,
    ) -> Result<(), ConfigError> {
        let record = home.join(home::CHAIN_RECORD);
        let stored = Settings {
            chain: params.clone(),
            ..self.settings.clone()
        };
        for parameter in PARAMETERS.iter().filter(|p| p.of_the_chain) {
            let (ours, theirs) = ((parameter.show)(&self.settings), (parameter.show)(&stored));
            match self.sources.get(parameter.name) {
                None => {
                    (parameter.parse)(&mut self.settings, &theirs, home);
                    self.sources
                        .insert(parameter.name, Source::Chain(record.clone()));
                }
                Some(from) if ours != theirs && purpose == Purpose::UseChain => {
                    return Err(ConfigError::Contradiction {
                        key: parameter.name,
                        value: ours,
                        from: from.clone(),
                        stored: theirs,
                        record,
                    });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// What no single value can say: rules between parameters.
    fn check(&self, remembered: bool) -> Result<(), ConfigError> {
        self.settings
            .chain
            .validate()
            .map_err(|error| self.of_params(error))?;
        let default = ChainParams::default().network_name;
        if self.network == Network::Lan && self.chain.network_name == default {
            return Err(ConfigError::LanNeedsName {
                name: default,
                remembered,
            });
        }
        if self.status_broadcast_port == self.transaction_port {
            return Err(self.refused(
                "transaction_port",
                format!(
                    "another port than status_broadcast_port {}",
                    self.status_broadcast_port
                ),
            ));
        }
        Ok(())
    }

    fn of_params(&self, error: ParamsError) -> ConfigError {
        self.refused(error.name, error.expected)
    }

    fn refused(&self, key: &'static str, allowed: String) -> ConfigError {
        let value = PARAMETERS
            .iter()
            .find(|p| p.name == key)
            .map(|p| (p.show)(&self.settings))
            .unwrap_or_default();
        ConfigError::Value {
            key,
            value,
            allowed,
            from: self.source(key),
        }
    }

    /// What every member of this network must agree on.
    pub fn chain_params(&self) -> &ChainParams {
        &self.settings.chain
    }

    /// Where a parameter's value came from.
    pub fn source(&self, name: &str) -> Source {
        self.sources.get(name).cloned().unwrap_or_default()
    }

    /// Whether somebody chose the value: a port asked for by name and busy is an error,
    /// where the default makes way.
    pub fn is_explicit(&self, name: &str) -> bool {
        self.source(name) != Source::Default
    }

    /// Every parameter with its value, in the table's order.
    pub fn entries(&self) -> Vec<Entry> {
        let defaults = Settings::new(&self.home);
        PARAMETERS
            .iter()
            .map(|parameter| Entry {
                name: parameter.name,
                value: (parameter.show)(&self.settings),
                default: (parameter.show)(&defaults),
                allowed: parameter.allowed,
                meaning: parameter.meaning,
                source: self.source(parameter.name),
            })
            .collect()
    }
}

impl Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

fn suggest(near: &Option<&'static str>) -> String {
    match near {
        Some(name) => format!(", did you mean {name}?"),
        None => ";".to_owned(),
    }
}

#[cfg(test)]
mod tests;
