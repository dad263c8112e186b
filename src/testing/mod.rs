//! A kit for your own tests: a system on a simulated disk that can crash, a clock that moves when told,
//! handlers that write down what they get, and scenarios for projections.
//!
//! Nothing here sleeps, and what takes long has a deadline. It is made for tests: some of it panics
//! where a test has failed.
//!
//! ```
//! use forelog::testing::{Crash, Recorder, TestSystem};
//! use forelog::{Event, Subscription};
//! use std::time::Duration;
//! # fn main() -> forelog::Result<()> {
//! let mut system = TestSystem::new()?;
//! let billing = Recorder::new();
//! system.register_handler(Subscription::named("billing"), billing.handler())?;
//! system.start()?;
//! system.emit(Event::new("order.placed", "web", &10)?)?;
//! assert_eq!(billing.wait_for(1, Duration::from_secs(10))?[0].event_type, "order.placed");
//!
//! system.emit(Event::new("order.placed", "web", &11)?)?; // acknowledged: it must not be lost
//! system.crash(Crash::PowerCut)?;
//! assert_eq!(system.store().len(), 2);
//!
//! let billing = Recorder::new(); // the program has started anew, and registers its handlers
//! system.register_handler(Subscription::named("billing"), billing.handler())?;
//! system.start()?;
//! system.drain_within(Duration::from_secs(10))?;
//! assert!(billing.count() >= 1); // at least once: perhaps the first one, too
//! # Ok(()) }
//! ```

mod crash;
pub mod fuzz;
mod recorder;
mod scenario;
mod test_disk;
mod test_system;
mod unsynced;

#[cfg(test)]
mod tests;

#[cfg(feature = "mutants")]
pub use crate::mutant::{Mutant, break_by};

pub use crash::Crash;
pub use recorder::Recorder;
pub use scenario::{Scenario, scenario};
pub use test_disk::{DiskOp, TestDisk};
pub use test_system::TestSystem;
pub use unsynced::open_without_syncs;
