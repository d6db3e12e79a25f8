//! Personal data: addresses, and numbers of telephones, accounts and cards, told from other numbers by their check digits.

use crate::detectors::Detectors;
use crate::{Fill, Found};

pub(crate) fn find(detectors: &Detectors, content: &[u8], found: &mut Vec<Found>) {
    let separated = |range| Found {
        range,
        fill: Fill::Separated,
    };
    let digits = |range| Found {
        range,
        fill: Fill::Digits,
    };
    let all = |one: &regex::bytes::Regex| -> Vec<_> {
        one.find_iter(content)
            .map(|found| (found.range(), found.as_bytes()))
            .collect()
    };
    found.extend(
        all(&detectors.email)
            .into_iter()
            .map(|(range, _)| separated(range)),
    );
    found.extend(
        all(&detectors.iban)
            .into_iter()
            .filter(|(_, text)| is_iban(text))
            .map(|(range, _)| separated(range)),
    );
    found.extend(
        all(&detectors.phone)
            .into_iter()
            .filter(|(_, text)| is_phone(text))
            .map(|(range, _)| digits(range)),
    );
    found.extend(
        all(&detectors.number)
            .into_iter()
            .filter(|(_, text)| is_card(text) || is_social_security(text))
            .map(|(range, _)| digits(range)),
    );
}

fn digits_of(text: &[u8]) -> Vec<u32> {
    text.iter()
        .filter_map(|byte| char::from(*byte).to_digit(10))
        .collect()
}

/// ISO 13616: the first four go to the end, letters become numbers, and the remainder by 97 is 1.
fn is_iban(text: &[u8]) -> bool {
    let plain: Vec<u8> = text.iter().copied().filter(|byte| *byte != b' ').collect();
    if !(15..=34).contains(&plain.len()) {
        return false;
    }
    let turned = plain.iter().skip(4).chain(plain.iter().take(4));
    let remainder = turned.fold(0_u32, |remainder, byte| {
        let value = char::from(*byte).to_digit(36).unwrap_or(0);
        let shift = if value > 9 { 100 } else { 10 };
        remainder.wrapping_mul(shift).wrapping_add(value) % 97
    });
    remainder == 1
}

/// ITU-T E.164: eight to fifteen digits.
fn is_phone(text: &[u8]) -> bool {
    let digits = digits_of(text);
    (8..=15).contains(&digits.len()) && !is_date(text)
}

/// `2026-11-23` and its like are written as some numbers are.
fn is_date(text: &[u8]) -> bool {
    matches!(text, [b'1' | b'2', _, _, _, b'-' | b'.' | b'/', ..])
}

/// ISO/IEC 7812: 13 to 19 digits, a maker's first digit, and Luhn's check digit.
fn is_card(text: &[u8]) -> bool {
    let digits = digits_of(text);
    let first = digits.first().copied().unwrap_or(0);
    if !(13..=19).contains(&digits.len()) || !(2..=6).contains(&first) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match digit.wrapping_mul(2) {
            _ if place % 2 == 0 => *digit,
            doubled if doubled > 9 => doubled.wrapping_sub(9),
            doubled => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// `123-45-6789`, as it is written in the United States.
fn is_social_security(text: &[u8]) -> bool {
    let parts: Vec<&[u8]> = text.split(|byte| *byte == b'-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [3, 2, 4] && parts.first() != Some(&&b"000"[..])
}
