//! Patterns of a URL's path: the segments and stars of [`PathPattern`](super::PathPattern) in the encoding of RFC 3986.

use std::fmt;

use super::text::{Token, decode_url, encode_url_into};
use super::{PatternError, Segment, covers_from, parse_tokens, write_segments};

/// A pattern of paths of a URL, such as `/v1/**`; one without `*` names exactly one path.
///
/// Servers and what stands before them decode paths at different times. A path that they could take for another one is
/// refused here, so that no pattern covers it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UrlPattern(Vec<Segment>);

impl UrlPattern {
    /// Reads the canonical text of a pattern.
    ///
    /// # Errors
    /// When the text breaks the grammar, is not canonically encoded, or is one that servers read in different ways.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let tokens = decode_url(text)?;
        let segments = parse_tokens(&tokens)?;
        let ambiguous = tokens
            .split(|token| *token == Token::Byte(b'/'))
            .any(is_ambiguous);
        if ambiguous {
            Err(PatternError::Ambiguous)
        } else {
            Ok(Self(segments))
        }
    }

    /// Whether the pattern has no `*`, and so names one path.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.0
            .iter()
            .all(|segment| matches!(segment, Segment::Glob(parts) if parts.len() == 1))
    }

    /// Whether everything that `other` covers, this pattern covers. Never wrongly yes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        covers_from(&self.0, &other.0)
    }
}

/// Whether some server reads the segment otherwise: dots before parameters, which some cut off before they look at the dots, or
/// an escape of an escape, which a second decoding turns into another byte.
fn is_ambiguous(segment: &[Token]) -> bool {
    let dots = segment
        .split(|token| *token == Token::Byte(b';'))
        .next()
        .is_some_and(|name| {
            name.len() < segment.len()
                && (1..=2).contains(&name.len())
                && name.iter().all(|token| *token == Token::Byte(b'.'))
        });
    dots || segment.windows(3).any(|window| match window {
        [Token::Byte(b'%'), Token::Byte(high), Token::Byte(low)] => {
            high.is_ascii_hexdigit() && low.is_ascii_hexdigit()
        }
        _ => false,
    })
}

impl fmt::Display for UrlPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_segments(f, &self.0, encode_url_into)
    }
}

impl fmt::Debug for UrlPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
