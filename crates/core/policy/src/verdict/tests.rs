//! Numbers and lists of an answer are kept within their limits.

use super::*;

fn read_text(text: &str) -> Result<Decision, Fault> {
    read(
        &Value::from_json_str(text).unwrap(),
        &Constraints::default(),
    )
}

#[test]
fn long_texts_are_cut_and_long_lists_end() {
    let reasons: Vec<String> = (0..40).map(|_| "ß".repeat(1000)).collect();
    let text =
        serde_json::json!({"effect": "deny", "policy_id": "p", "reasons": reasons}).to_string();
    let decision = read_text(&text).unwrap();
    assert_eq!(decision.reasons.len(), 16);
    assert_eq!(decision.reasons[0].chars().count(), 401);
}

#[test]
fn a_denial_carries_nothing_of_a_grant() {
    let decision = read_text(
        r#"{"effect": "deny", "policy_id": "p", "ttl_seconds": 300, "constraints": {"max_rows": 1},
            "except": ["file:/a"], "approval": {"quorum": []}, "obligations": {"labels": ["x"]}, "requestable": true}"#,
    )
    .unwrap();
    assert_eq!(
        decision,
        Decision {
            requestable: true,
            reasons: vec![],
            ..Decision::denied("p", "")
        }
    );
}

#[test]
fn questions_and_leases_do_not_last_for_ever() {
    let decision = read_text(
        r#"{"effect": "ask", "policy_id": "p", "approval": {"quorum": [{"role": "owner", "count": 1}],
            "expires_seconds": 999999999, "lease": {"scope": "task", "max_seconds": 999999999}}}"#,
    )
    .unwrap();
    let approval = decision.approval.unwrap();
    assert_eq!(approval.expires_seconds, MAX_EXPIRES_SECONDS);
    assert_eq!(approval.lease.unwrap().max_seconds, MAX_LEASE_SECONDS);
}

#[test]
fn too_much_is_no_answer() {
    let except: Vec<String> = (0..257).map(|at| format!("file:/{at}")).collect();
    let labels: Vec<String> = (0..33).map(|at| format!("l{at}")).collect();
    let quorum: Vec<_> = (0..9)
        .map(|at| serde_json::json!({"role": format!("r{at}"), "count": 1}))
        .collect();
    for extra in [
        serde_json::json!({"effect": "allow", "except": except}),
        serde_json::json!({"effect": "allow", "obligations": {"labels": labels}}),
        serde_json::json!({"effect": "ask", "approval": {"quorum": quorum}}),
        serde_json::json!({"effect": "ask", "approval": {"quorum": [{"role": "owner", "count": 17}]}}),
        serde_json::json!({"effect": "ask", "approval": {"quorum": [{"role": "owner", "count": 1}], "mfa_max_age_seconds": 0}}),
        serde_json::json!({"effect": "ask", "approval": {"quorum": [{"role": "owner", "count": 1}], "lease": {"scope": "once", "max_seconds": 0}}}),
        serde_json::json!({"effect": "allow", "policy_id": "x".repeat(129)}),
    ] {
        let mut answer = extra;
        let object = answer.as_object_mut().unwrap();
        object.entry("policy_id").or_insert_with(|| "p".into());
        let result = read_text(&answer.to_string());
        assert!(
            matches!(result, Err(Fault::Shape(_))),
            "{answer}: {result:?}"
        );
    }
}

#[test]
fn a_requirement_that_says_less_than_it_seems_to_is_no_answer() {
    let approval = |more: serde_json::Value| {
        let mut approval = serde_json::json!({"quorum": [{"role": "owner", "count": 1}]});
        let members = more.as_object().unwrap().clone();
        approval.as_object_mut().unwrap().extend(members);
        serde_json::json!({"effect": "ask", "policy_id": "p", "approval": approval}).to_string()
    };
    let listed = |list: serde_json::Value| serde_json::json!({"lease": {"scope": {"operations": list}, "max_seconds": 60}});
    let many: Vec<String> = (0..65).map(|at| format!("file:/{at}")).collect();
    for bad in [
        listed(serde_json::json!([])),
        listed(serde_json::json!(["file:/w/**"])),
        listed(serde_json::json!(["file:/w/a", "file:/w/*.csv"])),
        listed(serde_json::json!(many)),
        serde_json::json!({"quorum": [{"role": "owner", "count": 2}], "requester_may_approve": true}),
        serde_json::json!({"justification": {"min_length": 1001}}),
        serde_json::json!({"justification": {"ticket": ["^A$", "^B$", "^C$", "^D$", "^E$"]}}),
        serde_json::json!({"justification": {"ticket": "^(a+)+$"}}),
        serde_json::json!({"budget": {"per_session": 0, "per_hour": 5}}),
        serde_json::json!({"lockout": {"denials": 0, "first_seconds": 60, "max_seconds": 60}}),
        serde_json::json!({"lockout": {"denials": 101, "first_seconds": 60, "max_seconds": 60}}),
        serde_json::json!({"lockout": {"denials": 3, "first_seconds": 0, "max_seconds": 60}}),
        serde_json::json!({"lockout": {"denials": 3, "first_seconds": 60, "max_seconds": 59}}),
        serde_json::json!({"lockout": {"denials": 3, "first_seconds": 60, "max_seconds": 86401}}),
    ] {
        let result = read_text(&approval(bad.clone()));
        assert!(matches!(result, Err(Fault::Shape(_))), "{bad}: {result:?}");
    }
    for good in [
        listed(serde_json::json!([
            "file:/w/a",
            "exec:/usr/bin/git",
            "tool:github/x"
        ])),
        serde_json::json!({"requester_may_approve": true}),
        serde_json::json!({"quorum": [{"role": "owner", "count": 2}], "requester_may_approve": false}),
        serde_json::json!({"justification": {"min_length": 20, "ticket": "^[A-Z]{2,10}-[0-9]+$"}}),
        serde_json::json!({"lockout": {"denials": 3, "first_seconds": 60, "max_seconds": 3600}}),
    ] {
        assert!(read_text(&approval(good.clone())).is_ok(), "{good}");
    }
}

#[test]
fn the_asker_learns_no_detail() {
    for fault in [
        Fault::Undefined,
        Fault::Failed("secret detail".into()),
        Fault::OverBudget("secret detail".into()),
        Fault::Shape("secret detail".into()),
        Fault::Input("secret detail".into()),
    ] {
        assert!(!fault.denial().reasons.concat().contains("detail"));
        assert!(fault == Fault::Undefined || fault.to_string().contains("secret detail"));
    }
}
