//! [`Bench`]: where a measurement takes place, and how its runs go.

use std::path::PathBuf;
use std::sync::Barrier;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use forelog::{Builder, Data, Durability, Error, ErrorKind, Event, EventSystem, Result};
use tempfile::TempDir;

use crate::args::Options;
use crate::num::{count, index};
use crate::progress::Progress;
use crate::quiet;
use crate::row::Pair;

const EVENT_TYPE: &str = "bench.event";
const SOURCE: &str = "bench";
/// What a frame takes at most beyond its event, for making a segment large enough.
const FRAME_OVERHEAD_MAX: u64 = 128;
/// The segment before the one that a run is in.
const FIRST_SEGMENT_LEN: usize = 1 << 20;
const SEGMENT_LEN_MIN: u64 = 64 << 20;
const SEGMENT_LEN_MAX: u64 = 2 << 30;

/// A place to measure in: options, a folder that is removed at the end, and a progress bar.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) options: Options,
    scratch: TempDir,
    progress: Progress,
}

impl Bench {
    pub(crate) fn new(options: Options) -> Result<Bench> {
        let base = options.dir.clone().unwrap_or_else(std::env::temp_dir);
        let scratch = tempfile::Builder::new()
            .prefix("forelog-bench-")
            .tempdir_in(&base)
            .map_err(|source| Error::io("make a folder", &base, source))?;
        let progress = Progress::new();
        Ok(Bench {
            options,
            scratch,
            progress,
        })
    }

    /// A bench beside this one, with events of another size.
    pub(crate) fn resized(&self, size: u64) -> Result<Bench> {
        Bench::new(Options {
            size,
            ..self.options.clone()
        })
    }

    /// A path in the folder of this bench; nothing is there yet.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Removes what a run has left, so that it burdens no later run.
    pub(crate) fn clear(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        std::fs::remove_dir_all(&path).map_err(|source| Error::io("remove", path, source))
    }

    /// The settings of a system in a folder of its own.
    pub(crate) fn builder(&self, name: &str, durability: Durability) -> Builder {
        EventSystem::builder()
            .persistence_path(self.path(name))
            .durability(durability)
    }

    /// A system whose first segment holds a run of so many events, once its threads have come to
    /// rest.
    pub(crate) fn ready_system(
        &self,
        name: &str,
        events: u64,
        durability: Durability,
    ) -> Result<EventSystem> {
        // Preparing the one after the next begins at a quarter of a segment: not within the run.
        let len = events.saturating_mul(self.options.size + FRAME_OVERHEAD_MAX);
        let len = len
            .saturating_mul(4)
            .clamp(SEGMENT_LEN_MIN, SEGMENT_LEN_MAX);
        let open = |len| self.builder(name, durability).segment_size(len).open();
        // A small segment that is soon full: the next one is prepared in the background.
        let small = open(FIRST_SEGMENT_LEN)?;
        small.emit_with(self.event()?, Durability::Os)?;
        small.close()?;
        drop(small);
        let system = open(index(len))?;
        let event = self.event()?;
        while system.stats().bytes < FIRST_SEGMENT_LEN as u64 / 2 {
            system.emit_with(&event, Durability::Os)?;
        }
        quiet::wait();
        while system.stats().segments < 2 {
            system.emit_with(&event, Durability::Os)?;
        }
        system.flush()?;
        quiet::wait();
        Ok(system)
    }

    /// A system that holds so many events, once its threads have come to rest.
    pub(crate) fn filled_system(&self, name: &str, events: u64) -> Result<EventSystem> {
        let system = self.builder(name, Durability::Os).open()?;
        let event = self.event()?;
        for _ in 0..events {
            system.emit(&event)?;
        }
        system.flush()?;
        quiet::wait();
        Ok(system)
    }

    /// An event of the size that was asked for.
    pub(crate) fn event(&self) -> Result<Event> {
        event_of(index(self.options.size), EVENT_TYPE)
    }

    /// What an event of this bench takes on the disk.
    pub(crate) fn frame_len(&self) -> Result<u64> {
        frame_len_of(&self.event()?)
    }

    /// Runs the engine and its floor in turn; who goes first changes from run to run.
    pub(crate) fn pairs(
        &self,
        what: &str,
        mut engine: impl FnMut() -> Result<f64>,
        mut floor: impl FnMut() -> Result<f64>,
    ) -> Result<Pair> {
        let mut pair = Pair::default();
        let runs = self.options.runs();
        for run in 0..runs {
            self.progress.show(what, run, runs);
            if run.is_multiple_of(2) {
                pair.engine.push(engine()?);
                pair.floor.push(floor()?);
            } else {
                pair.floor.push(floor()?);
                pair.engine.push(engine()?);
            }
        }
        Ok(pair)
    }

    /// Runs the engine alone, where there is no floor.
    pub(crate) fn alone(
        &self,
        what: &str,
        mut engine: impl FnMut() -> Result<f64>,
    ) -> Result<Vec<f64>> {
        let runs = self.options.runs();
        let run = |run| {
            self.progress.show(what, run, runs);
            engine()
        };
        (0..runs).map(run).collect()
    }

    /// Says what is being done now.
    pub(crate) fn step(&self, what: &str) {
        self.progress.show(what, 0, 1);
    }
}

/// What an event takes on the disk, everything included, by what a system says of itself.
pub(crate) fn frame_len_of(event: &Event) -> Result<u64> {
    const EVENTS: u64 = 4096;
    let system = EventSystem::builder().open()?;
    system.emit(event)?;
    let before = system.stats().bytes;
    for _ in 0..EVENTS {
        system.emit(event)?;
    }
    let after = system.stats().bytes;
    system.close()?;
    Ok((after - before).div_ceil(EVENTS))
}

/// An event whose type, source and data take `size` bytes together.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) if type and source leave no byte for the data.
pub(crate) fn event_of(size: usize, event_type: &str) -> Result<Event> {
    let data = size
        .checked_sub(event_type.len() + SOURCE.len())
        .and_then(text_of)
        .ok_or_else(|| {
            let message = format!("an event of {size} bytes has no room for data");
            Error::new(ErrorKind::Invalid, message)
        })?;
    Ok(Event::with_data(
        event_type,
        SOURCE,
        Data::from_msgpack(data)?,
    ))
}

/// A `MessagePack` string that takes `len` bytes with its own header; `None` for no bytes.
fn text_of(len: usize) -> Option<Vec<u8>> {
    let mut bytes = match len {
        0 => return None,
        1..=32 => vec![0xa0 | u8::try_from(len - 1).ok()?],
        33..=257 => vec![0xd9, u8::try_from(len - 2).ok()?],
        258..=65_538 => {
            let text_len = u16::try_from(len - 3).ok()?;
            [&[0xda], &text_len.to_be_bytes()[..]].concat()
        }
        _ => {
            let text_len = u32::try_from(len - 5).ok()?;
            [&[0xdb], &text_len.to_be_bytes()[..]].concat()
        }
    };
    bytes.resize(len, b'x');
    Some(bytes)
}

/// Runs `work` in so many threads at once; returns the time from the first start to the last end,
/// and what each returned.
///
/// # Errors
/// The first error of a thread.
pub(crate) fn in_threads<R: Send>(
    threads: u64,
    work: impl Fn(u64) -> Result<R> + Sync,
) -> Result<(Duration, Vec<R>)> {
    let barrier = Barrier::new(index(threads));
    let timed = |place| {
        barrier.wait();
        let started = Instant::now();
        let done = work(place);
        (started, Instant::now(), done)
    };
    let ended: Vec<_> = std::thread::scope(|scope| {
        let timed = &timed;
        let handles: Vec<_> = (0..threads)
            .map(|place| scope.spawn(move || timed(place)))
            .collect();
        handles.into_iter().map(ScopedJoinHandle::join).collect()
    });
    let mut results = Vec::with_capacity(ended.len());
    let mut span: Option<(Instant, Instant)> = None;
    for end in ended {
        let (from, to, done) = end.map_err(|_| panicked())?;
        results.push(done?);
        span = Some(span.map_or((from, to), |(first, last)| (first.min(from), last.max(to))));
    }
    let time = span.map_or(Duration::ZERO, |(from, to)| to - from);
    Ok((time, results))
}

fn panicked() -> Error {
    Error::new(ErrorKind::Handler, "a measuring thread panicked")
}

/// Numbers that look random and are the same in every run: the `SplitMix64` sequence.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let wide = u128::from(z ^ (z >> 31)) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(0)
    }
}

/// The bytes that a user hands in with an event.
pub(crate) fn own_len(event: &Event) -> u64 {
    count(event.event_type.len() + event.source.len() + event.data.as_bytes().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_size_that_is_asked_for() {
        for size in [
            17, 20, 48, 49, 50, 256, 273, 274, 1024, 65_554, 65_555, 100_000,
        ] {
            let event = event_of(size, EVENT_TYPE).unwrap();
            assert_eq!(own_len(&event), size as u64);
            assert!(event.data::<String>().is_ok(), "{size}");
        }
        assert!(event_of(16, EVENT_TYPE).is_err());
    }

    #[test]
    fn random_numbers_stay_below_their_end_and_repeat() {
        let numbers: Vec<u64> = {
            let mut random = Random(7);
            (0..1000).map(|_| random.below(10)).collect()
        };
        let mut again = Random(7);
        assert!(numbers.iter().all(|&n| n == again.below(10) && n < 10));
        assert!((0..10).all(|n| numbers.contains(&n)));
    }

    #[test]
    fn threads_all_run_and_the_first_error_is_told() {
        let (_, places) = in_threads(3, Ok).unwrap();
        assert_eq!(places, [0, 1, 2]);
        let failed = in_threads(2, |place| match place {
            1 => Err(Error::new(ErrorKind::Closed, "one")),
            _ => Ok(()),
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Closed);
    }
}
