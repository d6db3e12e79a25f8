//! Many patterns asked at once: a path is taken apart once, and only patterns that share a segment with it are tried.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{PathPattern, Segment, glob_matches, matches_from, segments_of};

/// A set of patterns that answers whether any of them covers a path, exactly as each would by itself.
///
/// Every pattern but `/` and `/**` has a segment that each path which it covers must have too. By that segment the patterns are filed, and marks
/// say at once of most segments that nothing is filed by them.
#[derive(Clone, Debug, Default)]
pub struct PatternSet {
    /// Patterns with a segment without `*`, by the last such segment.
    by_name: HashMap<Vec<u8>, Vec<PathPattern>>,
    /// What of their names is marked: see [`kind_of`].
    names: Marks,
    /// Patterns whose segments all hold a `*`, by how the last of them begins: most begin otherwise than a given name.
    by_start: HashMap<u8, Vec<Globbed>>,
    starts: Marks,
    /// The same where it begins with a `*`, by how it ends.
    by_end: HashMap<u8, Vec<Globbed>>,
    ends: Marks,
    /// The same where it begins and ends with a `*`.
    by_glob: Vec<Globbed>,
    /// Patterns that need no segment.
    others: Vec<PathPattern>,
}

/// A pattern and a segment of it.
#[derive(Clone, Debug)]
struct Globbed {
    segment: Vec<Vec<u8>>,
    pattern: PathPattern,
}

impl Globbed {
    fn covers(&self, segment: &[u8], path: &[&[u8]]) -> bool {
        glob_matches(&self.segment, segment) && matches_from(&self.pattern.0, path)
    }
}

/// Bytes that occur.
#[derive(Clone, Copy, Debug, Default)]
struct Marks([u64; 4]);

impl Marks {
    fn mark(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    fn has(&self, byte: u8) -> bool {
        let word = self.0.get(usize::from(byte >> 6));
        word.is_some_and(|word| word & (1 << (byte & 63)) != 0)
    }
}

/// A byte that equal names have in common, and few others.
fn kind_of(name: &[u8]) -> u8 {
    let first = name.first().copied().unwrap_or_default();
    let last = name.last().copied().unwrap_or_default();
    let [length, ..] = name.len().to_le_bytes();
    first.rotate_left(3) ^ last ^ length.rotate_left(5)
}

impl PatternSet {
    /// Whether one of the patterns covers the absolute, normal `path`. A path that is not normal is covered by nothing.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        let Ok(segments) = segments_of(path.as_os_str().as_bytes()) else {
            return false;
        };
        let covers = |pattern: &PathPattern| matches_from(&pattern.0, &segments);
        self.others.iter().any(covers)
            || segments
                .iter()
                .any(|&segment| self.matches_by(segment, &segments))
    }

    /// Whether a pattern covers the path that is filed by something that this segment of it fits.
    fn matches_by(&self, segment: &[u8], path: &[&[u8]]) -> bool {
        let filed = |files: &HashMap<u8, Vec<Globbed>>, marks: &Marks, byte: Option<&u8>| {
            let byte = byte.filter(|byte| marks.has(**byte));
            let found = byte.and_then(|byte| files.get(byte)).into_iter().flatten();
            found
                .into_iter()
                .any(|globbed| globbed.covers(segment, path))
        };
        let is_named = || {
            self.by_name
                .get(segment)
                .into_iter()
                .flatten()
                .any(|pattern| matches_from(&pattern.0, path))
        };
        (self.names.has(kind_of(segment)) && is_named())
            || filed(&self.by_start, &self.starts, segment.first())
            || filed(&self.by_end, &self.ends, segment.last())
            || self
                .by_glob
                .iter()
                .any(|globbed| globbed.covers(segment, path))
    }

    fn add(&mut self, pattern: PathPattern) {
        let globs = || {
            pattern.0.iter().rev().filter_map(|segment| match segment {
                Segment::Glob(parts) => Some(parts),
                Segment::Tree => None,
            })
        };
        let name = globs().find_map(|parts| match parts.as_slice() {
            [name] => Some(name.clone()),
            _ => None,
        });
        let glob = globs().next().cloned();
        match (name, glob) {
            (Some(name), _) => {
                self.names.mark(kind_of(&name));
                self.by_name.entry(name).or_default().push(pattern);
            }
            (None, Some(segment)) => {
                let start = segment.first().and_then(|part| part.first()).copied();
                let end = segment.last().and_then(|part| part.last()).copied();
                let place = match (start, end) {
                    (Some(start), _) => {
                        self.starts.mark(start);
                        self.by_start.entry(start).or_default()
                    }
                    (None, Some(end)) => {
                        self.ends.mark(end);
                        self.by_end.entry(end).or_default()
                    }
                    (None, None) => &mut self.by_glob,
                };
                place.push(Globbed { segment, pattern });
            }
            (None, None) => self.others.push(pattern),
        }
    }
}

impl FromIterator<PathPattern> for PatternSet {
    fn from_iter<I: IntoIterator<Item = PathPattern>>(patterns: I) -> Self {
        let mut set = Self::default();
        patterns.into_iter().for_each(|pattern| set.add(pattern));
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The set answers as its patterns do one by one: no path slips through by the way it is filed.
        #[test]
        fn a_set_answers_as_its_patterns_do(
            patterns in proptest::collection::vec("(/(\\*\\*|a|b|a\\*|\\*b|\\*|ab|\\*a\\*|a\\*b)){1,4}|/", 0..6),
            path in "(/(a|b|ab|aab|c)){1,5}|/|/a/../b|a/b|/a//b",
        ) {
            let patterns: Vec<PathPattern> = patterns
                .iter()
                .filter_map(|text| PathPattern::parse(text).ok())
                .collect();
            let path = Path::new(&path);
            let one_by_one = patterns.iter().any(|pattern| pattern.matches(path));
            let set: PatternSet = patterns.into_iter().collect();
            prop_assert_eq!(set.matches(path), one_by_one);
        }
    }
}
