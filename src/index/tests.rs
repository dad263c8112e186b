//! Lookups against a scan of the log, whatever happens to the store.

mod compacted;
mod damage;
mod fences;
mod ids;
mod levels;
mod measure;
mod memory;
mod parts;
mod spans;
mod unread;

use std::collections::BTreeMap;
use std::path::Path;

use super::verify::Mismatch;
use super::*;
use crate::clock::{SystemClock, Timestamp};
use crate::durability::Durability;
use crate::error::{Error, ErrorKind};
use crate::format::record::Record;
use crate::log::LogConfig;
use crate::storage::Storage;
use crate::storage::copied::Copied;
use crate::storage::file::FileStorage;
use crate::storage::memory::MemoryStorage;
use crate::storage::sys::Sys;

/// Compares the index in a folder with an open log.
fn against_log(log: &Log, folder: &Path, config: &IndexConfig) -> Result<Vec<Mismatch>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    match compare(log, folder, config) {
        Err(error) if error.kind() == ErrorKind::Index => Ok(vec![whole(&error)]),
        compared => compared,
    }
}

fn compare(log: &Log, folder: &Path, config: &IndexConfig) -> Result<Vec<Mismatch>> {
    let mut verifier = Verifier::open(Copied::of(folder).unwrap(), folder, log.log_id(), config)?;
    agree::check(&verifier.loaded, log)?;
    let mut reader = log.reader(Seq::FIRST);
    while let Some(event) = reader.next_event()? {
        verifier.event(&event)?;
    }
    verifier.finish()
}

fn whole(error: &Error) -> Mismatch {
    Mismatch {
        seqs: None,
        reason: error.message().to_owned(),
    }
}

fn log_config() -> LogConfig {
    LogConfig {
        segment_len: 256 << 10,
        background: false,
        ..LogConfig::default()
    }
}

fn log_on(storage: Arc<dyn Storage>) -> Arc<Log> {
    log_with(storage, log_config())
}

fn log_with(storage: Arc<dyn Storage>, config: LogConfig) -> Arc<Log> {
    Arc::new(Log::open(storage, config, Arc::new(SystemClock), Seq::ZERO).unwrap())
}

fn file_log(folder: &Path) -> Arc<Log> {
    log_on(Arc::new(
        FileStorage::create(folder, Sys::native()).unwrap(),
    ))
}

pub(super) fn memory_log() -> Arc<Log> {
    log_on(Arc::new(MemoryStorage::default()))
}

fn open(log: &Arc<Log>, folder: &Path) -> Index {
    Index::open(
        log.clone(),
        Some(folder.to_path_buf()),
        IndexConfig::default(),
    )
}

/// Makes events of many kinds, the same ones for the same seed.
struct Source {
    state: u64,
    /// Of each hundred events, how many have an id that is no time-ordered one, or had been used.
    odd_ids: u64,
    types: u64,
    /// How many sources are all alike; 0 for a few that are frequent, and many that are rare.
    sources: u64,
    used: Vec<EventId>,
    millis: u128,
}

impl Source {
    fn new(seed: u64, odd_ids: u64, types: u64) -> Source {
        Source {
            state: seed,
            odd_ids,
            types,
            sources: 0,
            used: Vec::new(),
            millis: 1_700_000_000_000,
        }
    }

    fn random(&mut self) -> u64 {
        self.state = keys::mix(self.state);
        self.state
    }

    fn id(&mut self) -> EventId {
        let random = self.random();
        if random % 100 < self.odd_ids {
            let place = usize::try_from(self.random()).unwrap() % (self.used.len() + 1);
            let fresh = EventId(u128::from(self.random()) << 64 | u128::from(random) & !(3 << 62));
            return match random % 7 {
                0 => EventId::NIL,
                1 | 2 => self.used.get(place).copied().unwrap_or(fresh),
                _ => fresh,
            };
        }
        self.millis += u128::from(random >> 60);
        let count = self.used.len() as u128;
        EventId(self.millis << 80 | 7 << 76 | 0b10 << 62 | count)
    }

    fn source(&mut self) -> u64 {
        let random = self.random();
        if self.sources > 0 {
            return random % self.sources;
        }
        match random % 8 {
            0..6 => random >> 61,
            6 => random >> 58,
            _ if self.types > 1 => random >> 55,
            _ => 0,
        }
    }

    fn emit(&mut self, log: &Log, count: usize) {
        for _ in 0..count {
            let id = self.id();
            // Of few types some are rare; many are all alike.
            let rare = if self.types > 40 { self.types } else { 40 };
            let number = (self.random() % self.types).min(self.random() % rare);
            let event_type = format!("type.{number}");
            let source = format!("source.{}", self.source());
            let mut record = Record::new(&event_type, &source, Timestamp(1), &[0xc0]).unwrap();
            record.event_id = id;
            log.append(&[record], Durability::Os).unwrap();
            self.used.push(id);
        }
    }

    /// The same in batches, for logs of many windows.
    fn emit_many(&mut self, log: &Log, count: usize) {
        for _ in 0..count / 1000 {
            let names: Vec<(String, String)> = (0..1000)
                .map(|_| {
                    let number = self.random() % self.types;
                    (
                        format!("type.{number}"),
                        format!("source.{}", self.source()),
                    )
                })
                .collect();
            let mut records: Vec<Record<'_>> = names
                .iter()
                .map(|(name, source)| Record::new(name, source, Timestamp(1), &[0xc0]).unwrap())
                .collect();
            for record in &mut records {
                record.event_id = self.id();
            }
            log.append(&records, Durability::Os).unwrap();
        }
    }
}

/// Compares lookups with a scan of the log.
fn assert_equals_scan(index: &Index, log: &Log, context: &str) {
    assert_lists_equal_scan(index, log, 24, context);
    let mut events = Vec::new();
    let mut reader = log.reader(Seq::FIRST);
    while let Some(event) = reader.next_event().unwrap() {
        events.push((event.seq(), event.event_id()));
    }
    let mut first = std::collections::HashMap::new();
    for (seq, id) in &events {
        first.entry(*id).or_insert(*seq);
    }
    let missing = [
        EventId(5),
        EventId(1_700_000_000_001 << 80 | 7 << 76 | 0b10 << 62 | 1 << 61),
    ];
    let step = (events.len() / 60).max(1);
    let ids = events.iter().step_by(step).map(|(_, id)| *id);
    for id in ids.chain(missing).chain([EventId::NIL]) {
        let found = index.by_id(id).unwrap();
        assert_eq!(found, first.get(&id).copied(), "{context}: {id}");
    }
}

/// Compares names, and about so many lists and tallies a dimension, with a scan of the log.
fn assert_lists_equal_scan(index: &Index, log: &Log, lists: usize, context: &str) {
    for dimension in Dimension::ALL {
        assert_dimension_equals_scan(index, log, dimension, lists, context);
    }
}

fn assert_dimension_equals_scan(
    index: &Index,
    log: &Log,
    dimension: Dimension,
    count: usize,
    context: &str,
) {
    let mut lists: BTreeMap<String, Vec<Seq>> = BTreeMap::new();
    let mut reader = log.reader(Seq::FIRST);
    while let Some(event) = reader.next_event().unwrap() {
        let name = dimension.of(&event).to_owned();
        lists.entry(name).or_default().push(event.seq());
    }
    let names: Vec<String> = index.names(dimension).map(Into::into).collect();
    let due: Vec<String> = lists.keys().cloned().collect();
    assert_eq!(names, due, "{context}: {dimension:?}");
    lists.insert("none".to_owned(), Vec::new());
    let step = (lists.len() / count).max(1);
    for (name, due) in lists.iter().step_by(step) {
        let context = format!("{context}: {dimension:?} {name}");
        for at in [0, 4096, 9001] {
            let (from, upto) = (Seq(at), Seq(u64::MAX - at));
            let found: Vec<Seq> = index.postings(dimension, name, from).collect();
            let rest = due.iter().filter(|seq| **seq >= from);
            assert!(found.iter().eq(rest), "{context} from {from}");
            let upto = if at == 0 { upto } else { from };
            let found: Vec<Seq> = index.newest(dimension, name, upto).collect();
            let rest = due.iter().rev().filter(|seq| **seq <= upto);
            assert!(found.iter().eq(rest), "{context} from {upto} down");
        }
        let tally = Tally {
            count: due.len() as u64,
            first: due.first().copied(),
            last: due.last().copied(),
        };
        assert_eq!(index.tally(dimension, name), tally, "{context}");
    }
}

#[test]
fn lookups_equal_a_scan_while_the_log_grows() {
    let dir = tempfile::tempdir().unwrap();
    for (seed, odd_ids, types) in [(1, 0, 1), (2, 30, 7), (3, 100, 15)] {
        let context = format!("seed {seed}, {odd_ids} % odd ids, {types} types");
        let log = memory_log();
        let indexes = [
            open(&log, &dir.path().join(seed.to_string())),
            Index::open(log.clone(), None, IndexConfig::default()),
        ];
        let mut source = Source::new(seed, odd_ids, types);
        for count in [0, 1, 4094, 1, 3000, 6000] {
            source.emit(&log, count);
            for index in &indexes {
                assert_equals_scan(index, &log, &context);
                assert!(index.catch_up(), "{context}");
                assert_eq!(
                    index.state().indexed_upto,
                    log.watermark().appended(),
                    "{context}"
                );
                assert_equals_scan(index, &log, &context);
            }
        }
        for index in indexes {
            assert_eq!(index.state().windows, 3, "{context}");
            assert_eq!(index.state().rebuilds, 0, "{context}");
            index.close();
            assert_equals_scan(&index, &log, &context);
        }
        log.close().unwrap();
    }
}

#[test]
fn an_index_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (log_folder, folder) = (dir.path().join("log"), dir.path().join("index"));
    let mut source = Source::new(4, 20, 9);
    for round in 0..4 {
        let log = file_log(&log_folder);
        let index = open(&log, &folder);
        assert_equals_scan(&index, &log, "reopened");
        source.emit(&log, 5000);
        assert!(index.catch_up());
        assert_equals_scan(&index, &log, "caught up");
        let state = index.state();
        assert_eq!(state.rebuilds, 0, "round {round}");
        assert!(!state.in_memory, "round {round}");
        if round % 2 == 0 {
            index.close();
            log.close().unwrap();
            assert_eq!(
                against_log(&log, &folder, &IndexConfig::default()).unwrap(),
                []
            );
        }
    }
}

#[test]
fn an_unclean_end_costs_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let log = memory_log();
    let mut source = Source::new(5, 20, 90);
    let index = open(&log, &dir.path().join("index"));
    for round in 0..3 {
        source.emit(&log, 6000);
        index.catch_up();
        let copy = dir.path().join(round.to_string()).join("index");
        damage::copy(&dir.path().join("index"), &copy);
        let copied = open(&log, &copy);
        assert_equals_scan(&copied, &log, "copied while open");
        assert!(copied.catch_up());
        assert_equals_scan(&copied, &log, "copied while open, caught up");
    }
}

#[test]
fn retention_takes_events_out_of_answers_and_records_out_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("index");
    let log = memory_log();
    let mut source = Source::new(6, 30, 6);
    let index = open(&log, &folder);
    source.emit(&log, 20_000);
    index.catch_up();
    for before in [100, 3000, 9000, 15_000] {
        log.retire_before(Seq(before)).unwrap();
        assert_equals_scan(&index, &log, &format!("retired before {before}"));
    }
    let first = log.first_seq();
    assert!(first > Seq(8192), "{first}");
    source.emit(&log, 300_000);
    index.catch_up();
    log.retire_before(Seq(310_000)).unwrap();
    source.emit(&log, 5000);
    index.catch_up();
    assert!(index.state().windows < 10, "{:?}", index.state());
    assert_equals_scan(&index, &log, "many retired");
    index.close();
    assert_eq!(
        against_log(&log, &folder, &IndexConfig::default()).unwrap(),
        []
    );
    let index = open(&log, &folder);
    assert_equals_scan(&index, &log, "many retired, reopened");
    assert_eq!(index.state().rebuilds, 0);
}

#[test]
fn gaps_and_clashing_ids_are_no_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> =
        Arc::new(FileStorage::create(&dir.path().join("log"), Sys::PORTABLE).unwrap());
    let folder = dir.path().join("index");
    let mut source = Source::new(7, 5, 3);
    for _ in 0..3 {
        // The storage has no boot id, so that each unclean end leaves a gap.
        let log = log_on(storage.clone());
        let index = open(&log, &folder);
        source.emit(&log, 3000);
        assert_equals_scan(&index, &log, "after a gap");
        index.catch_up();
        assert_equals_scan(&index, &log, "after a gap, caught up");
        assert_eq!(index.state().rebuilds, 0);
    }
}
