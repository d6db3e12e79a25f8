//! Where a value ends, and whether it is one: `"…"`, the rest of a line, a block of indented lines, a reference to something else.

use std::ops::Range;

use crate::{Fill, Found};

/// Words that stand for nothing, or for a type.
const WORDS: [&str; 26] = [
    "null",
    "nil",
    "none",
    "true",
    "false",
    "undefined",
    "yes",
    "no",
    "string",
    "str",
    "&str",
    "text",
    "varchar",
    "bool",
    "boolean",
    "number",
    "int",
    "integer",
    "any",
    "bytes",
    "option",
    "secret",
    "required",
    "optional",
    "todo",
    "secretstr",
];

/// How the name stands: what its value may be depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    /// First on its line: what follows on the line is the value.
    First,
    /// Within a line.
    Within,
}

/// The value that begins at `start`, if there is one that hides something. `indent`: of the line of its name.
pub(crate) fn at(content: &[u8], start: usize, stands: Stands, indent: usize) -> Option<Found> {
    let rest = content.get(start..)?;
    match rest {
        // A comparison.
        [b'=', b' ' | b'=', ..] => None,
        [b'"', b'"', b'"', ..] | [b'\'', b'\'', b'\'', ..] => triple(rest, start),
        [b'\\', quote @ (b'"' | b'\''), ..] => escaped(rest, start, *quote),
        [quote @ (b'"' | b'\'' | b'`'), ..] => quoted(rest, start, *quote),
        [b'|' | b'>', ..] => block(content, rest, start, indent),
        [_, ..] => bare(rest, start, stands),
        [] => None,
    }
}

fn found(rest: &[u8], range: Range<usize>, start: usize) -> Option<Found> {
    let value = rest.get(range.clone())?;
    if value.is_empty() || is_reference(value) || is_word(value) {
        return None;
    }
    let range = start.checked_add(range.start)?..start.checked_add(range.end)?;
    let digits = value.iter().any(u8::is_ascii_digit);
    let number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let fill = if digits && value.iter().all(number) {
        Fill::Digits
    } else {
        Fill::Whole
    };
    Some(Found { range, fill })
}

fn triple(rest: &[u8], start: usize) -> Option<Found> {
    let quote = rest.get(..3)?;
    let inner = rest.get(3..)?;
    let end = inner.windows(3).position(|window| window == quote);
    found(rest, 3..end.unwrap_or(inner.len()).saturating_add(3), start)
}

fn quoted(rest: &[u8], start: usize, quote: u8) -> Option<Found> {
    let mut end = 1;
    while let Some(byte) = rest.get(end) {
        match byte {
            b'\\' if quote != b'\'' => end = end.saturating_add(1),
            byte if *byte == quote => break,
            // A quote that does not end on its line ends there.
            b'\n' if quote != b'`' => break,
            _ => {}
        }
        end = end.saturating_add(1);
    }
    found(rest, 1..end.min(rest.len()), start)
}

/// In a string within a string, as in notebooks: `\"…\"`.
fn escaped(rest: &[u8], start: usize, quote: u8) -> Option<Found> {
    let inner = rest.get(2..)?;
    let end = inner.windows(2).position(|pair| {
        pair == [b'\\', quote] || pair == [b'\\', b'n'] || pair.first() == Some(&b'\n')
    });
    found(rest, 2..end.unwrap_or(inner.len()).saturating_add(2), start)
}

/// `key: |` with lines below that are further in than the key.
fn block(content: &[u8], rest: &[u8], start: usize, indent: usize) -> Option<Found> {
    let line = rest.iter().position(|byte| *byte == b'\n')?;
    let head = rest.get(..line)?.trim_ascii_end();
    if head.len() > 3 {
        return bare(rest, start, Stands::First);
    }
    let first = start.checked_add(line)?.checked_add(1)?;
    let mut end = first;
    while let Some(rest) = content.get(end..).filter(|rest| !rest.is_empty()) {
        let length = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(rest.len(), |at| at.saturating_add(1));
        let line = rest.get(..length)?;
        let is_empty = line.trim_ascii().is_empty();
        if !is_empty && indentation(line) <= indent {
            break;
        }
        end = end.saturating_add(length);
    }
    // Of the lines the first one's indentation stays, so that the block stays one.
    let inner = content.get(first..end)?;
    let begin = first.checked_add(indentation(inner))?;
    (begin < end).then(|| Found::whole(begin..end))
}

pub(crate) fn indentation(line: &[u8]) -> usize {
    line.iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

fn bare(rest: &[u8], start: usize, stands: Stands) -> Option<Found> {
    let ends = |byte: &u8| match stands {
        Stands::First => matches!(byte, b'\n' | b'\r'),
        Stands::Within => byte.is_ascii_whitespace() || b"\"'`,;&<>)}]".contains(byte),
    };
    let mut end = rest.iter().position(ends).unwrap_or(rest.len());
    // The end of a call is of it.
    if rest.get(end) == Some(&b')') && rest.get(..end)?.contains(&b'(') {
        end = end.saturating_add(1);
    }
    let value = rest.get(..end)?;
    // In a string within a string the line ends where it says so.
    if let Some(at) = value.windows(2).position(|pair| pair == b"\\n") {
        end = at;
    }
    let value = rest.get(..end)?;
    // A comment behind a value is not of it.
    if let Some(at) = value
        .windows(2)
        .position(|pair| matches!(pair, b" #" | b"\t#" | b" ;"))
    {
        end = at;
    }
    let value = rest.get(..end)?;
    let tail = value
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_whitespace() || b",;\\".contains(byte))
        .count();
    end = end.saturating_sub(tail);
    let value = rest.get(..end)?;
    // Lists and maps have names or values of their own.
    if matches!(value, [b'{' | b'[', ..] | [b'&' | b'*' | b'!', ..] if stands == Stands::First && value.len() < 3)
        || matches!(value, [b'{' | b'[' | b'(', ..])
    {
        return None;
    }
    found(rest, 0..end, start)
}

fn is_word(value: &[u8]) -> bool {
    WORDS
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether a value only says where the value is: `$TOKEN`, `${TOKEN}`, `{{ token }}`, `<token>`, `os.environ["TOKEN"]`, `read_token()`.
pub(crate) fn is_reference(value: &[u8]) -> bool {
    let name = |text: &[u8]| {
        !text.is_empty()
            && text
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte))
    };
    let dots = |text: &[u8]| text.iter().all(|byte| b".*".contains(byte));
    let upper = |text: &[u8]| name(text) && !text.iter().any(u8::is_ascii_lowercase);
    match value {
        [b'$', b'{', b'{', .., b'}', b'}'] | [b'{', b'{', .., b'}', b'}'] => true,
        [b'$', b'{', inner @ .., b'}'] => name(inner),
        [b'$', b'(', .., b')'] => true,
        [b'.' | b'*', inner @ ..] if dots(inner) => true,
        [b'$', inner @ ..] => upper(inner),
        [b'%', b'(', inner @ .., b')', b's'] | [b'%', inner @ .., b'%'] => name(inner),
        [b'<', inner @ .., b'>'] => inner
            .iter()
            .all(|byte| byte.is_ascii_alphabetic() || b" _-.".contains(byte)),
        _ => is_code(value),
    }
}

/// A call without words in it, or a look into the environment.
fn is_code(value: &[u8]) -> bool {
    let path = |text: &[u8]| {
        text.first()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
            && text
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.:".contains(byte))
    };
    let environment = [
        &b"os.environ"[..],
        b"os.getenv",
        b"process.env.",
        b"process.env[",
        b"env.",
        b"env(",
        b"ENV[",
        b"std::env::",
        b"System.getenv",
        b"getenv(",
        b"config.",
        b"settings.",
        b"self.",
        b"this.",
        b"secrets.",
        b"var.",
        b"vars.",
        b"args.",
        b"options.",
        b"params.",
        b"props.",
    ];
    if environment.iter().any(|start| value.starts_with(start))
        && !value.iter().any(u8::is_ascii_whitespace)
    {
        return true;
    }
    let Some(open) = value.iter().position(|byte| *byte == b'(') else {
        return false;
    };
    let (called, rest) = value.split_at(open);
    path(called)
        && rest.last() == Some(&b')')
        && !rest.iter().any(|byte| b"\"'`".contains(byte))
        && rest.iter().filter(|byte| byte.is_ascii_digit()).count() < 4
}
