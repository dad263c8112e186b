//! Effects outside of the log: handlers of four threads write to an `SQLite` file, each event in a
//! transaction keyed on its Seq, while the process is killed over and over in one directory.
//!
//! The test starts this very binary again as a child, which emits and handles until it is killed after
//! a random number of acknowledged events. In the end the table must hold what the log holds, each event
//! once and those of a key in order, and the log all that was acknowledged.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use forelog::{Delivery, Durability, Event, EventSystem, RetryPolicy, Subscription, Timestamp};
use rusqlite::{Connection, TransactionBehavior};

const DIR: &str = "FORELOG_EFFECTS_DIR";
const RUN: &str = "FORELOG_EFFECTS_RUN";
const SEED: &str = "FORELOG_TEST_SEED";
const KILLS: u32 = 30;
/// The most events that are acknowledged before a kill.
const ACKS_MAX: u64 = 200;
const SOURCES: u64 = 6;
const EMITTERS: u64 = 2;
const PATIENCE: Duration = Duration::from_secs(120);

/// One event: its source, and what it adds to the source's balance.
type Entry = (String, u64);

/// What came of the kills, by Seq.
type Entries = BTreeMap<u64, Entry>;

fn database(dir: &Path) -> Connection {
    let database = Connection::open(dir.join("effects.sqlite")).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    // A killed process loses nothing that was written: no sync is needed here.
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;";
    database.execute_batch(settings).unwrap();
    database
}

/// Applies one event, unless that was done before: the row and the balance in one transaction.
fn apply(database: &mut Connection, event: &Delivery<'_>) -> rusqlite::Result<()> {
    let (seq, source) = (event.seq().0.cast_signed(), event.source());
    let amount: i64 = event.data().unwrap();
    let behaviour = TransactionBehavior::Immediate;
    let transaction = database.transaction_with_behavior(behaviour)?;
    let row = "INSERT OR IGNORE INTO effects (seq, source, amount) VALUES (?1, ?2, ?3)";
    if transaction.execute(row, (seq, source, amount))? == 1 {
        let balance = "INSERT INTO balances VALUES (?1, ?2) \
                       ON CONFLICT (source) DO UPDATE SET balance = balance + ?2";
        transaction.execute(balance, (source, amount))?;
    } else {
        let again = "UPDATE effects SET again = again + 1 WHERE seq = ?1";
        transaction.execute(again, [seq])?;
    }
    transaction.commit()
}

/// Opens the log and hands its events to four threads.
fn open(dir: &Path) -> EventSystem {
    let system = EventSystem::builder()
        .persistence_path(dir.join("log"))
        .segment_size(64 << 10)
        .max_queue_size(64)
        .open()
        .unwrap();
    let dir = dir.to_owned();
    let effects = Subscription::named("effects").concurrency(4);
    // An event that was under way at many kills in a row is not to blame for them.
    let effects = effects.retry(RetryPolicy {
        attempts_max: u32::MAX,
        ..RetryPolicy::default()
    });
    let handlers = move || {
        let mut database = database(&dir);
        move |event: &Delivery<'_>| apply(&mut database, event)
    };
    system.register_handlers(effects, handlers).unwrap();
    system.start().unwrap();
    system
}

/// Where the child enters; nothing but a name to anybody else.
#[test]
#[ignore = "the child process of the other test"]
fn entry() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (run, seed) = (number(RUN), number(SEED));
    say("opening");
    let system = open(&PathBuf::from(dir));
    std::thread::scope(|scope| {
        for emitter in 0..EMITTERS {
            let (system, seed) = (&system, seed ^ (run << 8) ^ emitter);
            scope.spawn(move || emit(system, Random(seed)));
        }
    });
}

/// Emits until the process is killed, and says what was acknowledged. Now and then it waits for the
/// handlers: they are slower, and would be killed with the same backlog for ever.
fn emit(system: &EventSystem, mut random: Random) {
    loop {
        if random.below(32) == 0 {
            system.drain(None).unwrap();
        }
        let source = format!("account-{}", random.below(SOURCES));
        let amount = random.below(1000);
        let event = Event::new("deposit", source.clone(), &amount).unwrap();
        let durability = match random.below(8) {
            0 => Durability::Sync,
            _ => Durability::Os,
        };
        let receipt = system.emit_with(event, durability).unwrap();
        say(&format!("{} {source} {amount}", receipt.seq));
    }
}

/// Says a line to the parent, in one write.
fn say(line: &str) {
    // The harness may have begun a line of its own.
    let line = format!("\n> {line}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// Runs a child until it has acknowledged so many events, and kills it; returns all it acknowledged.
fn run_until_killed(dir: &Path, run: u32, seed: u64, acks: u64) -> Entries {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["entry", "--exact", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env(RUN, run.to_string())
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .map(Killed)
        .unwrap();
    let out = BufReader::new(child.0.stdout.take().unwrap());
    let lines = out.lines().map_while(Result::ok);
    let mut said = lines.filter_map(|line| Some(line.strip_prefix("> ")?.to_owned()));
    assert_eq!(said.next().as_deref(), Some("opening"), "run {run}");
    let mut acked = Entries::new();
    while (acked.len() as u64) < acks {
        let line = said.next().expect("the child lives until it is killed");
        acked.extend([entry_of(&line)]);
    }
    child.0.kill().unwrap();
    acked.extend(said.map(|line| entry_of(&line)));
    acked
}

fn entry_of(line: &str) -> (u64, Entry) {
    let words: Vec<&str> = line.split(' ').collect();
    let [seq, source, amount] = words[..] else {
        panic!("what does {line:?} mean?");
    };
    let amount = amount.parse().unwrap();
    (seq.parse().unwrap(), (source.to_owned(), amount))
}

/// A child that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the log holds.
fn logged(system: &EventSystem) -> Entries {
    let mut entries = Entries::new();
    let replayed = system.replay().run(|event| {
        let entry = (event.source().to_owned(), event.data()?);
        entries.insert(event.seq().0, entry);
        Ok(())
    });
    replayed.unwrap();
    entries
}

/// The rows of the table, in the order in which they were first written.
fn written(database: &Connection) -> Vec<(u64, Entry)> {
    let rows = "SELECT seq, source, amount FROM effects ORDER BY place";
    let mut rows = database.prepare(rows).unwrap();
    let rows = rows.query_map([], |row| {
        let entry = (row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned());
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), entry))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn balances(database: &Connection) -> BTreeMap<String, u64> {
    let rows = "SELECT source, balance FROM balances";
    let mut rows = database.prepare(rows).unwrap();
    let rows = rows.query_map([], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn parallel_handlers_that_are_killed_apply_each_event_once_and_each_key_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let seed = seed();
    let mut random = Random(seed);
    let tables = "CREATE TABLE effects (place INTEGER PRIMARY KEY AUTOINCREMENT,
                                        seq INTEGER UNIQUE, source TEXT, amount INTEGER,
                                        again INTEGER DEFAULT 0);
                  CREATE TABLE balances (source TEXT PRIMARY KEY, balance INTEGER);";
    let database = database(dir.path());
    database.execute_batch(tables).unwrap();
    let mut acked = Entries::new();
    for run in 0..KILLS * scale() {
        // Some are killed while they open, or have just begun.
        let acks = random.below(ACKS_MAX).saturating_sub(ACKS_MAX / 8);
        let new = run_until_killed(dir.path(), run, seed, acks);
        for (seq, entry) in new {
            let before = acked.insert(seq, entry);
            assert_eq!(before, None, "run {run}: seq {seq} was handed out twice");
        }
        let rows = written(&database).len();
        println!(
            "run {run}, killed after {acks} acks: {} in all, {rows} applied",
            acked.len()
        );
    }

    let system = open(dir.path());
    system.drain(Some(Instant::now() + PATIENCE)).unwrap();
    assert_eq!(system.parked("effects"), []);
    let logged = logged(&system);
    system.close().unwrap();
    for (seq, entry) in &acked {
        assert_eq!(logged.get(seq), Some(entry), "seq {seq} was acknowledged");
    }
    let written = written(&database);
    assert_eq!(written.len(), logged.len(), "rows and events");
    assert_eq!(written.iter().cloned().collect::<Entries>(), logged);
    let (mut last, mut sums) = (BTreeMap::new(), BTreeMap::<_, u64>::new());
    for (seq, (source, amount)) in written {
        let before = last.insert(source.clone(), seq);
        assert!(before < Some(seq), "{source}: {seq} came after {before:?}");
        *sums.entry(source).or_default() += amount;
    }
    assert_eq!(balances(&database), sums);
    let again = "SELECT sum(again) FROM effects";
    let again: i64 = database.query_row(again, [], |row| row.get(0)).unwrap();
    println!("{again} deliveries were repeated");
    assert!(again > 0, "no kill has made an event come again");
}

/// Numbers from a seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// `FORELOG_TEST_SEED`, or a new one; printed, so that a failure can be had again.
fn seed() -> u64 {
    let given = std::env::var(SEED).ok();
    let seed = given.map_or_else(
        || Timestamp::now().0.cast_unsigned(),
        |text| text.parse().expect("FORELOG_TEST_SEED is a number"),
    );
    println!("{SEED}={seed}");
    seed
}

/// How many times as many kills `FORELOG_TEST_SCALE` asks for.
fn scale() -> u32 {
    let scale = std::env::var("FORELOG_TEST_SCALE").ok();
    let number = |text: String| text.parse().expect("FORELOG_TEST_SCALE is a number");
    scale.map_or(1, number)
}
