//! Any text as a path pattern.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| drop(valetkey_model::PathPattern::parse(text)));
