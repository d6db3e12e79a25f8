//! Narrowing, giving back and keys, through the agent door of real cells: what is narrowed ends with what it was narrowed from.

use std::time::Duration;

use serde_json::{Value, json};
use valetkey_tests::{Home, agent_program, until};

use super::agent_door::Talk;
use super::needs_cells;

const SOON: Duration = Duration::from_secs(20);

fn workspace(home: &Home) -> (Talk, String) {
    home.write("work/a.txt", "a\n");
    let work = home.path("work");
    let mut talk = Talk::start(home, &["--workspace", work.to_str().expect("text")]);
    let (_, held) = talk.call("GET", "/v1/capabilities", &Value::Null);
    let id = held["capabilities"][0]["capability_id"].as_str();
    (talk, id.expect("the workspace").to_owned())
}

fn file(home: &Home, below: &str) -> String {
    format!("file:{}", home.path(below).display())
}

fn id(capability: &Value) -> String {
    capability["capability_id"]
        .as_str()
        .unwrap_or_else(|| panic!("an id in {capability}"))
        .to_owned()
}

fn narrow(talk: &mut Talk, parent: &str, asked: &Value) -> Value {
    let (status, child) = talk.call("POST", &format!("/v1/capabilities/{parent}/narrow"), asked);
    assert_eq!(status, 200, "{child}");
    child
}

/// The ids that the agent holds.
fn held(talk: &mut Talk) -> Vec<String> {
    let (status, held) = talk.call("GET", "/v1/capabilities", &Value::Null);
    assert_eq!(status, 200);
    let held = held["capabilities"].as_array().expect("a list");
    held.iter().map(id).collect()
}

fn listed(home: &Home) -> Vec<Value> {
    let caps = home.valetkey(["caps", "list", "--json"]).done().ok().json();
    caps.as_array().expect("a list").clone()
}

#[test]
fn an_agent_narrows_and_gets_no_more_than_it_had() {
    needs_cells!();
    let home = Home::new();
    let (mut talk, parent) = workspace(&home);
    let asked = json!({"resource": file(&home, "work/a.txt"), "actions": ["read"], "constraints": {"max_bytes": 10}, "ttl_seconds": 30});
    let child = narrow(&mut talk, &parent, &asked);
    assert_eq!(child["parent"], parent.as_str());
    assert_eq!(child["resource"], asked["resource"]);
    assert_eq!(child["actions"], asked["actions"]);
    assert_eq!(child["constraints"], asked["constraints"]);
    assert!(
        !child.to_string().contains("eyJ"),
        "no token is shown: {child}"
    );
    let path = format!("/v1/capabilities/{}/narrow", id(&child));
    for (wider, kind) in [
        (json!({"resource": file(&home, "work/b.txt")}), "capability"),
        (json!({"actions": ["read", "write"]}), "capability"),
        (json!({"actions": []}), "capability"),
        (json!({"constraints": {"no_such": 1}}), "invalid"),
        (
            json!({"session": "ses-01K00000000000000000000000"}),
            "invalid",
        ),
        (json!({"ttl_seconds": 0}), "invalid"),
    ] {
        drop(talk.refused(&path, &wider, kind));
    }
    // More of a limit than there is leaves the limit; a longer life than the parent's ends with it.
    let grandchild = narrow(
        &mut talk,
        &id(&child),
        &json!({"constraints": {"max_bytes": 99, "allow_macros": true}, "ttl_seconds": 9999}),
    );
    assert_eq!(grandchild["constraints"], json!({"max_bytes": 10}));
    assert_eq!(grandchild["expires_at"], child["expires_at"]);
    for nobody in [
        "cap-01K00000000000000000000000",
        parent.replace("cap-0", "cap-1").as_str(),
    ] {
        drop(talk.refused(
            &format!("/v1/capabilities/{nobody}/narrow"),
            &json!({}),
            "capability",
        ));
    }
    drop(talk.refused("/v1/capabilities/nonsense/narrow", &json!({}), "invalid"));
    // It stands in the log, with what it came from; the attempts at more do too.
    let narrowed = home.events("capability.narrowed");
    assert_eq!(narrowed.len(), 2);
    assert_eq!(narrowed[0]["attributes"]["parent"], parent.as_str());
    assert_eq!(narrowed[0]["capability_id"], id(&child).as_str());
    assert_eq!(home.events("capability.refused").len(), 3);
    // A person sees the family.
    let tree = home.valetkey(["caps", "list"]).done().ok().text();
    for (indent, of) in [
        ("", &parent),
        ("\n  ", &id(&child)),
        ("\n    ", &id(&grandchild)),
    ] {
        assert!(tree.contains(&format!("{indent}{of}  ")), "{tree}");
    }
    let shown = home
        .valetkey(["caps", "show", &id(&child), "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(shown["children"], json!([id(&grandchild)]));
    assert!(
        shown["remaining_seconds"]
            .as_u64()
            .is_some_and(|left| left <= 30),
        "{shown}"
    );
    drop(talk.finish().ok());
    home.verify();
}

#[test]
fn generations_and_children_are_bounded_through_the_door() {
    needs_cells!();
    let home = Home::new();
    let (mut talk, parent) = workspace(&home);
    let mut last = parent.clone();
    for _ in 0..8 {
        last = id(&narrow(&mut talk, &last, &json!({})));
    }
    drop(talk.refused(
        &format!("/v1/capabilities/{last}/narrow"),
        &json!({}),
        "constraint",
    ));
    for _ in 1..64 {
        let _child = narrow(&mut talk, &parent, &json!({"actions": ["read"]}));
    }
    drop(talk.refused(
        &format!("/v1/capabilities/{parent}/narrow"),
        &json!({}),
        "busy",
    ));
    // Room comes with what is given back.
    let (status, _) = talk.call(
        "POST",
        &format!("/v1/capabilities/{last}/release"),
        &Value::Null,
    );
    assert_eq!(status, 200);
    drop(talk.finish().ok());
    home.verify();
}

#[test]
fn what_is_given_back_ends_with_what_was_narrowed_from_it() {
    needs_cells!();
    let home = Home::new();
    let (mut talk, parent) = workspace(&home);
    let child = id(&narrow(&mut talk, &parent, &json!({"actions": ["read"]})));
    let below = id(&narrow(&mut talk, &child, &json!({})));
    let beside = id(&narrow(&mut talk, &parent, &json!({"actions": ["list"]})));
    let release = format!("/v1/capabilities/{child}/release");
    let (status, released) = talk.call("POST", &release, &Value::Null);
    assert_eq!(
        (status, &released["capabilities"]),
        (200, &json!([child, below]))
    );
    let left = held(&mut talk);
    assert!(left.contains(&parent) && left.contains(&beside), "{left:?}");
    assert!(!left.contains(&child) && !left.contains(&below), "{left:?}");
    drop(talk.refused(&release, &Value::Null, "not-found"));
    drop(talk.refused(
        &format!("/v1/capabilities/{below}/narrow"),
        &json!({}),
        "capability",
    ));
    assert_eq!(home.events("capability.released").len(), 2);
    assert_eq!(listed(&home).len(), left.len());
    drop(talk.finish().ok());
    home.verify();
}

#[test]
fn a_revoked_parent_takes_its_children_along() {
    needs_cells!();
    let home = Home::new();
    let (mut talk, parent) = workspace(&home);
    let child = id(&narrow(&mut talk, &parent, &json!({"actions": ["read"]})));
    let below = id(&narrow(&mut talk, &child, &json!({})));
    let said = home
        .valetkey(["caps", "revoke", &parent])
        .done()
        .ok()
        .text();
    assert!(said.contains(&format!("{parent} is revoked")), "{said}");
    for ended in [&child, &below] {
        assert!(said.contains(&format!("{ended} ended with it")), "{said}");
    }
    until("the agent holds none of them", SOON, || {
        let left = held(&mut talk);
        [&parent, &child, &below]
            .iter()
            .all(|id| !left.contains(id))
            .then_some(())
    });
    drop(talk.refused(
        &format!("/v1/capabilities/{child}/narrow"),
        &json!({}),
        "capability",
    ));
    let revoked = home.events("capability.revoked");
    assert_eq!(revoked.len(), 3);
    let with = revoked
        .iter()
        .filter(|event| event["attributes"]["with"] == parent.as_str());
    assert_eq!(with.count(), 2);
    drop(talk.finish().ok());
    home.verify();
}

#[test]
fn what_was_taken_back_is_not_narrowed_out_of_what_is_left() {
    needs_cells!();
    let home = Home::new();
    let (mut talk, parent) = workspace(&home);
    let one = json!({"resource": file(&home, "work/a.txt"), "actions": ["read"]});
    let child = id(&narrow(&mut talk, &parent, &one));
    drop(home.valetkey(["caps", "revoke", &child]).done().ok());
    drop(talk.refused(
        &format!("/v1/capabilities/{parent}/narrow"),
        &one,
        "capability",
    ));
    let other = json!({"resource": file(&home, "work/b.txt"), "actions": ["read"]});
    let _other = narrow(&mut talk, &parent, &other);
    drop(talk.finish().ok());
    home.verify();
}

#[test]
fn a_file_that_is_open_ends_with_the_parent_of_the_capability() {
    needs_cells!();
    let home = Home::new();
    let data = home.write("data.txt", [b'x'; 16384]);
    let grant = format!("{}=read", data.display());
    let agent = home.bring(agent_program(), "bin/agent");
    let run = format!("{}=read,execute", home.path("bin").display());
    let policy = super::asking::impatient(&home, 1);
    // The agent narrows what it holds by its own door, then holds the file open.
    let script = format!(
        "for id in $({0} door GET /v1/capabilities | grep -o 'cap-[0-9A-Z]*'); do \
         {0} door POST /v1/capabilities/$id/narrow '{{}}' >/dev/null; done; exec {0} hold {1}",
        agent.display(),
        data.display()
    );
    let policy = policy.to_str().expect("text");
    let options = ["--grant", &grant, "--grant", &run, "--policy", policy];
    let mut session = home.run(&options, &["sh", "-c", &script]).start();
    session.wait_for("held", SOON);
    let caps = listed(&home);
    let child = caps.iter().find(|held| {
        held["parent"].is_string() && held["resource"] == file(&home, "data.txt").as_str()
    });
    let child = child.expect("a child");
    let parent = child["parent"].as_str().expect("an id");
    drop(home.valetkey(["caps", "revoke", parent]).done().ok());
    let ended = session.finish(SOON).ok().text();
    assert!(ended.contains("ended "), "{ended}");
    assert!(
        listed(&home)
            .iter()
            .all(|held| id(held) != parent && id(held) != id(child))
    );
    home.verify();
}

#[test]
fn keys_are_rotated_under_a_live_session() {
    needs_cells!();
    let home = Home::new();
    let (mut talk, parent) = workspace(&home);
    let keys = |talk: &mut Talk| {
        talk.send("GET", "/.well-known/jwks.json", "");
        let (status, kind, keys) = talk.answer();
        assert_eq!((status, kind.as_str()), (200, "application/jwk-set+json"));
        let keys = keys["keys"].as_array().expect("a list").clone();
        assert!(
            keys.iter().all(|key| key.get("d").is_none()),
            "no secret part"
        );
        keys.iter()
            .map(|key| key["kid"].as_str().expect("a kid").to_owned())
            .collect::<Vec<_>>()
    };
    let before = keys(&mut talk);
    assert_eq!(before.len(), 1);
    let old = id(&narrow(&mut talk, &parent, &json!({"actions": ["read"]})));
    let rotated = home
        .valetkey(["keys", "rotate", "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(rotated["keys"][0]["state"], "signing");
    assert_eq!(rotated["keys"][1]["state"], "verifying_only");
    assert_eq!(rotated["keys"][1]["kid"], before[0].as_str());
    // What the old key signed goes on, and what the new one signs is taken.
    let new = id(&narrow(&mut talk, &old, &json!({})));
    let have = held(&mut talk);
    assert!(
        [&parent, &old, &new].iter().all(|id| have.contains(id)),
        "{have:?}"
    );
    let kid = rotated["keys"][0]["kid"]
        .as_str()
        .expect("a kid")
        .to_owned();
    let after = until("the new keys at the agent door", SOON, || {
        let after = keys(&mut talk);
        (after.len() == 2).then_some(after)
    });
    assert_eq!(after, [kid.clone(), before[0].clone()]);
    let text = home.valetkey(["keys", "list"]).done().ok().text();
    assert!(
        text.contains(&format!("{kid}  signs")) && text.contains("verifies until"),
        "{text}"
    );
    let event = &home.events("registry.key_rotated")[0];
    assert_eq!(event["attributes"]["kid"], kid.as_str());
    drop(talk.finish().ok());
    // A new broker goes on with both, and with the same log.
    drop(home.valetkey(["stop"]).done().ok());
    drop(home.run::<&str, &str>(&[], &["true"]).done().ok());
    let again = home.valetkey(["keys", "list", "--json"]).done().ok().json();
    assert_eq!(again, rotated);
    home.verify();
}

#[test]
fn a_call_by_another_method_says_which_are_taken() {
    needs_cells!();
    let home = Home::new();
    let (talk, _) = workspace(&home);
    drop(talk.finish().ok());
    let agent = agent_program().to_str().expect("text");
    for (head, allow) in [
        ("DELETE /v1/requests", "allow: POST"),
        ("POST /v1/denials", "allow: GET"),
        ("PUT /.well-known/jwks.json", "allow: GET"),
    ] {
        let call = home.run::<&str, &str>(&[], &[agent, "raw", "0"]);
        let bytes =
            format!("{head} HTTP/1.1\r\nhost: v\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let answer = call
            .input(bytes)
            .within(Duration::from_secs(60))
            .done()
            .text();
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(
            answer.contains(allow) && answer.contains("application/problem+json"),
            "{answer}"
        );
        assert!(answer.contains("urn:valetkey:problem:method"), "{answer}");
    }
}
