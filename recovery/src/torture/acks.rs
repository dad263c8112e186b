//! The line of an acknowledged event: `ack SEQ EVENT_ID BLAKE3`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use blake3::Hash;
use forelog::{Error, ErrorKind, EventId, Receipt, Result, Seq};

/// How much of a line is shown that is none.
const SHOWN_MAX: usize = 80;

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
    /// Takes in the lines of a file. The last one counts only if its end is there; of one that a run has
    /// left torn, and the next one has gone on with, what the next one has written.
    ///
    /// # Errors
    /// If the file cannot be read, or is none with acknowledgements.
    pub(crate) fn read(&mut self, path: &Path) -> Result<()> {
        let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
        let text = String::from_utf8_lossy(&bytes);
        for line in text.split_inclusive('\n').filter(|line| *line != "\n") {
            self.lines += 1;
            let Some(whole) = line.strip_suffix('\n').map(str::trim_end) else {
                self.torn += 1;
                continue;
            };
            let glued = || {
                let at = whole.rfind("ack ").filter(|at| *at > 0)?;
                parse(whole.get(at..)?)
            };
            if let Some((seq, ack)) = parse(whole) {
                self.take(seq, ack);
            } else if let Some((seq, ack)) = glued() {
                self.torn += 1;
                self.lines += 1;
                self.take(seq, ack);
            } else {
                let shown: String = whole.chars().take(SHOWN_MAX).collect();
                let message = format!(
                    "{shown:?} is no acknowledgement, and not the last line: give the file that \
                     `torture write` has printed, whole"
                );
                return Err(Error::new(ErrorKind::Invalid, message).at_path(path));
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
        // Torn, and gone on with; then what is no acknowledgement at all.
        fs::write(&path, format!("ack 3 00{}\n", whole(4, 4))).unwrap();
        let mut glued = Acks::default();
        glued.read(&path).unwrap();
        assert_eq!((glued.by_seq.len(), glued.lines, glued.torn), (1, 2, 1));
        fs::write(&path, "root:x:0:0\n").unwrap();
        assert!(Acks::default().read(&path).is_err());
        // The same Seq for another event, in a second file.
        fs::write(&path, whole(1, 9) + "\n").unwrap();
        acks.read(&path).unwrap();
        assert_eq!(acks.reused, [Seq(1)]);
    }
}
