//! Text in events: bounded, and free of what could trick a reader's terminal.

/// Stands for a character that was taken out.
const REPLACEMENT: char = '\u{fffd}';

/// Marks text that was cut.
const ELLIPSIS: char = '\u{2026}';

/// `text` made fit for an event: control and direction characters replaced, cut to `max_bytes` with a mark.
pub(crate) fn safe(text: &str, max_bytes: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max_bytes));
    for c in text.chars() {
        let c = if is_hazard(c) { REPLACEMENT } else { c };
        if out.len().saturating_add(c.len_utf8()) > max_bytes {
            while out.len().saturating_add(ELLIPSIS.len_utf8()) > max_bytes && out.pop().is_some() {
            }
            out.push(ELLIPSIS);
            break;
        }
        out.push(c);
    }
    out
}

/// Whether `text` is what [`safe`] would leave alone.
pub(crate) fn is_safe(text: &str, max_bytes: usize) -> bool {
    text.len() <= max_bytes && !text.chars().any(is_hazard)
}

/// Controls (terminal escapes), line separators, and Unicode's direction and invisible format characters.
fn is_hazard(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tricks_are_taken_out_and_cuts_are_marked() {
        assert_eq!(safe("a\x1b[31m\u{202e}b", 64), "a\u{fffd}[31m\u{fffd}b");
        assert_eq!(safe("abcdefgh", 6), "abc\u{2026}");
        assert_eq!(safe("abcdef", 6), "abcdef");
    }

    proptest! {
        #[test]
        fn what_is_made_safe_is_safe(text in any::<String>(), max in 3_usize..80) {
            prop_assert!(is_safe(&safe(&text, max), max));
        }
    }
}
