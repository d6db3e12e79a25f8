//! Any bytes as a name that is shown: nothing is left that a terminal acts on.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| valetkey_fuzz::show(bytes));
