//! Steps that may follow, and those that may not.

use valetkey_approval::{
    ApproverKey, Approvers, PolicyChange, UnsignedPolicyChange, approved_change, difference_digest,
};
use valetkey_model::{Quorum, Timestamp};

use super::*;
use crate::canary::CanaryOf;

fn bundle(number: u8) -> Digest {
    Digest::of(&[number])
}

fn approve(change: PolicyChange) -> ApprovedChange {
    let key = ApproverKey::from_seed(&[1; 32]);
    let mut people = Approvers::default();
    assert!(people.add(key.approver("ann", &["owner"])));
    let signed = UnsignedPolicyChange {
        change: change.clone(),
        difference: difference_digest(&[]),
        tests: None,
        by: "ann".to_owned(),
        time: Timestamp::from_unix_ms(1),
    }
    .sign(&key)
    .unwrap();
    let quorum = [Quorum {
        role: "owner".to_owned(),
        count: 1,
    }];
    approved_change(&change, &[signed], &people, &quorum).unwrap()
}

fn next(state: &Rollout, step: PolicyStep, number: u8) -> PolicyChange {
    PolicyChange {
        step,
        bundle: bundle(number),
        revision: u64::from(number),
        previous: state.live.map(|live| live.bundle),
        sequence: state.next_sequence(),
    }
}

fn install(state: &Rollout, number: u8) -> Result<Rollout, StepError> {
    state.installed(&approve(next(state, PolicyStep::Install, number)))
}

fn in_force(state: &Rollout, number: u8) -> Rollout {
    install(state, number)
        .unwrap()
        .activated(&bundle(number))
        .unwrap()
}

#[test]
fn revisions_only_rise_and_the_mark_survives_everything() {
    let five = in_force(&Rollout::default(), 5);
    assert_eq!((five.mark, five.live.unwrap().revision), (5, 5));
    for old in [1, 4, 5] {
        assert_eq!(
            install(&five, old),
            Err(StepError::OldRevision {
                revision: old.into(),
                mark: 5
            })
        );
    }
    let withdrawn = install(&five, 7).unwrap().withdrawn(&bundle(7)).unwrap();
    assert!(
        install(&withdrawn, 7).is_err(),
        "a revision that was withdrawn is used"
    );
    let eight = in_force(&withdrawn, 8);
    let back = eight
        .rolled_back(&approve(next(&eight, PolicyStep::RollBack, 5)))
        .unwrap();
    assert_eq!((back.mark, back.live.unwrap().revision), (8, 5));
    assert!(install(&back, 6).is_err() && install(&back, 8).is_err() && install(&back, 9).is_ok());
    assert!(back.is_sound());
}

#[test]
fn what_was_signed_is_good_for_one_state() {
    let five = in_force(&Rollout::default(), 5);
    let signed = approve(next(&five, PolicyStep::Install, 6));
    let six = five.installed(&signed).unwrap();
    assert_eq!(six.installed(&signed), Err(StepError::Stale), "twice");
    let other = PolicyChange {
        previous: None,
        ..next(&five, PolicyStep::Install, 6)
    };
    assert_eq!(five.installed(&approve(other)), Err(StepError::Stale));
    assert_eq!(five.rolled_back(&signed), Err(StepError::OtherStep));
    // A candidate waits, and the policy changes below it.
    let six = six.activated(&bundle(6)).unwrap();
    let seven = install(&six, 7).unwrap();
    let back = approve(next(&seven, PolicyStep::RollBack, 5));
    let back = seven.rolled_back(&back).unwrap();
    assert_eq!(back.candidate, None);
    assert_eq!(back.activated(&bundle(7)), Err(StepError::NoCandidate));
}

#[test]
fn stages_are_of_the_candidate_that_was_named() {
    let one = install(&Rollout::default(), 1).unwrap();
    assert_eq!(one.live, None, "installed is not in force");
    assert_eq!(
        one.staged(&bundle(2), Stage::Shadow),
        Err(StepError::NoCandidate)
    );
    let shadow = one.staged(&bundle(1), Stage::Shadow).unwrap();
    assert_eq!(shadow.live, None);
    let canary = |percent| {
        Stage::Canary(Canary {
            of: CanaryOf::Percent(percent),
            max_rise_percent: 10,
            window_seconds: 60,
            min_requests: 1,
        })
    };
    assert_eq!(shadow.staged(&bundle(1), canary(0)), Err(StepError::Canary));
    let canary = shadow.staged(&bundle(1), canary(5)).unwrap();
    assert!(canary.activated(&bundle(1)).unwrap().candidate.is_none());
    assert!(Rollout::default().activated(&bundle(1)).is_err());
    assert!(Rollout::default().withdrawn(&bundle(1)).is_err());
}

#[test]
fn a_rollback_goes_to_what_decided_before_and_is_kept() {
    let mut state = Rollout::default();
    for number in 1..=12 {
        state = in_force(&state, number);
        assert!(state.is_sound() && state.kept.len() <= KEPT_MAX);
    }
    let back = |number| state.rolled_back(&approve(next(&state, PolicyStep::RollBack, number)));
    assert_eq!(back(1), Err(StepError::NotKept(1)), "too long ago");
    assert_eq!(back(12), Err(StepError::NotKept(12)), "it decides already");
    let six = back(6).unwrap();
    assert_eq!(six.live.unwrap().revision, 6);
    let other = PolicyChange {
        bundle: bundle(5),
        ..next(&state, PolicyStep::RollBack, 6)
    };
    assert!(
        state.rolled_back(&approve(other)).is_err(),
        "one's revision with another's digest"
    );
}

#[test]
fn a_state_that_cannot_be_is_damaged() {
    let good = in_force(&Rollout::default(), 5);
    for bad in [
        Rollout {
            kept: Vec::new(),
            ..good.clone()
        },
        Rollout {
            mark: 4,
            ..good.clone()
        },
        Rollout {
            sequence: 0,
            ..good.clone()
        },
        Rollout {
            kept: vec![good.live.unwrap(); 9],
            ..good.clone()
        },
    ] {
        assert!(!bad.is_sound(), "{bad:?}");
    }
    let text = serde_json::to_vec(&good).unwrap();
    assert_eq!(valetkey_model::read_json::<Rollout>(&text).unwrap(), good);
}

#[test]
fn a_revision_is_a_number_written_in_one_way() {
    assert_eq!(revision_of("7"), Ok(7));
    for bad in [
        "",
        "0",
        "07",
        "+7",
        "-1",
        " 7",
        "7.0",
        "v7",
        "9007199254740992",
        "99999999999999999999",
    ] {
        assert!(revision_of(bad).is_err(), "{bad}");
    }
}
