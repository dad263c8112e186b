//! [`World`]: a log and its index, to which one thing of a program after the other is done.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::harm::{copy, damage};
use super::opened::{open_index, open_log, open_mirror};
use super::program::{Ask, Crash, HEADERS, Op, PATTERNS, Program, Rewriting, SOURCES};
use super::rows::{Row, Wanted, rows_of};
use crate::clock::{ManualClock, Timestamp};
use crate::durability::Durability;
use crate::error::ErrorKind;
use crate::event::EventId;
use crate::format::record::Record;
use crate::index::{Dimension, Index};
use crate::log::Log;
use crate::log::mirror::Mirror;
use crate::position::Seq;
use crate::query::{NameSummaries, Plan, Query, QueryResults, scan_for_id};
use crate::storage::sim::{Choice, CrashKind, SimDisk};

/// How often what happened, so that a test that tests nothing shows.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Counts) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(super) fn assert_all_happened(&self) {
        let compressed = cfg!(feature = "compression").then_some("compressed");
        for what in [
            "nothing",
            "ids",
            "types",
            "sources",
            "time ranges",
            "seq range",
            "scan",
            "fallback",
            "skipped segments",
            "gone",
            "crash",
            "reopened",
            "retired",
            "compacted",
            "harmed",
            "pages",
            "found",
            "without an index",
        ]
        .into_iter()
        .chain(compressed)
        {
            assert!(self.0.contains_key(what), "{what} never happened: {self:?}");
        }
    }
}

/// Deterministic numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

pub(super) struct World {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    max_events: Option<u64>,
    rewriting: Rewriting,
    log: Arc<Log>,
    /// The log once more, read beside its writer, without an index.
    mirror: Mirror,
    index: Arc<Index>,
    /// Of the folders of the index, each life may have another.
    dir: tempfile::TempDir,
    lives: u64,
    random: Random,
    /// Whether some events have any time whatever, so that no segment can be passed over for its times.
    is_wild: bool,
    made: u64,
    pub(super) counts: Counts,
}

impl World {
    pub(super) fn new(program: &Program) -> World {
        let disk = SimDisk::new();
        let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
        let dir = tempfile::tempdir().unwrap();
        let log = open_log(&disk, &clock, program.max_events, program.rewriting);
        let index = open_index(&log, &dir.path().join("0"));
        World {
            mirror: open_mirror(&disk, &clock),
            disk,
            clock,
            max_events: program.max_events,
            rewriting: program.rewriting,
            log,
            index,
            dir,
            lives: 0,
            random: Random(program.seed),
            is_wild: program.seed.is_multiple_of(2),
            made: 0,
            counts: Counts::default(),
        }
    }

    pub(super) fn perform(&mut self, op: &Op) {
        match op {
            Op::Emit(count) => self.emit(*count),
            Op::Ask(ask) => self.ask(ask),
            Op::Page(ask, size, more) => self.page(ask, *size, *more),
            Op::AskWhile(ask, taken, more, share) => self.ask_while(ask, *taken, *more, *share),
            Op::Names => self.names(),
            Op::CatchUp => assert!(self.index.catch_up()),
            Op::Retire(share) => self.retire(*share),
            Op::Rewrite => self.rewrite(),
            Op::Reopen => {
                self.index.close();
                self.log.close().unwrap();
                self.begin(CrashKind::Process, Choice::AllKept, false);
                self.counts.note("reopened");
            }
            Op::Crash(crash) => {
                let (kind, choice) = match crash {
                    Crash::Process => (CrashKind::Process, Choice::AllKept),
                    Crash::Power(number) => (CrashKind::System, Choice::Seed(*number)),
                };
                // As the process leaves it: not flushed, and perhaps halfway through a write.
                self.copy_index();
                self.begin(kind, choice, true);
                self.counts.note("crash");
            }
            Op::Harm(harm, place) => {
                self.index.close();
                self.log.close().unwrap();
                damage(&self.folder(), *harm, *place);
                self.begin(CrashKind::Process, Choice::AllKept, false);
                self.counts.note("harmed");
            }
        }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join(self.lives.to_string())
    }

    fn copy_index(&self) {
        let next = (self.lives + 1).to_string();
        copy(&self.folder(), &self.dir.path().join(next));
    }

    /// Ends this life and begins another, with the folder of the index as it is, or with a copy.
    fn begin(&mut self, kind: CrashKind, choice: Choice, is_copy: bool) {
        let disk = self.disk.crash(kind, choice);
        self.index.close();
        if is_copy {
            self.lives += 1;
        }
        self.log = open_log(&disk, &self.clock, self.max_events, self.rewriting);
        self.mirror = open_mirror(&disk, &self.clock);
        self.disk = disk;
        self.index = open_index(&self.log, &self.folder());
    }

    fn emit(&mut self, count: u64) {
        for _ in 0..count {
            self.emit_one();
        }
    }

    fn emit_one(&mut self) {
        self.made += 1;
        let random = &mut self.random;
        self.clock
            .advance(std::time::Duration::from_nanos(random.below(3)));
        let event_type = match random.below(20) {
            0..6 => "order.placed".to_owned(),
            6..10 => "order.filled".to_owned(),
            10..17 => "quote".to_owned(),
            17 => "a".to_owned(),
            18 => "order".to_owned(),
            _ => format!("rare.{}", random.below(40)),
        };
        let source = match random.below(4) {
            0 => "web".to_owned(),
            1 => "batch".to_owned(),
            _ => format!("user.{}", random.below(150)),
        };
        let now = i64::try_from(self.made).unwrap();
        let timestamp = match random.below(20) {
            0 if self.is_wild => i64::try_from(random.below(20_000)).unwrap(),
            1..5 => now - i64::try_from(random.below(50)).unwrap(),
            _ => now,
        };
        let mut headers = Vec::new();
        if random.below(2) == 0 {
            headers.push(("tenant".to_owned(), random.below(3).to_string()));
        }
        if random.below(50) == 0 {
            headers.push(("trace".to_owned(), "x".to_owned()));
        }
        let mut record = Record::new(&event_type, &source, Timestamp(timestamp), &[0xc0]).unwrap();
        record.event_id = match random.below(10) {
            0 => EventId(u128::from(random.below(60) + 1)),
            // As random as a user's own, of the version that says so.
            1..3 => EventId(u128::from(random.below(u64::MAX)) << 80 | 4 << 76 | 0b10 << 62),
            _ => EventId::NIL,
        };
        let record = record.with_headers(&headers).unwrap();
        let durability = match random.below(200) {
            0 => Durability::Sync,
            _ => Durability::Os,
        };
        let appended = self.log.append(&[record], durability).unwrap();
        if durability == Durability::Sync {
            self.log.wait_durable(appended.last).unwrap();
        }
    }

    fn retire(&mut self, share: u64) {
        let (first, last) = (self.log.first_seq().0, self.log.watermark().appended().0);
        let before = first + (last + 1 - first.min(last + 1)) * share / 100;
        self.log.retire_before(Seq(before)).unwrap();
        if self.log.first_seq().0 > first {
            self.counts.note("retired");
        }
    }

    fn rewrite(&mut self) {
        let before = self.log.explain_retention();
        self.log.rewrite_what_is_due().unwrap();
        let after = self.log.explain_retention();
        if after.dropped > before.dropped {
            self.counts.note("compacted");
        }
        if self.rewriting.compresses && after.saved_bytes > before.saved_bytes {
            self.counts.note("compressed");
        }
    }

    /// What the query means to the scan, and to the engine.
    fn both(&self, ask: &Ask, rows: &[Row]) -> (Wanted, Query) {
        let text = |all: &[&str], nth: &usize| all[*nth].to_owned();
        let part = |(a, b): (u64, u64), min: i64, max: i64| {
            let at = |share: u64| min + (max - min) * i64::try_from(share).unwrap() / 100;
            (at(a), at(b))
        };
        let range = |of: fn(&Row) -> i64, share: Option<(u64, u64)>| {
            let min = rows.iter().map(of).min().unwrap_or(0);
            let max = rows.iter().map(of).max().unwrap_or(10);
            share.map(|share| part(share, min, max))
        };
        let unsigned = |number: i64| u64::try_from(number).unwrap();
        let seqs = range(|row| i64::try_from(row.seq).unwrap(), ask.seqs);
        let id = |number: &u64| match usize::try_from(number % 97).unwrap() {
            nth if nth < 60 => EventId(u128::from(number % 70 + 1)),
            _ => rows
                .get(usize::try_from(*number).unwrap_or(0) % rows.len().max(1))
                .map_or(EventId(5), |row| row.id),
        };
        let wanted = Wanted {
            patterns: ask.types.iter().map(|nth| text(PATTERNS, nth)).collect(),
            sources: ask.sources.iter().map(|nth| text(SOURCES, nth)).collect(),
            ids: ask.ids.iter().map(id).collect(),
            header: ask
                .header
                .map(|nth| (HEADERS[nth].0.into(), HEADERS[nth].1.into())),
            seqs: seqs.map(|(a, b)| (unsigned(a), unsigned(b))),
            timestamp: range(|row| row.timestamp, ask.timestamp),
            appended: range(|row| row.appended, ask.appended),
            newest_first: ask.newest_first,
        };
        let query = self.query(&wanted);
        (wanted, query)
    }

    fn query(&self, wanted: &Wanted) -> Query {
        let query = Query::new(self.log.view(), Some(self.index.clone()), Arc::default());
        select(query, wanted)
    }

    fn ask(&mut self, ask: &Ask) {
        let rows = rows_of(&self.log);
        let (wanted, query) = self.both(ask, &rows);
        let all = wanted.find(&rows);
        let limit = ask.limit.unwrap_or(u64::MAX);
        let due: Vec<u64> = all
            .iter()
            .copied()
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect();
        let limited = query.clone().limit(limit);
        let explained = limited.explain().unwrap();
        let context = format!("{wanted:?}, limit {limit}: {explained}");
        self.note_plan(&explained);
        self.ask_mirror(&wanted, limit, &due, &all);
        let mut results = limited.run().unwrap();
        assert_eq!(seqs_of(&mut results), due, "{context}");
        assert_eq!(results.gone(), None, "{context}");
        assert_eq!(
            limited.count().unwrap(),
            due.len() as u64,
            "count of {context}"
        );
        let seq = |stored: Option<crate::log::StoredEvent>| stored.map(|s| s.event().seq().0);
        let first = seq(query.first().unwrap());
        assert_eq!(first, all.iter().min().copied(), "first of {context}");
        let last = seq(query.last().unwrap());
        assert_eq!(last, all.iter().max().copied(), "last of {context}");
        if !due.is_empty() {
            self.counts.note("found");
        }
    }

    /// What is only read is found to be the same.
    fn ask_mirror(&mut self, wanted: &Wanted, limit: u64, due: &[u64], all: &[u64]) {
        self.mirror.refresh().unwrap();
        let view = self.mirror.view();
        let query = select(Query::new(view.clone(), None, Arc::default()), wanted);
        let limited = query.clone().limit(limit);
        let context = format!("read-only: {wanted:?}, {}", limited.explain().unwrap());
        assert_eq!(seqs_of(&mut limited.run().unwrap()), due, "{context}");
        assert_eq!(limited.count().unwrap(), due.len() as u64, "{context}");
        let first = query.first().unwrap().map(|stored| stored.event().seq().0);
        assert_eq!(first, all.iter().min().copied(), "{context}");
        for &id in &wanted.ids {
            let due = self.index.by_id(id).unwrap();
            assert_eq!(scan_for_id(&view, id), due, "{id} in {context}");
        }
        if limited.explain().unwrap().fallback.is_some() {
            self.counts.note("without an index");
        }
    }

    fn note_plan(&mut self, explained: &crate::query::Explanation) {
        self.counts.note("asked");
        self.counts.note(match &explained.plan {
            Plan::Nothing => "nothing",
            Plan::Ids => "ids",
            Plan::Types(_) => "types",
            Plan::Sources(_) => "sources",
            Plan::TimeRanges => "time ranges",
            Plan::SeqRange => "seq range",
            Plan::Scan => "scan",
        });
        if explained.fallback.is_some() {
            self.counts.note("fallback");
        }
        if explained.segments_skipped > 0 {
            self.counts.note("skipped segments");
        }
    }

    /// Page after page gives what the whole gives; from old to new, also what came meanwhile.
    fn page(&mut self, ask: &Ask, size: u64, more: u64) {
        // Events come and none may go: what retention takes between two pages is another test's.
        let more = if self.max_events.is_some() { 0 } else { more };
        let (wanted, query) = self.both(ask, &rows_of(&self.log));
        let before = wanted.find(&rows_of(&self.log));
        let mut found: Vec<u64> = Vec::new();
        let mut token = None;
        loop {
            let mut page = query.clone().limit(size);
            if let Some(token) = token {
                page = page.after(token);
            }
            let mut results = page.run().unwrap();
            let seqs = seqs_of(&mut results);
            let Some(next) = results.page_token() else {
                break;
            };
            found.extend(&seqs);
            let text = next.to_string();
            token = Some(text.parse().unwrap());
            let other = query.clone().header("no", "such").after(next);
            assert_eq!(other.run().unwrap_err().kind(), ErrorKind::Invalid);
            if found.len() < 3 * usize::try_from(size).unwrap() {
                self.emit(more);
            }
        }
        let due = if ask.newest_first {
            before
        } else {
            wanted.find(&rows_of(&self.log))
        };
        assert_eq!(found, due, "{wanted:?} in pages of {size}");
        self.counts.note("pages");
    }

    /// What was there when the query began is given, or was removed before the query came to it, and
    /// then the query says so.
    fn ask_while(&mut self, ask: &Ask, taken: usize, more: u64, share: u64) {
        let rows = rows_of(&self.log);
        let (wanted, query) = self.both(ask, &rows);
        let due = wanted.find(&rows);
        let mut results = query.run().unwrap();
        let mut found = seqs_of(&mut results.by_ref().take(taken));
        self.emit(more);
        self.retire(share);
        found.extend(seqs_of(&mut results));
        let gone = results.gone();
        let mut rest = found.iter().peekable();
        for seq in &due {
            if rest.peek() == Some(&seq) {
                rest.next();
                continue;
            }
            assert!(
                *seq < self.log.first_seq().0,
                "{seq} left out of {wanted:?}"
            );
            let gap = gone.expect("something is missing, and the query does not say so");
            assert!((gap.from..=gap.to).contains(&Seq(*seq)), "{seq} and {gap}");
            self.counts.note("gone");
        }
        assert_eq!(rest.next(), None, "not asked for: {wanted:?}");
    }

    fn names(&mut self) {
        let rows = rows_of(&self.log);
        for dimension in [Dimension::Type, Dimension::Source] {
            let mut due: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
            for row in &rows {
                let name = match dimension {
                    Dimension::Type => &row.event_type,
                    Dimension::Source => &row.source,
                };
                let entry = due.entry(name).or_insert((0, row.seq, row.seq));
                (entry.0, entry.2) = (entry.0 + 1, row.seq);
            }
            self.mirror.refresh().unwrap();
            let found: Vec<_> =
                NameSummaries::new(&self.log, Some(&self.index), dimension).collect();
            let scanned = NameSummaries::new(&self.mirror.view(), None, dimension);
            assert!(
                scanned.eq(found.iter().cloned()),
                "{dimension:?}, read-only"
            );
            let found = found.iter().map(|summary| {
                let numbers = (summary.count, summary.first.0, summary.last.0);
                (summary.name.as_str(), numbers)
            });
            assert!(
                found.clone().eq(due),
                "{dimension:?}: {:?}",
                found.collect::<Vec<_>>()
            );
        }
    }
}

/// The query that this asks for.
fn select(mut query: Query, wanted: &Wanted) -> Query {
    query = query.types(wanted.patterns.clone());
    query = query.sources(wanted.sources.clone());
    query = query.ids(wanted.ids.clone());
    if let Some((name, value)) = &wanted.header {
        query = query.header(name, value);
    }
    if let Some((from, end)) = wanted.seqs {
        query = query.seqs(Seq(from)..Seq(end));
    }
    if let Some((since, until)) = wanted.timestamp {
        query = query.between(Timestamp(since), Timestamp(until));
    }
    if let Some((since, until)) = wanted.appended {
        query = query.appended_between(Timestamp(since), Timestamp(until));
    }
    if wanted.newest_first {
        query = query.newest_first();
    }
    query
}

impl Drop for World {
    fn drop(&mut self) {
        self.index.close();
    }
}

fn seqs_of(results: &mut dyn Iterator<Item = <QueryResults as Iterator>::Item>) -> Vec<u64> {
    results
        .map(|stored| stored.unwrap().event().seq().0)
        .collect()
}
