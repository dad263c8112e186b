//! An event whose handler ends the process each time it is handled (row 53).

use std::path::Path;
use std::time::Duration;

use forelog::{Delivery, RetryPolicy, Subscription};

use crate::child::{Child, text};
use crate::ledger::open;
use crate::load::Tag;
use crate::roles::{report, say};

const ATTEMPTS_MAX: u32 = 3;
/// Attempts are written ahead only after an unclean end, so the first death may not count.
const DEATHS_MAX: u32 = ATTEMPTS_MAX + 1;
/// The Seq of the event that is not survived.
const DEADLY: u64 = 4;
const COUNT: u64 = 9;

/// Handles all that is there, and dies of one event: the child's role.
pub(crate) fn handle(dir: &Path) {
    let system = open(dir).unwrap();
    let retry = RetryPolicy {
        attempts_max: ATTEMPTS_MAX,
        backoff_initial: Duration::from_millis(1),
        ..RetryPolicy::default()
    };
    let work = Subscription::named("work").retry(retry);
    let handler = |delivery: &Delivery<'_>| {
        say(&format!("handling {}", delivery.seq()));
        if delivery.seq().0 == DEADLY {
            std::process::abort();
        }
    };
    system.register_handler(work, handler).unwrap();
    system.start().unwrap();
    system.drain(None).unwrap();
    let parked: Vec<u64> = system
        .parked("work")
        .iter()
        .map(|event| event.seq.0)
        .collect();
    say(&format!("parked {parked:?}"));
    report("closed", system.close());
}

#[test]
fn an_event_that_kills_the_process_is_parked_after_its_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path()).unwrap();
    for number in 0..COUNT as u32 {
        system.emit(Tag::alone(1, number).event()).unwrap();
    }
    system.close().unwrap();
    drop(system);
    let mut handled = Vec::new();
    let mut deaths = 0;
    loop {
        let (status, lines) = Child::start(&[], "poison", &[text(dir.path())]).finish();
        let seqs = lines
            .iter()
            .filter_map(|line| line.strip_prefix("handling "));
        handled.extend(seqs.map(|seq| seq.parse::<u64>().unwrap()));
        if status.success() {
            assert!(lines.contains(&format!("parked [{DEADLY}]")), "{lines:?}");
            assert_eq!(lines.last().unwrap(), "closed Ok");
            break;
        }
        deaths += 1;
        println!("{status}: {lines:?}");
        assert_eq!(handled.last(), Some(&DEADLY), "{status}: {lines:?}");
        assert!(
            deaths <= DEATHS_MAX,
            "it is handled for ever: {handled:?}, {status}: {lines:?}"
        );
    }
    assert!(deaths >= ATTEMPTS_MAX, "{handled:?}");
    let times = |seq| handled.iter().filter(|&&at| at == seq).count();
    assert_eq!(times(DEADLY), deaths as usize);
    for seq in (1..=COUNT).filter(|&seq| seq != DEADLY) {
        // Those before it are handled again where their cursor was not yet written.
        let times_max = if seq < DEADLY { deaths as usize + 1 } else { 1 };
        assert!((1..=times_max).contains(&times(seq)), "{seq}: {handled:?}");
    }
}
