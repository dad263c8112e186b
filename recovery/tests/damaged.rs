//! Every damaged directory of the corpus: looked at, repaired, salvaged.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod corpus;

use std::collections::BTreeSet;
use std::path::Path;

use corpus::{COUNT, bytes_below, each, event, events, open};
use forelog::inspect::{Inspector, Verdict, VerifyReport};
use forelog::repair::{self, RepairReport};
use forelog::{Error, ErrorKind, Seq};

fn verify(dir: &Path) -> VerifyReport {
    let inspector = Inspector::open(dir).unwrap();
    inspector.verify(&mut |_| {}).unwrap()
}

fn apply(dir: &Path) -> RepairReport {
    repair::apply(dir, &mut |_| Ok(())).unwrap()
}

/// The Seqs that hold no event, as it is declared.
fn declared(dir: &Path, report: &VerifyReport) -> BTreeSet<u64> {
    let segments = Inspector::open(dir).unwrap().segments().unwrap();
    let headers = segments.iter().filter_map(|at| at.header.as_ref());
    let gaps = headers.map(|at| at.prev_last_seq.0 + 1..at.base_seq.0.min(2 * COUNT));
    let lost = report.log.lost_seqs.iter();
    let lost = lost.map(|gap| gap.from.0..gap.to.0 + 1);
    gaps.chain(lost).flatten().collect()
}

/// Each Seq from the first to the last is there or declared, and each event is the one that it was.
fn check_whole(name: &str, dir: &Path) {
    let (held, report) = (events(dir), verify(dir));
    assert_eq!(report.verdict, Verdict::Good, "{name}: {report:?}");
    let mut seqs = declared(dir, &report);
    for (seq, found) in &held {
        assert!(
            seqs.insert(seq.0),
            "{name}: Seq {seq} is there and declared"
        );
        if seq.0 <= COUNT {
            assert_eq!(*found, event(seq.0), "{name}");
        }
    }
    let missing = (1..=COUNT).filter(|seq| !seqs.contains(seq)).count() as u64;
    // Of what compaction has dropped the report has the count.
    assert_eq!(
        missing, report.log.dropped,
        "{name}: are neither there nor declared"
    );
}

#[test]
fn a_repair_keeps_all_that_can_be_read_and_declares_the_rest() {
    let within = tempfile::tempdir().unwrap();
    each(within.path(), |name, dir| {
        let (before, bytes) = (events(dir), bytes_below(dir));
        let plan = repair::plan(dir, &mut |_| Ok(())).unwrap();
        assert_eq!(bytes_below(dir), bytes, "{name}: a plan writes nothing");
        let report = apply(dir);
        assert!(report.remains.is_empty(), "{name}: {report:?}");
        assert_eq!(report.verdict, Verdict::Good, "{name}: {report:?}");
        assert_eq!(report.events, plan.events, "{name}: {plan:?}");
        let after = events(dir);
        for (seq, event) in &before {
            assert_eq!(after.get(seq), Some(event), "{name}: Seq {seq}");
        }
        check_whole(name, dir);
        let (bytes, again) = (bytes_below(dir), apply(dir));
        assert!(again.steps.is_empty(), "{name}: {again:?}");
        assert_eq!(bytes_below(dir), bytes, "{name}: twice is once");
        let system = open(dir);
        let next = system.emit(event(COUNT + 1)).unwrap().seq;
        system.close().unwrap();
        assert!(next > Seq(COUNT), "{name}: Seq {next} was used before");
        check_whole(name, dir);
    });
}

#[test]
fn what_a_repair_replaces_is_kept() {
    let within = tempfile::tempdir().unwrap();
    each(within.path(), |name, dir| {
        let log = bytes_below(dir);
        let log = log
            .into_iter()
            .filter(|(path, _)| path.starts_with(dir.join("log")));
        let held: Vec<Vec<u8>> = log.map(|(_, bytes)| bytes).collect();
        if repair::plan(dir, &mut |_| Ok(())).unwrap().lost == 0 {
            return;
        }
        apply(dir);
        let after: BTreeSet<Vec<u8>> = bytes_below(dir).into_values().collect();
        for bytes in held {
            let is_blank = bytes.iter().all(|&byte| byte == 0);
            // The last segment of a log that is in order grows or is sealed.
            let is_kept = after.contains(&bytes) || is_blank || name.starts_with("killed");
            let grown = || {
                after
                    .iter()
                    .any(|other| bytes.len() > 4096 && other.starts_with(&bytes[..4096]))
            };
            assert!(is_kept || grown(), "{name}: {} bytes are gone", bytes.len());
        }
    });
}

#[test]
fn a_repair_that_is_cut_off_anywhere_goes_on_to_the_same_end() {
    let within = tempfile::tempdir().unwrap();
    let harms = ["everything", "both_flipped", "swapped"];
    each(within.path(), |name, dir| {
        if !harms.contains(&name) {
            return;
        }
        let whole = tempfile::tempdir().unwrap();
        corpus::copy(dir, whole.path());
        let due = apply(whole.path());
        for stop in 0.. {
            let cut = tempfile::tempdir().unwrap();
            corpus::copy(dir, cut.path());
            let mut steps = 0;
            let stopped = repair::apply(cut.path(), &mut |_| {
                steps += 1;
                if steps > stop {
                    return Err(Error::new(ErrorKind::Io, "the power is cut"));
                }
                Ok(())
            });
            let is_whole = stopped.is_ok();
            let report = apply(cut.path());
            assert_eq!(
                report.verdict,
                Verdict::Good,
                "{name} at {stop}: {report:?}"
            );
            assert_eq!(report.events, due.events, "{name} at {stop}");
            assert_eq!(events(cut.path()), events(whole.path()), "{name} at {stop}");
            check_whole(name, cut.path());
            if is_whole {
                assert!(stop > 5, "{name}: {stop} steps");
                break;
            }
        }
    });
}

#[test]
fn a_salvage_has_all_that_a_repair_keeps_under_the_same_seqs() {
    let within = tempfile::tempdir().unwrap();
    each(within.path(), |name, dir| {
        let bytes = bytes_below(dir);
        let target = tempfile::tempdir().unwrap();
        let into = target.path().join("new");
        let report = repair::salvage(dir, &into, &mut |_| Ok(())).unwrap();
        assert_eq!(bytes_below(dir), bytes, "{name}: the source is not changed");
        assert_eq!(report.events, events(&into).len() as u64, "{name}");
        check_whole(name, &into);
        apply(dir);
        assert_eq!(events(dir), events(&into), "{name}");
        let again = repair::salvage(dir, &into, &mut |_| Ok(())).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Invalid, "{name}: {again}");
    });
}

#[test]
fn handlers_are_told_of_the_gap_and_keep_their_place() {
    let within = tempfile::tempdir().unwrap();
    each(within.path(), |name, dir| {
        if name != "frame_flipped" && name != "missing" {
            return;
        }
        let lost = apply(dir).steps.iter().map(|step| step.lost).sum::<u64>();
        let seen = std::sync::Arc::new(std::sync::Mutex::new((0_u64, 0_u64)));
        let system = open(dir);
        let told = Told(seen.clone());
        let all = forelog::Subscription::named("all").start(forelog::Start::Beginning);
        system.register_handler(all, told).unwrap();
        system.start().unwrap();
        system.drain(None).unwrap();
        let cursors = verify(dir).subscriptions;
        system.close().unwrap();
        let (handled, skipped) = *seen.lock().unwrap();
        assert_eq!((handled, skipped), (COUNT - lost, lost), "{name}");
        assert!(
            cursors
                .iter()
                .any(|one| one.name == "billing" && one.cursor == Seq(COUNT))
        );
    });
}

/// What the damage has not touched is there: compressed frames without a header, behind another generation.
#[test]
fn compressed_events_whose_bytes_are_whole_are_all_kept() {
    let within = tempfile::tempdir().unwrap();
    let mut looked = 0;
    each(within.path(), |name, dir| {
        if [
            "compressed_header",
            "compressed_generations",
            "compressed_table",
        ]
        .contains(&name)
        {
            apply(dir);
            assert_eq!(events(dir).len() as u64, COUNT, "{name}");
            looked += 1;
        }
    });
    assert_eq!(looked, 3);
}

/// Behind a repair the last but one segment is a rewritten one: a failed sync makes nobody read it as if it
/// were not.
#[test]
fn a_failed_sync_behind_a_repair_leaves_the_log_readable() {
    let within = tempfile::tempdir().unwrap();
    each(within.path(), |name, dir| {
        if name != "newest_flipped" {
            return;
        }
        apply(dir);
        let system = open(dir);
        let next = system.emit(event(COUNT + 1)).unwrap().seq;
        system.close().unwrap();
        let before = events(dir);
        std::fs::write(dir.join("log/poisoned"), "").unwrap();
        let system = open(dir);
        assert!(system.store().get(next).unwrap().is_some());
        system.close().unwrap();
        for (seq, event) in &before {
            assert_eq!(events(dir).get(seq), Some(event), "Seq {seq}");
        }
    });
}

/// A segment is rewritten only while another one stands behind it: if that is gone, the log is not taken for
/// one that a crash has cut short.
#[test]
fn a_log_that_ends_in_a_rewritten_segment_is_refused() {
    let within = tempfile::tempdir().unwrap();
    each(within.path(), |name, dir| {
        if name != "compacted" && name != "compressed" {
            return;
        }
        std::fs::remove_dir_all(dir.join("control")).unwrap();
        for entry in std::fs::read_dir(dir.join("log")).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            if file.as_str() > "000000000002-001.seg" {
                std::fs::remove_file(path).unwrap();
            }
        }
        let builder = forelog::EventSystem::builder().persistence_path(dir);
        let error = builder.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingSegment, "{name}: {error}");
    });
}

#[test]
fn a_segment_with_lost_events_can_be_compacted() {
    let within = tempfile::tempdir().unwrap();
    each(within.path(), |name, dir| {
        if name != "frames_flipped" && name != "compacted_frames" {
            return;
        }
        apply(dir);
        let lost = verify(dir).log.lost_seqs;
        assert!(lost.len() > 1, "{name}");
        let system = corpus::keeping_last(dir);
        corpus::wait_for_compaction(&system, COUNT / 4);
        system.close().unwrap();
        let report = verify(dir);
        assert_eq!(report.log.lost_seqs, lost, "{name}: {report:?}");
        check_whole(name, dir);
    });
}

struct Told(std::sync::Arc<std::sync::Mutex<(u64, u64)>>);

impl forelog::Handler for Told {
    fn handle(&mut self, _: &forelog::Delivery<'_>) -> forelog::Outcome {
        self.0.lock().unwrap().0 += 1;
        forelog::Outcome::Ack
    }

    fn skipped(&mut self, gap: forelog::Gap) {
        self.0.lock().unwrap().1 += gap.to.next().since(gap.from);
    }
}

#[test]
fn what_stands_in_place_of_the_lock_file_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path());
    system.close().unwrap();
    std::fs::remove_file(dir.path().join("LOCK")).unwrap();
    std::fs::create_dir(dir.path().join("LOCK")).unwrap();
    let plan = repair::plan(dir.path(), &mut |_| Ok(())).unwrap();
    let refused = plan.refused.unwrap();
    assert!(refused.contains("lock file"), "{refused}");
    assert!(dir.path().join("LOCK").is_dir(), "a plan changes nothing");
}
