//! [`Upkeep`]: what is under way with the runs of ids.

use std::sync::Arc;

use super::job::Job;
use super::run::IdRun;
use super::{Ids, RUNS_MAX, merge, pending};
use crate::error::Result;

/// What is under way with the runs: the follower's.
#[derive(Debug, Default)]
pub(in super::super) struct Upkeep {
    /// The first group that is complete is being written.
    writing: Option<Job>,
    merging: Option<Job>,
    /// Runs that are no part of the index any more. Their files go once the store has been flushed.
    stale: Vec<Arc<IdRun>>,
}

impl Upkeep {
    /// Takes in runs that are made, and begins those that are due.
    pub(in super::super) fn step(&mut self, ids: &mut Ids) -> Result<()> {
        self.step_writing(ids)?;
        let is_full = ids.runs.len() > RUNS_MAX;
        if let Some(merge) = self.merging.take_if(|job| is_full || job.is_over())
            && let Some(run) = merge.take()?
        {
            self.stale.extend(ids.replace(run));
        }
        if self.merging.is_none()
            && let Some((windows, parts)) = ids.due()
        {
            let (folder, salt) = (ids.folder.clone(), ids.salt);
            self.merging = Some(Job::begin("forelog-index-merge", move |stopping| {
                merge::merge(folder.as_deref(), windows, &parts, salt, stopping)
            })?);
        }
        Ok(())
    }

    fn step_writing(&mut self, ids: &mut Ids) -> Result<()> {
        // Where another group is complete already, the one before is waited for.
        let is_behind = ids.complete().nth(1).is_some();
        if let Some(writing) = self.writing.take_if(|job| is_behind || job.is_over())
            && let Some(run) = writing.take()?
        {
            self.stale.extend(ids.settle(run));
        }
        if self.writing.is_none()
            && let Some((windows, parts)) = ids.complete().next()
        {
            let (folder, salt) = (ids.folder.clone(), ids.salt);
            self.writing = Some(Job::begin("forelog-index-runs", move |_| {
                let run = pending::write(folder.as_deref(), windows, &parts, salt)?;
                // Here, so that the next flush need not wait for it.
                run.sync()?;
                Ok(Some(run))
            })?);
        }
        Ok(())
    }

    /// Whether a run is being made.
    #[cfg(test)]
    pub(in super::super) fn is_busy(&self) -> bool {
        self.writing.is_some() || self.merging.is_some()
    }

    /// Ends what is under way.
    pub(in super::super) fn give_up(&mut self) {
        self.writing = None;
        self.merging = None;
    }

    /// Runs that the position does not note any more.
    pub(in super::super) fn discard(&mut self, runs: Vec<Arc<IdRun>>) {
        self.stale.extend(runs);
    }

    /// Removes the files of runs that the store does not note any more, now for good.
    pub(in super::super) fn after_flush(&mut self) {
        for run in self.stale.drain(..) {
            if let Err(error) = run.remove() {
                // It goes with the next opening.
                tracing::debug!(target: "forelog::index", %error, "a run of ids stays");
            }
        }
    }
}
