//! Tests of signed answers: what counts, and every forgery that must not.

use valetkey_model::{Justification, JustificationRule, Lease, LeaseScope, SessionId};

use super::*;
use crate::testkit::{at, facts, question, requirement};
use crate::{Approvers, ChangeLine, ChangeSummary, ChangeUnit, Listed, Standing, standing};

pub(crate) fn asked(quorum: &[(&str, u32)]) -> Asked {
    Asked {
        requirement: requirement(quorum),
        ..question("file:/home/alice/a", "read")
    }
}

fn key(number: u8) -> ApproverKey {
    ApproverKey::from_seed(&[number; 32])
}

fn people() -> Approvers {
    let mut approvers = Approvers::default();
    assert!(approvers.add(key(1).approver("ann", &["owner"])));
    assert!(approvers.add(key(2).approver("bob", &["owner", "finance"])));
    approvers
}

pub(crate) fn answer(asked: &Asked, name: &str, with: u8, verdict: Verdict) -> SignedApproval {
    Unsigned {
        approval_id: ApprovalId::new(at(1), [with; 10]),
        request_id: asked.request_id.clone(),
        asked_digest: asked.digest().unwrap(),
        prompt_digest: None,
        verdict,
        approver: name.to_owned(),
        method: Method::Terminal,
        lease: None,
        justification: None,
        time: at(1),
    }
    .sign(&key(with))
    .unwrap()
}

fn weigh(asked: &Asked, answers: &[SignedApproval], now: u64) -> Result<Standing, ApprovalError> {
    let received: Vec<_> = answers
        .iter()
        .map(|answer| (answer.clone(), at(now)))
        .collect();
    standing(asked, &received, &people(), at(now))
}

#[test]
fn one_yes_of_the_right_role_suffices() {
    let question = asked(&[("owner", 1)]);
    let yes = answer(&question, "ann", 1, Verdict::Approve);
    match weigh(&question, std::slice::from_ref(&yes), 5).unwrap() {
        Standing::Approved(approved) => {
            assert_eq!(approved.approvals(), [yes.approval.approval_id])
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(weigh(&question, &[], 5), Ok(Standing::Open));
    assert_eq!(weigh(&question, &[], 120), Ok(Standing::Expired));
    let no = answer(&question, "ann", 1, Verdict::Deny);
    assert_eq!(weigh(&question, &[no], 5), Ok(Standing::Refused));
}

#[test]
fn a_quorum_needs_distinct_people_in_the_right_roles() {
    let question = asked(&[("owner", 1), ("finance", 1)]);
    let ann = answer(&question, "ann", 1, Verdict::Approve);
    let bob = answer(&question, "bob", 2, Verdict::Approve);
    assert_eq!(
        weigh(&question, std::slice::from_ref(&bob), 5),
        Ok(Standing::Open)
    );
    assert_eq!(
        weigh(&question, &[bob.clone(), bob.clone()], 5),
        Ok(Standing::Open)
    );
    assert!(matches!(
        weigh(&question, &[bob.clone(), ann.clone()], 5),
        Ok(Standing::Approved(_))
    ));
    assert!(matches!(
        weigh(&question, &[ann, bob], 5),
        Ok(Standing::Approved(_))
    ));
    let nobody = asked(&[]);
    let ann = answer(&nobody, "ann", 1, Verdict::Approve);
    assert_eq!(
        weigh(&nobody, &[ann], 5),
        Ok(Standing::Open),
        "an empty quorum is never met"
    );
}

#[test]
fn an_answer_to_another_question_does_not_count() {
    let question = asked(&[("owner", 1)]);
    let yes = answer(&question, "ann", 1, Verdict::Approve);
    let changes: [fn(&mut Asked); 12] = [
        |a| a.grant.resource = "file:/home/alice/b".parse().unwrap(),
        |a| a.grant.actions = "read,write".parse().unwrap(),
        |a| a.grant.constraints.max_bytes = Some(1),
        |a| a.session = SessionId::new(at(0), [9; 10]),
        |a| a.policy_digest = Digest::of(b"older"),
        |a| a.ttl_seconds = 301,
        |a| a.file = Some(facts()),
        |a| a.user = "bob".to_owned(),
        |a| a.requirement.requester = Some(true),
        |a| a.requirement.justification = Justification::Needed,
        |a| {
            let line = ChangeLine::Added("1,2".to_owned());
            a.change = Some(ChangeSummary::new(ChangeUnit::Rows, 1, 0, [line], None));
        },
        |a| {
            a.also = vec![Listed {
                request_id: a.request_id.clone(),
                resource: "file:/home/alice/b".parse().unwrap(),
                file: None,
            }];
        },
    ];
    for change in changes {
        let mut other = question.clone();
        change(&mut other);
        assert_eq!(
            weigh(&other, std::slice::from_ref(&yes), 5),
            Err(ApprovalError::OtherQuestion)
        );
    }
    let mut other = question.clone();
    other.request_id = RequestId::new(at(0), [7; 10]);
    assert_eq!(weigh(&other, &[yes], 5), Err(ApprovalError::OtherRequest));
}

#[test]
fn forged_answers_do_not_count() {
    let question = asked(&[("owner", 1)]);
    let with_bobs_key = answer(&question, "ann", 2, Verdict::Approve);
    assert_eq!(
        weigh(&question, &[with_bobs_key], 5),
        Err(ApprovalError::Signature)
    );
    let stranger = answer(&question, "eve", 5, Verdict::Approve);
    assert_eq!(
        weigh(&question, &[stranger], 5),
        Err(ApprovalError::UnknownApprover("eve".to_owned()))
    );
    let mut flipped = answer(&question, "ann", 1, Verdict::Deny);
    flipped.approval.verdict = Verdict::Approve;
    assert_eq!(
        weigh(&question, &[flipped], 5),
        Err(ApprovalError::Signature)
    );
    let mut renamed = answer(&question, "bob", 2, Verdict::Approve);
    renamed.approval.approver = "ann".to_owned();
    assert_eq!(
        weigh(&question, &[renamed], 5),
        Err(ApprovalError::Signature)
    );
    let late = answer(&question, "ann", 1, Verdict::Approve);
    assert_eq!(
        weigh(&question, &[late], 120),
        Err(ApprovalError::OutOfTime)
    );
}

#[test]
fn a_reason_is_wanted_where_policy_says() {
    let mut question = asked(&[("owner", 1)]);
    question.requirement.justification = Justification::Rule(JustificationRule {
        min_length: 5,
        ticket: vec!["^FIN-[0-9]+$".parse().unwrap()],
    });
    let because = |text: Option<String>| {
        let mut unsigned = answer(&question, "ann", 1, Verdict::Approve).approval;
        unsigned.justification = text;
        let signed = unsigned.sign(&key(1)).unwrap();
        weigh(&question, &[signed], 5)
    };
    for (text, why) in [
        (None, JustificationFault::Missing),
        (Some("ok"), JustificationFault::Short(5)),
        (
            Some("month end"),
            JustificationFault::NoTicket("^FIN-[0-9]+$".parse().unwrap()),
        ),
    ] {
        assert_eq!(
            because(text.map(str::to_owned)),
            Err(ApprovalError::Justification(why))
        );
    }
    assert!(matches!(
        because(Some("month end, FIN-9".to_owned())),
        Ok(Standing::Approved(_))
    ));
    assert_eq!(
        because(Some("FIN-9 ".repeat(700))),
        Err(ApprovalError::Form)
    );
    let no = answer(&question, "ann", 1, Verdict::Deny);
    assert_eq!(weigh(&question, &[no], 5), Ok(Standing::Refused));
}

#[test]
fn the_requester_does_not_approve_where_another_has_to() {
    let mut alone = asked(&[("owner", 1)]);
    alone.user = "ann".to_owned();
    let yes = |question: &Asked, name, with| answer(question, name, with, Verdict::Approve);
    assert!(matches!(
        weigh(&alone, &[yes(&alone, "ann", 1)], 5),
        Ok(Standing::Approved(_))
    ));
    let refused = Err(ApprovalError::Requester("ann".to_owned()));
    for (quorum, requester) in [
        (&[("owner", 1)][..], Some(false)),
        (&[("owner", 2)], None),
        (&[("owner", 2)], Some(true)),
        (&[("owner", 1), ("finance", 1)], None),
    ] {
        let mut question = asked(quorum);
        question.requirement.requester = requester;
        for user in ["ann", "Ann"] {
            question.user = user.to_owned();
            let answers = [yes(&question, "bob", 2), yes(&question, "ann", 1)];
            assert_eq!(weigh(&question, &answers, 5), refused, "{quorum:?}");
        }
        let no = answer(&question, "ann", 1, Verdict::Deny);
        assert_eq!(weigh(&question, &[no], 5), Ok(Standing::Refused));
    }
}

#[test]
fn a_second_factor_that_cannot_be_shown_is_not_taken_for_given() {
    let mut question = asked(&[("owner", 1)]);
    question.requirement.mfa_max_age_seconds = Some(900);
    let yes = answer(&question, "ann", 1, Verdict::Approve);
    assert_eq!(
        weigh(&question, &[yes], 5),
        Err(ApprovalError::NoSecondFactor)
    );
    let no = answer(&question, "ann", 1, Verdict::Deny);
    assert_eq!(weigh(&question, &[no], 5), Ok(Standing::Refused));
}

#[test]
fn one_person_cannot_be_registered_as_two() {
    let mut approvers = people();
    assert!(!approvers.add(key(3).approver("ann", &["owner"])));
    assert!(!approvers.add(key(1).approver("anna", &["owner"])));
    assert!(!approvers.add(Approver {
        name: "x".into(),
        roles: vec![],
        public_key: "AA".into()
    }));
}

#[test]
fn a_yes_reaches_as_far_as_the_least_of_those_who_gave_it_and_never_further() {
    let lease = |scope, max_seconds| Lease { scope, max_seconds };
    let mut question = asked(&[("owner", 1), ("finance", 1)]);
    question.requirement.lease = Some(lease(LeaseScope::Task, 600));
    let reaching = |name: &str, with: u8, verdict: Verdict, lease: Option<Lease>| {
        let unsigned = Unsigned {
            lease,
            ..answer(&question, name, with, verdict).approval
        };
        unsigned.sign(&key(with)).unwrap()
    };
    let given = |ann: Option<Lease>, bob: Option<Lease>| {
        let ann = reaching("ann", 1, Verdict::Approve, ann);
        let bob = reaching("bob", 2, Verdict::Approve, bob);
        match weigh(&question, &[ann, bob], 5) {
            Ok(Standing::Approved(approved)) => approved.lease().cloned(),
            other => panic!("{other:?}"),
        }
    };
    let minutes = || Some(lease(LeaseScope::Minutes, 60));
    let once = || Some(lease(LeaseScope::Once, 600));
    assert_eq!(given(None, None), None);
    assert_eq!(given(minutes(), None), minutes());
    assert_eq!(
        given(minutes(), Some(lease(LeaseScope::Task, 300))),
        minutes()
    );
    let both = given(minutes(), once()).unwrap();
    assert_eq!(both, lease(LeaseScope::Once, 60));
    for (verdict, wider) in [
        (Verdict::Approve, lease(LeaseScope::Task, 601)),
        (Verdict::Approve, lease(LeaseScope::Minutes, 0)),
        (Verdict::Deny, lease(LeaseScope::Once, 1)),
    ] {
        let answer = reaching("ann", 1, verdict, Some(wider));
        assert_eq!(weigh(&question, &[answer], 5), Err(ApprovalError::Wider));
    }
    // What was chosen is signed with the rest.
    let mut forged = reaching("ann", 1, Verdict::Approve, minutes());
    forged.approval.lease = None;
    assert_eq!(
        weigh(&question, &[forged], 5),
        Err(ApprovalError::Signature)
    );
}
