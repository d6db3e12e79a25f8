//! The bytes of a segment: a header, then frames. `docs/log-format.md` describes them for other readers.
//!
//! All numbers are big-endian. A segment begins with a header that holds the tree so far, so that it can be checked
//! alone; then come batches, each of one or more event frames and one checkpoint frame that signs them.

use thiserror::Error;
use valetkey_model::Digest;

use crate::checkpoint::CHECKPOINT_MAX_BYTES;
use crate::event::{EVENT_MAX_BYTES, SealedEvent};
use crate::merkle::Frontier;

/// What every segment begins with; the last byte is the version of the format.
const MAGIC: &[u8; 8] = b"VKSEGMT\x01";

/// First byte of an event's frame.
const EVENT: u8 = b'E';

/// First byte of a checkpoint's frame.
const CHECKPOINT: u8 = b'C';

/// Bytes of the type and the length before, and of the length after.
const HEAD_BYTES: usize = 5;
const TAIL_BYTES: usize = 4;
const LEAF_BYTES: usize = 32;

/// Most bytes of a frame of any kind.
pub const FRAME_MAX_BYTES: usize = HEAD_BYTES + LEAF_BYTES + EVENT_MAX_BYTES + TAIL_BYTES;

const _: () = assert!(CHECKPOINT_MAX_BYTES <= EVENT_MAX_BYTES);

/// Why bytes are not a frame or a header.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// The bytes end before the frame does.
    #[error("the bytes end in the middle of a frame")]
    Incomplete,
    /// No frame looks like this.
    #[error("{0}")]
    Malformed(&'static str),
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// An event, with the leaf hash as it is stored beside it.
    Event {
        /// The stored leaf hash.
        leaf: Digest,
        /// The event's canonical JSON.
        payload: &'a [u8],
    },
    /// The signed note over everything before.
    Checkpoint {
        /// The signed note.
        note: &'a [u8],
    },
}

impl<'a> Frame<'a> {
    /// The frame at the beginning of `bytes`, and its length.
    ///
    /// # Errors
    /// When there is no whole frame.
    pub fn read(bytes: &'a [u8]) -> Result<(Self, usize), FrameError> {
        let (head, body) = bytes
            .split_first_chunk::<HEAD_BYTES>()
            .ok_or(FrameError::Incomplete)?;
        let [kind, length @ ..] = *head;
        let leaf_bytes = leaf_bytes(kind)?;
        let payload_bytes = payload_length(kind, length)?;
        let (leaf, rest) = body
            .split_at_checked(leaf_bytes)
            .ok_or(FrameError::Incomplete)?;
        let (payload, rest) = rest
            .split_at_checked(payload_bytes)
            .ok_or(FrameError::Incomplete)?;
        let tail = rest
            .first_chunk::<TAIL_BYTES>()
            .ok_or(FrameError::Incomplete)?;
        if *tail != length {
            return Err(FrameError::Malformed("the lengths around a frame differ"));
        }
        let total = frame_bytes(leaf_bytes, payload_bytes);
        let frame = match <[u8; LEAF_BYTES]>::try_from(leaf) {
            Ok(leaf) => Self::Event {
                leaf: Digest::from_bytes(leaf),
                payload,
            },
            Err(_) => Self::Checkpoint { note: payload },
        };
        Ok((frame, total))
    }

    /// The frame at the end of `bytes`, and its length. The length after each frame makes this possible.
    ///
    /// # Errors
    /// When `bytes` do not end with a whole frame.
    pub fn read_back(bytes: &'a [u8]) -> Result<(Self, usize), FrameError> {
        let tail = bytes
            .last_chunk::<TAIL_BYTES>()
            .ok_or(FrameError::Incomplete)?;
        let payload = usize::try_from(u32::from_be_bytes(*tail)).unwrap_or(usize::MAX);
        if payload > EVENT_MAX_BYTES {
            return Err(FrameError::Malformed(
                "the length of a frame is out of range",
            ));
        }
        let mut missing = false;
        for (kind, leaf_bytes) in [(EVENT, LEAF_BYTES), (CHECKPOINT, 0)] {
            let total = frame_bytes(leaf_bytes, payload);
            let start = bytes.len().checked_sub(total);
            match start.and_then(|start| bytes.get(start..)) {
                Some(frame) if frame.first() == Some(&kind) => {
                    if let Ok((frame, length)) = Self::read(frame)
                        && length == total
                    {
                        return Ok((frame, length));
                    }
                }
                Some(_) => {}
                None => missing = true,
            }
        }
        Err(if missing {
            FrameError::Incomplete
        } else {
            FrameError::Malformed("no frame ends here")
        })
    }
}

fn frame_bytes(leaf: usize, payload: usize) -> usize {
    HEAD_BYTES
        .saturating_add(leaf)
        .saturating_add(payload)
        .saturating_add(TAIL_BYTES)
}

fn leaf_bytes(kind: u8) -> Result<usize, FrameError> {
    match kind {
        EVENT => Ok(LEAF_BYTES),
        CHECKPOINT => Ok(0),
        _ => Err(FrameError::Malformed("the type of a frame is unknown")),
    }
}

fn payload_length(kind: u8, length: [u8; 4]) -> Result<usize, FrameError> {
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    let most = if kind == EVENT {
        EVENT_MAX_BYTES
    } else {
        CHECKPOINT_MAX_BYTES
    };
    if length == 0 || length > most {
        return Err(FrameError::Malformed(
            "the length of a frame is out of range",
        ));
    }
    Ok(length)
}

/// Adds an event's frame to `out`.
pub fn write_event(out: &mut Vec<u8>, event: &SealedEvent) {
    write(out, EVENT, event.leaf().as_bytes(), event.bytes());
}

/// Adds a checkpoint's frame to `out`.
pub fn write_checkpoint(out: &mut Vec<u8>, note: &str) {
    write(out, CHECKPOINT, &[], note.as_bytes());
}

fn write(out: &mut Vec<u8>, kind: u8, leaf: &[u8], payload: &[u8]) {
    // What is written is bounded far below 4 GiB; a length that did not fit would be refused by every reader.
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    out.push(kind);
    out.extend_from_slice(&length);
    out.extend_from_slice(leaf);
    out.extend_from_slice(payload);
    out.extend_from_slice(&length);
}

/// What a segment begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The log's name.
    pub origin: String,
    /// The tree over everything before this segment; its size is the segment's first sequence number.
    pub before: Frontier,
}

impl SegmentHeader {
    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.before.size().to_be_bytes());
        // A log's name is at most 128 bytes, and a 64-bit size has at most 64 peaks.
        out.push(u8::try_from(self.origin.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(self.origin.as_bytes());
        for peak in self.before.peaks() {
            out.extend_from_slice(peak.as_bytes());
        }
        out
    }

    /// The header at the beginning of `bytes`, and its length.
    ///
    /// # Errors
    /// When there is no whole header.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), FrameError> {
        let (magic, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or(FrameError::Incomplete)?;
        if magic != MAGIC {
            return Err(FrameError::Malformed("not a segment of this version"));
        }
        let (size, rest) = rest
            .split_first_chunk::<8>()
            .ok_or(FrameError::Incomplete)?;
        let size = u64::from_be_bytes(*size);
        let (origin_bytes, rest) = rest.split_first().ok_or(FrameError::Incomplete)?;
        let (origin, rest) = rest
            .split_at_checked(usize::from(*origin_bytes))
            .ok_or(FrameError::Incomplete)?;
        let origin = std::str::from_utf8(origin)
            .map_err(|_| FrameError::Malformed("the log's name is not text"))?;
        let count = usize::try_from(size.count_ones()).unwrap_or(usize::MAX);
        let (peaks, _) = rest.as_chunks::<LEAF_BYTES>();
        let peaks = peaks.get(..count).ok_or(FrameError::Incomplete)?;
        let peaks = peaks.iter().copied().map(Digest::from_bytes).collect();
        let header = Self {
            origin: origin.to_owned(),
            before: Frontier::from_peaks(size, peaks)
                .ok_or(FrameError::Malformed("the tree does not fit its size"))?,
        };
        let length = header.to_bytes().len();
        Ok((header, length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, EVENT, &[3; 32], b"{}");
        write_checkpoint(&mut bytes, "note");
        bytes
    }

    #[test]
    fn frames_are_read_from_both_ends() {
        let bytes = frames();
        let (first, length) = Frame::read(&bytes).unwrap();
        assert!(matches!(first, Frame::Event { payload: b"{}", .. }));
        let (last, back) = Frame::read_back(&bytes).unwrap();
        assert_eq!(last, Frame::Checkpoint { note: b"note" });
        assert_eq!(length + back, bytes.len());
        assert_eq!(Frame::read_back(&bytes[..length]).unwrap().0, first);
    }

    #[test]
    fn a_cut_frame_is_incomplete_and_never_another() {
        let bytes = frames();
        let (_, length) = Frame::read(&bytes).unwrap();
        for at in 0..length {
            assert_eq!(
                Frame::read(&bytes[..at]),
                Err(FrameError::Incomplete),
                "{at}"
            );
            assert!(Frame::read_back(&bytes[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn a_header_survives_its_bytes() {
        let mut before = Frontier::new();
        for n in 0..5_u8 {
            let header = SegmentHeader {
                origin: "a/log".to_owned(),
                before: before.clone(),
            };
            let bytes = header.to_bytes();
            assert_eq!(SegmentHeader::read(&bytes), Ok((header, bytes.len())));
            assert_eq!(
                SegmentHeader::read(&bytes[..bytes.len() - 1]),
                Err(FrameError::Incomplete)
            );
            before.push(Digest::of(&[n]));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let read = Frame::read(&bytes);
            prop_assert!(read.is_err() || read.is_ok_and(|(_, length)| length <= bytes.len()));
            let back = Frame::read_back(&bytes);
            prop_assert!(back.is_err() || back.is_ok_and(|(_, length)| length <= bytes.len()));
            prop_assert!(SegmentHeader::read(&bytes).is_err());
        }
    }
}
