//! Programs that are measured beside ours: found, or loudly missed.

use std::path::PathBuf;

/// A program on the search path; when it is missing, says so and how to get it.
#[must_use]
pub fn find(name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("**SKIPPED: `{name}` is not installed** (Debian: `apt-get install {package}`)\n");
    }
    found
}
