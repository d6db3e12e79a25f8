//! Bundles as files: an archive or a directory, with its signature, read whole and bounded.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use valetkey_rollout::{
    ARCHIVE_MAX_BYTES, SIGNATURES_FILE, SIGNATURES_MAX_BYTES, is_part, pack, unpack,
};

use super::source;
use crate::fail::{Fail, Status};

/// The files of a bundle, by their paths.
pub(super) type Files = Vec<(String, Vec<u8>)>;

/// Whether a path names an archive.
pub(super) fn is_archive(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.is_file() && (name.ends_with(".tar.gz") || name.ends_with(".tgz"))
}

/// The files of an archive, of a directory or of a built-in bundle, with the signature where there is one.
pub(super) fn read(path: &Path) -> Result<Files, Fail> {
    if is_archive(path) {
        return read_archive(path);
    }
    let mut files = source::read(path)?.files;
    if path.is_dir() {
        let signature = path.join(SIGNATURES_FILE);
        match bounded(&signature, SIGNATURES_MAX_BYTES) {
            Ok(bytes) => files.push((SIGNATURES_FILE.to_owned(), bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused(&signature, &error)),
        }
    }
    Ok(files)
}

/// The files of a `.tar.gz`. It may hold nothing but what counts in a bundle.
pub(super) fn read_archive(path: &Path) -> Result<Files, Fail> {
    let packed = bounded(path, ARCHIVE_MAX_BYTES).map_err(|error| refused(path, &error))?;
    let mut decoder = GzDecoder::new(packed.as_slice());
    let mut archive = Vec::new();
    // One byte more than it may have: a bomb is told from what just fits.
    let most = u64::try_from(ARCHIVE_MAX_BYTES).unwrap_or(u64::MAX);
    (&mut decoder)
        .take(most.saturating_add(1))
        .read_to_end(&mut archive)
        .map_err(|error| refused(path, &error))?;
    let files = unpack(&archive).map_err(|error| refused(path, &error))?;
    if !decoder.into_inner().is_empty() {
        return Err(refused(path, &"there is something behind its end"));
    }
    match files
        .iter()
        .find(|(name, _)| !is_part(name) && name != SIGNATURES_FILE)
    {
        Some((name, _)) => Err(refused(
            path,
            &format_args!(
                "`{}` is no part of a policy",
                valetkey_approval::visible(name)
            ),
        )),
        None => Ok(files),
    }
}

/// Writes an archive. The same files always make the same bytes.
pub(super) fn write_archive(path: &Path, files: &Files) -> Result<(), Fail> {
    let archive = pack(files).map_err(|error| refused(path, &error))?;
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::best());
    let packed = encoder
        .write_all(&archive)
        .and_then(|()| encoder.finish())
        .map_err(|error| refused(path, &error))?;
    valetkey_store::write_atomically(path, &packed, 0o644).map_err(|error| refused(path, &error))
}

/// A file of at most so many bytes.
pub(super) fn bounded(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(std::io::Error::other(format!(
            "it has more than {most} bytes"
        )));
    }
    Ok(bytes)
}

/// A failure about a file.
pub(super) fn refused(path: &Path, why: &dyn std::fmt::Display) -> Fail {
    Fail::new(Status::Usage, format!("{}: {why}", path.display()))
}
