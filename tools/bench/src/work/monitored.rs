//! Emits beside a monitor that looks a hundred times a second, and the same without.

use std::time::Duration;

use forelog::{Durability, EventMonitor, MonitorSettings, Result};

use crate::bench::Bench;
use crate::row::Row;
use crate::work::append::emit_all;

/// Six thousand times as often as by default.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

pub(crate) fn run(bench: &Bench) -> Result<Row> {
    let events = bench.options.events_or(2_000_000);
    let event = bench.event()?;
    let emit = |is_watched: bool| {
        let system = bench.ready_system("monitored", events, Durability::Os)?;
        let settings = MonitorSettings {
            check_interval: CHECK_INTERVAL,
            background: is_watched,
            ..MonitorSettings::default()
        };
        let monitor = EventMonitor::new(&system, settings)?;
        let rate = emit_all(&system, &event, events, 1)?;
        drop(monitor);
        system.close()?;
        bench.clear("monitored")?;
        Ok(rate)
    };
    let what = "emit, os, 1 thread, beside a monitor".to_owned();
    let pair = bench.pairs(&what, || emit(true), || emit(false))?;
    Ok(Row::new("append_monitored", what, "events/s")
        .rates(pair, "the same without the monitor's thread")
        .events(events)
        .threads(1)
        .note("the monitor checks its rules a hundred times a second, once a minute by default"))
}
