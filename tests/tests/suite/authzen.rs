//! AuthZEN 1.0 at the agent door outside of cells: decisions about the peer itself, one or many, and no capability of any.

use serde_json::{Value, json};
use valetkey_tests::Home;

use super::outside_door::{House, Outsider};

/// An evaluation of the peer itself.
fn may(action: &str, resource: &str) -> Value {
    json!({
        "subject": {"type": "agent", "id": "self"},
        "action": {"name": action},
        "resource": {"type": "resource", "id": resource},
    })
}

fn decide(outsider: &mut Outsider, evaluation: &Value) -> Value {
    let (status, answer) = outsider.post("/access/v1/evaluation", evaluation);
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn a_decision_is_policys_and_grants_nothing() {
    let house = House::new(Home::new());
    let mut outsider = house.start(&house.agent);
    let home = format!("file:{}", house.home.path("x").display());
    let yes = decide(&mut outsider, &may("metadata", &home));
    assert_eq!(yes["decision"], true, "{yes}");
    assert_eq!(yes["context"]["policy_id"], "valetkey-base");
    let asked = decide(&mut outsider, &may("read", &home));
    assert_eq!(asked["decision"], false, "{asked}");
    assert_eq!(asked["context"]["requestable"], true);
    assert_eq!(
        asked["context"]["reason_user"],
        "a person must be asked first"
    );
    let no = decide(&mut outsider, &may("read", "file:/etc/shadow"));
    assert_eq!(no["decision"], false, "{no}");
    // The type may be the scheme.
    let mut typed = may("metadata", "");
    typed["resource"] = json!({"type": "file", "id": house.home.path("x")});
    assert_eq!(decide(&mut outsider, &typed)["decision"], true);
    // Nobody was asked, nothing was given, and each stands in the log.
    assert!(house.home.questions().is_empty());
    let (_, held) = outsider.call("GET /v1/capabilities");
    assert_eq!(held, json!({"capabilities": []}));
    assert!(house.home.events("capability.minted").is_empty());
    let decided = house.home.events("request.decided");
    assert_eq!(decided.len(), 4);
    for (event, told) in decided.iter().zip([&yes, &asked, &no]) {
        assert_eq!(event["request_id"], told["context"]["request_id"]);
    }
}

#[test]
fn a_process_asks_about_itself_alone() {
    let house = House::new(Home::new());
    let mut outsider = house.start(&house.agent);
    let home = format!("file:{}", house.home.path("x").display());
    for (subject, itself) in [
        (json!({"type": "agent", "id": "some-agent"}), true),
        (json!({"type": "agent", "id": "other-agent"}), false),
        (json!({"type": "user", "id": "root"}), false),
        (
            json!({"type": "session", "id": "ses-01M838Z12PPXJ0NYRZ60KTYT71"}),
            false,
        ),
    ] {
        let mut evaluation = may("metadata", &home);
        evaluation["subject"] = subject.clone();
        let answer = decide(&mut outsider, &evaluation);
        assert_eq!(answer["decision"], itself, "{subject}: {answer}");
        let id = if itself {
            "valetkey-base"
        } else {
            "valetkey/subject"
        };
        assert_eq!(answer["context"]["policy_id"], id);
    }
}

#[test]
fn a_batch_goes_as_far_as_its_semantic_says() {
    let house = House::new(Home::new());
    let mut outsider = house.start(&house.agent);
    let home = format!("file:{}", house.home.path("x").display());
    let resource = |text: &str| json!({"resource": {"type": "resource", "id": text}});
    let (yes, no) = (resource(&home), resource("file:/etc/shadow"));
    for (semantic, evaluations, expected) in [
        (json!(null), json!([yes, no, yes]), vec![true, false, true]),
        (json!("execute_all"), json!([no, yes]), vec![false, true]),
        (
            json!("deny_on_first_deny"),
            json!([yes, no, yes]),
            vec![true, false],
        ),
        (
            json!("permit_on_first_permit"),
            json!([no, yes, no]),
            vec![false, true],
        ),
        (
            json!("permit_on_first_permit"),
            json!([no, no]),
            vec![false, false],
        ),
    ] {
        let mut batch = json!({
            "subject": {"type": "agent", "id": "self"},
            "action": {"name": "metadata"},
            "evaluations": evaluations,
        });
        if semantic.is_string() {
            batch["options"] = json!({"evaluations_semantic": semantic});
        }
        let (status, answer) = outsider.post("/access/v1/evaluations", &batch);
        assert_eq!(status, 200, "{answer}");
        let list = answer["evaluations"].as_array().expect("a list");
        let decisions: Vec<_> = list.iter().map(|one| one["decision"] == true).collect();
        assert_eq!(decisions, expected, "{semantic}");
    }
    // Each that was executed is recorded, and no other.
    assert_eq!(house.home.events("request.decided").len(), 11);
    let (status, single) = outsider.post("/access/v1/evaluations", &may("metadata", &home));
    assert_eq!((status, &single["decision"]), (200, &json!(true)));
}

#[test]
fn what_is_not_of_the_documented_form_is_no_question() {
    let house = House::new(Home::new());
    let mut outsider = house.start(&house.agent);
    let whole = may("read", "file:/a");
    for member in ["subject", "action", "resource"] {
        let mut part = whole.clone();
        part.as_object_mut().expect("an object").remove(member);
        assert_eq!(
            outsider.post("/access/v1/evaluation", &part).0,
            400,
            "{member}"
        );
    }
    for (pointer, value) in [
        ("/subject/id", json!(1)),
        ("/action/name", json!(["read"])),
        ("/resource", json!("file:/a")),
    ] {
        let mut wrong = whole.clone();
        *wrong.pointer_mut(pointer).expect("a member") = value;
        assert_eq!(
            outsider.post("/access/v1/evaluation", &wrong).0,
            400,
            "{pointer}"
        );
    }
    let mut limits = whole.clone();
    limits["context"] = json!({"constraints": {"max_moons": 1}});
    assert_eq!(outsider.post("/access/v1/evaluation", &limits).0, 400);
    let many = json!({"evaluations": vec![whole.clone(); 65]});
    assert_eq!(outsider.post("/access/v1/evaluations", &many).0, 400);
    let semantic = json!({"evaluations": [whole], "options": {"evaluations_semantic": "some"}});
    assert_eq!(outsider.post("/access/v1/evaluations", &semantic).0, 400);
    // A word that Valetkey does not have is a no, as in a batch.
    for odd in [may("teleport", "file:/a"), may("read", "file:/a/../b")] {
        let answer = decide(&mut outsider, &odd);
        assert_eq!(answer["decision"], false);
    }
    let (status, point) = outsider.call("GET /.well-known/authzen-configuration");
    assert_eq!(status, 200);
    for member in ["access_evaluation_endpoint", "access_evaluations_endpoint"] {
        let base = point["policy_decision_point"].as_str().expect("a name");
        let path = point[member]
            .as_str()
            .and_then(|url| url.strip_prefix(base));
        assert!(
            path.is_some_and(|path| path.starts_with("/access/v1/")),
            "{point}"
        );
    }
}
