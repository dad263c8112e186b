//! `cargo +nightly fuzz run record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| forelog_fuzz::run("record", bytes));
