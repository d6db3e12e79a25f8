//! Any bytes as a path of each platform: what is canonical stays so.
#![no_main]

libfuzzer_sys::fuzz_target!(|path: &[u8]| valetkey_fuzz::path(path));
