//! The broker's doors: each takes the messages of one role and no other.

mod agent;
mod guard;
mod operator;
mod policy;
mod watching;

pub(crate) use agent::AgentDoor;
pub(crate) use guard::{GuardDoor, end_session};
pub(crate) use operator::OperatorDoor;

use valetkey_api::{Problem, Reply};

/// The media type of a JWK set (RFC 7517).
pub(crate) const JWK_SET: &str = "application/jwk-set+json";

/// The reply to a result.
fn reply(result: Result<Reply, Problem>) -> Reply {
    result.unwrap_or_else(Reply::from)
}

/// What the checked-in descriptions say that the doors answer.
#[cfg(test)]
mod described {
    use std::collections::BTreeSet;

    use serde_json::Value;

    /// Methods and paths, each argument as `{}`.
    pub(super) type Calls = BTreeSet<(String, String)>;

    /// The calls of a door that a description tells of.
    pub(super) fn calls(file: &str, tag: &str) -> Calls {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../schemas/");
        let text = std::fs::read_to_string(format!("{place}{file}")).expect("read");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let mut calls = Calls::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let tags = operation["tags"].as_array().expect("tags");
                if tags.iter().any(|own| own == tag) {
                    calls.insert((method.to_uppercase(), without_names(path)));
                }
            }
        }
        calls
    }

    pub(super) fn set<'a>(calls: impl Iterator<Item = (&'a str, &'a str)>) -> Calls {
        calls
            .map(|(method, path)| (method.to_owned(), path.to_owned()))
            .collect()
    }

    fn without_names(path: &str) -> String {
        let parts = path.split('/');
        let plain = parts.map(|part| if part.starts_with('{') { "{}" } else { part });
        plain.collect::<Vec<_>>().join("/")
    }
}
