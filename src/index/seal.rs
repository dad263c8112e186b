//! What the follower does with a window that is complete, and with one whose events have gone.

use std::sync::atomic::Ordering;

use super::agree;
use super::batch;
use super::catalog::Catalog;
use super::dimension::Dimension;
use super::follow::Follower;
use super::ids::Ids;
use super::keys::{self, ERA_LEN, LEVEL_MAX, Run, window_of};
use super::merge;
use super::store::{Pair, Store};
use super::values::Position;
use super::window::Window;
use crate::error::Result;
use crate::position::Seq;

/// How many windows are indexed between two flushes, at least.
const FLUSH_WINDOWS: u32 = 64;
/// How many windows must have gone from the log before their records are removed.
const RETIRE_WINDOWS: usize = 64;

impl Follower<'_> {
    /// Hands the tail, which is complete, to the store, and makes the runs that it completes.
    pub(super) fn seal_tail(&mut self) -> Result<()> {
        let (store, start, sealed, met, due) = {
            let state = self.core.read();
            let met = self.dictionary.meet(&state.tail);
            let due = state.catalog.due_with(state.tail.number());
            let sealed = state.tail.seal(self.core.salt);
            (
                state.store.clone(),
                state.catalog.next_window(),
                sealed,
                met,
                due,
            )
        };
        let window = sealed.manifest.window;
        self.core
            .names_bytes
            .store(self.dictionary.bytes() as u64, Ordering::Relaxed);
        // What a crash may have left, of this window and of those that are skipped: the log may have lost events
        // since, and gone on with others.
        for dimension in Dimension::ALL {
            let [from, to] = [start, window + 1].map(|window| Run::of(dimension, 0, window).key(0));
            batch::remove(store.as_ref(), &from, &to)?;
            let [from, to] = [start, window + 1].map(|window| keys::names(dimension, window, 0));
            batch::remove(store.as_ref(), &from, &to)?;
        }
        if start < window {
            let [from, to] = [start, window].map(keys::manifest);
            batch::remove(store.as_ref(), &from, &to)?;
        }
        let mut records = sealed.records;
        records.extend(met.records);
        if !due.is_empty() {
            // What is merged is read from the store.
            batch::put(store.as_ref(), &std::mem::take(&mut records))?;
        }
        for due in due {
            merge::write(store.as_ref(), due.run, &due.below)?;
        }
        self.note_sealed_segment(keys::last_of(window));
        let ids = self.take_ids(window, sealed.foreign)?;
        let position = {
            let state = self.core.read();
            Position {
                next_window: window.saturating_add(1),
                sum: state.catalog.sum_with(&sealed.manifest, &sealed.fences),
                names: state.catalog.names_with(&met.names),
                ..self.position(&state.catalog, &ids)
            }
        };
        // The position last: with the others where all go into one batch, which is whole or not there.
        records.push(self.record(&position));
        batch::put(store.as_ref(), &records)?;
        let mut state = self.core.write();
        state
            .catalog
            .take(sealed.manifest, sealed.fences, position.names);
        state.tail = Window::starting_at(self.reader.position(), self.core.hashes);
        state.ids = ids;
        drop(state);
        self.core.notify();
        self.unflushed = self.unflushed.saturating_add(1);
        if self.unflushed >= FLUSH_WINDOWS {
            self.unflushed = 0;
            self.flush(store.as_ref())?;
        }
        Ok(())
    }

    /// The ids of a catalog that has one more window. No lock is held while runs are written.
    fn take_ids(&mut self, window: u64, foreign: Vec<u64>) -> Result<Ids> {
        let mut ids = self.core.read().ids.clone();
        ids.take(window, foreign);
        self.upkeep.step(&mut ids)?;
        Ok(ids)
    }

    /// Makes durable what has been indexed.
    pub(super) fn flush(&mut self, store: &dyn Store) -> Result<()> {
        let ids = self.core.read().ids.clone();
        ids.sync()?;
        store.flush()?;
        self.upkeep.after_flush();
        Ok(())
    }

    fn record(&self, position: &Position) -> Pair {
        let value = position.encode(self.core.log.log_id());
        (keys::POSITION.to_vec(), value)
    }

    /// The position behind a catalog's windows.
    fn position(&self, catalog: &Catalog, ids: &Ids) -> Position {
        Position {
            floor: catalog.floor(),
            next_window: catalog.next_window(),
            sum: catalog.sum(),
            names: catalog.names().clone(),
            segment: self.sealed.0,
            chain: self.sealed.1,
            last_seq: self.last.0,
            last_hash: agree::hash_at(&self.core.log, self.last),
            runs: ids.notes(),
            runs_next: ids.next(),
        }
    }

    /// Notes the newest sealed segment that ends at or before `upto`.
    fn note_sealed_segment(&mut self, upto: Seq) {
        let segments = self.core.log.segments();
        let covered = segments.iter().rev().find_map(|segment| {
            let footer = segment.footer()?;
            (footer.last_seq <= upto).then_some((segment.id().0, footer.chain.0))
        });
        if let Some(covered) = covered {
            self.sealed = covered;
        }
    }

    /// Removes the records of windows whose events have gone, once there are many.
    pub(super) fn retire(&mut self) -> Result<()> {
        let (store, floor) = {
            let state = self.core.read();
            let gone = window_of(self.core.log.first_seq());
            let floor = gone.min(state.catalog.next_window());
            if state.catalog.windows_before(floor) < RETIRE_WINDOWS {
                return Ok(());
            }
            (state.store.clone(), floor)
        };
        let position = {
            let mut state = self.core.write();
            state.catalog.retire(floor);
            let retired = state.ids.retire(floor);
            self.upkeep.discard(retired);
            self.position(&state.catalog, &state.ids)
        };
        // The position first: behind it the records are no part of the index any more.
        store.apply(&[self.record(&position)], &[])?;
        batch::remove(store.as_ref(), &keys::manifest(0), &keys::manifest(floor))?;
        batch::remove(store.as_ref(), &keys::piece(0, 0), &keys::piece(floor, 0))?;
        for dimension in Dimension::ALL {
            for level in 0..=LEVEL_MAX {
                let [from, to] = [0, floor].map(|window| Run::of(dimension, level, window).key(0));
                batch::remove(store.as_ref(), &from, &to)?;
            }
            let era_start = floor / ERA_LEN * ERA_LEN;
            let [from, to] = [0, era_start].map(|window| keys::names(dimension, window, 0));
            batch::remove(store.as_ref(), &from, &to)?;
        }
        Ok(())
    }
}
