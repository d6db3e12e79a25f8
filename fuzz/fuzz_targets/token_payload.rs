//! Any bytes as a signed payload.
#![no_main]

libfuzzer_sys::fuzz_target!(|payload: &[u8]| valetkey_fuzz::verify_payload(payload));
