//! [`Which`]: the log that a finding of scrubbing is of, and how it is told.

use crate::format::names;
use crate::inspect::Damage;
use crate::position::Seq;

/// The log that a segment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Which {
    Events,
    Control,
}

impl Which {
    /// A finding as it is told.
    pub(super) fn place(self, mut damage: Damage) -> Damage {
        if self == Which::Control {
            damage.file = format!("{}/{}", names::CONTROL, damage.file);
            // It would be taken for that of an event.
            damage.seq = Seq::ZERO;
        }
        damage
    }

    /// What to do about a finding in this directory.
    pub(super) fn next_step(self, damage: &Damage, directory: &str) -> String {
        let file = &damage.file;
        match self {
            Which::Events => format!(
                "restore {file} from a backup once the system is closed, or see what `forelog-recovery \
                 repair --plan {directory}` would lose"
            ),
            Which::Control => format!(
                "nothing is lost as long as the system is open; the next opening takes what is readable of \
                 {file}, and delivers again what it is not sure of: see `forelog-recovery doctor {directory}`"
            ),
        }
    }
}
