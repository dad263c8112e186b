//! Runs of several levels, and eras: sparse windows far apart.

use super::*;
use crate::index::core::{Core, State};
use crate::index::dictionary;
use crate::index::dimension::Each;
use crate::index::fences::Fences;
use crate::index::keys::{ERA_LEN, Run, first_of, window_of};
use crate::index::pieces::PieceWriter;
use crate::index::runs::{Runs, Way};
use crate::index::values::{EraNames, Manifest};
use std::collections::BTreeMap;

/// Windows that have events: single ones, groups, and the ends of runs of each level.
fn windows(random: &mut Source) -> Vec<u64> {
    let mut windows = vec![
        3, 62, 63, 64, 4095, 4096, 4159, 8191, 262_143, 262_144, 270_400,
    ];
    for _ in 0..200 {
        let scale = 1 << (random.random() % 19);
        windows.push(3 + random.random() % scale);
    }
    windows.sort_unstable();
    windows.dedup();
    windows
}

/// A store of windows in which a name has some events, made as the follower makes it.
fn made(core: &Core, random: &mut Source, hash: u64) -> (State, BTreeMap<u64, Vec<u16>>) {
    let windows = windows(random);
    let mut state = State::empty(first_of(windows[0]), core.hashes);
    let mut lists = BTreeMap::new();
    for window in windows {
        for due in state.catalog.due_with(window) {
            assert!(due.run.end() > state.catalog.next_window(), "{:?}", due.run);
        }
        let mut writer = PieceWriter::new(Run::of(Dimension::Type, 0, window));
        let mut others: Vec<u64> = (0..300).map(|_| random.random()).collect();
        let has = random.random().is_multiple_of(3);
        if has {
            others.push(hash);
        }
        others.sort_unstable();
        for other in others {
            let offsets = if other == hash {
                vec![1, 77, 4000]
            } else {
                vec![5]
            };
            if other == hash {
                lists.insert(window, offsets.clone());
            }
            writer.push(other, &crate::index::pieces::encode_offsets(&offsets));
        }
        let store = state.store.as_ref();
        store.apply(&writer.finish(), &[]).unwrap();
        for due in state.catalog.due_with(window) {
            if due.run.dimension == Dimension::Type {
                crate::index::merge::write(store, due.run, &due.below).unwrap();
            }
        }
        let era = window / ERA_LEN;
        let names = Each::with(|_| EraNames {
            era,
            ..EraNames::default()
        });
        let names = state.catalog.names_with(&names);
        state
            .catalog
            .take(manifest(window), Fences::default(), names);
    }
    (state, lists)
}

fn manifest(window: u64) -> Manifest {
    Manifest {
        window,
        count: 303,
        ordered: false,
        foreign: false,
        unreadable: 0,
        millis_min: 0,
        millis_max: 0,
        bytes: 0,
    }
}

fn walk(runs: &Runs<'_>, from: u64, way: Way) -> Vec<u64> {
    let (mut at, mut found) = (from, Vec::new());
    while let Some(mut group) = runs.group(at, way).unwrap() {
        while let Some((window, sure)) = group.take(way) {
            let offsets = runs.offsets(window).unwrap();
            assert!(offsets.is_some() || !sure, "{window}");
            found.extend(offsets.map(|_| window));
            at = window;
        }
        match way {
            Way::Up => at = (at / 64 + 1) * 64,
            Way::Down if at / 64 == 0 => break,
            Way::Down => at = at / 64 * 64 - 1,
        }
    }
    found
}

#[test]
fn walks_and_counts_over_runs_of_all_levels_equal_the_windows() {
    for seed in 30..34 {
        let mut random = Source::new(seed, 0, 1);
        let core = Core::new(memory_log(), None, IndexConfig::default());
        let hash = random.random();
        let (mut state, lists) = made(&core, &mut random, hash);
        assert!(!lists.is_empty(), "seed {seed}");
        let mut froms: Vec<u64> = state
            .catalog
            .manifests_from(0)
            .map(|held| held.window)
            .collect();
        froms.extend([0, 5, 65, 4097, 262_145, 1 << 30]);
        for floor in [0, 40, 64, 5000, 262_144] {
            state.catalog.retire(floor);
            for from in &froms {
                let context = format!("seed {seed}, floor {floor}, from {from}");
                let runs = Runs::new(&state, Dimension::Type, hash);
                let live = || lists.keys().copied().filter(|window| *window >= floor);
                let up: Vec<u64> = live().filter(|window| window >= from).collect();
                assert_eq!(walk(&runs, *from, Way::Up), up, "{context}");
                assert_eq!(
                    runs.count((*from).max(floor)).unwrap(),
                    3 * up.len() as u64,
                    "{context}"
                );
                let mut down: Vec<u64> = live().filter(|window| window <= from).collect();
                down.reverse();
                assert_eq!(walk(&runs, *from, Way::Down), down, "{context}");
                let none = Runs::new(&state, Dimension::Type, hash ^ 1);
                assert_eq!(none.count((*from).max(floor)).unwrap(), 0, "{context}");
                assert_eq!(walk(&none, *from, Way::Up), [0_u64; 0], "{context}");
            }
        }
    }
}

#[test]
fn a_piece_of_any_level_that_goes_missing_is_noticed_and_costs_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let log = memory_log();
    let mut source = Source::new(24, 0, 40);
    source.emit_many(&log, 70 * 4096);
    let folder = dir.path().join("index");
    let state = Index::rebuild(log.clone(), &folder, IndexConfig::default()).unwrap();
    assert!(state.windows >= 68, "{state:?}");
    let is_due = |key: &[u8]| key[0] == b'n' || key[0] == b'l' && key[2] == 1;
    let (store, keys) = store::open(
        &folder,
        log.log_id(),
        &IndexConfig::default(),
        move |store| {
            let (from, to) = keys::ALL;
            let all = catalog::all_in(store, from, to)?;
            let keys = all.into_iter().map(|(key, _)| key);
            Ok(keys.filter(|key| is_due(key)).collect::<Vec<_>>())
        },
    )
    .unwrap();
    drop(store);
    assert!(keys.len() >= 6, "{keys:?}");
    for key in keys {
        let context = format!("without {:?}", key.escape_ascii().to_string());
        let system = tempfile::tempdir_in(dir.path()).unwrap();
        let copied = system.path().join("index");
        damage::copy(&folder, &copied);
        let config = IndexConfig::default();
        let (store, ()) = store::open(&copied, log.log_id(), &config, |_| Ok(())).unwrap();
        store.apply(&[], std::slice::from_ref(&key)).unwrap();
        store.flush().unwrap();
        drop(store);
        let mismatches = against_log(&log, &copied, &config).unwrap();
        assert_ne!(mismatches, [], "{context}");
        let index = open(&log, &copied);
        let mut total = 0;
        let names: Vec<_> = index.names(Dimension::Source).collect();
        for name in &names {
            total += index.tally(Dimension::Source, name).count;
        }
        let types: Vec<_> = index.names(Dimension::Type).collect();
        let counts = types
            .iter()
            .map(|name| index.tally(Dimension::Type, name).count);
        assert_eq!(total, log.count(), "{context}");
        assert_eq!(counts.sum::<u64>(), log.count(), "{context}");
        assert!(index.catch_up(), "{context}");
        assert_eq!(index.state().rebuilds, 1, "{context}");
    }
}

#[test]
fn names_are_listed_in_order_also_in_pages_and_eras() {
    let core = Core::new(memory_log(), None, IndexConfig::default());
    let mut dictionary = dictionary::Dictionary::new(1 << 20);
    let store = crate::index::memory::MemoryStore::default();
    let mut due = std::collections::BTreeSet::new();
    for window in [1, 2, ERA_LEN, ERA_LEN + 7] {
        let mut tail = window::Window::starting_at(first_of(window), core.hashes);
        for number in 0..4000_u64 {
            let name = format!(
                "{}/{}",
                keys::mix(number % 1500) % 97,
                number * window % 3000
            );
            let seq = first_of(window).plus(number);
            assert_eq!(window_of(seq), window);
            tail.add(seq, EventId(7), &Each::with(|_| name.as_str()));
            due.insert(name);
        }
        let met = dictionary.meet(&tail);
        store::Store::apply(&store, &met.records, &[]).unwrap();
    }
    let from = keys::names(Dimension::Source, 0, 0);
    let to = keys::names(Dimension::Source, u64::MAX, 0);
    let mut listed = std::collections::BTreeSet::new();
    let (mut at, mut steps) = (Some(from), 0);
    while let Some(from) = at {
        let mut add = |_, name: &str| {
            listed.insert(name.to_owned());
        };
        at = dictionary::visit(&store, (&from, &to), 3, &mut add).unwrap();
        steps += 1;
    }
    assert!(steps > 3, "{steps}");
    assert_eq!(listed, due);
    assert!(dictionary.bytes() <= 1 << 20);
}
