//! What a file is: the media type (RFC 6838) that its name and its content agree on, and none where they do not.
//!
//! A name alone proves nothing and content alone is not enough either: `report.txt` that holds a program is neither a text nor a
//! program that somebody meant to give. So a type is only told where both say the same.

mod archive;

use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::fstat;
use rustix::io::{Errno, pread};

/// Files up to this are looked at whole; of longer ones as much from either end as half of it. One open then reads no more than this.
const LOOKED_AT: usize = 1 << 20;
/// The two ends of a longer file.
const END: usize = LOOKED_AT / 2;

/// Bytes that say at the beginning of a file what it is, and the names that such files have.
const SIGNATURES: [(&[u8], &str, &[&str]); 6] = [
    (b"%PDF-", "application/pdf", &["pdf"]),
    (b"\x89PNG\r\n\x1a\n", "image/png", &["png"]),
    (b"\xff\xd8\xff", "image/jpeg", &["jpg", "jpeg", "jpe"]),
    (b"GIF87a", "image/gif", &["gif"]),
    (b"GIF89a", "image/gif", &["gif"]),
    (b"\x7fELF", ELF, &["", "elf", "so", "o"]),
];
/// Programs have no registered type; these are the names in use.
const ELF: &str = "application/x-elf";
const SCRIPT: &str = "text/x-script";
/// Texts that may begin with the name of the program that runs them.
const STARTED: [&str; 2] = [SCRIPT, "text/javascript"];
const JSON: &str = "application/json";

/// Texts by the end of their name. A text by any other name is `text/plain`.
const TEXTS: [(&str, &str); 24] = [
    ("csv", "text/csv"),
    ("tsv", "text/tab-separated-values"),
    ("json", JSON),
    ("xml", "application/xml"),
    ("svg", "image/svg+xml"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("xhtml", "application/xhtml+xml"),
    ("css", "text/css"),
    ("js", "text/javascript"),
    ("mjs", "text/javascript"),
    ("md", "text/markdown"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("toml", "application/toml"),
    ("rtf", "application/rtf"),
    ("ics", "text/calendar"),
    ("vcf", "text/vcard"),
    ("sql", "application/sql"),
    ("sh", SCRIPT),
    ("bash", SCRIPT),
    ("py", SCRIPT),
    ("pl", SCRIPT),
    ("rb", SCRIPT),
];

/// Names that promise a form which is not text.
const BINARIES: [(&str, &str); 12] = [
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("jpe", "image/jpeg"),
    ("gif", "image/gif"),
    ("zip", archive::ZIP),
    ("xlsx", archive::SHEET),
    ("docx", archive::DOCUMENT),
    ("pptx", archive::SLIDES),
    ("xlsm", archive::SHEET_WITH_MACROS),
    ("docm", archive::DOCUMENT_WITH_MACROS),
];

/// Whatever is of no known form.
const OTHER: &str = "application/octet-stream";
/// Names that promise nothing.
const OTHER_NAMES: [&str; 4] = ["", "bin", "dat", "data"];
const PLAIN: &str = "text/plain";
/// Names of plain texts, for a file that is empty or not there yet.
const PLAIN_NAMES: [&str; 4] = ["", "txt", "text", "log"];

/// What of a file was looked at.
struct Seen {
    head: Vec<u8>,
    /// The other end of a file that is too long to be looked at whole.
    tail: Option<Vec<u8>>,
}

/// Whether one of the types that are given is this one: the same, or `type/*`. Names of types are not sensitive to case.
pub(crate) fn is_given(given: &[String], kind: &str) -> bool {
    given.iter().any(|given| {
        given.eq_ignore_ascii_case(kind)
            || given
                .strip_suffix("/*")
                .zip(kind.split_once('/'))
                .is_some_and(|(top, (kind, _))| {
                    !top.contains('/') && top.eq_ignore_ascii_case(kind)
                })
    })
}

/// The type of a file that is about to be made, or is empty: what its name promises, since it holds nothing that could belie it.
pub(crate) fn of_new(path: &Path) -> Option<&'static str> {
    let extension = extension(path);
    let named = |table: &[(&str, &'static str)]| {
        let found = table.iter().find(|(name, _)| *name == extension);
        found.map(|(_, kind)| *kind)
    };
    named(&TEXTS).or_else(|| named(&BINARIES)).or_else(|| {
        if PLAIN_NAMES.contains(&extension.as_str()) {
            Some(PLAIN)
        } else if OTHER_NAMES.contains(&extension.as_str()) {
            Some(OTHER)
        } else if let Some((_, kind, _)) = SIGNATURES
            .iter()
            .find(|(_, _, names)| names.contains(&extension.as_str()))
        {
            Some(kind)
        } else {
            Some(PLAIN)
        }
    })
}

/// The type of an open file; none when it cannot be read, or is not what its name says.
pub(crate) fn of_file(path: &Path, file: BorrowedFd<'_>) -> Option<&'static str> {
    let seen = look(file).ok()?;
    if seen.head.is_empty() {
        return of_new(path);
    }
    judge(&extension(path), &seen)
}

/// What the end of the name and the content agree on.
fn judge(extension: &str, seen: &Seen) -> Option<&'static str> {
    let end = seen.tail.as_deref().unwrap_or(&seen.head);
    let signature = SIGNATURES
        .iter()
        .find(|(bytes, _, _)| seen.head.starts_with(bytes));
    if archive::begins(&seen.head) {
        return archive::judge(extension, end);
    }
    // An archive may have anything before it: a picture that ends as one is two things at once.
    if archive::ends(end) {
        return None;
    }
    if let Some((_, kind, names)) = signature {
        return names.contains(&extension).then_some(*kind);
    }
    if BINARIES.iter().any(|(name, _)| *name == extension) {
        return None;
    }
    let text = TEXTS.iter().find(|(name, _)| *name == extension);
    // A text that starts a program when it is run.
    let starts = seen.head.starts_with(b"#!");
    match (is_text(seen), text) {
        (true, None) if starts => extension.is_empty().then_some(SCRIPT),
        (true, Some((_, kind))) if starts => STARTED.contains(kind).then_some(*kind),
        (true, Some((_, JSON))) => is_json(seen).then_some(JSON),
        (true, Some((_, kind))) => Some(*kind),
        (true, None) => Some(PLAIN),
        (false, _) => OTHER_NAMES.contains(&extension).then_some(OTHER),
    }
}

/// Whether all that was seen is UTF-8 without NUL.
fn is_text(seen: &Seen) -> bool {
    let whole = seen.tail.is_none();
    let reads = |bytes: &[u8], may_be_cut: bool| match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // A character that the end of what was read cut in two.
        Err(error) => may_be_cut && error.error_len().is_none(),
    };
    let tail = seen.tail.as_deref().unwrap_or_default();
    // At its beginning the tail may hold the rest of a character: three bytes at most.
    let rest = tail.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80);
    let tail = tail.get(rest.count()..).unwrap_or_default();
    !seen.head.contains(&0) && !tail.contains(&0) && reads(&seen.head, !whole) && reads(tail, false)
}

/// Whether it is JSON; of what is too long to be read whole, whether it begins and ends as JSON does.
fn is_json(seen: &Seen) -> bool {
    let Some(tail) = &seen.tail else {
        return serde_json::from_slice::<serde::de::IgnoredAny>(&seen.head).is_ok();
    };
    let first = seen.head.trim_ascii_start().first();
    let last = tail.trim_ascii_end().last();
    matches!(
        (first, last),
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
    )
}

/// The part of the last name after its last dot, in lower case; nothing for a name without one, or one that begins with its only dot.
fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_lowercase()
}

fn look(file: BorrowedFd<'_>) -> Result<Seen, Errno> {
    let size = u64::try_from(fstat(file)?.st_size).map_err(|_| Errno::OVERFLOW)?;
    let most = u64::try_from(LOOKED_AT).unwrap_or(u64::MAX);
    if size <= most {
        // One byte more than there was, to notice that it grew.
        let head = read_at(file, 0, LOOKED_AT.saturating_add(1))?;
        if head.len() <= LOOKED_AT {
            return Ok(Seen { head, tail: None });
        }
    }
    let from = size.saturating_sub(u64::try_from(END).unwrap_or(u64::MAX));
    Ok(Seen {
        head: read_at(file, 0, END)?,
        tail: Some(read_at(file, from, END)?),
    })
}

fn read_at(file: BorrowedFd<'_>, from: u64, most: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut at = from;
    while bytes.len() < most {
        let room = most.saturating_sub(bytes.len()).min(chunk.len());
        let place = chunk.get_mut(..room).unwrap_or_default();
        match pread(file, &mut *place, at) {
            Ok(0) => break,
            Ok(count) => {
                bytes.extend_from_slice(place.get(..count).unwrap_or_default());
                at = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
