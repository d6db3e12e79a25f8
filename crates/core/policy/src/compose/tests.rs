//! The stricter answer of two counts, in every part.

use proptest::prelude::*;
use valetkey_model::{Constraints, Justification, LeaseScope, ViewMode};

use super::*;
use crate::FAIL_CLOSED_POLICY_ID;
use crate::testkit::{asks, bundle, policy};

fn set(body: &str) -> PolicySet {
    PolicySet::new(&bundle(&format!("package valetkey\n\n{body}\n")).unwrap()).unwrap()
}

fn answer(effect: &str, more: &str) -> String {
    let approval = match effect {
        "ask" => r#", "approval": {"quorum": [{"role": "owner", "count": 1}]}"#,
        _ => "",
    };
    format!(
        r#"decision := {{"effect": "{effect}", "policy_id": "{effect}-p", "reasons": ["{effect}-r"]{approval}{more}}}"#
    )
}

#[test]
fn the_stricter_effect_counts_in_either_order() {
    for (a, b, expected, id) in [
        ("allow", "allow", Effect::Allow, "allow-p"),
        ("allow", "ask", Effect::Ask, "ask-p"),
        ("allow", "deny", Effect::Deny, "deny-p"),
        ("ask", "ask", Effect::Ask, "ask-p"),
        ("ask", "deny", Effect::Deny, "deny-p"),
        ("deny", "deny", Effect::Deny, "deny-p"),
    ] {
        for (first, second) in [(a, b), (b, a)] {
            let layered = set(&answer(first, "")).narrowed_by(policy(&answer(second, "")));
            let decision = layered.decide(&asks("read", "file:/home/alice/work/a"));
            assert_eq!(
                (decision.effect, decision.policy_id.as_str()),
                (expected, id),
                "{first} {second}"
            );
            assert_eq!(decision.approval.is_some(), expected == Effect::Ask);
        }
    }
}

#[test]
fn the_view_of_the_stricter_layer_holds() {
    let view = |said: &str, also: &str| {
        let obliged = |view: &str| format!(r#", "obligations": {{"view": "{view}"}}"#);
        let layered = set(&answer("allow", &obliged(said)));
        let layered = layered.narrowed_by(policy(&answer("allow", &obliged(also))));
        let decision = layered.decide(&asks("read", "file:/home/alice/work/**"));
        decision.obligations.view
    };
    // The guardrails leave it to the others.
    assert_eq!(view("quiet", "quiet"), ViewMode::Quiet);
    for stricter in ["quiet_if_wanted", "watched"] {
        let expected = view(stricter, stricter);
        assert_eq!(view("quiet", stricter), expected, "{stricter}");
        assert_eq!(view(stricter, "quiet"), expected, "{stricter}");
    }
    assert_eq!(view("quiet_if_wanted", "watched"), ViewMode::Watched);
    let silent = set(&answer("allow", "")).decide(&asks("read", "file:/home/alice/work/**"));
    assert_eq!(silent.obligations.view, ViewMode::Watched);
}

#[test]
fn the_guardrails_hold_for_a_policy_that_allows_everything() {
    let careless = set(&answer("allow", r#", "ttl_seconds": 3600"#));
    for (actions, resource, expected) in [
        ("read", "file:/home/alice/.ssh/id_rsa", Effect::Deny),
        ("metadata", "file:/home/alice/.aws", Effect::Deny),
        ("read", "file:/etc/shadow", Effect::Deny),
        ("write", "file:/home/alice/.bashrc", Effect::Ask),
        ("write", "file:/etc/passwd", Effect::Ask),
        ("read", "file:/srv/x", Effect::Allow),
        ("connect", "tcp:db:1", Effect::Allow),
    ] {
        assert_eq!(
            careless.decide(&asks(actions, resource)).effect,
            expected,
            "{resource}"
        );
    }
    let tree = careless.decide(&asks("read", "file:/home/**"));
    assert!(
        tree.except
            .contains(&"file:/home/alice/.*/**".parse().unwrap())
    );
    assert_eq!(
        (tree.ttl_seconds, tree.obligations.durability),
        (3600, Durability::BeforeEffect)
    );
}

#[test]
fn a_layer_that_fails_is_a_denial_and_a_fault() {
    let layered =
        set(&answer("allow", "")).narrowed_by(policy(r#"decision := {"effect": "sure"}"#));
    let judgement = layered.judge(&asks("read", "file:/home/alice/work/a"));
    assert_eq!(judgement.decision.effect, Effect::Deny);
    assert_eq!(judgement.decision.policy_id, FAIL_CLOSED_POLICY_ID);
    assert!(
        matches!(judgement.faults.as_slice(), [Fault::Shape(_)]),
        "{:?}",
        judgement.faults
    );
    // What the agent reads says nothing of the policy's inside.
    assert!(
        !judgement
            .decision
            .reasons
            .concat()
            .contains("unknown variant")
    );
    assert!(judgement.faults[0].to_string().contains("unknown variant"));
}

#[test]
fn everything_is_tightened() {
    let a = answer(
        "ask",
        r#", "ttl_seconds": 100, "constraints": {"max_bytes": 5, "allow_macros": true},
            "obligations": {"durability": "streamed", "labels": ["a", "b"]}, "except": ["file:/**/x"]"#,
    );
    let b = answer(
        "allow",
        r#", "ttl_seconds": 200, "constraints": {"max_bytes": 9, "allow_macros": false, "single_use": true},
            "obligations": {"labels": ["b", "c"]}, "except": ["file:/**/x", "file:/**/y"]"#,
    );
    let decision = set(&a)
        .narrowed_by(policy(&b))
        .decide(&asks("read", "file:/srv/**"));
    assert_eq!(
        decision.constraints,
        Constraints {
            max_bytes: Some(5),
            allow_macros: Some(false),
            single_use: Some(true),
            ..Constraints::default()
        }
    );
    assert_eq!(decision.ttl_seconds, 60);
    assert_eq!(decision.obligations.durability, Durability::BeforeEffect);
    assert_eq!(decision.obligations.labels, ["a", "b", "c"]);
    let of = |text: &str| {
        decision
            .except
            .iter()
            .filter(|out| out.to_string() == text)
            .count()
    };
    assert_eq!(
        (of("file:/**/x"), of("file:/**/y"), of("file:/**/*.pem")),
        (1, 1, 1)
    );
    assert_eq!(decision.reasons, ["ask-r", "allow-r"]);
}

#[test]
fn the_witness_that_is_wanted_sooner_is_wanted() {
    let wanting = |seconds: Option<u64>| {
        let duty = seconds.map_or_else(String::new, |seconds| {
            format!(r#", "obligations": {{"witness": {{"max_age_seconds": {seconds}}}}}"#)
        });
        answer("allow", &duty)
    };
    for (a, b, both) in [
        (Some(60), Some(600), Some(60)),
        (Some(600), Some(60), Some(60)),
        (Some(60), None, Some(60)),
        (None, Some(60), Some(60)),
        (None, None, None),
    ] {
        let decision = set(&wanting(a))
            .narrowed_by(policy(&wanting(b)))
            .decide(&asks("read", "file:/srv/x"));
        let wanted = decision.obligations.witness;
        assert_eq!(wanted.map(|duty| duty.max_age_seconds), both, "{a:?} {b:?}");
    }
}

#[test]
fn both_questions_are_answered_by_one_meeting() {
    let requirement = |text: &str| serde_json::from_str::<ApprovalRequirement>(text).unwrap();
    let joined = both_approvals(
        requirement(
            r#"{"quorum": [{"role": "owner", "count": 1}], "mfa_max_age_seconds": 900, "expires_seconds": 60,
                "lease": {"scope": "task", "max_seconds": 600}}"#,
        ),
        requirement(
            r#"{"quorum": [{"role": "security", "count": 2}, {"role": "owner", "count": 2}], "justification": true,
                "expires_seconds": 120, "lease": {"scope": "once", "max_seconds": 900}}"#,
        ),
    );
    let quorum: Vec<_> = joined
        .quorum
        .iter()
        .map(|part| (part.role.as_str(), part.count))
        .collect();
    assert_eq!(quorum, [("owner", 2), ("security", 2)]);
    assert_eq!(joined.justification, Justification::Needed);
    assert_eq!(
        (joined.mfa_max_age_seconds, joined.expires_seconds),
        (Some(900), 60)
    );
    assert_eq!(
        joined.lease,
        Some(Lease {
            scope: LeaseScope::Once,
            max_seconds: 600
        })
    );
    let without = both_approvals(
        joined,
        requirement(r#"{"quorum": [{"role": "owner", "count": 1}]}"#),
    );
    assert_eq!(without.lease, None);
}

#[test]
fn an_exception_that_covers_the_request_is_a_denial() {
    let rule = answer("allow", r#", "except": ["file:/srv/private/**"]"#);
    for (resource, expected) in [
        ("file:/srv/private/x", Effect::Deny),
        ("file:/srv/private/**", Effect::Deny),
        ("file:/srv/**", Effect::Allow),
        ("file:/srv/public", Effect::Allow),
    ] {
        let decision = set(&rule).decide(&asks("read", resource));
        assert_eq!(decision.effect, expected, "{resource}");
        assert_eq!(
            decision.except.is_empty(),
            resource != "file:/srv/**",
            "{resource}"
        );
    }
}

#[test]
fn a_denial_can_be_asked_for_only_if_no_layer_minds() {
    let hint = answer("deny", r#", "requestable": true"#);
    let plain = answer("deny", "");
    let input = asks("read", "file:/srv/x");
    assert!(set(&hint).decide(&input).requestable);
    assert!(
        !set(&hint)
            .narrowed_by(policy(&plain))
            .decide(&input)
            .requestable
    );
    assert!(
        !set(&hint)
            .decide(&asks("read", "file:/etc/shadow"))
            .requestable
    );
}

#[test]
fn the_digest_is_of_all_layers_in_order() {
    let (a, b) = (answer("allow", ""), answer("deny", ""));
    let one = set(&a);
    assert_eq!(one.digest(), set(&a).digest());
    assert_ne!(one.digest(), set(&b).digest());
    assert_ne!(one.digest(), one.clone().narrowed_by(policy(&b)).digest());
    assert_ne!(
        one.narrowed_by(policy(&b)).digest(),
        set(&b).narrowed_by(policy(&a)).digest()
    );
}

fn requirements() -> impl Strategy<Value = ApprovalRequirement> {
    let role = prop::sample::select(vec!["owner", "security"]);
    let justification = prop::sample::select(vec![
        "false",
        "true",
        r#"{"min_length":20}"#,
        r#"{"ticket":"^A-[0-9]$"}"#,
        r#"{"min_length":5,"ticket":["^A-[0-9]$","^B-[0-9]$"]}"#,
    ]);
    let scope = prop::sample::select(vec![
        r#""once""#,
        r#""task""#,
        r#""minutes""#,
        r#"{"operations":["file:/a","file:/b"]}"#,
        r#"{"operations":["file:/b","file:/c"]}"#,
    ]);
    let limits = (1..9_u32, 1..9_u32).prop_map(|(per_session, per_hour)| PromptLimits {
        per_session,
        per_hour,
    });
    let lockout =
        (1..9_u32, 1..90_u64, 90..900_u64).prop_map(|(denials, first_seconds, max_seconds)| {
            Lockout {
                denials,
                first_seconds,
                max_seconds,
            }
        });
    (
        (role, 1..3_u32, prop::option::of(any::<bool>())),
        justification,
        1..900_u64,
        prop::option::of((scope, 1..900_u64)),
        prop::option::of(limits),
        prop::option::of(lockout),
    )
        .prop_map(
            |((role, count, requester), justification, expires, lease, budget, lockout)| {
                ApprovalRequirement {
                    quorum: vec![Quorum {
                        role: role.into(),
                        count,
                    }],
                    requester,
                    justification: serde_json::from_str(justification).unwrap(),
                    mfa_max_age_seconds: lease.map(|(_, seconds)| seconds),
                    expires_seconds: expires,
                    lease: lease.map(|(scope, max_seconds)| Lease {
                        scope: serde_json::from_str(scope).unwrap(),
                        max_seconds,
                    }),
                    budget,
                    lockout,
                }
            },
        )
}

fn decisions() -> impl Strategy<Value = Decision> {
    let approval = requirements();
    let effect = prop::sample::select(vec![Effect::Allow, Effect::Ask, Effect::Deny]);
    (
        effect,
        1..4000_u64,
        prop::option::of(0..9_u64),
        prop::option::of(any::<bool>()),
        approval,
    )
        .prop_map(|(effect, ttl, max_rows, single_use, approval)| Decision {
            effect,
            ttl_seconds: ttl,
            constraints: Constraints {
                max_rows,
                single_use,
                ..Constraints::default()
            },
            approval: (effect == Effect::Ask).then_some(approval),
            ..Decision::denied("p", "r")
        })
}

/// Whether whatever satisfies `there` satisfies `needed` too; else what does not.
fn requires_no_less(
    there: &ApprovalRequirement,
    needed: &ApprovalRequirement,
) -> Result<(), String> {
    let reaches = |scope: &LeaseScope, item: &str| match scope {
        LeaseScope::Once => 0,
        LeaseScope::Operations(list) => u8::from(list.contains(&item.parse().unwrap())),
        LeaseScope::Minutes => 2,
        LeaseScope::Task => 3,
    };
    let within = |inner: &Lease, outer: &Lease| {
        inner.max_seconds <= outer.max_seconds
            && ["file:/a", "file:/b", "file:/c"]
                .iter()
                .all(|item| reaches(&inner.scope, item) <= reaches(&outer.scope, item))
    };
    let reasons = [
        "",
        "x",
        "A-1",
        "A-1 B-2 for the books",
        "a long reason without a ticket",
    ];
    let checks = [
        (
            "quorum",
            needed.quorum.iter().all(|part| {
                let of_role = |own: &&Quorum| own.role == part.role;
                there
                    .quorum
                    .iter()
                    .find(of_role)
                    .is_some_and(|own| own.count >= part.count)
            }),
        ),
        (
            "requester",
            needed.requester_may_approve() || !there.requester_may_approve(),
        ),
        (
            "justification",
            reasons.iter().all(|text| {
                needed.justification.check(Some(text)).is_ok()
                    || there.justification.check(Some(text)).is_err()
            }),
        ),
        ("expires", there.expires_seconds <= needed.expires_seconds),
        (
            "mfa",
            needed.mfa_max_age_seconds.is_none()
                || there.mfa_max_age_seconds <= needed.mfa_max_age_seconds
                    && there.mfa_max_age_seconds.is_some(),
        ),
        (
            "lease",
            match (&there.lease, &needed.lease) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(inner), Some(outer)) => within(inner, outer),
            },
        ),
        (
            "budget",
            needed
                .budget
                .is_none_or(|limits| there.budget.is_some_and(|own| own.lesser(limits) == own)),
        ),
        (
            "lockout",
            needed.lockout.is_none_or(|lockout| {
                there
                    .lockout
                    .is_some_and(|own| own.stricter(lockout) == own)
            }),
        ),
    ];
    match checks.iter().find(|(_, holds)| !holds) {
        Some((what, _)) => Err(format!("{what}: {there:?} gives more than {needed:?}")),
        None => Ok(()),
    }
}

fn strictness(effect: Effect) -> u8 {
    match effect {
        Effect::Allow => 0,
        Effect::Ask => 1,
        Effect::Deny => 2,
    }
}

proptest! {
    #[test]
    fn both_is_never_wider_than_either(a in decisions(), b in decisions()) {
        let joined = both(a.clone(), b.clone());
        for one in [&a, &b] {
            prop_assert!(strictness(joined.effect) >= strictness(one.effect));
            if joined.effect == Effect::Deny {
                continue;
            }
            prop_assert!(joined.ttl_seconds <= one.ttl_seconds);
            prop_assert!(joined.constraints.within(&one.constraints));
            if let Some(needed) = &one.approval {
                let there = joined.approval.as_ref().unwrap();
                if let Err(what) = requires_no_less(there, needed) {
                    return Err(TestCaseError::fail(what));
                }
            }
        }
    }
}
