//! An index of one segment of the log: which events may match a filter, and where they stand. It is made from the log, and never believed.
//!
//! An event has terms, hashes of a field and a value; the index has for each term the events that have it. What it names is read from the
//! log again and held against the filter, so that a wrong entry costs time and gives no wrong answer. What it leaves out nobody sees: so every part of it
//! carries a check, and is bound to the checkpoint at which it was made.

mod lookup;
mod terms;
mod write;

use thiserror::Error;
use valetkey_model::Digest;

pub use lookup::Index;
pub use terms::{Terms, groups, terms_of};
pub use write::IndexWriter;

/// The first bytes of an index, with the version.
const MAGIC: &[u8; 8] = b"VKINDEX\x01";
/// Bytes of the header, its check included.
const HEADER_BYTES: usize = 8 + 8 + 8 + 8 + 32 + 4 + 8 + 8 + 4 + 8;
/// Bytes of an entry of the directory: term, place and length of its list, check of the list.
const ENTRY_BYTES: usize = 8 + 4 + 4 + 4;
/// Entries of a page of the directory.
const PAGE_ENTRIES: usize = 128;
/// Bytes of a page's row in the table of pages: its first term, and its check.
const ROW_BYTES: usize = 16;

/// What an index says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covers {
    /// The segment's first event.
    pub first: u64,
    /// Bytes of the segment that it covers.
    pub bytes: u64,
    /// Where the last checkpoint of those begins.
    pub checkpoint_at: u64,
    /// The digest of that checkpoint's frame: the log has the same there, or the index is of another log.
    pub checkpoint: Digest,
    /// Events.
    pub events: u32,
    /// When its first event was recorded, in milliseconds.
    pub first_ms: u64,
    /// When its last event was recorded.
    pub last_ms: u64,
}

/// The index cannot be used: it is damaged, or of another form. It is made anew from the log.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the index is damaged: `valetkey audit index --rebuild` makes it anew")]
pub struct Damaged;

/// A check of some bytes, for damage: whoever can write the index can make one.
fn check_of(domain: u8, bytes: &[u8]) -> [u8; 8] {
    let digest = Digest::of(&[&[domain], bytes].concat());
    let mut check = [0; 8];
    for (to, from) in check.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    check
}

#[cfg(test)]
mod tests;
