//! Emits that wait for their own sync, one by one and in batches.

use std::time::Instant;

use forelog::{Durability, Event, EventSystem, Result};

use crate::bench::{Bench, in_threads};
use crate::floor::WrittenFile;
use crate::latency::{Latency, Recorder, merged};
use crate::num::{index, rate, share};
use crate::row::{Row, quotient};
use crate::work::append::threads_of;

const PAGE: u64 = 4096;
/// Synced writes that show what the disk takes for one.
const RAW_SYNCS: u64 = 1000;
/// Batches in a run.
const BATCHES: u64 = 500;

/// `emit` in so many threads, each waiting for its own.
pub(crate) fn single(bench: &Bench, threads: u64) -> Result<Row> {
    let events = bench.options.events_or(2000 * threads.min(10));
    let events = if bench.options.short {
        events.min(20.max(2 * threads))
    } else {
        events
    };
    let event = bench.event()?;
    let what = format!("emit, sync, {}", threads_of(threads));
    let system = bench.ready_system("durable", events * bench.options.runs(), Durability::Sync)?;
    let file = WrittenFile::new(&bench.path("floor"), events * PAGE)?;
    let (mut latencies, mut raw, mut one_raw) = (Vec::new(), Vec::new(), Vec::new());
    let pair = bench.pairs(
        &what,
        || {
            let (rate, latency) = emit_all(&system, &event, events, threads)?;
            latencies.push(latency);
            Ok(rate)
        },
        || {
            let (rate, latency) = file.synced_writes(events, PAGE, threads)?;
            raw.push(latency);
            if threads > 1 {
                one_raw.push(file.synced_writes(RAW_SYNCS.min(events), PAGE, 1)?.1);
            }
            Ok(rate)
        },
    )?;
    system.close()?;
    bench.clear("durable")?;
    let p99 = Latency::of_runs(&latencies).map(|latency| latency.p99);
    let one_raw = if threads > 1 { &one_raw } else { &raw };
    let raw_sync = Latency::of_runs(one_raw).map(|latency| latency.p50);
    Ok(Row::new(format!("durable_{threads}"), what, "events/s")
        .rates(
            pair,
            "pwrite of 4 KiB and fdatasync on blocks that were written before, as many threads",
        )
        .latencies_beside(&latencies, &raw)
        .events(events)
        .threads(threads)
        .extra("raw_sync_us", raw_sync)
        .extra("p99_to_raw_sync", quotient(p99, raw_sync)))
}

fn emit_all(
    system: &EventSystem,
    event: &Event,
    events: u64,
    threads: u64,
) -> Result<(f64, Latency)> {
    let (time, recorders) = in_threads(threads, |place| {
        let mut recorder = Recorder::new();
        for _ in 0..share(events, threads, place) {
            let started = Instant::now();
            system.emit(event)?;
            recorder.record(started.elapsed());
        }
        Ok(recorder)
    })?;
    Ok((rate(events, time), merged(&recorders).micros()))
}

/// `emit_batch` in one thread, each batch waiting for its own sync.
pub(crate) fn batches(bench: &Bench, batch: u64) -> Result<Row> {
    let batches = match bench.options.events {
        Some(events) => events.div_ceil(batch),
        None => bench.options.events_or(BATCHES),
    };
    let events = batches * batch;
    let ready = vec![bench.event()?; index(batch)];
    let len = bench.frame_len()? * batch;
    let file = WrittenFile::new(&bench.path("floor"), len.next_multiple_of(PAGE) * batches)?;
    let what = format!("emit_batch of {batch}, sync, 1 thread");
    let (mut latencies, mut raw) = (Vec::new(), Vec::new());
    let pair = bench.pairs(
        &what,
        || {
            let system = bench.ready_system("batch", events, Durability::Sync)?;
            let (rate, latency) = emit_batches(&system, &ready, batches)?;
            latencies.push(latency);
            system.close()?;
            bench.clear("batch")?;
            Ok(rate)
        },
        || {
            let (writes, latency) = file.synced_writes(batches, len, 1)?;
            raw.push(latency);
            Ok(writes * crate::num::float(batch))
        },
    )?;
    Ok(Row::new(format!("batch_{batch}"), what, "events/s")
        .rates(
            pair,
            "one pwrite of as many bytes and fdatasync, on blocks that were written before",
        )
        .latencies_beside(&latencies, &raw)
        .events(events)
        .threads(1))
}

fn emit_batches(system: &EventSystem, batch: &[Event], batches: u64) -> Result<(f64, Latency)> {
    let mut recorder = Recorder::new();
    let begun = Instant::now();
    for _ in 0..batches {
        let started = Instant::now();
        system.emit_batch(batch)?;
        recorder.record(started.elapsed());
    }
    let events = batches * crate::num::count(batch.len());
    Ok((rate(events, begun.elapsed()), recorder.micros()))
}
