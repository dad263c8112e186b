//! The fuzz targets: what each does with an input. The decoders are called as they are; a directory is one of
//! the golden ones, changed as the input says, and then read, repaired, salvaged and opened.

mod mutate;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use forelog::inspect::{Inspector, Selector};
use forelog::repair;
use forelog::testing::fuzz;
use forelog::{Event, EventStore, EventSystem};

pub use mutate::{Random, mutated};

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 6] = [
    ("frame", fuzz::frame),
    ("record", fuzz::record),
    ("cursor", fuzz::cursor),
    ("snapshot", fuzz::snapshot),
    ("segment", fuzz::segment),
    ("directory", directory),
];

/// Runs a target.
///
/// # Panics
/// If there is none of this name, and where the engine panics.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.0 == name);
    target
        .unwrap_or_else(|| panic!("there is no target {name}"))
        .1(input);
}

/// The files of a directory, by their path in it.
pub type Files = Vec<(String, Vec<u8>)>;

/// The golden directories of format v1 but for the encrypted one: without its key little of it is looked at.
///
/// # Panics
/// If they cannot be read.
pub fn golden() -> &'static [Files] {
    static GOLDEN: OnceLock<Vec<Files>> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let mut all: Vec<_> = entries(&root().join("tests/golden/v1"));
        all.sort();
        all.retain(|path| !path.ends_with("encrypted"));
        all.iter()
            .map(|path| unpacked(&path.join("directory"), ""))
            .collect()
    })
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let above = here
        .ancestors()
        .find(|path| path.join("fuzz/corpus").is_dir());
    above.unwrap_or(here).to_path_buf()
}

/// The corpus of a target, by name.
///
/// # Panics
/// If it cannot be read.
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut files = entries(&root().join("fuzz/corpus").join(target));
    files.sort();
    let read = |path: &PathBuf| fs::read(path).expect("the corpus can be read");
    files.iter().map(read).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder);
    let listed = listed.unwrap_or_else(|e| panic!("cannot list {}: {e}", folder.display()));
    listed
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn unpacked(folder: &Path, prefix: &str) -> Files {
    let mut files = Files::new();
    for path in entries(folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            files.extend(unpacked(&path, &format!("{prefix}{name}/")));
        } else if let Some(name) = name.strip_suffix(".zst") {
            let packed = fs::read(&path).expect("a golden file can be read");
            let bytes = zstd::decode_all(packed.as_slice()).expect("a golden file can be unpacked");
            files.push((format!("{prefix}{name}"), bytes));
        }
    }
    files.sort();
    files
}

/// Changes a golden directory as the input says, and does everything with it that users and tools do.
///
/// # Panics
/// Where the engine does, or there is no room for the files.
pub fn directory(input: &[u8]) {
    let scratch = tempfile::tempdir().expect("a folder");
    let at = scratch.path().join("mutated");
    for (name, bytes) in mutated(golden(), input) {
        let path = at.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&at)).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    look(&at);
    let _ = repair::salvage(&at, scratch.path().join("salvaged"), &mut |_| Ok(()));
    let copy = scratch.path().join("copy");
    copied(&at, &copy);
    open(&at);
    if repair::apply(&copy, &mut |_| Ok(())).is_ok() {
        open(&copy);
    }
}

fn look(at: &Path) {
    if let Ok(inspector) = Inspector::open(at) {
        let _ = inspector.segments();
        let _ = inspector.snapshots();
        let _ = inspector.verify_fast();
        let _ = inspector.verify(&mut |_| {});
        let _ = inspector.records(Selector::all()).map(Iterator::count);
        let _ = inspector.raw().map(|items| items.take(10_000).count());
    }
    let _ = repair::plan(at, &mut |_| Ok(()));
    if let Ok(store) = EventStore::open_read_only(at) {
        let _ = store.query().run().map(Iterator::count);
        let _ = store
            .query()
            .newest_first()
            .limit(10)
            .run()
            .map(Iterator::count);
    }
}

fn open(at: &Path) {
    let builder = EventSystem::builder()
        .persistence_path(at)
        .segment_size(64 << 10);
    let Ok(system) = builder.open() else { return };
    let _ = system.scrub();
    let _ = system.store().query().run().map(Iterator::count);
    let _ = Event::new("a", "b", &1).and_then(|event| system.emit(event));
    let _ = system.close();
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for path in entries(from) {
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copied(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}
