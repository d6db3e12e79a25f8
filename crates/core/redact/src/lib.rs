//! Secrets and personal data in content: where they are, and masks of the same length in their place.
//!
//! A mask has the length of what it hides and keeps what holds the rest together: quotes, line ends, the separators of numbers and
//! addresses. A number stays a number. What is masked is decided over a whole file, never over a part of it: a window into a
//! file does not show what its bytes belong to.
//!
//! Whoever asks trusts the answer with secrets, so doubt is a find: what cannot be looked into is [`Opaque`], and if the detectors could not
//! be made, all content is one find.
#![forbid(unsafe_code)]

mod detectors;
mod entropy;
mod keys;
mod lines;
mod pii;
mod reconcile;
mod tokens;
mod value;
mod wide;

use std::ops::Range;

pub use reconcile::{Refusal, hides_as_much, reconcile};

/// What is to be found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Kinds(u8);

impl Kinds {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Passwords, tokens, keys.
    pub const SECRETS: Self = Self(1);
    /// Addresses, numbers of telephones, accounts and cards.
    pub const PII: Self = Self(2);

    /// What either names.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is to be found.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// As a number, to be kept in an atomic.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From such a number; bits that mean nothing are dropped.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 3)
    }
}

/// How a find is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fill {
    /// Digits become other digits, all else stays: a number stays a number.
    Digits,
    /// Letters and digits go, separators stay.
    Separated,
    /// Everything but line ends goes.
    Whole,
}

/// Something that is to be masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) range: Range<usize>,
    pub(crate) fill: Fill,
}

impl Found {
    pub(crate) fn whole(range: Range<usize>) -> Self {
        Self {
            range,
            fill: Fill::Whole,
        }
    }
}

/// The content cannot be looked into: it is compressed or encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opaque;

impl std::fmt::Display for Opaque {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the content is compressed or encrypted and cannot be looked into")
    }
}

impl std::error::Error for Opaque {}

/// Content with masks in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The content, as long as it was.
    pub content: Vec<u8>,
    /// The places where it differs from what it was, in order; neighbours that belong together are one.
    pub ranges: Vec<Range<usize>>,
}

/// Masks what `kinds` names.
///
/// # Errors
/// When the content cannot be looked into.
pub fn mask(content: &[u8], kinds: Kinds) -> Result<Masked, Opaque> {
    if kinds.is_none() {
        return Ok(Masked {
            content: content.to_vec(),
            ranges: Vec::new(),
        });
    }
    if is_opaque(content) {
        return Err(Opaque);
    }
    let mut found = match wide::Wide::of(content) {
        Some(wide) => wide.widen(find(&wide.narrow, kinds)),
        None => find(content, kinds),
    };
    // Where two finds meet, the one that hides more is put last.
    found.sort_by_key(|found| found.fill);
    let mut masked = content.to_vec();
    for found in &found {
        fill(content, &mut masked, found);
    }
    let mut ranges: Vec<_> = found
        .into_iter()
        .map(|found| without_line_ends(content, found.range))
        .filter(|range| content.get(range.clone()) != masked.get(range.clone()))
        .collect();
    join(&mut ranges);
    Ok(Masked {
        content: masked,
        ranges,
    })
}

/// The places of what `kinds` names, in order and apart from each other, for whoever puts something of another length there.
///
/// # Errors
/// When the content cannot be looked into.
pub fn find_ranges(content: &[u8], kinds: Kinds) -> Result<Vec<Range<usize>>, Opaque> {
    if is_opaque(content) {
        return Err(Opaque);
    }
    let found = find(content, kinds).into_iter();
    let mut ranges: Vec<_> = found.map(|found| found.range).collect();
    ranges.retain(|range| !range.is_empty());
    join(&mut ranges);
    Ok(ranges)
}

/// Whether a token is in it that shows by its form alone, whatever stands around it.
#[must_use]
pub fn has_token(content: &[u8]) -> bool {
    detectors::get().is_none_or(|detectors| {
        let carried = detectors.carried.iter().take(1);
        detectors.tokens.is_match(content)
            || detectors.private_key.is_match(content)
            || carried
                .into_iter()
                .any(|expression| expression.is_match(content))
    })
}

fn find(content: &[u8], kinds: Kinds) -> Vec<Found> {
    let Some(detectors) = detectors::get() else {
        return vec![Found::whole(0..content.len())];
    };
    let mut found = Vec::new();
    if kinds.has(Kinds::SECRETS) {
        tokens::find(detectors, content, &mut found);
        keys::find(detectors, content, &mut found);
        entropy::find(detectors, content, &mut found);
    }
    if kinds.has(Kinds::PII) {
        pii::find(detectors, content, &mut found);
    }
    found
}

fn fill(content: &[u8], masked: &mut [u8], found: &Found) {
    let (Some(from), Some(to)) = (
        content.get(found.range.clone()),
        masked.get_mut(found.range.clone()),
    ) else {
        return;
    };
    for (from, to) in from.iter().zip(to) {
        *to = match found.fill {
            // A null byte is half of a wide character.
            _ if matches!(from, b'\n' | b'\r' | 0) => *from,
            Fill::Whole => b'X',
            Fill::Digits if from.is_ascii_digit() => b'9',
            Fill::Separated if from.is_ascii_alphanumeric() || *from >= 0x80 => b'X',
            Fill::Digits | Fill::Separated => *from,
        };
    }
}

/// Line ends at either end are not hidden.
fn without_line_ends(content: &[u8], mut range: Range<usize>) -> Range<usize> {
    let ends = |at: Option<usize>| {
        let byte = at.and_then(|at| content.get(at));
        matches!(byte, Some(b'\n' | b'\r'))
    };
    while !range.is_empty() && ends(Some(range.start)) {
        range.start = range.start.saturating_add(1);
    }
    while !range.is_empty() && ends(range.end.checked_sub(1)) {
        range.end = range.end.saturating_sub(1);
    }
    range
}

fn join(ranges: &mut Vec<Range<usize>>) {
    ranges.sort_by_key(|range| (range.start, range.end));
    ranges.dedup_by(|next, before| {
        let meets = next.start < before.end;
        if meets {
            before.end = before.end.max(next.end);
        }
        meets
    });
}

/// What begins like this is compressed, encrypted or a container of such parts.
const OPAQUE: [&[u8]; 14] = [
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"%PDF-",
    b"PACK\0\0\0",
    b"\x1f\x9d",
    b"LZIP",
    b"Salted__",
];

/// Whether content cannot be looked into: a secret in it would not be found.
#[must_use]
pub fn is_opaque(content: &[u8]) -> bool {
    if OPAQUE.iter().any(|start| content.starts_with(start)) {
        return true;
    }
    // A zlib stream, such as an object of git: two bytes that check each other, and what follows is no text.
    let [first, second, ..] = *content else {
        return false;
    };
    let check = u16::from_be_bytes([first, second]) % 31 == 0;
    check && first == 0x78 && std::str::from_utf8(content).is_err()
}

#[cfg(test)]
mod tests;
