//! Many patterns asked at once: a path is taken apart once, and only patterns that share a segment with it are tried.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{PathPattern, Segment, glob_matches, matches_from, segments_of};

/// A set of patterns that answers whether any of them covers a path, exactly as each would by itself.
///
/// Every pattern but `/` and `/**` has a segment that each path which it covers must have too. By that segment the patterns are filed.
#[derive(Clone, Debug, Default)]
pub struct PatternSet {
    /// Patterns with a segment without `*`, by the last such segment.
    by_name: HashMap<Vec<u8>, Vec<PathPattern>>,
    /// Patterns whose segments all hold a `*`, by how the last of them begins: most begin otherwise than a given name.
    by_start: HashMap<u8, Vec<Globbed>>,
    /// The same where it begins with a `*`.
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

impl PatternSet {
    /// Whether one of the patterns covers the absolute, normal `path`. A path that is not normal is covered by nothing.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        let Ok(segments) = segments_of(path.as_os_str().as_bytes()) else {
            return false;
        };
        let covers = |pattern: &PathPattern| matches_from(&pattern.0, &segments);
        self.others.iter().any(covers)
            || segments.iter().any(|&segment| {
                let mut named = self.by_name.get(segment).into_iter().flatten();
                let started = segment.first().and_then(|start| self.by_start.get(start));
                let mut globbed = started.into_iter().flatten().chain(&self.by_glob);
                named.any(covers)
                    || globbed.any(|globbed| {
                        glob_matches(&globbed.segment, segment) && covers(&globbed.pattern)
                    })
            })
    }
}

impl FromIterator<PathPattern> for PatternSet {
    fn from_iter<I: IntoIterator<Item = PathPattern>>(patterns: I) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
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
                (Some(name), _) => set.by_name.entry(name).or_default().push(pattern),
                (None, Some(segment)) => {
                    let start = segment.first().and_then(|part| part.first()).copied();
                    let place = match start {
                        Some(start) => set.by_start.entry(start).or_default(),
                        None => &mut set.by_glob,
                    };
                    place.push(Globbed { segment, pattern });
                }
                (None, None) => set.others.push(pattern),
            }
        }
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
            patterns in proptest::collection::vec("(/(\\*\\*|a|b|a\\*|\\*b|\\*|ab)){1,4}|/", 0..6),
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
