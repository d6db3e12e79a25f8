//! Tests of what policy requires: the forms that are read, and that joining two never asks for less.

use super::*;

fn read(text: &str) -> Result<ApprovalRequirement, serde_json::Error> {
    serde_json::from_str(text)
}

#[test]
fn the_older_form_is_read_and_written_as_before() {
    let text = r#"{"quorum":[{"role":"owner","count":1}],"justification":true,"mfa_max_age_seconds":900,"expires_seconds":120,"lease":{"scope":"task","max_seconds":600}}"#;
    let requirement = read(text).unwrap();
    assert_eq!(requirement.justification, Justification::Needed);
    assert_eq!(serde_json::to_string(&requirement).unwrap(), text);
}

#[test]
fn the_whole_form_is_read() {
    let requirement = read(
        r#"{"quorum":[{"role":"owner","count":1}],"requester_may_approve":false,
            "justification":{"min_length":20,"ticket":"^[A-Z]{2,10}-[0-9]+$"},
            "lease":{"scope":{"operations":["file:/w/a","file:/w/b"]},"max_seconds":60},
            "budget":{"per_session":20,"per_hour":6},"lockout":{"denials":3,"first_seconds":60,"max_seconds":3600}}"#,
    )
    .unwrap();
    assert!(!requirement.requester_may_approve());
    assert_eq!(requirement.lockout, Some(Lockout::DEFAULT));
    let Some(Lease {
        scope: LeaseScope::Operations(list),
        ..
    }) = requirement.lease
    else {
        panic!("{:?}", requirement.lease)
    };
    assert_eq!(list.len(), 2);
}

#[test]
fn another_form_of_requirement_is_refused() {
    let with = |member: &str| format!(r#"{{"quorum":[{{"role":"owner","count":1}}],{member}}}"#);
    for member in [
        r#""justification":"yes""#,
        r#""justification":{"min_words":3}"#,
        r#""justification":{"ticket":".*"}"#,
        r#""lease":{"scope":"always","max_seconds":1}"#,
        r#""lease":{"scope":{"operations":["/w/a"]},"max_seconds":1}"#,
        r#""budget":{"per_session":1}"#,
        r#""budget":{"per_session":1,"per_hour":1,"per_day":1}"#,
        r#""lockout":{"denials":-1,"first_seconds":1,"max_seconds":1}"#,
        r#""requester_may_approve":"never""#,
    ] {
        assert!(read(&with(member)).is_err(), "{member}");
    }
}

#[test]
fn the_requester_may_answer_alone_only_where_one_person_suffices() {
    let may = |quorum: &[(&str, u32)], requester| {
        let quorum = quorum
            .iter()
            .map(|(role, count)| Quorum {
                role: (*role).to_owned(),
                count: *count,
            })
            .collect();
        ApprovalRequirement {
            quorum,
            requester,
            ..read(r#"{"quorum":[]}"#).unwrap()
        }
        .requester_may_approve()
    };
    assert!(may(&[("owner", 1)], None));
    assert!(!may(&[("owner", 1)], Some(false)));
    assert!(!may(&[("finance-approver", 1)], None));
    assert!(may(&[("finance-approver", 1)], Some(true)));
    for requester in [None, Some(true), Some(false)] {
        assert!(!may(&[("owner", 2)], requester));
        assert!(!may(&[("owner", 1), ("finance-approver", 1)], requester));
        assert!(!may(&[], requester));
    }
}

#[test]
fn a_reason_must_be_one() {
    let rule = |min_length, ticket: &str| {
        Justification::Rule(JustificationRule {
            min_length,
            ticket: vec![ticket.parse().unwrap()],
        })
    };
    assert_eq!(Justification::Optional.check(None), Ok(()));
    for nothing in [
        None,
        Some(""),
        Some("   "),
        Some("\u{200b}\u{2800}"),
        Some("..."),
    ] {
        assert_eq!(
            Justification::Needed.check(nothing),
            Err(JustificationFault::Missing)
        );
    }
    let rule = rule(10, "^FIN-[0-9]+$");
    assert_eq!(
        rule.check(Some("FIN-1 x")),
        Err(JustificationFault::Short(10))
    );
    assert!(matches!(
        rule.check(Some("the month has to be closed today")),
        Err(JustificationFault::NoTicket(_))
    ));
    assert_eq!(rule.check(Some("the month is closed, FIN-1")), Ok(()));
}

#[test]
fn two_requirements_on_reasons_are_both_kept() {
    let rule = |min_length, tickets: &[&str]| {
        Justification::Rule(JustificationRule {
            min_length,
            ticket: tickets.iter().map(|text| text.parse().unwrap()).collect(),
        })
    };
    let both = rule(3, &["^A-[0-9]$"]).both(rule(9, &["^A-[0-9]$", "^B-[0-9]$"]));
    assert_eq!(both, rule(9, &["^A-[0-9]$", "^B-[0-9]$"]));
    assert_eq!(
        Justification::Needed.both(Justification::Optional),
        Justification::Needed
    );
    assert_eq!(rule(0, &[]).both(Justification::Needed), rule(0, &[]));
    // A rule without a length needs a reason all the same.
    assert!(rule(0, &[]).check(None).is_err());
}

#[test]
fn the_narrower_scope_is_within_both() {
    let list = |names: &[&str]| {
        LeaseScope::Operations(names.iter().map(|name| name.parse().unwrap()).collect())
    };
    let (task, minutes, once) = (LeaseScope::Task, LeaseScope::Minutes, LeaseScope::Once);
    assert_eq!(task.clone().narrower(minutes.clone()), minutes);
    assert_eq!(
        task.clone().narrower(list(&["file:/a"])),
        list(&["file:/a"])
    );
    assert_eq!(
        list(&["file:/a", "file:/b"]).narrower(list(&["file:/b", "file:/c"])),
        list(&["file:/b"])
    );
    assert_eq!(list(&["file:/a"]).narrower(list(&["file:/b"])), once);
    assert_eq!(task.narrower(once.clone()), once);
}
