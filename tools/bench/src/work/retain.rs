//! Emits without a pause into a directory that may only take so many bytes, with one handler that keeps
//! up and one that does not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forelog::{
    Delivery, Durability, Event, EventSystem, Gap, Handler, Outcome, Result, Subscription,
    WhenBehind, WhenPinned,
};

use super::space::allocated;
use crate::bench::Bench;
use crate::latency::{Latency, Recorder};
use crate::num::{float, rate, shown};
use crate::row::Row;

/// How often the directory is looked at.
const LOOK_AFTER: Duration = Duration::from_millis(10);
/// After how many events the slow handler rests, and for how long.
const REST: (u64, Duration) = (1024, Duration::from_millis(2));
/// How much is written without a limit, for comparison.
const COMPARED_LEN: u64 = 4 << 30;
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

/// Emits for so long into at most `max_bytes`.
pub(crate) fn run(bench: &Bench, max_bytes: u64, time: Duration, uses_again: bool) -> Result<Row> {
    let durability = bench.options.durability.unwrap_or(Durability::Os);
    let what = format!(
        "emit, {durability:?}, into {} MiB for {} s, one handler behind",
        max_bytes >> 20,
        time.as_secs_f64()
    );
    bench.step(&what);
    let event = bench.event()?;
    let unlimited = bench.builder("unlimited", durability).open()?;
    let compared = write(
        &unlimited,
        &event,
        time.min(Duration::from_secs(10)),
        COMPARED_LEN,
    )?;
    unlimited.close()?;
    bench.clear("unlimited")?;

    let system = bench
        .builder("retained", durability)
        .max_bytes(max_bytes)
        .when_pinned(WhenPinned::Gap)
        .recycle_segments(uses_again)
        .drain_timeout(Duration::from_secs(120))
        .open()?;
    let heard = [
        follow(&system, "fast", false)?,
        follow(&system, "slow", true)?,
    ];
    system.start()?;
    let (written, largest) = watched(&bench.path("retained").join("log"), || {
        write(&system, &event, time, u64::MAX)
    });
    let written = written?;
    system.drain(None)?;
    let removed = system.store().explain_retention().removed;
    let recycled = system.stats().segments_recycled;
    system.close()?;
    bench.clear("retained")?;
    let millis = |latency: Latency| latency.max / MICROS_PER_MILLI;
    Ok(Row::new("retention", what, "events/s")
        .values(vec![written.per_second])
        .events(written.events)
        .threads(1)
        .latencies(&[written.latency])
        .extra("mib_max", Some(float(largest) / float(1 << 20)))
        .extra("ratio_to_max_bytes", Some(float(largest) / float(max_bytes)))
        .extra("emit_ms_max", Some(millis(written.latency)))
        .extra("emit_ms_max_unlimited", Some(millis(compared.latency)))
        .extra("events_per_second_unlimited", Some(compared.per_second))
        .extra("skipped_fast", Some(float(heard[0].skipped())))
        .extra("skipped_slow", Some(float(heard[1].skipped())))
        .extra(
            "neither_delivered_nor_told",
            Some(heard.iter().map(|one| one.missing(written.events)).sum()),
        )
        .extra("segments_removed", removed.map(|removed| float(removed.segments)))
        .extra("segments_recycled", Some(float(recycled)))
        .note(format!(
            "one run; the directory's log took {} bytes at most, looked at every {LOOK_AFTER:?}; without a \
             limit, and without handlers, {} events",
            shown(float(largest)),
            shown(float(compared.events))
        )))
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
    latency: Latency,
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
        latency: recorder.micros(),
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
