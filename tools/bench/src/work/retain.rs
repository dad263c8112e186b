//! Emits without a pause into a directory that may only take so many bytes, with one handler that keeps
//! up and one that does not; and in turn with it the same without a limit.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forelog::{
    Delivery, Durability, ErrorKind, Event, EventSystem, Gap, Handler, Outcome, Result,
    Subscription, WhenBehind, WhenPinned,
};

use super::space::allocated;
use crate::bench::Bench;
use crate::latency::{Latency, Recorder};
use crate::num::{float, rate, shown};
use crate::row::{Pair, Row};

/// How often the directory is looked at.
const LOOK_AFTER: Duration = Duration::from_millis(10);
/// After how many events the slow handler rests, and for how long.
const REST: (u64, Duration) = (1024, Duration::from_millis(2));
/// How much is written without a limit at most.
const UNLIMITED_LEN: u64 = 16 << 30;
/// An emit that takes longer is a stall.
const STALL: Duration = Duration::from_millis(50);
const NAME: &str = "retained";
const MICROS_PER_MILLI: f64 = 1e3;

/// What a handler was given, and what it was told that it is not given.
#[derive(Debug, Default)]
struct Heard {
    delivered: AtomicU64,
    skipped: AtomicU64,
}

impl Heard {
    fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// How many of so many events were neither delivered nor told of, or were twice.
    fn missing(&self, events: u64) -> f64 {
        let known = self.delivered.load(Ordering::Relaxed) + self.skipped();
        float(events.abs_diff(known))
    }
}

struct Follower {
    heard: Arc<Heard>,
    rests: bool,
}

impl Handler for Follower {
    fn handle(&mut self, _: &Delivery<'_>) -> Outcome {
        let before = self.heard.delivered.fetch_add(1, Ordering::Relaxed);
        if self.rests && before.is_multiple_of(REST.0) {
            std::thread::sleep(REST.1);
        }
        Outcome::Ack
    }

    fn skipped(&mut self, gap: Gap) {
        let count = gap.to.next().since(gap.from);
        self.heard.skipped.fetch_add(count, Ordering::Relaxed);
    }
}

/// The same work in turn with a limit and without one: what both have, the disk does.
pub(crate) fn run(bench: &Bench, max_bytes: u64, time: Duration, uses_again: bool) -> Result<Row> {
    let durability = bench.options.durability.unwrap_or(Durability::Os);
    let what = format!(
        "emit, {durability:?}, into {} MiB for {} s, one handler behind",
        max_bytes >> 20,
        time.as_secs_f64()
    );
    bench.step(&what);
    let (mut limited, mut free) = (Runs::default(), Runs::default());
    for _ in 0..bench.options.runs() {
        let limit = Limit {
            max_bytes,
            uses_again,
        };
        free.add(slice(bench, None, time)?);
        limited.add(slice(bench, Some(limit), time)?);
    }
    let heard = |which: usize| limited.heard(|heard| heard[which].skipped());
    let (removed, recycled) = (limited.removed, limited.recycled);
    let (largest, missing) = (limited.largest, limited.missing);
    let (skipped_fast, skipped_slow) = (heard(0), heard(1));
    let (events, free_events) = (limited.events, free.events);
    let (at, free_at) = (limited.all.clone(), free.all.clone());
    let millis = |recorder: &Recorder| Some(recorder.micros().max / MICROS_PER_MILLI);
    let over = |recorder: &Recorder| Some(float(recorder.longer_than(STALL)));
    let pair = Pair {
        engine: limited.per_second,
        floor: free.per_second,
    };
    Ok(Row::new("retention", what, "events/s")
        .rates(pair, "the same without a limit, which stops at 16 GiB")
        .events(events)
        .threads(1)
        .latencies_beside(&limited.latencies, &free.latencies)
        .extra("mib_max", Some(float(largest) / float(1 << 20)))
        .extra("ratio_to_max_bytes", Some(float(largest) / float(max_bytes)))
        .extra("emit_ms_max", millis(&at))
        .extra("emit_ms_max_unlimited", millis(&free_at))
        .extra("emits_over_50_ms", over(&at))
        .extra("emits_over_50_ms_unlimited", over(&free_at))
        .extra("emit_us_p99_99", Some(at.micros_at(0.9999)))
        .extra("emit_us_p99_99_unlimited", Some(free_at.micros_at(0.9999)))
        .extra("emit_us_p99_999", Some(at.micros_at(0.99999)))
        .extra("emit_us_p99_999_unlimited", Some(free_at.micros_at(0.99999)))
        .extra("skipped_fast", Some(skipped_fast))
        .extra("skipped_slow", Some(skipped_slow))
        .extra("neither_delivered_nor_told", Some(missing))
        .extra("segments_removed", Some(removed))
        .extra("segments_recycled", Some(recycled))
        .note(format!(
            "in turn with a limit and without, each in an empty folder and with both handlers; the log took {} \
             bytes at most, looked at every {LOOK_AFTER:?}; without a limit {} events. A stall that the limit \
             causes is one that the runs without it do not have",
            shown(float(largest)),
            shown(float(free_events))
        )))
}

/// What the log may take, and whether the files of what is removed are used again.
#[derive(Debug, Clone, Copy)]
struct Limit {
    max_bytes: u64,
    uses_again: bool,
}

/// What one run came to.
struct Slice {
    written: Written,
    largest: u64,
    removed: u64,
    recycled: u64,
    heard: [Arc<Heard>; 2],
    is_limited: bool,
}

/// Runs of one kind together.
#[derive(Default)]
struct Runs {
    per_second: Vec<f64>,
    latencies: Vec<Latency>,
    all: Recorder,
    events: u64,
    largest: u64,
    removed: f64,
    recycled: f64,
    missing: f64,
    heard: Vec<[Arc<Heard>; 2]>,
}

impl Runs {
    fn add(&mut self, slice: Slice) {
        let written = slice.written;
        self.per_second.push(written.per_second);
        self.latencies.push(written.recorder.micros());
        self.all.merge(&written.recorder);
        self.events += written.events;
        self.largest = self.largest.max(slice.largest);
        self.removed += float(slice.removed);
        self.recycled += float(slice.recycled);
        if slice.is_limited {
            let missing = slice.heard.iter().map(|one| one.missing(written.events));
            self.missing += missing.sum::<f64>();
        }
        self.heard.push(slice.heard);
    }

    fn heard(&self, of: impl Fn(&[Arc<Heard>; 2]) -> u64) -> f64 {
        float(self.heard.iter().map(of).sum())
    }
}

/// Emits for so long.
fn slice(bench: &Bench, limit: Option<Limit>, time: Duration) -> Result<Slice> {
    let durability = bench.options.durability.unwrap_or(Durability::Os);
    let mut builder = bench.builder(NAME, durability);
    if let Some(limit) = limit {
        builder = builder
            .max_bytes(limit.max_bytes)
            .when_pinned(WhenPinned::Gap)
            .recycle_segments(limit.uses_again)
            .drain_timeout(Duration::from_secs(120));
    } else {
        // The one that rests would be at it for minutes: what it did not get is not asked for.
        builder = builder.drain_timeout(Duration::from_millis(1));
    }
    let system = builder.open()?;
    let heard = [
        follow(&system, "fast", false)?,
        follow(&system, "slow", true)?,
    ];
    system.start()?;
    let event = bench.event()?;
    let (written, largest) = watched(&bench.path(NAME).join("log"), || {
        let most = limit.map_or(UNLIMITED_LEN, |_| u64::MAX);
        write(&system, &event, time, most)
    });
    let written = written?;
    if limit.is_some() {
        system.drain(None)?;
    }
    let removed = system.store().explain_retention().removed;
    let recycled = system.stats().segments_recycled;
    match system.close() {
        Err(error) if limit.is_none() && error.kind() == ErrorKind::Handler => {}
        closed => closed?,
    }
    drop(system);
    bench.clear(NAME)?;
    Ok(Slice {
        written,
        largest,
        removed: removed.map_or(0, |removed| removed.segments),
        recycled,
        heard,
        is_limited: limit.is_some(),
    })
}

/// Registers a handler, and returns what it hears.
fn follow(system: &EventSystem, name: &str, rests: bool) -> Result<Arc<Heard>> {
    let heard = Arc::<Heard>::default();
    let follower = Follower {
        heard: heard.clone(),
        rests,
    };
    let subscription = Subscription::named(name).when_behind(WhenBehind::Pause(u64::MAX));
    system.register_handler(subscription, follower)?;
    Ok(heard)
}

/// What a writer has done.
struct Written {
    events: u64,
    per_second: f64,
    recorder: Recorder,
}

/// Emits for so long, or so many bytes.
fn write(system: &EventSystem, event: &Event, time: Duration, len: u64) -> Result<Written> {
    let started = Instant::now();
    let mut recorder = Recorder::new();
    let mut events = 0;
    let most = len / forelog_len(event).max(1);
    let mut before = started;
    while before.duration_since(started) < time && events < most {
        system.emit(event)?;
        events += 1;
        let now = Instant::now();
        recorder.record(now.duration_since(before));
        before = now;
    }
    Ok(Written {
        events,
        per_second: rate(events, started.elapsed()),
        recorder,
    })
}

fn forelog_len(event: &Event) -> u64 {
    crate::bench::frame_len_of(event).unwrap_or(1)
}

/// Does something, and says what the folder took at most meanwhile.
fn watched<T>(folder: &Path, work: impl FnOnce() -> T) -> (T, u64) {
    let (is_over, largest) = (AtomicBool::new(false), AtomicU64::new(0));
    let done = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // A file may go between its listing and the look at it.
                if let Ok(bytes) = allocated(folder) {
                    largest.fetch_max(bytes, Ordering::Relaxed);
                }
                std::thread::sleep(LOOK_AFTER);
            }
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        done
    });
    (done, largest.into_inner())
}
