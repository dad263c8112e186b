//! Each rule of the simulated disk, shown.

use std::collections::BTreeSet;
use std::io;

use super::file::SECTOR;
use super::*;
use crate::error::ErrorKind;
use crate::storage::Region;

const LEN: usize = 8 * SECTOR;

fn publish(region: &Arc<Region>, bytes: &[u8]) {
    let mut writer = region.writer(Arc::new(())).unwrap();
    let mut claim = writer.claim(bytes.len()).unwrap();
    claim.bytes_mut().copy_from_slice(bytes);
    claim.publish(|(), _| {}).unwrap();
}

/// A disk with a file `a` whose zeros and name are durable.
fn disk_with_a() -> (SimDisk, Arc<Region>) {
    let disk = SimDisk::new();
    let storage = disk.storage();
    let region = storage.create("a", LEN).unwrap();
    region.sync().unwrap();
    storage.sync_dir().unwrap();
    (disk, Arc::new(region))
}

fn system(disk: &SimDisk, choice: Choice) -> SimDisk {
    disk.crash(CrashKind::System, choice)
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.files().into_iter().map(|(path, _)| path).collect()
}

/// The first byte of each sector of `a`.
fn firsts(disk: &SimDisk) -> Vec<u8> {
    let bytes = disk.read_file("a").unwrap();
    bytes.chunks(SECTOR).map(|sector| sector[0]).collect()
}

fn all(disk: &SimDisk) -> Images {
    disk.images(CrashKind::System, 12, 0, 0)
}

#[test]
fn a_system_crash_loses_keeps_or_tears_what_was_not_synced() {
    let (disk, region) = disk_with_a();
    publish(&region, &[1; 2 * SECTOR]);
    assert_eq!(firsts(&system(&disk, Choice::AllLost))[..2], [0, 0]);
    assert_eq!(firsts(&system(&disk, Choice::AllKept))[..2], [1, 1]);
    assert_eq!(firsts(&system(&disk, Choice::OnlyKept(1)))[..2], [0, 1]);
    assert_eq!(firsts(&system(&disk, Choice::OnlyLost(1)))[..2], [1, 0]);
    region.sync().unwrap();
    assert_eq!(firsts(&system(&disk, Choice::AllLost))[..2], [1, 1]);
}

#[test]
fn a_sector_may_survive_as_it_was_at_any_operation_since_the_sync() {
    let (disk, region) = disk_with_a();
    publish(&region, &[1; 8]);
    disk.storage().remove("absent").unwrap();
    publish(&region, &[2; 8]);
    disk.observe();
    publish(&region, &[3; 8]);
    let seen: BTreeSet<Vec<u8>> = all(&disk)
        .map(|image| image.read_file("a").unwrap()[..32].to_vec())
        .collect();
    let legal = |end: usize| {
        let mut bytes = [[1; 8], [2; 8], [3; 8], [0; 8]].concat();
        bytes[end..].fill(0);
        bytes
    };
    assert_eq!(seen, [0, 8, 16, 24].map(legal).into());
}

#[test]
fn bytes_that_are_claimed_and_not_published_are_never_written() {
    let (disk, region) = disk_with_a();
    let mut writer = region.writer(Arc::new(())).unwrap();
    let mut claim = writer.claim(SECTOR).unwrap();
    claim.bytes_mut().fill(7);
    region.sync().unwrap();
    assert_eq!(firsts(&disk)[0], 0);
    assert_eq!(firsts(&system(&disk, Choice::AllKept))[0], 0);
    claim.publish(|(), _| {}).unwrap();
    assert_eq!(firsts(&disk)[0], 7);
}

#[test]
fn a_process_crash_keeps_all_and_leaves_it_pending() {
    let (disk, region) = disk_with_a();
    publish(&region, &[1; SECTOR]);
    disk.storage().write("b", b"bytes").unwrap();
    let mut images = disk.images(CrashKind::Process, 12, 0, 0);
    let after = images.next().unwrap();
    assert!(images.next().is_none());
    assert_eq!(names(&after), ["a", "b"]);
    assert_eq!(firsts(&after)[0], 1);
    assert_eq!(after.storage().boot_id(), disk.storage().boot_id());

    let later = system(&after, Choice::AllLost);
    assert_eq!(names(&later), ["a"]);
    assert_eq!(firsts(&later)[0], 0);
    assert_ne!(later.storage().boot_id(), disk.storage().boot_id());
}

#[test]
fn an_image_can_be_opened_written_and_crashed_again() {
    let (disk, region) = disk_with_a();
    publish(&region, &[1; SECTOR]);
    let image = system(&disk, Choice::AllKept);
    let mut again = image.storage().open("a").unwrap();
    assert!(again.bytes().is_empty());
    assert_eq!(again.len(), LEN);
    again.adopt(SECTOR).unwrap();
    assert_eq!(again.bytes(), [1; SECTOR]);
    let again = Arc::new(again);
    publish(&again, &[2; SECTOR]);
    let mut read = [0; 2 * SECTOR];
    again.read_at(0, &mut read).unwrap();
    assert_eq!([read[0], read[SECTOR]], [1, 2]);
    assert_eq!(firsts(&system(&image, Choice::AllLost))[..3], [1, 0, 0]);
    assert_eq!(firsts(&system(&image, Choice::AllKept))[..3], [1, 2, 0]);
    assert_eq!(firsts(&disk)[..2], [1, 0], "the first disk is untouched");
}

#[test]
fn bytes_written_again_after_a_second_adoption_are_seen() {
    let (disk, region) = disk_with_a();
    publish(&region, &[1; 2 * SECTOR]);
    drop(region);
    let mut region = disk.storage().open("a").unwrap();
    region.adopt(2 * SECTOR).unwrap();
    disk.observe();
    region.adopt(SECTOR).unwrap();
    publish(&Arc::new(region), &[2; SECTOR]);
    assert_eq!(firsts(&disk)[..3], [1, 2, 0]);
}

#[test]
fn a_file_is_mapped_for_writing_once_and_for_reading_often() {
    let (disk, region) = disk_with_a();
    let storage = disk.storage();
    assert_eq!(storage.open("a").unwrap_err().kind(), ErrorKind::Io);
    let mut reader = storage.open_read_only("a").unwrap();
    reader.adopt(LEN).unwrap();
    drop(region);
    assert_eq!(storage.open("a").unwrap().len(), LEN);
}

#[test]
fn names_are_lost_or_kept_one_by_one_until_the_folder_is_synced() {
    let disk = SimDisk::new();
    let storage = disk.storage();
    storage.write("a", b"a").unwrap();
    storage.write("b", b"b").unwrap();
    let seen: BTreeSet<Vec<String>> = all(&disk).map(|image| names(&image)).collect();
    let legal: [&[&str]; 4] = [&[], &["a"], &["b"], &["a", "b"]];
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(seen, legal.map(owned).into());
    storage.sync_dir().unwrap();
    assert_eq!(names(&system(&disk, Choice::AllLost)), ["a", "b"]);
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one_at_every_crash_point() {
    let prepare = || {
        let disk = SimDisk::new();
        disk.storage().replace("a", &[1; 700]).unwrap();
        disk
    };
    let (before, after) = {
        let disk = prepare();
        let before = disk.op_count();
        disk.storage().replace("a", &[2; 900]).unwrap();
        (before, disk.op_count())
    };
    assert_eq!(after - before, 4, "write, sync, rename, sync_dir");
    let mut seen = BTreeSet::new();
    for point in before + 1..=after + 1 {
        let disk = prepare();
        disk.crash_at(point);
        let is_done = disk.storage().replace("a", &[2; 900]).is_ok();
        assert_eq!(is_done, point > after);
        for image in all(&disk) {
            let bytes = image.storage().read("a").unwrap().unwrap();
            let is_new = bytes == [2; 900];
            assert!(is_new || bytes == [1; 700], "{}", image.describe());
            assert!(is_new || !is_done, "{}", image.describe());
            seen.insert((point - before, is_new));
        }
    }
    assert_eq!(
        seen,
        [
            (1, false),
            (2, false),
            (3, false),
            (4, false),
            (4, true),
            (5, true)
        ]
        .into()
    );
}

#[test]
fn a_removed_file_whose_removal_is_lost_has_its_durable_bytes() {
    let (disk, region) = disk_with_a();
    publish(&region, &[1; SECTOR]);
    region.sync().unwrap();
    publish(&region, &[2; SECTOR]);
    disk.storage().remove("a").unwrap();
    assert!(names(&disk).is_empty());
    assert!(names(&system(&disk, Choice::AllKept)).is_empty());
    assert_eq!(firsts(&system(&disk, Choice::AllLost))[..3], [1, 0, 0]);
}

#[test]
fn a_region_works_on_after_its_file_was_renamed_or_removed() {
    let (disk, region) = disk_with_a();
    let storage = disk.storage();
    storage.rename("a", "b").unwrap();
    publish(&region, &[1; SECTOR]);
    region.sync().unwrap();
    assert_eq!(disk.read_file("b").unwrap()[0], 1);
    storage.remove("b").unwrap();
    storage.sync_dir().unwrap();
    publish(&region, &[2; SECTOR]);
    region.sync().unwrap();
    let mut read = [0; 1];
    region.read_at(SECTOR, &mut read).unwrap();
    assert_eq!(read, [2]);
    assert!(names(&disk).is_empty());
}

#[test]
fn a_new_file_that_was_never_synced_may_be_empty_or_whole() {
    let disk = SimDisk::new();
    let region = disk.storage().create("a", LEN).unwrap();
    let region = Arc::new(region);
    publish(&region, &[1; SECTOR]);
    let found = |image: SimDisk| {
        let files = image.files();
        files
            .first()
            .map(|(_, bytes)| (bytes.len(), bytes.first().copied()))
    };
    let seen: Vec<_> = all(&disk).map(found).collect();
    assert_eq!(
        seen.len(),
        4,
        "no name, no length, whole with or without the sector"
    );
    let legal = [
        None,
        Some((0, None)),
        Some((LEN, Some(0))),
        Some((LEN, Some(1))),
    ];
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), legal.into());

    let empty = system(&disk, Choice::Digits(vec![1, 0, 0]));
    let error = empty.storage().open("a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
}

#[test]
fn a_new_folder_is_durable_and_its_files_are_not() {
    let disk = SimDisk::new();
    let log = disk.storage().folder("log").unwrap();
    log.write("a", b"1").unwrap();
    assert_eq!(names(&disk), ["log/a"]);
    assert!(
        disk.storage().list().unwrap().is_empty(),
        "folders are not listed"
    );
    let image = system(&disk, Choice::AllLost);
    assert!(
        image
            .storage()
            .folder("log")
            .unwrap()
            .list()
            .unwrap()
            .is_empty()
    );
    assert_eq!(image.op_count(), 2, "it is synced although it was there");

    disk.fail(OpKind::SyncDir, 1, io::ErrorKind::Other, Times::Once);
    disk.storage().folder("new").unwrap_err();
    disk.storage()
        .folder("new")
        .unwrap()
        .write("b", b"2")
        .unwrap();
    assert_eq!(names(&system(&disk, Choice::AllLost)), Vec::<String>::new());
    assert_eq!(names(&system(&disk, Choice::AllKept)), ["log/a", "new/b"]);
    disk.storage().write("file", b"").unwrap();
    let error = disk.storage().folder("file").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotRegular);
}

#[test]
fn after_a_failed_sync_the_next_one_says_ok_and_the_bytes_are_gone() {
    let (disk, region) = disk_with_a();
    publish(&region, &[1; SECTOR + 8]);
    disk.fail(OpKind::Sync, 1, io::ErrorKind::Other, Times::Once);
    assert_eq!(region.sync().unwrap_err().kind(), ErrorKind::Io);
    publish(&region, &[2; 8]);
    region.sync().unwrap();
    assert_eq!(firsts(&disk)[..2], [1, 1], "the cache still shows them");
    let image = system(&disk, Choice::AllLost);
    assert_eq!(
        firsts(&image)[..2],
        [0, 1],
        "only the sector that changed again was written"
    );

    let restarted = disk.crash(CrashKind::Process, Choice::AllKept);
    let reopened = restarted.storage().open("a").unwrap();
    reopened.sync().unwrap();
    assert_eq!(firsts(&restarted)[0], 1);
    assert_eq!(firsts(&system(&restarted, Choice::AllLost))[0], 0);
}

#[test]
fn a_small_file_whose_sync_fails_is_not_left_behind() {
    let disk = SimDisk::new();
    disk.fail(OpKind::Sync, 2, io::ErrorKind::Other, Times::FromThenOn);
    disk.storage().write("a", b"1").unwrap();
    disk.storage().write("b", b"2").unwrap_err();
    disk.storage().write("b", b"2").unwrap_err();
    assert_eq!(names(&disk), ["a"]);
}

#[test]
fn planned_faults_strike_the_operation_they_name() {
    let disk = SimDisk::new();
    let storage = disk.storage();
    for (op, error) in [
        (OpKind::Create, io::ErrorKind::StorageFull),
        (OpKind::Write, io::ErrorKind::StorageFull),
        (OpKind::Rename, io::ErrorKind::PermissionDenied),
        (OpKind::Remove, io::ErrorKind::ReadOnlyFilesystem),
        (OpKind::SyncDir, io::ErrorKind::Other),
        (OpKind::Open, io::ErrorKind::PermissionDenied),
        (OpKind::Read, io::ErrorKind::Other),
    ] {
        disk.fail(op, 1, error, Times::Once);
    }
    let kinds = [
        storage.create("a", 1).err(),
        storage.write("a", b"1").err(),
        storage.rename("a", "b").err(),
        storage.remove("a").err(),
        storage.sync_dir().err(),
        storage.open("a").err(),
        storage.read("a").err(),
    ]
    .map(|error| error.unwrap().kind());
    let (full, denied) = (ErrorKind::NoSpace, ErrorKind::PermissionDenied);
    let other = ErrorKind::Io;
    assert_eq!(
        kinds,
        [
            full,
            full,
            denied,
            ErrorKind::ReadOnly,
            other,
            denied,
            other
        ]
    );
    storage.write("a", b"1").unwrap();
    storage.rename("a", "b").unwrap();
    storage.sync_dir().unwrap();
    assert_eq!(names(&disk), ["b"]);
}

#[test]
fn a_full_disk_takes_no_new_file_and_leaves_none() {
    let (disk, region) = disk_with_a();
    disk.set_capacity(LEN as u64 + 10);
    let storage = disk.storage();
    let error = storage.create("b", 11).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert_eq!(
        storage.write("b", &[0; 11]).unwrap_err().kind(),
        ErrorKind::NoSpace
    );
    assert_eq!(names(&disk), ["a"]);
    storage.write("b", &[0; 10]).unwrap();
    storage.remove("a").unwrap();
    storage.write("c", b"1").unwrap_err();
    drop(region);
    storage.write("c", b"1").unwrap();
}

#[test]
fn from_the_crash_point_on_nothing_changes() {
    let (disk, region) = disk_with_a();
    publish(&region, &[1; SECTOR]);
    disk.crash_at(disk.op_count() + 1);
    publish(&region, &[2; SECTOR]);
    let error = region.sync().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("simulated crash"), "{error}");
    assert!(disk.is_stopped());
    publish(&region, &[3; SECTOR]);
    let storage = disk.storage();
    storage.write("b", b"1").unwrap_err();
    storage.read("a").unwrap_err();
    storage.list().unwrap_err();
    region.read_at(0, &mut [0]).unwrap_err();
    drop(region);
    let kept = disk.crash(CrashKind::Process, Choice::AllKept);
    assert_eq!(firsts(&kept)[..4], [1, 2, 0, 0]);
    assert_eq!(firsts(&system(&disk, Choice::AllLost))[..4], [0, 0, 0, 0]);
    assert_eq!(names(&kept), ["a"]);
    kept.storage().open("a").unwrap().sync().unwrap();
}

#[test]
fn ignored_syncs_make_nothing_durable() {
    let (disk, region) = disk_with_a();
    disk.ignore_syncs(true);
    publish(&region, &[1; SECTOR]);
    region.sync().unwrap();
    disk.storage().replace("b", b"1").unwrap();
    let image = system(&disk, Choice::AllLost);
    assert_eq!(names(&image), ["a"]);
    assert_eq!(firsts(&image)[0], 0);
}

#[test]
fn a_punched_hole_reads_as_zeros_and_may_be_lost() {
    let (disk, region) = disk_with_a();
    publish(&region, &[1; 3 * SECTOR]);
    region.sync().unwrap();
    region.punch_hole(SECTOR, SECTOR).unwrap();
    assert_eq!(firsts(&disk)[..3], [1, 0, 1]);
    assert_eq!(firsts(&system(&disk, Choice::AllLost))[..3], [1, 1, 1]);
    region.sync().unwrap();
    assert_eq!(firsts(&system(&disk, Choice::AllLost))[..3], [1, 0, 1]);
}

#[test]
fn all_images_are_enumerated_when_few_and_sampled_when_many() {
    let (disk, region) = disk_with_a();
    assert_eq!(all(&disk).count(), 1);
    publish(&region, &[1; 2 * SECTOR]);
    assert_eq!(all(&disk).count(), 4);
    disk.observe();
    publish(&region, &[2; SECTOR / 2]);
    disk.observe();
    publish(&region, &[2; SECTOR / 2]);
    assert_eq!(
        all(&disk).count(),
        12,
        "two sectors of two versions, one of three"
    );
    disk.storage().rename("a", "b").unwrap();
    assert_eq!(all(&disk).count(), 24);

    let seed = 42;
    let sample = || disk.images(CrashKind::System, 4, 20, seed);
    let bytes = |image: &SimDisk| image.files();
    let first: Vec<_> = sample().map(|image| bytes(&image)).collect();
    let second: Vec<_> = sample().map(|image| bytes(&image)).collect();
    assert_eq!(first, second, "seed {seed}");
    assert!((10..=20).contains(&first.len()), "{}", first.len());
    assert_eq!(first[0], bytes(&system(&disk, Choice::AllLost)));
    assert_eq!(first[1], bytes(&system(&disk, Choice::AllKept)));
    let distinct: BTreeSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), first.len(), "seed {seed}");
}

#[test]
fn a_sampled_image_can_be_made_again_from_its_description() {
    let (disk, region) = disk_with_a();
    publish(&region, &[1; LEN]);
    let image = disk.images(CrashKind::System, 2, 30, 7).last().unwrap();
    let told = image.describe();
    let seed = told
        .split("Seed(")
        .nth(1)
        .and_then(|rest| rest.split(')').next());
    let seed = seed.expect(&told).parse().unwrap();
    assert_eq!(system(&disk, Choice::Seed(seed)).files(), image.files());
    assert!(
        told.contains("operation 3 (SyncDir): system crash"),
        "{told}"
    );
    assert!(told.contains("a sector 7: "), "{told}");
    let twice = system(&image, Choice::AllLost).describe();
    assert!(twice.starts_with(&told), "{twice}");
}

#[test]
fn an_operator_can_change_the_disk_durably() {
    let (disk, region) = disk_with_a();
    publish(&region, &[1; 2 * SECTOR]);
    drop(region);
    disk.corrupt("a", 0..1, |bytes| bytes[0] ^= 0xFF).unwrap();
    disk.copy_file("a", "b").unwrap();
    disk.set_len("b", SECTOR).unwrap();
    let image = system(&disk, Choice::AllLost);
    assert_eq!(firsts(&image)[..2], [0xFE, 0]);
    assert_eq!(image.read_file("b").unwrap().len(), SECTOR);
    assert_eq!(image.read_file("b").unwrap()[0], 0xFE);
    disk.remove_file("a").unwrap();
    disk.write_file("c", b"foreign").unwrap();
    assert_eq!(names(&system(&disk, Choice::AllLost)), ["b", "c"]);
    assert_eq!(
        disk.remove_file("a").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(disk.write_file("absent/x", b"").is_err());
}

#[test]
fn a_file_cut_under_its_region_is_noticed() {
    let (disk, region) = disk_with_a();
    disk.set_len("a", SECTOR).unwrap();
    assert_eq!(region.check_len().unwrap_err().kind(), ErrorKind::Truncated);
}
