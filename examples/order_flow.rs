//! Orders, fills and payments, through a killed process and a bank that refuses a card.
//!
//! ```text
//! order.placed ─► exchange ─► order.filled ─┬─► payments ─► payment.done
//!                                           └─► positions (a projection)
//! ```
//! An answer's id follows from the id of its cause, and what was emitted before is not emitted again:
//! a handler that is called twice has answered once. Events of an account stay in order.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use forelog::{
    Delivery, DuplicatePolicy, Event, EventId, EventSystem, Filter, Projection, RetryPolicy, Seq,
    Subscription, WhenParked,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
type Positions = BTreeMap<String, u32>;
/// The ids of the orders that came to a type of event, by type and account, as they came.
type Flow = BTreeMap<String, Vec<EventId>>;

const ORDERS: u32 = 1200;
const KILLED_AFTER: usize = 400;
const REFUSED: &str = "account-7";
const PATIENCE: Duration = Duration::from_secs(60);

fn order(number: u32) -> (EventId, String, (&'static str, u32)) {
    let symbol = ["FRID", "LOKI", "ODIN"][number as usize % 3];
    let account = format!("account-{}", number % 20);
    (EventId(number.into()), account, (symbol, number % 7))
}

/// What follows from an event: the same data, and an id that is the same at each attempt.
fn answer(event_type: &str, to: &Delivery<'_>) -> forelog::Result<Event> {
    let data: (String, u32) = to.data()?;
    Ok(Event::new(event_type, to.source(), &data)?.with_id(EventId(to.event_id().0 + (1 << 64))))
}

/// Opens the directory and goes on with whatever is left to do there.
fn open(dir: &Path, bank_is_up: &Arc<AtomicBool>) -> Result<(EventSystem, Projection<Positions>)> {
    let system = EventSystem::builder()
        .persistence_path(dir)
        .duplicates(DuplicatePolicy::WithinEvents(10_000))
        .open()?;
    let (exchange, bank, is_up) = (system.clone(), system.clone(), bank_is_up.clone());
    let orders = Subscription::named("exchange").event_type("order.placed");
    system.register_handler(orders, move |order: &Delivery<'_>| {
        exchange.emit(answer("order.filled", order)?).map(drop)
    })?;
    let retry = RetryPolicy {
        attempts_max: 3,
        backoff_initial: Duration::from_millis(10),
        ..RetryPolicy::default()
    };
    let fills = Subscription::named("payments")
        .event_type("order.filled")
        .retry(retry)
        .when_parked(WhenParked::KeyWaits); // an account's payments stay in order
    system.register_handler(fills, move |fill: &Delivery<'_>| -> Result<()> {
        if fill.source() == REFUSED && !is_up.load(SeqCst) {
            return Err("the bank does not know this card".into());
        }
        bank.emit(answer("payment.done", fill)?)?;
        Ok(())
    })?;
    let positions = system.projection("positions", 1, Positions::new(), |held, fill| {
        let (symbol, quantity): (String, u32) = fill.data()?;
        *held.entry(symbol).or_default() += quantity;
        Ok(())
    })?;
    let positions = positions.filter(Filter::all().types(["order.filled"]));
    system.start()?;
    Ok((system, positions.snapshot_every(500)))
}

/// Places all orders. One that was placed before gets its first receipt.
fn trade(system: &EventSystem, mut placed: impl FnMut(Seq)) -> Result<()> {
    for (id, account, data) in (1..=ORDERS).map(order) {
        let event = Event::new("order.placed", account, &data)?.with_id(id);
        placed(system.emit(event)?.seq);
    }
    Ok(())
}

/// Trades in a child process, and kills it in the middle.
fn trade_and_crash(dir: &Path) -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let placed = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let placed = placed.take(KILLED_AFTER).count();
    child.kill()?;
    let status = child.wait()?;
    println!("killed      {status}, after {placed} orders were placed");
    Ok(())
}

/// Waits until all is handled, answers and the answers to them included.
fn settle(system: &EventSystem) -> Result<()> {
    loop {
        let end = system.store().last_seq();
        system.drain(Some(Instant::now() + PATIENCE))?;
        if system.store().last_seq() == end {
            return Ok(());
        }
    }
}

/// The operator: looks at what is parked, has the bank mended, and asks for the payments again.
fn operate(system: &EventSystem, bank_is_up: &AtomicBool) -> Result<()> {
    let (parked, until) = (system.parked("payments"), Instant::now() + PATIENCE);
    let first = parked.first().ok_or("nothing is parked")?;
    let count = parked.len();
    println!("parked      {count} payments, of {REFUSED}, while all others were done");
    let (reason, attempts) = (&first.reason, first.attempts);
    println!("            after {attempts} attempts at the first: {reason}");
    bank_is_up.store(true, SeqCst);
    system.redeliver_all("payments")?;
    while !system.parked("payments").is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    let left = system.parked("payments").len();
    println!("redelivered all of them, {left} are left; the first came about so:");
    let mut next = Some(EventId(first.event.event_id.0 + (1 << 64)));
    while let Some(id) = next {
        let stored = system.store().get_by_id(id)?.ok_or("an event is missing")?;
        let (event, seq) = (stored.event(), stored.event().seq());
        println!("            {} {id}, Seq {seq}", event.event_type());
        next = event.causation();
    }
    Ok(())
}

/// What the log holds; the correlation of an event is the id of the order that all began with.
fn held(system: &EventSystem) -> Result<Flow> {
    let mut flow = Flow::new();
    system.replay().run(|event| {
        let own = event.event_id();
        let order = event.correlation().map_or(Ok(own), str::parse)?;
        let key = format!("{} {}", event.event_type(), event.source());
        flow.entry(key).or_default().push(order);
        Ok(())
    })?;
    Ok(flow)
}

/// What it must hold, and the positions that follow.
fn truth() -> (Flow, Positions) {
    let (mut flow, mut positions) = (Flow::new(), Positions::new());
    for (id, account, (symbol, quantity)) in (1..=ORDERS).map(order) {
        *positions.entry(symbol.to_owned()).or_default() += quantity;
        for event_type in ["order.placed", "order.filled", "payment.done"] {
            let key = format!("{event_type} {account}");
            flow.entry(key).or_default().push(id);
        }
    }
    (flow, positions)
}

fn main() -> Result<()> {
    let bank_is_up = Arc::new(AtomicBool::new(false));
    if let Some(dir) = std::env::args_os().nth(1) {
        let (system, positions) = open(dir.as_ref(), &bank_is_up)?;
        let _live = positions.follow()?;
        trade(&system, |seq| println!("{seq}"))?;
        std::io::stdin().read_line(&mut String::new())?; // until it is killed
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    trade_and_crash(dir.path())?;
    let (system, mut positions) = open(dir.path(), &bank_is_up)?;
    let end = system.recovery().last;
    let saved = positions.position();
    println!("recovered   up to Seq {end}, positions were saved at Seq {saved}");
    let mut known = 0;
    trade(&system, |seq| known += u32::from(seq <= end))?;
    settle(&system)?;
    println!("went on     with {ORDERS} orders, {known} of them known and not placed again");
    operate(&system, &bank_is_up)?;
    positions.catch_up()?;
    println!("positions   {:?}", positions.state());
    if (held(&system)?, positions.state().clone()) != truth() {
        return Err("an order was lost, filled twice, paid twice, or out of order".into());
    }
    println!("each order filled and paid once, in order, and the positions right: yes");
    Ok(system.close()?)
}
