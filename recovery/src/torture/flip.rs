//! `torture --flip`: every byte of a small log is changed in turn, then pairs of bytes in headers. What is
//! shown must be what was emitted, all of it, or there must be an error: never other data, never silence.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use blake3::Hash;
use forelog::testing::{Crash, TestDisk};
use forelog::{Builder, EncryptionKey, ErrorKind, EventSystem, Result, Seq, Subscription};

use super::args::RunArgs;
use super::content::{Tag, digest, digest_of};
use super::findings::{Broken, Findings};
use super::random::Random;
use super::run::{Report, seeds_of};
use crate::progress;

/// Where all modes run, so many seeds have one run.
const SEEDS_PER_RUN: u64 = 200;
const SEGMENT_LEN: usize = 64 << 10;
/// How many events the log has.
const EVENTS: u64 = 12;
/// The block that a segment begins with.
const HEADER_LEN: usize = 4096;
/// How many bytes at the end of a file hold its footer, where it has one.
const FOOTER_LEN: usize = 512;
/// How many pairs of bytes in headers are changed.
const PAIRS: u64 = 400;
/// Of the bytes that hold nothing, one of so many is changed.
const OF_ZEROS: usize = 256;
/// The name of the subscription.
const NAME: &str = "torture";

pub(crate) fn flipped(args: &RunArgs) -> Result<Report> {
    let mut report = Report {
        mode: "flip",
        ..Report::default()
    };
    for seed in seeds_of(args, SEEDS_PER_RUN) {
        // Every other log is encrypted.
        let log = Log::make(seed, seed.is_multiple_of(2))?;
        let (states, findings) = log.try_all()?;
        report.runs += 1;
        report.states += states;
        if !findings.is_empty() {
            let repeat = format!("forelog-recovery torture --flip --seed {seed}");
            report.fail(&findings, repeat);
            break;
        }
    }
    Ok(report)
}

/// Bytes that are changed at once: the file, the place, and what the byte is combined with.
type Flip = Vec<(String, usize, u8)>;

/// A small log that was closed in order, and what it holds.
struct Log {
    seed: u64,
    is_encrypted: bool,
    disk: TestDisk,
    events: BTreeMap<Seq, Hash>,
    /// How far its subscription has come.
    position: Seq,
}

fn settings(is_encrypted: bool) -> Builder {
    let builder = EventSystem::builder().segment_size(SEGMENT_LEN);
    if is_encrypted {
        return builder.encryption_key(EncryptionKey::from_bytes([7; 32]));
    }
    builder
}

impl Log {
    fn make(seed: u64, is_encrypted: bool) -> Result<Log> {
        let disk = TestDisk::new();
        let system = disk.open(settings(is_encrypted))?;
        system.register_handler(Subscription::named(NAME), |_: &forelog::Delivery<'_>| {})?;
        system.start()?;
        let mut events = BTreeMap::new();
        for index in 0..EVENTS {
            let tag = Tag {
                seed,
                thread: 0,
                index,
                first: index,
                count: 1,
                payload_max: 64,
            };
            let event = tag.event()?;
            events.insert(system.emit(&event)?.seq, digest(&event));
        }
        system.drain(None)?;
        system.close()?;
        let position = events.keys().next_back().copied().unwrap_or_default();
        Ok(Log {
            seed,
            is_encrypted,
            disk: system.into_disk(Crash::Process),
            events,
            position,
        })
    }

    /// All that is changed, one after the other.
    fn flips(&self) -> Result<Vec<Flip>> {
        let random = &mut Random::of(self.seed, &[4]);
        let mut flips = Vec::new();
        let mut headers = Vec::new();
        for (path, len) in self.disk.files() {
            let bytes = self.disk.read(&path)?;
            let used = bytes
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |at| at + 1);
            let is_main = path.starts_with("log");
            let mut of_frames = bytes.iter().take(len.saturating_sub(FOOTER_LEN));
            let used_by_frames = of_frames
                .rposition(|byte| *byte != 0)
                .map_or(0, |at| at + 1);
            for (at, byte) in bytes.iter().enumerate() {
                // All of the main log up to where its frames end; elsewhere what holds something.
                let is_wanted = *byte != 0 || (is_main && at < used_by_frames);
                if is_wanted || at.is_multiple_of(OF_ZEROS) {
                    flips.push(vec![(path.clone(), at, mask(random))]);
                }
            }
            if is_main && used > 0 {
                let of_header = bytes.iter().take(HEADER_LEN).enumerate();
                let places = of_header.filter(|(_, byte)| **byte != 0);
                headers.extend(places.map(|(at, _)| (path.clone(), at)));
            }
        }
        for _ in 0..PAIRS {
            let mut one = || {
                let (path, at) = headers.get(random.len_below(headers.len()))?.clone();
                Some((path, at, mask(random)))
            };
            if let (Some(one), Some(two)) = (one(), one()) {
                flips.push(vec![one, two]);
            }
        }
        Ok(flips)
    }

    /// Makes every change, each to a copy of the whole disk.
    fn try_all(&self) -> Result<(u64, Findings)> {
        let flips = self.flips()?;
        let bar = progress::seeds("--flip", flips.len() as u64);
        let next = AtomicUsize::new(0);
        let findings = Mutex::new(Findings::default());
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while let Some(flip) = flips.get(next.fetch_add(1, Ordering::AcqRel)) {
                        bar.inc(1);
                        if let Some((broken, seq, detail)) = self.try_one(flip) {
                            let mut findings =
                                findings.lock().unwrap_or_else(PoisonError::into_inner);
                            findings.add(broken, seq, &format!("{detail}, with {flip:?}"));
                        }
                    }
                });
            }
        });
        bar.finish_and_clear();
        let findings = findings
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok((flips.len() as u64, findings))
    }

    /// Makes one change; returns what is wrong then.
    fn try_one(&self, flip: &Flip) -> Option<(Broken, Option<Seq>, String)> {
        let disk = self.disk.crash(Crash::Process);
        for (path, at, mask) in flip {
            if let Err(error) = disk.damage(path, *at, |byte| *byte ^= mask) {
                return Some((Broken::Failed, None, error.to_string()));
            }
        }
        // An error at the opening is what there should be.
        let system = disk.open(settings(self.is_encrypted)).ok()?;
        let found = self.judge(&system);
        system.into_disk(Crash::Process);
        found
    }

    fn judge(&self, system: &EventSystem) -> Option<(Broken, Option<Seq>, String)> {
        let mut shown = BTreeMap::new();
        let replayed = system.replay().run(|event| {
            shown.insert(event.seq(), digest_of(event));
            Ok(())
        });
        let other = shown
            .iter()
            .find(|(seq, digest)| self.events.get(seq) != Some(digest));
        if let Some((seq, _)) = other {
            return Some((
                Broken::Altered,
                Some(*seq),
                "other data is shown".to_owned(),
            ));
        }
        if replayed.is_ok() && shown.len() < self.events.len() {
            let detail = format!(
                "{} of {} events are shown, and no error",
                shown.len(),
                EVENTS
            );
            return Some((Broken::Unseen, None, detail));
        }
        match system.durable_position(NAME) {
            Ok(position) if position > self.position => {
                let detail = format!("the subscription stands at Seq {position}");
                Some((Broken::Skipped, Some(position), detail))
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Some((Broken::Failed, None, error.to_string()))
            }
            _ => None,
        }
    }
}

/// One bit, or several.
fn mask(random: &mut Random) -> u8 {
    let [mask, ..] = random.next().to_le_bytes();
    if random.one_in(2) {
        1 << (mask % 8)
    } else {
        mask.max(1)
    }
}
