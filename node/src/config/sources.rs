//! Where parameters come from: the home's `mvb.toml`, the environment, the command line.
//! Each source gives names and texts; what they mean is the table's business.

use super::{ConfigError, table::PARAMETERS};
use std::{fmt, io, path::Path, path::PathBuf};

/// What names of the environment begin with.
const PREFIX: &str = "MVB_";

/// Variables that are no parameters but meant for the program itself or for its tests.
const RESERVED: [&str; 4] = ["MVB_HOME", "MVB_LOG", "MVB_PASSPHRASE", "MVB_REQUIRE_ALL"];

/// What the names of more variables that are meant for tests begin with.
const RESERVED_PREFIX: &str = "MVB_TEST_";

/// Where a value came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    #[default]
    Default,
    /// The home remembers it of its chain.
    Chain(PathBuf),
    /// The home's `mvb.toml`.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// A flag or `--set`.
    CommandLine,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Chain(path) => write!(f, "this home's chain, {}", path.display()),
            Self::File(path) => write!(f, "{}", path.display()),
            // Whatever a name holds, the error it stands in stays one line.
            Self::Environment(name) => write!(f, "{}", name.escape_debug()),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// A name and a text somebody gave.
pub(super) struct Given {
    pub key: String,
    pub value: String,
    pub from: Source,
}

/// Splits `KEY=VALUE` as `--set` takes it.
///
/// # Errors
/// When there is no `=` or nothing before it.
pub fn parse_set(text: &str) -> Result<(String, String), ConfigError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(ConfigError::Set {
            text: text.to_owned(),
        }),
    }
}

/// The values of a TOML file; none if there is no such file.
pub(super) fn file(path: &Path) -> Result<Vec<Given>, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(ConfigError::Unreadable {
                path: path.to_owned(),
                reason: error.to_string(),
            });
        }
    };
    let table: toml::Table = toml::from_str(&text).map_err(|error| ConfigError::Unparsable {
        path: path.to_owned(),
        line: line_of(&text, error.span()),
        reason: error.message().lines().collect::<Vec<_>>().join(" "),
    })?;
    Ok(table
        .into_iter()
        .map(|(key, value)| Given {
            key,
            value: text_of(value),
            from: Source::File(path.to_owned()),
        })
        .collect())
}

/// The variables that begin with `MVB_`, by their parameters' names.
pub(super) fn environment(variables: impl Iterator<Item = (String, String)>) -> Vec<Given> {
    let mut given: Vec<Given> = variables
        .filter(|(name, _)| name.starts_with(PREFIX))
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
        .filter(|(name, _)| !name.starts_with(RESERVED_PREFIX))
        .map(|(name, value)| Given {
            key: name[PREFIX.len()..].to_lowercase(),
            value,
            from: Source::Environment(name),
        })
        .collect();
    // The environment has no order, and of two mistakes the same one is always told.
    given.sort_by(|a, b| a.key.cmp(&b.key));
    given
}

/// Flags and `--set`, in order.
pub(super) fn command_line(overrides: &[(String, String)]) -> impl Iterator<Item = Given> + '_ {
    overrides.iter().map(|(key, value)| Given {
        key: key.clone(),
        value: value.clone(),
        from: Source::CommandLine,
    })
}

/// The parameter whose name is at most a third of its length away, if one is.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    let key: String = key.chars().take(64).collect();
    PARAMETERS
        .iter()
        .map(|parameter| (distance(&key, parameter.name), parameter.name))
        .min()
        .filter(|(distance, name)| *distance <= name.len() / 3)
        .map(|(_, name)| name)
}

/// The Levenshtein distance: how many characters must be put in, taken out or changed.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let changed = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> usize {
    let before = text.get(..span.map_or(0, |span| span.start));
    1 + before.unwrap_or_default().matches('\n').count()
}

/// The text a value would be on the command line. A nested table becomes a text that no
/// parameter allows, so that it is refused under its name.
fn text_of(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        toml::Value::Array(items) => {
            let items: Vec<String> = items.into_iter().map(text_of).collect();
            items.join(",")
        }
        other => other.to_string(),
    }
}
