//! The pattern of a ticket's number: a closed, anchored subset of regular expressions that is matched in bounded time.
//!
//! ```text
//! pattern = "^" 1*( atom [ count ] ) "$"
//! atom    = letter / digit / "-" / "_" / "/" / "#" / "\." / class
//! class   = "[" 1*( char / char "-" char ) "]"     char: letter, digit, "_", "/", "#", "."; "-" only at the end
//! count   = "?" / "*" / "+" / "{" n "}" / "{" n "," m "}"      n, m at most 64
//! ```
//!
//! All of it is ASCII. There is no alternation, no group and no backtracking: what is reached so far is a set of positions, kept as bits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest pattern, and the longest ticket: positions fit the bits of a `u128`.
pub(crate) const MAX_BYTES: usize = 64;
/// The largest count. More than a ticket has characters means the same as that many.
const MAX_COUNT: u32 = 64;

/// A parsed pattern.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TicketPattern {
    text: String,
    atoms: Vec<Atom>,
}

/// One atom: which ASCII characters, as bits, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Atom {
    chars: u128,
    least: u32,
    most: u32,
}

/// Why a text is not a ticket pattern.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not a ticket pattern such as `^[A-Z]{{2,10}}-[0-9]+$`: {0}")]
pub struct ParseTicketPatternError(&'static str);

impl TicketPattern {
    /// Whether the whole of `text` is such a ticket.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        if text.len() > MAX_BYTES || !text.is_ascii() {
            return false;
        }
        let mut reached: u128 = 1;
        for atom in &self.atoms {
            // The positions from which one more character of this atom can be taken.
            let here = text
                .bytes()
                .enumerate()
                .filter(|(_, byte)| atom.chars & bit(*byte) != 0)
                .fold(0u128, |set, (at, _)| set | shifted(1, at));
            let mut current = reached;
            let mut after = if atom.least == 0 { reached } else { 0 };
            for taken in 1..=atom.most {
                current = (current & here) << 1;
                if taken >= atom.least {
                    after |= current;
                }
            }
            reached = after;
        }
        reached & shifted(1, text.len()) != 0
    }

    /// Whether some word of `text` is such a ticket. Words end at white space and at `,` `;` `:` `(` `)` `"`.
    #[must_use]
    pub fn is_named_in(&self, text: &str) -> bool {
        let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '(' | ')' | '"');
        text.split(ends)
            .any(|word| self.matches(word) || self.matches(word.trim_end_matches('.')))
    }
}

/// The bit of an ASCII character; none for other bytes.
fn bit(byte: u8) -> u128 {
    if byte.is_ascii() {
        shifted(1, usize::from(byte))
    } else {
        0
    }
}

fn shifted(set: u128, by: usize) -> u128 {
    u32::try_from(by)
        .ok()
        .and_then(|by| set.checked_shl(by))
        .unwrap_or(0)
}

impl FromStr for TicketPattern {
    type Err = ParseTicketPatternError;

    fn from_str(text: &str) -> Result<Self, ParseTicketPatternError> {
        let wrong = |why: &'static str| Err(ParseTicketPatternError(why));
        if text.len() > MAX_BYTES {
            return wrong("it is longer than 64 bytes");
        }
        let Some(inner) = text
            .strip_prefix('^')
            .and_then(|rest| rest.strip_suffix('$'))
        else {
            return wrong("it has to begin with `^` and end with `$`");
        };
        let mut rest = inner.as_bytes();
        let mut atoms = Vec::new();
        while !rest.is_empty() {
            let (chars, after) = atom(rest).map_err(ParseTicketPatternError)?;
            let (least, most, after) = count(after).map_err(ParseTicketPatternError)?;
            atoms.push(Atom { chars, least, most });
            rest = after;
        }
        if atoms.iter().all(|atom| atom.least == 0) {
            return wrong("it would be met by nothing at all");
        }
        Ok(Self {
            text: text.to_owned(),
            atoms,
        })
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'#')
}

fn atom(text: &[u8]) -> Result<(u128, &[u8]), &'static str> {
    match text {
        [b'[', rest @ ..] => class(rest),
        [b'\\', b'.', rest @ ..] => Ok((bit(b'.'), rest)),
        [b'-', rest @ ..] => Ok((bit(b'-'), rest)),
        [plain, rest @ ..] if is_plain(*plain) => Ok((bit(*plain), rest)),
        _ => Err("only letters, digits, `-`, `_`, `/`, `#`, `\\.` and classes such as `[A-Z]`"),
    }
}

/// What follows `[`, up to and with `]`.
fn class(mut text: &[u8]) -> Result<(u128, &[u8]), &'static str> {
    let member = |byte: u8| is_plain(byte) || byte == b'.';
    let mut chars = 0;
    loop {
        match text {
            [b']', rest @ ..] if chars != 0 => return Ok((chars, rest)),
            [b'-', b']', rest @ ..] => return Ok((chars | bit(b'-'), rest)),
            [from, b'-', to, rest @ ..] if *to != b']' => {
                let alike = (from.is_ascii_digit() && to.is_ascii_digit())
                    || (from.is_ascii_uppercase() && to.is_ascii_uppercase())
                    || (from.is_ascii_lowercase() && to.is_ascii_lowercase());
                if !alike || from > to {
                    return Err("a range has to be of digits or of letters of one case");
                }
                for byte in *from..=*to {
                    chars |= bit(byte);
                }
                text = rest;
            }
            [one, rest @ ..] if member(*one) => {
                chars |= bit(*one);
                text = rest;
            }
            _ => return Err("a class is empty, not closed, or holds something else"),
        }
    }
}

/// The count after an atom, one where there is none.
fn count(text: &[u8]) -> Result<(u32, u32, &[u8]), &'static str> {
    let (least, most, rest) = match text {
        [b'?', rest @ ..] => (0, 1, rest),
        [b'*', rest @ ..] => (0, MAX_COUNT, rest),
        [b'+', rest @ ..] => (1, MAX_COUNT, rest),
        [b'{', rest @ ..] => {
            let (least, rest) = number(rest)?;
            match rest {
                [b'}', rest @ ..] => (least, least, rest),
                [b',', rest @ ..] => match number(rest)? {
                    (most, [b'}', rest @ ..]) => (least, most, rest),
                    _ => return Err("a count is not closed"),
                },
                _ => return Err("a count is not closed"),
            }
        }
        rest => (1, 1, rest),
    };
    if most == 0 || least > most || most > MAX_COUNT {
        return Err("a count is none, upside down, or over 64");
    }
    Ok((least, most, rest))
}

fn number(text: &[u8]) -> Result<(u32, &[u8]), &'static str> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (own, rest) = text.split_at_checked(digits).unwrap_or((&[], text));
    let value = std::str::from_utf8(own)
        .ok()
        .and_then(|own| own.parse().ok());
    value
        .map(|value| (value, rest))
        .ok_or("a count has no number")
}

impl TryFrom<String> for TicketPattern {
    type Error = ParseTicketPatternError;

    fn try_from(text: String) -> Result<Self, ParseTicketPatternError> {
        text.parse()
    }
}

impl From<TicketPattern> for String {
    fn from(pattern: TicketPattern) -> String {
        pattern.text
    }
}

impl fmt::Display for TicketPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TicketPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> TicketPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_ticket_is_matched_whole() {
        let jira = pattern("^[A-Z]{2,10}-[0-9]+$");
        for good in ["FIN-1", "AB-123456", "ABCDEFGHIJ-0"] {
            assert!(jira.matches(good), "{good}");
        }
        for bad in [
            "",
            "F-1",
            "FIN-",
            "fin-1",
            "FIN-1x",
            " FIN-1",
            "ABCDEFGHIJK-1",
            "FIN-١",
        ] {
            assert!(!jira.matches(bad), "{bad}");
        }
        assert!(pattern(r"^INC[0-9]{7}\.?[a-c_-]*$").matches("INC0012345.a-b_"));
        assert!(pattern("^a*a{2}$").matches("aaaa"));
    }

    #[test]
    fn a_ticket_is_found_as_a_word() {
        let jira = pattern("^[A-Z]{2,10}-[0-9]+$");
        assert!(jira.is_named_in("quarter end (FIN-123): rows of Q3"));
        assert!(jira.is_named_in("as said in FIN-123."));
        assert!(!jira.is_named_in("xFIN-123 or FIN-123x"));
    }

    #[test]
    fn what_is_not_of_the_grammar_is_refused() {
        for text in [
            "",
            "^$",
            "[A-Z]",
            "^(a|b)$",
            "^.*$",
            "^a|b$",
            r"^\d+$",
            "^[^a]$",
            "^[]$",
            "^[a$",
            "^[z-a]$",
            "^[A-z]$",
            "^a{0}$",
            "^a{3,2}$",
            "^a{65}$",
            "^a{99999999999}$",
            "^a{,2}$",
            "^a{2$",
            "^a??$",
            "^*$",
            "^a*$",
            "^é$",
            "^[é]$",
        ] {
            assert!(text.parse::<TicketPattern>().is_err(), "{text}");
        }
        assert!(
            format!("^{}$", "a".repeat(63))
                .parse::<TicketPattern>()
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_matched_without_harm(text in "\\PC{0,40}", word in "\\PC{0,80}") {
            if let Ok(pattern) = text.parse::<TicketPattern>() {
                let _found = pattern.is_named_in(&word);
                prop_assert_eq!(pattern.to_string(), text);
            }
        }

        #[test]
        fn a_run_of_letters_is_counted(least in 1usize..8, more in 0usize..8, len in 0usize..20) {
            let most = least + more;
            let pattern = pattern(&format!("^[a-z]{{{least},{most}}}$"));
            prop_assert_eq!(pattern.matches(&"x".repeat(len)), (least..=most).contains(&len));
        }
    }
}
