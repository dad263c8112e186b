//! [`EventSystemPerformanceTest`]: what a system of your own, with your settings, can do.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use forelog::{Delivery, Durability, Error, ErrorKind, Event, EventSystem, Result, Subscription};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::bench::{event_of, in_threads};
use crate::latency::{Latency, Recorder};
use crate::num::{float, index, rate, share};
use crate::report::write_whole;

/// The type of the events that a test emits.
const EVENT_TYPE: &str = "performance.test";
/// How long an event may take to its handler before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Microseconds by milliseconds.
const MILLIS: f64 = 1e-3;

/// Measures an event system as it is configured: how many events it takes, and how long one takes
/// from its emit to its handler.
///
/// ```
/// use forelog_bench::EventSystemPerformanceTest;
///
/// # fn main() -> forelog::Result<()> {
/// let mut test = EventSystemPerformanceTest::builder()
///     .max_queue_size(10_000)
///     .max_events(100_000)
///     .build()?;
///
/// let throughput = test.run_throughput_test(2_000, 100, 1_000, 2)?;
/// assert_eq!(throughput.results.throughput.unwrap().events, 2_000);
///
/// let latency = test.run_latency_test(100)?;
/// println!("{:.3} ms on average", latency.results.latency.avg);
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("performance_test_results.json");
/// test.save_results(&path)?;
/// # Ok(()) }
/// ```
///
/// An existing system is measured with [`Builder::event_system`]. It then keeps the events of the
/// test, of the type `performance.test`, and its handlers see them if they want all types.
#[derive(Debug)]
pub struct EventSystemPerformanceTest {
    system: EventSystem,
    /// The folder of a system that the test made; it goes with the test.
    own: Option<TempDir>,
    done: Vec<PerformanceResults>,
}

/// The settings of a test.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    event_system: Option<EventSystem>,
    max_queue_size: u64,
    max_events: u64,
    durability: Durability,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            event_system: None,
            max_queue_size: 10_000,
            max_events: 100_000,
            durability: Durability::default(),
        }
    }
}

impl Builder {
    /// Measures this system. The settings below are then those that it has already.
    pub fn event_system(mut self, system: EventSystem) -> Self {
        self.event_system = Some(system);
        self
    }

    /// How many events may wait for the slowest handler: 10,000 by default.
    pub fn max_queue_size(mut self, events: u64) -> Self {
        self.max_queue_size = events;
        self
    }

    /// How many events are kept: 100,000 by default.
    pub fn max_events(mut self, events: u64) -> Self {
        self.max_events = events;
        self
    }

    /// What an emit waits for. The default is that of a system, [`Durability::Sync`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Makes the test, and its system unless it was given one: in a folder of its own under the
    /// system's folder for temporary files.
    ///
    /// # Errors
    /// If the system cannot be opened.
    pub fn build(self) -> Result<EventSystemPerformanceTest> {
        if let Some(system) = self.event_system {
            return Ok(EventSystemPerformanceTest {
                system,
                own: None,
                done: Vec::new(),
            });
        }
        let dir = tempfile::tempdir()
            .map_err(|source| Error::io("make a folder", std::env::temp_dir(), source))?;
        let system = EventSystem::builder()
            .persistence_path(dir.path().join("system"))
            .max_queue_size(self.max_queue_size)
            .max_events(self.max_events)
            .durability(self.durability)
            .open()?;
        system.start()?;
        Ok(EventSystemPerformanceTest {
            system,
            own: Some(dir),
            done: Vec::new(),
        })
    }
}

/// What one test found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerformanceResults {
    /// `throughput`, `latency` or `all`.
    pub test: String,
    /// The figures.
    pub results: Figures,
}

/// The figures of a test.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// How many events a second were taken; `None` if the test does not measure it.
    pub throughput: Option<Throughput>,
    /// From the beginning of an emit to the call of the handler, in milliseconds; of the throughput
    /// test, of a single emit or batch.
    pub latency: Latency,
}

/// How many events a second were taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// How many were emitted.
    pub events: u64,
    /// In batches of so many; 1: one by one.
    pub batch_size: u64,
    /// Bytes of type, source and data of each.
    pub event_size: u64,
    /// In so many threads.
    pub threads: u64,
    /// How long it took.
    pub seconds: f64,
    /// Events a second.
    pub events_per_second: f64,
    /// Bytes of type, source and data a second.
    pub bytes_per_second: f64,
}

impl EventSystemPerformanceTest {
    /// The settings of a test, all at their defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The system that is measured.
    pub fn system(&self) -> &EventSystem {
        &self.system
    }

    /// All tests so far, in order.
    pub fn results(&self) -> &[PerformanceResults] {
        &self.done
    }

    /// Runs all tests with usual arguments: 100,000 events of 1,000 bytes in batches of 100 in two
    /// threads, then 1,000 single ones to a handler.
    ///
    /// # Errors
    /// As those of the single tests.
    pub fn run_all_tests(&mut self) -> Result<PerformanceResults> {
        let throughput = self.throughput(100_000, 100, 1_000, 2)?;
        let latency = self.to_handler(1_000)?;
        Ok(self.keep("all", throughput.throughput, latency))
    }

    /// Emits so many events of `event_size` bytes (type, source and data together) in batches, in so
    /// many threads. A batch size of 1 emits them one by one.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for no events, threads or batch, or events without room for
    /// data; those of [`EventSystem::emit`].
    pub fn run_throughput_test(
        &mut self,
        num_events: u64,
        batch_size: u64,
        event_size: u64,
        num_threads: u64,
    ) -> Result<PerformanceResults> {
        let figures = self.throughput(num_events, batch_size, event_size, num_threads)?;
        Ok(self.keep("throughput", figures.throughput, figures.latency))
    }

    /// Emits so many events one after the other, each after the handler has seen the one before, and
    /// takes the time from emit to handler.
    ///
    /// # Errors
    /// [`Handler`](ErrorKind::Handler) if an event does not reach its handler in 30 seconds: an
    /// existing system must have been started; those of [`EventSystem::emit`].
    pub fn run_latency_test(&mut self, num_events: u64) -> Result<PerformanceResults> {
        let latency = self.to_handler(num_events)?;
        Ok(self.keep("latency", None, latency))
    }

    /// Writes all results so far as JSON: the whole file or nothing.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_results(&self, path: impl AsRef<Path>) -> Result<()> {
        let saved = Saved {
            v: crate::VERSION,
            machine: crate::Machine::this(),
            unit: "ms",
            tests: &self.done,
        };
        let mut bytes = serde_json::to_vec_pretty(&saved)
            .map_err(|source| Error::io("write", path.as_ref(), source.into()))?;
        bytes.push(b'\n');
        write_whole(path.as_ref(), &bytes)
    }

    fn keep(
        &mut self,
        test: &str,
        throughput: Option<Throughput>,
        latency: Latency,
    ) -> PerformanceResults {
        let results = PerformanceResults {
            test: test.to_owned(),
            results: Figures {
                throughput,
                latency,
            },
        };
        self.done.push(results.clone());
        results
    }

    fn throughput(&self, events: u64, batch: u64, size: u64, threads: u64) -> Result<Figures> {
        if events == 0 || batch == 0 || threads == 0 {
            let message = "num_events, batch_size and num_threads must be 1 or more";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let ready = vec![event_of(index(size), EVENT_TYPE)?; index(batch.min(events))];
        let (time, recorders) = in_threads(threads, |place| {
            emit_in_batches(&self.system, &ready, share(events, threads, place))
        })?;
        let per_second = rate(events, time);
        let throughput = Throughput {
            events,
            batch_size: batch,
            event_size: size,
            threads,
            seconds: time.as_secs_f64(),
            events_per_second: per_second,
            bytes_per_second: per_second * float(size),
        };
        Ok(Figures {
            throughput: Some(throughput),
            latency: crate::latency::merged(&recorders).micros().scaled(MILLIS),
        })
    }

    fn to_handler(&self, events: u64) -> Result<Latency> {
        let (sender, arrivals) = channel();
        let handler = self.system.register_handler(
            Subscription::unnamed().event_type(EVENT_TYPE),
            move |_: &Delivery<'_>| {
                // Once the test is over nobody listens any more.
                let _ = sender.send(Instant::now());
            },
        )?;
        let measured = one_by_one(&self.system, events, &arrivals);
        self.system.unregister_handler(handler)?;
        measured
    }
}

impl Drop for EventSystemPerformanceTest {
    fn drop(&mut self) {
        if self.own.is_some() {
            // Its folder is removed next: whether it closed in order matters to nobody.
            let _ = self.system.close();
        }
    }
}

#[derive(Serialize)]
struct Saved<'a> {
    v: u32,
    machine: crate::Machine,
    /// Of all latencies.
    unit: &'static str,
    tests: &'a [PerformanceResults],
}

/// Emits so many events in batches as large as `ready`, the last one smaller.
fn emit_in_batches(system: &EventSystem, ready: &[Event], events: u64) -> Result<Recorder> {
    let mut recorder = Recorder::new();
    let mut left = index(events);
    while left > 0 {
        let batch = ready.get(..left.min(ready.len())).unwrap_or(ready);
        let started = Instant::now();
        match batch {
            [event] => system.emit(event).map(drop)?,
            batch => system.emit_batch(batch).map(drop)?,
        }
        recorder.record(started.elapsed());
        left -= batch.len();
    }
    Ok(recorder)
}

fn one_by_one(system: &EventSystem, events: u64, arrivals: &Receiver<Instant>) -> Result<Latency> {
    let event = event_of(256, EVENT_TYPE)?;
    let mut recorder = Recorder::new();
    for _ in 0..events {
        let started = Instant::now();
        system.emit(&event)?;
        let arrived = arrivals.recv_timeout(PATIENCE).map_err(|_| {
            let message =
                "an event did not reach its handler in 30 seconds; was the system started?";
            Error::new(ErrorKind::Handler, message)
        })?;
        recorder.record(arrived.saturating_duration_since(started));
    }
    Ok(recorder.micros().scaled(MILLIS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> EventSystemPerformanceTest {
        let builder = EventSystemPerformanceTest::builder().max_events(10_000);
        builder.durability(Durability::Os).build().unwrap()
    }

    #[test]
    fn as_many_events_are_emitted_as_asked_for() {
        let mut test = small();
        let before = test.system().stats().last_seq.0;
        let found = test.run_throughput_test(1_003, 100, 200, 3).unwrap();
        assert_eq!(test.system().stats().last_seq.0 - before, 1_003);
        let throughput = found.results.throughput.unwrap();
        let bytes = throughput.bytes_per_second / throughput.events_per_second;
        assert!((bytes - 200.0).abs() < 1e-6);
        let single = test.run_throughput_test(10, 1, 200, 1).unwrap();
        assert_eq!(single.results.latency.count, 10);
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut test = small();
        for (events, batch, size, threads) in
            [(0, 1, 100, 1), (1, 0, 100, 1), (1, 1, 100, 0), (1, 1, 5, 1)]
        {
            let refused = test.run_throughput_test(events, batch, size, threads);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
        }
        assert!(test.results().is_empty());
    }

    #[test]
    fn an_existing_system_is_measured_and_left_open() {
        let system = EventSystem::builder().open().unwrap();
        system.start().unwrap();
        let builder = EventSystemPerformanceTest::builder();
        let mut test = builder.event_system(system.clone()).build().unwrap();
        let found = test.run_latency_test(20).unwrap();
        assert_eq!(found.results.latency.count, 20);
        assert!(found.results.latency.avg > 0.0);
        drop(test);
        assert_eq!(system.stats().last_seq.0, 20);
        assert!(system.subscriptions().is_empty(), "its handler is gone");
        system.emit(event_of(100, EVENT_TYPE).unwrap()).unwrap();
    }

    #[test]
    fn saved_results_are_read_back() {
        let mut test = small();
        test.run_latency_test(3).unwrap();
        test.run_throughput_test(10, 5, 100, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        test.save_results(&path).unwrap();
        let saved: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let tests: Vec<PerformanceResults> =
            serde_json::from_value(saved["tests"].clone()).unwrap();
        let name_and_count =
            |result: &PerformanceResults| (result.test.clone(), result.results.latency.count);
        let read: Vec<_> = tests.iter().map(name_and_count).collect();
        let kept: Vec<_> = test.results().iter().map(name_and_count).collect();
        assert_eq!(read, kept);
        assert_eq!(
            read,
            [("latency".to_owned(), 3), ("throughput".to_owned(), 2)]
        );
        assert_eq!(saved["unit"], "ms");
    }
}
