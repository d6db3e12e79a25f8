//! Paths of macOS: normal forms and case are one file, and some names are doors to others.

use unicode_normalization::UnicodeNormalization as _;

use super::fold::{Folded, upper};
use super::{PathRefusal, own};

/// Names at the root that are links to the same name below `/private`.
const PRIVATE: [&str; 3] = ["ETC", "TMP", "VAR"];
/// Names at the root that are firm links to the data volume.
const FIRM_LINKS: [&str; 7] = [
    "APPLICATIONS",
    "CORES",
    "LIBRARY",
    "OPT",
    "PRIVATE",
    "USERS",
    "VOLUMES",
];
/// Names at the root that reach files by their number, or change how the rest is read.
const DOORS: [&str; 3] = [".VOL", ".NOFOLLOW", ".RESOLVE"];

pub(super) fn names(path: &[u8]) -> Result<Vec<Vec<u8>>, PathRefusal> {
    let mut names = own(crate::pattern::segments_of(path)?);
    for name in &names {
        check_name(name)?;
    }
    let keys = names
        .iter()
        .map(|name| key(name))
        .collect::<Result<Vec<_>, _>>()?;
    if keys.first().is_some_and(|first| is_one_of(first, &DOORS)) {
        return Err(PathRefusal::Alias);
    }
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    if let Some((count, instead)) = alias(&keys) {
        let instead = instead.iter().map(|name| name.as_bytes().to_vec());
        names.splice(..count, instead);
    }
    // A canonical path is in normal form C, as people type it.
    names
        .iter()
        .map(|name| Ok(text(name)?.nfc().collect::<String>().into_bytes()))
        .collect()
}

/// Which first names stand for others: `/etc` for `/private/etc`, `/System/Volumes/Data/Users` for `/Users`.
pub(super) fn alias(keys: &[&[u8]]) -> Option<(usize, &'static [&'static str])> {
    match keys {
        [b"SYSTEM", b"VOLUMES", b"DATA", next, ..] if is_one_of(next, &FIRM_LINKS) => {
            Some((3, &[]))
        }
        [first, ..] if is_one_of(first, &PRIVATE) => Some((0, &["private"])),
        _ => None,
    }
}

fn is_one_of(key: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| name.as_bytes() == key)
}

pub(super) fn check_name(name: &[u8]) -> Result<(), PathRefusal> {
    if key(name)? == b"..NAMEDFORK" {
        Err(PathRefusal::Stream)
    } else {
        Ok(())
    }
}

/// Decomposed, folded, decomposed again.
pub(super) fn key(name: &[u8]) -> Result<Vec<u8>, PathRefusal> {
    let folded = text(name)?
        .nfd()
        .map(|c| match c {
            // HFS+ skips these when it compares (Apple, Technical Note 1150); APFS does not.
            '\u{200c}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{206a}'..='\u{206f}'
            | '\u{feff}' => Err(PathRefusal::Disputed(u32::from(c))),
            c => match upper(c)? {
                Folded::To(up) => Ok(up),
                // APFS folds `ß` to `ss`, HFS+ does not.
                Folded::Several => Err(PathRefusal::Disputed(u32::from(c))),
            },
        })
        .collect::<Result<String, _>>()?;
    Ok(folded.nfd().collect::<String>().into_bytes())
}

fn text(name: &[u8]) -> Result<&str, PathRefusal> {
    std::str::from_utf8(name).map_err(|_| PathRefusal::Text)
}
