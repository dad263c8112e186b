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
// 5 lookups
mod snapshot;
// 6 replay
mod replay;
// 7 system
mod system;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use durability::{Durability, Level};
pub use error::{Error, ErrorKind, Result};
pub use event::{Data, Event, EventId, Filter, MAX_DEPTH};
pub use format::FORMAT_VERSION;
pub use format::record::{EventRef, HEADERS_LEN_MAX, Headers, SOURCE_LEN_MAX, TYPE_LEN_MAX};
pub use log::{Recovery, StoredEvent};
pub use position::{Gap, SegmentId, Seq};
pub use replay::{Projection, Replay};
pub use system::{Builder, EventStore, EventSystem, Receipt};
