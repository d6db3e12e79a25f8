//! Path patterns: absolute Linux paths whose segments may hold `*`, and `**` for any number of segments.
//!
//! Grammar, after decoding of `%XX`:
//!
//! ```text
//! pattern = "/" | 1*( "/" segment )
//! segment = "**"                      any number of segments, also none
//!         / 1*( "*" / byte )          "*" is any run of bytes within the segment, also none
//! ```
//!
//! A segment is never empty, `.` or `..`. `tree/**` covers `tree` itself and everything below. In text, bytes that could be
//! misread are percent-encoded in one way only (upper-case digits), so that every pattern has exactly one text.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use thiserror::Error;

mod folded;
mod set;
mod text;
mod url;

pub use folded::FoldedPattern;
pub use set::PatternSet;
use text::{Token, decode, encode_into};
pub use url::UrlPattern;

/// The longest pattern in bytes, decoded: Linux's `PATH_MAX`.
const MAX_PATH_BYTES: usize = 4096;
/// The longest segment in bytes, decoded: Linux's `NAME_MAX`.
const MAX_SEGMENT_BYTES: usize = 255;
/// `**` segments in one pattern: matching takes time in their number, and no sensible pattern has more.
const MAX_DOUBLE_STARS: usize = 4;

/// Why a text is not a path pattern.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// The path does not begin with `/`.
    #[error("the path is not absolute")]
    Relative,
    /// Two slashes in a row, or one at the end.
    #[error("the path has an empty segment (`//` or a `/` at the end)")]
    EmptySegment,
    /// A `.` or `..` segment.
    #[error("the path has a `.` or `..` segment")]
    DotSegment,
    /// A NUL byte.
    #[error("the path has a NUL byte")]
    Nul,
    /// `%` without two upper-case hexadecimal digits, an encoded byte that has a plain form, or a plain byte that must be encoded.
    #[error("the path is not in canonical encoding: byte {at} should be written another way")]
    Encoding {
        /// Offset of the byte in the text.
        at: usize,
    },
    /// Over 4096 bytes, or a segment over 255.
    #[error("the path is too long (4096 bytes, 255 in a segment)")]
    TooLong,
    /// In a URL: an encoded `/` or `\\`, an escape of an escape, or a dot segment with parameters (`..;x`).
    #[error(
        "the path has a segment that servers read in different ways: an encoded `/` or `\\`, an escape of an escape, or dots before `;`"
    )]
    Ambiguous,
    /// `**` beside other bytes in a segment, or too often.
    #[error("`**` must be a whole segment, at most {MAX_DOUBLE_STARS} times")]
    DoubleStar,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Segment {
    /// `**`.
    Tree,
    /// The bytes between the `*`s: one element is a literal.
    Glob(Vec<Vec<u8>>),
}

/// A parsed pattern; one without `*` names exactly one path.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPattern(Vec<Segment>);

impl PathPattern {
    /// The pattern that names exactly `path`, whatever bytes it holds.
    ///
    /// # Errors
    /// When the path is relative, too long, or has empty, `.` or `..` segments or a NUL byte.
    pub fn literal(path: &Path) -> Result<Self, PatternError> {
        Ok(Self(
            segments_of(path.as_os_str().as_bytes())?
                .into_iter()
                .map(literal_segment)
                .collect(),
        ))
    }

    /// The pattern for `path` and everything below it.
    ///
    /// # Errors
    /// As [`PathPattern::literal`].
    pub fn tree(path: &Path) -> Result<Self, PatternError> {
        let mut pattern = Self::literal(path)?;
        pattern.0.push(Segment::Tree);
        Ok(pattern)
    }

    /// Reads the canonical text of a pattern.
    ///
    /// # Errors
    /// When the text breaks the grammar or is not canonically encoded.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        parse_tokens(&decode(text)?).map(Self)
    }

    /// Whether the pattern has no `*`, and so names one path.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.0
            .iter()
            .all(|segment| matches!(segment, Segment::Glob(parts) if parts.len() == 1))
    }

    /// The path that a literal pattern names; for another, the longest prefix without a `*`.
    #[must_use]
    pub fn literal_prefix(&self) -> std::path::PathBuf {
        let mut bytes = Vec::new();
        for segment in &self.0 {
            match segment {
                Segment::Glob(parts) if parts.len() == 1 => {
                    bytes.push(b'/');
                    bytes.extend(parts.iter().flatten());
                }
                Segment::Glob(_) | Segment::Tree => break,
            }
        }
        if bytes.is_empty() {
            bytes.push(b'/');
        }
        Path::new(OsStr::from_bytes(&bytes)).to_path_buf()
    }

    /// For `tree/**` with a literal tree, whether that is the pattern's whole form.
    #[must_use]
    pub fn is_literal_tree(&self) -> bool {
        match self.0.split_last() {
            Some((Segment::Tree, rest)) => rest
                .iter()
                .all(|segment| matches!(segment, Segment::Glob(parts) if parts.len() == 1)),
            _ => false,
        }
    }

    /// Whether the pattern covers the absolute, normal `path`. A path that is not normal is covered by nothing.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        segments_of(path.as_os_str().as_bytes())
            .is_ok_and(|segments| matches_from(&self.0, &segments))
    }

    /// Whether some path strictly below the directory `path` could be covered.
    #[must_use]
    pub fn may_match_below(&self, path: &Path) -> bool {
        let Ok(segments) = segments_of(path.as_os_str().as_bytes()) else {
            return false;
        };
        let mut patterns = self.0.as_slice();
        for segment in segments {
            match patterns {
                [] => return false,
                [Segment::Tree, ..] => return true,
                [Segment::Glob(parts), rest @ ..] if glob_matches(parts, segment) => {
                    patterns = rest
                }
                [Segment::Glob(_), ..] => return false,
            }
        }
        !patterns.is_empty()
    }

    /// Whether everything that `other` covers, this pattern covers. Never wrongly yes; a rare yes may be missed where
    /// both hold `*` in one segment.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        covers_from(&self.0, &other.0)
    }
}

fn literal_segment(bytes: &[u8]) -> Segment {
    Segment::Glob(vec![bytes.to_vec()])
}

/// Splits an absolute path into its segments, refusing what is not in normal form.
pub(crate) fn segments_of(path: &[u8]) -> Result<Vec<&[u8]>, PatternError> {
    let rest = path.strip_prefix(b"/").ok_or(PatternError::Relative)?;
    if path.len() > MAX_PATH_BYTES {
        return Err(PatternError::TooLong);
    }
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    rest.split(|byte| *byte == b'/')
        .map(|segment| match segment {
            b"" => Err(PatternError::EmptySegment),
            b"." | b".." => Err(PatternError::DotSegment),
            long if long.len() > MAX_SEGMENT_BYTES => Err(PatternError::TooLong),
            bytes if bytes.contains(&0) => Err(PatternError::Nul),
            bytes => Ok(bytes),
        })
        .collect()
}

fn parse_tokens(tokens: &[Token]) -> Result<Vec<Segment>, PatternError> {
    if tokens.first() != Some(&Token::Byte(b'/')) {
        return Err(PatternError::Relative);
    }
    if tokens.len() > MAX_PATH_BYTES {
        return Err(PatternError::TooLong);
    }
    if tokens.len() == 1 {
        return Ok(Vec::new());
    }
    let segments = tokens
        .split(|token| *token == Token::Byte(b'/'))
        .skip(1)
        .map(parse_segment)
        .collect::<Result<Vec<_>, _>>()?;
    let stars = segments
        .iter()
        .filter(|segment| **segment == Segment::Tree)
        .count();
    if stars > MAX_DOUBLE_STARS {
        return Err(PatternError::DoubleStar);
    }
    Ok(segments)
}

fn parse_segment(tokens: &[Token]) -> Result<Segment, PatternError> {
    match tokens {
        [] => return Err(PatternError::EmptySegment),
        [Token::Star, Token::Star] => return Ok(Segment::Tree),
        [Token::Byte(b'.')] | [Token::Byte(b'.'), Token::Byte(b'.')] => {
            return Err(PatternError::DotSegment);
        }
        _ => {}
    }
    if tokens.len() > MAX_SEGMENT_BYTES {
        return Err(PatternError::TooLong);
    }
    if tokens
        .windows(2)
        .any(|pair| pair == [Token::Star, Token::Star])
    {
        return Err(PatternError::DoubleStar);
    }
    let parts = tokens
        .split(|token| *token == Token::Star)
        .map(|part| {
            part.iter()
                .filter_map(|token| match token {
                    Token::Byte(byte) => Some(*byte),
                    Token::Star => None,
                })
                .collect()
        })
        .collect();
    Ok(Segment::Glob(parts))
}

fn glob_matches(parts: &[Vec<u8>], segment: &[u8]) -> bool {
    let Some((first, rest)) = parts.split_first() else {
        return false;
    };
    let Some((last, middle)) = rest.split_last() else {
        return first == segment;
    };
    // An empty part is never compared: it may lie at no address, and comparing no bytes with those of none takes some processors very long.
    let mut inner = segment;
    if !first.is_empty() {
        let Some(left) = inner.strip_prefix(first.as_slice()) else {
            return false;
        };
        inner = left;
    }
    if !last.is_empty() {
        let Some(left) = inner.strip_suffix(last.as_slice()) else {
            return false;
        };
        inner = left;
    }
    for part in middle.iter().filter(|part| !part.is_empty()) {
        // The first byte by itself: a comparison for every window takes most of the time that decisions take.
        let Some(at) = inner
            .windows(part.len())
            .position(|window| window.first() == part.first() && window == part.as_slice())
        else {
            return false;
        };
        inner = inner.get(at.saturating_add(part.len())..).unwrap_or(&[]);
    }
    true
}

fn matches_from(patterns: &[Segment], path: &[&[u8]]) -> bool {
    match patterns {
        [] => path.is_empty(),
        [Segment::Tree] => true,
        [Segment::Tree, rest @ ..] => (0..=path.len()).any(|skip| {
            path.get(skip..)
                .is_some_and(|tail| matches_from(rest, tail))
        }),
        [Segment::Glob(parts), rest @ ..] => match path {
            [segment, tail @ ..] => glob_matches(parts, segment) && matches_from(rest, tail),
            [] => false,
        },
    }
}

fn covers_from(outer: &[Segment], inner: &[Segment]) -> bool {
    match (outer, inner) {
        ([], []) => true,
        ([Segment::Tree, rest @ ..], _) => (0..=inner.len()).any(|skip| {
            inner
                .get(skip..)
                .is_some_and(|tail| covers_from(rest, tail))
        }),
        ([Segment::Glob(parts), rest @ ..], [Segment::Glob(inner_parts), tail @ ..]) => {
            let covered = match inner_parts.as_slice() {
                [literal] => glob_matches(parts, literal),
                _ => parts == inner_parts || parts.iter().all(Vec::is_empty) && parts.len() > 1,
            };
            covered && covers_from(rest, tail)
        }
        ([], _) | ([Segment::Glob(_), ..], _) => false,
    }
}

/// Writes segments, their bytes as `encode` does.
fn write_segments(
    f: &mut fmt::Formatter<'_>,
    segments: &[Segment],
    encode: fn(&mut String, &[u8]),
) -> fmt::Result {
    if segments.is_empty() {
        return f.write_str("/");
    }
    for segment in segments {
        match segment {
            Segment::Tree => f.write_str("/**")?,
            Segment::Glob(parts) => {
                let mut text = String::from("/");
                for (index, part) in parts.iter().enumerate() {
                    if index > 0 {
                        text.push('*');
                    }
                    encode(&mut text, part);
                }
                f.write_str(&text)?;
            }
        }
    }
    Ok(())
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_segments(f, &self.0, encode_into)
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
