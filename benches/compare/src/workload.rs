//! The workloads: names, units, groups, and the known reasons behind figures that surprise.

use clap::ValueEnum;
use serde::Serialize;

use crate::engine::Group;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    Buffered1,
    Buffered2,
    Durable1,
    Durable8,
    Durable64,
    Batch100,
    Batch1000,
    Replay,
    Read,
    Open,
    Disk,
}

/// How a workload is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Appends by so many threads that need not wait for the disk.
    Buffered { threads: usize },
    /// Appends by so many threads, each of which waits for its own.
    Durable { threads: usize },
    /// Batches of so many records by one thread that waits for each batch.
    Batch { len: usize },
    /// All records of a loaded log in order.
    Replay,
    /// Records of a loaded log at random places.
    Read,
    /// From the opening of a killed log to its first record.
    Open,
    /// The space that a loaded and closed log takes.
    Disk,
}

/// What a figure counts, and which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    EventsPerSecond,
    Milliseconds,
    BytesPerEvent,
}

impl Unit {
    pub fn label(self) -> &'static str {
        match self {
            Unit::EventsPerSecond => "events/s",
            Unit::Milliseconds => "ms",
            Unit::BytesPerEvent => "bytes/event",
        }
    }

    pub fn less_is_better(self) -> bool {
        self != Unit::EventsPerSecond
    }

    /// How many times better `own` is than `other`: above 1 is ahead, whatever the unit.
    pub fn advantage(self, own: f64, other: f64) -> f64 {
        if self.less_is_better() {
            other / own
        } else {
            own / other
        }
    }
}

impl Workload {
    pub const ALL: [Workload; 11] = [
        Workload::Buffered1,
        Workload::Buffered2,
        Workload::Durable1,
        Workload::Durable8,
        Workload::Durable64,
        Workload::Batch100,
        Workload::Batch1000,
        Workload::Replay,
        Workload::Read,
        Workload::Open,
        Workload::Disk,
    ];

    pub fn kind(self) -> Kind {
        match self {
            Workload::Buffered1 => Kind::Buffered { threads: 1 },
            Workload::Buffered2 => Kind::Buffered { threads: 2 },
            Workload::Durable1 => Kind::Durable { threads: 1 },
            Workload::Durable8 => Kind::Durable { threads: 8 },
            Workload::Durable64 => Kind::Durable { threads: 64 },
            Workload::Batch100 => Kind::Batch { len: 100 },
            Workload::Batch1000 => Kind::Batch { len: 1000 },
            Workload::Replay => Kind::Replay,
            Workload::Read => Kind::Read,
            Workload::Open => Kind::Open,
            Workload::Disk => Kind::Disk,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Buffered1 => "buffered-1",
            Workload::Buffered2 => "buffered-2",
            Workload::Durable1 => "durable-1",
            Workload::Durable8 => "durable-8",
            Workload::Durable64 => "durable-64",
            Workload::Batch100 => "batch-100",
            Workload::Batch1000 => "batch-1000",
            Workload::Replay => "replay",
            Workload::Read => "read",
            Workload::Open => "open",
            Workload::Disk => "disk",
        }
    }

    /// Its column in the table of its group.
    pub fn column(self) -> &'static str {
        match self {
            Workload::Buffered1 | Workload::Durable1 => "1 thread",
            Workload::Buffered2 => "2 threads",
            Workload::Durable8 => "8 threads",
            Workload::Durable64 => "64 threads",
            Workload::Batch100 => "batches of 100",
            Workload::Batch1000 => "batches of 1,000",
            Workload::Replay => "replay",
            Workload::Read => "random reads",
            Workload::Open => "open after a kill",
            Workload::Disk => "on disk",
        }
    }

    /// Its name where no table's heading stands above it.
    pub fn title(self) -> &'static str {
        match self {
            Workload::Buffered1 => "buffered append, 1 thread",
            Workload::Buffered2 => "buffered append, 2 threads",
            Workload::Durable1 => "durable append, 1 thread",
            Workload::Durable8 => "durable append, 8 threads",
            Workload::Durable64 => "durable append, 64 threads",
            Workload::Batch100 => "durable batches of 100",
            Workload::Batch1000 => "durable batches of 1,000",
            Workload::Replay => "replay with checksums",
            Workload::Read => "random reads",
            Workload::Open => "open after a kill",
            Workload::Disk => "bytes on disk",
        }
    }

    pub fn group(self) -> Group {
        match self.kind() {
            Kind::Buffered { .. } => Group::Buffered,
            Kind::Durable { .. } | Kind::Batch { .. } => Group::Durable,
            Kind::Replay | Kind::Read => Group::Read,
            Kind::Open => Group::Reopen,
            Kind::Disk => Group::Disk,
        }
    }

    pub fn unit(self) -> Unit {
        match self {
            Workload::Open => Unit::Milliseconds,
            Workload::Disk => Unit::BytesPerEvent,
            _ => Unit::EventsPerSecond,
        }
    }

    /// The known reason why `rival` may be ahead of Forelog here, for the page of results.
    pub fn why_behind(self, rival: &str) -> Option<&'static str> {
        let known = WHY_BEHIND
            .iter()
            .find(|(workload, name, _)| *workload == self && (name.is_empty() || *name == rival));
        known.map(|(_, _, why)| *why)
    }
}

/// Workload, rival (empty: any), reason. Shown only where the figures put that rival ahead.
const WHY_BEHIND: &[(Workload, &str, &str)] = &[
    (
        Workload::Batch100,
        "okaywal",
        "It writes the same few files of 1 MiB over and over and keeps no history, 265 bytes an event; `okaywal-kept` in \
         the table below is the same engine told to keep what it is given. Forelog keeps all, 320 bytes an event in a new file for each 32 MiB, and \
         the disk has to write that file's blocks ahead as well. Raw calls that keep what they write in this way, and \
         do nothing else, go through 690,000 to 800,000 events a second in batches of 100 on an AMD EPYC, and Forelog through \
         0.83 to 0.93 of that (`forelog-bench batch --batch 100`).",
    ),
    (
        Workload::Batch1000,
        "okaywal",
        "It writes the same few files of 1 MiB over and over and keeps no history, 265 bytes an event; `okaywal-kept` in \
         the table below is the same engine told to keep what it is given. Forelog keeps all, 320 bytes an event in a new file for each 32 MiB, and \
         the disk has to write that file's blocks ahead as well. Raw calls that keep what they write in this way, and \
         do nothing else, go through 2.1 to 2.6 million events a second in batches of 1,000 on an AMD EPYC, and Forelog \
         through 0.79 to 0.91 of that (`forelog-bench batch --batch 1000`).",
    ),
    (
        Workload::Batch1000,
        "open-wal",
        "Both write a batch with one call and sync it with another. It writes 280 bytes an event, once, into blocks \
         that were only allocated: 65 to 75 µs and 320 to 380 µs a batch by strace on an AMD EPYC. Forelog writes 320 \
         bytes an event into blocks that were written before, which half of the batches find ready in 290 µs in all; but \
         the disk writes each block twice then, 640 KB a batch in place of 280, and the other half meet that.",
    ),
    (
        Workload::Replay,
        "",
        "Each replay is the first one of a log opened a moment before: the pages of its map are still to be \
         found. A thread maps them ahead of the reader, which on an Intel Xeon took the first replay from 0.69 to \
         0.87 of the speed of a third one in one process; the threads that an opening starts use the other processor \
         meanwhile. Later replays go through 20 to 27 million events a second, by the machine.",
    ),
    (
        Workload::Open,
        "sqlite",
        "It checks no more than its WAL, which it keeps at 4 MiB; Forelog checks every frame of the \
         segments that the kill has left unsynced, up to three of 32 MiB, and writes anew what nothing proves \
         to be on the disk.",
    ),
    (
        Workload::Disk,
        "",
        "A Forelog frame has 64 bytes of header (two times, id, checksum, durable witness) and the \
         log keeps a footer with an offset table a segment; the last segment counts in full, and so \
         does one made ready beside it: at most 64 MiB, however large the log, for a disk that is full \
         must never meet a store through the map. A bare log has a length and a CRC.",
    ),
    (
        Workload::Durable1,
        "",
        "One pwrite and one fdatasync make up nearly all of it; differences under a fifth are noise \
         here, so read the paired ratio and its interval.",
    ),
];

impl ValueEnum for Workload {
    fn value_variants<'a>() -> &'a [Self] {
        &Workload::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()).help(self.title()))
    }
}
