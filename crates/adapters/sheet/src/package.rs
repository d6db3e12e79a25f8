//! The package (ECMA-376 part 2): a zip file whose entries are parts, opened only if it is in order.

use std::collections::HashMap;
use std::io::{self, Read, Seek};

use zip::{CompressionMethod, ZipArchive};

use crate::error::shown;
use crate::{Ceilings, SheetError, directory};

/// What is inflated before the ratio of sizes counts: small parts compress well and cost nothing.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// An opened package, each part known by one name only.
pub(crate) struct Package<R> {
    archive: ZipArchive<R>,
    /// Index by equivalent name, see [`equivalent`].
    index: HashMap<String, usize>,
    ceilings: Ceilings,
    /// Bytes of the file.
    pub(crate) file_bytes: u64,
}

impl<R: Read + Seek> Package<R> {
    /// Opens the package and refuses whatever two readers could understand differently.
    pub(crate) fn open(mut input: R, ceilings: &Ceilings) -> Result<Self, SheetError> {
        let directory = directory::inspect(&mut input, ceilings)?;
        let mut archive = ZipArchive::new(input).map_err(|error| zip_error("package", error))?;
        if archive.has_duplicate_names() {
            return Err(SheetError::DuplicatePart {
                part: "one of them".to_owned(),
            });
        }
        if archive.offset() != 0 || u64::try_from(archive.len()).ok() != Some(directory.entries) {
            return Err(SheetError::package(
                "the directory contradicts the end of the zip file",
            ));
        }
        let index = index_entries(&mut archive)?;
        archive
            .validate_header_consistency()
            .map_err(|error| zip_error("package", error))?;
        Ok(Self {
            archive,
            index,
            ceilings: ceilings.clone(),
            file_bytes: directory.file_bytes,
        })
    }

    /// The archive, for copying entries as they are stored.
    pub(crate) fn archive(&mut self) -> &mut ZipArchive<R> {
        &mut self.archive
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.archive.len()
    }

    /// The names of all entries, in their equivalent form.
    pub(crate) fn equivalent_names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    /// Finds a part by name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.index.get(&equivalent(name)).copied()
    }

    /// Opens a small part that says where things are.
    pub(crate) fn open_index_part(
        &mut self,
        name: &str,
    ) -> Result<impl Read + use<'_, R>, SheetError> {
        let most = self.ceilings.max_index_bytes;
        let at = self
            .find(name)
            .ok_or_else(|| SheetError::part(name, "the part is missing"))?;
        self.open_part(at, name, most)
    }

    /// Opens the sheet part.
    pub(crate) fn open_sheet_part(
        &mut self,
        at: usize,
        name: &str,
    ) -> Result<impl Read + use<'_, R>, SheetError> {
        let most = self.ceilings.max_sheet_bytes;
        self.open_part(at, name, most)
    }

    /// Opens a part for reading, bounded by what it declares and by what really comes out of it.
    fn open_part(
        &mut self,
        at: usize,
        name: &str,
        most: u64,
    ) -> Result<impl Read + use<'_, R>, SheetError> {
        let entry = self
            .archive
            .by_index(at)
            .map_err(|error| zip_error(name, error))?;
        let declared = entry.size();
        let by_ratio = entry
            .compressed_size()
            .saturating_mul(self.ceilings.max_inflation)
            .max(RATIO_FREE_BYTES);
        let limit = most.min(by_ratio);
        if declared > limit {
            return Err(SheetError::TooLarge {
                what: format!("part `{}`", shown(name)),
                limit,
            });
        }
        Ok(Bounded {
            inner: entry,
            left: limit,
            limit,
            declared_left: declared,
        })
    }
}

/// Indexes every entry by its equivalent name.
fn index_entries<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
) -> Result<HashMap<String, usize>, SheetError> {
    let mut index = HashMap::with_capacity(archive.len());
    for at in 0..archive.len() {
        let entry = archive
            .by_index_raw(at)
            .map_err(|error| zip_error("package", error))?;
        if entry.encrypted() {
            return Err(SheetError::Encrypted);
        }
        let method = entry.compression();
        if method != CompressionMethod::Stored && method != CompressionMethod::Deflated {
            return Err(SheetError::Unsupported {
                what: "a part is compressed by another method than deflate".to_owned(),
            });
        }
        let name = std::str::from_utf8(entry.name_raw())
            .map_err(|_| SheetError::package("the name of a part is not in UTF-8"))?;
        if name.is_empty()
            || name.starts_with('/')
            || name.contains(|c: char| c == '\\' || c.is_control())
        {
            return Err(SheetError::part(name, "this is not the name of a part"));
        }
        if index.insert(equivalent(name), at).is_some() {
            return Err(SheetError::DuplicatePart { part: shown(name) });
        }
    }
    Ok(index)
}

/// The form in which two names of one part are equal: percent-encoding undone, ASCII case folded.
pub(crate) fn equivalent(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let decoded = match (byte, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match decoded {
            Some((high, low)) => {
                bytes.push((high << 4) | low);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes.make_ascii_lowercase();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// A part's bytes, never more than its ceiling nor than it declared.
struct Bounded<S> {
    inner: S,
    left: u64,
    limit: u64,
    declared_left: u64,
}

impl<S: Read> Read for Bounded<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let bytes = u64::try_from(read).unwrap_or(u64::MAX);
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or_else(|| io::Error::other(Overflow { limit: self.limit }))?;
        self.declared_left = self
            .declared_left
            .checked_sub(bytes)
            .ok_or_else(|| lied("more comes out of it than it declares"))?;
        if read == 0 && !buffer.is_empty() && self.declared_left != 0 {
            return Err(lied("less comes out of it than it declares"));
        }
        Ok(read)
    }
}

fn lied(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A part turned out larger than its ceiling.
#[derive(Debug, thiserror::Error)]
#[error("larger than {limit} bytes")]
pub(crate) struct Overflow {
    /// The ceiling.
    pub(crate) limit: u64,
}

/// What an error while reading a part means: the part's fault where it can be, else the machine's.
pub(crate) fn read_error(part: &str, error: io::Error) -> SheetError {
    let overflow = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Overflow>());
    if let Some(Overflow { limit }) = overflow {
        return SheetError::TooLarge {
            what: format!("part `{}`", shown(part)),
            limit: *limit,
        };
    }
    let damaged = [
        io::ErrorKind::InvalidData,
        io::ErrorKind::InvalidInput,
        io::ErrorKind::UnexpectedEof,
    ];
    if damaged.contains(&error.kind()) {
        SheetError::part(
            part,
            format!("cannot be read: {}", shown(&error.to_string())),
        )
    } else {
        SheetError::Io(error)
    }
}

/// What an error of the zip reader means.
pub(crate) fn zip_error(part: &str, error: zip::result::ZipError) -> SheetError {
    if let zip::result::ZipError::Io(error) = error {
        read_error(part, error)
    } else {
        SheetError::part(part, shown(&error.to_string()))
    }
}
