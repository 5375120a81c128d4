//! What a client asks: the path, the query and their readings. Everything typed by a stranger
//! passes through here, and whatever it is not allowed to be is refused with a [`Problem`]
//! that says what would be right. Pure; the server hands requests in.

use crate::problem::Problem;
use mvb_protocol::{
    address::Address,
    chain::TxLocation,
    hash::{BlockId, TxId},
    numbers::{Height, Sequence},
};
use std::{fmt::Display, str::FromStr};

/// The longest path and query together.
pub const MAX_TARGET_BYTES: usize = 2_048;

/// The most lines of anything on a page or in an answer.
pub const MAX_LIMIT: usize = 100;

/// A query string: its parameters in order, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

/// A block as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockRef {
    /// A height of the active chain.
    Height(Height),
    /// Any stored block.
    Id(BlockId),
}

impl Query {
    /// Reads a query string. Each parameter must be one of `known`, and stand there once.
    ///
    /// # Errors
    /// Says which parameter is wrong.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                let expected = match known {
                    [] => "none".to_owned(),
                    known => known.join(", "),
                };
                return Err(Problem::bad_parameter(format!(
                    "got parameter {}, expected {expected}",
                    shown(&name)
                )));
            }
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(Problem::bad_parameter(format!(
                    "parameter {name} stands there twice"
                )));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// A parameter's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// How many lines are asked for: `limit`, from 1 to [`MAX_LIMIT`].
    ///
    /// # Errors
    /// When it is no such number.
    pub fn limit(&self, default: usize) -> Result<usize, Problem> {
        let Some(text) = self.get("limit") else {
            return Ok(default);
        };
        match number(text) {
            Some(limit @ 1..=100) => Ok(limit as usize),
            _ => Err(Problem::bad_parameter(format!(
                "got limit {}, expected 1 to {MAX_LIMIT}",
                shown(text)
            ))),
        }
    }

    /// A height, where one is given.
    ///
    /// # Errors
    /// When it is no number, or more than an `int64`, which is what the OpenAPI document allows.
    pub fn height(&self, name: &str) -> Result<Option<Height>, Problem> {
        self.read(name, "a height such as 12", |text| {
            let height = number(text)?;
            (height <= i64::MAX as u64).then_some(Height(height))
        })
    }

    /// A place in an address's history, `HEIGHT-INDEX`.
    ///
    /// # Errors
    /// When it is no such place.
    pub fn location(&self, name: &str) -> Result<Option<TxLocation>, Problem> {
        self.read(name, "a cursor that an earlier answer gave", parse_location)
    }

    /// A place in the mempool, `ADDRESS-SEQUENCE`.
    ///
    /// # Errors
    /// When it is no such place.
    pub fn waiting(&self, name: &str) -> Result<Option<(Address, Sequence)>, Problem> {
        self.read(name, "a cursor that an earlier answer gave", |text| {
            let (address, sequence) = text.split_once('-')?;
            Some((address.parse().ok()?, Sequence(number(sequence)?)))
        })
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match read(text) {
            Some(value) => Ok(Some(value)),
            None => Err(Problem::bad_parameter(format!(
                "got {name} {}, expected {expected}",
                shown(text)
            ))),
        }
    }
}

impl BlockRef {
    /// Reads a height or an id.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        number(text)
            .map(|n| Self::Height(Height(n)))
            .ok_or_else(|| {
                Problem::malformed(format!(
                    "got block {}, expected a height such as 12, or an id of 64 hex digits",
                    shown(text)
                ))
            })
    }
}

/// Reads a payment's id.
///
/// # Errors
/// When it is none.
pub fn transaction_id(text: &str) -> Result<TxId, Problem> {
    named("payment", text)
}

/// Reads an address in any of its forms.
///
/// # Errors
/// When it is none, or its checksum does not match.
pub fn address(text: &str) -> Result<Address, Problem> {
    named("address", text)
}

fn named<T: FromStr<Err: Display>>(what: &str, text: &str) -> Result<T, Problem> {
    let hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.parse() {
        Ok(value) => Ok(value),
        Err(error) if hex => Err(Problem::malformed(error.to_string())),
        Err(_) => Err(Problem::malformed(format!(
            "got {what} {}, expected 64 hex digits",
            shown(text)
        ))),
    }
}

/// The cursor of a place in a history.
pub fn location_cursor(location: TxLocation) -> String {
    format!("{}-{}", location.height, location.index)
}

fn parse_location(text: &str) -> Option<TxLocation> {
    let (height, index) = text.split_once('-')?;
    Some(TxLocation {
        height: Height(number(height)?),
        index: number(index)?.try_into().ok()?,
    })
}

/// A whole number of plain digits.
fn number(text: &str) -> Option<u64> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A text of a stranger's, short enough to be told again.
pub fn shown(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    format!("{cut:?}")
}

/// Decodes `%XX` and `+`.
///
/// # Errors
/// When it is no UTF-8 or has a broken escape.
pub fn decoded(text: &str) -> Result<String, Problem> {
    let broken = || Problem::malformed(format!("{} is not UTF-8 in percent encoding", shown(text)));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (pair, after) = rest.split_at_checked(2).ok_or_else(broken)?;
                let mut byte = [0];
                hex::decode_to_slice(pair, &mut byte).map_err(|_| broken())?;
                bytes.extend(byte);
                rest = after;
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_with_what_it_may_hold_and_nothing_else() {
        let query = Query::parse("limit=7&before=12", &["limit", "before"]).unwrap();
        assert_eq!(query.limit(20), Ok(7));
        assert_eq!(query.height("before"), Ok(Some(Height(12))));
        let query = Query::parse("before=9223372036854775808", &["before"]).unwrap();
        assert!(query.height("before").is_err());
        assert_eq!(Query::parse("", &[]), Ok(Query::default()));
        for refused in ["other=1", "limit=1&limit=2", "limit=%zz", "limit=%ff", "%"] {
            assert!(Query::parse(refused, &["limit"]).is_err(), "{refused}");
        }
        for limit in [
            "0",
            "101",
            "-1",
            "1.0",
            "",
            " 1",
            "٣",
            "99999999999999999999",
        ] {
            let query = Query::parse(&format!("limit={limit}"), &["limit"]).unwrap();
            assert!(query.limit(20).is_err(), "{limit}");
        }
    }

    #[test]
    fn a_cursor_reads_back() {
        let location = TxLocation {
            height: Height(u64::MAX),
            index: u32::MAX,
        };
        assert_eq!(parse_location(&location_cursor(location)), Some(location));
        for refused in ["", "-", "1", "1-", "-1", "1-4294967296", "1-2-3", "+1-2"] {
            assert_eq!(parse_location(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_block_is_a_height_or_an_id() {
        let id = "0a".repeat(32);
        assert!(matches!(BlockRef::parse(&id), Ok(BlockRef::Id(_))));
        assert_eq!(BlockRef::parse("12"), Ok(BlockRef::Height(Height(12))));
        // A number of 64 digits is an id, never a height.
        assert!(matches!(
            BlockRef::parse(&"1".repeat(64)),
            Ok(BlockRef::Id(_))
        ));
        for refused in ["", "-1", "1e3", "0x1", "18446744073709551616", &id[1..]] {
            assert!(BlockRef::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn what_a_stranger_wrote_is_told_again_in_few_characters() {
        let problem = address(&"<".repeat(5_000)).unwrap_err();
        assert!(problem.message.len() < 200, "{}", problem.message);
    }
}
