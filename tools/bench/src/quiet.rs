//! Waiting until the threads of this process have come to rest, so that what a system prepares in
//! the background is done when a burst begins.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(5);
/// As long as no other thread was seen running or in a disk's wait, all is quiet.
const QUIET_POLLS: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns once every other thread of the process has slept for a while, or the patience is at its
/// end. Where threads cannot be looked at, it waits for no longer than one quiet time.
pub(crate) fn wait() {
    let deadline = Instant::now() + PATIENCE;
    let mut quiet = 0;
    while quiet < QUIET_POLLS && Instant::now() < deadline {
        std::thread::sleep(PAUSE);
        quiet = if others_sleep() { quiet + 1 } else { 0 };
    }
}

/// Whether no thread but the one that asks is running or waits for a disk.
fn others_sleep() -> bool {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return true;
    };
    let busy = threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok())
        .filter(|stat| state(stat).is_some_and(|state| state != 'S' && state != 'I'));
    busy.count() <= 1
}

/// The letter behind the name, which stands in parentheses and may hold any of its own.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_stands_behind_the_name() {
        assert_eq!(state("12 (forelog-keeper) S 1 2 3"), Some('S'));
        assert_eq!(state("12 (a) R (b) D 1 2 3"), Some('D'));
        assert_eq!(state("12"), None);
    }
}
