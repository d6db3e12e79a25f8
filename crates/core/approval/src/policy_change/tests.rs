//! Signatures that count under a change of policy, and those that do not.

use super::*;

fn people() -> (Approvers, Vec<ApproverKey>) {
    let keys: Vec<_> = (1..=3).map(|n| ApproverKey::from_seed(&[n; 32])).collect();
    let mut people = Approvers::default();
    for (key, (name, roles)) in keys.iter().zip([
        ("ann", vec!["owner", "security"]),
        ("bob", vec!["owner"]),
        ("ci", vec!["ci"]),
    ]) {
        assert!(people.add(key.approver(name, &roles)));
    }
    (people, keys)
}

fn change() -> PolicyChange {
    PolicyChange {
        step: PolicyStep::Install,
        bundle: Digest::of(b"bundle"),
        revision: 7,
        previous: Some(Digest::of(b"before")),
        sequence: 3,
    }
}

fn signed(key: &ApproverKey, by: &str, change: PolicyChange) -> SignedPolicyChange {
    UnsignedPolicyChange {
        change,
        difference: difference_digest(&["+ more".to_owned()]),
        tests: None,
        by: by.to_owned(),
        time: Timestamp::from_unix_ms(1),
    }
    .sign(key)
    .unwrap()
}

fn quorum(seats: &[(&str, u32)]) -> Vec<Quorum> {
    let seat = |(role, count): &(&str, u32)| Quorum {
        role: (*role).to_owned(),
        count: *count,
    };
    seats.iter().map(seat).collect()
}

#[test]
fn each_seat_needs_a_person_of_its_own() {
    let (people, keys) = people();
    let ann = signed(&keys[0], "ann", change());
    let bob = signed(&keys[1], "bob", change());
    let weigh = |signatures: &[SignedPolicyChange], seats: &[(&str, u32)]| {
        approved_change(&change(), signatures, &people, &quorum(seats))
    };
    let one = weigh(std::slice::from_ref(&ann), &[("owner", 1)]).unwrap();
    assert_eq!(
        (one.by(), one.change()),
        (&["ann".to_owned()][..], &change())
    );
    assert!(
        weigh(
            &[ann.clone(), bob.clone()],
            &[("owner", 1), ("security", 1)]
        )
        .is_ok()
    );
    for (signatures, seats) in [
        (vec![], vec![("owner", 1)]),
        (vec![ann.clone()], vec![("owner", 2)]),
        (vec![ann.clone()], vec![("owner", 1), ("security", 1)]),
        (vec![bob.clone()], vec![("security", 1)]),
        (vec![ann.clone(), bob.clone()], vec![]),
        (vec![ann.clone()], vec![("owner", 0)]),
    ] {
        let weighed = weigh(&signatures, &seats);
        assert!(
            matches!(weighed, Err(PolicyChangeError::Quorum { .. })),
            "{seats:?}"
        );
    }
    assert_eq!(
        weigh(&[ann.clone(), ann], &[("owner", 1)]),
        Err(PolicyChangeError::Twice("ann".into()))
    );
}

#[test]
fn a_signature_is_good_for_one_change_and_one_person() {
    let (people, keys) = people();
    let weigh = |one: SignedPolicyChange| {
        approved_change(&change(), &[one], &people, &quorum(&[("owner", 1)])).unwrap_err()
    };
    for other in [
        PolicyChange {
            step: PolicyStep::RollBack,
            ..change()
        },
        PolicyChange {
            bundle: Digest::of(b"x"),
            ..change()
        },
        PolicyChange {
            revision: 8,
            ..change()
        },
        PolicyChange {
            previous: None,
            ..change()
        },
        PolicyChange {
            sequence: 4,
            ..change()
        },
    ] {
        assert_eq!(
            weigh(signed(&keys[0], "ann", other)),
            PolicyChangeError::Other("ann".into())
        );
    }
    assert_eq!(
        weigh(signed(&keys[1], "ann", change())),
        PolicyChangeError::Signature("ann".into())
    );
    assert_eq!(
        weigh(signed(&keys[1], "eve", change())),
        PolicyChangeError::UnknownSigner("eve".into())
    );
    let mut changed = signed(&keys[0], "ann", change());
    changed.signed.difference = difference_digest(&[]);
    assert_eq!(weigh(changed), PolicyChangeError::Signature("ann".into()));
}

#[test]
fn tests_count_when_somebody_of_the_role_signed_them() {
    let (people, keys) = people();
    let tests = |by: &str| UnsignedTests {
        bundle: Digest::of(b"bundle"),
        passed: 3,
        failed: 0,
        coverage_permille: 1000,
        mutants_permille: None,
        by: by.to_owned(),
        time: Timestamp::from_unix_ms(1),
    };
    let good = tests("ci").sign(&keys[2]).unwrap();
    assert_eq!(good.verify(&people, "ci"), Ok(()));
    assert!(good.verify(&people, "owner").is_err());
    assert!(
        tests("ci")
            .sign(&keys[0])
            .unwrap()
            .verify(&people, "ci")
            .is_err()
    );
    assert!(
        tests("ann")
            .sign(&keys[0])
            .unwrap()
            .verify(&people, "ci")
            .is_err()
    );
    let mut changed = good.clone();
    changed.signed.failed = 0;
    changed.signed.passed = 4;
    assert!(changed.verify(&people, "ci").is_err());
    assert_ne!(changed.digest(), good.digest());
}
