//! The line of an acknowledged event: `ack SEQ EVENT_ID BLAKE3`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use blake3::Hash;
use forelog::{Error, EventId, Receipt, Result, Seq};

/// What a line acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) id: EventId,
    pub(crate) digest: Hash,
}

/// The line of a receipt, with its end.
pub(crate) fn line(receipt: &Receipt, digest: &Hash) -> String {
    let (seq, id) = (receipt.seq, receipt.event_id);
    format!("ack {seq} {id} {digest}\n")
}

fn parse(line: &str) -> Option<(Seq, Ack)> {
    let mut words = line.split(' ');
    let mut word = || words.next();
    if word()? != "ack" {
        return None;
    }
    let seq = Seq(word()?.parse().ok()?);
    let ack = Ack {
        id: word()?.parse().ok()?,
        digest: Hash::from_hex(word()?).ok()?,
    };
    words.next().is_none().then_some((seq, ack))
}

/// All that was acknowledged, by Seq.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    pub(crate) by_seq: BTreeMap<Seq, Ack>,
    /// How many lines were read.
    pub(crate) lines: u64,
    /// How many lines are no acknowledgement: torn where a run ended.
    pub(crate) torn: u64,
    /// Seqs that were acknowledged for two different events.
    pub(crate) reused: Vec<Seq>,
}

impl Acks {
    /// Takes in the lines of a file. The last one counts only if its end is there.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn read(&mut self, path: &Path) -> Result<()> {
        let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
        let text = String::from_utf8_lossy(&bytes);
        for line in text.split_inclusive('\n').filter(|line| *line != "\n") {
            self.lines += 1;
            let whole = line.strip_suffix('\n').map(str::trim_end);
            match whole.and_then(parse) {
                Some((seq, ack)) => self.take(seq, ack),
                None => self.torn += 1,
            }
        }
        Ok(())
    }

    fn take(&mut self, seq: Seq, ack: Ack) {
        if self.by_seq.insert(seq, ack).is_some_and(|old| old != ack) {
            self.reused.push(seq);
        }
    }
}

/// The Seqs that a consumer has printed, one a line, in their order; a torn last line does not count.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn read_consumed(path: &Path) -> Result<Vec<Seq>> {
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'));
    Ok(whole
        .filter_map(|line| line.trim().parse().ok().map(Seq))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use forelog::Level;

    #[test]
    fn a_line_is_read_back_and_a_torn_one_is_not_taken_for_another() {
        let receipt = Receipt {
            seq: Seq(12),
            event_id: EventId(5),
            level: Level::Synced,
        };
        let digest = blake3::hash(b"event");
        let line = line(&receipt, &digest);
        let whole = line.trim_end();
        let ack = Ack {
            id: EventId(5),
            digest,
        };
        assert_eq!(parse(whole), Some((Seq(12), ack)));
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), None, "{}", &whole[..end]);
        }
        assert_eq!(parse(&format!("{whole}ack 13")), None);
        assert_eq!(parse(&format!("{whole} more")), None);
    }

    #[test]
    fn a_last_line_without_its_end_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acks");
        let digest = blake3::hash(b"event");
        let whole = |seq: u64, id: u128| format!("ack {seq} {} {digest}", EventId(id));
        let text = format!("{}\n{}", whole(1, 1), whole(2, 2));
        fs::write(&path, &text).unwrap();
        let mut acks = Acks::default();
        acks.read(&path).unwrap();
        assert_eq!((acks.by_seq.len(), acks.lines, acks.torn), (1, 2, 1));
        // The same Seq for another event, in a second file.
        fs::write(&path, whole(1, 9) + "\n").unwrap();
        acks.read(&path).unwrap();
        assert_eq!(acks.reused, [Seq(1)]);
    }
}
