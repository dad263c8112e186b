//! The reports: a page with tables, a plot, JSON. All are made from [`Results`] alone.

mod numbers;
mod page;
mod plot;
mod table;

use serde_json::json;

use crate::run::Results;

pub use page::{markdown, plain};
pub use plot::svg;

/// All samples and their medians.
pub fn json(results: &Results) -> serde_json::Result<String> {
    let medians: Vec<_> = results
        .cells
        .iter()
        .map(|cell| {
            json!({
                "workload": cell.workload,
                "engine": cell.engine,
                "unit": cell.workload.unit().label(),
                "median": cell.median(),
            })
        })
        .collect();
    let mut value = serde_json::to_value(results)?;
    value["medians"] = json!(medians);
    serde_json::to_string_pretty(&value)
}
