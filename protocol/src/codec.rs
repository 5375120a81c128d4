//! Canonical MessagePack: what is on the wire and in the store. Structs are arrays, byte
//! strings are `bin`, integers have their shortest form. Decoding accepts exactly what
//! encoding produces: the whole input is consumed and encoding the result again must
//! give the input back.

use crate::{params::MAX_BLOCK_WEIGHT, transaction::Transaction};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{fmt, io, marker::PhantomData};

/// How deeply values may be nested.
pub const MAX_DEPTH: usize = 16;

/// The longest reason in characters: the decoder's own may quote the whole input. What a terminal
/// would obey is replaced in it.
const MAX_REASON: usize = 160;

/// Why bytes are not a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// They are no MessagePack of the expected shape.
    #[error("cannot decode: {reason}")]
    Malformed {
        /// What the decoder found wrong.
        reason: String,
    },
    /// They decode, but the value has another encoding that is the only right one.
    #[error("encoding is not canonical: {got} bytes, expected {expected}")]
    NotCanonical {
        /// How many bytes there were.
        got: usize,
        /// How many bytes the value's encoding has.
        expected: usize,
    },
}

/// The one encoding of a value.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("writing plain data to memory cannot fail")
}

/// Appends the one encoding of a value.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    rmp_serde::encode::write(bytes, value).expect("writing plain data to memory cannot fail");
}

/// Reads a value from its one encoding.
///
/// # Errors
/// When the bytes are malformed, nested too deeply, too long, or not the one encoding.
pub fn decode<T: Serialize + for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, CodecError> {
    let shown = |c: char| match c.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => c,
    };
    let malformed = |error: rmp_serde::decode::Error| {
        let reason = error.to_string();
        CodecError::Malformed {
            reason: reason.chars().map(shown).take(MAX_REASON).collect(),
        }
    };
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut deserializer).map_err(malformed)?;
    let mut same = Same {
        rest: Some(bytes),
        written: 0,
    };
    rmp_serde::encode::write(&mut same, &value).expect("comparing plain data cannot fail");
    if same.rest != Some(&[]) {
        return Err(CodecError::NotCanonical {
            got: bytes.len(),
            expected: same.written,
        });
    }
    Ok(value)
}

/// Compares what is written to it, so that nothing of it need be kept.
struct Same<'b> {
    /// What should be written next; `None` once something else was.
    rest: Option<&'b [u8]>,
    written: usize,
}

impl io::Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest = self.rest.and_then(|rest| rest.strip_prefix(bytes));
        self.written += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a sequence of at most `MAX` elements and refuses a longer one before anything
/// is allocated for it.
pub(crate) fn bounded<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Visitor<T, const MAX: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> de::Visitor<'de> for Visitor<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX} elements")
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            if let Some(length) = seq.size_hint().filter(|length| *length > MAX) {
                return Err(de::Error::invalid_length(length, &self));
            }
            let mut elements = Vec::with_capacity(seq.size_hint().unwrap_or(0));
            while let Some(element) = seq.next_element()? {
                if elements.len() == MAX {
                    return Err(de::Error::invalid_length(MAX + 1, &self));
                }
                elements.push(element);
            }
            Ok(elements)
        }
    }
    deserializer.deserialize_seq(Visitor::<T, MAX>(PhantomData))
}

/// A block's payments: no block can hold more than the weight limit allows.
pub(crate) fn bounded_transactions<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Transaction>, D::Error> {
    bounded::<D, Transaction, { MAX_BLOCK_WEIGHT as usize }>(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::value::{Error, SeqDeserializer};

    /// A list of so many numbers, which says how long it is or does not.
    fn read(length: u8, says_its_length: bool) -> Result<Vec<u8>, String> {
        let numbers = (0..length).filter(|_| true);
        let result = match says_its_length {
            true => bounded::<_, u8, 3>(SeqDeserializer::<_, Error>::new(0..length)),
            false => bounded::<_, u8, 3>(SeqDeserializer::<_, Error>::new(numbers)),
        };
        result.map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_of_the_most_elements_is_read_and_a_longer_one_refused() {
        for says_its_length in [true, false] {
            assert_eq!(read(3, says_its_length), Ok(vec![0, 1, 2]));
            assert_eq!(
                read(4, says_its_length),
                Err("invalid length 4, expected at most 3 elements".to_owned())
            );
        }
    }
}
