//! Appointments: in system mode root says who answers for whom, and nobody makes a second person of themselves.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use valetkey_tests::{id, until};

use super::modes::{ALICE, BOB, CAROL, System, can_become_others};
use super::needs_cells;

const SOON: Duration = Duration::from_secs(15);

/// A system broker and a policy that wants so many of a role before anything is opened.
fn wanting(count: u32) -> System {
    let system = System::started();
    let file = system.policy().join("base.rego");
    let text = fs::read_to_string(&file).expect("the policy");
    let wanted = format!(r#"{{"role": "finance-approver", "count": {count}}}"#);
    let changed = text.replace(r#"{"role": "owner", "count": 1}"#, &wanted);
    assert_ne!(text, changed);
    fs::write(&file, changed).expect("write");
    system
}

/// Waits until a person sees the question of somebody else's session.
fn sees(system: &System, uid: u32) -> Value {
    until("a question of another's session", SOON, || {
        system.questions(uid).into_iter().next()
    })
}

#[test]
fn whom_root_appoints_answers_for_others_in_that_role() {
    if !can_become_others("whom_root_appoints_answers") {
        return;
    }
    needs_cells!();
    let system = wanting(2);
    for uid in [ALICE, BOB, CAROL] {
        system.give_key(uid);
    }
    let appoint = [
        "approver",
        "appoint",
        "uid61002",
        "--role",
        "finance-approver",
    ];
    // Nobody but root appoints, nobody is appointed an owner, and an account must be there.
    drop(system.valetkey(BOB, appoint).done().expect(3));
    for wrong in [
        ["approver", "appoint", "uid61002", "--role", "owner"],
        [
            "approver",
            "appoint",
            "nobody-of-that-name",
            "--role",
            "finance-approver",
        ],
    ] {
        assert_ne!(system.valetkey(0, wrong).done().code(), 0);
    }
    let session = system.session(ALICE, "cat notes.txt");
    let question = sees(&system, ALICE);
    assert!(system.questions(BOB).is_empty(), "not appointed yet");
    drop(system.valetkey(0, appoint).done().ok());
    let carol = [
        "approver",
        "appoint",
        "uid61004",
        "--role",
        "finance-approver",
        "--for",
        "uid61001",
    ];
    drop(system.valetkey(0, carol).done().ok());
    // Both see it and may answer; the one whose session it is may not.
    assert_eq!(sees(&system, BOB)["request_id"], question["request_id"]);
    drop(system.valetkey(ALICE, ["approve", id(&question)]).done());
    assert_eq!(sees(&system, BOB)["request_id"], question["request_id"]);
    drop(system.valetkey(BOB, ["approve", id(&question)]).done().ok());
    drop(system.valetkey(BOB, ["approve", id(&question)]).done());
    assert_eq!(
        sees(&system, CAROL)["request_id"],
        question["request_id"],
        "one of two"
    );
    drop(
        system
            .valetkey(CAROL, ["approve", id(&question)])
            .done()
            .ok(),
    );
    assert_eq!(
        session.finish(SOON).ok().text(),
        format!("notes of {ALICE}\n")
    );

    // Who is dismissed sees and answers nothing of others any more.
    let dismiss = ["approver", "dismiss", "uid61002"];
    drop(system.valetkey(BOB, dismiss).done().expect(3));
    drop(system.valetkey(0, dismiss).done().ok());
    assert_ne!(system.valetkey(0, dismiss).done().code(), 0, "it is gone");
    let session = system.session(ALICE, "cat notes.txt");
    let question = sees(&system, CAROL);
    assert!(system.questions(BOB).is_empty());
    assert_ne!(
        system
            .valetkey(BOB, ["approve", id(&question)])
            .done()
            .code(),
        0
    );
    drop(system.valetkey(CAROL, ["deny", id(&question)]).done().ok());
    drop(session.finish(SOON));
    let log = system
        .valetkey(0, ["audit", "query", "--type", "registry", "--json"])
        .done()
        .ok();
    let log = log.text();
    for words in [
        "registry.approver_added",
        "registry.approver_removed",
        "finance-approver",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
}

#[test]
fn nobody_makes_a_second_person_of_themselves_in_system_mode() {
    if !can_become_others("nobody_makes_a_second_person") {
        return;
    }
    needs_cells!();
    let system = wanting(1);
    system.give_key(ALICE);
    system.give_key(BOB);
    let session = system.session(ALICE, "cat notes.txt");
    let question = sees(&system, ALICE);
    drop(system.valetkey(ALICE, ["approve", id(&question)]).done());
    // Another key of hers, added by her own signature, as Bob's or anybody's.
    let key = system
        .valetkey(BOB, ["approver", "show-key"])
        .done()
        .ok()
        .text();
    let add = [
        "approver",
        "add",
        "uid61002",
        "--key",
        key.trim(),
        "--role",
        "finance-approver",
    ];
    let refused = system.valetkey(ALICE, add).done().expect(3);
    drop(refused.says("root appoints"));
    assert!(system.questions(BOB).is_empty());
    assert_ne!(
        system
            .valetkey(BOB, ["approve", id(&question)])
            .done()
            .code(),
        0
    );
    drop(system.valetkey(ALICE, ["deny", id(&question)]).done().ok());
    assert_ne!(session.finish(SOON).code(), 0);
}

#[test]
fn an_emergency_is_told_to_and_closed_by_whom_root_appointed() {
    if !can_become_others("an_emergency_is_told_to") {
        return;
    }
    needs_cells!();
    let system = System::started();
    let file = system.policy().join("base.rego");
    let text = fs::read_to_string(&file).expect("the policy");
    let changed = text
        .replace(r#""review_role": "owner""#, r#""review_role": "reviewer""#)
        .replace(
            r#"sprintf("%s/**", [trim_suffix(input.subject.user.home_resource, "/")])"#,
            r#""file:/var/tmp/**""#,
        )
        .replace("if {\n\tinput.subject.user.home_resource\n}", "if true");
    assert!(!changed.contains("\tinput.subject.user.home_resource\n"));
    assert!(changed.contains(r#""reviewer""#));
    fs::write(&file, changed).expect("write");
    for uid in [ALICE, BOB] {
        system.give_key(uid);
    }
    let appoint = [
        "approver", "appoint", "uid61002", "--role", "reviewer", "--for", "uid61001",
    ];
    drop(system.valetkey(0, appoint).done().ok());
    // It looks at a name, and so holds something by which it is found.
    let mut session = system.session(ALICE, "test -e notes.txt; echo up; read go");
    session.wait_for("up", SOON);
    let notes = format!("{}/notes.txt=read", system.home(ALICE).display());
    let broken = system
        .valetkey(
            ALICE,
            [
                "break-glass",
                "--because",
                "the close run is stuck",
                "--ticket",
                "INC-7",
                &notes,
            ],
        )
        .done()
        .ok();
    assert!(broken.text().contains("is open"), "{}", broken.text());
    // The one who reviews sees it; a third does not; she cannot close it herself.
    let reviews = |uid| {
        let listed = system.valetkey(uid, ["report", "review", "--json"]).done();
        listed.ok().json().as_array().expect("a list").clone()
    };
    assert!(reviews(CAROL).is_empty());
    let review = reviews(BOB).first().expect("a review").clone();
    let id = review["emergency"].as_str().expect("an id").to_owned();
    let close = [
        "report",
        "review",
        "--close",
        &id,
        "--findings",
        "it was needed",
    ];
    assert_ne!(system.valetkey(ALICE, close).done().code(), 0);
    assert_ne!(system.valetkey(CAROL, close).done().code(), 0);
    drop(system.valetkey(BOB, close).done().ok());
    assert!(reviews(BOB).iter().all(|one| one["is_open"] == false));
    drop(session);
}
