//! What an operator does with subscriptions and their parked events.

use super::super::*;
use super::handlers::name_of;
use super::program::{From, Op};
use super::world::{Unsure, World};
use crate::dispatch::seat::Request;

impl World {
    /// What an operator does with a name.
    pub(super) fn operate(&mut self, op: &Op) {
        let (Op::Delete(nth)
        | Op::Pause(nth)
        | Op::Resume(nth)
        | Op::Seek(nth, _)
        | Op::Redeliver(nth, _)
        | Op::RedeliverAll(nth)
        | Op::Discard(nth, _)) = op
        else {
            unreachable!("{op:?} is done elsewhere");
        };
        let nth = self.nth(*nth);
        if !self.books().all[nth].setup.is_named {
            return;
        }
        let name = name_of(nth);
        if !self.books().all[nth].is_known {
            let unknown = self.rig.dispatcher.pause(&name, "").unwrap_err();
            assert_eq!(unknown.kind(), ErrorKind::NotFound);
            return;
        }
        match op {
            Op::Delete(_) => self.delete(nth, &name),
            Op::Pause(_) => self.pause(nth, &name),
            Op::Resume(_) => self.resume(nth, &name),
            Op::Seek(_, to) => self.seek(nth, &name, *to),
            Op::Redeliver(_, which) => self.redeliver(nth, &name, Some(usize::from(*which))),
            Op::RedeliverAll(_) => self.redeliver(nth, &name, None),
            Op::Discard(_, which) => self.discard(nth, &name, usize::from(*which)),
            _ => {}
        }
    }

    fn delete(&mut self, nth: usize, name: &str) {
        if self.workers[nth].is_some() {
            let held = self.rig.dispatcher.delete(name).unwrap_err();
            assert_eq!(held.kind(), ErrorKind::Invalid);
            self.detach(nth);
        }
        let deleted = self.rig.dispatcher.delete(name);
        if self.expect(deleted, Unsure::Deleted(nth)) {
            self.books().all[nth].forget();
            self.synced();
        }
    }

    fn pause(&mut self, nth: usize, name: &str) {
        let paused = self.rig.dispatcher.pause(name, "the bank is closed");
        if self.expect(paused, Unsure::Paused(nth)) {
            self.books().all[nth].is_paused = true;
            self.synced();
            self.attend(nth);
        }
    }

    pub(super) fn resume(&mut self, nth: usize, name: &str) {
        let resumed = self.rig.dispatcher.resume(name);
        if self.expect(resumed, Unsure::Paused(nth)) {
            self.synced();
            self.attend(nth);
            self.books().all[nth].is_paused = false;
        }
    }

    /// Has a worker do all that it is asked.
    fn attend(&mut self, nth: usize) {
        let asks = |world: &World| {
            let worker = world.workers[nth].as_ref();
            worker.is_some_and(|worker| worker.desk.seat.has_news())
        };
        while asks(self) && self.step(nth).is_some() {}
    }

    fn seek(&mut self, nth: usize, name: &str, to: From) {
        let (start, first) = self.resolve(to);
        let sought = if let Some(worker) = &self.workers[nth] {
            // By hand, since nobody else steps the worker meanwhile.
            let (done, is_done) = channel();
            let behind = self.rig.dispatcher.behind(start).unwrap();
            worker.desk.seat.ask(Request::Seek(behind, done));
            self.attend(nth);
            if self.unsure.is_some() || self.disk.is_stopped() {
                self.unsure = Some(Unsure::Sought(nth, first));
                return;
            }
            is_done.recv().unwrap()
        } else {
            self.rig.dispatcher.seek(name, start)
        };
        if self.expect(sought, Unsure::Sought(nth, first)) {
            self.books().all[nth].begin(first);
            self.synced();
        }
    }

    /// Asks for one parked event, or for all.
    pub(super) fn redeliver(&mut self, nth: usize, name: &str, which: Option<usize>) {
        let Some(worker) = &self.workers[nth] else {
            let nobody = self.rig.dispatcher.redeliver_all(name).unwrap_err();
            assert_eq!(nobody.kind(), ErrorKind::NotFound);
            return;
        };
        let parked: Vec<_> = self.parked(nth).into_iter().collect();
        let chosen = match which {
            Some(_) if parked.is_empty() => return,
            Some(which) => &parked[which % parked.len()..][..1],
            None => &parked[..],
        };
        let mut books = self.books.lock().unwrap();
        for &seq in chosen {
            let books = &mut *books;
            let key = books.all[nth].key_of(&books.events, seq);
            books.all[nth].asked.extend(key);
            worker.desk.seat.ask(Request::Redeliver(Seq(seq)));
        }
    }

    fn discard(&mut self, nth: usize, name: &str, which: usize) {
        let parked: Vec<_> = self.parked(nth).into_iter().collect();
        let Some(&seq) = parked.get(which % parked.len().max(1)) else {
            let none = self.rig.dispatcher.discard(name, Seq(1)).unwrap_err();
            assert_eq!(none.kind(), ErrorKind::NotFound);
            return;
        };
        {
            let ledger = &mut self.books.lock().unwrap().all[nth];
            ledger.parked.remove(&seq);
            ledger.put_off.remove(&seq);
            ledger.handled.insert(seq);
        }
        let discarded = self.rig.dispatcher.discard(name, Seq(seq));
        if self.expect(discarded, Unsure::Something) {
            self.synced();
            // The worker hears of it before it does anything else.
            self.attend(nth);
        }
    }
}
