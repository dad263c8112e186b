//! What stands in a salvage's target, and who else writes there.

use std::fs;

use super::*;
use crate::error::{Error, ErrorKind};

/// The target of a salvage that was cut off once its folder was there.
fn cut_off(dir: &Path, target: &Path) {
    for stop in 0.. {
        let mut steps = 0;
        let stopped = salvage(dir, target, &mut |_| {
            steps += 1;
            let cut = || Error::new(ErrorKind::Io, "the power is cut");
            if steps > stop { Err(cut()) } else { Ok(()) }
        });
        stopped.unwrap_err();
        if target.join("log.salvaging").exists() {
            return;
        }
    }
}

#[test]
fn a_second_salvage_into_a_target_is_refused_and_takes_nothing_from_the_first() {
    let (dir, target) = (whole(), tempfile::tempdir().unwrap());
    let mut refused = 0;
    salvage(dir.path(), target.path(), &mut |_| {
        let begun = target.path().join("log.salvaging");
        let held = || fs::read_dir(&begun).map_or(0, Iterator::count);
        let before = held();
        let error = salvage(dir.path(), target.path(), &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
        assert_eq!(held(), before);
        refused += 1;
        Ok(())
    })
    .unwrap();
    assert!(refused > 0);
    check_held(target.path(), &BTreeSet::new(), "salvaged");
}

#[test]
fn a_salvage_that_is_begun_again_has_nothing_of_the_first() {
    let (dir, target) = (whole(), tempfile::tempdir().unwrap());
    cut_off(dir.path(), target.path());
    let stale = [
        "log.salvaging/000000000009-000.seg",
        "control/000000000009-000.seg",
        "schedule/00000000-0000-0000-0000-000000000007.scheduled",
        "snapshots/count.1.00000000000000000042.snapshot",
    ];
    for file in stale {
        let file = target.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "of an earlier one").unwrap();
    }
    salvage(dir.path(), target.path(), &mut |_| Ok(())).unwrap();
    for file in stale {
        let file = file.replace("log.salvaging", "log");
        assert!(!target.path().join(&file).exists(), "{file}");
    }
    check_held(target.path(), &BTreeSet::new(), "salvaged");
}

#[test]
fn what_no_salvage_has_made_stays_as_it_is() {
    let (dir, target) = (whole(), tempfile::tempdir().unwrap());
    let file = target.path().join("control/mine");
    fs::create_dir(target.path().join("control")).unwrap();
    fs::write(&file, "mine").unwrap();
    let error = salvage(dir.path(), target.path(), &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert!(!target.path().join("LOCK").exists(), "nothing was written");
}

#[cfg(unix)]
#[test]
fn a_salvage_follows_no_link_in_its_target() {
    use std::os::unix::fs::symlink;
    let (dir, target) = (whole(), tempfile::tempdir().unwrap());
    let outside = tempfile::tempdir().unwrap();
    let mine = outside.path().join("mine");
    fs::write(&mine, "mine").unwrap();
    cut_off(dir.path(), target.path());
    let control = fs::read_dir(dir.path().join("control")).unwrap();
    let control = control.map(|entry| entry.unwrap().file_name());
    let names = control.map(|name| target.path().join("control").join(name));
    let segment = target.path().join("log.salvaging/000000000001-000.seg");
    for name in names.chain([segment]) {
        fs::create_dir_all(name.parent().unwrap()).unwrap();
        let _none_is_fine = fs::remove_file(&name);
        symlink(&mine, &name).unwrap();
    }
    salvage(dir.path(), target.path(), &mut |_| Ok(())).unwrap();
    assert_eq!(fs::read(&mine).unwrap(), b"mine");
    check_held(target.path(), &BTreeSet::new(), "salvaged");
}
