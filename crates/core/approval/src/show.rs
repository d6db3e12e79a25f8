//! Text made safe to show: what a prompt prints is what is there, with nothing hidden, reordered or acted on by a terminal.

/// Makes every character visible that a terminal would act on, or that could hide, reorder or imitate others.
///
/// Plain characters stay; controls, line breaks, bidirectional and zero-width characters, and look-alikes of spaces become
/// `<U+XXXX>`. Nothing is cut: shortening is a matter of layout, where it can be seen.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            out.push_str(&format!("<U+{:04X}>", u32::from(c)));
        }
    }
    out
}

/// Whether a character can be shown as it is. ASCII is judged exactly; beyond it, letters, marks and numbers pass unless they are in a
/// range that is invisible or changes direction (Unicode TR #36, section 3).
fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    let hidden = matches!(c,
        '\u{80}'..='\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{1680}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}');
    !hidden && u32::from(c) < 0xe_0000 && !c.is_control()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tricks_become_visible() {
        assert_eq!(visible("report.xlsx"), "report.xlsx");
        assert_eq!(visible("Grüße 東京"), "Grüße 東京");
        assert_eq!(visible("a\u{202e}txt.exe"), "a<U+202E>txt.exe");
        assert_eq!(visible("\x1b[2Jok\r\n"), "<U+001B>[2Jok<U+000D><U+000A>");
        assert_eq!(visible("a\u{200b}b\u{a0}c"), "a<U+200B>b<U+00A0>c");
        assert_eq!(visible("\u{e0041}"), "<U+E0041>");
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_acts_on_is_left(text in "\\PC*|[\\x00-\\x1f\\x7f-\\x9f]*") {
            prop_assert!(visible(&text).chars().all(|c| !c.is_control()));
        }
    }
}
