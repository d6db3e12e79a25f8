//! Which characters of a text are shown as marks. Tables: Unicode UTS #39 (confusables, mixed scripts), UAX #24 (scripts), UAX #15 (normal forms).

use std::collections::BTreeSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::{compose, is_combining_mark};
use unicode_script::{Script, UnicodeScript as _};
use unicode_security::{MixedScript as _, skeleton};

/// Combining marks on one letter: Vietnamese has two, pointed Hebrew and Thai have three.
const MAX_MARKS: usize = 3;

/// For each character of `text`, whether it is shown as a mark.
pub(super) fn marked(text: &str) -> Vec<bool> {
    if text
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic())
    {
        return vec![false; text.len()];
    }
    let chars: Vec<char> = text.chars().collect();
    let mut marks: Vec<bool> = chars.iter().map(|c| !is_plain(*c)).collect();
    mark_combining(&chars, &mut marks);
    let native = native_scripts(&chars);
    for token in runs(&chars, |c| c != '/' && c != ' ') {
        let latin = chars_of(&chars, &token).any(|c| is_latin(*c));
        for word in runs(chars.get(token.clone()).unwrap_or_default(), is_word) {
            let word = shifted(&word, token.start);
            mark_word(&chars, word, latin, &native, &mut marks);
        }
    }
    marks
}

fn shifted(range: &std::ops::Range<usize>, by: usize) -> std::ops::Range<usize> {
    range.start.saturating_add(by)..range.end.saturating_add(by)
}

fn chars_of<'a>(
    chars: &'a [char],
    range: &std::ops::Range<usize>,
) -> impl Iterator<Item = &'a char> {
    chars.get(range.clone()).unwrap_or_default().iter()
}

/// The longest runs of characters that `within` holds for.
fn runs(chars: &[char], within: impl Fn(char) -> bool) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in chars.iter().enumerate() {
        match (within(*c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                found.push(from..at);
                start = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    if let Some(from) = start {
        found.push(from..chars.len());
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

fn is_latin(c: char) -> bool {
    c.script() == Script::Latin
}

/// Whether a character can be shown as it is, wherever it stands. ASCII is judged exactly. Beyond it, what is assigned and seen passes, unless it
/// imitates an ASCII character and belongs to no script but Latin or to all of them, or has another spelling in normal form C.
fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    let hidden = matches!(c,
        '\u{80}'..='\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{1680}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{20dd}'..='\u{20e4}' | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}'
        | '\u{13430}'..='\u{1345f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}');
    let script = c.script();
    let anywhere = matches!(script, Script::Common | Script::Inherited | Script::Latin);
    !(hidden
        || u32::from(c) >= 0xe_0000
        || c.is_control()
        || c.is_whitespace()
        || script == Script::Unknown
        || !std::iter::once(c).nfc().eq([c])
        || (anywhere && !is_wide_punctuation(c) && imitates_ascii(c)))
}

/// Punctuation of Chinese and Japanese text, twice as wide as the ASCII character that it is a form of. What steers a path stays marked.
fn is_wide_punctuation(c: char) -> bool {
    matches!(
        c,
        '（' | '）' | '！' | '，' | '；' | '［' | '］' | '【' | '】'
    )
}

/// The skeletons (UTS #39) of all ASCII characters that are seen.
static ASCII_SKELETONS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    ('!'..='~')
        .flat_map(|c| [c.to_string(), skeleton(&c.to_string()).collect()])
        .collect()
});

/// Whether a character looks like one of ASCII.
fn imitates_ascii(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    let mut buffer = [0; 4];
    let own: String = skeleton(c.encode_utf8(&mut buffer)).collect();
    // A form of an ASCII character by its own name: full-width, mathematical, circled.
    let form = || std::iter::once(c).nfkc().eq_by_ascii();
    ASCII_SKELETONS.contains(&own) || form()
}

trait EqByAscii {
    /// Whether there is exactly one character, of ASCII.
    fn eq_by_ascii(self) -> bool;
}

impl<I: Iterator<Item = char>> EqByAscii for I {
    fn eq_by_ascii(mut self) -> bool {
        self.next().is_some_and(|c| c.is_ascii()) && self.next().is_none()
    }
}

/// Marks that have no letter to stand on, that a letter with the same look exists for, or that are too many.
fn mark_combining(chars: &[char], marks: &mut [bool]) {
    let mut base: Option<char> = None;
    let mut stacked = 0usize;
    for (c, mark) in chars.iter().zip(marks) {
        if !is_combining_mark(*c) {
            // A mark after a made-visible character or a sign would change how that looks.
            base = (!*mark && c.is_alphanumeric()).then_some(*c);
            stacked = 0;
            continue;
        }
        stacked = stacked.saturating_add(1);
        let alike = base.is_some_and(|base| compose(base, *c).is_some());
        if base.is_none() || alike || stacked > MAX_MARKS {
            *mark = true;
        }
    }
}

/// Scripts in which the text really is written: some word of theirs could not be taken for ASCII.
fn native_scripts(chars: &[char]) -> Vec<Script> {
    let mut native = Vec::new();
    for word in runs(chars, is_word) {
        // One word is enough for its script: the list stays as short as there are scripts, however long the text.
        let word: Vec<char> = chars_of(chars, &word).copied().collect();
        let text: String = word.iter().collect();
        let letter = word
            .iter()
            .find(|c| !matches!(c.script(), Script::Common | Script::Inherited));
        if let Some(letter) = letter
            && !is_latin(*letter)
            && !native.contains(&letter.script())
            && text.as_str().is_single_script()
            && !word
                .iter()
                .all(|c| is_combining_mark(*c) || imitates_ascii(*c))
        {
            native.push(letter.script());
        }
    }
    native
}

/// Letters of a word that are not what they seem.
///
/// - Latin with another script (but Chinese, Japanese or Korean, which are written together with Latin): all that is not Latin.
/// - Several others: all that is not of the first letter's script.
/// - One script, all of it look-alikes of ASCII: all, if the token has Latin letters, too, or if no word of the text shows that the script is meant.
fn mark_word(
    chars: &[char],
    word: std::ops::Range<usize>,
    in_latin_token: bool,
    native: &[Script],
    marks: &mut [bool],
) {
    let text: String = chars_of(chars, &word).collect();
    if text.is_ascii() {
        return;
    }
    let common = |c: char| matches!(c.script(), Script::Common | Script::Inherited);
    let Some(first) = chars_of(chars, &word).copied().find(|c| !common(*c)) else {
        return;
    };
    let has_latin = text.chars().any(is_latin);
    let without_latin: String = text.chars().filter(|c| !is_latin(*c)).collect();
    let beside_latin = |c: char| {
        matches!(
            c.script(),
            Script::Han | Script::Hiragana | Script::Katakana | Script::Hangul | Script::Bopomofo
        )
    };
    let single = text.as_str().is_single_script();
    let east_asian = without_latin.chars().all(|c| common(c) || beside_latin(c))
        && without_latin.as_str().is_single_script();
    let imitation = !is_latin(first)
        && single
        && text
            .chars()
            .all(|c| common(c) || is_combining_mark(c) || imitates_ascii(c))
        && (in_latin_token || !native.contains(&first.script()));
    let foreign: Box<dyn Fn(char) -> bool> = if imitation {
        Box::new(|c| !c.is_ascii())
    } else if single || (has_latin && east_asian) {
        return;
    } else if has_latin {
        Box::new(|c| !is_latin(c) && !common(c))
    } else {
        Box::new(move |c| c.script() != first.script() && !common(c))
    };
    let range = marks.get_mut(word.clone()).unwrap_or_default();
    for (mark, c) in range.iter_mut().zip(chars_of(chars, &word)) {
        *mark = *mark || foreign(*c);
    }
}
