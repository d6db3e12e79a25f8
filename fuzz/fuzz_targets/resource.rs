//! Any text as a resource: what is accepted has one text.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| valetkey_fuzz::resource(text));
