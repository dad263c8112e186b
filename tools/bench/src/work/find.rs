//! Queries: the newest events of a type, where a time begins, and the events of a source.

use std::hint::black_box;
use std::time::Instant;

use forelog::{EventSystem, Query, Result, Seq, Timestamp};

use crate::bench::{Bench, Random};
use crate::floor::Room;
use crate::latency::{Latency, Recorder};
use crate::num::rate;
use crate::row::Row;

/// How many queries a run asks.
const QUERIES: u64 = 1_000;
/// How many events are asked for at once.
const NEWEST: u64 = 100;

/// The rows of queries over a filled system whose events have so many types and sources.
pub(crate) fn rows(
    bench: &Bench,
    system: &EventSystem,
    room: &Room,
    (types, sources): (u64, u64),
) -> Result<Vec<Row>> {
    let store = system.store();
    let (first, last) = (
        time_at(system, store.first_seq())?,
        time_at(system, store.last_seq())?,
    );
    let within = |random: &mut Random| {
        let span = u64::try_from(last.0.saturating_sub(first.0)).unwrap_or(0);
        let after = i64::try_from(random.below(span.max(1))).unwrap_or(0);
        Timestamp(first.0.saturating_add(after))
    };
    let newest = timed(bench, "newest of a type", |random| {
        let event_type = super::query::type_name(random.below(types));
        store
            .query()
            .types([event_type])
            .newest_first()
            .limit(NEWEST)
    })?;
    let taken = timed(bench, "where a time begins", |random| {
        store.query().appended_since(within(random)).limit(1)
    })?;
    let stamped = timed(bench, "where a timestamp begins", |random| {
        store.query().since(within(random)).limit(1)
    })?;
    let by_source = bench.pairs(
        "all events of a source",
        || all_of_each_source(system, sources),
        || Ok(room.crc_strided(sources)),
    )?;
    let events = store.len();
    let row = |id: &str, what: &str, runs: &[Latency]| {
        let medians = runs.iter().map(|run| run.p50).collect();
        Row::new(id, what, "us")
            .values(medians)
            .latencies(runs)
            .events(events)
    };
    Ok(vec![
        row("query_newest", "the newest 100 of a type, read", &newest),
        row(
            "query_appended_since",
            "the first event appended since a time",
            &taken,
        ),
        row(
            "query_since",
            "the first event with a timestamp since a time",
            &stamped,
        ),
        Row::new(
            "query_by_source",
            "all events of a source, of 100 sources",
            "events/s",
        )
        .rates(by_source, "CRC of every hundredth frame in memory")
        .events(events),
    ])
}

fn time_at(system: &EventSystem, seq: Seq) -> Result<Timestamp> {
    let stored = system.store().get(seq)?;
    Ok(stored.map_or(Timestamp(0), |stored| stored.event().appended_at()))
}

/// The latencies of each run; a query is over when its events were read.
fn timed(bench: &Bench, what: &str, query: impl Fn(&mut Random) -> Query) -> Result<Vec<Latency>> {
    bench.step(what);
    let run = |number| {
        let mut random = Random(number);
        let mut recorder = Recorder::new();
        for _ in 0..QUERIES {
            let query = query(&mut random);
            let started = Instant::now();
            for stored in query.run()? {
                black_box(stored?.event().data_bytes());
            }
            recorder.record(started.elapsed());
        }
        Ok(recorder.micros())
    };
    (0..bench.options.runs()).map(run).collect()
}

fn all_of_each_source(system: &EventSystem, sources: u64) -> Result<f64> {
    let store = system.store();
    let mut found = 0;
    let started = Instant::now();
    for number in 0..sources {
        for stored in store
            .query()
            .source(super::query::source_name(number))
            .run()?
        {
            black_box(stored?.event().data_bytes());
            found += 1;
        }
    }
    Ok(rate(found, started.elapsed()))
}
