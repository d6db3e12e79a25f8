//! `glob.match`, as OPA has it: `*` stays within a part, `**` crosses parts, `?` is one character, `[a-c]` and `[!a-c]` are classes, `{a,b}`
//! alternatives, `\` takes the meaning of what follows.
//!
//! The engine's own reads some of these otherwise, so that this one is put in its place. Its work is bounded by the lengths of pattern and
//! text: each piece of the pattern is tried at each place of the text once.

use regorus::{Engine, Value};

/// The name, and how many arguments it takes.
pub(crate) const NAME: &str = "glob.match";
pub(crate) const ARGUMENTS: u8 = 3;
/// The longest pattern: a path.
const MAX_PATTERN_CHARS: usize = 4096;
/// The most pieces that a pattern is made of, alternatives multiplied out.
const MAX_PIECES: usize = 8192;
/// Pieces of a pattern times characters of a text: some milliseconds of work, since no clock looks in between.
const MAX_WORK: usize = 1 << 21;
/// How deep alternatives are nested.
const MAX_DEPTH: usize = 8;

/// Makes the function known to an engine.
///
/// # Errors
/// The engine's words, when it knows one already.
pub(crate) fn add_to(engine: &mut Engine) -> Result<(), String> {
    engine
        .add_extension(
            NAME.to_owned(),
            ARGUMENTS,
            Box::new(|arguments: Vec<Value>| match called(&arguments) {
                Ok(answer) => Ok(Value::from(answer)),
                Err(why) => Err(std::io::Error::other(why).into()),
            }),
        )
        .map_err(|error| error.to_string())
}

/// The answer for these arguments.
///
/// # Errors
/// When they are none, or too large.
pub(crate) fn called(arguments: &[Value]) -> Result<bool, String> {
    let [pattern, delimiters, text] = arguments else {
        return Err("glob.match takes three arguments".to_owned());
    };
    let text_of = |value: &Value, what: &str| {
        let text = value.as_string().map(|text| text.to_string());
        text.map_err(|_| format!("the {what} of glob.match is no text"))
    };
    let pattern = text_of(pattern, "pattern")?;
    let text = text_of(text, "text")?;
    let one = |delimiter: &Value| {
        let delimiter = text_of(delimiter, "delimiter")?;
        let mut chars = delimiter.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(c),
            _ => Err("a delimiter of glob.match is one character".to_owned()),
        }
    };
    let delimiters = if *delimiters == Value::Null {
        Vec::new()
    } else {
        let list = delimiters
            .as_array()
            .map_err(|_| "the delimiters of glob.match are a list or null")?;
        if list.is_empty() {
            vec!['.']
        } else {
            list.iter().map(one).collect::<Result<_, _>>()?
        }
    };
    Glob::parse(&pattern)?.matches(&text, &delimiters)
}

/// A pattern, read.
pub(crate) struct Glob {
    alternatives: Vec<Vec<Piece>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// This character.
    Char(char),
    /// One character that is no delimiter.
    One,
    /// Any number of characters that are no delimiters.
    Part,
    /// Any number of any characters.
    Parts,
    /// One of these characters and ranges, or none of them.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let chars: Vec<char> = text.chars().collect();
        if chars.len() > MAX_PATTERN_CHARS {
            return Err("the pattern of glob.match is too long".to_owned());
        }
        let mut at = 0;
        let alternatives = sequence(&chars, &mut at, 0)?;
        if at < chars.len() {
            return Err("the pattern of glob.match has a `}` too many".to_owned());
        }
        Ok(Self { alternatives })
    }

    /// Whether the whole text is of this pattern.
    ///
    /// # Errors
    /// When finding that out would take too long.
    pub(crate) fn matches(&self, text: &str, delimiters: &[char]) -> Result<bool, String> {
        let text: Vec<char> = text.chars().collect();
        let pieces: usize = self.alternatives.iter().map(Vec::len).sum();
        if pieces.saturating_mul(text.len()) > MAX_WORK {
            return Err("pattern and text of glob.match are too long together".to_owned());
        }
        let mut all = self.alternatives.iter();
        Ok(all.any(|pieces| fits(pieces, &text, delimiters)))
    }
}

/// Whether the pieces fit the whole text: after each piece, the places of the text that can have been reached.
fn fits(pieces: &[Piece], text: &[char], delimiters: &[char]) -> bool {
    let mut reached = vec![false; text.len().saturating_add(1)];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for piece in pieces {
        let mut next = vec![false; reached.len()];
        let mut within = false;
        for (place, (is_reached, becomes)) in reached.iter().zip(next.iter_mut()).enumerate() {
            let before = place.checked_sub(1).and_then(|at| text.get(at).copied());
            *becomes = match piece {
                Piece::Parts => {
                    within |= is_reached;
                    within
                }
                Piece::Part => {
                    within &= before.is_some_and(|c| !delimiters.contains(&c));
                    within |= is_reached;
                    within
                }
                Piece::Char(_) | Piece::One | Piece::Class { .. } => {
                    // What is reached by one character was reached at the place before it.
                    let came = std::mem::replace(&mut within, *is_reached);
                    came && before.is_some_and(|c| is_one(piece, c, delimiters))
                }
            };
        }
        if !next.contains(&true) {
            return false;
        }
        reached = next;
    }
    reached.last() == Some(&true)
}

fn is_one(piece: &Piece, c: char, delimiters: &[char]) -> bool {
    match piece {
        Piece::Char(own) => *own == c,
        Piece::One => !delimiters.contains(&c),
        Piece::Class { negated, ranges } => {
            ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
        }
        Piece::Part | Piece::Parts => false,
    }
}

/// Everything up to the end, or to the `,` or `}` of the alternatives around it, as lists of pieces.
fn sequence(chars: &[char], at: &mut usize, depth: usize) -> Result<Vec<Vec<Piece>>, String> {
    let mut found: Vec<Vec<Piece>> = vec![Vec::new()];
    let step = |at: &mut usize| *at = at.saturating_add(1);
    while let Some(c) = chars.get(*at).copied() {
        if depth > 0 && matches!(c, ',' | '}') {
            break;
        }
        if depth == 0 && c == '}' {
            break;
        }
        step(at);
        let piece = match c {
            '*' if chars.get(*at) == Some(&'*') => {
                while chars.get(*at) == Some(&'*') {
                    step(at);
                }
                Piece::Parts
            }
            '*' => Piece::Part,
            '?' => Piece::One,
            '[' => class(chars, at)?,
            '\\' => {
                let escaped = chars.get(*at).copied();
                step(at);
                Piece::Char(escaped.ok_or("the pattern of glob.match ends with `\\`")?)
            }
            '{' => {
                let options = alternatives(chars, at, depth.saturating_add(1))?;
                found = multiplied(&found, &options)?;
                continue;
            }
            c => Piece::Char(c),
        };
        for pieces in &mut found {
            pieces.push(piece.clone());
        }
    }
    Ok(found)
}

fn alternatives(chars: &[char], at: &mut usize, depth: usize) -> Result<Vec<Vec<Piece>>, String> {
    if depth > MAX_DEPTH {
        return Err("alternatives of glob.match are nested too deep".to_owned());
    }
    let mut options = Vec::new();
    loop {
        options.extend(sequence(chars, at, depth)?);
        let end = chars.get(*at).copied();
        *at = at.saturating_add(1);
        match end {
            Some(',') => {}
            Some('}') => return Ok(options),
            _ => return Err("the pattern of glob.match has a `{` without its `}`".to_owned()),
        }
    }
}

fn multiplied(before: &[Vec<Piece>], options: &[Vec<Piece>]) -> Result<Vec<Vec<Piece>>, String> {
    let mut all = Vec::new();
    let mut pieces = 0_usize;
    for start in before {
        for option in options {
            let one = [start.as_slice(), option.as_slice()].concat();
            pieces = pieces.saturating_add(one.len()).saturating_add(1);
            if pieces > MAX_PIECES {
                return Err("the pattern of glob.match has too many alternatives".to_owned());
            }
            all.push(one);
        }
    }
    Ok(all)
}

fn class(chars: &[char], at: &mut usize) -> Result<Piece, String> {
    let mut take = || {
        let c = chars.get(*at).copied();
        *at = at.saturating_add(1);
        c.ok_or_else(|| "the pattern of glob.match has a `[` without its `]`".to_owned())
    };
    let mut c = take()?;
    let negated = c == '!';
    if negated {
        c = take()?;
    }
    let mut ranges = Vec::new();
    loop {
        if c == ']' {
            break;
        }
        let from = if c == '\\' { take()? } else { c };
        c = take()?;
        let to = if c == '-' {
            let to = take()?;
            c = take()?;
            to
        } else {
            from
        };
        ranges.push((from, to));
    }
    if ranges.is_empty() {
        return Err("the pattern of glob.match has an empty `[]`".to_owned());
    }
    Ok(Piece::Class { negated, ranges })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_written() {
        for (pattern, text, expected) in [
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/", true),
            ("/a/*", "/a/b/c", false),
            ("/a/**", "/a/b/c", true),
            ("/a/**/x", "/a/b/c/x", true),
            ("/a/**/x", "/a/x", false),
            ("/a/**", "/ab", false),
            ("*.rs", "a.rs", true),
            ("*.rs", "a/b.rs", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("{ab,c*}/d", "cxx/d", true),
            ("{ab,c*}/d", "c/x/d", false),
            ("{a,{b,c}}x", "cx", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("ß*€", "ßx€", true),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            assert_eq!(glob.matches(text, &['/']), Ok(expected), "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["[", "[]", "{a", "a}", "\\", "[a-", "{{{{{{{{{a}}}}}}}}}"] {
            assert!(Glob::parse(pattern).is_err(), "{pattern}");
        }
        let many = "{a,b,c,d}".repeat(12);
        assert!(Glob::parse(&many).is_err());
        assert!(Glob::parse(&"a".repeat(5000)).is_err());
    }

    #[test]
    fn many_stars_take_no_time_to_speak_of() {
        let glob = Glob::parse(&"a*".repeat(500)).unwrap();
        assert_eq!(
            glob.matches(&format!("{}b", "a".repeat(2000)), &['/']),
            Ok(true)
        );
        let never = Glob::parse(&format!("{}b", "*a".repeat(200))).unwrap();
        assert_eq!(never.matches(&"a".repeat(3000), &['/']), Ok(false));
        assert!(never.matches(&"a".repeat(9000), &['/']).is_err());
    }
}
