//! The command line of the comparison; see the library's page.

use std::fs;

use anyhow::Context;
use clap::Parser;
use forelog_compare::measure::{Bench, write_and_die};
use forelog_compare::options::Options;
use forelog_compare::record::Records;
use forelog_compare::{engines, report, run};

fn main() -> anyhow::Result<()> {
    let _namespaces = engines::prepare_process();
    let options = Options::parse();
    let settings = options.settings();
    if let Some(facts) = options.write_and_die {
        return write_and_die(facts, &options.dir, settings.events);
    }
    let bench = Bench {
        records: &Records::new()?,
        settings: &settings,
        dir: &options.dir,
    };
    let (workloads, entrants) = (options.workloads(), options.entrants());
    let mut note = |line: &str| eprintln!("{line}");
    let results = run::run(&workloads, &entrants, bench, &mut note)?;
    if let Some(page) = &options.out {
        let plot = page.with_file_name("results.svg");
        let written = fs::write(page, report::markdown(&results, "results.svg"))
            .and_then(|()| fs::write(&plot, report::svg(&results)));
        written.with_context(|| format!("cannot write {}", page.display()))?;
    }
    if options.json {
        println!("{}", report::json(&results)?);
    } else {
        println!("{}", report::plain(&results));
    }
    Ok(())
}
