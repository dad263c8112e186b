//! What tests have in common that need a tool of the machine.

/// Says why a test is passed over; fails where everything must run.
pub(crate) fn skip(why: &str) {
    println!("skipped: {why}");
    let required = std::env::var("FORELOG_REQUIRE_ALL");
    assert!(
        required.as_deref() != Ok("1"),
        "FORELOG_REQUIRE_ALL=1, and {why}"
    );
}
