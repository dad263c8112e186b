//! [`Ledger`]: knows what was acknowledged and seen, and holds every later opening against it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use forelog::{ErrorKind, EventId, EventSystem, Seq};

use crate::load::{self, Tag};

/// The size of a segment in these tests: the smallest, so that it rotates often.
pub(crate) const SEGMENT_SIZE: usize = 64 << 10;

/// Opens a system with small segments.
pub(crate) fn open(dir: &Path) -> forelog::Result<EventSystem> {
    EventSystem::builder()
        .persistence_path(dir)
        .segment_size(SEGMENT_SIZE)
        .open()
}

/// What is known of a log from outside.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    acked: BTreeMap<u64, EventId>,
    /// All events that an opening has shown; they stay for ever.
    shown: Vec<EventId>,
}

/// What a child said of its emits.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) acks: u64,
    /// The kinds of the errors of its emits, in order, and whether acks came after the first.
    pub(crate) errors: Vec<String>,
    pub(crate) acked_after_error: bool,
    /// What opening and closing came to, if they were reached.
    pub(crate) opened: Option<String>,
    pub(crate) closed: Option<String>,
}

impl Ledger {
    /// Takes in the lines of a child.
    pub(crate) fn take(&mut self, lines: &[String]) -> Said {
        let mut said = Said::default();
        for line in lines {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            match words.as_slice() {
                ["ack", seq, id] => {
                    let (seq, id): (u64, EventId) = (seq.parse().unwrap(), id.parse().unwrap());
                    let before = self.acked.insert(seq, id);
                    assert_eq!(before, None, "seq {seq} was handed out twice");
                    said.acks += 1;
                    said.acked_after_error |= !said.errors.is_empty();
                }
                ["err", kind, ..] => said.errors.push((*kind).to_owned()),
                ["opened", how, ..] => said.opened = Some((*how).to_owned()),
                ["closed", how, ..] => said.closed = Some((*how).to_owned()),
                _ => panic!("what does {line:?} mean?"),
            }
        }
        said
    }

    /// How many events were acknowledged so far.
    pub(crate) fn acks(&self) -> usize {
        self.acked.len()
    }

    /// Opens the directory and checks everything; closes it in order or leaves it as a crash would.
    pub(crate) fn check_dir(&mut self, dir: &Path, context: &str) {
        let system = open(dir).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        self.check(&system, context);
        system.close().unwrap();
    }

    /// Holds the log against what is known, and learns what it shows.
    pub(crate) fn check(&mut self, system: &EventSystem, context: &str) {
        let mut ids = Vec::new();
        let mut tags = Vec::new();
        let replayed = system.replay().run(|event| {
            assert_eq!(
                event.seq(),
                Seq(ids.len() as u64 + 1),
                "{context}: contiguous"
            );
            ids.push(event.event_id());
            tags.push(load::check(event));
            Ok(())
        });
        replayed.unwrap_or_else(|error| panic!("{context}: {error:?}"));
        for (&seq, &id) in &self.acked {
            let found = usize::try_from(seq).ok().and_then(|seq| ids.get(seq - 1));
            assert_eq!(found, Some(&id), "{context}: seq {seq} was acknowledged");
            let stored = system.store().get(Seq(seq)).unwrap().unwrap();
            assert_eq!(stored.event().event_id(), id, "{context}");
        }
        let shown = self.shown.len();
        assert!(ids.len() >= shown, "{context}: {shown} were shown before");
        assert_eq!(
            ids[..shown],
            self.shown,
            "{context}: shown once, shown ever"
        );
        check_order(&tags, context);
        self.shown = ids;
    }
}

/// Each thread's events in its own order, and each batch whole.
fn check_order(tags: &[Tag], context: &str) {
    let mut next: HashMap<(u32, u16), u32> = HashMap::new();
    for tag in tags {
        let next = next.entry((tag.run, tag.thread)).or_default();
        assert!(tag.number >= *next, "{context}: {tag:?} after {next}");
        *next = tag.number + 1;
    }
    let mut at = 0;
    while let Some(first) = tags.get(at) {
        let count = usize::from(first.batch_count);
        let batch = tags.get(at..at + count).unwrap_or_default();
        let whole = batch.len() == count
            && (0..).zip(batch).all(|(place, tag)| {
                tag.batch_place == place
                    && (tag.run, tag.thread) == (first.run, first.thread)
                    && tag.number == first.number + u32::from(place)
            });
        assert!(whole, "{context}: part of a batch: {first:?}");
        at += count;
    }
}

/// The name of an error's kind, as children tell it.
pub(crate) fn name(kind: ErrorKind) -> String {
    format!("{kind:?}")
}
