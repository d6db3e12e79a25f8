//! Hosts and ports in their one spelling: a name is never another way to write an address.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest name in its text form (RFC 1035, section 2.3.4, without the dot at the end).
const MAX_NAME_BYTES: usize = 253;
/// The longest label of a name (RFC 1035, section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// Whether `text` is a host in canonical form: a lower-case DNS name (international ones as `xn--` labels), an IPv4 address in
/// four decimal numbers, or an IPv6 address in brackets as RFC 5952 writes it.
pub(super) fn is_host(text: &str) -> bool {
    match text.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(is_ipv6),
        None if ends_in_a_number(text) => is_ipv4(text),
        None => is_name(text),
    }
}

/// A port without sign or leading zeros, 1 to 65535.
pub(super) fn port(text: &str) -> Option<u16> {
    let number: u16 = text.parse().ok()?;
    (number != 0 && number.to_string() == text).then_some(number)
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label.bytes().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The rule of the URL standard (WHATWG, "ends in a number checker"): such a host is an IPv4 address or nothing. Resolvers take
/// `127.1`, `0x7f.1` and `2130706433` for addresses too.
fn ends_in_a_number(text: &str) -> bool {
    let last = text.strip_suffix('.').unwrap_or(text).rsplit('.').next();
    last.is_some_and(|last| {
        let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
        !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())
            || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    })
}

fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>()
        .is_ok_and(|address| address.to_string() == text)
}

/// An IPv4 address in the clothes of IPv6 would be a second spelling of it.
fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>()
        .is_ok_and(|address| address.to_ipv4_mapped().is_none() && address.to_string() == text)
}
