//! The project's files in memory, so that a check is a function from files to findings and a test can plant a violation.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Directories that are made, not written.
const NOT_OURS: [&str; 3] = ["target", ".git", "node_modules"];

/// Every text file by its path below the root, with `/` between the parts; and the paths of all others.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    texts: BTreeMap<String, String>,
    others: Vec<String>,
}

impl Tree {
    /// Reads the files below `root`.
    ///
    /// # Errors
    /// When a directory or file cannot be read.
    pub fn read(root: &Path) -> Result<Self, String> {
        let mut tree = Self::default();
        let mut waiting = vec![PathBuf::new()];
        while let Some(below) = waiting.pop() {
            let told = |error: io::Error| format!("{}: {error}", root.join(&below).display());
            for entry in fs::read_dir(root.join(&below)).map_err(told)? {
                let entry = entry.map_err(told)?;
                let name = entry.file_name();
                let path = below.join(&name);
                let kind = entry.file_type().map_err(told)?;
                if kind.is_dir() {
                    if !NOT_OURS.iter().any(|not| name == *not) {
                        waiting.push(path);
                    }
                } else if kind.is_file() {
                    tree.take(root, &path)?;
                }
            }
        }
        Ok(tree)
    }

    fn take(&mut self, root: &Path, path: &Path) -> Result<(), String> {
        let name = path.to_string_lossy().into_owned();
        let bytes = match fs::read(root.join(path)) {
            Ok(bytes) => bytes,
            // An editor's or a build's own file that went away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("{name}: {error}")),
        };
        match String::from_utf8(bytes) {
            Ok(text) => {
                self.texts.insert(name, text);
            }
            Err(_) => self.others.push(name),
        }
        Ok(())
    }

    /// A tree of these files.
    #[must_use]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let pair = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Self {
            texts: files.iter().map(pair).collect(),
            others: Vec::new(),
        }
    }

    /// The text files whose name ends so, in order.
    pub fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts().filter(move |(path, _)| path.ends_with(end))
    }

    /// All text files, in order.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text of one file.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether there is such a file, or a directory with files in it.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let within = |file: &str| {
            file.strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        path.is_empty()
            || self.texts.contains_key(path)
            || self
                .others
                .iter()
                .any(|other| other == path || within(other))
            || self.texts.keys().any(|file| within(file))
    }

    /// The directories of the crates, `crates/LAYER/NAME`, in order.
    #[must_use]
    pub fn crates(&self) -> Vec<&str> {
        self.texts
            .keys()
            .filter_map(|path| path.strip_suffix("/Cargo.toml"))
            .filter(|path| path.starts_with("crates/"))
            .collect()
    }
}
