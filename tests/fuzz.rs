//! The fuzz targets of `fuzz/` over their corpus and seeded changes of it: no panic, no hang, and no more memory
//! than a bound. `cargo fuzz` goes on from there for as long as it is let.
//!
//! The corpus was made once, from the golden directories and by hand; what a fuzzer finds is added to it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(
    clippy::expect_used,
    clippy::missing_docs_in_private_items,
    clippy::cast_possible_truncation,
    clippy::must_use_candidate,
    unreachable_pub,
    reason = "what is shared with the fuzz targets is test code"
)]

#[path = "../fuzz/src/lib.rs"]
mod shared;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use peak_alloc::PeakAlloc;
use shared::{Random, corpus, run};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most that an input may take, in MiB. The largest that is in order is an index that is opened.
const MEMORY_MAX_MIB: f32 = 128.0;
/// After how long an input hangs, whatever else the machine does.
const HANGS_AFTER: Duration = Duration::from_secs(300);

/// One target at a time: memory is counted for the whole process.
static ONE: Mutex<()> = Mutex::new(());

/// `base` rounds, times what `FORELOG_TEST_SCALE` asks for.
fn rounds(base: u64) -> u64 {
    let scale = std::env::var("FORELOG_TEST_SCALE").ok();
    let number = |text: String| text.parse().expect("FORELOG_TEST_SCALE is a number");
    base * scale.map_or(1, number)
}

/// Runs one input; fails with what is needed to run it again.
fn check(target: &'static str, input: &[u8], what: &str) {
    PEAK.reset();
    let (done, ends) = channel();
    let own = input.to_vec();
    let thread = std::thread::spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(target, &own)));
        done.send(outcome.is_ok()).ok();
    });
    let ended = ends.recv_timeout(HANGS_AFTER);
    let hex = format!("{input:02x?}");
    assert_ne!(
        ended,
        Err(RecvTimeoutError::Timeout),
        "{target} hangs, {what}: {hex}"
    );
    assert_eq!(ended, Ok(true), "{target} panics, {what}: {hex}");
    thread.join().unwrap();
    let peak = PEAK.mib();
    assert!(
        peak < MEMORY_MAX_MIB,
        "{target} takes {peak} MiB, {what}: {hex}"
    );
}

/// What is taken above what was there.
struct Peak(Mutex<f32>);

static PEAK: Peak = Peak(Mutex::new(0.0));

impl Peak {
    fn reset(&self) {
        MEMORY.reset_peak_usage();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = MEMORY.current_usage_as_mb();
    }

    fn mib(&self) -> f32 {
        MEMORY.peak_usage_as_mb() - *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fuzz(target: &'static str, base: u64) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let corpus = corpus(target);
    assert!(
        corpus.len() >= 3,
        "{target} has a corpus of {}",
        corpus.len()
    );
    for (at, input) in corpus.iter().enumerate() {
        check(target, input, &format!("file {at} of the corpus"));
    }
    for seed in 0..rounds(base) {
        let mut random = Random::new(seed);
        let mut input = corpus[random.below(corpus.len())].clone();
        random.change(&mut input);
        check(target, &input, &format!("seed {seed}"));
    }
}

#[test]
fn frames_of_any_bytes_are_refused_or_read() {
    fuzz("frame", 4_000);
}

#[test]
fn messagepack_of_any_bytes_is_refused_or_read() {
    fuzz("record", 4_000);
}

#[test]
fn records_of_cursors_of_any_bytes_are_refused_or_read() {
    fuzz("cursor", 4_000);
}

#[test]
fn snapshots_of_any_bytes_are_refused_or_read() {
    fuzz("snapshot", 4_000);
}

#[test]
fn segments_of_any_bytes_are_refused_or_read() {
    fuzz("segment", 1_000);
}

#[test]
fn directories_of_any_bytes_are_refused_repaired_salvaged_or_opened() {
    let _golden = shared::golden();
    fuzz("directory", 0);
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for seed in 0..rounds(60) {
        let mut random = Random::new(seed);
        let len = 1 + 8 * (1 + random.below(3));
        let input: Vec<u8> = (0..len).map(|_| random.number().to_le_bytes()[0]).collect();
        check("directory", &input, &format!("seed {seed}"));
    }
}
