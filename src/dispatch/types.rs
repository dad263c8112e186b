//! [`TypeBook`]: deliveries of a subscription, counted and timed by event type.
//!
//! The worker alone writes. It finds the type of the next event by its [`Mark`], most often where the last
//! one of that type was found, and bumps a counter that is its own: no lock, no allocation. Whoever
//! watches reads the counters through [`TypeTallies`], which grow by one with each new type and by no more
//! than a hundred.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::timings::Timings;

/// How many event types are told apart, and how all others are called.
pub(super) const TYPES_MAX: usize = 100;
pub(crate) const OTHER_TYPES: &str = "…";
/// How many types are found by their marks; a power of two.
const HINTS: usize = 256;
/// A mark says all of a name up to this length.
const MARKED_LEN_MAX: usize = 16;

/// A type within a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TypeNo(u8);

impl TypeNo {
    /// All types that are not told apart.
    pub(super) const OTHER: TypeNo = TypeNo(0);
}

/// What is counted of one type.
#[derive(Debug)]
pub(super) struct TypeTally {
    pub(super) name: Arc<str>,
    delivered: AtomicU64,
    failed: AtomicU64,
    /// How long after it was appended each event of it was acknowledged.
    pub(super) latency: Timings,
}

impl TypeTally {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(TypeTally {
            name: name.into(),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            latency: Timings::small(),
        })
    }

    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Adds one to a counter that has one writer.
#[inline]
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The tallies of one subscription, for whoever watches.
#[derive(Debug, Default)]
pub(super) struct TypeTallies(Mutex<Vec<Arc<TypeTally>>>);

impl TypeTallies {
    /// The types of which something was counted.
    pub(super) fn all(&self) -> Vec<Arc<TypeTally>> {
        let mut all = self.lock().clone();
        all.retain(|one| one.delivered() + one.failed() > 0);
        all
    }

    /// Failed attempts by type, where there were any.
    pub(super) fn failed(&self) -> BTreeMap<String, u64> {
        let all = self.lock();
        let failing = all.iter().filter(|one| one.failed() > 0);
        failing
            .map(|one| (one.name.to_string(), one.failed()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<TypeTally>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was counted of one type by several subscriptions.
#[derive(Debug, Clone, Default)]
pub(crate) struct TypeTotal {
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    /// How long after it was appended each event was acknowledged, in nanoseconds.
    pub(crate) latency: Option<Histogram<u64>>,
}

/// What several subscriptions have counted; no more types are told apart than in one.
#[derive(Debug, Clone, Default)]
pub(crate) struct TypeTotals(pub(crate) BTreeMap<Arc<str>, TypeTotal>);

impl TypeTotals {
    pub(super) fn add(&mut self, tallies: &TypeTallies) {
        for tally in tallies.all() {
            let is_told = self.0.len() < TYPES_MAX || self.0.contains_key(&tally.name);
            let name = if is_told {
                tally.name.clone()
            } else {
                OTHER_TYPES.into()
            };
            let total = self.0.entry(name).or_default();
            total.delivered += tally.delivered();
            total.failed += tally.failed();
            tally.latency.add_to(&mut total.latency);
        }
    }
}

/// What the worker knows of one type.
#[derive(Debug)]
struct Page {
    tally: Arc<TypeTally>,
    mark: Mark,
    /// How many were delivered since one was timed.
    untimed: u64,
    /// How long the one took that was timed last.
    took: Option<Duration>,
}

/// The types of one subscription, as its worker has them.
#[derive(Debug)]
pub(super) struct TypeBook {
    tallies: Arc<TypeTallies>,
    /// The first is for all others.
    pages: Vec<Page>,
    by_name: HashMap<Arc<str>, TypeNo>,
    /// Which type was found last by a mark like this.
    hints: Box<[TypeNo; HINTS]>,
}

impl TypeBook {
    pub(super) fn new(tallies: Arc<TypeTallies>) -> Self {
        let mut book = TypeBook {
            tallies,
            pages: Vec::new(),
            by_name: HashMap::new(),
            hints: Box::new([TypeNo::OTHER; HINTS]),
        };
        book.open_page(OTHER_TYPES);
        book
    }

    /// The type of an event.
    #[inline]
    pub(super) fn find(&mut self, event_type: &str) -> TypeNo {
        let mark = Mark::of(event_type);
        let hint = mark.hint();
        let found = self.hints[hint];
        let page = &self.pages[usize::from(found.0)];
        if page.mark == mark && (mark.says_all() || page.tally.name.as_ref() == event_type) {
            return found;
        }
        self.look_up(event_type, hint)
    }

    #[cold]
    fn look_up(&mut self, event_type: &str, hint: usize) -> TypeNo {
        let known = self.by_name.get(event_type).copied();
        let found = known.unwrap_or_else(|| {
            if self.pages.len() > TYPES_MAX {
                return TypeNo::OTHER;
            }
            self.open_page(event_type)
        });
        self.hints[hint] = found;
        found
    }

    fn open_page(&mut self, name: &str) -> TypeNo {
        let tally = TypeTally::new(name);
        // No more than a hundred and one.
        let no = TypeNo(u8::try_from(self.pages.len()).unwrap_or(0));
        self.by_name.insert(tally.name.clone(), no);
        self.tallies.lock().push(tally.clone());
        self.pages.push(Page {
            tally,
            mark: Mark::of(name),
            untimed: 0,
            took: None,
        });
        no
    }

    /// Counts an acknowledged delivery.
    #[inline]
    pub(super) fn count_delivered(&mut self, no: TypeNo) {
        let page = &mut self.pages[usize::from(no.0)];
        page.untimed += 1;
        bump(&page.tally.delivered);
    }

    /// Counts a failed attempt.
    pub(super) fn count_failed(&mut self, no: TypeNo) {
        bump(&self.pages[usize::from(no.0)].tally.failed);
    }

    /// Notes how long the last delivery took, if that counts: for itself, and for those of its type since
    /// the one that was timed before.
    pub(super) fn time(&mut self, no: TypeNo, took: Option<Duration>) {
        let page = &mut self.pages[usize::from(no.0)];
        page.took = took;
        let count = std::mem::take(&mut page.untimed);
        if let Some(took) = took {
            page.tally.latency.note(took, count);
        }
    }

    /// Nothing is left to deliver: those that were not timed count like the last of their type, or else
    /// like the last of all, which took so long.
    pub(super) fn rest(&mut self, took: Option<Duration>) {
        for page in self.pages.iter_mut().filter(|page| page.untimed > 0) {
            let count = std::mem::take(&mut page.untimed);
            if let Some(took) = page.took.or(took) {
                page.tally.latency.note(took, count);
            }
        }
    }
}

/// The length of a name, its beginning and its end: most often that tells it from all others, and comparing
/// that takes no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    len: usize,
    head: u64,
    tail: u64,
}

impl Mark {
    #[inline]
    fn of(name: &str) -> Self {
        let bytes = name.as_bytes();
        let ends = bytes.first_chunk().zip(bytes.last_chunk());
        let (head, tail) = ends.map_or_else(
            || (short(bytes), 0),
            |(head, tail)| (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        );
        let len = bytes.len();
        Mark { len, head, tail }
    }

    /// Whether no other name has this mark.
    #[inline]
    fn says_all(self) -> bool {
        self.len <= MARKED_LEN_MAX
    }

    /// Where the type is looked for first.
    #[inline]
    fn hint(self) -> usize {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = self.head ^ self.tail.rotate_left(31) ^ self.len as u64;
        usize::from(mixed.wrapping_mul(SPREAD).to_be_bytes()[0])
    }
}

/// A name of fewer than eight bytes, as a number.
fn short(name: &[u8]) -> u64 {
    name.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(tallies: &TypeTallies) -> BTreeMap<String, u64> {
        let all = tallies.all().into_iter();
        all.map(|one| (one.name.to_string(), one.delivered()))
            .collect()
    }

    #[test]
    fn a_hundred_types_are_told_apart_and_the_rest_is_one() {
        let tallies = Arc::<TypeTallies>::default();
        let mut book = TypeBook::new(tallies.clone());
        for _ in 0..3 {
            for number in 0..150 {
                let no = book.find(&format!("type.{number}.of.many"));
                book.count_delivered(no);
            }
        }
        let all = counted(&tallies);
        assert_eq!(all.len(), TYPES_MAX + 1);
        assert_eq!(all["type.7.of.many"], 3);
        assert_eq!(all[OTHER_TYPES], 150);
    }

    #[test]
    fn short_and_alike_names_are_not_mixed_up() {
        let tallies = Arc::<TypeTallies>::default();
        let mut book = TypeBook::new(tallies.clone());
        let names = [
            "",
            "a",
            "b",
            "ab",
            "ba",
            "abcdefgh",
            "abcdefghabcdefgh",
            "abcdefgh-abcdefgh",
        ];
        for _ in 0..2 {
            for name in names {
                let no = book.find(name);
                book.count_delivered(no);
                book.count_failed(no);
            }
        }
        assert_eq!(
            counted(&tallies),
            names.map(|name| (name.to_owned(), 2)).into()
        );
        assert_eq!(tallies.failed()["ab"], 2);
    }

    #[test]
    fn each_delivery_counts_in_the_latency_of_its_own_type() {
        let tallies = Arc::<TypeTallies>::default();
        let mut book = TypeBook::new(tallies.clone());
        let (quick, slow, rare) = (book.find("quick"), book.find("slow"), book.find("rare"));
        for _ in 0..10 {
            book.count_delivered(quick);
            book.count_delivered(slow);
        }
        book.time(slow, Some(Duration::from_secs(1)));
        book.time(quick, Some(Duration::from_millis(1)));
        book.count_delivered(quick);
        book.count_delivered(rare);
        book.rest(Some(Duration::from_millis(5)));
        let latency = |name: &str| {
            let all = tallies.all();
            let one = all.iter().find(|one| &*one.name == name).unwrap();
            let histogram = one.latency.all().unwrap();
            (histogram.len(), histogram.max() / 1_000_000)
        };
        assert_eq!(latency("quick"), (11, 1));
        assert_eq!(latency("slow").0, 10);
        assert!((990..=1010).contains(&latency("slow").1));
        assert_eq!(latency("rare"), (1, 5));
    }
}
