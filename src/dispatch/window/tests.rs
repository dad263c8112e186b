//! Random acts on a window, and on a plain list of events.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Act {
    /// Opens an event of this key, so many Seqs further on.
    Open(u64, u64),
    /// Does it to one of the open events, by any number.
    Run(usize),
    Close(usize),
    RetryAt(usize, i64),
    Look(i64),
    Hasten(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let any = any::<usize>;
    let act = prop_oneof![
        6 => (0..5_u64, prop_oneof![9 => Just(1), 1 => 2..1000_u64])
            .prop_map(|(key, step)| Act::Open(key, step)),
        4 => any().prop_map(Act::Run),
        5 => any().prop_map(Act::Close),
        2 => (any(), 0..20_i64).prop_map(|(which, at)| Act::RetryAt(which, at)),
        3 => (0..20_i64).prop_map(Act::Look),
        1 => (1..5_i64).prop_map(Act::Hasten),
    ];
    vec(act, 0..400)
}

/// Key and state of each open event, with nothing beside them.
type Model = BTreeMap<Seq, (u64, State)>;

fn first_of(model: &Model, key: u64) -> Option<Seq> {
    let mut of_key = model.iter().filter(|(_, (held, _))| *held == key);
    of_key.next().map(|(seq, _)| *seq)
}

fn earlier(state: State, by: i64) -> State {
    match state {
        State::Behind(at) => State::Behind(Timestamp(at.0.saturating_sub(by))),
        State::Due(at) => State::Due(Timestamp(at.0 - by)),
        other => other,
    }
}

/// An event that has come to the head of its key has its turn.
fn give_turn(model: &mut Model, key: u64) {
    let first = first_of(model, key).and_then(|seq| model.get_mut(&seq));
    if let Some((_, state)) = first {
        *state = match *state {
            State::Behind(AT_ONCE) => State::Ready,
            State::Behind(at) => State::Due(at),
            other => other,
        };
    }
}

/// Does the same to both.
fn act(window: &mut Window, model: &mut Model, act: Act, last: &mut Seq) {
    let nth = |which: usize| model.keys().nth(which % model.len().max(1)).copied();
    match act {
        Act::Open(key, step) => {
            *last = last.plus(step);
            window.open(*last, key);
            model.insert(*last, (key, State::Behind(AT_ONCE)));
            give_turn(model, key);
        }
        Act::Run(which) => {
            let Some(seq) = nth(which) else { return };
            let running = State::Running {
                attempt: 1,
                since: Timestamp(last.0.cast_signed()),
            };
            window.run(seq, 1, Timestamp(last.0.cast_signed()));
            model.entry(seq).and_modify(|(_, state)| *state = running);
        }
        Act::Close(which) => {
            let Some(seq) = nth(which) else { return };
            window.close(seq);
            let key = model.remove(&seq).map(|(key, _)| key);
            if let Some(key) = key {
                give_turn(model, key);
            }
        }
        Act::RetryAt(which, at) => {
            let Some(seq) = nth(which) else { return };
            window.retry_at(seq, Timestamp(at));
            model
                .entry(seq)
                .and_modify(|(_, state)| *state = State::Behind(Timestamp(at)));
            let key = model[&seq].0;
            if first_of(model, key) == Some(seq) {
                give_turn(model, key);
            }
        }
        Act::Look(now) => {
            for (_, state) in model.values_mut() {
                if matches!(state, State::Due(at) if at.0 <= now) {
                    *state = State::Ready;
                }
            }
            let ready = model.iter().find(|(_, (_, state))| *state == State::Ready);
            assert_eq!(
                window.next_ready(Timestamp(now)),
                ready.map(|(seq, _)| *seq)
            );
        }
        Act::Hasten(by) => {
            window.hasten(Duration::from_nanos(by.unsigned_abs()));
            for (_, state) in model.values_mut() {
                *state = earlier(*state, by);
            }
        }
    }
}

fn assert_same(window: &Window, model: &Model) {
    let states = || model.iter().map(|(seq, (_, state))| (*seq, *state));
    assert!(
        window.seqs().eq(model.keys().copied()),
        "{window:?}, {model:?}"
    );
    assert_eq!(window.first(), model.keys().next().copied());
    assert_eq!(
        (window.len(), window.is_empty()),
        (model.len() as u64, model.is_empty())
    );
    let running = states().filter(|(_, state)| matches!(state, State::Running { .. }));
    assert_eq!(window.running(), running.count());
    let due = states().filter_map(|(_, state)| match state {
        State::Due(at) => Some(at),
        _ => None,
    });
    assert_eq!(window.next_due(), due.min());
    for (seq, state) in states() {
        assert_eq!(
            window.item(seq).map(|item| item.state),
            Some(state),
            "{seq}"
        );
        assert_eq!(window.key(seq), Some(model[&seq].0));
    }
    for key in 0..5 {
        assert_eq!(
            window.has_key(key),
            first_of(model, key).is_some(),
            "key {key}"
        );
    }
    let started = |(seq, state)| match state {
        State::Running { since, .. } => Some((since, seq)),
        _ => None,
    };
    let longest = states().filter_map(started).min();
    assert_eq!(
        window.longest_running().map(|(seq, since)| (since, seq)),
        longest
    );
    assert!(window.items.len() <= 2 * model.len() + CLOSED_MAX);
}

proptest! {
    #[test]
    fn it_is_what_a_plain_list_of_events_would_be(acts in acts()) {
        let (mut window, mut model) = (Window::new(100), Model::new());
        let mut last = Seq::ZERO;
        for one in acts {
            act(&mut window, &mut model, one, &mut last);
            assert_same(&window, &model);
        }
    }
}
