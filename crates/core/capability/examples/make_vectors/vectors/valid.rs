//! Tokens that verify: every kind of resource, every action, every limit, both keys of a rotation, and the edges of time and size.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Value, json};

use super::forge::{changed, claims, issuer, jwk, other, text};
use super::{NOW, Vector, size};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = vec![with(
        "plain",
        "the claims that other vectors change",
        |_| {},
    )];
    all.extend(resources());
    all.extend(actions());
    all.extend(constraints());
    all.extend(members());
    all.extend(times());
    all.extend(keys());
    all
}

fn with(id: &str, note: &str, change: impl FnOnce(&mut Value)) -> Vector {
    let claims = changed(change);
    let token = issuer().token(text(&claims));
    Vector::accepted(format!("valid/{id}"), note, token, claims)
}

fn resources() -> Vec<Vector> {
    [
        ("file", "file:/home/alice/Documents/QuarterlyReport.xlsx"),
        ("root", "file:/"),
        ("tree", "file:/srv/**"),
        ("everything", "file:/**"),
        ("pattern", "file:/srv/**/*.csv"),
        ("four-stars", "file:/**/a/**/b/**/c/**"),
        ("two-globs", "file:/srv/a*b*c/x"),
        ("utf-8", "file:/home/zoë/Grüße"),
        ("other-plane", "file:/home/\u{1f600}"),
        ("space", "file:/home/alice/My%20Documents"),
        ("star-in-name", "file:/home/alice/%2A.txt"),
        ("percent", "file:/home/alice/100%25"),
        ("decoded-once", "file:/srv/%252E%252E/a"),
        ("not-utf-8", "file:/home/alice/%FF"),
        ("bidi-encoded", "file:/home/alice/%E2%80%AEtxt"),
        ("hidden", "file:/home/alice/.config"),
        ("three-dots", "file:/home/alice/..."),
        ("exec", "exec:/usr/bin/git"),
        ("tcp", "tcp:db.internal:5432"),
        ("tcp-v6", "tcp:[::1]:65535"),
        ("tool", "tool:github/create_issue"),
        ("secret", "secret:vault/database/creds/reporting"),
        (
            "exec-pinned",
            "exec:/usr/bin/git#sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        ("tcp-v4", "tcp:192.0.2.7:80"),
        ("https", "https://api.example.com/v1/**"),
        ("https-root", "https://api.example.com/"),
        ("https-port", "https://api.example.com:8443/v1/*/x.json"),
        ("https-v6", "https://[2001:db8::7]/a"),
        ("https-idn", "https://xn--bcher-kva.example/B%C3%BCcher"),
        ("https-delimiters", "https://a.example/!$&'()+,;=:@~/%2A/%5B%5D"),
        ("bus", "bus:org.freedesktop.Notifications/Notify"),
        (
            "bus-interface",
            "bus:org.freedesktop.portal.Desktop/org.freedesktop.portal.FileChooser.OpenFile",
        ),
    ]
    .map(|(id, resource)| {
        with(
            &format!("resource-{id}"),
            &format!("the resource is {resource}"),
            |c| {
                c["authorization_details"][0]["resource"] = json!(resource);
            },
        )
    })
    .into()
}

fn actions() -> Vec<Vector> {
    let every = [
        "read", "write", "append", "create", "delete", "execute", "list", "metadata", "connect",
        "call", "use",
    ];
    let with = |id: &str, actions: &[&str]| {
        with(
            &format!("actions-{id}"),
            &format!("the actions are {actions:?}"),
            |c| {
                c["authorization_details"][0]["actions"] = json!(actions);
            },
        )
    };
    let mut all: Vec<Vector> = every.iter().map(|action| with(action, &[action])).collect();
    all.push(with("every", &every));
    all.push(with("none", &[]));
    all
}

fn constraints() -> Vec<Vector> {
    [
        ("none", json!({})),
        ("zero", json!({"max_bytes": 0})),
        ("largest", json!({"max_bytes": 9_007_199_254_740_991_u64})),
        ("amounts", json!({"max_bytes": 1, "max_files": 2, "max_operations": 3, "max_rows": 4, "max_write_bytes": 5})),
        ("not-single", json!({"single_use": false})),
        ("macros", json!({"allow_macros": true})),
        ("media", json!({"media_types": ["text/csv", "text/plain"]})),
        ("no-media", json!({"media_types": []})),
        ("redact", json!({"redact": ["pii", "secrets"]})),
        ("redact-nothing", json!({"redact": []})),
        ("methods", json!({"methods": ["GET", "HEAD", "VERSION-CONTROL"]})),
        ("no-methods", json!({"methods": []})),
        ("arguments", json!({"arguments": {"properties": {"title": {"maxLength": 80, "type": "string"}}, "required": ["title"]}})),
        ("arguments-joined", json!({"arguments": {"allOf": [{"required": ["title"]}, {"maxProperties": 2}]}})),
        ("no-arguments", json!({"arguments": false})),
        ("not-before", json!({"not_before": "2027-01-15T08:00:00.000Z"})),
    ]
    .map(|(id, constraints)| {
        with(&format!("constraints-{id}"), &format!("the constraints are {constraints}"), |c| {
            c["authorization_details"][0]["constraints"] = constraints;
        })
    })
    .into()
}

fn members() -> Vec<Vector> {
    vec![
        with("narrowed", "narrowed from another", |c| {
            c["parent"] = json!("cap-01KF0000000000000000000009")
        }),
        with("no-approval", "no approval", |c| c["approvals"] = json!([])),
        with("two-approvals", "two approvals", |c| {
            c["approvals"] = json!([
                "apr-01KF0000000000000000000002",
                "apr-01KF0000000000000000000003"
            ]);
        }),
        with("no-exception", "no exception", |c| {
            c["authorization_details"][0]["except"] = json!([])
        }),
        with(
            "exceptions",
            "exceptions, in the order in which they were made",
            |c| {
                c["authorization_details"][0]["except"] =
                    json!(["file:/**/.git/**", "file:/**/*.key"]);
            },
        ),
        with(
            "agent",
            "every character that an agent's id may have",
            |c| c["sub"] = json!("Ag.e_n-t+1@host"),
        ),
        with(
            "issuer",
            "another issuer's name: its key is what counts",
            |c| c["iss"] = json!("broker.example"),
        ),
        with("escapes", "every character that JSON must escape", |c| {
            c["policy_id"] = json!("\u{8}\t\n\u{b}\u{c}\r\u{1f}\"\\/\u{7f}é\u{2028}\u{1f600}");
        }),
        with("largest-ids", "the largest ids", |c| {
            c["jti"] = json!("cap-7ZZZZZZZZZZZZZZZZZZZZZZZZZ")
        }),
    ]
}

fn times() -> Vec<Vector> {
    let life = |id: &str, note: &str, [iat, nbf, exp]: [u64; 3], now_ms: u64| {
        with(&format!("time-{id}"), note, |c| {
            c["iat"] = json!(iat);
            c["nbf"] = json!(nbf);
            c["exp"] = json!(exp);
        })
        .at_ms(now_ms)
    };
    let single = with("single-use", "one use, for a minute", |c| {
        c["authorization_details"][0]["constraints"]["single_use"] = json!(true);
        c["exp"] = json!(NOW + 60);
    });
    let claims = serde_json::from_slice(&payload(&size::long_tokens().longest_in)).unwrap();
    vec![
        life(
            "last-ms",
            "the millisecond before `exp`",
            [NOW, NOW, NOW + 300],
            (NOW + 300) * 1000 - 1,
        ),
        life(
            "hour",
            "an hour, at its last millisecond",
            [NOW, NOW, NOW + 3600],
            (NOW + 3600) * 1000 - 1,
        ),
        life(
            "second",
            "one second",
            [NOW, NOW, NOW + 1],
            NOW * 1000 + 999,
        ),
        life(
            "delayed",
            "at a later `nbf`",
            [NOW, NOW + 60, NOW + 300],
            (NOW + 60) * 1000,
        ),
        single,
        Vector::accepted(
            "valid/longest",
            "4095 bytes, the most that a token can have",
            size::long_tokens().longest_in,
            claims,
        ),
    ]
}

fn payload(token: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(token.split('.').nth(1).unwrap()).unwrap()
}

fn keys() -> Vec<Vector> {
    let both = [issuer().jwk(), other().jwk()];
    let reversed = [other().jwk(), issuer().jwk()];
    let mut wrong = jwk(&other().public());
    wrong["alg"] = json!("HS256");
    let by = |id: &str, note: &str, token: String, keys: &[Value]| {
        Vector::accepted(format!("valid/{id}"), note, token, claims()).with_jwks(keys)
    };
    let (old, new) = (
        issuer().token(text(&claims())),
        other().token(text(&claims())),
    );
    vec![
        by(
            "rotation-old",
            "by the old key while both are published",
            old.clone(),
            &both,
        ),
        by(
            "rotation-new",
            "by the new key while both are published",
            new.clone(),
            &both,
        ),
        by(
            "rotation-order",
            "the new key published first",
            old.clone(),
            &reversed,
        ),
        by(
            "rotation-done",
            "by the new key alone",
            new,
            &[other().jwk()],
        ),
        by(
            "unusable-beside",
            "another published key is of no use; it is left out",
            old,
            &[wrong, issuer().jwk()],
        ),
    ]
}
