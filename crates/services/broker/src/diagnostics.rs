//! The broker's own diagnostics: what happens to it, a line each, in a file that never grows beyond its bound.
//!
//! Nothing here is the record: no content, token, key or name of a file goes in. A disk that is full costs lines and nothing else.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use valetkey_model::Timestamp;

/// A file that has grown to this is put aside: some thousand lines, enough for a month of ordinary life.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Files that are kept beside the one that is written.
const GENERATIONS: u32 = 3;
/// A line is cut here, so that no peer's words fill the file.
const LINE_BYTES_MAX: usize = 512;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// As the journal reads it at the beginning of a line (`sd-daemon(3)`).
    fn priority(self) -> u8 {
        match self {
            Self::Info => 6,
            Self::Warning => 4,
            Self::Error => 3,
        }
    }
}

/// Where the lines go.
#[derive(Debug)]
pub(crate) struct Diagnostics {
    directory: PathBuf,
    file_bytes_max: u64,
    journal: bool,
    refused: AtomicU64,
    writing: Mutex<Writing>,
}

#[derive(Debug, Default)]
struct Writing {
    /// None while the file cannot be opened; it is tried again with each line.
    file: Option<(File, u64)>,
    last_error: Option<String>,
}

impl Diagnostics {
    /// Writes below `directory`, and to the journal if this process's standard error leads there.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self::with_bound(directory, FILE_BYTES_MAX, is_journal())
    }

    fn with_bound(directory: PathBuf, file_bytes_max: u64, journal: bool) -> Self {
        Self {
            directory,
            file_bytes_max,
            journal,
            refused: AtomicU64::new(0),
            writing: Mutex::default(),
        }
    }

    /// The file that is written.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("valetkeyd.log")
    }

    /// Something that is as it should be.
    pub(crate) fn info(&self, what: impl Display) {
        self.line(Level::Info, &what.to_string());
    }

    /// Something went wrong.
    pub(crate) fn error(&self, what: impl Display) {
        self.line(Level::Error, &what.to_string());
    }

    /// A peer was turned away. It is told of in sums, at 1, 2, 4, 8 and so on, so that no number of peers fills the file.
    pub(crate) fn refused_peer(&self, why: impl Display) {
        let count = self
            .refused
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if count.is_power_of_two() {
            self.line(
                Level::Warning,
                &format!("peers turned away since the start: {count}; the last: {why}"),
            );
        }
    }

    /// The last error, with its time.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    fn line(&self, level: Level, what: &str) {
        let mut text = format!("{} {} {}", now(), level.name(), in_one_line(what));
        let mut writing = self.lock();
        if level == Level::Error {
            writing.last_error = Some(text.clone());
        }
        if self.journal {
            // The journal may be gone; there is nobody else to tell.
            drop(writeln!(io::stderr(), "<{}>{text}", level.priority()));
        }
        text.push('\n');
        // A full or broken disk costs this line. The broker's work does not depend on it, and `status` still knows the last error.
        if self.write(&mut writing, text.as_bytes()).is_err() {
            writing.file = None;
        }
    }

    fn write(&self, writing: &mut Writing, line: &[u8]) -> io::Result<()> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let full = |size: u64| size.saturating_add(length) > self.file_bytes_max;
        if writing.file.as_ref().is_some_and(|(_, size)| full(*size)) {
            writing.file = None;
            self.put_aside()?;
        }
        if writing.file.is_none() {
            let mut opened = self.open()?;
            if full(opened.1) {
                self.put_aside()?;
                opened = self.open()?;
            }
            writing.file = Some(opened);
        }
        let Some((file, size)) = writing.file.as_mut() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        file.write_all(line)?;
        *size = size.saturating_add(length);
        Ok(())
    }

    fn open(&self) -> io::Result<(File, u64)> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        let file = File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.path())?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    /// Moves each file one generation on; the oldest is overwritten.
    fn put_aside(&self) -> io::Result<()> {
        for number in (0..GENERATIONS).rev() {
            let from = self.generation(number);
            let to = self.generation(number.saturating_add(1));
            match fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn generation(&self, number: u32) -> PathBuf {
        match number {
            0 => self.path(),
            number => self.directory.join(format!("valetkeyd.log.{number}")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock on the wall, as whoever reads these lines has it on theirs.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Text that stays one line and steers no terminal, cut to a bearable length.
fn in_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LINE_BYTES_MAX));
    for character in text.chars() {
        if line.len().saturating_add(character.len_utf8()) > LINE_BYTES_MAX {
            line.push('…');
            break;
        }
        line.push(if character.is_control() {
            ' '
        } else {
            character
        });
    }
    line
}

/// Whether standard error is the journal's stream, as the manager says by device and inode.
fn is_journal() -> bool {
    let said = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let Some((device, inode)) = said.split_once(':') else {
        return false;
    };
    fs::metadata(Path::new("/proc/self/fd/2"))
        .is_ok_and(|stderr| device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .expect("read")
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_file_and_its_generations_stay_within_their_bound() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("diagnostics");
        let diagnostics = Diagnostics::with_bound(directory.clone(), 1000, false);
        for number in 0..500 {
            diagnostics.info(format!("line {number}"));
        }
        assert_eq!(
            names(&directory),
            [
                "valetkeyd.log",
                "valetkeyd.log.1",
                "valetkeyd.log.2",
                "valetkeyd.log.3"
            ]
        );
        for name in names(&directory) {
            let size = fs::metadata(directory.join(name)).expect("size").len();
            assert!(size <= 1000, "{size}");
        }
        let last = fs::read_to_string(diagnostics.path()).expect("read");
        assert!(last.ends_with("info line 499\n"), "{last}");
        // The next process goes on where this one stopped.
        let next = Diagnostics::with_bound(directory, 1000, false);
        next.info("once more");
        let text = fs::read_to_string(next.path()).expect("read");
        assert!(text.ends_with("info once more\n"), "{text}");
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_nothing_else_happens() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("diagnostics");
        fs::write(&directory, "in the way").expect("write");
        let diagnostics = Diagnostics::with_bound(directory.clone(), 1000, false);
        diagnostics.error("the disk is full");
        let known = diagnostics.last_error().expect("the last error");
        assert!(known.ends_with("error the disk is full"), "{known}");
        fs::remove_file(&directory).expect("make room");
        diagnostics.info("there is room again");
        let text = fs::read_to_string(diagnostics.path()).expect("read");
        assert!(text.ends_with("info there is room again\n"), "{text}");
    }

    #[test]
    fn a_full_disk_costs_lines_and_no_more() {
        let home = tempfile::tempdir().expect("a directory");
        let diagnostics = Diagnostics::with_bound(home.path().to_path_buf(), 1000, false);
        // Every write to it fails with ENOSPC.
        std::os::unix::fs::symlink("/dev/full", diagnostics.path()).expect("link");
        for number in 0..100 {
            diagnostics.error(number);
        }
        assert!(
            diagnostics
                .last_error()
                .is_some_and(|last| last.ends_with(" 99"))
        );
    }

    #[test]
    fn a_peer_writes_no_second_line_and_no_long_one() {
        let home = tempfile::tempdir().expect("a directory");
        let diagnostics = Diagnostics::with_bound(home.path().to_path_buf(), 100_000, false);
        diagnostics.error(format!("a\nb\u{1b}[2J{}", "x".repeat(10_000)));
        let text = fs::read_to_string(diagnostics.path()).expect("read");
        assert_eq!(text.lines().count(), 1);
        assert!(text.len() < 700 && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn peers_that_were_turned_away_are_told_of_in_sums() {
        let home = tempfile::tempdir().expect("a directory");
        let diagnostics = Diagnostics::with_bound(home.path().to_path_buf(), 100_000, false);
        for _ in 0..1000 {
            diagnostics.refused_peer("another user");
        }
        let text = fs::read_to_string(diagnostics.path()).expect("read");
        assert_eq!(text.lines().count(), 10, "{text}");
        assert!(text.contains("since the start: 512; the last: another user"));
    }
}
