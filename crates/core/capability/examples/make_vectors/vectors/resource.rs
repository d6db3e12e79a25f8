//! Signed payloads that give something of another form: resources, actions, limits and exceptions.

use serde_json::{Value, json};

use super::Vector;
use super::forge::{changed, issuer, text};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = resources();
    all.extend(exceptions());
    all.extend(actions());
    all.extend(constraints());
    all.extend(details());
    all
}

fn with(id: String, note: String, change: impl FnOnce(&mut Value)) -> Vector {
    let token = issuer().token(text(&changed(change)));
    Vector::refused(format!("resource/{id}"), note, token, "claims")
}

fn in_detail(id: &str, note: &str, member: &str, value: Value) -> Vector {
    with(id.to_owned(), note.to_owned(), |c| {
        c["authorization_details"][0][member] = value
    })
}

fn resources() -> Vec<Vector> {
    let cases = [
        ("empty", ""),
        ("no-scheme", "/home/alice"),
        ("scheme-only", "file:"),
        ("scheme-upper", "FILE:/a"),
        ("scheme-unknown", "gopher:/a"),
        ("scheme-space", " file:/a"),
        ("authority", "file:///a"),
        ("host", "file://host/a"),
        ("relative", "file:a"),
        ("home", "file:~/a"),
        ("dot-dot", "file:/a/../b"),
        ("dot-dot-last", "file:/a/.."),
        ("dot", "file:/a/./b"),
        ("double-slash", "file:/a//b"),
        ("slash-last", "file:/a/"),
        ("nul-raw", "file:/a\0b"),
        ("nul", "file:/a%00b"),
        ("space", "file:/a b"),
        ("newline", "file:/a\nb"),
        ("tab", "file:/a\tb"),
        ("encoded-letter", "file:/%61"),
        ("encoded-slash", "file:/a%2Fb"),
        ("encoded-dots", "file:/%2E%2E/a"),
        ("hex-lower", "file:/a%c3%28"),
        ("hex-cut", "file:/a%4"),
        ("hex-none", "file:/a%"),
        ("utf-8-encoded", "file:/%C3%A9"),
        ("backslash", "file:\\a"),
        ("backslash-inside", "file:/a\\b"),
        ("drive", "file:C:/a"),
        ("query", "file:/a?b"),
        ("fragment", "file:/a#b"),
        ("bidi", "file:/a\u{202e}b"),
        ("zero-width", "file:/a\u{200b}b"),
        ("bom", "file:/\u{feff}a"),
        ("stars-in-name", "file:/a**"),
        ("three-stars", "file:/***"),
        ("many-stars", "file:/**/**/**/**/**"),
        ("braces", "file:/{a,b}"),
        ("exec-relative", "exec:git"),
        ("exec-dot-dot", "exec:/usr/bin/../lib/x"),
        ("tcp-no-port", "tcp:db.internal"),
        ("tcp-port-zero", "tcp:db.internal:0"),
        ("tcp-port-zeros", "tcp:db.internal:05432"),
        ("tcp-port-large", "tcp:db.internal:65536"),
        ("tcp-port-sign", "tcp:db.internal:+5432"),
        ("tcp-port-space", "tcp:db.internal: 5432"),
        ("tcp-host-upper", "tcp:DB.internal:5432"),
        ("tcp-host-empty", "tcp::5432"),
        ("tcp-host-long-address", "tcp:[0:0:0:0:0:0:0:1]:80"),
        ("tcp-user", "tcp:user@db.internal:5432"),
        ("tool-no-name", "tool:github"),
        ("tool-three", "tool:github/issues/create"),
        ("tool-empty", "tool:github/"),
        ("tcp-v4-short", "tcp:127.1:80"),
        ("tcp-v4-hex", "tcp:0x7f000001:80"),
        ("tcp-v4-mapped", "tcp:[::ffff:127.0.0.1]:80"),
        (
            "exec-pin-pattern",
            "exec:/usr/bin/*#sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        ("exec-pin-short", "exec:/usr/bin/git#sha256:e3b0"),
        ("exec-pin-empty", "exec:/usr/bin/git#"),
        (
            "exec-pin-other",
            "exec:/usr/bin/git#md5:d41d8cd98f00b204e9800998ecf8427e",
        ),
        ("http", "http://api.example.com/"),
        ("https-no-slash", "https://api.example.com"),
        ("https-no-host", "https:///a"),
        ("https-upper", "https://API.example.com/"),
        ("https-dot-last", "https://api.example.com./"),
        ("https-wildcard", "https://*.example.com/"),
        ("https-unicode", "https://b\u{fc}cher.example/"),
        ("https-user", "https://alice@api.example.com/"),
        ("https-default-port", "https://api.example.com:443/"),
        ("https-port-zeros", "https://api.example.com:08443/"),
        ("https-v4-short", "https://127.1/"),
        ("https-v4-number", "https://2130706433/"),
        ("https-v6-long", "https://[0:0:0:0:0:0:0:1]/"),
        ("https-v6-mapped", "https://[::ffff:127.0.0.1]/"),
        ("https-query", "https://api.example.com/a?b"),
        ("https-fragment", "https://api.example.com/a#b"),
        ("https-dot-dot", "https://api.example.com/a/../b"),
        ("https-dots-encoded", "https://api.example.com/%2E%2E/b"),
        ("https-dots-parameter", "https://api.example.com/..;/b"),
        ("https-slash-encoded", "https://api.example.com/a%2Fb"),
        ("https-backslash-encoded", "https://api.example.com/a%5Cb"),
        (
            "https-encoded-twice",
            "https://api.example.com/%252E%252E/b",
        ),
        ("https-slash-last", "https://api.example.com/a/"),
        ("https-raw-utf-8", "https://api.example.com/\u{e9}"),
        ("bus-no-member", "bus:org.freedesktop.Notifications"),
        ("bus-unique", "bus::1.7/Notify"),
        ("bus-one-element", "bus:notifications/Notify"),
        ("bus-digit", "bus:org.7zip/Notify"),
        ("bus-star", "bus:org.freedesktop.Notifications/*"),
        ("bus-path", "bus:org.freedesktop.Notifications/org/Notify"),
        ("secret-empty", "secret:"),
        ("secret-dot-dot", "secret:vault/../root"),
        ("secret-double-slash", "secret:vault//root"),
    ];
    let mut all: Vec<Vector> = cases
        .iter()
        .map(|(id, resource)| {
            in_detail(
                id,
                &format!("the resource is {resource:?}"),
                "resource",
                json!(resource),
            )
        })
        .collect();
    let long = format!("file:/{}", "a".repeat(256));
    all.push(in_detail(
        "long-name",
        "a name of 256 bytes",
        "resource",
        json!(long),
    ));
    all.push(in_detail(
        "list",
        "the resource is a list",
        "resource",
        json!(["file:/a"]),
    ));
    all.push(in_detail(
        "object",
        "the resource is an object",
        "resource",
        json!({"file": "/a"}),
    ));
    all.push(in_detail(
        "number",
        "the resource is a number",
        "resource",
        json!(1),
    ));
    all
}

fn exceptions() -> Vec<Vector> {
    let cases = [
        ("text", json!("file:/**/.env")),
        ("object", json!({})),
        ("false", json!(false)),
        ("not-canonical", json!(["file:/a/../b"])),
        ("relative", json!(["**/.env"])),
        ("null-inside", json!([null])),
        ("list-inside", json!([["file:/a"]])),
        (
            "second-not-canonical",
            json!(["file:/**/.env", "file:/a//b"]),
        ),
    ];
    let except = |(id, value): &(&str, Value)| {
        in_detail(
            &format!("except-{id}"),
            &format!("the exceptions are {value}"),
            "except",
            value.clone(),
        )
    };
    cases.iter().map(except).collect()
}

fn actions() -> Vec<Vector> {
    let cases = [
        ("order", json!(["append", "read"])),
        ("twice", json!(["read", "read"])),
        ("twice-apart", json!(["read", "append", "read"])),
        ("unknown", json!(["fly"])),
        ("known-and-unknown", json!(["read", "fly"])),
        ("star", json!(["*"])),
        ("upper", json!(["READ"])),
        ("title", json!(["Read"])),
        ("space", json!(["read "])),
        ("one-text", json!(["read,append"])),
        ("text", json!("read")),
        ("empty-text", json!([""])),
        ("number", json!([0])),
        ("null-inside", json!([null])),
        ("object", json!({"read": true})),
        ("mask", json!(5)),
        ("nested", json!([["read"]])),
    ];
    let actions = |(id, value): &(&str, Value)| {
        in_detail(
            &format!("actions-{id}"),
            &format!("the actions are {value}"),
            "actions",
            value.clone(),
        )
    };
    cases.iter().map(actions).collect()
}

fn constraints() -> Vec<Vector> {
    let cases = [
        ("null-member", json!({"max_bytes": null})),
        ("negative", json!({"max_bytes": -1})),
        ("fraction", json!({"max_bytes": 1.5})),
        ("text-number", json!({"max_bytes": "1"})),
        ("true-number", json!({"max_bytes": true})),
        ("list-number", json!({"max_bytes": [1]})),
        (
            "unsafe-integer",
            json!({"max_bytes": 9_007_199_254_740_992_u64}),
        ),
        ("u64-max", json!({"max_rows": u64::MAX})),
        ("camel-case", json!({"maxBytes": 1})),
        ("upper", json!({"MAX_BYTES": 1})),
        ("empty-name", json!({"": 1})),
        ("single-use-text", json!({"single_use": "true"})),
        ("single-use-number", json!({"single_use": 1})),
        ("macros-text", json!({"allow_macros": "no"})),
        ("media-text", json!({"media_types": "text/plain"})),
        ("media-number", json!({"media_types": [1]})),
        ("media-null", json!({"media_types": [null]})),
        ("not-before-number", json!({"not_before": 1_800_000_000})),
        (
            "not-before-no-ms",
            json!({"not_before": "2027-01-15T08:00:00Z"}),
        ),
        (
            "not-before-offset",
            json!({"not_before": "2027-01-15T08:00:00.000+00:00"}),
        ),
        (
            "not-before-space",
            json!({"not_before": "2027-01-15 08:00:00.000Z"}),
        ),
        (
            "not-before-lower",
            json!({"not_before": "2027-01-15t08:00:00.000z"}),
        ),
        (
            "not-before-no-day",
            json!({"not_before": "2027-02-30T08:00:00.000Z"}),
        ),
        ("redact-order", json!({"redact": ["secrets", "pii"]})),
        ("redact-twice", json!({"redact": ["pii", "pii"]})),
        ("redact-unknown", json!({"redact": ["names"]})),
        ("redact-null", json!({"redact": null})),
        ("methods-order", json!({"methods": ["POST", "GET"]})),
        ("methods-lower", json!({"methods": ["get"]})),
        ("methods-twice", json!({"methods": ["GET", "GET"]})),
        ("methods-connect", json!({"methods": ["CONNECT"]})),
        ("methods-trace", json!({"methods": ["TRACE"]})),
        ("methods-text", json!({"methods": "GET"})),
        ("arguments-true", json!({"arguments": true})),
        ("arguments-null", json!({"arguments": null})),
        ("arguments-list", json!({"arguments": [{}]})),
        (
            "arguments-ref",
            json!({"arguments": {"$ref": "https://example.com/s"}}),
        ),
        (
            "arguments-ref-inside",
            json!({"arguments": {"not": {"$ref": "#"}}}),
        ),
        (
            "arguments-fraction",
            json!({"arguments": {"multipleOf": 0.5}}),
        ),
        (
            "arguments-long",
            json!({"arguments": {"const": "x".repeat(2048)}}),
        ),
        ("list", json!([])),
        ("text", json!("")),
        ("true", json!(true)),
    ];
    cases
        .iter()
        .map(|(id, value)| {
            let id = format!("constraints-{id}");
            let note = format!("the constraints are {value}");
            // Not every one of these has a canonical text; it is written as JSON writes it.
            let marked = changed(|c| c["authorization_details"][0]["constraints"] = json!("@"));
            let payload = super::forge::replaced(&text(&marked), "\"@\"", &value.to_string());
            Vector::refused(
                format!("resource/{id}"),
                note,
                issuer().token(payload),
                "claims",
            )
        })
        .collect()
}

fn details() -> Vec<Vector> {
    let whole = |id: &str, note: &str, change: fn(&mut Value)| {
        with(format!("details-{id}"), note.to_owned(), |c| {
            change(&mut c["authorization_details"])
        })
    };
    let mut all = vec![
        whole("none", "no detail", |d| *d = json!([])),
        whole("two", "the same detail twice", |d| *d = json!([d[0], d[0]])),
        whole("two-types", "a second detail of another type", |d| {
            *d = json!([d[0], {"type": "other"}])
        }),
        whole("object", "the detail without its list", |d| {
            *d = d[0].clone()
        }),
        whole("list-in-list", "the detail in a list of lists", |d| {
            *d = json!([[d[0]]])
        }),
        whole("text", "the details as a text", |d| {
            *d = json!(d.to_string())
        }),
        whole("null-inside", "null for a detail", |d| *d = json!([null])),
        whole("empty-inside", "a detail without members", |d| {
            *d = json!([{}])
        }),
        whole("sequence", "a detail as a list of its values", |d| {
            *d = json!([["valetkey", "file:/a", ["read"], {}, []]]);
        }),
    ];
    for (id, kind) in [
        ("other", json!("other")),
        ("upper", json!("VALETKEY")),
        ("title", json!("Valetkey")),
        ("empty", json!("")),
        ("list", json!(["valetkey"])),
        ("object", json!({"valetkey": null})),
        ("number", json!(0)),
    ] {
        all.push(in_detail(
            &format!("type-{id}"),
            &format!("the detail's type is {kind}"),
            "type",
            kind,
        ));
    }
    all
}
