//! Signed payloads that are the right claims in another spelling of JSON, nearly JSON, or JSON that is no claims.

use super::forge::{claims, issuer, replaced, respelt, text};
use super::{NOW, Vector};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = numbers();
    all.extend(spellings());
    all.extend(order());
    all.extend(no_claims());
    all
}

fn refused(id: &str, note: &str, payload: impl AsRef<[u8]>) -> Vector {
    let token = issuer().token(payload);
    Vector::refused(format!("json/{id}"), note, token, "claims")
}

/// The claims as text with one piece of it written in another way.
fn spelt(id: &str, note: &str, from: &str, to: &str) -> Vector {
    refused(id, note, respelt(from, to))
}

/// `exp` in every way in which JSON, or something like it, may write a number.
fn numbers() -> Vec<Vector> {
    let there = format!(r#""exp":{}"#, NOW + 300);
    let cases: [(&str, String); 27] = [
        ("text", format!("\"{}\"", NOW + 300)),
        ("fraction-zero", format!("{}.0", NOW + 300)),
        ("fraction", format!("{}.5", NOW + 300)),
        ("exponent", "1.8000003e9".to_owned()),
        ("exponent-upper", "18000003E2".to_owned()),
        ("exponent-zero", format!("{}e0", NOW + 300)),
        ("negative", "-1".to_owned()),
        ("negative-zero", "-0".to_owned()),
        ("leading-zero", format!("0{}", NOW + 300)),
        ("leading-plus", format!("+{}", NOW + 300)),
        ("hexadecimal", "0x6b49d32c".to_owned()),
        ("underscore", "1_800_000_300".to_owned()),
        ("unsafe-integer", "9007199254740992".to_owned()),
        ("i64-max-and-one", "9223372036854775808".to_owned()),
        ("u64-max", "18446744073709551615".to_owned()),
        ("u64-max-and-one", "18446744073709551616".to_owned()),
        ("wraps-to-now", "18446744075509551916".to_owned()),
        ("hundred-digits", "9".repeat(100)),
        ("huge-exponent", "1e400".to_owned()),
        ("nan", "NaN".to_owned()),
        ("infinity", "Infinity".to_owned()),
        ("true", "true".to_owned()),
        ("list", format!("[{}]", NOW + 300)),
        ("object", "{}".to_owned()),
        ("empty-text", "\"\"".to_owned()),
        ("date", "\"2027-01-15T08:05:00Z\"".to_owned()),
        ("nothing", String::new()),
    ];
    let mut all: Vec<Vector> = cases
        .iter()
        .map(|(id, written)| {
            let note = format!("`exp` is written {:.40}", format!("{written:?}"));
            spelt(
                &format!("exp-{id}"),
                &note,
                &there,
                &format!(r#""exp":{written}"#),
            )
        })
        .collect();
    for name in ["iat", "nbf"] {
        let there = format!(r#""{name}":{NOW}"#);
        for (id, written) in [
            ("negative", "-1"),
            ("fraction", "1800000000.0"),
            ("text", "\"1800000000\""),
        ] {
            let note = format!("`{name}` is written {written}");
            all.push(spelt(
                &format!("{name}-{id}"),
                &note,
                &there,
                &format!(r#""{name}":{written}"#),
            ));
        }
    }
    all
}

/// The same claims in other spellings of JSON, and in what is nearly JSON.
fn spellings() -> Vec<Vector> {
    let right = text(&claims());
    let mut all = vec![
        spelt(
            "escaped-hyphen",
            "an escaped hyphen in a value",
            "valetkey-guard",
            "valetkey\\u002dguard",
        ),
        spelt(
            "escaped-slash",
            "an escaped slash",
            "file:/home",
            "file:\\/home",
        ),
        spelt(
            "escaped-letter",
            "an escaped letter in a name",
            r#""aud""#,
            r#""\u0061ud""#,
        ),
        spelt(
            "escaped-upper",
            "an escape where none is needed",
            "agent-ui",
            "agent\\u002Dui",
        ),
        spelt(
            "raw-control",
            "a control character as it is",
            "policy-finance",
            "policy\u{1}finance",
        ),
        spelt(
            "raw-newline",
            "a newline within a text",
            "policy-finance",
            "policy\nfinance",
        ),
        spelt(
            "escape-unknown",
            "an escape that JSON does not have",
            "policy-finance",
            "policy\\xfinance",
        ),
        spelt(
            "escape-cut",
            "an escape that is cut off",
            "policy-finance",
            "policy\\u00",
        ),
        spelt(
            "surrogate-high",
            "half a surrogate pair",
            "policy-finance",
            "policy\\ud83d",
        ),
        spelt(
            "surrogate-low",
            "the other half",
            "policy-finance",
            "policy\\ude00",
        ),
        spelt(
            "surrogates",
            "an escaped surrogate pair",
            "policy-finance",
            "policy\\ud83d\\ude00",
        ),
        spelt(
            "control-as-u",
            "a newline as `\\u000a`",
            "policy-finance",
            "policy\\u000afinance",
        ),
        spelt(
            "control-upper",
            "an escape with upper-case digits",
            "policy-finance",
            "policy\\u001Ffinance",
        ),
        spelt(
            "space-after-colon",
            "a space after a colon",
            r#""aud":"#,
            r#""aud": "#,
        ),
        spelt(
            "space-before-colon",
            "a space before a colon",
            r#""aud":"#,
            r#""aud" :"#,
        ),
        spelt(
            "space-in-list",
            "a space within a list",
            r#""read","#,
            r#""read", "#,
        ),
        spelt(
            "trailing-comma-list",
            "a comma too many in a list",
            r#""append"]"#,
            r#""append",]"#,
        ),
        spelt(
            "trailing-comma",
            "a comma too many",
            r#""max_bytes":1048576"#,
            r#""max_bytes":1048576,"#,
        ),
        spelt("comment", "a comment", r#""aud":"#, r#"/**/"aud":"#),
        spelt(
            "unquoted-name",
            "a name without quotes",
            r#""aud":"#,
            "aud:",
        ),
        spelt("single-quotes", "single quotes", r#""aud""#, "'aud'"),
        spelt("undefined", "`undefined`", "null", "undefined"),
        spelt("null-upper", "`NULL`", "null", "NULL"),
        spelt("false-title", "`False`", "false", "False"),
    ];
    let whole: [(&str, &str, String); 12] = [
        (
            "space-first",
            "a space before the claims",
            format!(" {right}"),
        ),
        (
            "space-last",
            "a space after the claims",
            format!("{right} "),
        ),
        (
            "newline-last",
            "a newline after the claims",
            format!("{right}\n"),
        ),
        ("nul-last", "a NUL after the claims", format!("{right}\0")),
        ("bom", "a byte order mark", format!("\u{feff}{right}")),
        (
            "record-separator",
            "a record separator (RFC 7464)",
            format!("\u{1e}{right}"),
        ),
        ("two-objects", "a second object", format!("{right}{{}}")),
        ("trailing-brace", "a brace too many", format!("{right}}}")),
        (
            "cut",
            "the last brace missing",
            right[..right.len() - 1].to_owned(),
        ),
        (
            "pretty",
            "indented",
            serde_json::to_string_pretty(&claims()).unwrap(),
        ),
        ("in-text", "the claims as a text", format!("{right:?}")),
        ("in-list", "the claims in a list", format!("[{right}]")),
    ];
    all.extend(
        whole
            .iter()
            .map(|(id, note, payload)| refused(id, note, payload)),
    );
    let mut bytes = right.clone().into_bytes();
    bytes[10] = 0xff;
    all.push(refused("not-utf-8", "a byte that is no UTF-8", bytes));
    let overlong = replaced(&right, "file:/", "file:@@").into_bytes();
    let at = overlong.windows(2).position(|pair| pair == b"@@").unwrap();
    let overlong = [&overlong[..at], b"\xc0\xaf", &overlong[at + 2..]].concat();
    all.push(refused(
        "overlong-utf-8",
        "a slash in two bytes of UTF-8",
        overlong,
    ));
    let wide: Vec<u8> = right.encode_utf16().flat_map(u16::to_le_bytes).collect();
    all.push(refused("utf-16", "in UTF-16", wide));
    all
}

/// Members in another order than RFC 8785 asks for.
fn order() -> Vec<Vector> {
    let swapped = |id: &str, first: &str, second: &str| {
        let note = "two members in the wrong order";
        let (from, to) = (format!("{first},{second}"), format!("{second},{first}"));
        spelt(&format!("order-{id}"), note, &from, &to)
    };
    let iss = r#""iss":"local-broker""#;
    let jti = r#""jti":"cap-01KF0000000000000000000001""#;
    vec![
        swapped("claims", iss, jti),
        swapped(
            "constraints",
            r#""allow_macros":false"#,
            r#""max_bytes":1048576"#,
        ),
        swapped(
            "detail",
            r#""resource":"file:/home/alice/Reports/**""#,
            r#""type":"valetkey""#,
        ),
    ]
}

fn no_claims() -> Vec<Vector> {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(1200), close.repeat(1200));
    let inside = |what: &str| respelt(r#""parent":null"#, &format!(r#""parent":{what}"#));
    let list = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
    vec![
        refused("empty-object", "no members", "{}"),
        refused("empty-list", "an empty list", "[]"),
        refused("null", "null", "null"),
        refused("number", "a number", "1800000300"),
        refused("text", "a text", r#""cap-01KF0000000000000000000001""#),
        refused("one-brace", "one brace", "{"),
        refused("zero-byte", "one zero byte", [0]),
        refused(
            "deflated",
            "what `zip` would have made of an empty object",
            [0xab, 0xae, 0x05, 0x00],
        ),
        refused("cbor", "an empty CBOR map", [0xa0]),
        refused(
            "deep-lists",
            "1,200 lists within each other",
            deep("[", "]"),
        ),
        refused(
            "deep-open",
            "2,400 lists that are not closed",
            "[".repeat(2400),
        ),
        refused(
            "deep-objects",
            "400 objects within each other",
            format!("{}1{}", r#"{"a":"#.repeat(400), "}".repeat(400)),
        ),
        refused("deep-member", "900 lists as a member", inside(&list(900))),
    ]
}
