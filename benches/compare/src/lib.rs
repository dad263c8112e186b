//! Forelog beside the engines that a user would pick instead.
//!
//! ```text
//! cd benches/compare
//! cargo run --release -- --out RESULTS.md                    # all of it, 20 minutes: the page and its plot
//! cargo run --release -- --short                             # shows that it runs, not how fast
//! cargo run --release -- --only forelog,okaywal --workload durable-1,durable-8
//! ```
//!
//! This is a workspace of its own with its own lock file, so that no build of the engine compiles a
//! rival. It needs Rust, a C compiler and the registry.
//!
//! # What makes it fair
//! - **Same bytes.** Records of 256 bytes that no compressor shortens, the same in each run
//!   ([`record`]). What Forelog gets is an event whose type, source and data take those 256 bytes.
//! - **Same durability.** A buffered append survives a killed process, a durable one a power cut. An
//!   engine that promises less stands in a row of its own, with the reason ([`engine::Facts`]).
//! - **Same process, interleaved.** A round runs all engines before the next begins, in an order that
//!   moves on by one; figures are medians over the rounds ([`run`]).
//! - **Their settings.** Defaults, but where a default would fail on a million records.
//!
//! What an engine cannot do is a dash, what fails is named below the tables, and where Forelog is not
//! first the page says by how much.

// Words.
pub mod engine;
pub mod record;
pub mod stats;
pub mod workload;
// The engines.
pub mod engines;
// Measuring.
pub mod machine;
pub mod measure;
pub mod run;
// Telling.
pub mod report;

pub mod options;
