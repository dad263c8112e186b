//! [`open_without_syncs`]: the control that a power-cut test must find.

use crate::error::Result;
use crate::system::{Builder, EventSystem};

/// Opens a system in its directory **whose syncs do nothing and say Ok. It loses acknowledged events when
/// the power fails.** Nothing that is worth keeping belongs into it.
///
/// It is for one purpose: a test that pulls a plug, resets a machine or drops a block device's writes
/// proves something only if it fails with such a system. No setting of a [`Builder`] leads here. What a
/// killed process leaves is whole, as always: only a crash of the system tells the difference.
///
/// ```
/// use forelog::{Event, EventSystem, Level};
/// # fn main() -> forelog::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let builder = EventSystem::builder().persistence_path(dir.path().join("control"));
/// let system = forelog::testing::open_without_syncs(builder)?;
/// let receipt = system.emit(Event::new("order.placed", "web", &10)?)?;
/// assert_eq!(receipt.level, Level::Synced); // which is a lie
/// # system.close() }
/// ```
///
/// # Errors
/// As [`Builder::open`]; [`Invalid`](crate::ErrorKind::Invalid) without a
/// [`persistence_path`](Builder::persistence_path).
pub fn open_without_syncs(builder: Builder) -> Result<EventSystem> {
    EventSystem::open_without_syncs(builder)
}
