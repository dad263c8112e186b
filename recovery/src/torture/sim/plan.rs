//! What a seed does: settings, steps, and how each incarnation ends.

use std::time::Duration;

use forelog::testing::{Crash, DiskOp};
use forelog::{Builder, Durability, EncryptionKey, EventSystem, StateKey};

use super::patience::PATIENCE;
use crate::torture::random::Random;

pub(super) const SEGMENT_LEN: u64 = 64 << 10;
/// How many events are kept where retention is on.
pub(super) const MAX_EVENTS: u64 = 48;

/// The types of which the last event of each source is kept, where compaction is on.
const STATES: [&str; 6] = [
    "order.placed",
    "order.filled",
    "tick",
    "sensor.temperature",
    "log",
    "t",
];

/// Whether an event is one of these.
pub(super) fn is_state(event_type: &str) -> bool {
    STATES.contains(&event_type)
}

/// One thing that is done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// So many events as one batch.
    Emit(u16, Durability),
    /// So many events, none of which is waited for before all are emitted.
    Async(u16),
    Flush,
    /// Waits until the last event is synced.
    Wait,
    /// Waits for the handlers.
    Drain,
    /// Asks how far a subscription is for good.
    Position,
    /// Brings the projection forward, and saves it or not.
    Project(bool),
    /// Delivers what is parked once more.
    Redeliver,
    LookUp,
    /// Lets the next sync, or the one after it, fail.
    FailSync(u64),
    /// Has the handlers stand inside of an event.
    Hold,
}

/// How an incarnation ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// In order.
    Close,
    /// Right now, wherever the threads are.
    Crash(Crash),
    /// At the nth operation of the disk from the start of the incarnation on, or at its end.
    StopAt(u64, Crash),
}

/// The settings of a seed.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is drawn for itself, and any of them go together"
)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) retains: bool,
    pub(super) compresses: bool,
    pub(super) compacts: bool,
    /// Whether events are encrypted, with a key that follows from the seed.
    pub(super) encrypts: Option<u64>,
    pub(super) ignores_syncs: bool,
}

impl Settings {
    pub(super) fn of(seed: u64, ignores_syncs: bool) -> Settings {
        Settings {
            retains: Random::of(seed, &[1]).one_in(4),
            compresses: Random::of(seed, &[2]).one_in(3),
            compacts: Random::of(seed, &[3]).one_in(4),
            encrypts: Random::of(seed, &[4]).one_in(3).then_some(seed),
            ignores_syncs,
        }
    }

    /// Whether all that a projection has applied stays.
    pub(super) fn projects(self) -> bool {
        !self.retains && !self.compacts
    }

    pub(super) fn builder(self) -> Builder {
        let builder = EventSystem::builder()
            .segment_size(usize::try_from(SEGMENT_LEN).unwrap_or(1 << 16))
            .max_queue_size(100_000)
            .drain_timeout(PATIENCE);
        let states = STATES.iter().filter(|_| self.compacts);
        let builder = states.fold(builder, |builder, state| {
            builder.keep_last(*state, StateKey::Source)
        });
        let builder = if self.compresses {
            builder.compression(1)
        } else {
            builder
        };
        let builder = match self.encrypts {
            Some(seed) => builder.encryption_key(key(seed)),
            None => builder,
        };
        if self.retains {
            builder.max_events(MAX_EVENTS).recycle_segments(true)
        } else {
            builder
        }
    }
}

fn key(seed: u64) -> EncryptionKey {
    let bytes = Random::of(seed, &[5]).bytes(32);
    EncryptionKey::from_bytes(bytes.try_into().unwrap_or([7; 32]))
}

pub(super) fn steps(random: &mut Random) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..4 + random.below(24) {
        steps.push(step(random));
    }
    if random.one_in(5) {
        steps.push(Step::FailSync(1 + random.below(2)));
        steps.push(Step::Emit(1, Durability::Os));
        steps.push(Step::Emit(1, Durability::Sync));
        steps.push(Step::Emit(2, Durability::Sync));
    }
    if random.one_in(3) {
        steps.push(Step::Hold);
        steps.push(Step::Emit(1, durability(random)));
    }
    steps
}

fn step(random: &mut Random) -> Step {
    let few = u16::try_from(2 + random.below(4)).unwrap_or(2);
    match random.below(32) {
        0..=12 => Step::Emit(1, durability(random)),
        13..=17 => Step::Emit(few, durability(random)),
        18 | 19 => Step::Async(few),
        20 => Step::Flush,
        21 => Step::Wait,
        22 | 23 => Step::Drain,
        24 | 25 => Step::Position,
        26..=28 => Step::Project(random.one_in(2)),
        29 => Step::Redeliver,
        _ => Step::LookUp,
    }
}

fn durability(random: &mut Random) -> Durability {
    match random.below(8) {
        0..=2 => Durability::Os,
        3 => Durability::Interval(Duration::from_millis(1)),
        _ => Durability::Sync,
    }
}

pub(super) fn end(random: &mut Random) -> End {
    match random.below(8) {
        0 => End::Close,
        1..=4 => End::Crash(crash(random)),
        _ => End::StopAt(1 + random.below(90), crash(random)),
    }
}

/// Which crash comes of one, after all: the process's, or the machine's.
pub(super) fn crash(random: &mut Random) -> Crash {
    match random.below(5) {
        0 => Crash::Process,
        1 | 2 => Crash::PowerCut,
        _ => Crash::PowerCutBy(random.next()),
    }
}

/// A kind of operation to fail besides syncs: what it was for must be given up in order.
pub(super) fn other_fault(random: &mut Random) -> Option<(DiskOp, u64)> {
    let ops = [DiskOp::Create, DiskOp::Rename, DiskOp::SyncFolder];
    let op = usize::try_from(random.below(3))
        .ok()
        .and_then(|at| ops.get(at).copied());
    op.filter(|_| random.one_in(8))
        .map(|op| (op, 1 + random.below(3)))
}
