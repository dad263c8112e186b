//! Which windows may hold an id.

use crate::index::catalog::Catalog;
use crate::index::dimension::Each;
use crate::index::fences::Fences;
use crate::index::values::Manifest;

fn manifest(window: u64, min: u64, max: u64, foreign: bool) -> Manifest {
    Manifest {
        window,
        count: 1,
        ordered: false,
        foreign,
        unreadable: 0,
        millis_min: min,
        millis_max: max,
        bytes: 0,
    }
}

/// Times that mostly ascend, windows without any, windows that are not there, and a floor that rises.
#[test]
fn a_window_is_found_as_a_look_at_each_of_them_would() {
    let mut catalog = Catalog::starting_at(3);
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let (mut window, mut found) = (3, 0);
    for round in 0..3_000 {
        window += 1 + u64::from(random(20) == 0) * random(300);
        let early = u64::from(random(30) == 0) * random(round + 1);
        let min = round * 3 + 10 - early;
        let held = match random(10) {
            0 => manifest(window, u64::MAX, 0, true),
            1 => manifest(window, min, min + random(9), true),
            _ => manifest(window, min, min + random(9), false),
        };
        catalog.take(held, Fences::default(), Each::default());
        if random(200) == 0 {
            catalog.retire(random(window));
        }
        let from = random(window + 2);
        let millis = random(round * 3 + 30);
        let naive = catalog.manifests_from(from);
        let mut naive = naive.filter(|held| held.times().may_hold(millis));
        let wanted = naive.next();
        assert_eq!(catalog.first_holding(from, millis), wanted, "{round}");
        found += u32::from(wanted.is_some());
    }
    assert!((500..2_900).contains(&found), "{found}");
}
