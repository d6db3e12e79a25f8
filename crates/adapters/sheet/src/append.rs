//! The operation itself: check, scan, then copy the package with one part spliced.

use std::io::{self, Read, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::encode::{EncodedRows, encode_rows};
use crate::package::{Package, read_error, zip_error};
use crate::workbook::{SheetPart, locate};
use crate::worksheet::{Place, SheetScan, scan};
use crate::{AppendReport, AppendRows, SheetError};

/// Effort of compression: the sheet should not grow merely because another program packed it well.
const COMPRESSION_LEVEL: i64 = 9;

/// Appends rows after the last row of a sheet and writes the whole workbook to `output`.
///
/// `output` has to be empty and at its start. On an error it may hold anything and is to be
/// thrown away; every refusal that needs no writing to be seen comes before the first byte.
///
/// # Errors
///
/// A [`SheetError`] says which limit, rule or damage of the workbook stands against it.
pub fn append_rows<R: Read + Seek, W: Write + Seek>(
    input: R,
    output: W,
    job: &AppendRows,
) -> Result<AppendReport, SheetError> {
    check_job(job)?;
    let limits = &job.limits;
    let mut package = Package::open(input, &limits.ceilings)?;
    let part = locate(&mut package, &job.sheet, limits.allow_macros)?;
    let scan = scan(&part.name, package.open_sheet_part(part.index, &part.name)?)?;
    if scan.protected {
        return Err(SheetError::Protected);
    }
    let rows = encode_rows(job, &scan.prefix, scan.last_row)?;
    let (first_row, last_row) = (rows.first_row, rows.last_row);
    let splices = plan(&scan, rows);
    let bytes_written = splices.iter().fold(0_u64, |sum, splice| {
        sum.saturating_add(u64::try_from(splice.text.len()).unwrap_or(u64::MAX))
    });
    check_bytes(limits.max_write_bytes, bytes_written)?;
    let file_bytes = write_package(&mut package, output, &part, &splices)?;
    check_bytes(
        limits.max_write_bytes,
        file_bytes.saturating_sub(package.file_bytes),
    )?;
    let parts_total = u64::try_from(package.len()).unwrap_or(u64::MAX);
    Ok(AppendReport {
        first_row,
        last_row,
        rows: u64::try_from(job.rows.len()).unwrap_or(u64::MAX),
        bytes_written,
        sheet_part: part.name,
        parts_total,
        parts_unchanged: parts_total.saturating_sub(1),
    })
}

/// The limits that need no look at the workbook.
fn check_job(job: &AppendRows) -> Result<(), SheetError> {
    let asked = u64::try_from(job.rows.len()).unwrap_or(u64::MAX);
    if let Some(limit) = job.limits.max_rows
        && asked > limit
    {
        return Err(SheetError::TooManyRows { limit, asked });
    }
    if asked == 0 {
        return Err(SheetError::NoRows);
    }
    let cells = job
        .rows
        .iter()
        .fold(0_usize, |sum, row| sum.saturating_add(row.len()));
    let limit = job.limits.ceilings.max_cells;
    if u64::try_from(cells).is_ok_and(|cells| cells > limit) {
        return Err(SheetError::TooLarge {
            what: "the number of cells".to_owned(),
            limit,
        });
    }
    Ok(())
}

fn check_bytes(limit: Option<u64>, needed: u64) -> Result<(), SheetError> {
    match limit {
        Some(limit) if needed > limit => Err(SheetError::TooManyBytes { limit, needed }),
        Some(_) | None => Ok(()),
    }
}

/// One change of the part: `remove` bytes at `at` give way to `text`.
struct Splice {
    at: u64,
    remove: u64,
    text: String,
}

/// The changes, in the order of the part.
fn plan(scan: &SheetScan, rows: EncodedRows) -> Vec<Splice> {
    let mut splices = Vec::new();
    if let Some((dimension, covered)) = scan.dimension.as_ref().zip(rows.extent) {
        // An empty sheet calls itself `A1`, whether or not there is a cell.
        let extent = if scan.last_row == 0 {
            covered
        } else {
            dimension.extent.union(covered)
        };
        if extent != dimension.extent {
            splices.push(Splice {
                at: dimension.span.start,
                remove: dimension.span.end.saturating_sub(dimension.span.start),
                text: extent.text(),
            });
        }
    }
    splices.push(match &scan.place {
        Place::Before(at) => Splice {
            at: *at,
            remove: 0,
            text: rows.xml,
        },
        Place::Empty(span) => Splice {
            at: span.end.saturating_sub(2),
            remove: 2,
            text: format!(">{}</{}sheetData>", rows.xml, scan.prefix),
        },
    });
    splices
}

/// Copies every entry as it is stored, except the sheet's; returns the size of the new file.
fn write_package<R: Read + Seek, W: Write + Seek>(
    package: &mut Package<R>,
    output: W,
    part: &SheetPart,
    splices: &[Splice],
) -> Result<u64, SheetError> {
    let comment = package.archive().comment().to_vec();
    let mut writer = ZipWriter::new(output);
    writer
        .set_raw_comment(comment.into_boxed_slice())
        .map_err(|error| zip_error("package", error))?;
    for at in 0..package.len() {
        if at == part.index {
            write_sheet(package, &mut writer, part, splices)?;
        } else {
            let entry = package.archive().by_index_raw(at);
            let entry = entry.map_err(|error| zip_error("package", error))?;
            writer
                .raw_copy_file(entry)
                .map_err(|error| zip_error("package", error))?;
        }
    }
    let mut output = writer
        .finish()
        .map_err(|error| zip_error("package", error))?;
    output.flush()?;
    Ok(output.stream_position()?)
}

/// Writes the sheet's entry anew, with the time, name and method that it had.
fn write_sheet<R: Read + Seek, W: Write + Seek>(
    package: &mut Package<R>,
    writer: &mut ZipWriter<W>,
    part: &SheetPart,
    splices: &[Splice],
) -> Result<(), SheetError> {
    let entry = package.archive().by_index_raw(part.index);
    let entry = entry.map_err(|error| zip_error(&part.name, error))?;
    let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
    let method = entry.compression();
    let level = (method == CompressionMethod::Deflated).then_some(COMPRESSION_LEVEL);
    let mut options = SimpleFileOptions::default()
        .compression_method(method)
        .compression_level(level);
    if let Some(time) = entry.last_modified() {
        options = options.last_modified_time(time);
    }
    drop(entry);
    writer
        .start_file(name, options)
        .map_err(|error| zip_error(&part.name, error))?;
    let mut source = package.open_sheet_part(part.index, &part.name)?;
    splice(&part.name, &mut source, writer, splices)
}

/// Copies the part and makes the changes on the way.
fn splice(
    part: &str,
    source: &mut impl Read,
    sink: &mut impl Write,
    splices: &[Splice],
) -> Result<(), SheetError> {
    let mut at = 0_u64;
    for change in splices {
        let before = change
            .at
            .checked_sub(at)
            .ok_or_else(|| SheetError::part(part, "the changes are out of order"))?;
        copy_exactly(part, source, sink, before)?;
        copy_exactly(part, source, &mut io::sink(), change.remove)?;
        sink.write_all(change.text.as_bytes())?;
        at = change.at.saturating_add(change.remove);
    }
    copy(part, source, sink).map(drop)
}

/// Copies so many bytes, no fewer: the part is the same as in the first pass.
fn copy_exactly(
    part: &str,
    source: &mut impl Read,
    sink: &mut impl Write,
    bytes: u64,
) -> Result<(), SheetError> {
    if copy(part, &mut source.take(bytes), sink)? == bytes {
        Ok(())
    } else {
        Err(SheetError::part(part, "the part changed while it was read"))
    }
}

/// Copies to the end, telling a damaged part from a disk that is full.
fn copy(part: &str, source: &mut impl Read, sink: &mut impl Write) -> Result<u64, SheetError> {
    let mut buffer = vec![0; 64 << 10];
    let mut copied = 0_u64;
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read_error(part, error)),
        };
        sink.write_all(buffer.get(..read).unwrap_or_default())?;
        copied = copied.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}
