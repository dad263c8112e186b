//! Faults of real processes, real disks and real system calls, through the public API alone.
//!
//! Most tests start this very binary again as a child ([`child`]) in a role of [`roles`], under
//! `strace`, with fewer resources, in a mount namespace of its own, or as another user; and see what
//! the child could tell before it died, and what a later opening finds. Where a tool or a right is
//! missing a test says `skipped: …`, and fails under `FORELOG_REQUIRE_ALL=1` ([`tools`]).

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]

mod load;
mod tools;
mod child;
mod roles;
mod ledger;

mod killed;
mod injected;
mod allocation;
mod limits;
mod full_disk;
mod small_disk;
mod access;
mod lock;
mod paths;
mod version;
mod truncated;
mod clock;
mod poison;
mod memory;
mod read_only;
mod recycled;
