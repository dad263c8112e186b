//! Compaction: what is dropped, what stays, and a crash at every operation of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Random, mirror, rounds};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::durability::Durability;
use crate::error::Result;
use crate::event::{KeepLast, StateKey};
use crate::format::names;
use crate::format::record::Record;
use crate::log::drops::Drops;
use crate::log::pins::Pins;
use crate::log::reader::Step;
use crate::log::survey::Survey;
use crate::log::{Log, LogConfig, View};
use crate::position::{Gap, Seq};
use crate::storage::Storage;
use crate::storage::memory::MemoryStorage;
use crate::storage::sim::{Choice, CrashKind, SimDisk};

const STATE: &str = "state";
const NOTE: &str = "note";

/// What was appended: type, source and how many bytes.
type Sent = (Seq, &'static str, u64, usize);

/// How a log is compacted, and whether it is compressed besides.
#[derive(Debug, Clone, Copy)]
struct Setup {
    keys_max: usize,
    compression: Option<i32>,
}

impl Setup {
    fn keys(keys_max: usize) -> Setup {
        Setup {
            keys_max,
            compression: None,
        }
    }
}

const PLAIN: Option<i32> = None;
/// Where the build can.
const COMPRESSED: Option<i32> = if cfg!(feature = "compression") {
    Some(3)
} else {
    None
};

fn config(setup: Setup) -> LogConfig {
    let mut keep_last = KeepLast::default();
    keep_last.set(STATE.to_owned(), StateKey::Source);
    LogConfig {
        segment_len: 8 << 10,
        background: false,
        keep_last: Arc::new(keep_last),
        compaction_keys_max: setup.keys_max,
        compression: setup.compression,
        ..LogConfig::default()
    }
}

fn open_in(storage: Arc<dyn Storage>, setup: Setup) -> Result<Log> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(1_000)));
    Log::open(storage, config(setup), clock, Seq::ZERO)
}

fn open(disk: &SimDisk, compression: Option<i32>) -> Result<Log> {
    let setup = Setup {
        keys_max: 1000,
        compression,
    };
    open_in(disk.storage().folder(names::LOG)?, setup)
}

fn data(source: u64, len: usize) -> Vec<u8> {
    vec![u8::try_from(source).unwrap(); len]
}

/// Appends a batch.
fn append(log: &Log, batch: &[(&'static str, u64, usize)], sent: &mut Vec<Sent>) -> Result<()> {
    let made: Vec<(String, Vec<u8>)> = batch
        .iter()
        .map(|(_, source, len)| (format!("s{source}"), data(*source, *len)))
        .collect();
    let records: Result<Vec<Record<'_>>> = batch
        .iter()
        .zip(&made)
        .map(|((of, _, _), (source, data))| Record::new(of, source, Timestamp(1), data))
        .collect();
    let last = log.append(&records?, Durability::Os)?.last;
    let first = last.0 + 1 - batch.len() as u64;
    let seqs = (first..).map(Seq);
    sent.extend(
        seqs.zip(batch)
            .map(|(seq, (of, source, len))| (seq, *of, *source, *len)),
    );
    Ok(())
}

/// All events of a log, each found by a look-up as well; every other Seq lies in a gap.
fn read(log: &Arc<View>) -> Vec<Sent> {
    let mut reader = log.reader(Seq::FIRST);
    let (mut found, mut next) = (Vec::new(), Seq::FIRST);
    let mut gaps: Vec<Gap> = Vec::new();
    while let Some(step) = reader.step().unwrap() {
        match step {
            Step::Event(event) => {
                assert_eq!(event.seq(), next);
                let source: u64 = event.source()[1..].parse().unwrap();
                let of = if event.event_type() == STATE {
                    STATE
                } else {
                    NOTE
                };
                assert_eq!(event.data_bytes(), data(source, event.data_bytes().len()));
                found.push((next, of, source, event.data_bytes().len()));
                next = next.next();
            }
            Step::Gap(gap) => {
                assert_eq!(gap.from, next);
                assert!(gap.from <= gap.to);
                next = gap.to.next();
                gaps.push(gap);
            }
        }
    }
    assert_eq!(next, log.watermark().appended().next());
    for (seq, ..) in &found {
        let got = log.get(*seq).unwrap();
        assert_eq!(got.unwrap().event().seq(), *seq);
    }
    for gap in gaps {
        for seq in (gap.from.0..=gap.to.0).map(Seq) {
            assert!(log.get(seq).unwrap().is_none(), "{seq}");
        }
    }
    let first = found.first().map(|sent| sent.0);
    assert_eq!(first.unwrap_or(next), log.first_seq());
    assert_eq!(found.len() as u64, log.count());
    found
}

/// Of what was sent up to `upto`, only what is superseded is missing, and nothing else is there.
fn check(found: &[Sent], sent: &[Sent], upto: Seq) {
    let by_seq: BTreeMap<Seq, &Sent> = sent.iter().map(|one| (one.0, one)).collect();
    for one in found {
        assert_eq!(by_seq.get(&one.0), Some(&one));
    }
    let held: BTreeMap<Seq, &Sent> = found.iter().map(|one| (one.0, one)).collect();
    for one in sent.iter().filter(|one| one.0 <= upto) {
        let mut behind = held.range(one.0.next()..).map(|(_, later)| later);
        let is_superseded =
            one.1 == STATE && behind.any(|later| (later.1, later.2) == (one.1, one.2));
        assert!(
            held.contains_key(&one.0) || is_superseded,
            "{one:?} is lost"
        );
    }
}

fn batch_of(random: &mut Random, keys: u64) -> Vec<(&'static str, u64, usize)> {
    let count = random.pick(&[1, 1, 1, 2, 4]);
    let one = |random: &mut Random| {
        let of = random.pick(&[STATE, STATE, STATE, STATE, NOTE]);
        (of, random.below(keys), random.pick(&[10, 300, 700]))
    };
    (0..count).map(|_| one(random)).collect()
}

/// Every frame, table and chain is what a rewriting checks: another one goes through all of it.
fn rewrite_all(log: &Log) {
    for segment in log.shared.may_be_rewritten(0) {
        let drops = Drops::keeping_all(&segment);
        assert!(log.shared.rewrite(&segment, &drops).unwrap());
    }
}

#[test]
fn the_last_of_each_key_stays_and_its_forerunners_go() {
    let log = open_in(Arc::new(MemoryStorage::default()), Setup::keys(1000)).unwrap();
    let mut sent = Vec::new();
    for n in 0..120 {
        append(&log, &[(STATE, n % 3, 500)], &mut sent).unwrap();
    }
    let before = log.explain_retention();
    assert_eq!((before.dropped, before.saved_bytes), (0, 0));
    log.shared.compact().unwrap();
    let found = read(&log);
    check(&found, &sent, Seq(120));
    let last = log.segments().len() - 2;
    let old: Vec<_> = log.segments()[..last]
        .iter()
        .map(|one| one.count())
        .collect();
    let (newest, others) = old.split_last().unwrap();
    assert_eq!(*newest, 3);
    assert!(others.iter().all(|count| *count == 0), "{old:?}");
    let report = log.explain_retention();
    assert_eq!(report.dropped, 120 - found.len() as u64);
    assert!(report.saved_bytes > report.dropped * 500, "{report}");
    log.shared.compact().unwrap();
    assert_eq!(read(&log), found, "nothing is left to be done");
    rewrite_all(&log);
    assert_eq!(read(&log), found);
    log.close().unwrap();
}

#[test]
fn what_somebody_still_needs_is_not_touched() {
    let log = open_in(Arc::new(MemoryStorage::default()), Setup::keys(1000)).unwrap();
    let mut sent = Vec::new();
    for _ in 0..100 {
        append(&log, &[(STATE, 1, 500)], &mut sent).unwrap();
    }
    let needed = log.segments()[1].base_seq();
    for name in ["attached", "detached"] {
        match name {
            "attached" => log.pins().set(name, needed.next()),
            _ => log.pins().set_detached(name, needed.next()),
        }
        log.shared.compact().unwrap();
        let found = read(&log);
        let held = found.iter().filter(|one| one.0 >= needed).count();
        assert_eq!(held as u64, 100 - needed.prev().0, "{name}");
        log.pins().remove(name);
    }
    log.shared.compact().unwrap();
    assert!(log.count() < 40, "{}", log.count());
}

/// The pass has looked who needs the segment, and builds its new file: a pin that is set meanwhile counts.
#[test]
fn whoever_comes_while_a_segment_is_written_anew_finds_its_events() {
    let log = open_in(Arc::new(MemoryStorage::default()), Setup::keys(1000)).unwrap();
    let mut sent = Vec::new();
    for _ in 0..100 {
        append(&log, &[(STATE, 1, 500)], &mut sent).unwrap();
    }
    let segment = log.segments()[1].clone();
    let superseded = segment.base_seq();
    let mut drops = Drops::keeping_all(&segment);
    drops.drop(superseded, 0);
    for set in [Pins::set, Pins::set_firm, Pins::set_detached] {
        set(log.pins(), "new", segment.last_seq());
        assert!(!log.shared.rewrite(&segment, &drops).unwrap());
        assert_eq!(read(&log), sent);
    }
    let none = Drops::keeping_all(&segment);
    assert!(log.shared.rewrite(&segment, &none).unwrap());
    log.pins().remove("new");
    assert_eq!(read(&log), sent);
    let segment = log.segments()[1].clone();
    assert!(log.shared.rewrite(&segment, &drops).unwrap());
    assert!(log.get(superseded).unwrap().is_none());
}

#[test]
fn with_more_keys_than_are_remembered_less_goes_and_nothing_is_lost() {
    let mut counts = Vec::new();
    for keys_max in [0, 5, 100] {
        let log = open_in(Arc::new(MemoryStorage::default()), Setup::keys(keys_max)).unwrap();
        let mut sent = Vec::new();
        for n in 0..200 {
            append(&log, &[(STATE, n % 10, 500)], &mut sent).unwrap();
        }
        log.shared.compact().unwrap();
        check(&read(&log), &sent, Seq(200));
        counts.push(log.count());
    }
    assert!(
        counts[0] == 200 && counts[1] < 150 && counts[2] < 50,
        "{counts:?}"
    );
}

/// Random keys, batches and other types; compacted, closed, killed and opened again.
#[test]
fn whatever_is_appended_compaction_loses_nothing_that_counts() {
    for seed in 0..rounds(60) {
        let mut random = Random(seed);
        let disk = SimDisk::new();
        // A log may be compressed at one opening, and not at the next.
        let how = random.pick(&[[PLAIN; 2], [COMPRESSED; 2], [PLAIN, COMPRESSED]]);
        let mut log = open(&disk, how[0]).unwrap();
        let seen = mirror::open(&disk).unwrap();
        let mut sent = Vec::new();
        let keys = random.pick(&[1, 4, 30, 200]);
        for _ in 0..150 {
            match random.below(20) {
                0..=15 => append(&log, &batch_of(&mut random, keys), &mut sent).unwrap(),
                16 | 17 => log.shared.rewrite_what_is_due().unwrap(),
                18 => {
                    log.close().unwrap();
                    drop(log);
                    log = open(&disk, random.pick(&how)).unwrap();
                }
                _ => {
                    drop(log);
                    log = open(&disk, random.pick(&how)).unwrap();
                }
            }
            let found = read(&log);
            check(&found, &sent, log.watermark().appended());
            seen.refresh().unwrap();
            assert_eq!(read(&seen.view()), found, "seed {seed}");
        }
        rewrite_all(&log);
        check(&read(&log), &sent, log.watermark().appended());
    }
}

/// A reader in another process stands in a segment while it is rewritten, twice, and then goes on.
#[test]
fn a_reader_elsewhere_reads_on_while_segments_are_rewritten() {
    reads_on_while_segments_are_rewritten(PLAIN);
    reads_on_while_segments_are_rewritten(COMPRESSED);
}

fn reads_on_while_segments_are_rewritten(compression: Option<i32>) {
    let disk = SimDisk::new();
    let log = open(&disk, compression).unwrap();
    let mut sent = Vec::new();
    for n in 0..120 {
        append(&log, &[(STATE, n % 3, 500)], &mut sent).unwrap();
    }
    let mirror = mirror::open(&disk).unwrap();
    let mut reader = mirror.view().reader(Seq::FIRST);
    let held = mirror.view().get(Seq(2)).unwrap().unwrap();
    assert_eq!(reader.next_event().unwrap().unwrap().seq(), Seq(1));
    log.shared.compact().unwrap();
    rewrite_all(&log);
    mirror.refresh().unwrap();
    // What it has open it reads to the end.
    let end = log.segments()[0].last_seq();
    for seq in 2..=end.0 {
        assert_eq!(reader.next_event().unwrap().unwrap().seq(), Seq(seq));
    }
    assert_eq!(held.event().seq(), Seq(2));
    let next = reader.next_event().unwrap().unwrap().seq();
    let due = read(&log).iter().map(|one| one.0).find(|seq| *seq > end);
    assert_eq!(Some(next), due);
    assert!(mirror.view().get(Seq(2)).unwrap().is_none());
    assert_eq!(mirror.view().count(), log.count());
}

/// Appends, compacts, appends more, and compacts again; what was synced when the disk stopped.
fn run(disk: &SimDisk, compression: Option<i32>) -> Result<Log> {
    let log = open(disk, compression)?;
    let mut random = Random(7);
    let mut sent = Vec::new();
    for _ in 0..2 {
        for _ in 0..45 {
            append(&log, &batch_of(&mut random, 4), &mut sent)?;
        }
        log.flush()?;
        log.shared.rewrite_what_is_due()?;
    }
    Ok(log)
}

fn all_sent() -> Vec<Sent> {
    let disk = SimDisk::new();
    let log = open(&disk, PLAIN).unwrap();
    let (mut random, mut sent) = (Random(7), Vec::new());
    for _ in 0..90 {
        append(&log, &batch_of(&mut random, 4), &mut sent).unwrap();
    }
    sent
}

#[test]
fn a_crash_at_every_operation_leaves_the_old_segment_or_the_new_one() {
    crash_at_every_operation(PLAIN);
}

#[test]
#[cfg(feature = "compression")]
fn a_crash_at_every_operation_of_a_compression_leaves_the_old_segment_or_the_new_one() {
    crash_at_every_operation(COMPRESSED);
}

fn crash_at_every_operation(compression: Option<i32>) {
    let sent = all_sent();
    let whole = SimDisk::new();
    let log = run(&whole, compression).unwrap();
    let packed = log.segments().iter().any(|one| one.header.is_packed());
    assert_eq!(packed, compression.is_some());
    let twice = log
        .segments()
        .iter()
        .filter(|one| one.header.generation == 2)
        .count();
    assert!(twice > 0, "no segment was rewritten twice");
    drop(log);
    let (mut states, mut both) = (0_u64, 0_u64);
    for nth in 1..=whole.op_count() {
        let disk = SimDisk::new();
        disk.crash_at(nth);
        let shown = run(&disk, compression).map_or(Seq::ZERO, |log| log.watermark().durable());
        for kind in [CrashKind::Process, CrashKind::System] {
            for image in disk.images(kind, 6, 8, nth) {
                let shown_first = mirror_of(&image);
                let listed = image.storage().folder(names::LOG).unwrap();
                let survey = Survey::take(listed.as_ref(), None).unwrap();
                both += u64::from(survey.leftovers.iter().any(|name| !names::is_tmp(name)));
                let log = open(&image, compression)
                    .unwrap_or_else(|error| panic!("operation {nth}: {error:?}"));
                let found = read(&log);
                assert_eq!(shown_first.unwrap_or_default(), found, "operation {nth}");
                check(&found, &sent, shown.min(log.watermark().appended()));
                let left = listed.list().unwrap();
                assert!(left.iter().all(|entry| !names::is_tmp(&entry.name)));
                // Twice in a row: what a crash left is compacted anew, and opened once more.
                log.shared.rewrite_what_is_due().unwrap();
                rewrite_all(&log);
                check(&read(&log), &found, log.watermark().appended());
                let found = read(&log);
                drop(log);
                let again = image.crash(CrashKind::Process, Choice::AllKept);
                assert_eq!(read(&open(&again, compression).unwrap()), found);
                states += 1;
            }
        }
    }
    assert!(
        states > 500 && both > 10,
        "{states} states, {both} with both files"
    );
}

/// What is shown of a copy to whoever only reads; `None` where there is no log yet.
fn mirror_of(disk: &SimDisk) -> Option<Vec<Sent>> {
    let copy = disk.crash(CrashKind::Process, Choice::AllKept);
    let mirror = mirror::open(&copy).ok()?;
    Some(read(&mirror.view()))
}

/// A flipped bit in the ranges or the table never hides an event without a word.
#[test]
fn damage_in_what_is_dropped_is_no_gap() {
    let disk = SimDisk::new();
    let log = open(&disk, PLAIN).unwrap();
    let mut sent = Vec::new();
    for n in 0..100 {
        let of = if n % 4 == 0 { NOTE } else { STATE };
        append(&log, &[(of, 1, 500)], &mut sent).unwrap();
    }
    log.shared.compact().unwrap();
    let found = read(&log);
    let (name, footer) = {
        let segment = &log.segments()[0];
        (
            format!("{}/{}", names::LOG, segment.name),
            *segment.footer().unwrap(),
        )
    };
    log.close().unwrap();
    drop(log);
    let parts = [(footer.table_at(), footer.parts_end().unwrap())];
    let mut silent = Vec::new();
    for offset in parts.into_iter().flat_map(|(from, to)| from..to) {
        let copy = disk.crash(CrashKind::Process, Choice::AllKept);
        copy.corrupt(&name, offset..offset + 1, |bytes| bytes[0] ^= 0x41)
            .unwrap();
        let log = open(&copy, PLAIN).unwrap();
        let mut reader = log.reader(Seq::FIRST);
        let (mut read, mut failed) = (Vec::new(), false);
        loop {
            match reader.next_event() {
                Ok(Some(event)) => read.push(event.seq()),
                Ok(None) => break,
                Err(_) => {
                    failed = true;
                    reader.seek(reader.position().next());
                }
            }
        }
        let due: Vec<Seq> = found.iter().map(|one| one.0).collect();
        if !failed && read != due {
            silent.push(offset);
        }
    }
    assert_eq!(silent, Vec::<usize>::new());
}
