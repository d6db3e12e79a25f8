//! Bundles as tar archives: written the same from the same files, read strictly, and nothing but plain files in them.

use std::collections::BTreeSet;

use thiserror::Error;

/// The size of a tar archive's blocks.
const BLOCK: usize = 512;
/// Most bytes of an archive, unpacked: a bundle's megabyte with its headers, signatures and padding.
pub const ARCHIVE_MAX_BYTES: usize = 2 << 20;
/// Most files and directories in one.
const ENTRIES_MAX: usize = 1024;

/// Why an archive is not read or written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It is longer than [`ARCHIVE_MAX_BYTES`].
    #[error("the archive has more than {ARCHIVE_MAX_BYTES} bytes, unpacked")]
    TooLarge,
    /// It has too many entries.
    #[error("the archive has more than {ENTRIES_MAX} entries")]
    TooMany,
    /// It is no tar archive, or a torn one.
    #[error("the archive is damaged: {0}")]
    Damaged(&'static str),
    /// An entry that a bundle does not have.
    #[error("`{name}` in the archive is {what}: a bundle has plain files alone")]
    Kind {
        /// The entry.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// A name that leads elsewhere.
    #[error("`{0}` in the archive is no plain relative path")]
    Path(String),
    /// A name that is there twice.
    #[error("`{0}` is in the archive twice")]
    Twice(String),
    /// A name that does not fit.
    #[error("`{0}` is too long for an archive: at most 100 bytes")]
    Name(String),
}

/// The files of an archive.
///
/// # Errors
/// The first [`ArchiveError`]; nothing is taken from an archive that has one.
pub fn unpack(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ArchiveError> {
    if archive.len() > ARCHIVE_MAX_BYTES {
        return Err(ArchiveError::TooLarge);
    }
    let (blocks, rest) = archive.as_chunks::<BLOCK>();
    if !rest.is_empty() {
        return Err(ArchiveError::Damaged("it ends within a block"));
    }
    let mut files = Vec::new();
    let mut names = BTreeSet::new();
    let mut left = blocks.iter();
    loop {
        let header = left
            .next()
            .ok_or(ArchiveError::Damaged("its end is missing"))?;
        if is_empty(header) {
            break;
        }
        if names.len() >= ENTRIES_MAX {
            return Err(ArchiveError::TooMany);
        }
        let entry = Entry::read(header)?;
        let mut content = Vec::with_capacity(entry.size);
        for _ in 0..entry.size.div_ceil(BLOCK) {
            let block = left
                .next()
                .ok_or(ArchiveError::Damaged("a file is cut off"))?;
            content.extend_from_slice(block);
        }
        content.truncate(entry.size);
        if !names.insert(entry.name.clone()) {
            return Err(ArchiveError::Twice(entry.name));
        }
        if entry.is_file {
            files.push((entry.name, content));
        }
    }
    if left.all(is_empty) {
        Ok(files)
    } else {
        Err(ArchiveError::Damaged("there is something behind its end"))
    }
}

fn is_empty(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

struct Entry {
    name: String,
    size: usize,
    is_file: bool,
}

impl Entry {
    fn read(header: &[u8; BLOCK]) -> Result<Self, ArchiveError> {
        let field = |at: usize, length: usize| {
            let end = at.saturating_add(length);
            header.get(at..end).unwrap_or_default()
        };
        let sum: u64 = header
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                u64::from(if (148..156).contains(&at) {
                    b' '
                } else {
                    *byte
                })
            })
            .sum();
        if octal(field(148, 8)) != Some(sum) {
            return Err(ArchiveError::Damaged("a header's sum is wrong"));
        }
        let prefix = text(field(345, 155))?;
        let mut name = text(field(0, 100))?;
        if !prefix.is_empty() && field(257, 5) == b"ustar" {
            name = format!("{prefix}/{name}");
        }
        let kind = header.get(156).copied().unwrap_or_default();
        let is_file = match kind {
            b'0' | 0 => true,
            b'5' => false,
            other => {
                let what = match other {
                    b'1' => "a hard link",
                    b'2' => "a symbolic link",
                    b'3' | b'4' => "a device",
                    b'6' => "a pipe",
                    b'x' | b'g' | b'L' | b'K' => "an extended header",
                    _ => "of another kind",
                };
                return Err(ArchiveError::Kind { name, what });
            }
        };
        let size = octal(field(124, 12)).and_then(|size| usize::try_from(size).ok());
        let size = size
            .filter(|size| *size <= ARCHIVE_MAX_BYTES && (is_file || *size == 0))
            .ok_or(ArchiveError::Damaged("a file's size is wrong"))?;
        Ok(Self {
            name: plain(&name, is_file)?,
            size,
            is_file,
        })
    }
}

/// OPA writes `/data.json`, `tar` writes `./data.json`; both mean the archive's root.
fn plain(name: &str, is_file: bool) -> Result<String, ArchiveError> {
    let refuse = || ArchiveError::Path(name.chars().take(256).collect());
    let short = name
        .strip_prefix("./")
        .or_else(|| name.strip_prefix('/'))
        .unwrap_or(name);
    if is_file {
        let good = short
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".."));
        let good = good && !short.chars().any(char::is_control);
        return good.then(|| short.to_owned()).ok_or_else(refuse);
    }
    // A directory gives nothing but its name, which ends in a slash so that it is not a file's.
    let short = short.trim_end_matches('/');
    let good = short.split('/').all(|part| part != "..");
    good.then(|| format!("{short}/")).ok_or_else(refuse)
}

fn text(field: &[u8]) -> Result<String, ArchiveError> {
    let end = field.iter().position(|byte| *byte == 0);
    let text = field.get(..end.unwrap_or(field.len())).unwrap_or_default();
    String::from_utf8(text.to_vec()).map_err(|_| ArchiveError::Damaged("a name is not UTF-8 text"))
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches([' ', '\0']);
    if digits.is_empty() || !digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        return None;
    }
    u64::from_str_radix(digits, 8).ok()
}

/// An archive of files, in the order of their names; it holds nothing else, no time and no owner.
///
/// # Errors
/// [`ArchiveError::Name`] for a name that does not fit, [`ArchiveError::TooLarge`] for more than could be read again.
pub fn pack(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, ArchiveError> {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut archive = Vec::new();
    for (name, content) in sorted {
        archive.extend(header(name, content.len())?);
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len().saturating_add(2 * BLOCK), 0);
    if archive.len() > ARCHIVE_MAX_BYTES {
        return Err(ArchiveError::TooLarge);
    }
    Ok(archive)
}

fn header(name: &str, size: usize) -> Result<Vec<u8>, ArchiveError> {
    if name.len() > 100 {
        return Err(ArchiveError::Name(name.to_owned()));
    }
    let mut fields = name.as_bytes().to_vec();
    fields.resize(100, 0);
    let build = |sum: &str| {
        let mut header = fields.clone();
        header.extend(b"0000644\x000000000\x000000000\x00");
        header.extend(format!("{size:011o}\0{:011o}\0", 0).bytes());
        header.extend(sum.bytes());
        header.extend(b"0");
        header.resize(257, 0);
        header.extend(b"ustar\x0000");
        header.resize(BLOCK, 0);
        header
    };
    let sum: u64 = build("        ").iter().map(|byte| u64::from(*byte)).sum();
    Ok(build(&format!("{sum:06o}\0 ")))
}

#[cfg(test)]
mod tests;
