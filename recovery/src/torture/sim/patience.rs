//! How long a system is waited for.

use std::time::Duration;

use forelog::testing::TestSystem;
use forelog::{ErrorKind, Result};

/// How long handlers may take for what little there is.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// In how many turns they are waited for: a process that is stopped for a while and goes on, as on a laptop
/// that sleeps, loses one of them by that, and not its whole patience.
const TURNS: u32 = 10;

/// Waits until all handlers are through.
pub(super) fn drain(system: &TestSystem) -> Result<()> {
    let mut drained = Ok(());
    for _ in 0..TURNS {
        drained = system.drain_within(PATIENCE / TURNS);
        if !matches!(&drained, Err(error) if error.kind() == ErrorKind::Handler) {
            break;
        }
    }
    drained
}
