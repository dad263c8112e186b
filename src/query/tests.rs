//! Queries against what a scan finds: by hand, and by random programs.

mod basics;
mod program;
mod opened;
mod harm;
mod rows;
mod unread;
mod world;

use std::io::{Write, stderr};

use proptest::test_runner::{Config, RngSeed, TestRunner};

use program::{Program, programs};
use world::World;

/// How many programs are run, times what `FORELOG_TEST_SCALE` asks for.
const CASES: u32 = 200;
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

/// The log lives on the simulated disk; the index in a folder, where it can be damaged. It follows on
/// a thread of its own, so each query finds it at another place: the answer is the same.
#[test]
fn every_query_finds_what_a_scan_finds() {
    let config = config();
    let seed = config.rng_seed;
    let cases = config.cases;
    let counts = std::cell::RefCell::new(world::Counts::default());
    let ran = TestRunner::new(config).run(&programs(), |program: Program| {
        let mut world = World::new(&program);
        for op in &program.ops {
            world.perform(op);
        }
        counts.borrow_mut().add(&world.counts);
        Ok(())
    });
    let counts = counts.into_inner();
    let _ = writeln!(stderr(), "{cases} programs, seed {seed}: {counts:?}");
    if let Err(failure) = ran {
        panic!("with PROPTEST_RNG_SEED={seed}: {failure}");
    }
    if cases >= 100 {
        counts.assert_all_happened();
    }
}
