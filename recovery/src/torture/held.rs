//! What was acknowledged, held so that a hundred million events fit: a sorted table without pointers.

use blake3::Hash;
use forelog::{EventId, Seq};

use super::acks::Ack;

/// How much of a digest is kept: no two events agree in so much by chance.
const KEPT: usize = 16;

/// One acknowledged event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    seq: u64,
    id: [u8; 16],
    digest: [u8; KEPT],
}

// What the manual says of memory holds.
const _: () = assert!(size_of::<Row>() == 40);

impl Row {
    pub(crate) fn new(seq: Seq, ack: &Ack) -> Row {
        Row {
            seq: seq.0,
            id: ack.id.0.to_be_bytes(),
            digest: kept(&ack.digest),
        }
    }

    /// Whether this is of such an event.
    pub(crate) fn is_of(&self, id: EventId, digest: &Hash) -> bool {
        self.id == id.0.to_be_bytes() && self.digest == kept(digest)
    }

    pub(crate) fn seq(&self) -> Seq {
        Seq(self.seq)
    }

    pub(crate) fn id(&self) -> EventId {
        EventId(u128::from_be_bytes(self.id))
    }
}

fn kept(digest: &Hash) -> [u8; KEPT] {
    let mut kept = [0; KEPT];
    kept.iter_mut()
        .zip(digest.as_bytes())
        .for_each(|(to, from)| *to = *from);
    kept
}

/// Rows by Seq, each of which can be taken out once.
#[derive(Debug, Default)]
pub(crate) struct Held {
    rows: Vec<Row>,
    is_taken: Vec<bool>,
}

impl Held {
    /// Sorts rows; also returns the Seqs that have several events, once for each further one.
    pub(crate) fn new(mut rows: Vec<Row>) -> (Held, Vec<Seq>) {
        rows.sort_unstable();
        rows.dedup();
        let mut reused = Vec::new();
        rows.dedup_by(|row, first| {
            let is_other = row.seq == first.seq;
            reused.extend(is_other.then_some(row.seq()));
            is_other
        });
        let is_taken = vec![false; rows.len()];
        (Held { rows, is_taken }, reused)
    }

    /// Takes out what was acknowledged under a Seq.
    pub(crate) fn take(&mut self, seq: Seq) -> Option<Row> {
        let at = self.rows.binary_search_by_key(&seq.0, |row| row.seq).ok()?;
        let is_taken = self.is_taken.get_mut(at)?;
        (!std::mem::replace(is_taken, true)).then(|| self.rows.get(at).copied())?
    }

    /// What was not taken, in the order of Seqs.
    pub(crate) fn left(&self) -> impl Iterator<Item = &Row> {
        let pairs = self.rows.iter().zip(&self.is_taken);
        pairs
            .filter(|(_, is_taken)| !**is_taken)
            .map(|(row, _)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: u64, id: u128) -> Row {
        let digest = blake3::hash(&id.to_be_bytes());
        let id = EventId(id);
        Row::new(Seq(seq), &Ack { id, digest })
    }

    #[test]
    fn each_row_is_found_once_and_a_seq_of_two_events_is_told() {
        let rows = vec![row(9, 1), row(2, 2), row(9, 3), row(2, 2), row(5, 4)];
        let (mut held, reused) = Held::new(rows);
        assert_eq!(reused, [Seq(9)]);
        let seqs = |held: &Held| held.left().map(|row| row.seq().0).collect::<Vec<_>>();
        assert_eq!(seqs(&held), [2, 5, 9]);
        let five = held.take(Seq(5)).unwrap();
        assert_eq!(five.id(), EventId(4));
        assert!(five.is_of(EventId(4), &blake3::hash(&4_u128.to_be_bytes())));
        assert!(!five.is_of(EventId(4), &blake3::hash(b"other")));
        assert!(!five.is_of(EventId(5), &blake3::hash(&4_u128.to_be_bytes())));
        assert!(held.take(Seq(5)).is_none() && held.take(Seq(6)).is_none());
        assert_eq!(seqs(&held), [2, 9]);
    }
}
