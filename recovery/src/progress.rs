//! A progress bar on stderr; none where that is no terminal.

use forelog::repair::RepairProgress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const BYTES: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";
const SEEDS: &str = "{msg} {wide_bar} {pos}/{len} seeds {eta}";
const COUNT: &str = "{msg} {human_pos} events {per_sec}";

/// A bar over bytes.
pub(crate) fn bytes(what: &'static str) -> ProgressBar {
    bar(what, BYTES)
}

/// A running count of events.
pub(crate) fn events(what: &'static str) -> ProgressBar {
    bar(what, COUNT)
}

/// A bar over so many seeds.
pub(crate) fn seeds(what: &'static str, count: u64) -> ProgressBar {
    let bar = bar(what, SEEDS);
    bar.set_length(count);
    bar
}

fn bar(what: &'static str, template: &str) -> ProgressBar {
    // The target itself stays silent where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(what)
}

/// Shows how far a repair or a salvage is.
pub(crate) fn watching(bar: &ProgressBar) -> impl FnMut(&RepairProgress) -> forelog::Result<()> {
    let bar = bar.clone();
    move |told| {
        bar.set_message(told.what.clone());
        bar.set_length(told.total);
        bar.set_position(told.done);
        Ok(())
    }
}
