//! Tests of the token: what verifies, and everything that must not.

use proptest::prelude::*;
use serde_json::{Value, json};
use valetkey_model::{AgentId, CapabilityId, Constraints, Digest, Grant};

use super::*;
use crate::{AuthorizationDetail, Confirmation};

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn session() -> SessionId {
    SessionId::new(NOW, [1; 10])
}

fn claims() -> Claims {
    Claims {
        iss: "local-broker".to_owned(),
        sub: AgentId::sanitised("agent"),
        aud: AUDIENCE_GUARD.to_owned(),
        jti: CapabilityId::new(NOW, [2; 10]),
        iat: NOW.unix_seconds(),
        nbf: NOW.unix_seconds(),
        exp: NOW.unix_seconds() + 300,
        cnf: Confirmation {
            valetkey_session: session(),
        },
        authorization_details: [AuthorizationDetail::of(Grant {
            resource: "file:/home/alice/**".parse().unwrap(),
            actions: "read,append".parse().unwrap(),
            constraints: Constraints {
                max_bytes: Some(1_048_576),
                ..Constraints::default()
            },
            except: vec!["file:/**/.env".parse().unwrap()],
        })],
        parent: None,
        approvals: vec![],
        policy_id: "p".to_owned(),
        policy_digest: Digest::of(b"policy"),
    }
}

fn key() -> IssuerKey {
    IssuerKey::from_seed(&[9; 32])
}

fn verifier() -> Verifier {
    Verifier::new([key().public().clone()], session())
}

/// Signs any header and payload with the trusted key, as a broken or malicious issuer could.
fn signed(header: &str, payload: &[u8]) -> String {
    let mut token = Base64UrlUnpadded::encode_string(header.as_bytes());
    token.push('.');
    token.push_str(&Base64UrlUnpadded::encode_string(payload));
    let signature = key().sign(token.as_bytes());
    format!("{token}.{}", Base64UrlUnpadded::encode_string(&signature))
}

fn good_header() -> String {
    format!(
        r#"{{"alg":"EdDSA","kid":"{}","typ":"valetkey-cap+jwt"}}"#,
        key().public().kid()
    )
}

fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::to_value(claims()).unwrap();
    change(&mut value);
    signed(&good_header(), &canonical_json(&value).unwrap())
}

#[test]
fn what_was_signed_verifies_and_says_the_same() {
    let token = key().sign_claims(&claims()).unwrap();
    assert_eq!(verifier().verify(&token, NOW).unwrap().claims(), &claims());
    assert!(verifier().verify(&with(|_| {}), NOW).is_ok());
}

#[test]
fn time_has_edges() {
    let token = key().sign_claims(&claims()).unwrap();
    let at = |seconds: u64| verifier().verify(&token, Timestamp::from_unix_seconds(seconds));
    let start = NOW.unix_seconds();
    assert_eq!(at(start - 1), Err(TokenError::NotYet));
    assert!(at(start + 299).is_ok());
    assert_eq!(at(start + 300), Err(TokenError::Expired));
}

#[test]
fn headers_other_than_the_one_are_refused() {
    let kid = key().public().kid().to_owned();
    let payload = canonical_json(&claims()).unwrap();
    for header in [
        r#"{"alg":"none"}"#.to_owned(),
        format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"valetkey-cap+jwt"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"JWT"}}"#),
        r#"{"alg":"EdDSA","kid":"other","typ":"valetkey-cap+jwt"}"#.to_owned(),
        format!(r#"{{"alg":"EdDSA","crit":["x"],"kid":"{kid}","typ":"valetkey-cap+jwt"}}"#),
        format!(r#"{{"alg":"EdDSA","alg":"EdDSA","kid":"{kid}","typ":"valetkey-cap+jwt"}}"#),
        format!(r#"{{"alg": "EdDSA","kid":"{kid}","typ":"valetkey-cap+jwt"}}"#),
        format!(r#"{{"kid":"{kid}","alg":"EdDSA","typ":"valetkey-cap+jwt"}}"#),
        String::new(),
    ] {
        assert_eq!(
            verifier().verify(&signed(&header, &payload), NOW),
            Err(TokenError::Header),
            "{header}"
        );
    }
}

#[test]
fn claims_of_another_form_are_refused_even_when_signed() {
    let changes: [(&str, fn(&mut Value)); 10] = [
        ("unknown member", |v| v["admin"] = json!(true)),
        ("missing member", |v| {
            drop(v.as_object_mut().unwrap().remove("parent"))
        }),
        ("no details", |v| v["authorization_details"] = json!([])),
        ("two details", |v| {
            let detail = v["authorization_details"][0].clone();
            v["authorization_details"] = json!([detail, detail]);
        }),
        ("unknown constraint", |v| {
            v["authorization_details"][0]["constraints"]["max_luck"] = json!(1)
        }),
        ("unknown action", |v| {
            v["authorization_details"][0]["actions"] = json!(["fly"])
        }),
        ("actions out of order", |v| {
            v["authorization_details"][0]["actions"] = json!(["append", "read"])
        }),
        ("path not canonical", |v| {
            v["authorization_details"][0]["resource"] = json!("file:/a/../b")
        }),
        ("text for number", |v| v["exp"] = json!("1")),
        ("other detail type", |v| {
            v["authorization_details"][0]["type"] = json!("other")
        }),
    ];
    for (name, change) in changes {
        assert_eq!(
            verifier().verify(&with(change), NOW),
            Err(TokenError::Claims),
            "{name}"
        );
    }
    let text = String::from_utf8(canonical_json(&claims()).unwrap()).unwrap();
    for broken in [
        text.replacen('{', r#"{"aud":"valetkey-guard","#, 1),
        text.replace(':', ": "),
        format!("{text} "),
        text.replace("valetkey-guard", r"valetkey\u002dguard"),
        String::new(),
    ] {
        assert_eq!(
            verifier().verify(&signed(&good_header(), broken.as_bytes()), NOW),
            Err(TokenError::Claims),
            "{broken}"
        );
    }
}

#[test]
fn claims_for_others_are_refused() {
    assert_eq!(
        verifier().verify(&with(|v| v["aud"] = json!("else")), NOW),
        Err(TokenError::Audience)
    );
    let other = SessionId::new(NOW, [3; 10]);
    assert_eq!(
        verifier().verify(&with(|v| v["cnf"]["valetkey_session"] = json!(other)), NOW),
        Err(TokenError::Session)
    );
    assert_eq!(
        verifier().verify(&with(|v| v["exp"] = json!(NOW.unix_seconds() + 3601)), NOW),
        Err(TokenError::Life)
    );
    assert_eq!(
        verifier().verify(
            &with(|v| v["authorization_details"][0]["constraints"]["single_use"] = json!(true)),
            NOW
        ),
        Err(TokenError::Life)
    );
}

#[test]
fn another_key_does_not_count() {
    let other = IssuerKey::from_seed(&[8; 32]);
    let token = other.sign_claims(&claims()).unwrap();
    assert_eq!(verifier().verify(&token, NOW), Err(TokenError::Header));
    let both = Verifier::new([key().public().clone(), other.public().clone()], session());
    assert!(both.verify(&token, NOW).is_ok());
    assert!(Verifier::new([], session()).verify(&token, NOW).is_err());
}

#[test]
fn forms_that_are_not_compact_jws_are_refused() {
    let token = key().sign_claims(&claims()).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    for broken in [
        String::new(),
        "..".to_owned(),
        parts[..2].join("."),
        format!("{token}="),
        format!("{token}."),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], &parts[2][..84]),
    ] {
        assert!(verifier().verify(&broken, NOW).is_err(), "{broken}");
    }
    assert_eq!(
        verifier().verify(&"a".repeat(MAX_TOKEN_BYTES + 1), NOW),
        Err(TokenError::Oversize)
    );
    // The last character of 64 bytes carries two unused bits: another spelling of the same bytes is refused.
    let last = token.chars().last().unwrap();
    let twin = match last {
        'A' => 'B',
        'Q' => 'R',
        'g' => 'h',
        _ => 'x',
    };
    let respelt = format!("{}{twin}", &token[..token.len() - 1]);
    assert_eq!(verifier().verify(&respelt, NOW), Err(TokenError::Form));
}

proptest! {
    #[test]
    fn any_changed_byte_is_refused(at in any::<prop::sample::Index>(), byte in 1u8..128) {
        let token = key().sign_claims(&claims()).unwrap();
        let mut bytes = token.clone().into_bytes();
        let at = at.index(bytes.len());
        if bytes[at] != byte {
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert!(verifier().verify(&changed, NOW).is_err());
        }
    }

    #[test]
    fn no_text_verifies_by_chance(text in "\\PC{0,200}") {
        prop_assert!(verifier().verify(&text, NOW).is_err());
    }
}
