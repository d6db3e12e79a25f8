//! Free text: secrets and personal data in it are masked, a person's name and paths become hashes where rules say so.

use valetkey_redact::{Kinds, find_ranges, has_token};

use crate::rules::PersonalData;

/// Stands for what was found.
const MASK: &str = "[masked]";

/// A single short word of small letters, as the broker's own words are: no detector finds anything in one.
const PLAIN_WORD_MAX: usize = 18;

/// What is to be looked for.
pub(crate) fn kinds(personal: PersonalData) -> Kinds {
    match personal {
        PersonalData::Mask => Kinds::SECRETS.union(Kinds::PII),
        PersonalData::Keep => Kinds::SECRETS,
    }
}

/// The text with what is found masked; nothing where nothing is.
pub(crate) fn masked(text: &str, kinds: Kinds) -> Option<String> {
    if is_plain(text) {
        return None;
    }
    let Ok(ranges) = find_ranges(text.as_bytes(), kinds) else {
        // What cannot be looked into may hold anything.
        return Some(MASK.to_owned());
    };
    if ranges.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        let before = text.as_bytes().get(end..range.start).unwrap_or_default();
        out.push_str(&String::from_utf8_lossy(before));
        out.push_str(MASK);
        end = range.end;
    }
    let rest = text.as_bytes().get(end..).unwrap_or_default();
    out.push_str(&String::from_utf8_lossy(rest));
    Some(out)
}

/// Whether a name or path holds a token that shows by its form. Other secrets do not show in names without naming half of all files.
pub(crate) fn holds_token(text: &str) -> bool {
    !is_plain(text) && has_token(text.as_bytes())
}

fn is_plain(text: &str) -> bool {
    text.len() <= PLAIN_WORD_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The text with every whole word `name` replaced.
pub(crate) fn without_name(text: &str, name: &str, instead: &str) -> Option<String> {
    if name.is_empty() || !text.contains(name) {
        return None;
    }
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut before, mut found) = (text, None::<char>, false);
    while let Some((head, tail)) = rest.split_once(name) {
        let last = head.chars().next_back().or(before);
        let next = tail.chars().next();
        out.push_str(head);
        if last.is_some_and(is_of_word) || next.is_some_and(is_of_word) {
            out.push_str(name);
        } else {
            out.push_str(instead);
            found = true;
        }
        before = name.chars().next_back();
        rest = tail;
    }
    out.push_str(rest);
    found.then_some(out)
}

/// The text with each word that looks like a path or resource put through `edit`, which gives another in its place.
pub(crate) fn with_places(
    text: &str,
    edit: &mut impl FnMut(&str) -> Option<String>,
) -> Option<String> {
    if !text.contains('/') {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut changed = false;
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        let start = bare.trim_start_matches(|c: char| "\"'`([{<".contains(c));
        let inner = start.trim_end_matches(|c: char| "\"'`)]}>,;.!?:".contains(c));
        // What was asked for is written `RESOURCE=ACTIONS`.
        let place = inner.rsplit_once('=').map_or(inner, |(place, _)| place);
        match edit(place) {
            Some(instead) if !place.is_empty() => {
                changed = true;
                out.push_str(&word.replacen(place, &instead, 1));
            }
            Some(_) | None => out.push_str(word),
        }
    }
    changed.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_personal_data_are_masked_whatever_their_length() {
        let both = kinds(PersonalData::Mask);
        let check = |text: &str, expected: &str| {
            assert_eq!(masked(text, both).as_deref(), Some(expected), "{text}");
        };
        check(
            "deploy with password=hunter2 please",
            "deploy with password=[masked] please",
        );
        check("ask bob@example.com", "ask [masked]");
        check(
            "token ghp_0123456789abcdefghij0123456789abcdef ok",
            "token [masked] ok",
        );
        check("PK\u{3}\u{4}rest", MASK);
        for plain in ["read", "to append the figures of March", "append_rows", ""] {
            assert_eq!(masked(plain, both), None, "{plain}");
        }
        let secrets = kinds(PersonalData::Keep);
        assert_eq!(masked("ask bob@example.com", secrets), None);
    }

    #[test]
    fn names_and_places_in_words_are_replaced_whole() {
        let name = |text: &str| without_name(text, "al", "X");
        assert_eq!(name("for al, and al's").as_deref(), Some("for X, and X's"));
        assert_eq!(name("also a metal alal"), None);
        let mut edit = |place: &str| place.starts_with("/h").then(|| "/X".to_owned());
        assert_eq!(
            with_places("see (/h/a/b), or \"/h/c\" /h/e=read or /d", &mut edit).as_deref(),
            Some("see (/X), or \"/X\" /X=read or /d")
        );
        assert_eq!(with_places("a/b", &mut edit), None);
    }
}
