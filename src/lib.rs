//! Forelog
// 1 words
mod clock;
mod durability;
mod position;
// 1 errors
mod error;
// 1 events
mod event;
// 2 format
mod format;
// 3 storage
mod storage;
// 4 log
mod log;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use durability::{Durability, Level};
pub use error::{Error, ErrorKind, Result};
pub use event::{Data, Event, EventId, MAX_DEPTH};
pub use position::{Gap, SegmentId, Seq};
