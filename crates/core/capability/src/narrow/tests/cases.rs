//! Random parents and what is asked of them: half the time something that lies inside, so that much of it is given.

use proptest::prelude::*;
use serde_json::json;
use valetkey_model::{Action, ActionSet, ArgumentSchema, Redaction};

use super::*;

/// A parent, and two askings with their times.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) parent: Claims,
    first: Asking,
    second: Asking,
}

#[derive(Clone, Debug)]
struct Asking {
    grant: Grant,
    ttl_seconds: u64,
    at: Timestamp,
}

impl Family {
    pub(super) fn child(&self) -> Result<Claims, NarrowError> {
        let asking = &self.first;
        self.parent
            .narrow(&asking.grant, asking.ttl_seconds, id(2), asking.at)
    }

    pub(super) fn grandchild(&self, child: &Claims) -> Result<Claims, NarrowError> {
        let asking = &self.second;
        child.narrow(&asking.grant, asking.ttl_seconds, id(3), asking.at)
    }
}

pub(super) fn family() -> impl Strategy<Value = Family> {
    let parent = (any_grant(), 0..30_u64, 1..4_000_u64);
    let asked = || {
        let shape = prop::collection::vec(0..6_u8, 12);
        (any_grant(), shape, prop::bool::weighted(0.8), any_time())
    };
    (parent, asked(), asked()).prop_map(|((grant, delay, life), first, second)| {
        let first = asking(&grant, first);
        let second = asking(&first.grant, second);
        let mut parent = claims(grant);
        parent.nbf += delay;
        parent.exp = (parent.nbf + life).min(parent.iat + MAX_TTL_SECONDS);
        Family {
            parent,
            first,
            second,
        }
    })
}

type Drawn = (Grant, Vec<u8>, bool, (u64, Timestamp));

fn asking(outer: &Grant, (mut grant, shape, inside, (ttl_seconds, at)): Drawn) -> Asking {
    if inside {
        grant.resource = inside_of(&outer.resource, &shape);
        grant.actions = shape
            .iter()
            .zip(Action::ALL)
            .filter(|(choice, action)| **choice > 1 && outer.actions.allows(*action))
            .map(|(_, action)| action)
            .collect();
    }
    Asking {
        grant,
        ttl_seconds,
        at,
    }
}

fn any_time() -> impl Strategy<Value = (u64, Timestamp)> {
    let ttl = prop_oneof![9 => 0..4_000_u64, 1 => Just(u64::MAX)];
    let at = prop_oneof![1 => 0..10_000_u64, 6 => 10_000..60_000_u64, 1 => 60_000..4_000_000_u64];
    (ttl, at).prop_map(|(ttl, at)| (ttl, Timestamp::from_unix_ms(NOW.unix_ms() - 10_000 + at)))
}

/// Puts something narrower in the place of each `*`.
fn inside_of(resource: &Resource, shape: &[u8]) -> Resource {
    let text = resource.to_string();
    let (kind, path) = if let Some(path) = text.strip_prefix("https://a") {
        ("https://a", path)
    } else if text.starts_with("file:") || text.starts_with("exec:") {
        text.split_at(5)
    } else if text == "bus:a.b/M" && shape.first() == Some(&0) {
        return "bus:a.b/c.d.M".parse().unwrap();
    } else {
        return resource.clone();
    };
    let mut choices = shape.iter().cycle();
    let mut narrow = String::new();
    for segment in path.split('/').skip(1) {
        let choice = choices.next().copied().unwrap_or(0);
        let replaced = match (segment, choice) {
            ("**", 0) => "",
            ("**", 1) => "/a",
            ("**", 2) => "/*/b",
            ("**", 3) => "/ab/**",
            ("**", _) => "/**",
            (name, 0..=2) => &format!("/{}", name.replace('*', "b")),
            (name, _) => &format!("/{name}"),
        };
        narrow.push_str(replaced);
    }
    let narrow = if narrow.is_empty() { "/" } else { &narrow };
    format!("{kind}{narrow}")
        .parse()
        .unwrap_or_else(|_| resource.clone())
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let except = prop::collection::vec(any_resource(), 0..3);
    (any_resource(), any::<u16>(), any_constraints(), except).prop_map(
        |(resource, bits, constraints, except)| Grant {
            resource,
            actions: Action::ALL
                .into_iter()
                .enumerate()
                .filter(|(place, _)| bits >> place & 1 == 1)
                .map(|(_, action)| action)
                .collect::<ActionSet>(),
            constraints,
            except,
        },
    )
}

fn any_resource() -> impl Strategy<Value = Resource> {
    let segment = prop::sample::select(vec![
        "**", "**", "a", "b", "ab", ".e", "*", "a*", "*b", "a*b", ".*",
    ]);
    let path = prop::collection::vec(segment, 0..5).prop_map(|segments| {
        if segments.is_empty() {
            "/".to_owned()
        } else {
            segments
                .iter()
                .fold(String::new(), |text, segment| text + "/" + segment)
        }
    });
    let pinned = format!("exec:/a#sha256:{}", "0".repeat(64));
    let other = prop::sample::select(vec![
        "tcp:a:1".to_owned(),
        "tcp:a:2".to_owned(),
        "tool:s/n".to_owned(),
        "secret:s/p".to_owned(),
        "bus:a.b/M".to_owned(),
        "bus:a.b/c.d.M".to_owned(),
        pinned,
    ]);
    prop_oneof![
        16 => path.clone().prop_map(|path| format!("file:{path}")),
        2 => path.clone().prop_map(|path| format!("exec:{path}")),
        2 => path.prop_map(|path| format!("https://a{path}")),
        1 => other,
    ]
    .prop_filter_map("too many `**`", |text| text.parse().ok())
}

fn any_constraints() -> impl Strategy<Value = Constraints> {
    let amount = || prop::option::of(0..4_u64);
    let media = prop::collection::vec(
        prop::sample::select(vec!["text/plain", "text/csv", "image/png"]).prop_map(str::to_owned),
        0..3,
    );
    let not_before = (0..60_000_u64).prop_map(|ms| Timestamp::from_unix_ms(NOW.unix_ms() + ms));
    let amounts = (amount(), amount(), amount(), amount(), amount());
    let rest = (
        prop::option::weighted(0.2, prop::bool::weighted(0.3)),
        any::<Option<bool>>(),
        prop::option::of(media),
        prop::option::weighted(0.2, not_before),
    );
    let methods = prop::sample::subsequence(vec!["GET", "HEAD", "POST"], 0..=3)
        .prop_map(|names| names.iter().map(|name| name.parse().unwrap()).collect());
    let redact = prop::sample::subsequence(vec![Redaction::Pii, Redaction::Secrets], 0..=2)
        .prop_map(|kinds| kinds.into_iter().collect());
    let calls = (
        prop::option::weighted(0.3, redact),
        prop::option::weighted(0.3, methods),
        prop::option::weighted(0.3, any_schema()),
    );
    (amounts, rest, calls).prop_map(|(amounts, rest, (redact, methods, arguments))| {
        let (max_bytes, max_write_bytes, max_files, max_operations, max_rows) = amounts;
        let (single_use, allow_macros, media_types, not_before) = rest;
        Constraints {
            max_bytes,
            max_write_bytes,
            max_files,
            max_operations,
            max_rows,
            single_use,
            allow_macros,
            media_types,
            redact,
            methods,
            arguments,
            not_before,
        }
    })
}

/// Schemas of the three keywords that the oracle knows, alone and joined.
fn any_schema() -> impl Strategy<Value = ArgumentSchema> {
    let one = prop::sample::select(vec![
        json!({}),
        json!(false),
        json!({"required": ["a"]}),
        json!({"required": ["b"]}),
        json!({"maxProperties": 1}),
    ]);
    prop::collection::vec(one, 1..3).prop_map(|all| {
        let value = match all.as_slice() {
            [one] => one.clone(),
            _ => json!({ "allOf": all }),
        };
        ArgumentSchema::try_from(value).unwrap()
    })
}
