//! What a server has told of its system: health, figures, subscriptions, event types.

use serde_json::Value;

use super::{bars_of, escaped, table};

/// The parts of the page.
pub(super) fn parts(status: &Value) -> String {
    let summary = &status["summary"];
    let path = status["path"].as_str().unwrap_or("in memory");
    let health = match text(&status["health"]["status"]).as_str() {
        // A server that stands beside a directory.
        "unknown" => "The health of the system is unknown".to_owned(),
        known => format!("The system is {known}"),
    };
    let issues = each(&status["health"]["issues"]).map(|one| {
        format!(
            "<li>{}; {}</li>",
            escaped(&text(&one["message"])),
            escaped(&text(&one["next_step"]))
        )
    });
    let (log, counts) = (&summary["log"], &summary["counts"]);
    let (latency, sync) = (&summary["latency"]["total"], &summary["sync"]["total"]);
    let rows = [
        ("Directory", path.to_owned()),
        ("Events held", text(&log["events"])),
        ("Last Seq", text(&log["last_seq"])),
        ("Segments", text(&log["segments"])),
        ("Bytes", text(&log["bytes"])),
        ("Emitted", text(&counts["emitted"])),
        ("Delivered", text(&counts["delivered"])),
        ("Failed attempts", text(&counts["failed"])),
        ("Parked", text(&counts["parked"])),
        ("Emits refused", text(&counts["rejected"])),
        ("Latency p50, p99", pair(latency)),
        ("Sync p50, p99", pair(sync)),
    ];
    let rows = rows.iter().filter(|(_, value)| !value.is_empty());
    let mut part = format!(
        "<h2>{}</h2><ul>{}</ul>",
        escaped(&health),
        issues.collect::<String>()
    );
    part += &table(
        &["", ""],
        rows.map(|(name, value)| vec![(*name).to_owned(), value.clone()]),
    );
    part += &subscriptions(&summary["subscriptions"]);
    part += &types(&summary["types"]);
    part
}

fn subscriptions(all: &Value) -> String {
    let rows = each(all).map(|one| {
        let handled = handled(one);
        let place = [&one["name"], &one["status"], &one["lag"], &one["parked"]].map(text);
        [&place[..], &handled[..]].concat()
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = [&["Subscription", "Status", "Lag", "Parked"][..], &HANDLED].concat();
    format!("<h2>Subscriptions</h2>{}", table(&head, rows.into_iter()))
}

fn types(all: &Value) -> String {
    let named = |one: &Value| match text(&one["event_type"]).as_str() {
        "…" => "all others".to_owned(),
        name => name.to_owned(),
    };
    let bars = each(all).map(|one| (named(one), one["events"].as_f64().unwrap_or(0.0)));
    let bars: Vec<_> = bars.collect();
    let mut part = "<h2>Event types</h2>".to_owned();
    let rows = each(all)
        .filter(|one| one["latency"].is_object())
        .map(|one| {
            let handled = handled(one);
            [&[named(one), text(&one["events"])][..], &handled[..]].concat()
        });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        let head = [&["Type", "Events held"][..], &HANDLED].concat();
        part += &table(&head, rows.into_iter());
    }
    part + &bars_of("Events by type", "events", &bars)
}

/// The columns of [`handled`].
const HANDLED: [&str; 7] = [
    "Per second",
    "Delivered",
    "Failed",
    "Fail lately",
    "p50",
    "p99",
    "Longest",
];

/// What handlers did: per second, delivered, failed, failed lately, and how long it took.
fn handled(one: &Value) -> [String; 7] {
    let total = &one["latency"]["total"];
    let rate = one["rate"].as_f64().unwrap_or(0.0);
    let percent = one["error_rate"].as_f64().unwrap_or(0.0) * 100.0;
    [
        format!("{rate:.1}"),
        text(&one["delivered"]),
        text(&one["failed"]),
        format!("{percent:.1} %"),
        millis(&total["p50_ms"]),
        millis(&total["p99_ms"]),
        millis(&total["max_ms"]),
    ]
}

fn each(all: &Value) -> impl Iterator<Item = &Value> {
    all.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn pair(percentiles: &Value) -> String {
    if percentiles.is_null() {
        return String::new();
    }
    format!(
        "{}, {}",
        millis(&percentiles["p50_ms"]),
        millis(&percentiles["p99_ms"])
    )
}

fn millis(value: &Value) -> String {
    match value.as_f64() {
        None | Some(0.0) => "–".to_owned(),
        Some(millis) => format!("{millis:.3} ms"),
    }
}
