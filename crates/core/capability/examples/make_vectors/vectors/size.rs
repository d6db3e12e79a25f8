//! Tokens longer than 4096 bytes, whether rightly signed or not.

use serde_json::json;

use super::Vector;
use super::forge::{changed, good, issuer, part, text};

pub(super) fn vectors() -> Vec<Vector> {
    let (token, [header, payload, signature]) = good();
    let refused = |id: &str, note: &str, token: String| {
        assert!(token.len() > 4096);
        Vector::refused(format!("size/{id}"), note, token, "oversize")
    };
    let long = long_tokens();
    vec![
        refused(
            "one-over",
            "a rightly signed token of 4097 bytes",
            long.shortest_over,
        ),
        refused(
            "two-times",
            "a rightly signed token of some 8 KiB",
            sized(5500),
        ),
        refused(
            "four-times",
            "a rightly signed token of some 16 KiB",
            sized(11_500),
        ),
        refused("letters", "4097 letters", "a".repeat(4097)),
        refused("dots", "4097 dots", ".".repeat(4097)),
        refused(
            "brackets",
            "5,000 brackets, signed",
            issuer().token("[".repeat(5000)),
        ),
        refused(
            "spaces",
            "a good token and spaces",
            format!("{token}{}", " ".repeat(4096)),
        ),
        refused(
            "zeros",
            "a good token and NULs",
            format!("{token}{}", "\0".repeat(4096)),
        ),
        refused(
            "header",
            "a long header, signed",
            issuer().token_with(
                issuer().header().replace(
                    "\"typ\"",
                    &format!("\"a\":\"{}\",\"typ\"", "b".repeat(4000)),
                ),
                text(&super::forge::claims()),
            ),
        ),
        refused(
            "signature",
            "a long signature",
            format!("{header}.{payload}.{}", part([7; 4000])),
        ),
        refused(
            "signature-twice",
            "a good token and 4000 letters",
            format!("{header}.{payload}.{signature}{}", "A".repeat(4000)),
        ),
        refused(
            "characters",
            "fewer than 4096 characters, more bytes",
            "\u{430}".repeat(2049),
        ),
    ]
}

/// The longest token that is let in and the shortest that is not.
pub(super) struct LongTokens {
    pub(super) longest_in: String,
    pub(super) shortest_over: String,
}

pub(super) fn long_tokens() -> LongTokens {
    let tokens: Vec<String> = (2000..3000).map(sized).collect();
    let longest_in = tokens.iter().rfind(|token| token.len() <= 4096).unwrap();
    let shortest_over = tokens.iter().find(|token| token.len() > 4096).unwrap();
    // The parts' lengths leave out 4096 itself.
    assert_eq!((longest_in.len(), shortest_over.len()), (4095, 4097));
    LongTokens {
        longest_in: longest_in.clone(),
        shortest_over: shortest_over.clone(),
    }
}

fn sized(padding: usize) -> String {
    issuer().token(text(&sized_claims(padding)))
}

fn sized_claims(padding: usize) -> serde_json::Value {
    changed(|c| c["policy_id"] = json!("p".repeat(padding)))
}
