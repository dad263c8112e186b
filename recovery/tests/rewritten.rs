//! Rewritten segments, compacted and compressed ones, where they stand alone or lack what they must have.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use forelog::ErrorKind;
use forelog::inspect::{Inspector, Selector, Verdict};
use forelog::repair;

/// A golden directory, unpacked.
fn golden(name: &str, into: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1");
    unpack(&from.join(name).join("directory"), into);
    into.to_path_buf()
}

fn unpack(from: &Path, into: &Path) {
    fs::create_dir_all(into).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            unpack(&path, &into.join(name));
        } else {
            let bytes = zstd::decode_all(fs::File::open(&path).unwrap()).unwrap();
            fs::write(into.join(name.strip_suffix(".zst").unwrap()), bytes).unwrap();
        }
    }
}

fn seqs(at: &Path) -> Vec<u64> {
    let records = Inspector::open(at).unwrap().records(Selector::all());
    records
        .unwrap()
        .map(|record| record.unwrap().seq().0)
        .collect()
}

#[test]
fn one_file_of_a_rewritten_segment_is_read_as_what_it_is() {
    for name in ["compacted", "compressed"] {
        let within = tempfile::tempdir().unwrap();
        let dir = golden(name, &within.path().join("whole"));
        let file = dir.join("log/000000000003-001.seg");
        let segments = Inspector::open(&dir).unwrap().segments().unwrap();
        let segment = segments.iter().find(|one| one.segment.0 == 3).unwrap();
        let footer = segment.footer.as_ref().unwrap();
        let held: Vec<u64> = seqs(&dir)
            .into_iter()
            .filter(|seq| (footer.first_seq.0..=footer.last_seq.0).contains(seq))
            .collect();
        assert_eq!(held.len() as u64, footer.count);

        let report = Inspector::open(&file).unwrap().verify(&mut |_| {}).unwrap();
        assert_eq!(report.verdict, Verdict::Good, "{name}: {report:?}");
        assert_eq!(report.log.count, footer.count);
        assert_eq!((report.log.torn_bytes, report.log.damage_count), (0, 0));
        assert_eq!(seqs(&file), held, "{name}");
        let into = within.path().join("salvaged");
        let salvaged = repair::salvage(&file, &into, &mut |_| Ok(())).unwrap();
        assert_eq!(
            (salvaged.events, salvaged.lost),
            (footer.count, 0),
            "{name}"
        );
        assert_eq!(seqs(&into), held, "{name}");
    }
}

#[test]
fn a_rewritten_segment_without_its_footer_is_told_of_by_whoever_follows() {
    for name in ["compacted", "compressed"] {
        let within = tempfile::tempdir().unwrap();
        let dir = golden(name, within.path());
        let whole = seqs(&dir);
        let file = dir.join("log/000000000003-001.seg");
        let mut bytes = fs::read(&file).unwrap();
        let trailer = bytes.len() - 512;
        bytes[trailer..].fill(0);
        fs::write(&file, bytes).unwrap();
        let mut follow = Inspector::open(&dir)
            .unwrap()
            .follow(Selector::all())
            .unwrap();
        let (mut read, mut errors) = (Vec::new(), 0);
        loop {
            match follow.poll() {
                Ok(None) => break,
                Ok(Some(event)) => read.push(event.seq().0),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
                    errors += 1;
                    assert!(errors < 1000, "{name}: {error} without end");
                }
            }
        }
        assert!(
            errors > 0,
            "{name}: {} of {} in silence",
            read.len(),
            whole.len()
        );
        assert!(read.iter().all(|seq| whole.contains(seq)));
    }
}

#[test]
fn a_log_that_ends_in_a_rewritten_segment_keeps_all_of_it_when_it_is_repaired() {
    for name in ["compacted", "compressed"] {
        let within = tempfile::tempdir().unwrap();
        let dir = golden(name, within.path());
        let log = dir.join("log");
        for entry in fs::read_dir(&log).unwrap() {
            let path = entry.unwrap().path();
            let is_later = path.file_name().unwrap().to_str().unwrap() > "000000000004";
            if is_later && path.is_file() {
                fs::remove_file(path).unwrap();
            }
        }
        let left = seqs_that_can_be_read(&dir);
        assert!(left.len() > 100, "{name}: {}", left.len());
        repair::apply(&dir, &mut |_| Ok(())).unwrap();
        let held = seqs(&dir);
        assert!(left.iter().all(|seq| held.contains(seq)), "{name}");
    }
}

fn seqs_that_can_be_read(at: &Path) -> Vec<u64> {
    let records = Inspector::open(at).unwrap().records(Selector::all());
    records
        .unwrap()
        .flatten()
        .map(|record| record.seq().0)
        .collect()
}
