//! What an emit costs: buffered, durable, and in batches.

#![allow(
    clippy::expect_used,
    reason = "a bench that fails has nothing to measure"
)]
#![allow(missing_docs, reason = "the macros of Criterion make public items")]

mod common;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forelog::Durability;

const BATCH_LEN: u64 = 100;

fn single(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements(1));
    for (name, durability) in [("os", Durability::Os), ("sync", Durability::Sync)] {
        let (_dir, system) = common::system(durability);
        let event = common::event();
        group.bench_function(name, |b| b.iter(|| system.emit(&event).expect("emits")));
        system.close().expect("closes");
    }
    group.finish();
}

fn batch(c: &mut Criterion) {
    let mut group = c.benchmark_group("append_batch_100");
    group.throughput(Throughput::Elements(BATCH_LEN));
    for (name, durability) in [("os", Durability::Os), ("sync", Durability::Sync)] {
        let (_dir, system) = common::system(durability);
        let events = vec![common::event(); usize::try_from(BATCH_LEN).unwrap_or(1)];
        group.bench_function(name, |b| {
            b.iter(|| system.emit_batch(&events).expect("emits"));
        });
        system.close().expect("closes");
    }
    group.finish();
}

criterion_group!(benches, single, batch);
criterion_main!(benches);
