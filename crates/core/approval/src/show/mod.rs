//! Text made safe to show: what a prompt prints is what is there, with nothing hidden, reordered, imitated or acted on by a terminal.
//!
//! What cannot be shown as it is becomes `<U+XXXX>`, a byte that is no text `<0xXX>`. Both begin with a `<` that is shown as `<U+003C>` where
//! plain text would look like one of them: so two different texts never look the same, and [`visible`] can be undone.

mod class;
mod fold;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use serde::Serialize;

pub(crate) use fold::columns;
pub use fold::folded;

/// Text that is safe to show. Only [`visible`] and its kin make one; words of our own are put around it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SafeText(String);

impl SafeText {
    /// Any text, made visible.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(visible(text))
    }

    /// Sentences, in which quotes and dashes as people write them stay.
    #[must_use]
    pub fn prose(text: &str) -> Self {
        Self(rendered(text, |c| TYPOGRAPHIC.contains(&c)))
    }

    /// A name in quotes, where it begins and ends beyond doubt: quotes within it are made visible, too.
    #[must_use]
    pub fn quoted(name: &[u8]) -> Self {
        Self(format!(
            "\"{}\"",
            visible_bytes(name).replace('"', "<U+0022>")
        ))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether something in it had to be made visible.
    #[must_use]
    pub fn has_marks(&self) -> bool {
        self.0.contains("<U+") || self.0.contains("<0x")
    }

    /// Our own words around safe text. What is put in must be safe: text of others goes through [`Self::of`] first.
    pub(crate) fn words(text: impl fmt::Display) -> Self {
        let text = text.to_string();
        debug_assert!(
            !text.chars().any(char::is_control),
            "our own words are plain: {text:?}"
        );
        Self(text)
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes every character visible that a terminal would act on, or that could hide, reorder or imitate others.
///
/// Controls, line breaks, bidirectional, zero-width and other invisible characters, private and unassigned ones, look-alikes of ASCII and
/// letters of another script within a word, spellings that are not in normal form C, and combining marks without a letter or in stacks become
/// `<U+XXXX>`. Nothing is cut: shortening is a matter of layout, where it can be seen.
#[must_use]
pub fn visible(text: &str) -> String {
    rendered(text, |_| false)
}

/// Quotes and a dash as people write them in sentences. In a name they imitate those of ASCII.
const TYPOGRAPHIC: [char; 5] = ['\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2013}'];

fn rendered(text: &str, allowed: impl Fn(char) -> bool) -> String {
    let marked = class::marked(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    for mark in marked {
        let Some(c) = rest.next() else { break };
        let imitates = c == '<' && is_escape_start(rest.as_str());
        if (mark && !allowed(c)) || imitates {
            out.push_str(&format!("<U+{:04X}>", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// The same for bytes that may not be text, such as a file's name on Linux.
#[must_use]
pub fn visible_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&visible(chunk.valid()));
        // A `<` at the end of a chunk is followed by `<0x…`, never by `U+` or `0x` alone: it imitates nothing.
        for byte in chunk.invalid() {
            out.push_str(&format!("<0x{byte:02X}>"));
        }
    }
    out
}

/// Whether what follows a `<` makes it look like the beginning of a mark.
fn is_escape_start(rest: &str) -> bool {
    rest.starts_with("U+") || rest.starts_with("0x")
}
