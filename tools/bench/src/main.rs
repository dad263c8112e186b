//! The `forelog-bench` command; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let exit = match forelog_dump::parse::<forelog_bench::Args>() {
        Ok(args) => {
            forelog_bench::run(&args, &mut std::io::stdout().lock(), &mut std::io::stderr())
        }
        Err(exit) => exit,
    };
    exit.into()
}
