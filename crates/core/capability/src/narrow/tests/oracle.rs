//! What claims allow, told from their JSON text alone by the plainest means: no code of the model or of narrowing takes part.

use serde_json::Value;
use valetkey_model::canonical_json;

use crate::Claims;

/// Names of every path in the universe.
const NAMES: [&str; 4] = ["a", "b", "ab", ".e"];
/// Resources that are no files.
const OTHERS: [&str; 7] = [
    "exec:/a",
    "exec:/a/b",
    "exec:/b",
    "tcp:a:1",
    "tcp:a:2",
    "tool:s/n",
    "secret:s/p",
];
const ACTIONS: [&str; 11] = [
    "read", "write", "append", "create", "delete", "execute", "list", "metadata", "connect",
    "call", "use",
];
const AMOUNTS: [&str; 5] = [
    "max_bytes",
    "max_write_bytes",
    "max_files",
    "max_operations",
    "max_rows",
];
const MEDIA: [&str; 4] = ["text/plain", "text/csv", "text/html", "image/png"];
/// Amounts are tried from zero to this, which is more than any case grants.
const MOST: u64 = 5;

/// `Err` when the child is wider than its parent, is not bound as its parent, or lives longer than any capability may.
pub(super) fn check(child: &Claims, parent: &Claims) -> Result<(), String> {
    let (c, p) = (json(child), json(parent));
    if c["parent"] != p["jti"] || c["jti"] == p["jti"] {
        return Err("the child does not name its parent".to_owned());
    }
    for same in [
        "iss",
        "sub",
        "aud",
        "cnf",
        "approvals",
        "policy_id",
        "policy_digest",
    ] {
        if c[same] != p[same] {
            return Err(format!("`{same}` differs"));
        }
    }
    let life = number(&c["exp"]).checked_sub(number(&c["iat"]));
    let single = c["authorization_details"][0]["constraints"]["single_use"] == Value::Bool(true);
    if life.is_none_or(|life| life > if single { 60 } else { 3600 }) {
        return Err("the child's life is not allowed".to_owned());
    }
    no_more_allowed(child, parent)
}

/// `Err` with the first thing that `inner` allows and `outer` does not: a resource, an action, a use within limits, or a moment.
pub(super) fn no_more_allowed(inner: &Claims, outer: &Claims) -> Result<(), String> {
    let (i, o) = (json(inner), json(outer));
    let (inner, outer) = (
        &i["authorization_details"][0],
        &o["authorization_details"][0],
    );
    for resource in universe() {
        if covers(inner, &resource) && !covers(outer, &resource) {
            return Err(format!("{resource} is covered"));
        }
    }
    for action in ACTIONS {
        if acts(inner, action) && !acts(outer, action) {
            return Err(format!("{action} is allowed"));
        }
    }
    let (inner, outer) = (&inner["constraints"], &outer["constraints"]);
    for member in AMOUNTS {
        for amount in 0..=MOST {
            if amount_allowed(inner, member, amount) && !amount_allowed(outer, member, amount) {
                return Err(format!("{member}: {amount} is allowed"));
            }
        }
    }
    for use_count in [1, 2] {
        let allowed = |limits: &Value| use_count == 1 || limits["single_use"] != Value::Bool(true);
        if allowed(inner) && !allowed(outer) {
            return Err("a second use is allowed".to_owned());
        }
    }
    // Absent is no leave: the worker wants it said.
    let macros = |limits: &Value| limits["allow_macros"] == Value::Bool(true);
    if macros(inner) && !macros(outer) {
        return Err("macros are allowed".to_owned());
    }
    for media in MEDIA {
        let allowed = |limits: &Value| {
            let types = limits["media_types"].as_array();
            types.is_none_or(|types| types.iter().any(|own| own == media))
        };
        if allowed(inner) && !allowed(outer) {
            return Err(format!("{media} is allowed"));
        }
    }
    moments(&i, &o)
}

/// Every edge of both lives, a millisecond before it and at it.
fn moments(inner: &Value, outer: &Value) -> Result<(), String> {
    let edges = |claims: &Value| {
        let limits = &claims["authorization_details"][0]["constraints"];
        [
            number(&claims["nbf"]) * 1000,
            number(&claims["exp"]) * 1000,
            not_before_ms(limits),
        ]
    };
    let alive = |claims: &Value, ms: u64| {
        let [from, to, not_before] = edges(claims);
        from <= ms && ms < to && not_before <= ms
    };
    for edge in edges(inner).into_iter().chain(edges(outer)) {
        for ms in [edge.saturating_sub(1), edge] {
            if alive(inner, ms) && !alive(outer, ms) {
                return Err(format!("alive at {ms} ms"));
            }
        }
    }
    Ok(())
}

/// The cases use times within one minute, so that the seconds of the text are enough to tell them apart.
fn not_before_ms(limits: &Value) -> u64 {
    let Some(text) = limits["not_before"].as_str() else {
        return 0;
    };
    let minute = text
        .strip_prefix("2027-01-15T08:00:")
        .expect("in the one minute of the cases");
    let (seconds, ms) = minute
        .trim_end_matches('Z')
        .split_once('.')
        .expect("with milliseconds");
    1_800_000_000_000 + seconds.parse::<u64>().unwrap() * 1000 + ms.parse::<u64>().unwrap()
}

fn json(claims: &Claims) -> Value {
    serde_json::from_slice(&canonical_json(claims).unwrap()).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a whole number")
}

fn universe() -> impl Iterator<Item = String> {
    let below = |paths: &[String]| -> Vec<String> {
        paths
            .iter()
            .flat_map(|path| NAMES.iter().map(move |name| format!("{path}/{name}")))
            .collect()
    };
    let one = below(&["file:".to_owned()]);
    let two = below(&one);
    let three = below(&two);
    let others = OTHERS.iter().map(|text| (*text).to_owned());
    std::iter::once("file:/".to_owned())
        .chain(one)
        .chain(two)
        .chain(three)
        .chain(others)
}

fn covers(detail: &Value, resource: &str) -> bool {
    let except = detail["except"].as_array().expect("a list");
    names(&detail["resource"], resource) && !except.iter().any(|out| names(out, resource))
}

fn names(pattern: &Value, resource: &str) -> bool {
    let pattern = pattern.as_str().expect("a text");
    let (kind, rest) = pattern.split_once(':').expect("a scheme");
    match resource.split_once(':') {
        Some((own, path)) if own == kind && matches!(kind, "file" | "exec") => {
            let split = |text: &str| -> Vec<String> {
                let segments = text
                    .split('/')
                    .skip(1)
                    .filter(|segment| !segment.is_empty());
                segments.map(str::to_owned).collect()
            };
            path_matches(&split(rest), &split(path))
        }
        _ => pattern == resource,
    }
}

fn path_matches(pattern: &[String], path: &[String]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            path_matches(rest, path) || !path.is_empty() && path_matches(pattern, &path[1..])
        }
        (Some((first, rest)), Some((name, below))) => {
            name_matches(first.as_bytes(), name.as_bytes()) && path_matches(rest, below)
        }
        _ => false,
    }
}

fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            name_matches(rest, name) || !name.is_empty() && name_matches(pattern, &name[1..])
        }
        (Some((a, rest)), Some((b, tail))) => a == b && name_matches(rest, tail),
        _ => false,
    }
}

fn acts(detail: &Value, action: &str) -> bool {
    let has = |name: &str| {
        detail["actions"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|own| own == name)
    };
    has(action) || action == "append" && has("write")
}

fn amount_allowed(limits: &Value, member: &str, amount: u64) -> bool {
    limits[member].is_null() || amount <= number(&limits[member])
}
