//! The line of an acknowledged event: `ack SEQ EVENT_ID BLAKE3`.

use std::path::Path;

use blake3::Hash;
use forelog::{EventId, Receipt, Result, Seq};

use super::held::{Held, Row};
use super::lines;

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

/// All that was acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    rows: Vec<Row>,
    /// How many lines were read.
    pub(crate) lines: u64,
    /// How many lines are no acknowledgement: torn where a run ended.
    pub(crate) torn: u64,
}

impl Acks {
    /// Takes in the lines of a file. The last one counts only if its end is there; of one that a run has
    /// left torn, and the next one has gone on with, what the next one has written.
    ///
    /// # Errors
    /// If the file cannot be read, or is none with acknowledgements.
    pub(crate) fn read(&mut self, path: &Path) -> Result<()> {
        lines::each(path, |line| {
            self.lines += 1;
            if !line.is_whole {
                self.torn += 1;
                return Ok(());
            }
            let glued = || {
                let at = line.text.rfind("ack ").filter(|at| *at > 0)?;
                parse(line.text.get(at..)?)
            };
            if let Some((seq, ack)) = parse(line.text) {
                self.take(seq, &ack);
            } else if let Some((seq, ack)) = glued() {
                self.torn += 1;
                self.lines += 1;
                self.take(seq, &ack);
            } else {
                return Err(line.refused(
                    "is no acknowledgement, and not the last line: give the file that \
                     `torture write` has printed, whole",
                ));
            }
            Ok(())
        })
    }

    /// Takes in one.
    pub(crate) fn take(&mut self, seq: Seq, ack: &Ack) {
        self.rows.push(Row::new(seq, ack));
    }

    /// All of them by Seq, and the Seqs that were acknowledged for several events.
    pub(crate) fn sorted(self) -> (Held, Vec<Seq>) {
        Held::new(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forelog::Level;
    use std::fs;

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
        assert_eq!((acks.rows.len(), acks.lines, acks.torn), (1, 2, 1));
        // Torn, and gone on with; then what is no acknowledgement at all.
        fs::write(&path, format!("ack 3 00{}\n", whole(4, 4))).unwrap();
        let mut glued = Acks::default();
        glued.read(&path).unwrap();
        assert_eq!((glued.rows.len(), glued.lines, glued.torn), (1, 2, 1));
        for noise in ["root:x:0:0\n".to_owned(), "x".repeat(1 << 20)] {
            fs::write(&path, &noise).unwrap();
            let refused = Acks::default().read(&path).unwrap_err().to_string();
            assert!(refused.contains("line 1, "), "{refused}");
            assert!(refused.len() < 400, "{refused}");
        }
        // The same Seq for another event, in a second file.
        fs::write(&path, whole(1, 9) + "\n").unwrap();
        acks.read(&path).unwrap();
        assert_eq!(acks.sorted().1, [Seq(1)]);
    }
}
