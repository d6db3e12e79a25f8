//! Other algorithms: named in the header beside a right signature, and used in earnest with what an attacker knows.

use serde_json::Value;

use super::Vector;
use super::forge::{claims, good, hmac_sha256, hmac_sha512, issuer, part, text};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all: Vec<Vector> = ALGORITHMS
        .iter()
        .map(|(id, written)| {
            let token = issuer().token_with(header(written), text(&claims()));
            let note = format!("`alg` is {written}; the signature is a right Ed25519 one");
            Vector::refused(format!("algorithm/{id}"), note, token, "header")
        })
        .collect();
    all.extend(unsigned());
    all.extend(keyed_with_the_public_key());
    all
}

/// By name, as JSON.
const ALGORITHMS: [(&str, &str); 38] = [
    ("none", r#""none""#),
    ("none-title", r#""None""#),
    ("none-upper", r#""NONE""#),
    ("none-mixed", r#""nOnE""#),
    ("empty", r#""""#),
    ("hs256", r#""HS256""#),
    ("hs384", r#""HS384""#),
    ("hs512", r#""HS512""#),
    ("es256", r#""ES256""#),
    ("es256k", r#""ES256K""#),
    ("es384", r#""ES384""#),
    ("es512", r#""ES512""#),
    ("rs256", r#""RS256""#),
    ("rs384", r#""RS384""#),
    ("rs512", r#""RS512""#),
    ("ps256", r#""PS256""#),
    ("ps512", r#""PS512""#),
    ("ed25519-rfc9864", r#""Ed25519""#),
    ("ed448", r#""Ed448""#),
    ("ml-dsa-44", r#""ML-DSA-44""#),
    ("dir", r#""dir""#),
    ("rsa-oaep", r#""RSA-OAEP""#),
    ("eddsa-lower", r#""eddsa""#),
    ("eddsa-upper", r#""EDDSA""#),
    ("eddsa-space-after", r#""EdDSA ""#),
    ("eddsa-space-before", r#"" EdDSA""#),
    ("eddsa-nul", "\"EdDSA\\u0000\""),
    ("eddsa-escaped", "\"Ed\\u0044SA\""),
    ("eddsa-full-width", "\"\u{ff25}dDSA\""),
    ("array", r#"["EdDSA"]"#),
    ("array-of-two", r#"["EdDSA","none"]"#),
    ("object", r#"{"alg":"EdDSA"}"#),
    ("null", "null"),
    ("true", "true"),
    ("number", "0"),
    ("cose-number", "-8"),
    ("list-in-text", r#""EdDSA,none""#),
    ("curve-in-text", r#""EdDSA/Ed25519""#),
];

fn header(algorithm: &str) -> String {
    let kid = issuer().kid();
    format!(r#"{{"alg":{algorithm},"kid":"{kid}","typ":"valetkey-cap+jwt"}}"#)
}

fn unsigned() -> Vec<Vector> {
    let (_, [_, payload, signature]) = good();
    let none = part(header(r#""none""#));
    let bare = part(r#"{"alg":"none"}"#);
    let missing = format!(r#"{{"kid":"{}","typ":"valetkey-cap+jwt"}}"#, issuer().kid());
    let refused = |id: &str, note: &str, token: String, error| {
        Vector::refused(format!("algorithm/{id}"), note, token, error)
    };
    vec![
        refused(
            "none-unsigned",
            "`none` with an empty signature, as RFC 7519 section 6 writes it",
            format!("{none}.{payload}."),
            "form",
        ),
        refused(
            "none-bare-unsigned",
            "only `none` in the header, empty signature",
            format!("{bare}.{payload}."),
            "form",
        ),
        refused(
            "none-without-dot",
            "`none` without a third part",
            format!("{none}.{payload}"),
            "form",
        ),
        refused(
            "none-old-signature",
            "`none` put into a good token, whose signature is kept",
            format!("{none}.{payload}.{signature}"),
            "header",
        ),
        refused(
            "none-zero-signature",
            "`none` with 64 zero bytes",
            format!("{none}.{payload}.{}", part([0; 64])),
            "header",
        ),
        refused(
            "missing",
            "no `alg`; the signature is a right Ed25519 one",
            issuer().token_with(missing, text(&claims())),
            "header",
        ),
    ]
}

/// The classic confusion: a verifier that takes the algorithm from the header checks an HMAC keyed with what everybody knows.
fn keyed_with_the_public_key() -> Vec<Vector> {
    let payload = part(text(&claims()));
    let x = part(issuer().public());
    let jwk: Value = issuer().jwk();
    let secrets: [(&str, &str, Vec<u8>); 4] = [
        (
            "raw",
            "the 32 bytes of the public key",
            issuer().public().to_vec(),
        ),
        ("x", "the JWK's `x` as text", x.into_bytes()),
        ("kid", "the key id", issuer().kid().into_bytes()),
        ("empty", "nothing", Vec::new()),
    ];
    assert_eq!(jwk["kid"], issuer().kid());
    let mut all = Vec::new();
    for (id, what, secret) in secrets {
        let signed = format!("{}.{payload}", part(header(r#""HS256""#)));
        let short = format!("{signed}.{}", part(hmac_sha256(&secret, signed.as_bytes())));
        all.push(Vector::refused(
            format!("algorithm/hs256-secret-{id}"),
            format!("a right HS256 whose secret is {what}"),
            short,
            "form",
        ));
        let signed = format!("{}.{payload}", part(header(r#""HS512""#)));
        let long = format!("{signed}.{}", part(hmac_sha512(&secret, signed.as_bytes())));
        all.push(Vector::refused(
            format!("algorithm/hs512-secret-{id}"),
            format!("a right HS512, as long as an Ed25519 signature, whose secret is {what}"),
            long,
            "header",
        ));
        let signed = format!("{}.{payload}", part(issuer().header()));
        let hidden = format!("{signed}.{}", part(hmac_sha512(&secret, signed.as_bytes())));
        all.push(Vector::refused(
            format!("algorithm/hidden-hs512-secret-{id}"),
            format!("the right header over an HS512 whose secret is {what}"),
            hidden,
            "signature",
        ));
    }
    all
}
