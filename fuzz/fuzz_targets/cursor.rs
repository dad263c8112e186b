//! `cargo +nightly fuzz run cursor`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| forelog_fuzz::run("cursor", bytes));
