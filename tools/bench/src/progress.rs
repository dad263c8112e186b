//! What is being measured now, on stderr; nothing where that is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const TEMPLATE: &str = "{spinner} {msg} {elapsed}";

#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new() -> Self {
        // The target itself stays silent where stderr is no terminal.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(TEMPLATE);
        Progress(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())))
    }

    pub(crate) fn show(&self, what: &str, run: u64, runs: u64) {
        // Not by a thread of its own: that would run beside what is measured.
        let text = if runs > 1 {
            format!("{what} ({} of {runs})", run + 1)
        } else {
            what.to_owned()
        };
        self.0.set_message(text);
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
