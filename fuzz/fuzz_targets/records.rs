//! Fuzzes the target `records` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfs_repl_fuzz::run("records", bytes));
