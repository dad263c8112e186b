//! [`Data`]: one `MessagePack` value that is known to be whole and shallow enough to decode.

use rmp_serde::decode::Error as DecodeError;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::whole::{MAX_DEPTH, is_one_value};
use crate::error::{Error, ErrorKind, Result};

/// The data of an event: exactly one `MessagePack` value, checked when it was made.
///
/// The default is `nil`.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(Vec<u8>);

impl Data {
    /// Encodes a value; structs become maps with named fields, so that other languages read them.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if the value does not serialize or nests deeper than
    /// [`MAX_DEPTH`].
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let mut bytes = Vec::with_capacity(128);
        encode(&mut bytes, value)?;
        Ok(Data(bytes))
    }

    /// Takes bytes that are `MessagePack` already.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) unless they are one whole value, no deeper than [`MAX_DEPTH`].
    pub fn from_msgpack(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = bytes.into();
        check(&bytes)?;
        Ok(Data(bytes))
    }

    /// The `MessagePack` bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Decodes the value as a `T`.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if the value is of another shape.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        decode(&self.0)
    }
}

impl Default for Data {
    fn default() -> Self {
        const NIL: u8 = 0xc0;
        Data(vec![NIL])
    }
}

/// Encodes a value at the end of `bytes`, which are empty.
pub(crate) fn encode<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) -> Result<()> {
    let mut serializer = rmp_serde::Serializer::new(&mut *bytes).with_struct_map();
    value.serialize(&mut serializer).map_err(|source| {
        let message = format!("the data cannot be encoded: {source}");
        Error::new(ErrorKind::Decode, message).caused_by(source)
    })?;
    // The serializer has no limit of its own, and a `Serialize` may write more than one value.
    check(bytes)
}

/// Decodes one value from `bytes`, which may come from a disk; borrows strings and byte fields.
pub(crate) fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut deserializer).map_err(|source| not_decodable(&source))
}

/// Whether `bytes` are one whole value and nothing after it.
pub(crate) fn check(bytes: &[u8]) -> Result<()> {
    if is_one_value(bytes) {
        return Ok(());
    }
    decodes(bytes)
}

/// As [`check`], by the word of the decoder.
pub(super) fn decodes(bytes: &[u8]) -> Result<()> {
    let mut rest = bytes;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    deserializer.set_max_depth(MAX_DEPTH);
    IgnoredAny::deserialize(&mut deserializer).map_err(|source| not_decodable(&source))?;
    if rest.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the data has {} bytes after its one MessagePack value",
        rest.len()
    );
    Err(Error::new(ErrorKind::Decode, message))
}

fn not_decodable(source: &DecodeError) -> Error {
    let message = match source {
        DecodeError::DepthLimitExceeded => format!("the data nests deeper than {MAX_DEPTH}"),
        other => format!("the data is no MessagePack of the expected shape: {other}"),
    };
    Error::new(ErrorKind::Decode, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_shallow_value_is_data() {
        assert!(Data::from_msgpack([0xc0]).is_ok());
        for (bytes, says) in [
            (vec![], "no MessagePack"),
            (vec![0xc0, 0xc0], "1 bytes after"),
            (vec![0xc1], "no MessagePack"),
            (vec![0xdd, 0xff, 0xff, 0xff, 0xff], "no MessagePack"),
            (vec![0xc6, 0xff, 0xff, 0xff, 0xff, 1], "no MessagePack"),
            ([vec![0x91; 10_000], vec![0xc0]].concat(), "nests deeper"),
        ] {
            let error = Data::from_msgpack(bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode);
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn a_value_that_nests_too_deep_is_not_encoded() {
        let mut value = serde_json::Value::Null;
        for _ in 0..100 {
            value = serde_json::Value::Array(vec![value]);
        }
        assert_eq!(Data::new(&value).unwrap_err().kind(), ErrorKind::Decode);
    }

    #[test]
    fn structs_are_named_maps() {
        #[derive(Serialize, Deserialize, PartialEq, Debug)]
        struct Point {
            x: u8,
        }
        let data = Data::new(&Point { x: 3 }).unwrap();
        assert_eq!(data.as_bytes(), [0x81, 0xa1, b'x', 3]);
        assert_eq!(data.decode::<Point>().unwrap(), Point { x: 3 });
    }

    /// Bytes from a fixed sequence, in favour of the first bytes of nested values.
    fn sample(state: &mut u64) -> Vec<u8> {
        let mut next = || {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            *state
        };
        let len = next() % 12;
        let byte = |_| match next() % 3 {
            0 => [0x81, 0x92, 0xa1, 0xc4, 0xdc, 0xde, 0xd4, 0xc7]
                [usize::from(next().to_le_bytes()[0] % 8)],
            1 => next().to_le_bytes()[0] % 4,
            _ => next().to_le_bytes()[0],
        };
        (0..len).map(byte).collect()
    }

    #[test]
    fn what_the_quick_look_takes_the_decoder_takes_as_well() {
        let mut state = 7;
        let mut taken = 0;
        for _ in 0..200_000 {
            let bytes = sample(&mut state);
            if is_one_value(&bytes) {
                taken += 1;
                assert!(decodes(&bytes).is_ok(), "{bytes:02x?}");
            }
        }
        assert!(taken > 1_000, "{taken}");
    }

    #[test]
    fn each_length_is_counted_and_cut_short_it_is_refused() {
        let samples: [Vec<u8>; 6] = [
            [vec![0xd9, 40], vec![b'x'; 40]].concat(),
            [vec![0xc5, 1, 0], vec![0; 256]].concat(),
            [vec![0xc7, 3, 9], vec![0; 3]].concat(),
            [vec![0xd8, 1], vec![0; 16]].concat(),
            [vec![0xdc, 0, 20], vec![0xc0; 20]].concat(),
            [
                vec![0xdf, 0, 0, 0, 2],
                vec![0xcf; 1],
                vec![0; 8],
                vec![1, 2, 3],
            ]
            .concat(),
        ];
        for bytes in samples {
            assert!(is_one_value(&bytes), "{bytes:02x?}");
            assert!(decodes(&bytes).is_ok());
            assert!(!is_one_value(&bytes[..bytes.len() - 1]));
            assert!(!is_one_value(&[bytes, vec![0xc0]].concat()));
        }
    }

    #[test]
    fn as_deep_as_the_decoder_goes() {
        for depth in MAX_DEPTH - 3..MAX_DEPTH + 3 {
            let bytes = [vec![0x91; depth], vec![0xc0]].concat();
            assert_eq!(is_one_value(&bytes), decodes(&bytes).is_ok(), "{depth}");
        }
        assert!(is_one_value(&[vec![0x91; 8], vec![0xc0]].concat()));
        assert!(!is_one_value(&[vec![0x91; 10_000], vec![0xc0]].concat()));
    }
}
