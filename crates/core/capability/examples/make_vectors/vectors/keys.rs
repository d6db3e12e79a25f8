//! Keys that must not be trusted: a JWK of another form is left out, and with it every token it would verify.

use curve25519_dalek::Scalar;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::CompressedEdwardsY;
use serde_json::{Value, json};

use super::Vector;
use super::forge::{claims, good, header, issuer, jwk, kid, other, part, text};
use super::signature::{challenge, holds_times_eight, secret};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = weak();
    all.extend(mixed_order());
    all.extend(not_canonical());
    all.extend(other_forms());
    all
}

/// Keys of small order: R the identity and S zero verify any message under the key that is the identity, and every eighth under the others.
fn weak() -> Vec<Vector> {
    let canonical = EIGHT_TORSION
        .iter()
        .map(|torsion| torsion.compress().to_bytes());
    // y = 0, 1 and -1 written with a value of p and more, or with the sign of a zero x.
    let field = |low: u8, sign: u8| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, 0x7f | sign);
        bytes
    };
    let mut signed_one = [0; 32];
    (signed_one[0], signed_one[31]) = (1, 0x80);
    let others = [
        field(0xed, 0),
        field(0xed, 0x80),
        field(0xee, 0),
        field(0xee, 0x80),
        field(0xec, 0x80),
        signed_one,
    ];
    let identity = EIGHT_TORSION[0].compress().to_bytes();
    canonical
        .chain(others)
        .enumerate()
        .map(|(place, key)| {
            let signed = format!("{}.{}", part(header(&kid(&key))), part(text(&claims())));
            assert!(holds_times_eight(&identity, Scalar::ZERO, &key, &signed));
            let token = format!("{signed}.{}", part([identity, [0; 32]].concat()));
            let note = "the key is of small order: R = 1 and S = 0 is a signature of anything";
            Vector::refused(format!("keys/small-order-{place}"), note, token, "header")
                .with_jwks(&[jwk(&key)])
        })
        .collect()
}

/// The trusted point with a point of order eight added: the signature holds only times the cofactor.
fn mixed_order() -> Vec<Vector> {
    let honest = CompressedEdwardsY(issuer().public()).decompress().unwrap();
    let key = (honest + EIGHT_TORSION[1]).compress().to_bytes();
    let signed = format!("{}.{}", part(header(&kid(&key))), part(text(&claims())));
    let (r, k, nonce) = (1_u64..)
        .map(|number| {
            let nonce = Scalar::from(number);
            let r = (ED25519_BASEPOINT_POINT * nonce).compress().to_bytes();
            (r, challenge(&[], &r, &key, signed.as_bytes()), nonce)
        })
        .find(|(_, k, _)| k.as_bytes()[0] % 8 != 0)
        .unwrap();
    let s = nonce + k * secret();
    assert!(holds_times_eight(&r, s, &key, &signed));
    let token = format!("{signed}.{}", part([r, s.to_bytes()].concat()));
    let note = "the key has a part of small order: the signature holds only times eight";
    vec![Vector::refused("keys/mixed-order", note, token, "signature").with_jwks(&[jwk(&key)])]
}

/// Keys of large order whose y is written with a value of p and more: another text, and so another id, for the same point.
fn not_canonical() -> Vec<Vector> {
    (0..19_u8)
        .map(|y| {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (0xed + y, 0x7f);
            bytes
        })
        .filter(|bytes| {
            let point = CompressedEdwardsY(*bytes).decompress();
            point.is_some_and(|point| !point.is_small_order())
        })
        .map(|key| {
            let token = issuer().token_with(header(&kid(&key)), text(&claims()));
            let id = format!("keys/not-canonical-{}", key[0] - 0xed);
            let note = "the key's y is written with a value of p and more";
            Vector::refused(id, note, token, "header").with_jwks(&[jwk(&key)])
        })
        .collect()
}

/// A good token, and its key published in a form that is not the documented one.
fn other_forms() -> Vec<Vector> {
    let right = issuer().jwk();
    let x = part(issuer().public());
    let with = |name: &str, value: Value| {
        let mut jwk = right.clone();
        jwk[name] = value;
        jwk
    };
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    let cases = [
        (
            "kid-other",
            "another key's id",
            with("kid", json!(other().kid())),
        ),
        ("kid-empty", "an empty id", with("kid", json!(""))),
        ("kty-oct", "a secret key's type", with("kty", json!("oct"))),
        ("kty-ec", "another type of key", with("kty", json!("EC"))),
        (
            "kty-lower",
            "the type in lower case",
            with("kty", json!("okp")),
        ),
        (
            "crv-x25519",
            "a curve for key agreement",
            with("crv", json!("X25519")),
        ),
        ("crv-ed448", "another curve", with("crv", json!("Ed448"))),
        ("alg-hs256", "a key for HS256", with("alg", json!("HS256"))),
        ("alg-none", "a key for `none`", with("alg", json!("none"))),
        ("alg-es256", "a key for ES256", with("alg", json!("ES256"))),
        ("use-enc", "a key for encryption", with("use", json!("enc"))),
        (
            "x-padded",
            "`x` with padding",
            with("x", json!(format!("{x}="))),
        ),
        (
            "x-short",
            "`x` of 31 bytes",
            with("x", json!(part(&issuer().public()[1..]))),
        ),
        (
            "x-long",
            "`x` of 33 bytes",
            with("x", json!(part([&issuer().public()[..], &[0]].concat()))),
        ),
        ("x-empty", "an empty `x`", with("x", json!(""))),
        (
            "x-space",
            "`x` with a space",
            with("x", json!(format!("{x} "))),
        ),
        (
            "x-other",
            "another key in the trusted one's name",
            with("x", json!(part(other().public()))),
        ),
        (
            "x-off-curve",
            "`x` is no point of the curve",
            jwk(&off_curve),
        ),
    ];
    let (token, _) = good();
    let mut all: Vec<Vector> = cases
        .into_iter()
        .map(|(id, what, jwk)| {
            let note = format!("a good token; its key is published with {what}");
            Vector::refused(format!("keys/{id}"), note, token.clone(), "header").with_jwks(&[jwk])
        })
        .collect();
    let note = "a good token; no key is published";
    all.push(Vector::refused("keys/none", note, token.clone(), "header").with_jwks(&[]));
    let note = "a good token; its key is published no longer";
    all.push(Vector::refused("keys/retired", note, token, "header").with_jwks(&[other().jwk()]));
    all
}
