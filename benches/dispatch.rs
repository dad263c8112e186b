//! What handing events to handlers costs: a thousand to one handler, and one to a sleeping handler.

#![allow(
    clippy::expect_used,
    reason = "a bench that fails has nothing to measure"
)]
#![allow(missing_docs, reason = "the macros of Criterion make public items")]

mod common;

use std::sync::mpsc::sync_channel;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forelog::{Delivery, Durability, Subscription};

const EVENTS: u64 = 1_000;

fn busy(c: &mut Criterion) {
    let (_dir, system) = common::system(Durability::Os);
    let count = |_: &Delivery<'_>| ();
    let subscription = Subscription::named("bench");
    system
        .register_handler(subscription, count)
        .expect("registers");
    system.start().expect("starts");
    let event = common::event();
    let mut group = c.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("busy", |b| {
        b.iter(|| {
            for _ in 0..EVENTS {
                system.emit(&event).expect("emits");
            }
            system.drain(None).expect("drains");
        });
    });
    group.finish();
    system.close().expect("closes");
}

fn single(c: &mut Criterion) {
    let (_dir, system) = common::system(Durability::Os);
    let (sender, arrivals) = sync_channel(1);
    let tell = move |_: &Delivery<'_>| sender.send(()).is_ok();
    let subscription = Subscription::unnamed();
    system
        .register_handler(subscription, tell)
        .expect("registers");
    system.start().expect("starts");
    let event = common::event();
    c.bench_function("dispatch/single", |b| {
        b.iter(|| {
            system.emit(&event).expect("emits");
            arrivals.recv().expect("arrives");
        });
    });
    // The handler may stand in a send that nobody takes any more.
    drop(arrivals);
    system.close().expect("closes");
}

criterion_group!(benches, busy, single);
criterion_main!(benches);
