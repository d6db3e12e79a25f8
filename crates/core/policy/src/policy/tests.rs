//! Whatever goes wrong on the way to an answer is a denial; and what a policy may do within its budget it can.

use valetkey_model::{Constraints, Decision, Effect, Timestamp};

use super::*;
use crate::FAIL_CLOSED_POLICY_ID;
use crate::testkit::{asks, bundle, files, policy};

const ALLOW: &str = r#"decision := {"effect": "allow", "policy_id": "p"}"#;

fn decide(body: &str) -> Decision {
    policy(body).decide(&asks("read", "file:/home/alice/work/a"))
}

fn is_fail_closed(body: &str, reason: &str) {
    let decision = decide(body);
    assert_eq!(decision.effect, Effect::Deny, "{body}");
    assert_eq!(decision.policy_id, FAIL_CLOSED_POLICY_ID, "{body}");
    assert_eq!(decision.reasons, [reason], "{body}");
    assert_eq!((decision.ttl_seconds, decision.approval), (0, None));
    assert_eq!(decision.constraints, Constraints::default());
}

#[test]
fn an_answer_is_an_answer() {
    let decision = decide(ALLOW);
    assert_eq!(decision.effect, Effect::Allow);
    assert_eq!(decision.ttl_seconds, Decision::DEFAULT_TTL_SECONDS);
}

#[test]
fn undefined_is_a_denial() {
    const REASON: &str = "no rule of the policy answers this request";
    is_fail_closed(
        r#"decision := {"effect": "allow", "policy_id": "p"} if false"#,
        REASON,
    );
    is_fail_closed(
        r#"decision := {"effect": "allow", "policy_id": input.nothing.there}"#,
        REASON,
    );
    is_fail_closed(
        r#"decision := {"effect": "allow", "policy_id": data.missing.name}"#,
        REASON,
    );
}

#[test]
fn two_answers_are_a_denial() {
    const REASON: &str = "the policy failed on this request";
    is_fail_closed(
        r#"decision := {"effect": "allow", "policy_id": "p"} if true
           decision := {"effect": "deny", "policy_id": "p"} if true"#,
        REASON,
    );
    is_fail_closed(
        r#"decision := {"effect": effect, "policy_id": "p"}
           effect := "allow" if input.request.id
           effect := "deny" if input.resource.scheme"#,
        REASON,
    );
    is_fail_closed(
        r#"f(x) := 1 if true
           f(x) := 2 if true
           decision := {"effect": "allow", "policy_id": "p", "ttl_seconds": f(1)}"#,
        REASON,
    );
}

#[test]
fn a_builtin_that_fails_is_a_denial() {
    const REASON: &str = "the policy failed on this request";
    for body in [
        r#"decision := {"effect": "allow", "policy_id": "p"} if not startswith(input.subject.user.uid, "x")"#,
        r#"bad contains "x" if startswith(1, "x")
           decision := {"effect": "allow", "policy_id": "p"} if count(bad) == 0"#,
        r#"decision := {"effect": "allow", "policy_id": "p", "ttl_seconds": to_number("nine")}"#,
        r#"decision := {"effect": "allow", "policy_id": "p"} if 1 / 0 > 0"#,
    ] {
        is_fail_closed(body, REASON);
    }
}

#[test]
fn another_shape_is_a_denial() {
    const REASON: &str = "the policy gave no usable answer";
    for answer in [
        r#""allow""#,
        "true",
        "null",
        "[]",
        "{}",
        r#"{"effect": "allow"}"#,
        r#"{"effect": "maybe", "policy_id": "p"}"#,
        r#"{"effect": "Allow", "policy_id": "p"}"#,
        r#"{"effect": ["allow"], "policy_id": "p"}"#,
        r#"{"effect": "allow", "policy_id": ""}"#,
        r#"{"effect": "allow", "policy_id": "a\u001bb"}"#,
        r#"{"effect": "allow", "policy_id": "p", "also": 1}"#,
        r#"{"effect": "allow", "policy_id": "p", "constraints": {"max_luck": 1}}"#,
        r#"{"effect": "allow", "policy_id": "p", "constraints": {"max_rows": -1}}"#,
        r#"{"effect": "allow", "policy_id": "p", "constraints": {"max_rows": "50"}}"#,
        r#"{"effect": "allow", "policy_id": "p", "ttl_seconds": -5}"#,
        r#"{"effect": "allow", "policy_id": "p", "ttl_seconds": 1.5}"#,
        r#"{"effect": "allow", "policy_id": "p", "ttl_seconds": 99999999999999999999}"#,
        r#"{"effect": "allow", "policy_id": "p", "reasons": "because"}"#,
        r#"{"effect": "allow", "policy_id": "p", "except": ["/etc"]}"#,
        r#"{"effect": "allow", "policy_id": "p", "except": ["file:/a/../b"]}"#,
        r#"{"effect": "allow", "policy_id": "p", "obligations": {"durability": "never"}}"#,
        r#"{"effect": "allow", "policy_id": "p", "obligations": {"labels": ["a b"]}}"#,
        r#"{"effect": "ask", "policy_id": "p"}"#,
        r#"{"effect": "ask", "policy_id": "p", "approval": {"quorum": []}}"#,
        r#"{"effect": "ask", "policy_id": "p", "approval": {"quorum": [{"role": "owner", "count": 0}]}}"#,
        r#"{"effect": "ask", "policy_id": "p", "approval": {"quorum": [{"role": "", "count": 1}]}}"#,
        r#"{"effect": "ask", "policy_id": "p", "approval": {"quorum": [{"role": "owner", "count": 1}], "expires_seconds": 0}}"#,
        r#"{"effect": "allow", "policy_id": "p", "approval": {"quorum": [{"role": "owner", "count": 1}]}}"#,
    ] {
        is_fail_closed(&format!("decision := {answer}"), REASON);
    }
    is_fail_closed(
        r#"decision contains {"effect": "allow", "policy_id": "p"}"#,
        REASON,
    );
}

#[test]
fn an_endless_evaluation_is_a_denial() {
    const REASON: &str = "the policy took too long to decide";
    let digits = "[0,1,2,3,4,5,6,7,8,9]";
    is_fail_closed(
        &format!(
            r#"d := {digits}
               n := count([x | some a in d; some b in d; some c in d; some e in d; some f in d; some g in d; some h in d; x := a+b+c+e+f+g+h])
               decision := {{"effect": "allow", "policy_id": "p", "ttl_seconds": n}}"#
        ),
        REASON,
    );
}

#[test]
fn a_hog_of_memory_is_a_denial() {
    // Each rule doubles the text twice: without the clock, sixty doublings would ask for an exabyte.
    let mut body = String::from("s0 := \"0123456789abcdef\"\n");
    for step in 1..=30 {
        let before = step - 1;
        body.push_str(&format!(
            "s{step} := concat(\"\", [t, t]) if t := concat(\"\", [s{before}, s{before}])\n"
        ));
    }
    body.push_str(
        r#"decision := {"effect": "allow", "policy_id": "p", "ttl_seconds": count(s30)}"#,
    );
    is_fail_closed(&body, "the policy took too long to decide");
}

#[test]
fn a_life_is_kept_within_its_bounds() {
    for (ttl, single, expected) in [
        (0, false, 1),
        (9_999_999, false, 3600),
        (300, true, 60),
        (5, true, 5),
    ] {
        let decision = decide(&format!(
            r#"decision := {{"effect": "allow", "policy_id": "p", "ttl_seconds": {ttl}, "constraints": {{"single_use": {single}}}}}"#
        ));
        assert_eq!(decision.ttl_seconds, expected, "{ttl} {single}");
    }
}

#[test]
fn a_policy_does_not_widen_what_was_asked() {
    let mut input = asks("read", "file:/home/alice/work/a");
    input.request.constraints = Constraints {
        max_bytes: Some(10),
        max_rows: Some(90),
        single_use: Some(true),
        not_before: Some(Timestamp::from_unix_ms(5)),
        ..Constraints::default()
    };
    let decision = policy(
        r#"decision := {"effect": "allow", "policy_id": "p", "ttl_seconds": 3600,
             "constraints": {"max_bytes": 1000, "max_rows": 50, "single_use": false, "allow_macros": false}}"#,
    )
    .decide(&input);
    assert_eq!(
        decision.constraints,
        Constraints {
            max_bytes: Some(10),
            max_rows: Some(50),
            single_use: Some(true),
            allow_macros: Some(false),
            not_before: Some(Timestamp::from_unix_ms(5)),
            ..Constraints::default()
        }
    );
    assert_eq!(decision.ttl_seconds, 60);
}

#[test]
fn the_whole_input_is_there() {
    let decision = decide(
        r#"decision := {"effect": "allow", "policy_id": "p"} if {
             input.request.resource == "file:/home/alice/work/a"
             input.request.actions == ["read"]
             input.request.justification == "to finish the report"
             input.subject.user.uid == 1000
             input.subject.user.home_resource == "file:/home/alice"
             input.subject.agent.id == "coder"
             input.subject.session.workspace == "file:/home/alice/work/**"
             input.subject.session.grants[0].actions == ["read"]
             input.resource.scheme == "file"
             input.resource.path == "/home/alice/work/a"
             input.resource.in_workspace
             input.resource.in_home
             not input.resource.is_pattern
             not input.resource.is_protected
             not input.request.granted_by_person
             input.context.time == "2026-01-17T15:12:00.000Z"
             input.context.platform == "linux"
             input.context.requests_last_hour == 40
           }"#,
    );
    assert_eq!(decision.effect, Effect::Allow);
}

#[test]
fn data_and_several_modules_are_used() {
    let bundle = files(&[
        ("a.rego", "package valetkey\nimport data.team.rules\ndecision := rules.answer\n"),
        ("team/rules.rego", "package team.rules\nanswer := {\"effect\": \"allow\", \"policy_id\": data.team.name}\n"),
        ("team/data.json", r#"{"name": "blue"}"#),
    ])
    .unwrap();
    let policy = Policy::compile(&bundle).unwrap();
    let decision = policy.decide(&asks("read", "file:/x"));
    assert_eq!(
        (decision.effect, decision.policy_id.as_str()),
        (Effect::Allow, "blue")
    );
}

#[test]
fn a_test_file_decides_nothing() {
    let bundle = files(&[
        (
            "a.rego",
            "package valetkey\ndefault decision := {\"effect\": \"deny\", \"policy_id\": \"p\"}\n",
        ),
        (
            "a_test.rego",
            "package valetkey\ndecision := {\"effect\": \"allow\", \"policy_id\": \"p\"}\n",
        ),
    ])
    .unwrap();
    let decision = Policy::compile(&bundle)
        .unwrap()
        .decide(&asks("read", "file:/x"));
    assert_eq!(
        (decision.effect, decision.policy_id.as_str()),
        (Effect::Deny, "p")
    );
}

#[test]
fn a_bundle_without_the_rule_is_refused() {
    for rego in [
        "package valetkey\nallow := true\n",
        "package valetkey\ndecision[\"effect\"] := \"allow\"\n",
        "package valetkey\ndecision.effect := \"allow\"\n",
        "package valetkey.sub\ndecision := 1\n",
        "package other\ndecision := 1\n",
        "package valetkey.guardrails\ndecision := 1\n",
    ] {
        assert!(
            matches!(
                Policy::compile(&bundle(rego).unwrap()),
                Err(PolicyError::NoEntryPoint {
                    rule: "data.valetkey.decision"
                })
            ),
            "{rego}"
        );
    }
    let only_data = files(&[(
        "data.json",
        r#"{"valetkey": {"decision": {"effect": "allow", "policy_id": "p"}}}"#,
    )]);
    assert!(Policy::compile(&only_data.unwrap()).is_err());
    let only_test = files(&[("a_test.rego", &format!("package valetkey\n{ALLOW}\n"))]);
    assert!(Policy::compile(&only_test.unwrap()).is_err());
    assert!(Policy::compile(&files(&[]).unwrap()).is_err());
}

#[test]
fn what_cannot_be_right_is_said_when_it_is_loaded() {
    for (body, place, words) in [
        ("decision := missing(1)", "policy.rego:2:13: ", "missing"),
        (
            "decision := data.team.f(1)",
            "policy.rego:2:13: ",
            "data.team.f",
        ),
        (
            "decision := 1 if not lower(1, 2, 3)",
            "policy.rego:2:22: ",
            "1 arguments",
        ),
        ("f(x) := x\ndecision := f()", "policy.rego:3:13: ", "`f`"),
        (
            "decision := x if {\n\tnot y == 1\n\tx := 1\n}",
            "policy.rego:3:6: ",
            "`y` is unsafe",
        ),
        (
            "decision := 1\nunused if nowhere == 1",
            "policy.rego:3:11: ",
            "`nowhere` is unsafe",
        ),
    ] {
        let text = format!("package valetkey\n{body}\n");
        let error = bundle(&text)
            .and_then(|bundle| Policy::compile(&bundle))
            .unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with(place) && said.contains(words),
            "{body}: {said}"
        );
    }
}

#[test]
fn what_is_seen_only_when_it_is_evaluated_is_a_denial() {
    const REASON: &str = "the policy failed on this request";
    is_fail_closed("decision := nowhere", REASON);
    is_fail_closed("decision := a\na := b\nb := a", REASON);
    is_fail_closed(
        "decision := {\"effect\": \"allow\", \"policy_id\": \"p\"} if not a\na if b\nb if not a",
        REASON,
    );
}

#[test]
fn the_same_request_takes_the_same_steps() {
    let policy = Policy::compile_guardrails(&crate::starter("guardrails").unwrap()).unwrap();
    let steps = |actions: &str, resource: &str| {
        let input = rego_input(&asks(actions, resource).with_derived_facts()).unwrap();
        policy.interpreted(input).unwrap();
        BUDGET.steps - clock::steps_left()
    };
    let file = steps("read", "file:/home/alice/work/a");
    let tree = steps("read,write,create,delete", "file:/home/alice/work/**");
    assert_eq!(file, steps("read", "file:/home/alice/work/a"));
    assert!((50..2000).contains(&file), "{file} steps for a file");
    assert!((500..20_000).contains(&tree), "{tree} steps for a tree");
}

#[test]
fn a_policy_is_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let policy = policy(r#"decision := {"effect": "allow", "policy_id": input.subject.agent.id}"#);
    shared(&policy);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let decision = policy.decide(&asks("read", "file:/x"));
                    assert_eq!(decision.policy_id, "coder");
                }
            });
        }
    });
}
