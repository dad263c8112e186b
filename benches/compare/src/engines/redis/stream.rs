//! A stream's command and entries.

use anyhow::bail;

use super::resp::Value;
use crate::engine::Place;

pub(super) const NAME: &[u8] = b"log";

/// The command that appends a record; the server makes its id.
pub(super) fn add(record: &[u8]) -> [&[u8]; 5] {
    [b"XADD", NAME, b"*", b"d", record]
}

/// The id `milliseconds-number` of an entry.
pub(super) fn place(id: &Value) -> anyhow::Result<Place> {
    let text = std::str::from_utf8(id.bytes()?)?;
    let Some((time, number)) = text.split_once('-') else {
        bail!("no stream id: {text}");
    };
    Ok(Place(time.parse()?, number.parse()?))
}

/// The value of the only field of an entry: `[id, [field, value]]`.
pub(super) fn data(entry: &Value) -> anyhow::Result<&[u8]> {
    entry.at(1)?.at(1)?.bytes()
}
