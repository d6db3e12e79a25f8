//! Bech32 (BIP 173) without its limit of length, as age writes its keys.

const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [
    0x3b6a_57b2,
    0x2650_8e6d,
    0x1ea1_19fa,
    0x3d42_33dd,
    0x2a14_62b3,
];
/// Letters of the check at the end.
const CHECK: usize = 6;
/// Longer than any key that is read.
const TEXT_MAX: usize = 256;

fn polymod(values: impl Iterator<Item = u8>) -> u32 {
    values.fold(1, |check: u32, value| {
        let top = check >> 25;
        let check = ((check & 0x01ff_ffff) << 5) ^ u32::from(value);
        GENERATOR
            .iter()
            .enumerate()
            .fold(check, |check, (at, generator)| {
                if (top >> at) & 1 == 1 {
                    check ^ generator
                } else {
                    check
                }
            })
    })
}

/// The prefix as the check covers it.
fn expanded(prefix: &str) -> impl Iterator<Item = u8> + '_ {
    let high = prefix.bytes().map(|byte| byte >> 5);
    let low = prefix.bytes().map(|byte| byte & 31);
    high.chain(std::iter::once(0)).chain(low)
}

/// In small letters.
pub(super) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let mut values = Vec::new();
    let (mut kept, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        kept = ((kept << 8) | u32::from(*byte)) & 0xfff;
        bits = bits.saturating_add(8);
        while bits >= 5 {
            bits = bits.saturating_sub(5);
            values.push(low_five(kept >> bits));
        }
    }
    if bits > 0 {
        values.push(low_five(kept << 5_u32.saturating_sub(bits)));
    }
    let end = std::iter::repeat_n(0, CHECK);
    let check = polymod(expanded(prefix).chain(values.iter().copied()).chain(end)) ^ 1;
    values.extend(
        (0..6_u32)
            .rev()
            .map(|at| low_five(check >> at.saturating_mul(5))),
    );
    let letters = values
        .iter()
        .filter_map(|value| CHARSET.get(usize::from(*value)));
    let letters = letters.map(|letter| char::from(*letter));
    let mut text = format!("{prefix}1");
    text.extend(letters);
    text
}

fn low_five(value: u32) -> u8 {
    u8::try_from(value & 31).unwrap_or(0)
}

/// The prefix in small letters, and the bytes. Letters of both sizes, another check and bits that are left over are refused.
pub(super) fn decode(text: &str) -> Option<(String, Vec<u8>)> {
    let mixed = text.bytes().any(|byte| byte.is_ascii_lowercase())
        && text.bytes().any(|byte| byte.is_ascii_uppercase());
    if mixed || text.len() > TEXT_MAX || !text.is_ascii() {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let (prefix, data) = text.rsplit_once('1')?;
    let place = |letter: u8| CHARSET.iter().position(|other| *other == letter);
    let values = data
        .bytes()
        .map(|letter| place(letter).and_then(|value| u8::try_from(value).ok()))
        .collect::<Option<Vec<u8>>>()?;
    let count = values.len().checked_sub(CHECK)?;
    if prefix.is_empty() || polymod(expanded(prefix).chain(values.iter().copied())) != 1 {
        return None;
    }
    let mut bytes = Vec::new();
    let (mut kept, mut bits) = (0_u32, 0_u32);
    for value in values.into_iter().take(count) {
        kept = ((kept << 5) | u32::from(value)) & 0xfff;
        bits = bits.saturating_add(5);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            bytes.push(u8::try_from((kept >> bits) & 0xff).ok()?);
        }
    }
    let left_over = kept & ((1_u32 << bits).saturating_sub(1));
    (bits < 5 && left_over == 0).then_some((prefix.to_owned(), bytes))
}
