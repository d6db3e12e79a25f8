//! Any text as a ticket pattern, and any text against it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    if let Ok(pattern) = input.0.parse::<valetkey_model::TicketPattern>() {
        let _named = pattern.is_named_in(input.1);
    }
});
