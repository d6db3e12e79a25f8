//! Secrets that show by looking like chance: long runs of letters and digits without words in them.

use crate::Found;
use crate::detectors::Detectors;

/// The least length of a run that is a find by itself.
const ALONE_MIN: usize = 28;
/// Bits a letter that a run has at least, in a mix of all kinds of letters.
const MIXED_BITS: f64 = 4.3;
/// The same under a name that makes it likely.
const NAMED_BITS: f64 = 3.2;

/// What stands before runs that are open to everybody: digests and content in place.
const OPEN: [&[u8]; 10] = [
    b"sha1-",
    b"sha256-",
    b"sha384-",
    b"sha512-",
    b"sha256:",
    b"sha512:",
    b"h1:",
    b"base64,",
    b"integrity",
    b"ssh-",
];

pub(crate) fn find(detectors: &Detectors, content: &[u8], found: &mut Vec<Found>) {
    for run in detectors.run.find_iter(content) {
        let text = run.as_bytes();
        if text.len() < ALONE_MIN || !is_mixed(text) || is_open(content, run.start(), text) {
            continue;
        }
        if bits(text) >= MIXED_BITS && !has_words(text) {
            found.push(Found::whole(run.range()));
        }
    }
}

/// Whether a value that is named as if it could be a secret looks like one.
pub(crate) fn is_high(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b' ';
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    text.iter().all(plain)
        && digits >= 2
        && text.iter().any(u8::is_ascii_alphabetic)
        && bits(text) >= NAMED_BITS
        && !has_words(text)
        && !text.windows(3).any(|window| window == b"://")
}

/// Small letters, capitals and digits, as an encoding of chance has them.
fn is_mixed(text: &[u8]) -> bool {
    let count = |of: fn(&u8) -> bool| text.iter().filter(|byte| of(byte)).count();
    count(u8::is_ascii_lowercase) >= 4
        && count(u8::is_ascii_uppercase) >= 4
        && count(u8::is_ascii_digit) >= 3
}

/// Runs of letters of one case, as words have them; chance seldom has seven in a row.
fn has_words(text: &[u8]) -> bool {
    let mut letters = 0_usize;
    let mut longest = 0_usize;
    for byte in text {
        letters = if byte.is_ascii_lowercase() {
            letters.saturating_add(1)
        } else {
            0
        };
        longest = longest.max(letters);
    }
    let is_hex = text.iter().all(u8::is_ascii_hexdigit);
    let separators = text
        .iter()
        .filter(|byte| matches!(byte, b'/' | b'_' | b'-' | b'.'))
        .count();
    !is_hex && (longest >= 7 || separators.saturating_mul(8) > text.len())
}

fn is_open(content: &[u8], start: usize, text: &[u8]) -> bool {
    let before = content
        .get(start.saturating_sub(24)..start)
        .unwrap_or_default();
    let line = before
        .rsplit(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    OPEN.iter().any(|open| {
        text.starts_with(open) || line.windows(open.len()).any(|window| window == *open)
    })
}

/// Shannon's measure, in bits a letter.
#[expect(
    clippy::cast_precision_loss,
    reason = "lengths are far below what a double holds exactly"
)]
fn bits(text: &[u8]) -> f64 {
    let mut counts = [0_usize; 256];
    for byte in text {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let all = text.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let part = *count as f64 / all;
            -part * part.log2()
        })
        .sum()
}
