//! The delays in an event's data: numbers in fields whose names end in `delay_min`.

use std::collections::BTreeMap;

use forelog::EventRef;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::board::DELAY;

/// From how many minutes on an event counts as late.
pub(crate) const LATE: f64 = 60.0;

/// A field of an event's data, as far as the example cares.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Number(f64),
    Other(IgnoredAny),
}

/// The delays of an event, by the names of their fields, which are borrowed from the log.
pub(crate) fn delays_of<'a>(
    event: &EventRef<'a>,
) -> impl Iterator<Item = (&'a str, f64)> + use<'a> {
    // Data that is no map with names has no delays.
    let fields: BTreeMap<&str, Field> = event.data().unwrap_or_default();
    fields.into_iter().filter_map(|(name, field)| match field {
        Field::Number(minutes) if name.ends_with(DELAY) => Some((name, minutes)),
        _ => None,
    })
}
