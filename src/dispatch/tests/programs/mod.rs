//! Random programs against ledgers that are simple enough to be right: of everything that is promised to
//! emitters, handlers and operators, nothing is broken whatever is done in whatever order, and whenever
//! the process or the power goes.
//!
//! Workers are stepped by hand on the simulated disk, so a program is the same each time, and proptest
//! shrinks one that fails to the few things that matter. The seed is fixed, and printed with a failure;
//! `PROPTEST_RNG_SEED` takes another one, `PROPTEST_CASES` another count.

mod endings;
mod handlers;
mod ledger;
mod operator;
mod program;
mod settling;
mod world;

use std::io::{Write, stderr};

use proptest::test_runner::{Config, RngSeed, TestRunner};

use program::{Program, programs};
use world::World;

/// How many programs are run, times what `FORELOG_TEST_SCALE` asks for.
const CASES: u32 = 500;
const SEED: u64 = 20_26;

fn config() -> Config {
    let asked = Config::default();
    let scale = std::env::var("FORELOG_TEST_SCALE").ok();
    let scale = scale.and_then(|text| text.parse().ok()).unwrap_or(1_u32);
    let is_asked = std::env::var_os("PROPTEST_CASES").is_some();
    let rng_seed = match asked.rng_seed {
        RngSeed::Random => RngSeed::Fixed(SEED),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    Config {
        cases: if is_asked { asked.cases } else { CASES * scale },
        rng_seed,
        // The seed gives every program again.
        failure_persistence: None,
        ..asked
    }
}

fn run_program(program: &Program) {
    let mut world = World::new(program);
    for op in &program.ops {
        world.perform(op);
    }
    world.settle();
}

#[test]
fn no_program_breaks_what_is_promised() {
    let config = config();
    let seed = config.rng_seed;
    let _ = writeln!(stderr(), "{} programs, seed {seed}", config.cases);
    let ran = TestRunner::new(config).run(&programs(), |program| {
        run_program(&program);
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("with PROPTEST_RNG_SEED={seed}: {failure}");
    }
}
