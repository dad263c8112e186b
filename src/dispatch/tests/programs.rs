//! Random programs against a simple model: nothing is skipped, no key loses its order, and what is parked
//! is what should be.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::dispatch::crew::Crew;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What the handlers have said and been given.
#[derive(Default)]
struct Model {
    /// The key of each event, by Seq.
    keys: BTreeMap<u64, u64>,
    acked: BTreeSet<u64>,
    parked: BTreeSet<u64>,
    /// What must not be, and was: a panic would pass for a failed delivery.
    wrong: Option<String>,
    /// Whether the last end was a clean one and nothing was sought since.
    is_exact: bool,
    tokens: Vec<AckToken>,
    random: u64,
}

/// One delivery: checks that it may come now, and draws an outcome.
fn deliver(model: &Mutex<Model>, delivery: &Delivery<'_>) -> Outcome {
    let mut model = model.lock().unwrap();
    let seq = delivery.seq().0;
    let is_behind = model.acked.contains(&seq) || model.parked.contains(&seq);
    if model.is_exact && is_behind {
        model.wrong = Some(format!("{seq} comes again after a clean end"));
    }
    let key = model.keys[&seq];
    let is_open = |other: &u64| !model.acked.contains(other) && !model.parked.contains(other);
    let earlier = model
        .keys
        .iter()
        .filter(|(other, its)| **its == key && **other < seq);
    let overtaken: Vec<_> = earlier.map(|(other, _)| *other).filter(is_open).collect();
    if !overtaken.is_empty() {
        model.wrong = Some(format!("{seq} overtakes {overtaken:?}"));
    }
    let mut random = Random(model.random);
    let draw = random.below(20);
    model.random = random.0;
    match draw {
        0 | 1 => Outcome::Retry,
        2 => Outcome::RetryAfter(Duration::from_secs(5)),
        3 => {
            model.parked.insert(seq);
            Outcome::Park("no".into())
        }
        4 | 5 => {
            model.tokens.push(delivery.defer());
            Outcome::Ack
        }
        6 => Outcome::Failed("boom".into()),
        _ => {
            model.acked.insert(seq);
            Outcome::Ack
        }
    }
}

fn handlers(kind: u64, model: &Arc<Mutex<Model>>) -> Handlers {
    let shared = model.clone();
    match kind {
        0 => one(move |delivery: &Delivery<'_>| deliver(&shared, delivery)),
        1 => Handlers::Many(Box::new(move || {
            let shared = shared.clone();
            Box::new(move |delivery: &Delivery<'_>| deliver(&shared, delivery))
        })),
        _ => {
            let size = BatchSize {
                count_max: 4,
                linger: Duration::from_secs(1),
            };
            let handler = move |batch: &[Delivery<'_>]| -> Outcome {
                // One outcome for all: of the last, if the others are acknowledged with it.
                let mut model = shared.lock().unwrap();
                for delivery in batch {
                    let seq = delivery.seq().0;
                    let is_behind = model.acked.contains(&seq) || model.parked.contains(&seq);
                    if model.is_exact && is_behind {
                        model.wrong = Some(format!("{seq} comes again"));
                    }
                    model.acked.insert(seq);
                }
                Outcome::Ack
            };
            Handlers::Batch(Box::new(handler), size)
        }
    }
}

fn subscription(kind: u64) -> Subscription {
    let policy = RetryPolicy {
        attempts_max: 1000,
        ..RetryPolicy::default()
    };
    let threads = if kind == 1 { 2 } else { 1 };
    Subscription::named("x")
        .retry(policy)
        .in_flight_max(8)
        .concurrency(threads)
}

fn step(worker: &mut Worker) -> Progress {
    let progress = worker.step();
    if let Crew::Lanes(lanes, _) = &mut worker.crew
        && lanes.work_off() > 0
    {
        return Progress::Moved;
    }
    progress
}

/// Lets time go by and resolves tokens until all is handled.
fn settle(rig: &Rig, worker: &mut Worker, model: &Mutex<Model>) {
    for _ in 0..100_000 {
        let progress = step(worker);
        let tokens = std::mem::take(&mut model.lock().unwrap().tokens);
        if !tokens.is_empty() {
            for token in tokens {
                ack(model, token);
            }
            continue;
        }
        match progress {
            Progress::Moved => {}
            Progress::Waiting(Some(_)) | Progress::Idle { until: Some(_), .. } => {
                rig.clock.advance(Duration::from_secs(10));
            }
            Progress::Idle { until: None, .. } => return,
            other => panic!("{other:?}"),
        }
    }
    panic!("it does not come to an end");
}

fn ack(model: &Mutex<Model>, token: AckToken) {
    model.lock().unwrap().acked.insert(token.seq().0);
    token.ack();
}

fn run_program(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let model = Arc::new(Mutex::new(Model {
        random: random.0 ^ 7,
        is_exact: true,
        ..Model::default()
    }));
    let kind = random.below(3);
    let mut disk = SimDisk::new();
    let mut rig = Rig::on(&disk);
    let mut worker = rig.attach_all(subscription(kind), handlers(kind, &model));
    for _ in 0..random.below(60) {
        match random.below(12) {
            0..=3 => {
                for _ in 0..=random.below(5) {
                    let key = random.below(4);
                    let seq = rig.emit_from(&key.to_string(), 0);
                    model.lock().unwrap().keys.insert(seq.0, key);
                }
            }
            4..=7 => {
                for _ in 0..random.below(12) {
                    step(&mut worker);
                }
            }
            8 => rig.clock.advance(Duration::from_secs(random.below(8))),
            9 => {
                let mut tokens = std::mem::take(&mut model.lock().unwrap().tokens);
                if !tokens.is_empty() {
                    let at = random.below(tokens.len() as u64);
                    let token = tokens.swap_remove(usize::try_from(at).unwrap());
                    if random.below(3) > 0 {
                        ack(&model, token);
                    }
                }
                model.lock().unwrap().tokens.extend(tokens);
            }
            10 => {
                worker.rest();
                if random.below(2) == 0 {
                    rig.log.flush().unwrap();
                    rig.control.flush().unwrap();
                }
            }
            _ => {
                let end = random.below(3);
                model.lock().unwrap().is_exact &= end == 0;
                let next = match end {
                    0 => {
                        worker.finish();
                        rig.close();
                        disk.clone()
                    }
                    1 => killed(&disk),
                    _ => disk.crash(CrashKind::System, Choice::AllLost),
                };
                model.lock().unwrap().tokens.clear();
                disk = next;
                rig = Rig::on(&disk);
                // What was not synced is gone, and its Seqs are not used again.
                let last = rig.log.recovery().last.0;
                model.lock().unwrap().keys.retain(|seq, _| *seq <= last);
                worker = rig.attach_all(subscription(kind), handlers(kind, &model));
            }
        }
    }
    settle(&rig, &mut worker, &model);
    worker.finish();
    let model = model.lock().unwrap();
    assert_eq!(model.wrong, None);
    let all: BTreeSet<u64> = model.keys.keys().copied().collect();
    let is_behind = |seq: &&u64| model.acked.contains(seq) || model.parked.contains(seq);
    let left: Vec<_> = all.iter().filter(|seq| !is_behind(seq)).collect();
    assert!(left.is_empty(), "{left:?} were never handled");
    let parked: BTreeSet<u64> = rig
        .dispatcher
        .parked("x")
        .iter()
        .map(|one| one.seq.0)
        .collect();
    assert!(parked.is_subset(&model.parked));
    if model.is_exact {
        assert_eq!(parked, model.parked);
    }
    let place = rig.control.place("x").unwrap();
    assert!(place.cursor >= rig.log.watermark().appended() && place.ahead.is_empty());
}

fn run_programs(seeds: std::ops::RangeInclusive<u64>) {
    for seed in seeds {
        let ran = std::panic::catch_unwind(|| run_program(seed));
        if let Err(panic) = ran {
            eprintln!("the seed is {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn random_programs_skip_nothing_and_keep_the_order_of_each_key() {
    run_programs(1..=400);
}

#[test]
#[ignore = "ten thousand programs take a minute"]
fn many_random_programs_skip_nothing_and_keep_the_order_of_each_key() {
    run_programs(401..=10_400);
}
