//! A strict look at the end of the zip file, before a byte of its directory is parsed.
//!
//! A zip file may hold several records that claim to end it, and readers differ in which they
//! believe. Here there is exactly one, it ends the file, and the number of entries it declares is
//! within the ceiling, so the parser that follows has no choice to make and no memory to waste.

use std::io::{Read, Seek, SeekFrom};

use crate::{Ceilings, SheetError};

/// The magic of a Compound File Binary: the old `.xls`, and any password-protected workbook.
const COMPOUND_FILE: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";
const END: [u8; 4] = *b"PK\x05\x06";
const END64_LOCATOR: [u8; 4] = *b"PK\x06\x07";
const END64: [u8; 4] = *b"PK\x06\x06";
/// Bytes of the end record without its comment.
const END_BYTES: u64 = 22;
const END64_LOCATOR_BYTES: u64 = 20;
/// Bytes of the zip64 end record up to and with the number of entries.
const END64_HEAD_BYTES: u64 = 40;
/// The comment's length is 16 bits, and readers look back a few bytes more.
const TAIL_BYTES: u64 = END_BYTES + 0xffff + 4;

/// What the end of the file declares.
pub(crate) struct Directory {
    /// Bytes of the file.
    pub(crate) file_bytes: u64,
    /// Entries declared.
    pub(crate) entries: u64,
}

/// Checks the start and the end of the file.
pub(crate) fn inspect<R: Read + Seek>(
    input: &mut R,
    ceilings: &Ceilings,
) -> Result<Directory, SheetError> {
    let file_bytes = input.seek(SeekFrom::End(0))?;
    if file_bytes > ceilings.max_input_bytes {
        return Err(SheetError::TooLarge {
            what: "the workbook".to_owned(),
            limit: ceilings.max_input_bytes,
        });
    }
    check_start(input, file_bytes)?;
    let tail_start = file_bytes.saturating_sub(TAIL_BYTES);
    let tail = read_at(input, tail_start, file_bytes.saturating_sub(tail_start))?;
    let at = only_end_record(&tail)?;
    let end = tail.get(at..).unwrap_or_default();
    let comment = u64::from(u16_at(end, 20)?);
    if u64::try_from(end.len()).ok() != END_BYTES.checked_add(comment) {
        return Err(SheetError::package("bytes follow the end of the zip file"));
    }
    if (u16_at(end, 4)?, u16_at(end, 6)?) != (0, 0) || u16_at(end, 8)? != u16_at(end, 10)? {
        return Err(SheetError::package("the zip file spans several volumes"));
    }
    let end_position = file_bytes.saturating_sub(u64::try_from(end.len()).unwrap_or(u64::MAX));
    let entries = match entries64(input, end_position)? {
        Some(entries) => entries,
        None => u64::from(u16_at(end, 10)?),
    };
    if entries > ceilings.max_parts {
        return Err(SheetError::TooLarge {
            what: "the number of parts".to_owned(),
            limit: ceilings.max_parts,
        });
    }
    Ok(Directory {
        file_bytes,
        entries,
    })
}

fn check_start<R: Read + Seek>(input: &mut R, file_bytes: u64) -> Result<(), SheetError> {
    let start = read_at(input, 0, file_bytes.min(8))?;
    if start == COMPOUND_FILE {
        return Err(SheetError::Unsupported {
            what: "an old binary or a password-protected workbook".to_owned(),
        });
    }
    if !start.starts_with(&LOCAL_HEADER) {
        return Err(SheetError::Unsupported {
            what: "it is not an Office Open XML package".to_owned(),
        });
    }
    Ok(())
}

/// Finds the end record, and refuses when a second one could be taken for it.
fn only_end_record(tail: &[u8]) -> Result<usize, SheetError> {
    let mut found = tail
        .windows(END.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == END);
    let (at, _) = found
        .next()
        .ok_or_else(|| SheetError::package("the zip file has no end"))?;
    match found.next() {
        None => Ok(at),
        Some(_) => Err(SheetError::package(
            "the zip file seems to end more than once",
        )),
    }
}

/// The number of entries according to the zip64 record, where there is one.
fn entries64<R: Read + Seek>(input: &mut R, end: u64) -> Result<Option<u64>, SheetError> {
    let Some(locator_at) = end.checked_sub(END64_LOCATOR_BYTES) else {
        return Ok(None);
    };
    let locator = read_at(input, locator_at, END64_LOCATOR_BYTES)?;
    if !locator.starts_with(&END64_LOCATOR) {
        return Ok(None);
    }
    let at = u64_at(&locator, 8)?;
    if at
        .checked_add(END64_HEAD_BYTES)
        .is_none_or(|head_end| head_end > locator_at)
    {
        return Err(SheetError::package(
            "the zip64 end record lies outside the file",
        ));
    }
    let record = read_at(input, at, END64_HEAD_BYTES)?;
    // The record is followed at once by its locator, so no second one can hide between them.
    let size = u64_at(&record, 4)?;
    if !record.starts_with(&END64)
        || at.checked_add(12).and_then(|from| from.checked_add(size)) != Some(locator_at)
    {
        return Err(SheetError::package(
            "the zip64 end record is not where it should be",
        ));
    }
    u64_at(&record, 32).map(Some)
}

fn read_at<R: Read + Seek>(input: &mut R, at: u64, length: u64) -> Result<Vec<u8>, SheetError> {
    input.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).ok() != Some(length) {
        return Err(SheetError::package("the file is cut short"));
    }
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, SheetError> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map(|chunk| u16::from_le_bytes(*chunk))
        .ok_or_else(|| SheetError::package("the end of the zip file is cut short"))
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, SheetError> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map(|chunk| u64::from_le_bytes(*chunk))
        .ok_or_else(|| SheetError::package("the zip64 end record is cut short"))
}
