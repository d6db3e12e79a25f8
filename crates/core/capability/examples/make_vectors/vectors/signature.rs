//! Signatures that a strict verifier refuses: cut, changed, over other bytes, and those that the equation alone would accept.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::{EdwardsPoint, Scalar};
use serde_json::json;
use sha2::{Digest as _, Sha512};

use super::Vector;
use super::forge::{changed, claims, good, issuer, other, part, text};

/// The order of the base point, little-endian (RFC 8032, section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    all.extend(lengths());
    all.extend(changed_bits());
    all.extend(other_bytes());
    all.extend(malleable());
    all.extend(small_order());
    all.extend(other_schemes());
    all
}

fn refused(id: &str, note: &str, token: String, error: &'static str) -> Vector {
    Vector::refused(format!("signature/{id}"), note, token, error)
}

/// A good token's first two parts, with another signature.
fn with(id: &str, note: &str, signature: impl AsRef<[u8]>, error: &'static str) -> Vector {
    let (_, [header, payload, _]) = good();
    refused(
        id,
        note,
        format!("{header}.{payload}.{}", part(signature)),
        error,
    )
}

fn signed_part() -> String {
    let (_, [header, payload, _]) = good();
    format!("{header}.{payload}")
}

fn right() -> [u8; 64] {
    issuer().sign(signed_part())
}

fn lengths() -> Vec<Vector> {
    let right = right();
    let with = |id: &str, note: &str, bytes: Vec<u8>| with(id, note, bytes, "form");
    vec![
        with("one-byte", "one byte", vec![right[0]]),
        with("half", "the first half", right[..32].to_vec()),
        with("second-half", "the second half", right[32..].to_vec()),
        with("63-bytes", "without its last byte", right[..63].to_vec()),
        with(
            "63-bytes-first",
            "without its first byte",
            right[1..].to_vec(),
        ),
        with(
            "65-bytes",
            "a zero byte after it",
            [&right[..], &[0]].concat(),
        ),
        with(
            "65-bytes-first",
            "a zero byte before it",
            [&[0], &right[..]].concat(),
        ),
        with(
            "96-bytes",
            "the public key after it",
            [&right[..], &issuer().public()].concat(),
        ),
        with("twice", "twice in a row", [right, right].concat()),
        with("der", "as a DER sequence of two numbers", der(&right)),
    ]
}

fn der(signature: &[u8; 64]) -> Vec<u8> {
    let number = |bytes: &[u8]| [&[2, 33, 0], bytes].concat();
    [
        vec![0x30, 70],
        number(&signature[..32]),
        number(&signature[32..]),
    ]
    .concat()
}

fn changed_bits() -> Vec<Vector> {
    let (token, [header, _, signature]) = good();
    let mut all = Vec::new();
    for bit in [0, 7, 100, 254, 256, 300, 504, 507, 508, 509, 510, 511] {
        let mut bytes = right();
        bytes[bit / 8] ^= 1 << (bit % 8);
        all.push(with(
            &format!("bit-{bit}"),
            "one bit of the signature changed",
            bytes,
            "signature",
        ));
    }
    for (id, claims) in [
        (
            "later",
            changed(|c| c["exp"] = json!(c["exp"].as_u64().unwrap() + 1)),
        ),
        (
            "wider",
            changed(|c| c["authorization_details"][0]["resource"] = json!("file:/**")),
        ),
        (
            "more",
            changed(|c| c["authorization_details"][0]["actions"] = json!(["read", "write"])),
        ),
        (
            "no-limits",
            changed(|c| c["authorization_details"][0]["constraints"] = json!({})),
        ),
        (
            "no-exceptions",
            changed(|c| c["authorization_details"][0]["except"] = json!([])),
        ),
        (
            "session",
            changed(|c| c["cnf"]["valetkey_session"] = json!("ses-01KF0000000000000000000009")),
        ),
        (
            "id",
            changed(|c| c["jti"] = json!("cap-01KF0000000000000000000009")),
        ),
    ] {
        all.push(refused(
            &format!("payload-{id}"),
            "the claims changed, the signature kept",
            format!("{header}.{}.{signature}", part(text(&claims))),
            "signature",
        ));
    }
    let later = issuer().token(text(&changed(|c| {
        c["jti"] = json!("cap-01KF0000000000000000000003")
    })));
    let (_, of_later) = later.rsplit_once('.').unwrap();
    let (signed, _) = token.rsplit_once('.').unwrap();
    all.push(refused(
        "of-another-token",
        "the signature of another good token",
        format!("{signed}.{of_later}"),
        "signature",
    ));
    all
}

fn other_bytes() -> Vec<Vector> {
    let (_, [header, payload, _]) = good();
    let signed = signed_part();
    let claims = text(&claims());
    let over = |id: &str, what: &str, message: &[u8]| {
        with(
            &format!("over-{id}"),
            &format!("over {what}"),
            issuer().sign(message),
            "signature",
        )
    };
    vec![
        over("nothing", "no bytes", b""),
        over("payload", "the payload's part", payload.as_bytes()),
        over("header", "the header's part", header.as_bytes()),
        over("claims", "the claims, decoded", claims.as_bytes()),
        over(
            "decoded",
            "header and claims, decoded",
            format!("{}.{claims}", issuer().header()).as_bytes(),
        ),
        over(
            "dot",
            "the two parts and a dot",
            format!("{signed}.").as_bytes(),
        ),
        over(
            "newline",
            "the two parts and a newline",
            format!("{signed}\n").as_bytes(),
        ),
        over(
            "no-dot",
            "the two parts without their dot",
            format!("{header}{payload}").as_bytes(),
        ),
        over(
            "swapped",
            "the two parts swapped",
            format!("{payload}.{header}").as_bytes(),
        ),
        over(
            "unencoded",
            "the header's part and the claims (RFC 7797)",
            format!("{header}.{claims}").as_bytes(),
        ),
        over(
            "digest",
            "the SHA-512 digest of the two parts",
            &Sha512::digest(&signed),
        ),
        over("kid", "the key id", issuer().kid().as_bytes()),
        with(
            "other-key",
            "by an untrusted key in the trusted key's name",
            other().sign(&signed),
            "signature",
        ),
        refused(
            "unknown-key",
            "by an untrusted key in its own name",
            other().token(&claims),
            "header",
        ),
    ]
}

/// S is a number below the group's order; the same number and a multiple of the order satisfy the equation as well.
fn malleable() -> Vec<Vector> {
    let right = right();
    let (r, s) = right.split_at(32);
    let mut all = Vec::new();
    let mut larger = <[u8; 32]>::try_from(s).unwrap();
    for times in 1..=8 {
        larger = plus_order(larger);
        let note = format!("S and {times} times the group's order");
        all.push(with(
            &format!("s-plus-{times}-orders"),
            &note,
            [r, &larger].concat(),
            "signature",
        ));
    }
    let negative = (-scalar(s)).to_bytes();
    let mut high = <[u8; 32]>::try_from(s).unwrap();
    high[31] |= 0xe0;
    let minus = (-point(r)).compress().to_bytes();
    let parts: [(&str, &str, &[u8], &[u8]); 13] = [
        ("s-high-bits", "the three high bits of S set", r, &high),
        ("s-zero", "S is zero", r, &[0; 32]),
        ("s-order", "S is the group's order", r, &ORDER),
        ("s-ones", "S is all ones", r, &[0xff; 32]),
        ("s-negated", "S negated", r, &negative),
        ("r-zero", "R is all zeros", &[0; 32], s),
        ("r-ones", "R is all ones", &[0xff; 32], s),
        ("r-negated", "R negated", &minus, s),
        ("both-negated", "R and S negated", &minus, &negative),
        ("swapped", "R and S swapped", s, r),
        ("zeros", "64 zero bytes", &[0; 32], &[0; 32]),
        ("ones", "64 bytes of ones", &[0xff; 32], &[0xff; 32]),
        ("public-key", "the public key as R", &issuer().public(), s),
    ];
    all.extend(parts.map(|(id, note, r, s)| with(id, note, [r, s].concat(), "signature")));
    all
}

fn plus_order(number: [u8; 32]) -> [u8; 32] {
    let mut sum = [0; 32];
    let mut carry = 0_u16;
    for ((out, a), b) in sum.iter_mut().zip(number).zip(ORDER) {
        carry += u16::from(a) + u16::from(b);
        *out = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(carry, 0, "S has room for eight times the order");
    sum
}

/// R of small order: the equation holds, exactly or times eight, and the signature says nothing about who made it.
fn small_order() -> Vec<Vector> {
    let signed = signed_part();
    let mut all = Vec::new();
    for (place, torsion) in EIGHT_TORSION.iter().enumerate() {
        let r = torsion.compress().to_bytes();
        let s = challenge(&[], &r, &issuer().public(), signed.as_bytes()) * secret();
        assert!(holds_times_eight(&r, s, &issuer().public(), &signed));
        let note =
            "R is of small order and S fits it: a verifier that multiplies by the cofactor accepts";
        all.push(with(
            &format!("r-small-order-{place}"),
            note,
            [r, s.to_bytes()].concat(),
            "signature",
        ));
    }
    // The identity, whose y is 1, written as p + 1, and with the sign of a zero x.
    let mut p_plus_one = [0xff; 32];
    (p_plus_one[0], p_plus_one[31]) = (0xee, 0x7f);
    let mut signed_zero = [0; 32];
    (signed_zero[0], signed_zero[31]) = (1, 0x80);
    for (id, r) in [("p-plus-one", p_plus_one), ("signed-zero", signed_zero)] {
        let s = challenge(&[], &r, &issuer().public(), signed.as_bytes()) * secret();
        let note = "R is the identity in another encoding and S fits it";
        all.push(with(
            &format!("r-identity-{id}"),
            note,
            [r, s.to_bytes()].concat(),
            "signature",
        ));
    }
    // A right R with a point of small order added to it: only the equation times eight holds.
    let nonce = Scalar::from(0x5eed_u64);
    let mixed = ED25519_BASEPOINT_POINT * nonce + EIGHT_TORSION[1];
    let r = mixed.compress().to_bytes();
    let s = nonce + challenge(&[], &r, &issuer().public(), signed.as_bytes()) * secret();
    assert!(holds_times_eight(&r, s, &issuer().public(), &signed));
    all.push(with(
        "r-mixed-order",
        "R has a part of small order: the equation holds only times eight",
        [r, s.to_bytes()].concat(),
        "signature",
    ));
    all
}

/// The relatives of Ed25519 that hash a prefix (RFC 8032, section 5.1), with the same key.
fn other_schemes() -> Vec<Vector> {
    let signed = signed_part();
    let prehashed = Sha512::digest(&signed);
    let schemes: [(&str, &str, u8, &[u8], &[u8]); 4] = [
        ("ed25519ph", "Ed25519ph", 1, b"", &prehashed),
        (
            "ed25519ctx",
            "Ed25519ctx with a context",
            0,
            b"valetkey",
            signed.as_bytes(),
        ),
        (
            "ed25519ctx-type",
            "Ed25519ctx with the token's type",
            0,
            b"valetkey-cap+jwt",
            signed.as_bytes(),
        ),
        (
            "ed25519ctx-empty",
            "Ed25519ctx without a context",
            0,
            b"",
            signed.as_bytes(),
        ),
    ];
    schemes
        .map(|(id, name, flag, context, message)| {
            let length = u8::try_from(context.len()).unwrap();
            let prefix = [
                b"SigEd25519 no Ed25519 collisions",
                &[flag, length][..],
                context,
            ]
            .concat();
            let nonce = Scalar::from(0x5eed_u64);
            let r = (ED25519_BASEPOINT_POINT * nonce).compress().to_bytes();
            let s = nonce + challenge(&prefix, &r, &issuer().public(), message) * secret();
            with(
                id,
                &format!("{name} instead of Ed25519"),
                [r, s.to_bytes()].concat(),
                "signature",
            )
        })
        .into()
}

/// k of RFC 8032, section 5.1.7.
pub(super) fn challenge(prefix: &[u8], r: &[u8; 32], public: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(prefix)
        .chain_update(r)
        .chain_update(public)
        .chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

/// Whether a verifier that multiplies by the cofactor (RFC 8032 allows it) and checks nothing more would accept: that is what makes
/// these vectors worth having.
pub(super) fn holds_times_eight(r: &[u8; 32], s: Scalar, public: &[u8; 32], signed: &str) -> bool {
    let k = challenge(&[], r, public, signed.as_bytes());
    let rest = ED25519_BASEPOINT_POINT * s - point(public) * k - point(r);
    rest.mul_by_cofactor() == EIGHT_TORSION[0]
}

/// The issuer's secret number.
pub(super) fn secret() -> Scalar {
    let secret = issuer().key.to_scalar();
    assert_eq!(
        (ED25519_BASEPOINT_POINT * secret).compress().to_bytes(),
        issuer().public()
    );
    secret
}

fn scalar(bytes: &[u8]) -> Scalar {
    Scalar::from_canonical_bytes(bytes.try_into().unwrap()).unwrap()
}

fn point(bytes: &[u8]) -> EdwardsPoint {
    curve25519_dalek::edwards::CompressedEdwardsY::from_slice(bytes)
        .unwrap()
        .decompress()
        .unwrap()
}
