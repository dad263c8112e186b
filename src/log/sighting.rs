//! Looking at a folder beside a writer that goes on: again, and never at everything again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use super::survey::{Look, Survey, Surveyed, look};
use crate::error::{ErrorKind, Result};
use crate::format::names;
use crate::position::SegmentId;
use crate::storage::{Entry, Storage};

/// For how long a folder is looked at again that shows another error each time.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pauses before looking again at one that shows the same error: a busy writer goes on in so many new
/// segments while a large folder is looked through that some of them may be missed twice. Unit tests have
/// folders that nobody writes to.
const PAUSES: [Duration; 3] = if cfg!(test) {
    [Duration::ZERO; 3]
} else {
    [
        Duration::from_millis(1),
        Duration::from_millis(10),
        Duration::from_millis(100),
    ]
};

/// How many of the newest sealed segments are looked at each time.
const NEWEST: usize = 3;

/// What a look finds, tried again until several in a row find the same thing wrong.
pub(super) fn insist<T>(mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let until = Instant::now() + PATIENCE;
    let mut before: Option<String> = None;
    let mut pauses = PAUSES.iter();
    loop {
        let error = match look() {
            Err(error) => error,
            seen => return seen,
        };
        let text = error.to_string();
        if before.as_ref() != Some(&text) {
            pauses = PAUSES.iter();
        }
        before = Some(text);
        match pauses.next().filter(|_| Instant::now() < until) {
            Some(pause) => thread::sleep(*pause),
            None => return Err(error),
        }
    }
}

/// Segments that a look has found in order, until it has found all of them so: beside a busy writer a look
/// at all files would always be too late.
#[derive(Debug, Default)]
pub(super) struct Sighted(RefCell<BTreeMap<String, Surveyed>>);

impl Sighted {
    /// A survey that goes on where the one before has failed, and follows a writer that goes on meanwhile;
    /// what is `known` is not looked at.
    pub(super) fn survey(
        &self,
        storage: &dyn Storage,
        known: &dyn Fn(&Entry) -> Option<Surveyed>,
    ) -> Result<Survey> {
        let mut entries = storage.list()?;
        loop {
            add_later(storage, &mut entries)?;
            let seen = self.look_at(storage, entries.clone(), known);
            // The last of them may have been sealed just now; its successor is there by then.
            let Err(error) = &seen else { return seen };
            if error.kind() != ErrorKind::MissingSegment || !add_later(storage, &mut entries)? {
                return seen;
            }
        }
    }

    pub(super) fn forget(&mut self) {
        self.0.get_mut().clear();
    }

    fn look_at(
        &self,
        storage: &dyn Storage,
        entries: Vec<Entry>,
        known: &dyn Fn(&Entry) -> Option<Surveyed>,
    ) -> Result<Survey> {
        {
            // Not the newest: they may yet be cut by a recovery.
            let mut sighted = self.0.borrow_mut();
            (0..NEWEST).for_each(|_| drop(sighted.pop_last()));
        }
        let known = |entry: &Entry| {
            let fits = |at: &Surveyed| at.header.segment_len == entry.len;
            let as_look = |at: Surveyed| Look::Segment(Box::new(at));
            if let Some(at) = known(entry) {
                return Some(at).filter(fits).map(as_look);
            }
            let mut sighted = self.0.borrow_mut();
            if let Some(at) = sighted.get(&entry.name) {
                return Some(at.clone()).filter(fits).map(as_look);
            }
            let (id, generation) = names::parse_segment(&entry.name)?;
            // What is wrong with it is found when it is looked at again.
            let look = look(storage, entry, id, generation).ok()?;
            if let Look::Segment(at) = &look
                && at.footer.is_some()
            {
                sighted.insert(entry.name.clone(), at.as_ref().clone());
            }
            Some(look)
        };
        Survey::of(storage, entries, None, &known)
    }
}

/// Adds the segments that were made while the folder was listed: a listing of many files takes longer than
/// a busy writer needs for one, and shows those that are made meanwhile or does not. Says whether there
/// are more now.
fn add_later(storage: &dyn Storage, entries: &mut Vec<Entry>) -> Result<bool> {
    let ids = entries
        .iter()
        .map(|entry| names::parse_segment(&entry.name));
    let ids: BTreeSet<SegmentId> = ids.flatten().map(|(id, _)| id).collect();
    let count = entries.len();
    for id in &ids {
        let mut next = id.next();
        while !ids.contains(&next) {
            let Some(entry) = storage.find(&names::segment(next, 0))? else {
                break;
            };
            entries.push(entry);
            next = next.next();
        }
    }
    Ok(entries.len() > count)
}
