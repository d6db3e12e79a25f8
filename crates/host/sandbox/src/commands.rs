//! The only commands that a cell executes, where somebody narrows them: where they lie, and what has to be executable beside them.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What programs and libraries are kept in. A library is no command, but has to be mapped as code.
const LIBRARIES: [&str; 5] = ["lib", "lib32", "lib64", "libx32", "libo32"];
/// How the kernel's loaders of programs begin.
const LOADERS: [&str; 4] = ["ld-linux", "ld-musl", "ld-2.", "ld.so"];

/// Files and directories in system directories, by their real paths; nothing beside them is executed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    pub(crate) places: Vec<PathBuf>,
    pub(crate) loaders: Vec<PathBuf>,
}

impl Commands {
    /// Finds each name on `path`; one with a `/` is a file or, for what programs start themselves, a directory.
    ///
    /// # Errors
    /// What is not there, or lies outside of the system directories.
    pub fn find(names: &[String], path: &OsStr, system_dirs: &[PathBuf]) -> Result<Self, String> {
        let mut found = Self {
            places: Vec::new(),
            loaders: loaders(),
        };
        for name in names {
            let real = if name.contains('/') {
                fs::canonicalize(name).ok()
            } else {
                let mut directories = std::env::split_paths(path);
                directories.find_map(|directory| {
                    let real = fs::canonicalize(directory.join(name)).ok()?;
                    // A directory is named by its path alone.
                    real.is_file().then_some(real)
                })
            };
            let real = real.ok_or_else(|| format!("there is no command `{name}`"))?;
            let is_system = system_dirs.iter().any(|directory| {
                fs::canonicalize(directory)
                    .is_ok_and(|directory| real.starts_with(&directory) && real != directory)
            });
            if !is_system {
                return Err(format!(
                    "`{name}` is {}, which is in no system directory",
                    real.display()
                ));
            }
            found.places.push(real);
        }
        found.places.sort();
        found.places.dedup();
        Ok(found)
    }

    /// Whether a system directory, or a part of one, holds libraries: it stays executable, so that they can be mapped.
    pub(crate) fn is_library(path: &Path) -> bool {
        path.file_name()
            .is_some_and(|name| LIBRARIES.iter().any(|library| name == *library))
    }

    /// The parts of system directories that hold libraries, where those themselves do not.
    pub(crate) fn libraries_in(directory: &Path) -> Vec<PathBuf> {
        let parts = LIBRARIES.iter().map(|name| directory.join(name));
        parts
            .filter(|part| fs::symlink_metadata(part).is_ok_and(|meta| meta.is_dir()))
            .collect()
    }
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands of the system alone", self.places.len())
    }
}

fn loaders() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let roots = ["/", "/usr"].map(Path::new);
    let tops = roots
        .iter()
        .flat_map(|root| LIBRARIES.iter().map(|name| root.join(name)));
    let mut directories: Vec<PathBuf> = tops.collect();
    // Where several architectures are installed, each has a directory.
    let below = directories
        .iter()
        .filter_map(|top| fs::read_dir(top).ok())
        .flatten()
        .flatten();
    let of_architectures: Vec<PathBuf> = below
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("-linux-"))
        .collect();
    directories.extend(of_architectures);
    for directory in directories {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if LOADERS
                .iter()
                .any(|loader| name.as_bytes().starts_with(loader.as_bytes()))
            {
                found.extend(
                    fs::canonicalize(entry.path())
                        .ok()
                        .filter(|path| path.is_file()),
                );
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_by_their_real_paths_in_system_directories_alone() {
        let path = OsStr::new("/nonexistent:/usr/bin:/bin");
        let dirs = crate::default_system_dirs();
        let find = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Commands::find(&names, path, &dirs)
        };
        let found = find(&["sh", "/bin/sh", "true"]).expect("found");
        assert_eq!(found.places.len(), 2);
        assert!(
            found
                .places
                .iter()
                .all(|place| fs::canonicalize(place).is_ok_and(|real| real == *place))
        );
        assert!(!found.loaders.is_empty());
        for bad in ["no-such-command", "/etc/passwd", "/usr", "/tmp", ""] {
            assert!(find(&[bad]).is_err(), "{bad}");
        }
    }
}
