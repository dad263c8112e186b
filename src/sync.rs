//! What the lock-free write path takes of `std::sync` and `std::thread`.
//!
//! In tests compiled with `--cfg shuttle` these are shuttle's: its scheduler then decides at each call
//! which thread goes on, and so takes the models through thousands of schedules. The files of the
//! protocol take them from here and from nowhere else; in every other build this is `std` by another
//! name. (Shuttle knows no weak memory: what the orderings are for is argued beside each of them.)

#[cfg(not(all(test, shuttle)))]
pub(crate) use std::{
    hint,
    sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
    thread,
};

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::{
    hint,
    sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
    thread,
};

/// Takes a model through so many schedules, half of them by chance, half by chance with few changes
/// of thread; times `FORELOG_TEST_SCALE`. The seed is that of `SHUTTLE_RANDOM_SEED`, or always the
/// same; a schedule that fails is printed, with how to run it again.
#[cfg(all(test, shuttle))]
pub(crate) fn explore(schedules: usize, model: impl Fn() + Send + Sync + Clone + 'static) {
    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    const SEED: u64 = 0x00F0_2E10;
    let scale = std::env::var("FORELOG_TEST_SCALE").ok();
    let scale: usize = scale.and_then(|text| text.parse().ok()).unwrap_or(1);
    let half = schedules * scale / 2;
    let mut config = shuttle::Config::new();
    config.stack_size = 256 << 10;
    config.max_steps = shuttle::MaxSteps::FailAfter(200_000);
    config.silence_warnings = true;
    println!("{half} schedules twice, seed {SEED} unless SHUTTLE_RANDOM_SEED is set");
    let random = RandomScheduler::new_from_seed(SEED, half);
    assert_eq!(
        shuttle::Runner::new(random, config.clone()).run(model.clone()),
        half
    );
    let few_changes = PctScheduler::new_from_seed(SEED, 3, half);
    assert_eq!(shuttle::Runner::new(few_changes, config).run(model), half);
}
