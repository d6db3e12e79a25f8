//! Other headers: each token is signed by the trusted key over the header that it has.

use super::Vector;
use super::forge::{claims, issuer, other, part, text};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    all.extend(key_ids());
    all.extend(types());
    all.extend(further_members());
    all.extend(spellings());
    all.extend(keys_brought_along());
    all
}

fn refused(id: &str, note: &str, header: impl AsRef<[u8]>) -> Vector {
    let token = issuer().token_with(header, text(&claims()));
    Vector::refused(format!("header/{id}"), note, token, "header")
}

fn with_kid(written: &str) -> String {
    format!(r#"{{"alg":"EdDSA","kid":{written},"typ":"valetkey-cap+jwt"}}"#)
}

fn key_ids() -> Vec<Vector> {
    let kid = issuer().kid();
    let (first, rest) = kid.split_at(1);
    let escaped = format!("\"\\u{:04x}{rest}\"", u32::from(first.as_bytes()[0]));
    let quoted = |text: &str| format!("\"{text}\"");
    vec![
        refused(
            "kid-missing",
            "no `kid`",
            r#"{"alg":"EdDSA","typ":"valetkey-cap+jwt"}"#,
        ),
        refused("kid-empty", "empty `kid`", with_kid(r#""""#)),
        refused("kid-null", "`kid` is null", with_kid("null")),
        refused("kid-number", "`kid` is a number", with_kid("0")),
        refused(
            "kid-array",
            "`kid` is a list",
            with_kid(&format!("[{}]", quoted(&kid))),
        ),
        refused(
            "kid-other",
            "the id of an untrusted key",
            with_kid(&quoted(&other().kid())),
        ),
        refused(
            "kid-lower",
            "`kid` in lower case",
            with_kid(&quoted(&kid.to_lowercase())),
        ),
        refused(
            "kid-padded",
            "`kid` with padding",
            with_kid(&quoted(&format!("{kid}="))),
        ),
        refused(
            "kid-cut",
            "`kid` without its last character",
            with_kid(&quoted(&kid[..42])),
        ),
        refused(
            "kid-twice-in-one",
            "`kid` written twice in a row",
            with_kid(&quoted(&kid.repeat(2))),
        ),
        refused(
            "kid-nul",
            "`kid` with a NUL after it",
            with_kid(&quoted(&format!("{kid}\\u0000"))),
        ),
        refused(
            "kid-escaped",
            "`kid` with an escaped character",
            with_kid(&escaped),
        ),
        refused(
            "kid-path",
            "`kid` as a path",
            with_kid(r#""../../../../dev/null""#),
        ),
        refused("kid-sql", "`kid` as a query", with_kid(r#""' OR '1'='1""#)),
        refused(
            "kid-command",
            "`kid` as a command",
            with_kid(r#""|/usr/bin/id""#),
        ),
        refused(
            "kid-url",
            "`kid` as an address",
            with_kid(r#""https://attacker.example/jwks.json""#),
        ),
        refused("kid-wildcard", "`kid` as a pattern", with_kid(r#""*""#)),
        refused(
            "kid-twice",
            "`kid` twice, the untrusted one first",
            format!(
                r#"{{"alg":"EdDSA","kid":"{}","kid":"{kid}","typ":"valetkey-cap+jwt"}}"#,
                other().kid()
            ),
        ),
        refused(
            "kid-twice-same",
            "the right `kid` twice",
            format!(r#"{{"alg":"EdDSA","kid":"{kid}","kid":"{kid}","typ":"valetkey-cap+jwt"}}"#),
        ),
    ]
}

fn types() -> Vec<Vector> {
    let kid = issuer().kid();
    let with = |written: &str| format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":{written}}}"#);
    let mut all = vec![
        refused(
            "typ-missing",
            "no `typ`",
            format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#),
        ),
        refused(
            "typ-twice",
            "`typ` twice",
            format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"JWT","typ":"valetkey-cap+jwt"}}"#),
        ),
    ];
    for (id, written) in [
        ("jwt", r#""JWT""#),
        ("at-jwt", r#""at+jwt""#),
        ("dpop", r#""dpop+jwt""#),
        ("media-type", r#""application/valetkey-cap+jwt""#),
        ("upper", r#""VALETKEY-CAP+JWT""#),
        ("cut", r#""valetkey-cap""#),
        ("space", r#""valetkey-cap+jwt ""#),
        ("empty", r#""""#),
        ("null", "null"),
        ("array", r#"["valetkey-cap+jwt"]"#),
    ] {
        let note = format!("`typ` is {written}");
        all.push(refused(&format!("typ-{id}"), &note, with(written)));
    }
    all
}

/// Members that RFC 7515 and its relatives know, and one that nobody does, each in its alphabetic place and harmless beside it.
fn further_members() -> Vec<Vector> {
    let kid = issuer().kid();
    let members = [
        (
            "b64-false",
            r#""b64":false,"crit":["b64"]"#,
            "an unencoded payload (RFC 7797)",
        ),
        (
            "b64-true",
            r#""b64":true,"crit":["b64"]"#,
            "RFC 7797, though encoded",
        ),
        (
            "b64-false-not-critical",
            r#""b64":false"#,
            "RFC 7797 without `crit`",
        ),
        ("crit-empty", r#""crit":[]"#, "an empty `crit`"),
        ("crit-exp", r#""crit":["exp"],"exp":0"#, "a critical member"),
        (
            "crit-unknown",
            r#""crit":["urn:x"],"urn:x":1"#,
            "a critical member that nobody knows",
        ),
        (
            "crit-absent",
            r#""crit":["urn:x"]"#,
            "a critical member that is not there",
        ),
        (
            "crit-alg",
            r#""crit":["alg"]"#,
            "`crit` names a member of RFC 7515",
        ),
        ("crit-text", r#""crit":"exp""#, "`crit` is a text"),
        ("cty", r#""cty":"JWT""#, "a nested token"),
        ("zip", r#""zip":"DEF""#, "compression"),
        ("enc", r#""enc":"A256GCM""#, "encryption"),
        (
            "epk",
            r#""epk":{"crv":"X25519","kty":"OKP","x":"AA"}"#,
            "an ephemeral key",
        ),
        ("x5t", r#""x5t":"AA""#, "a certificate's thumbprint"),
        (
            "x5t-s256",
            r##""x5t#S256":"AA""##,
            "a certificate's SHA-256 thumbprint",
        ),
        ("iss", r#""iss":"local-broker""#, "a replicated claim"),
        ("nonce", r#""nonce":"1""#, "a nonce"),
        (
            "url",
            r#""url":"https://attacker.example""#,
            "an address (RFC 8555)",
        ),
        ("trust-chain", r#""trust_chain":[]"#, "a trust chain"),
        ("unknown", r#""x":1"#, "a member that nobody knows"),
        ("empty-name", r#""":1"#, "a member without a name"),
        (
            "alg-second",
            r#""alg":"none""#,
            "a second `alg`, which is `none`",
        ),
        ("alg-same", r#""alg":"EdDSA""#, "the same `alg` twice"),
        ("alg-upper-name", r#""ALG":"none""#, "`ALG` beside `alg`"),
        ("proto", r#""__proto__":{"alg":"none"}"#, "a prototype"),
    ];
    members
        .iter()
        .map(|(id, member, note)| {
            let header =
                format!(r#"{{"alg":"EdDSA",{member},"kid":"{kid}","typ":"valetkey-cap+jwt"}}"#);
            refused(id, note, header)
        })
        .collect()
}

/// The right members in other spellings.
fn spellings() -> Vec<Vector> {
    let right = issuer().header();
    let kid = format!(r#""kid":"{}""#, issuer().kid());
    let (alg, typ) = (r#""alg":"EdDSA""#, r#""typ":"valetkey-cap+jwt""#);
    let mut all = Vec::new();
    for (id, [a, b, c]) in [
        ("alg-typ-kid", [alg, typ, &kid]),
        ("kid-alg-typ", [&kid, alg, typ]),
        ("kid-typ-alg", [&kid, typ, alg]),
        ("typ-alg-kid", [typ, alg, &kid]),
        ("typ-kid-alg", [typ, &kid, alg]),
    ] {
        let note = "the members in another order";
        all.push(refused(
            &format!("order-{id}"),
            note,
            format!("{{{a},{b},{c}}}"),
        ));
    }
    let texts: [(&str, &str, String); 20] = [
        (
            "space-after-colon",
            "a space after a colon",
            right.replacen(':', ": ", 1),
        ),
        (
            "space-before-colon",
            "a space before a colon",
            right.replacen(':', " :", 1),
        ),
        (
            "space-after-comma",
            "a space after a comma",
            right.replacen(',', ", ", 1),
        ),
        (
            "space-inside",
            "a space after the brace",
            right.replacen('{', "{ ", 1),
        ),
        (
            "space-first",
            "a space before the brace",
            format!(" {right}"),
        ),
        ("space-last", "a space at the end", format!("{right} ")),
        ("newline-last", "a newline at the end", format!("{right}\n")),
        ("tab", "a tab after a comma", right.replacen(',', ",\t", 1)),
        ("bom", "a byte order mark", format!("\u{feff}{right}")),
        ("nul-last", "a NUL at the end", format!("{right}\0")),
        (
            "escaped-name",
            "`alg` with an escaped character",
            right.replacen("alg", "\\u0061lg", 1),
        ),
        (
            "escaped-hyphen",
            "`typ` with an escaped hyphen",
            right.replacen('-', "\\u002d", 1),
        ),
        (
            "trailing-comma",
            "a comma too many",
            right.replacen('}', ",}", 1),
        ),
        ("comment", "a comment", right.replacen('{', "{/**/", 1)),
        ("single-quotes", "single quotes", right.replace('"', "'")),
        ("two-objects", "a second object", format!("{right}{{}}")),
        ("list", "the header in a list", format!("[{right}]")),
        ("text", "the header as a text", format!("{right:?}")),
        (
            "cut",
            "the header without its brace",
            right[..right.len() - 1].to_owned(),
        ),
        (
            "nested",
            "the header within itself",
            format!(r#"{{"header":{right}}}"#),
        ),
    ];
    all.extend(
        texts
            .iter()
            .map(|(id, note, header)| refused(&format!("spelling-{id}"), note, header)),
    );
    for (id, header) in [
        ("empty-object", "{}"),
        ("empty-list", "[]"),
        ("null", "null"),
        ("nothing", ""),
    ] {
        all.push(refused(&format!("spelling-{id}"), "no members", header));
    }
    all.push(refused(
        "spelling-not-utf-8",
        "bytes that are no text",
        b"{\"alg\":\"\xff\"}",
    ));
    all.push(refused(
        "spelling-deep",
        "a thousand brackets",
        "[".repeat(1000),
    ));
    all
}

/// Signed by an attacker, who brings a key along or says where to find it, under the trusted key's id.
fn keys_brought_along() -> Vec<Vector> {
    let kid = issuer().kid();
    let x = part(other().public());
    let members = [
        (
            "jwk",
            format!(r#""jwk":{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
        ),
        (
            "jku",
            r#""jku":"https://attacker.example/jwks.json""#.to_owned(),
        ),
        ("jku-file", r#""jku":"file:///tmp/jwks.json""#.to_owned()),
        (
            "x5u",
            r#""x5u":"https://attacker.example/cert.pem""#.to_owned(),
        ),
        ("x5c", r#""x5c":["MIIB"]"#.to_owned()),
    ];
    let mut all = Vec::new();
    for (id, member) in members {
        let name = id.split('-').next().unwrap_or(id);
        // In the trusted key's name, and in the attacker's own.
        for (whose, kid) in [("trusted", kid.clone()), ("own", other().kid())] {
            let header = if name < "kid" {
                format!(r#"{{"alg":"EdDSA",{member},"kid":"{kid}","typ":"valetkey-cap+jwt"}}"#)
            } else {
                format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"valetkey-cap+jwt",{member}}}"#)
            };
            all.push(Vector::refused(
                format!("header/{id}-{whose}-kid"),
                format!(
                    "signed by an untrusted key that `{name}` points to, with the {whose} key's id"
                ),
                other().token_with(header, text(&claims())),
                "header",
            ));
        }
    }
    all
}
