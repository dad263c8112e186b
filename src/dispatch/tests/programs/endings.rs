//! How a life of the system ends and another begins, and what must be true where it begins.

use super::super::*;
use super::handlers::name_of;
use super::ledger::Emitted;
use super::program::{End, Left};
use super::world::{Unsure, World};

impl World {
    /// Ends this life and begins the next.
    pub(super) fn end(&mut self, end: End) {
        let attached: Vec<_> = self.workers.iter().map(Option::is_some).collect();
        let mut is_clean = matches!(end, End::Close | End::CloseAndCut(_));
        let mut end = end;
        if is_clean && !self.close() {
            // What was armed before has struck.
            end = self.end_on_trouble.expect("a close fails only if it is to");
            is_clean = false;
        }
        let (kind, choice) = match end {
            End::Close | End::Kill => (CrashKind::Process, Choice::AllKept),
            End::CloseAndCut(left) | End::Cut(left) => (CrashKind::System, choice(left)),
        };
        let next = self.disk.crash(kind, choice);
        let is_cut = kind == CrashKind::System;
        let unsure = self.unsure.take();
        let is_unsure = unsure.is_some() || self.disk.is_stopped();
        self.workers.iter_mut().for_each(|worker| *worker = None);
        self.drop_tokens();
        self.end_on_trouble = None;
        self.disk = next;
        self.rig = Rig::open(&self.disk.storage(), self.max_queue_size);
        for ledger in &mut self.books().all {
            ledger.detach();
            if !is_clean {
                ledger.crash(is_cut, is_unsure);
            }
        }
        self.check_log(is_cut, !is_clean && (is_cut || is_unsure));
        if let Some(unsure) = unsure {
            self.make_sure(unsure);
        }
        self.check_names();
        for (nth, was_attached) in attached.into_iter().enumerate() {
            if was_attached {
                self.attach(nth);
            }
        }
    }

    /// Closes in order; says whether that went well.
    fn close(&mut self) -> bool {
        for nth in 0..self.workers.len() {
            self.detach(nth);
        }
        if self.unsure.is_some() || self.disk.is_stopped() {
            return false;
        }
        assert_eq!(self.rig.dispatcher.stop(None), Vec::<String>::new());
        let closed = self.rig.log.close();
        let durable = self.rig.log.watermark().durable();
        let noted = self.rig.control.close(durable);
        if !self.expect(closed.and(noted), Unsure::Something) {
            return false;
        }
        self.synced();
        true
    }

    /// All that was promised is in the log, and nothing else.
    fn check_log(&self, is_cut: bool, may_lose: bool) {
        let mut found = Vec::new();
        let mut reader = self.rig.log.reader(Seq::FIRST);
        while let Some(event) = reader.next_event().unwrap() {
            found.push((event.seq().0, event.data::<u64>().unwrap()));
        }
        let origin = self.disk.describe();
        let mut books = self.books.lock().unwrap();
        let last = found.last().map_or(0, |(seq, _)| *seq);
        let kept = |event: &&Emitted| !event.is_lost;
        for (seq, number) in &found {
            let event = books.events.get(seq).filter(kept);
            let event = event.unwrap_or_else(|| panic!("{seq} was never emitted: {origin}"));
            assert_eq!(event.number, *number, "{seq}: {origin}");
            let (first, end) = event.batch;
            assert!(
                end <= last,
                "of {first}..={end} there are those up to {last}: {origin}"
            );
        }
        let count = books.events.values().filter(kept).count();
        let mut gone = books
            .events
            .range_mut(last + 1..)
            .filter(|(_, one)| !one.is_lost);
        let mut lost_count = 0;
        for (seq, event) in &mut gone {
            let is_promised = event.is_sure && (event.is_synced || !may_lose);
            assert!(!is_promised, "{seq} is lost: {origin}");
            event.is_lost = true;
            lost_count += 1;
        }
        assert_eq!(
            found.len(),
            count - lost_count,
            "a hole before {last}: {origin}"
        );
        if is_cut {
            // What has survived a power cut is on the disk.
            let left = books.events.values_mut().filter(|event| !event.is_lost);
            left.for_each(|event| (event.is_sure, event.is_synced) = (true, true));
        }
    }

    /// Finds out whether what was being done when something failed is done.
    fn make_sure(&mut self, unsure: Unsure) {
        let (Unsure::Begun(nth, _)
        | Unsure::Sought(nth, _)
        | Unsure::Deleted(nth)
        | Unsure::Paused(nth)) = unsure
        else {
            return;
        };
        let name = name_of(nth);
        let place = self.rig.control.place(&name);
        let mut books = self.books.lock().unwrap();
        let ledger = &mut books.all[nth];
        match (unsure, place) {
            (Unsure::Begun(_, start), Some(_)) => ledger.begin(start),
            // There, it makes no difference whether it was sent there or came there.
            (Unsure::Sought(_, start), Some(place))
                if place.cursor.next().0 == start && place.ahead.is_empty() =>
            {
                ledger.begin(start);
            }
            (Unsure::Deleted(_), None) => ledger.forget(),
            (Unsure::Paused(_), _) => ledger.is_paused = self.rig.control.paused(&name).is_some(),
            _ => {}
        }
    }

    /// What the control log knows of each name.
    fn check_names(&mut self) {
        for nth in 0..self.workers.len() {
            let name = name_of(nth);
            let parked = self.parked(nth);
            let is_there = self.rig.control.place(&name).is_some();
            let is_paused = self.rig.control.paused(&name).is_some();
            let books = &mut *self.books.lock().unwrap();
            let ledger = &mut books.all[nth];
            if !ledger.setup.is_named {
                // It ends with its registration.
                ledger.forget();
                continue;
            }
            let known = (is_there, is_paused);
            assert_eq!(known, (ledger.is_known, ledger.is_paused), "{name}");
            if let Err(why) = ledger.reconcile(&books.events, &parked) {
                books.blame(nth, &format!("{why}, when it begins again"));
            }
        }
    }
}

fn choice(left: Left) -> Choice {
    match left {
        Left::Nothing => Choice::AllLost,
        Left::All => Choice::AllKept,
        Left::Some(seed) => Choice::Seed(seed),
    }
}
