//! Signed payloads of another form: what a broken issuer, or a reader that reads leniently, would let through.

use serde_json::{Value, json};

use super::forge::{changed, claims, issuer, respelt, text};
use super::{NOW, Vector};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    all.extend(missing());
    all.extend(null());
    all.extend(unknown());
    all.extend(duplicates());
    all.extend(types());
    all
}

fn refused(id: &str, note: &str, payload: impl AsRef<[u8]>) -> Vector {
    let token = issuer().token(payload);
    Vector::refused(format!("payload/{id}"), note, token, "claims")
}

/// Claims after a change, in canonical text.
fn with(id: &str, note: &str, change: impl FnOnce(&mut Value)) -> Vector {
    refused(id, note, text(&changed(change)))
}

/// The claims as text with one piece of it written in another way.
fn spelt(id: &str, note: &str, from: &str, to: &str) -> Vector {
    refused(id, note, respelt(from, to))
}

/// Where each member lies, and the members there.
const MEMBERS: [(&str, &[&str]); 3] = [
    (
        "",
        &[
            "iss",
            "sub",
            "aud",
            "jti",
            "iat",
            "nbf",
            "exp",
            "cnf",
            "authorization_details",
            "parent",
            "approvals",
            "policy_id",
            "policy_digest",
        ],
    ),
    ("/cnf", &["valetkey_session"]),
    (
        "/authorization_details/0",
        &["type", "resource", "actions", "constraints", "except"],
    ),
];

fn each_member(make: impl Fn(&str, &mut Value, &str) -> Option<Vector>) -> Vec<Vector> {
    let mut all = Vec::new();
    for (place, names) in MEMBERS {
        for name in names {
            all.extend(make(place, &mut claims(), name));
        }
    }
    all
}

fn missing() -> Vec<Vector> {
    each_member(|place, claims, name| {
        let object = claims.pointer_mut(place).unwrap().as_object_mut().unwrap();
        object.remove(name).unwrap();
        let note = format!("`{name}` is missing");
        Some(refused(&format!("missing-{name}"), &note, text(claims)))
    })
}

fn null() -> Vec<Vector> {
    each_member(|place, claims, name| {
        // The one member that may be null.
        if name == "parent" {
            return None;
        }
        claims.pointer_mut(place).unwrap()[name] = Value::Null;
        let note = format!("`{name}` is null");
        Some(refused(&format!("null-{name}"), &note, text(claims)))
    })
}

fn unknown() -> Vec<Vector> {
    vec![
        with("unknown-claim", "a claim that is not documented", |c| {
            c["admin"] = json!(true)
        }),
        with("unknown-scope", "RFC 8693's scope", |c| {
            c["scope"] = json!("*")
        }),
        with("unknown-null", "an unknown claim that is null", |c| {
            c["zzz"] = Value::Null
        }),
        with("unknown-empty-name", "a claim without a name", |c| {
            c[""] = json!(1)
        }),
        with("unknown-prototype", "a prototype", |c| {
            c["__proto__"] = json!({})
        }),
        with("unknown-case", "`EXP` beside `exp`", |c| {
            c["EXP"] = json!(NOW + 9999)
        }),
        with("unknown-in-cnf", "a further confirmation", |c| {
            c["cnf"]["jkt"] = json!("AA")
        }),
        with(
            "unknown-in-detail",
            "an unknown member of the detail",
            |c| {
                c["authorization_details"][0]["locations"] = json!(["https://example"]);
            },
        ),
        with("unknown-in-constraints", "an unknown constraint", |c| {
            c["authorization_details"][0]["constraints"]["max_luck"] = json!(1);
        }),
        with(
            "unknown-in-constraints-false",
            "an unknown constraint that is false",
            |c| {
                c["authorization_details"][0]["constraints"]["allow_anything"] = json!(false);
            },
        ),
    ]
}

/// Two readers may count different ones; whichever counts, the token is void.
fn duplicates() -> Vec<Vector> {
    let exp = format!(r#""exp":{}"#, NOW + 300);
    let longer = format!(r#""exp":{}"#, NOW + 3000);
    let session = r#""cnf":{"valetkey_session":"ses-01KF0000000000000000000000"}"#;
    let other = r#""cnf":{"valetkey_session":"ses-01KF0000000000000000000009"}"#;
    let member = r#""valetkey_session":"ses-01KF0000000000000000000000""#;
    let twice = |id: &str, note: &str, first: &str, second: &str, there: &str| {
        spelt(
            &format!("twice-{id}"),
            note,
            there,
            &format!("{first},{second}"),
        )
    };
    let aud = r#""aud":"valetkey-guard""#;
    let resource = r#""resource":"file:/home/alice/Reports/**""#;
    let all = r#""resource":"file:/**""#;
    let actions = r#""actions":["read","append"]"#;
    let bytes = r#""max_bytes":1048576"#;
    vec![
        twice("exp-same", "`exp` twice, the same", &exp, &exp, &exp),
        twice(
            "exp-longer-first",
            "`exp` twice, the longer first",
            &longer,
            &exp,
            &exp,
        ),
        twice(
            "exp-longer-last",
            "`exp` twice, the longer last",
            &exp,
            &longer,
            &exp,
        ),
        twice("aud", "`aud` twice", r#""aud":"other""#, aud, aud),
        twice("aud-last", "`aud` twice", aud, r#""aud":"other""#, aud),
        twice("cnf", "`cnf` twice", other, session, session),
        twice("cnf-last", "`cnf` twice", session, other, session),
        twice(
            "session",
            "the session twice within `cnf`",
            member,
            member,
            member,
        ),
        twice(
            "resource",
            "the resource twice, the wider first",
            all,
            resource,
            resource,
        ),
        twice(
            "resource-last",
            "the resource twice, the wider last",
            resource,
            all,
            resource,
        ),
        twice(
            "actions",
            "the actions twice",
            r#""actions":["write"]"#,
            actions,
            actions,
        ),
        twice(
            "max-bytes",
            "a limit twice, the wider first",
            r#""max_bytes":9000000"#,
            bytes,
            bytes,
        ),
        twice(
            "max-bytes-last",
            "a limit twice, the wider last",
            bytes,
            r#""max_bytes":9000000"#,
            bytes,
        ),
        twice(
            "parent",
            "`parent` twice",
            r#""parent":null"#,
            r#""parent":null"#,
            r#""parent":null"#,
        ),
        spelt(
            "twice-escaped",
            "`exp` twice, once escaped",
            &exp,
            &format!(r#"{exp},"\u0065xp":1"#),
        ),
        spelt(
            "twice-constraints",
            "the constraints twice, the empty ones last",
            r#","except":"#,
            r#","constraints":{},"except":"#,
        ),
    ]
}

/// Values of another type than documented.
fn types() -> Vec<Vector> {
    let mut all = Vec::new();
    let cases: [(&str, &str, Value); 40] = [
        ("/iss", "number", json!(1)),
        ("/iss", "list", json!(["local-broker"])),
        ("/sub", "number", json!(1)),
        ("/sub", "empty", json!("")),
        ("/sub", "space", json!("agent ui")),
        ("/sub", "bidi", json!("agent\u{202e}")),
        ("/sub", "long", json!("a".repeat(129))),
        ("/aud", "list", json!(["valetkey-guard"])),
        ("/aud", "list-of-two", json!(["valetkey-guard", "other"])),
        ("/jti", "number", json!(1)),
        ("/jti", "empty", json!("")),
        (
            "/jti",
            "session-id",
            json!("ses-01KF0000000000000000000001"),
        ),
        ("/jti", "lower", json!("cap-01kf0000000000000000000001")),
        ("/jti", "short", json!("cap-01KF000000000000000000001")),
        ("/jti", "alphabet", json!("cap-01KF000000000000000000000I")),
        ("/jti", "too-large", json!("cap-81KF0000000000000000000001")),
        ("/jti", "space", json!("cap-01KF0000000000000000000001 ")),
        ("/cnf", "text", json!("ses-01KF0000000000000000000000")),
        (
            "/cnf",
            "list",
            json!([{"valetkey_session": "ses-01KF0000000000000000000000"}]),
        ),
        (
            "/cnf",
            "jwk",
            json!({"jwk": {"crv": "Ed25519", "kty": "OKP", "x": "AA"}}),
        ),
        (
            "/cnf",
            "kid",
            json!({"kid": "ses-01KF0000000000000000000000"}),
        ),
        (
            "/cnf/valetkey_session",
            "capability-id",
            json!("cap-01KF0000000000000000000000"),
        ),
        (
            "/cnf/valetkey_session",
            "lower",
            json!("ses-01kf0000000000000000000000"),
        ),
        (
            "/cnf/valetkey_session",
            "list",
            json!(["ses-01KF0000000000000000000000"]),
        ),
        ("/cnf/valetkey_session", "pattern", json!("*")),
        ("/parent", "text", json!("none")),
        ("/parent", "empty", json!("")),
        ("/parent", "false", json!(false)),
        (
            "/parent",
            "session-id",
            json!("ses-01KF0000000000000000000001"),
        ),
        ("/parent", "list", json!(["cap-01KF0000000000000000000009"])),
        (
            "/approvals",
            "text",
            json!("apr-01KF0000000000000000000002"),
        ),
        ("/approvals", "object", json!({})),
        (
            "/approvals",
            "request-id",
            json!(["req-01KF0000000000000000000002"]),
        ),
        ("/approvals", "null-inside", json!([null])),
        ("/policy_id", "number", json!(1)),
        ("/policy_digest", "empty", json!("")),
        (
            "/policy_digest",
            "short",
            json!(format!("sha256:{}", "5e".repeat(31))),
        ),
        (
            "/policy_digest",
            "upper",
            json!(format!("sha256:{}", "5E".repeat(32))),
        ),
        ("/policy_digest", "bare", json!("5e".repeat(32))),
        (
            "/policy_digest",
            "sha512",
            json!(format!("sha512:{}", "5e".repeat(64))),
        ),
    ];
    for (pointer, id, value) in cases {
        let mut claims = claims();
        *claims.pointer_mut(pointer).unwrap() = value;
        let name = pointer.rsplit('/').next().unwrap();
        all.push(refused(
            &format!("type-{name}-{id}"),
            &format!("`{name}` is not of the documented form: {id}"),
            text(&claims),
        ));
    }
    all
}
