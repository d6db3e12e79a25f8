//! Paths of Windows as Win32 reads them: drives and shares, names that are devices, and names that are read in more than one way.

use std::net::Ipv4Addr;

use super::PathRefusal;
use super::fold::{Folded, upper};
use crate::PatternError;

/// The first name of a path on another machine, as in `\\?\UNC\server\share`.
const UNC: &str = "UNC";
/// Names that are devices in every directory, with whatever extension.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

pub(super) fn names(path: &[u8]) -> Result<Vec<Vec<u8>>, PathRefusal> {
    let text = std::str::from_utf8(path).map_err(|_| PathRefusal::Text)?;
    if text.contains('\0') {
        return Err(PatternError::Nul.into());
    }
    let names = if let Some(rest) = text.strip_prefix(r"\\?\") {
        verbatim(rest)?
    } else {
        let plain = text.replace('/', r"\");
        if [r"\\?\", r"\\.\", r"\??\"]
            .iter()
            .any(|door| plain.starts_with(door))
        {
            return Err(PathRefusal::Device);
        }
        match plain.strip_prefix(r"\\") {
            Some(share) => on_share(share, false)?,
            None => on_drive(&plain, false)?,
        }
    };
    Ok(names.into_iter().map(String::into_bytes).collect())
}

/// `\\?\C:\…` and `\\?\UNC\…`: Win32 changes nothing in what follows, so a name must be one that it would not change otherwise.
fn verbatim(rest: &str) -> Result<Vec<String>, PathRefusal> {
    if rest.contains('/') {
        return Err(PathRefusal::Character);
    }
    match rest.split_once('\\') {
        Some((first, share)) if first.eq_ignore_ascii_case(UNC) => on_share(share, true),
        Some((first, _)) if drive(first).is_some() => on_drive(rest, true),
        _ => Err(PathRefusal::Device),
    }
}

fn on_drive(path: &str, is_verbatim: bool) -> Result<Vec<String>, PathRefusal> {
    let (first, rest) = match path.split_once('\\') {
        Some(("", _)) | None if path.starts_with('\\') => {
            return Err(PathRefusal::CurrentDirectory);
        }
        Some((first, rest)) => (first, rest),
        None => (path, ""),
    };
    let Some(letter) = drive(first) else {
        let relative_to_drive = first.as_bytes().get(1) == Some(&b':');
        return Err(if relative_to_drive {
            PathRefusal::CurrentDirectory
        } else {
            PatternError::Relative.into()
        });
    };
    if !path.contains('\\') {
        return Err(PathRefusal::CurrentDirectory);
    }
    let mut names = vec![format!("{letter}:")];
    if !rest.is_empty() {
        names.extend(below(rest, is_verbatim)?);
    }
    Ok(names)
}

fn drive(name: &str) -> Option<char> {
    match name.as_bytes() {
        [letter, b':'] if letter.is_ascii_alphabetic() => {
            Some(char::from(letter.to_ascii_uppercase()))
        }
        _ => None,
    }
}

fn on_share(path: &str, is_verbatim: bool) -> Result<Vec<String>, PathRefusal> {
    let mut parts = path.splitn(3, '\\');
    let (server, share) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    check_server(server)?;
    check_share(share)?;
    let mut names = vec![UNC.to_owned(), server.to_owned(), share.to_owned()];
    if let Some(rest) = parts.next() {
        names.extend(below(rest, is_verbatim)?);
    }
    Ok(names)
}

/// A server by its name: an address, or this machine, would be a second way to files that have a name.
fn check_server(server: &str) -> Result<(), PathRefusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if server.is_empty() {
        return Err(PatternError::EmptySegment.into());
    }
    if !server.chars().all(plain) || server.starts_with('.') || server.ends_with('.') {
        return Err(PathRefusal::Character);
    }
    let upper = server.to_ascii_uppercase();
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let is_alias = upper == "LOCALHOST"
        || upper.ends_with(".LOCALHOST")
        || upper.ends_with(".IPV6-LITERAL.NET")
        || server.parse::<Ipv4Addr>().is_ok()
        || server.chars().all(digits)
        || upper.starts_with("0X");
    if is_alias {
        Err(PathRefusal::Alias)
    } else {
        Ok(())
    }
}

/// A share by its name: those that end in `$` are whole drives, or for administrators.
fn check_share(share: &str) -> Result<(), PathRefusal> {
    if share.is_empty() {
        return Err(PatternError::EmptySegment.into());
    }
    check_name(share)?;
    if share.ends_with('$') {
        return Err(PathRefusal::Alias);
    }
    Ok(())
}

/// The names below a drive or share.
fn below(rest: &str, is_verbatim: bool) -> Result<Vec<String>, PathRefusal> {
    let parts: Vec<&str> = rest.split('\\').collect();
    let last = parts.len().saturating_sub(1);
    parts
        .into_iter()
        .enumerate()
        .map(|(place, part)| {
            let name = match part {
                "" => return Err(PatternError::EmptySegment.into()),
                "." | ".." => return Err(PatternError::DotSegment.into()),
                kept if is_verbatim => kept,
                // Win32 drops all dots and spaces at the end of a path, and a single dot at the end of a name before it.
                end if place == last => end.trim_end_matches(['.', ' ']),
                inner => match inner.strip_suffix('.') {
                    Some(shorter) if !shorter.ends_with('.') => shorter,
                    _ => inner,
                },
            };
            check_name(name)?;
            Ok(name.to_owned())
        })
        .collect()
}

/// A whole name, as it is kept.
fn check_name(name: &str) -> Result<(), PathRefusal> {
    if name.is_empty() || name.ends_with(['.', ' ']) {
        return Err(PathRefusal::TrailingDots);
    }
    check_characters(name)?;
    if is_device(name) {
        return Err(PathRefusal::Device);
    }
    if is_short(name) {
        return Err(PathRefusal::ShortName);
    }
    Ok(())
}

fn check_characters(name: &str) -> Result<(), PathRefusal> {
    if name.contains(':') {
        return Err(PathRefusal::Stream);
    }
    let refused =
        |c: char| u32::from(c) < 32 || matches!(c, '<' | '>' | '"' | '|' | '?' | '*' | '\\' | '/');
    if name.contains(refused) {
        Err(PathRefusal::Character)
    } else {
        Ok(())
    }
}

/// The name before its first dot, without spaces at its end.
fn is_device(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or(name).trim_end_matches(' ');
    let upper = base.to_ascii_uppercase();
    if DEVICES.contains(&upper.as_str()) {
        return true;
    }
    let port = upper
        .strip_prefix("COM")
        .or_else(|| upper.strip_prefix("LPT"));
    port.is_some_and(|port| {
        let mut chars = port.chars();
        matches!(
            (chars.next(), chars.next()),
            (Some('1'..='9' | '¹' | '²' | '³'), None)
        )
    })
}

/// Whether the name has the form of those that are made for programs of long ago: `PROGRA~1`, `A1B2~123.TXT`.
fn is_short(name: &str) -> bool {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let numbered = base.rsplit_once('~').is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    numbered && base.chars().count() <= 8 && extension.chars().count() <= 3
}

/// A name without `*` in a pattern: at the first place a drive or `UNC`, elsewhere a name that Win32 keeps as it is.
pub(super) fn check_pattern_name(name: &[u8], is_first: bool) -> Result<(), PathRefusal> {
    let text = std::str::from_utf8(name).map_err(|_| PathRefusal::Text)?;
    if !is_first {
        check_name(text)
    } else if drive(text).is_some() || text.eq_ignore_ascii_case(UNC) {
        Ok(())
    } else {
        Err(PatternError::Relative.into())
    }
}

/// Upper case, one character for one. NTFS folds the characters of the basic plane alone.
pub(super) fn key(name: &[u8]) -> Result<Vec<u8>, PathRefusal> {
    let text = std::str::from_utf8(name).map_err(|_| PathRefusal::Text)?;
    let folded = text
        .chars()
        .map(|c| match c {
            '\u{10000}'.. => Ok(c),
            // Letters with a simple upper case that Rust's tables, of the full one, do not tell.
            '\u{1f80}'..='\u{1fff}' => match upper(c)? {
                Folded::To(up) => Ok(up),
                Folded::Several => Err(PathRefusal::Disputed(u32::from(c))),
            },
            c => match upper(c)? {
                Folded::To(up) => Ok(up),
                Folded::Several => Ok(c),
            },
        })
        .collect::<Result<String, _>>()?;
    Ok(folded.into_bytes())
}

/// The path as Windows writes it.
pub(super) fn native(names: &[Vec<u8>]) -> Vec<u8> {
    let (mut path, rest): (Vec<u8>, _) = match names {
        [first, rest @ ..] if first.as_slice() == UNC.as_bytes() => (vec![b'\\'], rest),
        [first, rest @ ..] => (first.clone(), rest),
        [] => (Vec::new(), names),
    };
    if rest.is_empty() {
        path.push(b'\\');
    }
    for name in rest {
        path.push(b'\\');
        path.extend(name);
    }
    path
}
