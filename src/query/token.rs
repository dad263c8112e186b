//! [`PageToken`]: where a page of a query ended, as text that a user can hand out and take back.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, ErrorKind, Result};
use crate::format::crc::crc32;
use crate::position::Seq;

/// The version of the bytes that a token stands for.
const VERSION: u8 = 1;
const LEN: usize = 1 + 8 + 8 + 4;

/// The place behind an event that a query gave: the next page begins there.
///
/// It is shown as a short text of letters, digits, `-` and `_`, which says nothing to anybody else, and
/// is read from it again. A token holds for one log and for the selectors and the direction of the query
/// that gave it; the limit may be another.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Event, EventSystem, PageToken};
/// let system = EventSystem::builder().open()?;
/// for n in 0..5 {
///     system.emit(Event::new("tick", "clock", &n)?)?;
/// }
/// let store = system.store();
/// let mut page = store.query().limit(3).run()?;
/// assert_eq!(page.by_ref().count(), 3);
/// let text = page.page_token().map(|token| token.to_string()).unwrap_or_default();
///
/// let token: PageToken = text.parse()?;
/// assert_eq!(store.query().limit(3).after(token).run()?.count(), 2);
/// assert!(store.query().source("other").after(token).run().is_err());
/// # system.close() }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageToken {
    /// The fingerprint of the query.
    pub(super) query: u64,
    /// The last Seq of the page.
    pub(super) seq: Seq,
}

impl PageToken {
    fn bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let body = [VERSION]
            .into_iter()
            .chain(self.query.to_be_bytes())
            .chain(self.seq.0.to_be_bytes());
        for (place, byte) in bytes.iter_mut().zip(body) {
            *place = byte;
        }
        if let Some((body, checksum)) = bytes.split_last_chunk_mut::<4>() {
            *checksum = crc32(body).to_be_bytes();
        }
        bytes
    }

    fn of(bytes: &[u8; LEN]) -> Option<PageToken> {
        let (version, rest) = bytes.split_first()?;
        let (query, rest) = rest.split_first_chunk()?;
        let (seq, _) = rest.split_first_chunk()?;
        let token = PageToken {
            query: u64::from_be_bytes(*query),
            seq: Seq(u64::from_be_bytes(*seq)),
        };
        // Whatever else is in the bytes is the checksum.
        (*version == VERSION && token.bytes() == *bytes).then_some(token)
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64.encode(self.bytes()))
    }
}

impl FromStr for PageToken {
    type Err = Error;

    /// Reads a token.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the text is not one that a query gave.
    fn from_str(text: &str) -> Result<Self> {
        let bytes = BASE64.decode(text).ok();
        let bytes = bytes.and_then(|bytes| <[u8; LEN]>::try_from(bytes).ok());
        let token = bytes.as_ref().and_then(PageToken::of);
        token.ok_or_else(|| {
            let message =
                "the page token is damaged, or of another version: begin again with the first page";
            Error::new(ErrorKind::Invalid, message)
        })
    }
}

impl Serialize for PageToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PageToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_shown() {
        let token = PageToken {
            query: 0x0123_4567_89ab_cdef,
            seq: Seq(42),
        };
        let text = token.to_string();
        assert_eq!(text.len(), 28);
        assert_eq!(text.parse::<PageToken>().unwrap(), token);
        assert_eq!(
            text, "AQEjRWeJq83vAAAAAAAAACpTRNCS",
            "tokens outlive versions"
        );
    }

    #[test]
    fn no_other_text_is_a_token() {
        let token = PageToken {
            query: 7,
            seq: Seq(9),
        };
        let text = token.to_string();
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'x' { b'y' } else { b'x' };
            let other = String::from_utf8(other).unwrap();
            assert!(other.parse::<PageToken>().is_err(), "{other}");
            assert!(text[..at].parse::<PageToken>().is_err());
        }
        for other in ["", "first", "AQEjRWeJq83vAAAAAAAAACpTRNCSAA", "ü"] {
            let error = other.parse::<PageToken>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }
}
