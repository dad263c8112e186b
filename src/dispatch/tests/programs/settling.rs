//! The end of a program: everything is handled, and what was handled once is not handed out again.

use std::collections::BTreeSet;

use super::super::*;
use super::handlers::name_of;
use super::ledger::Ledgers;
use super::program::{Answer, Behind, End, Team};
use super::world::World;

/// More rounds than any program needs.
const ROUNDS_MAX: usize = 20_000;

impl World {
    /// Lets everything be handled, closes and opens again, and has what is parked delivered.
    pub(super) fn settle(&mut self) {
        if self.end_on_trouble.is_some() {
            // What was armed may strike no more. Else this life must come to an end of its own.
            self.end(End::Kill);
        }
        self.books().is_calm = true;
        self.drain();
        self.check_all();
        self.end(End::Close);
        let before = self.delivered();
        self.drain();
        let why = "something was delivered again after a clean close";
        assert_eq!(self.delivered(), before, "{why}");
        self.check_all();
        for nth in 0..self.workers.len() {
            let books = self.books();
            let ledger = &books.all[nth];
            let is_there = ledger.is_known && ledger.setup.is_named;
            drop(books);
            if is_there {
                self.redeliver(nth, &name_of(nth), None);
            }
        }
        self.drain();
        for nth in 0..self.workers.len() {
            if self.workers[nth].is_some() {
                assert_eq!(
                    self.parked(nth),
                    BTreeSet::new(),
                    "{nth} has parked events left"
                );
            }
        }
        let wrong = self.books().wrong.take();
        assert_eq!(wrong, None, "in the end");
    }

    /// How many deliveries each named subscription was given.
    fn delivered(&self) -> Vec<u32> {
        let books = self.books();
        let named = books.all.iter().filter(|one| one.setup.is_named);
        named.map(|one| one.deliveries.values().sum()).collect()
    }

    /// Steps all workers, and lets time go by, until there is nothing to do.
    fn drain(&mut self) {
        self.rig.log.flush().unwrap();
        for _ in 0..ROUNDS_MAX {
            let mut has_moved = false;
            let mut is_waiting = false;
            for nth in 0..self.workers.len() {
                self.unpause(nth);
                has_moved |= self.work(nth, 0);
                match self.step(nth) {
                    None | Some(Progress::Idle { until: None, .. }) => {}
                    Some(Progress::Waiting(None)) if self.is_stuck(nth) => {}
                    Some(Progress::Waiting(_) | Progress::Idle { .. }) => is_waiting = true,
                    Some(_) => has_moved = true,
                }
            }
            while self.has_tokens() {
                self.tell(0, Answer::Ack);
                has_moved = true;
            }
            if has_moved {
                continue;
            }
            if !is_waiting {
                return;
            }
            self.rig.clock.advance(Duration::from_secs(10));
        }
        panic!("it does not come to an end");
    }

    fn unpause(&mut self, nth: usize) {
        let books = self.books();
        let ledger = &books.all[nth];
        let is_paused = ledger.is_paused && ledger.setup.is_named && ledger.is_known;
        drop(books);
        if is_paused {
            self.resume(nth, &name_of(nth));
        }
    }

    /// Whether it is paused for good: nobody resumes a subscription without a name.
    fn is_stuck(&self, nth: usize) -> bool {
        let books = self.books();
        books.all[nth].is_paused && !books.all[nth].setup.is_named
    }

    fn check_all(&mut self) {
        let wrong = self.books().wrong.take();
        assert_eq!(wrong, None, "while everything is handled");
        for nth in 0..self.workers.len() {
            if self.workers[nth].is_some() && !self.is_stuck(nth) {
                self.check_handled(nth);
            }
        }
    }

    /// Every event was handled, is parked, or was skipped and counted.
    fn check_handled(&mut self, nth: usize) {
        self.rest(nth);
        let worker = self.workers[nth].as_ref().unwrap();
        let counted = worker.desk.skipped;
        let position = worker.desk.seat.position.get();
        let appended = self.rig.log.watermark().appended();
        assert!(position >= appended, "{nth} is at {position} of {appended}");
        let guard = self.books();
        let Ledgers { events, all, .. } = &*guard;
        let ledger = &all[nth];
        let wanted = events.range(ledger.start..);
        let wanted = wanted.filter(|(_, event)| ledger.setup.wants(event));
        let is_done = |seq: &u64| ledger.handled.contains(seq) || ledger.parked.contains(seq);
        let left: Vec<u64> = wanted
            .map(|(seq, _)| *seq)
            .filter(|seq| !is_done(seq))
            .collect();
        let is_skipped = |seq: &u64| ledger.skipped.contains(seq);
        assert!(
            left.iter().all(is_skipped),
            "{nth} was never given some of {left:?}"
        );
        assert!(
            counted >= left.len() as u64,
            "{nth} counts {counted}, not {left:?}"
        );
        if !matches!(ledger.setup.behind, Behind::Skips(_)) {
            assert_eq!(
                left,
                Vec::<u64>::new(),
                "{nth} skips nothing by its own rule"
            );
        }
        if ledger.is_exact && !matches!(ledger.setup.crew, Team::Batch { .. }) {
            assert_eq!(counted, ledger.told_skipped, "{nth} counts what it is told");
        }
        assert!(ledger.open.is_empty(), "{nth} has {:?} open", ledger.open);
    }
}
