//! [`Verifier`]: compares an index with the events of its log, window by window.
//!
//! It works on a copy, since sled cannot open a folder without writing to it, and takes the events
//! from whoever scans them: a tool that only reads has no open log.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::IndexConfig;
use super::catalog::{Catalog, Loaded};
use super::keys::{self, first_of, last_of, window_of};
use super::store::{self, Copied, Store};
use super::values::Chunk;
use super::window::Window;
use crate::error::Result;
use crate::event::EventId;
use crate::position::Seq;

/// The index is not what the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The Seqs that it concerns; `None` if it is all of the index.
    pub(crate) seqs: Option<(Seq, Seq)>,
    /// What is wrong.
    pub(crate) reason: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seqs {
            Some((from, to)) => write!(f, "Seqs {from} to {to}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// Takes all events of a log in order, and compares.
#[derive(Debug)]
pub(crate) struct Verifier {
    store: Arc<dyn Store>,
    /// Goes after the store.
    _copy: Copied,
    pub(super) loaded: Loaded,
    /// What the index should have by now.
    expected: Catalog,
    window: Window,
    salt: u64,
    /// The Seq that the log begins with.
    first: Option<Seq>,
    chunks: u64,
    mismatches: Vec<Mismatch>,
}

impl Verifier {
    /// Opens a copy of the index of this log.
    ///
    /// # Errors
    /// [`Index`](ErrorKind::Index) if the index as a whole cannot be used; others if copying fails.
    pub(crate) fn open(folder: &Path, log_id: u128, config: &IndexConfig) -> Result<Verifier> {
        store::check_meta(folder, log_id)?;
        let copy = Copied::of(folder)?;
        let probe = move |store: &dyn Store| Catalog::load(store, log_id);
        let (store, loaded) = store::open_unclaimed(copy.path(), config, probe)?;
        Ok(Verifier {
            store,
            _copy: copy,
            expected: loaded.catalog.emptied(),
            loaded,
            window: Window::starting_at(Seq::FIRST),
            salt: u64::try_from(log_id & u128::from(u64::MAX)).unwrap_or(0),
            first: None,
            chunks: 0,
            mismatches: Vec::new(),
        })
    }

    /// Takes the next event.
    pub(crate) fn event(&mut self, seq: Seq, id: EventId, event_type: &str) -> Result<()> {
        self.go_on_to(seq)?;
        self.window.add(seq, id, event_type);
        Ok(())
    }

    /// What was found wrong, once all events have been taken.
    pub(crate) fn finish(mut self) -> Result<Vec<Mismatch>> {
        self.close_window()?;
        let from = self.first_whole_window();
        let (stored, expected) = (&self.loaded.catalog, &self.expected);
        let stored: Vec<u64> = stored
            .manifests_from(from)
            .map(|held| held.window)
            .collect();
        let surplus = stored.iter().filter(|window| {
            expected
                .manifests_from(**window)
                .next()
                .map(|held| held.window)
                != Some(**window)
        });
        for window in surplus {
            let reason = "the index has events that the log has not";
            self.mismatches.push(mismatch(*window, reason));
        }
        let chunks = self.stored_chunks(from)?;
        if chunks != self.chunks {
            let expected = self.chunks;
            let reason = format!("it has {chunks} records of types where {expected} are due");
            self.mismatches.push(Mismatch { seqs: None, reason });
        }
        Ok(self.mismatches)
    }

    fn go_on_to(&mut self, seq: Seq) -> Result<()> {
        self.first.get_or_insert(seq);
        if window_of(seq) != self.window.number() {
            self.close_window()?;
            self.window = Window::starting_at(seq);
        }
        Ok(())
    }

    /// The first window that retention has not cut into.
    fn first_whole_window(&self) -> u64 {
        let first = self.first.unwrap_or(Seq::FIRST);
        let window = window_of(first);
        if first > first_of(window).max(Seq::FIRST) {
            window.saturating_add(1)
        } else {
            window
        }
    }

    fn close_window(&mut self) -> Result<()> {
        let number = self.window.number();
        let covered = self.loaded.catalog.floor()..self.loaded.catalog.next_window();
        if self.window.is_empty() || !covered.contains(&number) {
            return Ok(());
        }
        let sealed = self.window.seal(&self.expected, self.salt);
        if number >= self.first_whole_window() {
            self.chunks = self.chunks.saturating_add(sealed.types.len() as u64);
            for (key, due) in &sealed.records {
                let held = self.store.get(key)?;
                let reason = match held {
                    None => "a record is missing",
                    Some(held) if held != *due && !self.only_links_differ(key, &held, due) => {
                        "a record is not what the log says"
                    }
                    Some(_) => continue,
                };
                self.mismatches.push(mismatch(number, reason));
                break;
            }
        }
        self.expected.take(sealed);
        Ok(())
    }

    /// Whether two chunks differ in nothing but a link to a window that retention has cut into or
    /// removed.
    fn only_links_differ(&self, key: &[u8], held: &[u8], due: &[u8]) -> bool {
        let number = keys::parse_type(key);
        let mut numbers = self.expected.numbers();
        let Some((name, _)) = numbers.find(|(_, held)| Some(*held) == number) else {
            return false;
        };
        let decode = |value| Chunk::decode(value, key, name);
        let (Some(held), Some(due)) = (decode(held), decode(due)) else {
            return false;
        };
        let before = self.first_whole_window();
        held.offsets == due.offsets
            && due.link.is_none_or(|link| link < before)
            && held.link.is_some_and(|link| link < before)
    }

    /// How many chunks the store holds from this window on.
    fn stored_chunks(&self, from: u64) -> Result<u64> {
        let upto = self.loaded.catalog.next_window();
        let mut chunks = 0;
        for (_, number) in self.loaded.catalog.numbers() {
            let (from, to) = (
                keys::chunk(number, from.min(upto)),
                keys::chunk(number, upto),
            );
            self.store.scan(&from, &to, &mut |_, _| {
                chunks += 1;
                true
            })?;
        }
        Ok(chunks)
    }
}

fn mismatch(window: u64, reason: &str) -> Mismatch {
    Mismatch {
        seqs: Some((first_of(window).max(Seq::FIRST), last_of(window))),
        reason: reason.to_owned(),
    }
}
