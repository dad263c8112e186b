//! What segments lack of the Seqs that they span, because a compaction has dropped it: for readers, and for
//! those who know of events by their Seqs, as the index does.

use std::sync::Arc;

use super::segment::Segment;
use super::view::View;
use crate::format::crc::crc32;
use crate::format::dropped::DroppedRanges;
use crate::position::Seq;

impl Segment {
    /// The Seqs that a compaction has dropped, or that a repair has declared as lost.
    pub(crate) fn dropped(&self) -> DroppedRanges<'_> {
        let Some(footer) = self.footer().filter(|footer| !footer.is_full()) else {
            return DroppedRanges::default();
        };
        let part = footer.rewritten.dropped;
        let bytes = self.part(&part);
        // Ranges that say too much would hide events without a word.
        let check = || {
            let ranges = DroppedRanges::of(bytes);
            crc32(bytes) == part.checksum && ranges.lie_within(footer.first_seq, footer.last_seq)
        };
        if *self.has_whole_ranges.get_or_init(check) {
            DroppedRanges::of(bytes)
        } else {
            DroppedRanges::default()
        }
    }

    /// Whether a compaction has dropped the event of this Seq.
    pub(crate) fn is_dropped(&self, seq: Seq) -> bool {
        let range = self.dropped().at_or_after(seq);
        range.is_some_and(|range| range.first <= seq)
    }

    /// The first Seq whose event is here; the one behind the last if there is none.
    pub(crate) fn first_held(&self) -> Seq {
        self.passing_dropped(self.base_seq())
    }

    /// The first Seq from this one on that is not dropped. Of ranges beside each other one was lost.
    fn passing_dropped(&self, mut seq: Seq) -> Seq {
        while let Some(range) = self.dropped().at_or_after(seq)
            && range.first <= seq
        {
            seq = range.last.next();
        }
        seq
    }

    /// Whether damage took the event of this Seq, and a repair has declared it.
    fn is_lost(&self, seq: Seq) -> bool {
        let range = self.dropped().at_or_after(seq);
        range.is_some_and(|range| range.lost && range.first <= seq)
    }
}

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

    /// Whether damage took the event of this Seq, and a repair has declared it.
    pub(crate) fn is_lost(&self, seq: Seq) -> bool {
        let segment = self.segments.at_or_after(seq);
        segment.is_some_and(|segment| seq >= segment.base_seq() && segment.is_lost(seq))
    }

    /// The first Seq from this one on that no compaction has dropped, in whichever segment it is.
    pub(crate) fn passing_dropped(&self, mut seq: Seq) -> Seq {
        loop {
            let segment = self.segments.at_or_after(seq);
            let segment = segment.filter(|segment| seq >= segment.base_seq());
            let passed = segment.map_or(seq, |segment| segment.passing_dropped(seq));
            if passed == seq {
                return seq;
            }
            seq = passed;
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
