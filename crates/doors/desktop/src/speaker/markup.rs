//! Text for a notification's body: as it is, or escaped where the desktop reads markup.

/// The body for a desktop that reads markup, or for one that does not.
pub(super) fn body(text: &str, reads_markup: bool) -> String {
    if !reads_markup {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let text = "<b>\"x\"</b> &amp; <a href='y'> <U+202E>\nnext";
        assert_eq!(body(text, false), text);
        let escaped = body(text, true);
        assert!(!escaped.contains(['<', '>', '"', '\'']), "{escaped}");
        assert_eq!(
            escaped,
            "&lt;b&gt;&quot;x&quot;&lt;/b&gt; &amp;amp; &lt;a href=&#39;y&#39;&gt; &lt;U+202E&gt;\nnext"
        );
    }
}
