//! Other spellings of a token: what a lenient reader would take for the same bytes, and what is no compact JWS at all.

use base64ct::{Base64, Base64Url, Encoding as _};
use serde_json::json;

use super::Vector;
use super::forge::{changed, good, issuer, part, text};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    all.extend(base64());
    all.extend(unused_bits());
    all.extend(surroundings());
    all.extend(inside());
    all.extend(numbers_of_parts());
    all.extend(other_serialisations());
    all
}

fn refused(id: &str, note: &str, token: impl Into<String>, error: &'static str) -> Vector {
    Vector::refused(format!("encoding/{id}"), note, token, error)
}

/// A good token whose payload and signature both hold `-` and `_`, and whose payload leaves a remainder of `remainder` bytes.
fn token_with_both_signs(remainder: usize) -> [String; 3] {
    (0..10_000)
        .map(|attempt| {
            let claims = changed(|c| c["policy_id"] = json!(format!("???>>> {attempt}")));
            issuer().token(text(&claims))
        })
        .map(|token| {
            let mut parts = token.split('.').map(str::to_owned);
            [(); 3].map(|()| parts.next().unwrap())
        })
        .find(|[_, payload, signature]| {
            let both = |text: &str| text.contains('-') && text.contains('_');
            both(payload) && both(signature) && payload.len() % 4 == (remainder * 4).div_ceil(3)
        })
        .unwrap()
}

/// Parts in the other alphabet or with padding; where a signed part changes, it is signed again as it is.
fn base64() -> Vec<Vector> {
    let [header, payload, signature] = token_with_both_signs(1);
    let plain = |text: &str| text.replace('-', "+").replace('_', "/");
    let sealed = |payload: &str| issuer().seal(&format!("{header}.{payload}"));
    let bytes = issuer().sign(format!("{header}.{payload}"));
    vec![
        refused(
            "plus-slash-payload",
            "`+` and `/` in the payload, signed so",
            sealed(&plain(&payload)),
            "form",
        ),
        refused(
            "plus-slash-signature",
            "`+` and `/` in the signature",
            format!("{header}.{payload}.{}", plain(&signature)),
            "form",
        ),
        refused(
            "plus-only-signature",
            "`+` for `-` in the signature",
            format!("{header}.{payload}.{}", signature.replace('-', "+")),
            "form",
        ),
        refused(
            "slash-only-signature",
            "`/` for `_` in the signature",
            format!("{header}.{payload}.{}", signature.replace('_', "/")),
            "form",
        ),
        refused(
            "padded-payload",
            "the payload with its padding, signed so",
            sealed(&format!("{payload}==")),
            "form",
        ),
        refused(
            "padded-payload-short",
            "the payload with half its padding, signed so",
            sealed(&format!("{payload}=")),
            "form",
        ),
        refused(
            "padded-header",
            "the header with padding, signed so",
            issuer().seal(&format!("{header}=.{payload}")),
            "header",
        ),
        refused(
            "padded-signature",
            "the signature with its padding",
            format!("{header}.{payload}.{}", Base64Url::encode_string(&bytes)),
            "form",
        ),
        refused(
            "padded-signature-short",
            "the signature with half its padding",
            format!("{header}.{payload}.{signature}="),
            "form",
        ),
        refused(
            "base64-signature",
            "the signature in plain base64",
            format!("{header}.{payload}.{}", Base64::encode_string(&bytes)),
            "form",
        ),
        refused(
            "hex-signature",
            "the signature in hexadecimal",
            format!("{header}.{payload}.{}", hex(&bytes)),
            "form",
        ),
        refused(
            "one-character-over",
            "a payload of a length that base64 cannot have, signed so",
            sealed(&format!("{}AAA", &payload)),
            "form",
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The last character of a part may carry bits that belong to no byte: another spelling of the same bytes.
fn unused_bits() -> Vec<Vector> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let twin = |part: &str, bit: usize| {
        let (rest, last) = part.split_at(part.len() - 1);
        let place = ALPHABET.find(last).unwrap() ^ bit;
        format!("{rest}{}", &ALPHABET[place..=place])
    };
    let mut all = Vec::new();
    for (remainder, bits) in [(1, [1, 2, 4, 8].as_slice()), (2, &[1, 2])] {
        let [header, payload, signature] = token_with_both_signs(remainder);
        for bit in bits {
            let spelt = format!("{header}.{}", twin(&payload, *bit));
            all.push(refused(
                &format!("unused-bit-{bit}-payload-{remainder}"),
                "an unused bit set in the payload's last character, signed so",
                issuer().seal(&spelt),
                "form",
            ));
            all.push(refused(
                &format!("unused-bit-{bit}-payload-{remainder}-old-signature"),
                "an unused bit set in the payload's last character, signature kept",
                format!("{spelt}.{signature}"),
                "signature",
            ));
        }
    }
    let (_, [header, payload, signature]) = good();
    for bit in [1, 2, 3, 4, 8] {
        all.push(refused(
            &format!("unused-bit-{bit}-signature"),
            "an unused bit set in the signature's last character",
            format!("{header}.{payload}.{}", twin(&signature, bit)),
            "form",
        ));
    }
    all
}

/// A good token with something before or after it.
fn surroundings() -> Vec<Vector> {
    let (token, [_, payload, _]) = good();
    let around = |id: &str, before: &str, after: &str, error| {
        let note = format!("{before:?} before and {after:?} after a good token");
        refused(id, &note, format!("{before}{token}{after}"), error)
    };
    vec![
        around("space-before", " ", "", "header"),
        around("space-after", "", " ", "form"),
        around("tab-before", "\t", "", "header"),
        around("newline-before", "\n", "", "header"),
        around("newline-after", "", "\n", "form"),
        around("crlf-after", "", "\r\n", "form"),
        around("nul-before", "\0", "", "header"),
        around("nul-after", "", "\0", "form"),
        around("nul-and-more-after", "", "\0AAAA", "form"),
        around("bom-before", "\u{feff}", "", "header"),
        around("zero-width-after", "", "\u{200b}", "form"),
        around("bidi-before", "\u{202e}", "", "header"),
        around("quoted", "\"", "\"", "form"),
        around("angle", "<", ">", "form"),
        around("bearer", "Bearer ", "", "header"),
        around("url", "https://example/?token=", "", "header"),
        around("fragment", "", "#x", "form"),
        around("semicolon", "", ";", "form"),
        around("comma", "", ",", "form"),
        around("dot-before", ".", "", "header"),
        around("dot-after", "", ".", "form"),
        around("tilde-after", "", "~", "form"),
        refused(
            "twice",
            "a good token twice in a row",
            token.repeat(2),
            "signature",
        ),
        refused(
            "two-lines",
            "two good tokens on two lines",
            format!("{token}\n{token}"),
            "signature",
        ),
        refused(
            "wrapped",
            "a good token within base64url",
            part(&token),
            "form",
        ),
        refused(
            "upper",
            "a good token in upper case",
            token.to_uppercase(),
            "header",
        ),
        refused("payload-only", "the payload alone", payload, "form"),
    ]
}

/// A good token with something within it.
fn inside() -> Vec<Vector> {
    let (token, [header, payload, signature]) = good();
    let lines: Vec<&str> = (0..token.len())
        .step_by(64)
        .map(|at| &token[at..token.len().min(at + 64)])
        .collect();
    let join = |dot: &str| [header.as_str(), &payload, &signature].join(dot);
    let put = |part: &str, what: &str| format!("{}{what}{}", &part[..8], &part[8..]);
    let mut all = vec![
        refused(
            "folded",
            "a good token in lines of 64 characters",
            lines.join("\n"),
            "form",
        ),
        refused("spaced-dots", "spaces around the dots", join(" . "), "form"),
        refused("percent-dots", "percent-encoded dots", join("%2E"), "form"),
        refused("commas", "commas for dots", join(","), "form"),
        refused(
            "full-width-dots",
            "full-width dots",
            join("\u{ff0e}"),
            "form",
        ),
        refused("double-dots", "each dot twice", join(".."), "signature"),
        refused(
            "percent-letter",
            "a percent-encoded letter in the signature",
            format!(
                "{header}.{payload}.%{:02X}{}",
                signature.as_bytes()[0],
                &signature[1..]
            ),
            "form",
        ),
        refused(
            "homoglyph",
            "a Cyrillic letter in the header",
            format!(
                "{}.{payload}.{signature}",
                header.replacen('a', "\u{430}", 1)
            ),
            "header",
        ),
        refused(
            "full-width-signature",
            "a full-width letter in the signature",
            format!("{header}.{payload}.{}\u{ff21}", &signature[..85]),
            "form",
        ),
    ];
    for (id, what) in [
        ("space", " "),
        ("newline", "\n"),
        ("nul", "\0"),
        ("equals", "="),
        ("soft-hyphen", "\u{ad}"),
    ] {
        all.push(refused(
            &format!("{id}-in-header"),
            &format!("{what:?} within the header, signed so"),
            issuer().seal(&format!("{}.{payload}", put(&header, what))),
            "header",
        ));
        all.push(refused(
            &format!("{id}-in-payload"),
            &format!("{what:?} within the payload, signed so"),
            issuer().seal(&format!("{header}.{}", put(&payload, what))),
            "form",
        ));
        all.push(refused(
            &format!("{id}-in-signature"),
            &format!("{what:?} within the signature"),
            format!("{header}.{payload}.{}", put(&signature, what)),
            "form",
        ));
    }
    all
}

fn numbers_of_parts() -> Vec<Vector> {
    let (_, [header, payload, signature]) = good();
    let empty = part([]);
    vec![
        refused("nothing", "no text", "", "form"),
        refused("one-dot", "one dot", ".", "form"),
        refused("two-dots", "two dots", "..", "form"),
        refused("three-dots", "three dots", "...", "form"),
        refused("one-part", "only the header", header.clone(), "form"),
        refused(
            "two-parts",
            "header and payload",
            format!("{header}.{payload}"),
            "form",
        ),
        refused(
            "no-header",
            "header and its dot missing",
            format!("{payload}.{signature}"),
            "form",
        ),
        refused(
            "empty-payload",
            "empty payload, signed so",
            issuer().seal(&format!("{header}.{empty}")),
            "claims",
        ),
        refused(
            "empty-signature",
            "empty signature",
            format!("{header}.{payload}."),
            "form",
        ),
        refused(
            "detached",
            "the payload taken out (RFC 7515, appendix F)",
            format!("{header}..{signature}"),
            "signature",
        ),
        refused(
            "four-parts",
            "a fourth part after a good token",
            format!("{header}.{payload}.{signature}.{signature}"),
            "signature",
        ),
        refused(
            "four-parts-signed",
            "a payload of two parts, signed so",
            issuer().seal(&format!("{header}.{payload}.{payload}")),
            "form",
        ),
        refused(
            "four-parts-empty-signed",
            "an empty part after the payload, signed so",
            issuer().seal(&format!("{header}.{payload}.")),
            "form",
        ),
        refused(
            "five-parts",
            "five parts, as an encrypted token has",
            format!("{header}.{payload}.{payload}.{payload}.{signature}"),
            "signature",
        ),
        refused(
            "five-parts-signed",
            "five parts, signed so",
            issuer().seal(&format!("{header}.{payload}.{payload}.{payload}")),
            "form",
        ),
    ]
}

fn other_serialisations() -> Vec<Vector> {
    let (_, [header, payload, signature]) = good();
    let flat = json!({"protected": header, "payload": payload, "signature": signature});
    let general =
        json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]});
    let claims = text(&super::forge::claims());
    vec![
        refused(
            "json-flattened",
            "the flattened JSON form",
            flat.to_string(),
            "form",
        ),
        refused(
            "json-general",
            "the general JSON form",
            general.to_string(),
            "form",
        ),
        refused(
            "claims-alone",
            "the claims as they are",
            claims.clone(),
            "form",
        ),
        refused(
            "payload-not-encoded",
            "the payload not encoded (RFC 7797), signed so",
            issuer().seal(&format!("{header}.{claims}")),
            "form",
        ),
    ]
}
