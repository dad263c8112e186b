//! Durable emits of one thread that does not wait for each: thousands are in flight.

use std::collections::VecDeque;
use std::time::Instant;

use forelog::{Durability, Event, EventSystem, Result};

use crate::bench::{Bench, event_of};
use crate::floor::WrittenFile;
use crate::num::{float, index, rate};
use crate::row::Row;

const EVENT_LEN: u64 = 1024;
/// How many may wait for their sync at once.
const IN_FLIGHT_MAX: usize = 16_384;

/// `emit_async` of 1 KiB events; the oldest is waited for once so many are in flight.
pub(crate) fn run(bench: &Bench) -> Result<Row> {
    let small = bench.resized(EVENT_LEN)?;
    let events = small.options.events_or(300_000);
    let event = event_of(index(EVENT_LEN), "bench.event")?;
    let frame_len = small.frame_len()?;
    let file = WrittenFile::new(&small.path("floor"), frame_len * events)?;
    let what = "emit_async of 1 KiB, sync, 1 thread";
    let pair = small.pairs(
        what,
        || {
            let system = small.ready_system("pipeline", events, Durability::Sync)?;
            let rate = emit_all(&system, &event, events)?;
            system.close()?;
            small.clear("pipeline")?;
            Ok(rate)
        },
        || Ok(file.sequential()? / float(frame_len)),
    )?;
    let bytes = crate::num::median(&pair.engine).map(|rate| rate * float(frame_len));
    Ok(Row::new("durable_pipelined", what, "events/s")
        .rates(
            pair,
            "as many bytes in pwrites of 16 MiB, each with fdatasync, on blocks that were written \
             before",
        )
        .events(events)
        .threads(1)
        .extra("bytes_per_second", bytes)
        .note(format!(
            "at most {IN_FLIGHT_MAX} receipts are in flight; each is waited for"
        )))
}

fn emit_all(system: &EventSystem, event: &Event, events: u64) -> Result<f64> {
    let mut in_flight = VecDeque::with_capacity(IN_FLIGHT_MAX);
    let started = Instant::now();
    for _ in 0..events {
        if in_flight.len() == IN_FLIGHT_MAX {
            wait_for_half(&mut in_flight)?;
        }
        in_flight.push_back(system.emit_async(event)?);
    }
    for receipt in in_flight {
        receipt.wait()?;
    }
    Ok(rate(events, started.elapsed()))
}

/// Waiting for each as it comes due would wake this thread after every sync.
fn wait_for_half(in_flight: &mut VecDeque<forelog::PendingReceipt>) -> Result<()> {
    for receipt in in_flight.drain(..IN_FLIGHT_MAX / 2) {
        receipt.wait()?;
    }
    Ok(())
}
