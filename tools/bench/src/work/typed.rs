//! Emits of typed values, each encoded inside the clock.

use std::time::Instant;

use forelog::{Durability, Event, EventSystem, Result};
use serde::Serialize;

use crate::bench::{Bench, frame_len_of};
use crate::floor::Room;
use crate::num::rate;
use crate::row::Row;

const EVENT_TYPE: &str = "order.placed";
const SOURCE: &str = "bench";

/// A value of about 200 bytes as `MessagePack` with named fields.
#[derive(Debug, Clone, Serialize)]
struct Order {
    number: u64,
    account: &'static str,
    symbol: &'static str,
    side: &'static str,
    quantity: u32,
    price: f64,
    currency: &'static str,
    venue: &'static str,
    placed_at_ns: u64,
    note: &'static str,
}

impl Order {
    fn number(number: u64) -> Order {
        Order {
            number,
            account: "acc-00417-main",
            symbol: "FRID",
            side: "buy",
            quantity: 1_250,
            price: 104.25,
            currency: "EUR",
            venue: "XAMS",
            placed_at_ns: 1_700_000_000_000_000_000 + number,
            note: "good for the day, no partial fill, quote 11 of the desk's list",
        }
    }
}

/// Makes an event of a typed value and emits it.
pub(crate) fn run(bench: &Bench) -> Result<Row> {
    let events = bench.options.events_or(1_000_000);
    let sample = Event::new(EVENT_TYPE, SOURCE, &Order::number(1))?;
    let frame_len = frame_len_of(&sample)?;
    let mut room = Room::new(events, frame_len)?;
    let pair = bench.pairs(
        "emit of a typed value, os, 1 thread",
        || {
            let system = bench.ready_system("typed", events, Durability::Os)?;
            let rate = emit_all(&system, events)?;
            system.close()?;
            bench.clear("typed")?;
            Ok(rate)
        },
        || Ok(room.encode_and_crc(|number| rmp_serde::to_vec_named(&Order::number(number)).ok())),
    )?;
    Ok(Row::new(
        "append_typed",
        "emit of a typed value, os, 1 thread",
        "events/s",
    )
    .rates(
        pair,
        "MessagePack of the same value into a new buffer, then copy and CRC of as many \
                 bytes as its frame has",
    )
    .reaches_floor()
    .events(events)
    .threads(1)
    .extra(
        "data_bytes",
        Some(crate::num::float(crate::num::count(
            sample.data.as_bytes().len(),
        ))),
    )
    .note("the encoding, the time and the id are inside the clock; a burst, as append"))
}

fn emit_all(system: &EventSystem, events: u64) -> Result<f64> {
    let started = Instant::now();
    for number in 0..events {
        system.emit_value(EVENT_TYPE, SOURCE, &Order::number(number))?;
    }
    Ok(rate(events, started.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_has_about_two_hundred_bytes() {
        let event = Event::new(EVENT_TYPE, SOURCE, &Order::number(1)).unwrap();
        let len = event.data.as_bytes().len();
        assert!((180..=220).contains(&len), "{len}");
    }
}
