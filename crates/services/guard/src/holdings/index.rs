//! Finding the capabilities that can speak of a path among thousands.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use super::Held;

/// Capabilities for files by the directory or file below which all that they speak of lies; the others in a list.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_prefix: HashMap<Box<[u8]>, Vec<Arc<Held>>>,
    others: Vec<Arc<Held>>,
}

impl Index {
    pub(super) fn insert(&mut self, held: Arc<Held>) {
        match held
            .pattern()
            .map(valetkey_model::PathPattern::literal_prefix)
        {
            Some(prefix) => {
                let key = prefix.as_os_str().as_bytes().into();
                self.by_prefix.entry(key).or_default().push(held);
            }
            None => self.others.push(held),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Held>> {
        self.others.iter().chain(self.by_prefix.values().flatten())
    }

    /// Those that can speak of `path`: filed under it or under a directory above it, the widest first.
    pub(super) fn for_path<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Arc<Held>> {
        prefixes(path.as_os_str().as_bytes())
            .filter_map(|prefix| self.by_prefix.get(prefix))
            .flatten()
    }

    /// Takes out those that `goes` names.
    pub(super) fn extract(&mut self, goes: impl Fn(&Held) -> bool) -> Vec<Arc<Held>> {
        let mut out: Vec<Arc<Held>> = self.others.extract_if(.., |held| goes(held)).collect();
        for held in self.by_prefix.values_mut() {
            out.extend(held.extract_if(.., |held| goes(held)));
        }
        self.by_prefix.retain(|_, held| !held.is_empty());
        out
    }
}

/// `/`, `/a`, `/a/b` and so on for `/a/b/c`, and the path itself.
fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let root = path.get(..1).filter(|root| *root == b"/");
    let slashes = path
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| **byte == b'/');
    let above = slashes.filter_map(|(at, _)| path.get(..at));
    let whole = (path.len() > 1).then_some(path);
    root.into_iter().chain(above).chain(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_above_a_path_is_asked_once() {
        let of = |path: &'static str| -> Vec<&str> {
            let found = prefixes(path.as_bytes());
            found
                .map(|part| std::str::from_utf8(part).unwrap())
                .collect()
        };
        assert_eq!(of("/"), ["/"]);
        assert_eq!(of("/a"), ["/", "/a"]);
        assert_eq!(of("/a/bc/d"), ["/", "/a", "/a/bc", "/a/bc/d"]);
    }
}
