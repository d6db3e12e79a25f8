//! What verifies, and everything near it that does not.

use super::*;
use crate::BundleKey;

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

fn files() -> Vec<(String, Vec<u8>)> {
    [
        ("a.rego", "package a"),
        ("b/data.json", r#"{"x": 1}"#),
        (".manifest", r#"{"revision":"7"}"#),
    ]
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .to_vec()
}

fn signed() -> (Vec<(String, Vec<u8>)>, Vec<Signer>) {
    let key = BundleKey::from_pem(KEY).unwrap();
    let mut files = files();
    let text = sign(&files, &key, "team").unwrap();
    files.push((SIGNATURES_FILE.to_owned(), text));
    let signer = Signer {
        kid: "team".to_owned(),
        public_key: key.public_key(),
    };
    (files, vec![signer])
}

#[test]
fn what_was_signed_verifies_whatever_the_spaces_of_its_json() {
    let (mut files, signers) = signed();
    assert_eq!(verify(&files, &signers).unwrap().kid(), "team");
    files[1].1 = b"{\n\"x\":1}\n".to_vec();
    assert!(verify(&files, &signers).is_ok());
    assert_eq!(claimed_signer(&files[3].1).as_deref(), Some("team"));
}

#[test]
fn nothing_else_verifies() {
    let (good, signers) = signed();
    let with = |change: &dyn Fn(&mut Vec<(String, Vec<u8>)>)| {
        let mut files = good.clone();
        change(&mut files);
        verify(&files, &signers).unwrap_err()
    };
    assert_eq!(
        with(&|files| files[0].1.push(b' ')),
        SignatureError::Changed("a.rego".into())
    );
    assert_eq!(
        with(&|files| files[1].1 = b"{\"x\":2}".to_vec()),
        SignatureError::Changed("b/data.json".into())
    );
    assert_eq!(
        with(&|files| drop(files.remove(0))),
        SignatureError::Missing("a.rego".into())
    );
    assert_eq!(
        with(&|files| files.push(("c.rego".into(), Vec::new()))),
        SignatureError::NotSigned("c.rego".into())
    );
    assert_eq!(with(&|files| files.truncate(3)), SignatureError::Unsigned);
    assert_eq!(verify(&good, &[]), Err(SignatureError::NoSigner));
    let stranger = Signer {
        kid: "team".to_owned(),
        // The public key of RFC 8032, section 7.1, test 1.
        public_key: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned(),
    };
    assert_eq!(verify(&good, &[stranger]), Err(SignatureError::Signature));
    let renamed = Signer {
        kid: "other".to_owned(),
        ..signers[0].clone()
    };
    assert_eq!(verify(&good, &[renamed]), Err(SignatureError::Signature));
}

#[test]
fn every_flipped_bit_of_a_signature_is_refused() {
    let (files, signers) = signed();
    let text = files[3].1.clone();
    for (at, byte) in text.iter().enumerate() {
        for bit in [1, 2, 4, 32] {
            let mut changed = files.clone();
            changed[3].1[at] ^= bit;
            if let Ok(by) = verify(&changed, &signers) {
                // A space around the JSON became another space.
                assert!(byte.is_ascii_whitespace(), "{at} {bit} {by:?}");
            }
        }
    }
}

#[test]
fn other_algorithms_scopes_and_forms_are_refused() {
    let key = BundleKey::from_pem(KEY).unwrap();
    let (files, signers) = signed();
    let encode = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    let token = |header: &str, payload: &str| {
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature = Base64UrlUnpadded::encode_string(&key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    };
    let refused = |tokens: &[String]| {
        let mut changed = files.clone();
        changed[3].1 = serde_json::to_vec(&serde_json::json!({"signatures": tokens})).unwrap();
        verify(&changed, &signers).unwrap_err()
    };
    let good = r#"{"alg":"EdDSA"}"#;
    assert_eq!(
        refused(&[token(r#"{"alg":"none"}"#, "{}")]),
        SignatureError::Algorithm("none".into())
    );
    assert_eq!(
        refused(&[token(r#"{"alg":"HS256"}"#, "{}")]),
        SignatureError::Algorithm("HS256".into())
    );
    let md5 = r#"{"files":[{"name":"a.rego","hash":"00","algorithm":"MD5"}]}"#;
    assert_eq!(
        refused(&[token(good, md5)]),
        SignatureError::Algorithm("MD5".into())
    );
    assert_eq!(
        refused(&[token(good, r#"{"files":[],"scope":"write"}"#)]),
        SignatureError::Scope("write".into())
    );
    let twice = r#"{"files":[{"name":"a","hash":"00","algorithm":"SHA-256"},{"name":"a","hash":"00","algorithm":"SHA-256"}]}"#;
    for tokens in [
        vec![],
        vec![token(good, "{}"), token(good, "{}")],
        vec!["a.b".to_owned()],
        vec![token(r#"{"alg":"EdDSA","crit":["x"]}"#, "{}")],
        vec![token(good, "[]")],
        vec![token(good, twice)],
    ] {
        assert!(
            matches!(refused(&tokens), SignatureError::Form(_)),
            "{tokens:?}"
        );
    }
}
