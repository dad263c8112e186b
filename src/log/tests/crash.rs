//! A crash at every storage operation of scripted runs, and at every one of the recovery after it.

use super::rounds;
use super::run::{Run, Setup, Step, steps};
use super::survive::{crash_recovery, survive};
use crate::storage::sim::{Choice, CrashKind, SimDisk};

/// How the images of a crash are chosen: all of them up to 2 to the `bits`, else samples.
#[derive(Debug, Clone, Copy)]
struct Sweep {
    setup: Setup,
    bits: u32,
    samples: u64,
    /// Of so many images, one has its recovery crashed as well.
    nested_of: u64,
}

impl Sweep {
    const OF_SMALL: Sweep = Sweep {
        setup: Setup::SMALL,
        bits: 12,
        samples: 16,
        nested_of: 24,
    };

    /// Crashes a script at each of its operations; returns how many crash states were opened, or the
    /// first thing that is wrong.
    fn run(&self, script: &[Step], seed: u64, prepare: fn(&SimDisk)) -> Result<u64, String> {
        let setup = self.setup;
        let later = Setup {
            is_keyed: setup.is_keyed || script.iter().any(|step| matches!(step, Step::GiveKey(_))),
            ..setup
        };
        let whole = Run::of(setup, script, prepare);
        let mut states = 0;
        for nth in 1..=whole.disk.op_count() + 1 {
            let run = Run::of(setup, script, |disk| {
                prepare(disk);
                disk.crash_at(nth);
            });
            for kind in [CrashKind::Process, CrashKind::System] {
                let images = run.disk.images(kind, self.bits, self.samples, seed ^ nth);
                for (index, image) in (0..).zip(images) {
                    let in_place =
                        |wrong| format!("seed {seed}, operation {nth}, image {index}: {wrong}");
                    if index % self.nested_of == nth % self.nested_of {
                        states += crash_recovery(&image, later, &run.promise, kind, seed ^ nth)
                            .map_err(in_place)?;
                    }
                    let second = &[Choice::AllLost];
                    states +=
                        survive(image, later, &run.promise, kind, second).map_err(in_place)?;
                }
            }
        }
        Ok(states)
    }

    fn run_seeds(&self, len: usize, seeds: std::ops::Range<u64>) -> u64 {
        let mut states = 0;
        for seed in seeds {
            let script = steps(seed, len, self.setup.lazy);
            match self.run(&script, seed, |_| {}) {
                Ok(count) => states += count,
                Err(wrong) => panic!("{wrong}\n{self:?}\nscript {script:?}"),
            }
        }
        println!("{states} crash states of {:?}", self.setup);
        states
    }
}

#[test]
fn no_crash_breaks_a_promise() {
    let states = Sweep::OF_SMALL.run_seeds(24, 0..rounds(3));
    assert!(states > 6_000, "only {states} crash states");
}

#[cfg(feature = "encryption")]
#[test]
fn no_crash_breaks_a_promise_of_an_encrypted_log() {
    let keyed = Setup {
        segment_len: 9 << 10,
        is_keyed: true,
        ..Setup::SMALL
    };
    let eager = Sweep {
        setup: keyed,
        bits: 9,
        ..Sweep::OF_SMALL
    };
    let lazy = Sweep {
        setup: Setup {
            lazy: true,
            ..keyed
        },
        bits: 7,
        ..Sweep::OF_SMALL
    };
    let states =
        eager.run_seeds(24, 300..300 + rounds(1)) + lazy.run_seeds(28, 310..310 + rounds(1));
    assert!(states > 3_000, "only {states} crash states");
}

/// The last of what is plain and the first of what is encrypted, through crashes before, in and behind the
/// opening that makes the key: whatever that left, no plain event is taken for one that cannot be.
#[cfg(feature = "encryption")]
#[test]
fn no_crash_breaks_a_promise_of_a_log_that_is_given_a_key() {
    let sweep = Sweep {
        setup: Setup {
            segment_len: 9 << 10,
            ..Setup::SMALL
        },
        bits: 8,
        nested_of: 6,
        ..Sweep::OF_SMALL
    };
    let mut states = 0;
    for seed in 400..400 + rounds(4) {
        let mut script = steps(seed, 9, false);
        script.push(Step::GiveKey(seed % 2 == 0));
        script.extend(steps(seed + 1_000, 5, false));
        let found = sweep.run(&script, seed, |_| {});
        states += found.unwrap_or_else(|wrong| panic!("{wrong}\nscript {script:?}"));
    }
    assert!(states > 3_000, "only {states} crash states");
}

#[test]
fn no_crash_breaks_a_promise_while_segments_wait_to_be_settled() {
    let lazy = Sweep {
        setup: Setup {
            lazy: true,
            ..Setup::SMALL
        },
        bits: 7,
        ..Sweep::OF_SMALL
    };
    let states = lazy.run_seeds(28, 100..100 + rounds(2));
    assert!(states > 4_000, "only {states} crash states");
}

#[test]
fn no_crash_breaks_a_promise_while_old_segments_are_removed() {
    let retaining = Sweep {
        setup: Setup {
            max_events: Some(20),
            ..Setup::SMALL
        },
        bits: 9,
        ..Sweep::OF_SMALL
    };
    let states = retaining.run_seeds(24, 200..200 + rounds(2));
    assert!(states > 4_000, "only {states} crash states");
}

/// The sweep must be able to fail: where syncs do nothing, acknowledged events are lost.
#[test]
fn a_disk_that_ignores_syncs_is_found_out() {
    for seed in 0..4 {
        let script = steps(seed, 24, false);
        let found = Sweep::OF_SMALL.run(&script, seed, |disk| disk.ignore_syncs(true));
        assert!(found.is_err(), "seed {seed}: {found:?}");
    }
}
