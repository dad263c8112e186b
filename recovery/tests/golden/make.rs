//! The golden directories: what each holds, and how it was made.

use std::fs;
use std::path::Path;

use forelog::inspect::Inspector;
use forelog::{
    Delivery, Durability, EncryptionKey, Event, EventId, EventSystem, Outcome, Seq, Subscription,
    Timestamp,
};

/// A directory, how it was made, and how many events it has.
pub(crate) struct Golden {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&Path),
    pub(crate) events: u64,
    /// Up to which Seq events were emitted.
    pub(crate) last: u64,
}

pub(crate) const ALL: [Golden; 7] = [
    Golden {
        name: "plain",
        make: plain,
        events: 12,
        last: 12,
    },
    Golden {
        name: "rotated",
        make: rotated,
        events: 600,
        last: 600,
    },
    Golden {
        name: "cursors",
        make: cursors,
        events: 20,
        last: 20,
    },
    Golden {
        name: "torn",
        make: torn,
        events: 40,
        last: 40,
    },
    Golden {
        name: "compacted",
        make: compacted,
        events: 0,
        last: 1200,
    },
    Golden {
        name: "compressed",
        make: compressed,
        events: 1200,
        last: 1200,
    },
    Golden {
        name: "repaired",
        make: repaired,
        events: 598,
        last: 600,
    },
];

/// One that got its key when it had twelve events: from then on all is encrypted.
pub(crate) const ENCRYPTED: Golden = Golden {
    name: "encrypted",
    make: encrypted,
    events: 32,
    last: 32,
};

/// The key of [`ENCRYPTED`].
pub(crate) const KEY: [u8; 32] = *b"the key of the golden directory.";

pub(crate) fn event(number: u64) -> Event {
    let types = ["order.placed", "order.filled", "quote"];
    let kind = types[usize::try_from(number % 3).unwrap()];
    let data = serde_json::json!({"n": number, "price": number * 100, "text": "x".repeat(200)});
    Event::new(
        kind,
        if number.is_multiple_of(2) {
            "web"
        } else {
            "desk"
        },
        &data,
    )
    .unwrap()
    .with_id(EventId(u128::from(number)))
    .at(Timestamp(
        1_700_000_000_000_000_000 + i64::try_from(number).unwrap(),
    ))
    .with_header("trace", number.to_string())
}

pub(crate) fn builder(dir: &Path) -> forelog::Builder {
    let builder = EventSystem::builder().persistence_path(dir);
    builder.durability(Durability::Os).segment_size(64 << 10)
}

pub(crate) fn open(dir: &Path) -> EventSystem {
    builder(dir).open().unwrap()
}

pub(crate) fn open_with_key(dir: &Path) -> EventSystem {
    let key = EncryptionKey::from_bytes(KEY);
    builder(dir).encryption_key(key).open().unwrap()
}

fn emit(system: &EventSystem, count: u64) {
    for number in 1..=count {
        system.emit(event(number)).unwrap();
    }
}

fn plain(dir: &Path) {
    let system = open(dir);
    emit(&system, 10);
    system.emit_batch(&[event(11), event(12)]).unwrap();
    system.close().unwrap();
}

fn rotated(dir: &Path) {
    let system = open(dir);
    emit(&system, 600);
    system.close().unwrap();
}

fn cursors(dir: &Path) {
    with_cursors(&open(dir), 0);
}

fn encrypted(dir: &Path) {
    plain(dir);
    with_cursors(&open_with_key(dir), 12);
}

/// Twenty events behind so many, two subscriptions, a projection and a scheduled event; then the end.
fn with_cursors(system: &EventSystem, before: u64) {
    let billing = Subscription::named("billing");
    let parked = Seq(before + 7);
    let refuse = move |delivery: &Delivery<'_>| {
        if delivery.seq() == parked {
            Outcome::Park("not this one".into())
        } else {
            Outcome::Ack
        }
    };
    system.register_handler(billing, refuse).unwrap();
    system
        .register_handler(Subscription::named("audit"), |_: &Delivery<'_>| {})
        .unwrap();
    system.start().unwrap();
    for number in before + 1..=before + 20 {
        system.emit(event(number)).unwrap();
    }
    system.drain(None).unwrap();
    let add = |sum: &mut u64, event: &forelog::EventRef<'_>| {
        *sum += event.seq().0;
        Ok(())
    };
    let mut sum = system.projection("sum of seqs", 1, 0_u64, add).unwrap();
    sum.catch_up().unwrap();
    sum.save().unwrap();
    let far = Timestamp(9_000_000_000_000_000_000);
    system.emit_at(event(99), far).unwrap();
    system.close().unwrap();
}

fn torn(dir: &Path) {
    let live = tempfile::tempdir().unwrap();
    let system = open(live.path());
    emit(&system, 40);
    system.flush().unwrap();
    copy(live.path(), dir);
    system.close().unwrap();
    let raw = Inspector::open(dir)
        .unwrap()
        .raw()
        .unwrap()
        .map(Result::unwrap);
    let is_frame = |kind: &_| !matches!(kind, forelog::inspect::RawKind::Invalid { .. });
    let last = raw.filter(|item| is_frame(&item.kind)).last().unwrap();
    let path = dir.join("log").join(&last.file);
    let mut bytes = fs::read(&path).unwrap();
    let end = usize::try_from(last.offset + last.len)
        .unwrap()
        .next_multiple_of(8);
    bytes[end..end + 300].fill(0xa5);
    fs::write(path, bytes).unwrap();
}

fn compacted(dir: &Path) {
    let builder = EventSystem::builder()
        .persistence_path(dir)
        .durability(Durability::Os);
    let builder = builder.segment_size(64 << 10);
    let builder = builder.keep_last("quote", forelog::StateKey::Source);
    let system = builder.open().unwrap();
    emit(&system, 1200);
    while system.store().explain_retention().dropped < 200 {
        std::thread::yield_now();
    }
    system.close().unwrap();
}

fn compressed(dir: &Path) {
    let builder = EventSystem::builder()
        .persistence_path(dir)
        .durability(Durability::Os);
    let builder = builder.segment_size(64 << 10).compression(3);
    let system = builder.open().unwrap();
    emit(&system, 1200);
    let is_done = || {
        let segments = system.store().explain_retention().segments;
        let packed = segments.iter().filter(|one| one.saved_bytes > 0);
        packed.count() + 2 >= segments.len()
    };
    while !is_done() {
        std::thread::yield_now();
    }
    system.close().unwrap();
}

fn repaired(dir: &Path) {
    rotated(dir);
    let path = dir.join("log/000000000002-000.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8000] ^= 1;
    bytes[20_000] ^= 1;
    fs::write(path, bytes).unwrap();
    forelog::repair::apply(dir, &mut |_| Ok(())).unwrap();
    fs::remove_dir_all(dir.join("aside")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, &copied).unwrap();
        }
    }
}
