//! Text in two bytes a character (UTF-16): looked at as one byte a character, and masked in the place of each.

use crate::Found;

/// How much of content is looked at to tell whether it is wide.
const LOOKED_AT: usize = 4096;

/// Wide text, made narrow.
pub(crate) struct Wide {
    /// One byte for each character; what is beyond ASCII is some byte beyond ASCII.
    pub(crate) narrow: Vec<u8>,
}

impl Wide {
    /// The text, if content is wide: it says so in its first two bytes, or every other byte of it is null.
    pub(crate) fn of(content: &[u8]) -> Option<Self> {
        let little = content.starts_with(&[0xff, 0xfe]) || nulls(content, 1);
        let big = content.starts_with(&[0xfe, 0xff]) || nulls(content, 0);
        let unit: fn([u8; 2]) -> u16 = match (little, big) {
            (true, _) => u16::from_le_bytes,
            (false, true) => u16::from_be_bytes,
            (false, false) => return None,
        };
        let narrow = content.chunks(2).map(|pair| match pair {
            [a, b] => u8::try_from(unit([*a, *b]))
                .ok()
                .filter(u8::is_ascii)
                .unwrap_or(0xff),
            _ => 0xff,
        });
        Some(Self {
            narrow: narrow.collect(),
        })
    }

    /// The places of finds in the content itself.
    pub(crate) fn widen(&self, found: Vec<Found>) -> Vec<Found> {
        let widen = |mut found: Found| {
            found.range = found.range.start.saturating_mul(2)..found.range.end.saturating_mul(2);
            found
        };
        found.into_iter().map(widen).collect()
    }
}

/// Whether most bytes at even (0) or odd (1) places are null, and most others are not.
fn nulls(content: &[u8], place: usize) -> bool {
    let look = content.get(..LOOKED_AT).unwrap_or(content);
    if look.len() < 8 {
        return false;
    }
    let count = |at: usize| {
        let bytes = look.iter().skip(at).step_by(2);
        bytes.filter(|byte| **byte == 0).count()
    };
    let half = look.len() / 2;
    let other = usize::from(place == 0);
    count(place) > half / 2 && count(other) < half / 10
}
