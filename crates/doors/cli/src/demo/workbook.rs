//! Looks into a workbook's package, to show what an operation changed and what it left alone.

use std::io::{Cursor, Read as _};

use zip::ZipArchive;
use zip::result::ZipError;

/// How many rows a sheet's part has.
pub(crate) fn count_rows(package: &[u8], part: &str) -> Result<usize, ZipError> {
    let mut archive = ZipArchive::new(Cursor::new(package))?;
    let mut text = String::new();
    archive.by_name(part)?.read_to_string(&mut text)?;
    Ok(text.matches("<row ").count())
}

/// Whether every part but `changed` has the same stored bytes in both packages, and none is new or gone.
pub(crate) fn others_unchanged(
    before: &[u8],
    after: &[u8],
    changed: &str,
) -> Result<bool, ZipError> {
    let before = stored_parts(before, changed)?;
    let after = stored_parts(after, changed)?;
    Ok(!before.is_empty() && before == after)
}

fn stored_parts(package: &[u8], without: &str) -> Result<Vec<(String, Vec<u8>)>, ZipError> {
    let mut archive = ZipArchive::new(Cursor::new(package))?;
    let mut parts = Vec::new();
    for index in 0..archive.len() {
        let mut part = archive.by_index_raw(index)?;
        let name = part.name()?.into_owned();
        if name == without {
            continue;
        }
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes)?;
        parts.push((name, bytes));
    }
    parts.sort();
    Ok(parts)
}
