//! What opening a log costs that was closed in order; `forelog-bench open` opens after a kill.

#![allow(
    clippy::expect_used,
    reason = "a bench that fails has nothing to measure"
)]
#![allow(missing_docs, reason = "the macros of Criterion make public items")]

mod common;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use forelog::Durability;

const EVENTS: u64 = 20_000;

fn closed(c: &mut Criterion) {
    let (dir, system) = common::system(Durability::Os);
    let event = common::event();
    for _ in 0..EVENTS {
        system.emit(&event).expect("emits");
    }
    system.close().expect("closes");
    c.bench_function("open/closed", |b| {
        b.iter_batched(
            || (),
            |()| common::open(dir.path(), Durability::Os),
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, closed);
criterion_main!(benches);
