//! [`Program`]: what is done to a log in one case, and what is asked of it, as plain data that can be
//! drawn and shrunk.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Events are made from the seed; ranges are shares of what the log then has, in per cent.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) seed: u64,
    pub(super) max_events: Option<u64>,
    /// Whether of some events only the last of each source counts, and whether what is old is compressed.
    pub(super) rewriting: Rewriting,
    pub(super) ops: Vec<Op>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rewriting {
    pub(super) compacts: bool,
    pub(super) compresses: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    Emit(u64),
    /// All ways to an answer are compared.
    Ask(Ask),
    /// In pages of this size, perhaps with events between.
    Page(Ask, u64, u64),
    /// After so many results events are emitted, and others are removed.
    AskWhile(Ask, usize, u64, u64),
    Names,
    CatchUp,
    Retire(u64),
    /// Compacts and compresses what is due.
    Rewrite,
    Reopen,
    Crash(Crash),
    Harm(Harm, u64),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Crash {
    Process,
    Power(u64),
}

/// What happens to the folder of the index between two openings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    Delete,
    Truncate,
    Flip,
}

/// A query; numbers choose among the names that events have.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) types: Vec<usize>,
    pub(super) sources: Vec<usize>,
    pub(super) ids: Vec<u64>,
    pub(super) header: Option<usize>,
    pub(super) seqs: Option<(u64, u64)>,
    pub(super) timestamp: Option<(u64, u64)>,
    pub(super) appended: Option<(u64, u64)>,
    pub(super) newest_first: bool,
    pub(super) limit: Option<u64>,
}

pub(super) const PATTERNS: &[&str] = &[
    "order.placed",
    "order.*",
    "quote",
    "*",
    "order*",
    "rare.1*",
    "rare.7",
    "none",
    "none.*",
    "a",
];
pub(super) const SOURCES: &[&str] = &["web", "batch", "user.3", "user.77", "nobody"];
pub(super) const HEADERS: &[(&str, &str)] = &[("tenant", "0"), ("tenant", "2"), ("trace", "x")];

fn asks() -> impl Strategy<Value = Ask> {
    let share = || {
        let ends = (0..=105_u64, 0..=105_u64);
        let ordered = ends.clone().prop_map(|(a, b)| (a.min(b), a.max(b)));
        prop_oneof![6 => ordered, 1 => ends]
    };
    let names = (
        prop_oneof![2 => Just(vec![]), 3 => vec(0..PATTERNS.len(), 1..4)],
        prop_oneof![3 => Just(vec![]), 2 => vec(0..SOURCES.len(), 1..4)],
        prop_oneof![6 => Just(vec![]), 1 => vec(any::<u64>(), 1..4)],
        option::weighted(0.2, 0..HEADERS.len()),
    );
    let ranges = (
        option::weighted(0.3, share()),
        option::weighted(0.3, share()),
        option::weighted(0.3, share()),
    );
    let limit = option::weighted(0.4, prop_oneof![0..4_u64, 1..200_u64]);
    (names, ranges, any::<bool>(), limit).prop_map(|(names, ranges, newest_first, limit)| {
        let (types, sources, ids, header) = names;
        let (seqs, timestamp, appended) = ranges;
        Ask {
            types,
            sources,
            ids,
            header,
            seqs,
            timestamp,
            appended,
            newest_first,
            limit,
        }
    })
}

fn ops() -> impl Strategy<Value = Op> {
    let some = || prop_oneof![6 => 0..300_u64, 2 => 0..3000_u64, 1 => 4000..6000_u64];
    let crash = prop_oneof![Just(Crash::Process), any::<u64>().prop_map(Crash::Power)];
    let harm = prop_oneof![Just(Harm::Delete), Just(Harm::Truncate), Just(Harm::Flip)];
    prop_oneof![
        6 => some().prop_map(Op::Emit),
        10 => asks().prop_map(Op::Ask),
        3 => (asks(), 1..400_u64, 0..50_u64).prop_map(|(ask, size, more)| Op::Page(ask, size, more)),
        3 => (asks(), 0..100_usize, 0..1500_u64, 0..=100_u64)
            .prop_map(|(ask, taken, more, share)| Op::AskWhile(ask, taken, more, share)),
        1 => Just(Op::Names),
        2 => Just(Op::CatchUp),
        1 => (0..=100_u64).prop_map(Op::Retire),
        2 => Just(Op::Rewrite),
        1 => Just(Op::Reopen),
        1 => crash.prop_map(Op::Crash),
        1 => (harm, any::<u64>()).prop_map(|(harm, place)| Op::Harm(harm, place)),
    ]
}

pub(super) fn programs() -> impl Strategy<Value = Program> {
    let max_events = option::weighted(0.3, 500..4000_u64);
    let rewriting = (any::<bool>(), any::<bool>()).prop_map(|(compacts, compresses)| Rewriting {
        compacts,
        compresses: compresses && cfg!(feature = "compression"),
    });
    (
        any::<u64>(),
        max_events,
        rewriting,
        0..6000_u64,
        vec(ops(), 1..16),
    )
        .prop_map(|(seed, max_events, rewriting, first, mut ops)| {
            ops.insert(0, Op::Emit(first));
            Program {
                seed,
                max_events,
                rewriting,
                ops,
            }
        })
}
