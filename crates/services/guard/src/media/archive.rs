//! Archives of the ZIP family: plain ones and office documents, told apart by the names of their parts.

pub(super) const ZIP: &str = "application/zip";
pub(super) const SHEET: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
pub(super) const DOCUMENT: &str =
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
pub(super) const SLIDES: &str =
    "application/vnd.openxmlformats-officedocument.presentationml.presentation";
pub(super) const SHEET_WITH_MACROS: &str = "application/vnd.ms-excel.sheet.macroenabled.12";
pub(super) const DOCUMENT_WITH_MACROS: &str = "application/vnd.ms-word.document.macroenabled.12";

/// A record at the end of every archive, without its comment.
const END_RECORD: usize = 22;
/// A record of the directory, without its name.
const DIRECTORY_RECORD: usize = 46;
/// Parts that are looked at; an archive with more is of no known kind.
const PARTS_MAX: usize = 10_000;

/// Each kind: the end of the name, the part that it must have, whether it has macros, the type.
const KINDS: [(&str, &str, bool, &str); 5] = [
    ("xlsx", "xl/workbook.xml", false, SHEET),
    ("docx", "word/document.xml", false, DOCUMENT),
    ("pptx", "ppt/presentation.xml", false, SLIDES),
    ("xlsm", "xl/workbook.xml", true, SHEET_WITH_MACROS),
    ("docm", "word/document.xml", true, DOCUMENT_WITH_MACROS),
];

/// Whether it begins as an archive.
pub(super) fn begins(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04")
        || head.starts_with(b"PK\x05\x06")
        || head.starts_with(b"PK\x07\x08")
}

/// Whether it ends as an archive, whatever is before.
pub(super) fn ends(tail: &[u8]) -> bool {
    end_record(tail).is_some()
}

/// The type of an archive of this name, by the end of it; none when the name says another thing, or the parts cannot be listed.
pub(super) fn judge(extension: &str, tail: &[u8]) -> Option<&'static str> {
    let parts = parts(tail)?;
    let has = |name: &str| {
        parts
            .iter()
            .any(|part| part.eq_ignore_ascii_case(name.as_bytes()))
    };
    let macros = parts.iter().any(|part| {
        let part = part.to_ascii_lowercase();
        part.ends_with(b"vbaproject.bin")
    });
    let is_office = has("[Content_Types].xml");
    if extension == "zip" {
        return Some(ZIP);
    }
    let kind = KINDS
        .iter()
        .find(|(name, part, _, _)| *name == extension && has(part));
    let (_, _, may_have_macros, kind) = kind.filter(|_| is_office)?;
    (*may_have_macros || !macros).then_some(*kind)
}

/// Where the end record begins: the last one whose comment, of 16 bits' length, reaches exactly to the end.
fn end_record(tail: &[u8]) -> Option<usize> {
    let last = tail.len().checked_sub(END_RECORD)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    (first..=last).rev().find(|at| {
        let record = tail.get(*at..).unwrap_or_default();
        let comment = usize::from(u16_at(record, 20).unwrap_or(0));
        record.starts_with(b"PK\x05\x06") && END_RECORD.checked_add(comment) == Some(record.len())
    })
}

/// The names of the parts, from the directory before the end record.
fn parts(tail: &[u8]) -> Option<Vec<&[u8]>> {
    let end = end_record(tail)?;
    let record = tail.get(end..)?;
    let count = usize::from(u16_at(record, 10)?);
    let size = usize::try_from(u32_at(record, 12)?).ok()?;
    if count > PARTS_MAX {
        return None;
    }
    let mut rest = tail.get(end.checked_sub(size)?..end)?;
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        if !rest.starts_with(b"PK\x01\x02") {
            return None;
        }
        let name = usize::from(u16_at(rest, 28)?);
        let more = usize::from(u16_at(rest, 30)?).checked_add(usize::from(u16_at(rest, 32)?))?;
        let name_end = DIRECTORY_RECORD.checked_add(name)?;
        names.push(rest.get(DIRECTORY_RECORD..name_end)?);
        rest = rest.get(name_end.checked_add(more)?..)?;
    }
    rest.is_empty().then_some(names)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    bytes.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}
