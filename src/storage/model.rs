//! Models of the claims of a region: threads that claim, write and publish under every schedule.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use memmap2::MmapRaw;

use super::backing::Backing;
use super::memory::anonymous_map;
use super::mmap::{Claim, Region, Writer};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, explore, thread};

const LEN: usize = 64;
/// What a claim takes, and how many of them a thread takes.
const PIECE: usize = 4;
const CLAIMS: usize = 3;

/// Stands behind a region, and tells when the region goes.
#[derive(Debug)]
struct Probe(Arc<AtomicBool>);

impl Drop for Probe {
    fn drop(&mut self) {
        assert!(!self.0.swap(true, Ordering::SeqCst));
    }
}

impl Backing for Probe {
    fn sync(&self, _: &[u8], _: &MmapRaw) -> io::Result<()> {
        Ok(())
    }

    fn sync_range(&self, _: &[u8], _: Range<usize>) -> io::Result<bool> {
        Ok(true)
    }

    fn write_through(&self, _: usize, _: &[u8]) -> io::Result<bool> {
        Ok(false)
    }

    fn read_at(&self, _: usize, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::other("no file"))
    }

    fn len(&self) -> io::Result<Option<u64>> {
        Ok(Some(LEN as u64))
    }

    fn punch_hole(&self, _: usize, _: usize) -> io::Result<()> {
        Ok(())
    }
}

/// What the writer keeps for its claims; tells when it goes.
struct Owner {
    notes: Mutex<Vec<Range<usize>>>,
    is_noting: AtomicBool,
    is_gone: Arc<AtomicBool>,
}

impl Owner {
    fn note(&self, range: Range<usize>) {
        assert!(!self.is_noting.swap(true, Ordering::SeqCst), "two at once");
        self.notes.lock().unwrap().push(range);
        assert!(self.is_noting.swap(false, Ordering::SeqCst));
    }

    fn assert_noted_upto(&self, end: usize) {
        let notes = self.notes.lock().unwrap();
        let starts: Vec<usize> = notes.iter().map(|range| range.start).collect();
        assert_eq!(starts, (0..end).step_by(PIECE).collect::<Vec<_>>());
        assert!(notes.iter().all(|range| range.len() == PIECE));
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        assert!(!self.is_gone.swap(true, Ordering::SeqCst));
    }
}

/// A region and its writer behind a lock, as the log's tail has it.
struct Model {
    region: Arc<Region>,
    owner: Arc<Owner>,
    writer: Mutex<Option<Writer<Owner>>>,
    is_region_gone: Arc<AtomicBool>,
    is_owner_gone: Arc<AtomicBool>,
}

impl Model {
    fn new() -> Arc<Model> {
        let is_region_gone = Arc::new(AtomicBool::new(false));
        let is_owner_gone = Arc::new(AtomicBool::new(false));
        let map = anonymous_map(LEN).unwrap();
        let probe = Box::new(Probe(is_region_gone.clone()));
        let region = Arc::new(Region::new(map, probe, PathBuf::from("model")));
        let owner = Arc::new(Owner {
            notes: Mutex::default(),
            is_noting: AtomicBool::new(false),
            is_gone: is_owner_gone.clone(),
        });
        let writer = region.writer(owner.clone());
        Arc::new(Model {
            region,
            owner,
            writer: Mutex::new(writer),
            is_region_gone,
            is_owner_gone,
        })
    }

    /// Claims a piece, writes it in two steps and publishes it; `false` if it cannot be.
    fn append(&self) -> bool {
        append(&self.writer).is_some_and(|is_published| is_published)
    }

    /// All bytes that a reader sees are written.
    fn check_readable(&self) -> usize {
        let bytes = self.region.bytes();
        assert_eq!(bytes.len() % PIECE, 0);
        for (number, piece) in (1..).zip(bytes.chunks(PIECE)) {
            assert_eq!(piece, [number; PIECE], "a reader sees what is not written");
        }
        bytes.len()
    }
}

/// As [`Model::append`]; `None` if there is no writer or no room.
fn append(writer: &Mutex<Option<Writer<Owner>>>) -> Option<bool> {
    let mut claim = {
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_mut()?.claim(PIECE)?
    };
    let number = u8::try_from(claim.offset() / PIECE).unwrap() + 1;
    claim.bytes_mut()[..PIECE / 2].fill(number);
    thread::yield_now();
    claim.bytes_mut()[PIECE / 2..].fill(number);
    Some(claim.publish(Owner::note).is_ok())
}

fn spawn(model: &Arc<Model>, act: impl FnOnce(&Model) + Send + 'static) -> thread::JoinHandle<()> {
    let model = model.clone();
    thread::spawn(move || act(&model))
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn claims_are_published_whole_in_order_and_once() {
    explore(40_000, || {
        let model = Model::new();
        let appends = |model: &Model| assert!((0..CLAIMS).all(|_| model.append()));
        let mut threads: Vec<_> = (0..3).map(|_| spawn(&model, appends)).collect();
        threads.push(spawn(&model, |model| {
            let mut seen = 0;
            for _ in 0..4 {
                let now = model.check_readable();
                assert!(now >= seen);
                seen = now;
                thread::yield_now();
            }
        }));
        join(threads);
        assert_eq!(model.check_readable(), 3 * CLAIMS * PIECE);
        model.owner.assert_noted_upto(3 * CLAIMS * PIECE);
        *model.writer.lock().unwrap() = None;
        assert!(model.region.writer(Arc::new(())).is_some());
    });
}

/// As a rotation does it: what was claimed is awaited, then the segment gets another writer.
#[test]
fn a_writer_that_awaited_its_claims_makes_room_for_another() {
    explore(20_000, || {
        let model = Model::new();
        let appends = |model: &Model| {
            while append(&model.writer).is_some_and(|is_published| is_published) {
                if model.region.reserved() > LEN / 2 {
                    break;
                }
            }
        };
        let threads: Vec<_> = (0..2).map(|_| spawn(&model, appends)).collect();
        let end = {
            let mut writer = model.writer.lock().unwrap();
            model.region.await_published().unwrap();
            *writer = None;
            model.check_readable()
        };
        let mut sealing = model.region.writer(Arc::new(())).expect("all is published");
        let claim = sealing.claim(LEN - end).unwrap();
        claim
            .publish(|(), range| assert_eq!(range, end..LEN))
            .unwrap();
        join(threads);
        model.owner.assert_noted_upto(end);
        assert_eq!(model.region.published(), LEN);
    });
}

/// The claims hold no count of region and owner, so these must outlive them, and no longer.
#[test]
fn region_and_owner_live_as_long_as_their_claims() {
    explore(40_000, || {
        let model = Model::new();
        let (is_region_gone, is_owner_gone) =
            (model.is_region_gone.clone(), model.is_owner_gone.clone());
        let Ok(Model { writer, .. }) = Arc::try_unwrap(model) else {
            unreachable!("nobody else has it");
        };
        let writer = Arc::new(writer);
        let published = Arc::new(AtomicUsize::new(0));
        let spawn = |_| {
            let (writer, published) = (writer.clone(), published.clone());
            let (region, owner) = (is_region_gone.clone(), is_owner_gone.clone());
            thread::spawn(move || {
                let claim = {
                    let mut writer = writer.lock().unwrap();
                    writer.as_mut().and_then(|writer| writer.claim(PIECE))
                };
                let Some(claim) = claim else { return };
                let note = |_: &Owner, _: Range<usize>| {
                    assert!(!region.load(Ordering::SeqCst), "the region is gone");
                    assert!(!owner.load(Ordering::SeqCst), "the owner is gone");
                    published.fetch_add(1, Ordering::SeqCst);
                };
                claim.publish(note).unwrap();
            })
        };
        let threads: Vec<_> = (0..3).map(spawn).collect();
        drop(writer.lock().unwrap().take());
        join(threads);
    });
}

#[test]
fn behind_an_abandoned_claim_everybody_is_told() {
    explore(40_000, || {
        let model = Model::new();
        let appends = |model: &Model| {
            let is_published: Vec<bool> = (0..2).map(|_| model.append()).collect();
            assert!(is_published.is_sorted_by(|first, second| first >= second));
        };
        let mut threads: Vec<_> = (0..2).map(|_| spawn(&model, appends)).collect();
        threads.push(spawn(&model, |model| {
            let claim = {
                let mut writer = model.writer.lock().unwrap();
                writer.as_mut().and_then(|writer| writer.claim(PIECE))
            };
            let hole = claim.as_ref().map(Claim::offset);
            drop(claim);
            assert!(model.region.await_published().is_err());
            assert!(model.region.published() <= hole.unwrap_or(LEN));
        }));
        join(threads);
        let end = model.check_readable();
        model.owner.assert_noted_upto(end);
        *model.writer.lock().unwrap() = None;
        assert!(model.region.writer(Arc::new(())).is_none());
    });
}
