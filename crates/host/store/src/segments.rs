//! The log's segment files: their names, their creation, and durable appends to the last one.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use valetkey_audit::Frontier;
use valetkey_audit::segment::SegmentHeader;

use crate::StoreError;
use crate::file::{TEMPORARY, create_temporary, no_follow, put_in_place};

const PREFIX: &str = "segment-";

/// Digits of a sequence number in a file's name: all of a `u64`.
const DIGITS: usize = 20;

pub(crate) fn path_of(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{first:0DIGITS$}"))
}

fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let plain = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// The first sequence numbers of the segments in `directory`, in order.
pub(crate) fn list(directory: &Path) -> Result<Vec<u64>, StoreError> {
    let failed = |error| StoreError::io("list", directory, error);
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        segments.extend(name.to_str().and_then(first_of));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Takes away what a crash left under temporary names.
pub(crate) fn sweep(directory: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("list", directory, error);
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let ours = name
            .to_str()
            .is_some_and(|name| name.starts_with(".segment-") && name.ends_with(TEMPORARY));
        if ours {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
        }
    }
    Ok(())
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    file: File,
    path: PathBuf,
    /// Bytes that are durable; what comes after them is not ours to keep.
    length: u64,
    /// Bytes of the header: a segment with no more than that has no batch yet.
    header: u64,
    /// Whether something may come after the durable bytes.
    torn: bool,
}

impl SegmentFile {
    /// A new segment. It appears under its name only once its header is durable, so a crash leaves no half of one.
    pub(crate) fn create(
        directory: &Path,
        origin: &str,
        before: &Frontier,
    ) -> Result<Self, StoreError> {
        let header = SegmentHeader {
            origin: origin.to_owned(),
            before: before.clone(),
        }
        .to_bytes();
        let path = path_of(directory, before.size());
        let (temporary, mut file) = create_temporary(&path, 0o600)?;
        let made = file
            .write_all(&header)
            .and_then(|()| file.sync_all())
            .map_err(|error| StoreError::io("write", &temporary, error))
            .and_then(|()| put_in_place(&temporary, &path));
        if let Err(error) = made {
            // Swept when the log is opened next, if it cannot be removed now.
            drop(std::fs::remove_file(&temporary));
            return Err(error);
        }
        let length = u64::try_from(header.len()).unwrap_or(u64::MAX);
        Ok(Self {
            file,
            path,
            length,
            header: length,
            torn: false,
        })
    }

    /// An existing segment, cut back to `length`.
    pub(crate) fn open(
        directory: &Path,
        first: u64,
        header: u64,
        length: u64,
    ) -> Result<Self, StoreError> {
        let path = path_of(directory, first);
        let file = OpenOptions::new()
            .append(true)
            .custom_flags(no_follow())
            .open(&path)
            .map_err(|error| StoreError::io("open", &path, error))?;
        let mut segment = Self {
            file,
            path,
            length,
            header,
            torn: true,
        };
        let found = segment
            .file
            .metadata()
            .map_err(|error| StoreError::io("read", &segment.path, error))?;
        if found.len() == length {
            segment.torn = false;
        }
        segment.cut_back()?;
        Ok(segment)
    }

    /// Appends `bytes`, durable on return. What an earlier append left half-done is taken away first.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.cut_back()?;
        self.torn = true;
        self.file
            .write_all(bytes)
            .map_err(|error| StoreError::io("write", &self.path, error))?;
        self.file
            .sync_data()
            .map_err(|error| StoreError::io("sync", &self.path, error))?;
        let written = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(written);
        self.torn = false;
        Ok(())
    }

    /// Takes away whatever comes after the last durable append.
    pub(crate) fn cut_back(&mut self) -> Result<(), StoreError> {
        if self.torn {
            self.file
                .set_len(self.length)
                .and_then(|()| self.file.sync_all())
                .map_err(|error| StoreError::io("cut back", &self.path, error))?;
            self.torn = false;
        }
        Ok(())
    }

    /// Whether the next batch belongs in a new segment.
    pub(crate) fn is_full(&self, limit: u64) -> bool {
        self.length >= limit && self.length > self.header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_segments() {
        assert_eq!(first_of("segment-00000000000000000042"), Some(42));
        for name in [
            "segment-42",
            "segment-0000000000000000004x",
            "segment-+0000000000000000042",
            ".segment-00000000000000000042.1.1.tmp",
            "segment-99999999999999999999",
        ] {
            assert_eq!(first_of(name), None, "{name}");
        }
    }
}
