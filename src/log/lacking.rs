//! What a view lacks of the Seqs that its segments span, because a compaction has dropped it: for those who
//! know of events by their Seqs, as the index does.

use std::sync::Arc;

use super::segment::Segment;
use super::view::View;
use crate::position::Seq;

impl View {
    /// How many events compactions have dropped from the segments that are held.
    pub(crate) fn dropped_count(&self) -> u64 {
        let lacks = |segment: &Arc<Segment>| {
            let span = segment.last_seq().next().since(segment.base_seq());
            // While one grows, an event may come between the two looks.
            let count = segment.footer().map_or(span, |footer| footer.count);
            span.saturating_sub(count)
        };
        self.segments.with(|held| held.iter().map(lacks).sum())
    }

    /// Whether a compaction has dropped the event of this Seq.
    pub(crate) fn is_dropped(&self, seq: Seq) -> bool {
        let segment = self.segments.at_or_after(seq);
        segment.is_some_and(|segment| seq >= segment.base_seq() && segment.is_dropped(seq))
    }

    /// The first Seq from this one on that no compaction has dropped.
    pub(crate) fn passing_dropped(&self, seq: Seq) -> Seq {
        let segment = self.segments.at_or_after(seq);
        let segment = segment.filter(|segment| seq >= segment.base_seq());
        let range = segment.and_then(|segment| segment.dropped().at_or_after(seq));
        match range {
            Some(range) if range.first <= seq => range.last.next(),
            _ => seq,
        }
    }

    /// Leaves out of these Seqs, which ascend, those that compactions have dropped.
    pub(crate) fn leave_out_dropped(&self, seqs: &mut Vec<Seq>) {
        let (Some(&first), Some(&last)) = (seqs.first(), seqs.last()) else {
            return;
        };
        let cut: Vec<Arc<Segment>> = self.segments.with(|held| {
            let from = held.partition_point(|segment| segment.last_seq() < first);
            let within = held.iter().skip(from);
            let within = within.take_while(|segment| segment.base_seq() <= last);
            within
                .filter(|segment| !segment.is_full())
                .cloned()
                .collect()
        });
        for segment in cut {
            let span = segment.base_seq()..=segment.last_seq();
            seqs.retain(|seq| !span.contains(seq) || !segment.is_dropped(*seq));
        }
    }
}
