//! `cargo +nightly fuzz run directory`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| forelog_fuzz::run("directory", bytes));
