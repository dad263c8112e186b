//! Open-loop load: emits that come due by the clock, whether or not earlier ones have returned.

use std::time::{Duration, Instant};

use forelog::{Durability, Result};

use crate::bench::{Bench, in_threads};
use crate::floor::{Room, WrittenFile};
use crate::latency::{Latency, Recorder, merged};
use crate::num::{float, index, rate};
use crate::row::Row;
use crate::work::append::{name_of, threads_of};

const RATE_OS: u64 = 200_000;
/// Raw syncs that show what the disk takes.
const RAW_SYNCS: u64 = 200;
/// A loop that cannot keep its pace ends after so many times its time.
const OVERRUN_MAX: u32 = 3;
const PAGE: u64 = 4096;
/// A pause shorter than this is spun away: a sleep overshoots it.
const SLEEP_MIN: Duration = Duration::from_micros(200);

/// When emits come due, in how many threads, and for how long.
#[derive(Debug, Clone, Copy)]
struct Pace {
    rate: u64,
    threads: u64,
    time: Duration,
}

impl Pace {
    /// How many come due in each thread.
    fn each(self) -> u64 {
        let due = float(self.rate) * self.time.as_secs_f64() / float(self.threads);
        whole(due.floor()).max(1)
    }
}

/// Latencies of one run, and how many were done a second.
struct Paced {
    /// From the moment when it was due: what a user waits, queueing included.
    due: Latency,
    /// From the moment when it began: what a closed loop would have shown.
    begun: Latency,
    rate: f64,
}

/// Emits at a fixed rate.
pub(crate) fn run(bench: &Bench, rate: Option<u64>, seconds: Option<u64>) -> Result<Row> {
    let durability = bench.options.durability.unwrap_or(Durability::Sync);
    let is_synced = durability == Durability::Sync;
    let pace = Pace {
        rate: match rate {
            Some(rate) => rate,
            None if is_synced => half_of_the_disk(bench)?,
            None => RATE_OS,
        },
        threads: bench.options.threads.unwrap_or(1),
        time: match seconds {
            Some(seconds) => Duration::from_secs(seconds),
            None if bench.options.short => Duration::from_millis(100),
            None => Duration::from_secs(2),
        },
    };
    let events = pace.each() * pace.threads;
    let what = format!(
        "emit, {}, {}, {} due a second",
        name_of(durability),
        threads_of(pace.threads),
        crate::num::shown(float(pace.rate))
    );
    let system = bench.ready_system("paced", events * bench.options.runs(), durability)?;
    let event = bench.event()?;
    let floor = Floor::new(bench, is_synced, events)?;
    let (mut due, mut begun, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    let pair = bench.pairs(
        &what,
        || {
            let paced = open_loop(pace, |_| system.emit(&event).map(drop))?;
            due.push(paced.due);
            begun.push(paced.begun);
            Ok(paced.rate)
        },
        || {
            let paced = open_loop(pace, |number| floor.work(number))?;
            raw.push(paced.due);
            Ok(paced.rate)
        },
    )?;
    system.close()?;
    bench.clear("paced")?;
    let closed = Latency::of_runs(&begun);
    Ok(Row::new(
        format!("latency_{}", if is_synced { "sync" } else { "os" }),
        what,
        "events/s",
    )
    .rates(pair, floor.what())
    .latencies_beside(&due, &raw)
    .events(events)
    .threads(pace.threads)
    .extra("p50_from_begin_us", closed.map(|latency| latency.p50))
    .extra("p99_from_begin_us", closed.map(|latency| latency.p99))
    .note(
        "each latency counts from the moment when the emit was due, so that one that is late \
             because of an earlier one shows its wait (no coordinated omission); a pace that cannot \
             be kept is given up after three times its time",
    ))
}

/// A pace that a disk can keep: half of the raw syncs a second.
fn half_of_the_disk(bench: &Bench) -> Result<u64> {
    let file = WrittenFile::new(&bench.path("raw"), RAW_SYNCS * PAGE)?;
    let syncs = if bench.options.short {
        RAW_SYNCS / 10
    } else {
        RAW_SYNCS
    };
    let (_, latency) = file.synced_writes(syncs, PAGE, 1)?;
    let pace =
        Duration::from_secs(1).as_micros() / u128::from(whole(latency.avg.ceil()) * 2).max(1);
    Ok(u64::try_from(pace).unwrap_or(1).max(1))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and microseconds are positive, and far below the end of the range"
)]
fn whole(figure: f64) -> u64 {
    figure as u64
}

/// The raw work at the same pace.
enum Floor {
    Disk(WrittenFile),
    Memory(std::sync::Mutex<Room>),
}

impl Floor {
    fn new(bench: &Bench, is_synced: bool, events: u64) -> Result<Floor> {
        if is_synced {
            let file = WrittenFile::new(&bench.path("floor"), events * PAGE)?;
            return Ok(Floor::Disk(file));
        }
        let room = Room::new(events.min(1 << 20), bench.frame_len()?)?;
        Ok(Floor::Memory(std::sync::Mutex::new(room)))
    }

    fn work(&self, number: u64) -> Result<()> {
        match self {
            Floor::Disk(file) => file.synced_write_number(number),
            Floor::Memory(room) => {
                let mut room = room
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                room.copy_one(index(number));
                Ok(())
            }
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Floor::Disk(_) => "pwrite of 4 KiB and fdatasync at the same pace",
            Floor::Memory(_) => "copy and CRC into memory under a lock, at the same pace",
        }
    }
}

fn open_loop(pace: Pace, work: impl Fn(u64) -> Result<()> + Sync) -> Result<Paced> {
    let each = pace.each();
    let step = Duration::from_secs_f64(float(pace.threads) / float(pace.rate));
    let (time, recorders) = in_threads(pace.threads, |thread| {
        let (mut from_due, mut from_begin) = (Recorder::new(), Recorder::new());
        let start = Instant::now() + step;
        for number in 0..each {
            let due = start + step.mul_f64(float(number));
            let begun = wait_for(due);
            if begun.saturating_duration_since(start) > pace.time * OVERRUN_MAX {
                break;
            }
            work(thread * each + number)?;
            let end = Instant::now();
            from_due.record(end.saturating_duration_since(due));
            from_begin.record(end.saturating_duration_since(begun));
        }
        Ok((from_due, from_begin))
    })?;
    let (due, begun): (Vec<_>, Vec<_>) = recorders.into_iter().unzip();
    let due = merged(&due).micros();
    Ok(Paced {
        due,
        begun: merged(&begun).micros(),
        rate: rate(due.count, time),
    })
}

/// Waits until the moment has come; returns when it was left.
fn wait_for(due: Instant) -> Instant {
    loop {
        let now = Instant::now();
        let left = due.saturating_duration_since(now);
        if left.is_zero() {
            return now;
        }
        if left > SLEEP_MIN {
            std::thread::sleep(left.saturating_sub(SLEEP_MIN));
        } else {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_charged_to_all_that_were_due_in_it() {
        let pace = Pace {
            rate: 1000,
            threads: 1,
            time: Duration::from_millis(40),
        };
        let stalled = open_loop(pace, |number| {
            if number == 0 {
                std::thread::sleep(Duration::from_millis(30));
            }
            Ok(())
        });
        let stalled = stalled.unwrap();
        assert_eq!(stalled.due.count, 40);
        // Thirty milliseconds of stall at one a millisecond: half of the rest waited for its end.
        assert!(stalled.due.p50 > 5_000.0, "{:?}", stalled.due);
        assert!(stalled.begun.p50 < 5_000.0, "{:?}", stalled.begun);
    }

    #[test]
    fn the_pace_is_kept() {
        let pace = Pace {
            rate: 2000,
            threads: 2,
            time: Duration::from_millis(50),
        };
        let paced = open_loop(pace, |_| Ok(())).unwrap();
        assert_eq!(paced.due.count, 100);
        assert!(paced.rate < 2_500.0, "{}", paced.rate);
    }
}
