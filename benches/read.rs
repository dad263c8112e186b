//! What reading costs: a replay, a get by Seq, and a get by id.

#![allow(
    clippy::expect_used,
    reason = "a bench that fails has nothing to measure"
)]
#![allow(missing_docs, reason = "the macros of Criterion make public items")]

mod common;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forelog::{Durability, EventId, EventSystem, Seq};

const EVENTS: u64 = 20_000;
/// A step that meets all of them and is no neighbour of the last: prime to their number.
const STRIDE: u64 = 7_919;

/// A system with events, and their ids.
fn filled() -> (tempfile::TempDir, EventSystem, Vec<EventId>) {
    let (dir, system) = common::system(Durability::Os);
    let event = common::event();
    let emit = |_| system.emit(&event).expect("emits").event_id;
    let ids = (0..EVENTS).map(emit).collect();
    (dir, system, ids)
}

fn replay(c: &mut Criterion) {
    let (_dir, system, _) = filled();
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("replay", |b| {
        b.iter(|| {
            let seen = system.replay().run(|event| {
                black_box(event.data_bytes());
                Ok(())
            });
            assert_eq!(seen.expect("reads"), EVENTS);
        });
    });
    group.finish();
    system.close().expect("closes");
}

fn get(c: &mut Criterion) {
    let (_dir, system, ids) = filled();
    let store = system.store();
    let mut at = 0;
    let mut next = || {
        at = (at + STRIDE) % EVENTS;
        at
    };
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Elements(1));
    group.bench_function("get", |b| {
        b.iter(|| {
            let found = store.get(Seq(next() + 1)).expect("reads");
            assert!(black_box(found).is_some());
        });
    });
    group.bench_function("get_by_id", |b| {
        b.iter(|| {
            let id = ids
                .get(usize::try_from(next()).unwrap_or(0))
                .expect("an id");
            assert!(black_box(store.get_by_id(*id).expect("reads")).is_some());
        });
    });
    group.finish();
    system.close().expect("closes");
}

criterion_group!(benches, replay, get);
criterion_main!(benches);
