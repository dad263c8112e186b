//! What a child does.

use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use forelog::{Durability, EventSystem, Receipt};

use crate::ledger::{name, open};
use crate::load::{Random, Tag};
use crate::{full_disk, limits, memory, poison, read_only, recycled, small_disk, truncated};

/// Plays a role; settings are texts in an order of the role's own.
pub(crate) fn run(role: &str, settings: &[&str]) {
    let number = |at: usize| settings[at].parse::<u64>().unwrap();
    let dir = Path::new(settings[0]);
    match role {
        "storm" => storm(dir, number(1) as u32, number(2)),
        "script" => script(dir, number(1) as u32, number(2) as u32, number(3) as usize),
        "hold" => hold(dir),
        "open" => report("opened", open(dir).map(drop)),
        "few files" => limits::few_files(dir),
        "many segments" => limits::many_segments(dir),
        "little room" => limits::little_room(dir),
        "small files" => limits::small_files(dir),
        "truncated" => truncated::read(dir),
        "full disk" => full_disk::fill(dir),
        "small disk" => small_disk::watch(dir),
        "read" => read_only::read(dir),
        "read full disk" => read_only::fill_and_read(dir),
        "emit and retain" => recycled::emit(dir, number(1) as u32),
        "hold events" => recycled::hold(dir),
        "poison" => poison::handle(dir),
        "memory" => memory::emit(dir, number(1)),
        other => panic!("no role is called {other:?}"),
    }
}

/// Says a line to the parent, in one write.
pub(crate) fn say(line: &str) {
    // The harness may have begun a line of its own.
    let line = format!("\n> {line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Says what something came to.
pub(crate) fn report(what: &str, result: forelog::Result<()>) {
    match result {
        Ok(()) => say(&format!("{what} Ok")),
        Err(error) => say(&format!("{what} {} {error}", name(error.kind()))),
    }
}

/// Waits for the parent's word.
pub(crate) fn wait() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

pub(crate) fn ack(receipt: &Receipt) {
    say(&format!("ack {} {}", receipt.seq, receipt.event_id));
}

/// Emits from four threads, in all durabilities, alone and in batches, until it is killed.
fn storm(dir: &Path, run: u32, seed: u64) {
    say("opening");
    let system = open(dir).unwrap();
    say("opened Ok");
    // Seq by Seq, so that acks of one thread come in its order.
    let saying = Mutex::new(());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (system, saying) = (&system, &saying);
            scope.spawn(move || {
                let mut random = Random(seed ^ u64::from(thread) << 48);
                let mut number = 0;
                loop {
                    let receipts = emit_some(system, run, thread, number, &mut random);
                    number += receipts.len() as u32;
                    let _one_at_a_time = saying.lock().unwrap();
                    receipts.iter().for_each(ack);
                }
            });
        }
    });
}

fn emit_some(
    system: &EventSystem,
    run: u32,
    thread: u16,
    number: u32,
    random: &mut Random,
) -> Vec<Receipt> {
    let batch_count = if random.below(4) == 0 {
        1 + random.below(5) as u16
    } else {
        1
    };
    let tag = |batch_place| Tag {
        run,
        thread,
        number: number + u32::from(batch_place),
        batch_place,
        batch_count,
    };
    if batch_count > 1 {
        let events: Vec<_> = (0..batch_count).map(|place| tag(place).event()).collect();
        return system.emit_batch(&events).unwrap();
    }
    let durability = match random.below(4) {
        0 => Durability::Sync,
        1 => Durability::Interval(Duration::from_millis(1 + random.below(20))),
        _ => Durability::Os,
    };
    let receipt = system.emit_with(tag(0).event(), durability).unwrap();
    vec![receipt]
}

/// Emits so many events of so many bytes one by one, every third synced, whatever errors come; then
/// closes.
fn script(dir: &Path, run: u32, count: u32, len: usize) {
    let system = match open(dir) {
        Ok(system) => system,
        Err(error) => return report("opened", Err(error)),
    };
    say("opened Ok");
    for number in 0..count {
        let durability = if number % 3 == 0 {
            Durability::Sync
        } else {
            Durability::Os
        };
        match system.emit_with(Tag::alone(run, number).event_of(len), durability) {
            Ok(receipt) => ack(&receipt),
            Err(error) => report("err", Err(error)),
        }
    }
    report("closed", system.close());
}

/// Holds the directory open until the parent says a word, and after it for ever.
fn hold(dir: &Path) {
    let _system = open(dir).unwrap();
    say("holding");
    wait();
    say("still here");
    wait();
}
