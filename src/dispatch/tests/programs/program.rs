//! [`Program`]: what is done to a system in one case, as plain data that can be drawn and shrunk.

use proptest::collection::vec;
use proptest::prelude::*;

/// Some subscriptions, and what is done one after the other.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// How far emitters may run ahead of the subscriptions that hold them.
    pub(super) max_queue_size: u64,
    pub(super) setups: Vec<Setup>,
    pub(super) ops: Vec<Op>,
}

/// The description of one subscription.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) is_named: bool,
    pub(super) from: From,
    pub(super) order: Order,
    pub(super) key_waits: bool,
    pub(super) behind: Behind,
    pub(super) crew: Team,
    pub(super) wants: Wants,
    pub(super) attempts_max: u32,
    pub(super) in_flight_max: usize,
    pub(super) on_publish: bool,
    /// What its handler says, over and over.
    pub(super) answers: Vec<Answer>,
}

/// A place in the log.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    Beginning,
    Now,
    /// So many Seqs before the one after the next.
    Back(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Source,
    All,
    EventType,
    Header,
    Key,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    Holds,
    Pauses(u64),
    Skips(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Team {
    One,
    Lanes(usize),
    Batch { count_max: usize, linger_s: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    All,
    OneType,
    OneSource,
    /// Only even numbers, by a predicate.
    Even,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Ack,
    Fail,
    Retry,
    RetryAfter(u64),
    Park,
    /// Its outcome is said later. Of a token: it is dropped.
    Later,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Safety {
    Sync,
    Interval,
    Os,
}

/// What a crash of the system leaves of what was not synced.
#[derive(Debug, Clone, Copy)]
pub(super) enum Left {
    Nothing,
    All,
    /// Any part of it, by chance.
    Some(u64),
}

/// How a life of the system ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// Closed in order.
    Close,
    /// Closed in order, and the power fails afterwards.
    CloseAndCut(Left),
    /// The process is killed.
    Kill,
    /// The power fails.
    Cut(Left),
}

/// One thing that is done. Subscriptions, tokens and parked events are named by any number, which
/// stands for one of those there are.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Emits events, each of a source and a type, all or nothing.
    Emit(Vec<(u8, u8)>, Safety),
    /// Steps a worker so many times.
    Step(u8, u8),
    /// Has a lane make one of the deliveries that wait for one.
    Work(u8, u8),
    /// Seconds go by.
    Wait(u64),
    /// Says what has become of a delivery whose outcome was put off.
    Tell(u8, Answer),
    /// Has a worker write its cursor.
    Rest(u8),
    SyncLog,
    SyncControl,
    /// Registers or unregisters a handler.
    Attach(u8),
    Detach(u8),
    Delete(u8),
    Pause(u8),
    Resume(u8),
    Seek(u8, From),
    Redeliver(u8, u8),
    RedeliverAll(u8),
    Discard(u8, u8),
    /// Ends this life of the system and begins another.
    End(End),
    /// Lets the disk stop some operations later, in the middle of whatever is done then.
    StopLater(u8, End),
    /// Lets a later sync fail; what follows is this.
    FailSync(u8, End),
}

pub(super) fn programs() -> impl Strategy<Value = Program> {
    let queue = prop_oneof![4 => Just(1000), 1 => 1..6_u64];
    (queue, vec(setups(), 1..=3), vec(ops(), 0..70)).prop_map(|(max_queue_size, setups, ops)| {
        Program {
            max_queue_size,
            setups,
            ops,
        }
    })
}

fn setups() -> impl Strategy<Value = Setup> {
    let order = prop_oneof![
        4 => Just(Order::Source),
        1 => Just(Order::All),
        1 => Just(Order::EventType),
        1 => Just(Order::Header),
        1 => Just(Order::Key),
        1 => Just(Order::Nothing),
    ];
    let behind = prop_oneof![
        6 => Just(Behind::Holds),
        1 => (1..8_u64).prop_map(Behind::Pauses),
        1 => (1..8_u64).prop_map(Behind::Skips),
    ];
    let crew = prop_oneof![
        3 => Just(Team::One),
        2 => (2..4_usize).prop_map(Team::Lanes),
        1 => (1..5_usize, 0..3_u64)
            .prop_map(|(count_max, linger_s)| Team::Batch { count_max, linger_s }),
    ];
    let wants = prop_oneof![
        5 => Just(Wants::All),
        1 => Just(Wants::OneType),
        1 => Just(Wants::OneSource),
        1 => Just(Wants::Even),
    ];
    let rules = (order, any::<bool>(), behind, crew, wants);
    let attempts_max = prop_oneof![Just(1000), 1..4_u32];
    let limits = (attempts_max, 1..9_usize, prop::bool::weighted(0.3));
    let is_named = prop::bool::weighted(0.85);
    let place = (is_named, places());
    (place, rules, limits, vec(answers(), 1..12)).prop_map(|(place, rules, limits, answers)| {
        let (is_named, from) = place;
        let (order, key_waits, behind, crew, wants) = rules;
        let (attempts_max, in_flight_max, on_publish) = limits;
        Setup {
            is_named,
            from,
            order,
            key_waits: key_waits && is_named,
            behind,
            crew,
            wants,
            attempts_max,
            in_flight_max,
            on_publish,
            answers,
        }
    })
}

fn places() -> impl Strategy<Value = From> {
    prop_oneof![
        2 => Just(From::Beginning),
        1 => Just(From::Now),
        2 => (0..12_u8).prop_map(From::Back),
    ]
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        10 => Just(Answer::Ack),
        1 => Just(Answer::Fail),
        1 => Just(Answer::Retry),
        1 => (0..6_u64).prop_map(Answer::RetryAfter),
        2 => Just(Answer::Park),
        3 => Just(Answer::Later),
    ]
}

fn left() -> impl Strategy<Value = Left> {
    prop_oneof![
        2 => Just(Left::Nothing),
        1 => Just(Left::All),
        2 => any::<u64>().prop_map(Left::Some),
    ]
}

fn crashes() -> impl Strategy<Value = End> {
    prop_oneof![1 => Just(End::Kill), 2 => left().prop_map(End::Cut)]
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        2 => Just(End::Close),
        1 => left().prop_map(End::CloseAndCut),
        3 => crashes(),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    let safety = prop_oneof![
        3 => Just(Safety::Sync),
        1 => Just(Safety::Interval),
        3 => Just(Safety::Os),
    ];
    let event = (0..4_u8, 0..2_u8);
    let any = any::<u8>;
    let flow = prop_oneof![
        10 => (vec(event, 1..5), safety).prop_map(|(events, safety)| Op::Emit(events, safety)),
        16 => (any(), 1..12_u8).prop_map(|(nth, count)| Op::Step(nth, count)),
        6 => (any(), any()).prop_map(|(nth, job)| Op::Work(nth, job)),
        3 => (0..12_u64).prop_map(Op::Wait),
        5 => (any(), answers()).prop_map(|(nth, answer)| Op::Tell(nth, answer)),
        3 => Just(Op::SyncLog),
    ];
    let notes = prop_oneof![
        2 => any().prop_map(Op::Rest),
        1 => Just(Op::SyncControl),
        1 => any().prop_map(Op::Detach),
        2 => any().prop_map(Op::Attach),
    ];
    let desk = prop_oneof![
        2 => any().prop_map(Op::Pause),
        3 => any().prop_map(Op::Resume),
        3 => (any(), places()).prop_map(|(nth, to)| Op::Seek(nth, to)),
        3 => (any(), any()).prop_map(|(nth, which)| Op::Redeliver(nth, which)),
        2 => any().prop_map(Op::RedeliverAll),
        2 => (any(), any()).prop_map(|(nth, which)| Op::Discard(nth, which)),
        1 => any().prop_map(Op::Delete),
    ];
    let trouble = prop_oneof![
        4 => ends().prop_map(Op::End),
        1 => (1..12_u8, crashes()).prop_map(|(ops, end)| Op::StopLater(ops, end)),
        1 => (1..6_u8, crashes()).prop_map(|(ops, end)| Op::FailSync(ops, end)),
    ];
    prop_oneof![14 => flow, 2 => notes, 3 => desk, 2 => trouble]
}
