//! Any text as a token.
#![no_main]

libfuzzer_sys::fuzz_target!(|token: &str| drop(valetkey_fuzz::verify(token)));
