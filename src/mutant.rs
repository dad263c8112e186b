//! Ways to break the engine on purpose, one at a time, so that whoever tests it can see that a test finds
//! them. They are there with the feature `mutants` only; without it each question is answered by a
//! constant, and nothing is left of them.

/// A fault of the engine, to be switched on by `forelog::testing::break_by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(
    not(feature = "mutants"),
    expect(unreachable_pub, reason = "the feature has it public")
)]
pub enum Mutant {
    /// A segment is called synced, and is not.
    SkipSync = 1,
    /// Every eighth event that is stored through the map, alone, is published and acknowledged when half of its
    /// bytes are copied. The rest never is: what is published nobody may write any more.
    PublishBeforeCopy,
    /// A cursor moves behind an event before that is handled.
    AdvanceCursorEarly,
    /// After a system crash the log goes on right behind what is left.
    ReuseSeq,
    /// A frame's checksum is not compared.
    IgnoreChecksum,
    /// The name of a new segment is not made durable.
    ForgetFolderSync,
    /// After a crash the last event is taken for a torn tail.
    CutTailTooFar,
    /// A failed sync is taken for one that went well.
    AcknowledgeFailedSync,
    /// A parked event is passed, and its copy is not kept.
    LoseParked,
    /// A projection goes on with the event at its position, not behind it.
    ApplyTwice,
    /// What a compaction drops is not declared in the new file's footer.
    DropUndeclared,
}

#[cfg(feature = "mutants")]
mod chosen {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Mutant;

    /// The one that is switched on, for the whole process; 0 for none.
    static CHOSEN: AtomicU8 = AtomicU8::new(0);

    impl Mutant {
        /// All of them.
        pub const ALL: [Mutant; 11] = [
            Mutant::SkipSync,
            Mutant::PublishBeforeCopy,
            Mutant::AdvanceCursorEarly,
            Mutant::ReuseSeq,
            Mutant::IgnoreChecksum,
            Mutant::ForgetFolderSync,
            Mutant::CutTailTooFar,
            Mutant::AcknowledgeFailedSync,
            Mutant::LoseParked,
            Mutant::ApplyTwice,
            Mutant::DropUndeclared,
        ];
    }

    /// Breaks every system of this process by this fault from now on, or by none.
    pub fn break_by(mutant: Option<Mutant>) {
        CHOSEN.store(mutant.map_or(0, |mutant| mutant as u8), Ordering::SeqCst);
    }

    pub(crate) fn is(mutant: Mutant) -> bool {
        CHOSEN.load(Ordering::Relaxed) == mutant as u8
    }
}

#[cfg(feature = "mutants")]
pub use chosen::break_by;
#[cfg(feature = "mutants")]
pub(crate) use chosen::is;

/// Whether the engine is broken by this fault.
#[cfg(not(feature = "mutants"))]
#[inline]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}
