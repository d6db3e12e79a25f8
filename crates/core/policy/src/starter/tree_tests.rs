//! What a tree gives: nothing that would not be given alone, and all that tools need.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use valetkey_model::{Durability, Effect, Resource};

use super::*;
use crate::PolicySet;
use crate::testkit::{asks, asks_in};

use Effect::{Allow, Ask, Deny};

fn set(name: &str) -> PolicySet {
    PolicySet::new(&starter(name).unwrap()).unwrap()
}

/// The paths that the guardrails' lists speak of.
struct Listed {
    /// Full paths: below Alice's home, and the system's.
    places: Vec<String>,
    /// Names that count anywhere.
    names: Vec<String>,
}

fn listed() -> Listed {
    let data: Value = serde_json::from_str(GUARDRAILS[1].1).unwrap();
    let lists = &data["valetkey"]["lists"];
    let keys = |value: &Value| -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap().trim_end_matches('/').to_owned();
        if let Some(items) = value.as_array() {
            items.iter().map(text).collect()
        } else {
            value.as_object().unwrap().keys().cloned().collect()
        }
    };
    let (mut places, mut names) = (Vec::new(), Vec::new());
    for kind in ["secrets", "lasting"] {
        let list = &lists[kind];
        for place in [keys(&list["home"]), keys(&list["home_parents"])].concat() {
            places.push(format!("/home/alice/{place}"));
            places.push(format!("/home/alice/{place}/x/y"));
        }
        for place in keys(&list["system"]) {
            places.extend([format!("{place}/x"), place]);
        }
        names.extend(keys(&list["names"]));
    }
    names.extend(
        keys(&lists["secrets"]["endings"])
            .iter()
            .map(|ending| format!("x{ending}")),
    );
    names.extend(
        keys(&lists["secrets"]["beginnings"])
            .iter()
            .map(|start| format!("{start}x")),
    );
    for (first, seconds) in lists["lasting"]["pairs"].as_object().unwrap() {
        names.push(first.clone());
        for second in keys(seconds) {
            names.extend([format!("{first}/{second}"), format!("{first}/{second}/x")]);
        }
    }
    assert!(places.len() > 600 && names.len() > 120);
    Listed { places, names }
}

/// Every path that is denied or asked about alone is outside of what a tree around it grants.
#[test]
fn a_tree_gives_nothing_that_would_not_be_given_alone() {
    let base = set("base");
    let listed = listed();
    let all = "read,write,append,create,delete,execute,list,metadata";
    for tree in [
        "/home/alice/work",
        "/home/alice",
        "/home",
        "/",
        "/home/alice/.config",
        "/home/alice/.local",
        "/home/alice/.local/share",
        "/home/alice/snap",
        "/home/alice/.cargo",
        "/etc",
        "/var",
        "/srv",
        "/home/alice/.git",
        "/home/alice/go",
    ] {
        let root = if tree == "/" { "" } else { tree };
        let workspace = format!("file:{root}/**");
        let whole = base.decide(&asks_in(&workspace, all, &workspace));
        let asked_whole = ["/home/alice/.cargo", "/etc"].contains(&tree);
        assert_eq!(whole.effect == Ask, asked_whole, "{tree}: {whole:?}");
        let inside = listed.names.iter().map(|name| format!("{root}/a/{name}"));
        let paths: BTreeSet<String> = listed.places.iter().cloned().chain(inside).collect();
        for path in paths
            .iter()
            .filter(|path| path.starts_with(&format!("{root}/")))
        {
            let alone: Vec<Effect> = ["read", "write", "create", "delete"]
                .iter()
                .map(|actions| {
                    base.decide(&asks_in(&workspace, actions, &format!("file:{path}")))
                        .effect
                })
                .collect();
            let taken_out = whole
                .except
                .iter()
                .any(|out| out.as_file().unwrap().matches(Path::new(path)));
            if asked_whole {
                assert!(
                    taken_out || !alone.contains(&Deny),
                    "{tree}: {path} {alone:?}"
                );
                continue;
            }
            assert!(
                taken_out || alone.iter().all(|effect| *effect == Allow),
                "{tree}: {path} {alone:?}"
            );
        }
    }
}

/// The exceptions ride in a token of at most 4 KiB, base64 and all.
#[test]
fn the_exceptions_of_a_tree_stay_short() {
    let base = set("base");
    for tree in [
        "/home/alice/work",
        "/home/alice",
        "/home",
        "",
        "/home/alice/.config",
        "/etc",
        "/var",
    ] {
        let resource = format!("file:{tree}/**");
        let decision = base.decide(&asks_in(
            &resource,
            "read,write,create,delete,list,metadata",
            &resource,
        ));
        let bytes = serde_json::to_string(&decision.except).unwrap().len();
        assert_eq!(
            decision.effect,
            if tree == "/etc" { Ask } else { Allow },
            "{tree}"
        );
        assert!(
            bytes < 2250,
            "{tree}: {bytes} bytes in {} entries",
            decision.except.len()
        );
    }
}

/// What builds and version control write all day must not be taken out of a workspace.
#[test]
fn a_tree_keeps_what_tools_need() {
    let tree = "file:/home/alice/work/**";
    let all = set("base").decide(&asks(
        "read,write,append,create,delete,execute,list,metadata",
        tree,
    ));
    assert_eq!((all.effect, all.ttl_seconds), (Allow, 3600));
    assert_eq!(all.obligations.durability, Durability::Streamed);
    for path in [
        "",
        "/src/main.rs",
        "/.git/index",
        "/.git/objects/ab/cdef",
        "/.git/refs/heads/main",
        "/.git/HEAD",
        "/.venv/bin/python",
        "/node_modules/x/index.js",
        "/.next/cache/x",
        "/.cache/x",
        "/.mypy_cache/x",
        "/target/debug/x",
        "/.gitignore",
        "/Makefile",
        "/package.json",
        "/.pytest_cache/x",
        "/.tox/py/x",
        "/.gradle/x",
        "/.terraform/x",
        "/.build/x",
        "/.yarn/cache/x",
        "/.dart_tool/x",
        "/.eslintrc.json",
    ] {
        let resource: Resource = format!("file:/home/alice/work{path}").parse().unwrap();
        let out: Vec<_> = all
            .except
            .iter()
            .filter(|out| out.covers(&resource))
            .collect();
        assert!(out.is_empty(), "{path} is taken out by {out:?}");
    }
}
