//! Upper case, character by character, and which characters are in dispute.

use super::PathRefusal;

/// A character's upper case where its pair is beyond dispute: each leads to the other. Of the others it is only the final sigma that is
/// folded, since all file systems at hand agree on it.
///
/// # Errors
/// [`PathRefusal::Disputed`] for letters such as `ı`, `ſ`, `µ` or the Kelvin sign, whose folding depends on version and format.
pub(super) fn upper(c: char) -> Result<Folded, PathRefusal> {
    let disputed = Err(PathRefusal::Disputed(u32::from(c)));
    if c == 'ς' {
        return Ok(Folded::To('Σ'));
    }
    let Some(up) = single(c.to_uppercase()) else {
        return Ok(Folded::Several);
    };
    if up == c {
        return match single(c.to_lowercase()) {
            Some(down) if down == c || single(down.to_uppercase()) == Some(c) => Ok(Folded::To(c)),
            _ => disputed,
        };
    }
    if single(up.to_lowercase()) == Some(c) {
        Ok(Folded::To(up))
    } else {
        disputed
    }
}

/// What a character's upper case is.
pub(super) enum Folded {
    /// One character.
    To(char),
    /// More than one, as of `ß`: whoever folds one by one leaves it.
    Several,
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    match (chars.next(), chars.next()) {
        (Some(c), None) => Some(c),
        _ => None,
    }
}
