//! Again whenever a file of the bundles changes.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::fail::Fail;
use crate::out::{self, Style, styled};

/// How often the files are looked at.
const PAUSE: Duration = Duration::from_millis(300);
/// How many files are looked at.
const MAX_FILES: usize = 4096;

/// Runs, and runs again after each change, until the program is ended.
pub(super) fn run(paths: &[PathBuf], round: impl Fn() -> Result<u8, Fail>) -> Result<u8, Fail> {
    loop {
        let before = seen(paths);
        // What does not load now may load after the next change.
        if let Err(fail) = round() {
            fail.print();
        }
        out::line(&styled(Style::Dim, "waiting for a change"));
        while seen(paths) == before {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Every file with its size and time.
fn seen(paths: &[PathBuf]) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = paths.to_vec();
    while let Some(path) = waiting.pop() {
        let Ok(meta) = std::fs::metadata(&path) else {
            continue;
        };
        if meta.is_dir() {
            waiting.extend(names(&path));
        } else if found.len() < MAX_FILES {
            found.push((path, meta.len(), meta.modified().ok()));
        }
    }
    found.sort();
    found
}

fn names(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
