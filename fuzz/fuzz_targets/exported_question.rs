//! Any bytes as an exported question or answer: what is read is written as the same bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| valetkey_fuzz::read_export(bytes));
