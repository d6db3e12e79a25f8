//! JSON that means the same in characters that no terminal acts on.

use std::fmt::Write as _;

/// JSON itself escapes no more than the controls of ASCII, and a person may be reading. Outside of ASCII, letters and digits stay; all else
/// is in strings, where it can be escaped.
#[must_use]
pub fn harmless_json(json: &str) -> String {
    const INVISIBLE_LETTERS: [char; 4] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];
    let stays = |c: char| {
        (c.is_ascii() && c != '\u{7f}') || (c.is_alphanumeric() && !INVISIBLE_LETTERS.contains(&c))
    };
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if stays(character) {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _written = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

/// Any text as the inside of a harmless JSON string, without its quotes: for formats that have no escape of their own.
pub(crate) fn harmless(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inside = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or_default();
    harmless_json(inside)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_means_the_same_in_characters_that_no_terminal_acts_on() {
        let value = json!({
            "a\u{9b}31m": "\u{1b}[2J\u{202e}\u{200b}\u{7f}\u{feff}\u{e0041}\u{3164}\u{1f600}", "name": "Grüße, Привет, 報告 \"x\" \\ /",
        });
        let text = harmless_json(&value.to_string());
        let is_plain = |c: char| c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric();
        assert!(text.chars().all(is_plain), "{text}");
        assert!(text.contains("Grüße, Привет, 報告"), "{text}");
        assert!(!text.contains('\u{3164}'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }
}
