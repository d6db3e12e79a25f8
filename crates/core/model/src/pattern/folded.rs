//! Patterns under a platform's semantics: every spelling of a file is matched, or none.

use super::{PathPattern, PatternError, Segment, literal_segment, matches_from};
use crate::path::{CanonicalPath, PathRefusal, PathSemantics};

/// A pattern as a platform reads it. Made once, asked often.
#[derive(Clone, Debug)]
pub struct FoldedPattern {
    semantics: PathSemantics,
    segments: Vec<Segment>,
}

impl PathPattern {
    /// The pattern under a platform's semantics.
    ///
    /// # Errors
    /// When the pattern has a name that no file there has, or not surely one. Whoever asks for an exception must take that for a refusal of
    /// everything, never for "matches nothing".
    pub fn folded(&self, semantics: PathSemantics) -> Result<FoldedPattern, PathRefusal> {
        let mut segments = Vec::with_capacity(self.0.len());
        for (place, segment) in self.0.iter().enumerate() {
            segments.push(match segment {
                Segment::Tree => Segment::Tree,
                Segment::Glob(parts) => {
                    if let [name] = parts.as_slice() {
                        semantics.check_name(name, place == 0)?;
                    }
                    let keys = parts.iter().map(|part| semantics.key(part));
                    Segment::Glob(keys.collect::<Result<_, _>>()?)
                }
            });
        }
        let mut first = Vec::new();
        for segment in &segments {
            match segment {
                Segment::Glob(parts) if parts.len() == 1 => {
                    first.extend(parts.first().map(Vec::as_slice))
                }
                Segment::Glob(_) | Segment::Tree => break,
            }
        }
        if let Some((count, instead)) = semantics.alias(&first) {
            let instead = instead
                .iter()
                .map(|name| {
                    semantics
                        .key(name.as_bytes())
                        .map(|key| literal_segment(&key))
                })
                .collect::<Result<Vec<_>, _>>()?;
            segments.splice(..count, instead);
        }
        Ok(FoldedPattern {
            semantics,
            segments,
        })
    }

    /// Whether the pattern covers a path of a platform, whatever its spelling.
    ///
    /// # Errors
    /// When the path or the pattern is refused there; to be taken for a denial, of a grant and by an exception alike.
    pub fn matches_with(&self, semantics: PathSemantics, path: &[u8]) -> Result<bool, PathRefusal> {
        Ok(self.folded(semantics)?.matches(&semantics.canonical(path)?))
    }

    /// The pattern that names exactly the path of these names.
    pub(crate) fn of_names(names: &[Vec<u8>]) -> Result<Self, PatternError> {
        let mut path = Vec::new();
        for name in names {
            path.push(b'/');
            path.extend(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        let segments = super::segments_of(&path)?;
        Ok(Self(segments.into_iter().map(literal_segment).collect()))
    }
}

impl FoldedPattern {
    /// Whether it covers the path. A path of another platform is covered by nothing.
    #[must_use]
    pub fn matches(&self, path: &CanonicalPath) -> bool {
        path.semantics() == self.semantics && matches_from(&self.segments, &path.key_segments())
    }
}
