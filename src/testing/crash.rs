//! [`Crash`]: how a system ends.

/// How a system ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crash {
    /// The process is killed: everything that was published is still there.
    Process,
    /// The power fails: what no sync has covered is gone.
    PowerCut,
    /// The power fails, and of what no sync has covered any part is there, in any order, as a disk may
    /// leave it; the same part for the same number. Try many.
    PowerCutBy(u64),
}
