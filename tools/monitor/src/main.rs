//! The `forelog-monitor` command; see the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    forelog_monitor::run(&forelog_monitor::Args::parse())
}
