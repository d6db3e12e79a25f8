//! What the file asks for, and what it must not say.

use serde_json::json;
use valetkey_approval::{
    ApproverKey, PolicyStep, UnsignedPolicyChange, UnsignedTests, difference_digest,
};
use valetkey_model::Timestamp;

use super::*;

fn key(number: u8) -> ApproverKey {
    ApproverKey::from_seed(&[number; 32])
}

fn file() -> serde_json::Value {
    json!({
        "format": FORMAT,
        "approvers": [key(1).approver("ann", &["owner"]), key(2).approver("bob", &["owner"]), key(3).approver("ci", &["ci"])],
        "quorum": [{"role": "owner", "count": 2}],
        "signers": [{"kid": "team", "public_key": key(4).approver("x", &["x"]).public_key}],
        "tests": {"role": "ci", "min_coverage_percent": 90, "min_score_percent": 80},
    })
}

fn read(file: &serde_json::Value) -> Result<Governance, GovernanceError> {
    Governance::read(&serde_json::to_vec(file).unwrap())
}

fn change() -> PolicyChange {
    PolicyChange {
        step: PolicyStep::Install,
        bundle: Digest::of(b"bundle"),
        revision: 7,
        previous: None,
        sequence: 1,
    }
}

fn tests(failed: u64, coverage: u32, mutants: Option<u32>) -> SignedTests {
    UnsignedTests {
        bundle: change().bundle,
        passed: 9,
        failed,
        coverage_permille: coverage,
        mutants_permille: mutants,
        by: "ci".to_owned(),
        time: Timestamp::from_unix_ms(1),
    }
    .sign(&key(3))
    .unwrap()
}

fn signed(number: u8, by: &str, seen: Option<&SignedTests>) -> SignedPolicyChange {
    UnsignedPolicyChange {
        change: change(),
        difference: difference_digest(&[]),
        tests: seen.map(|tests| tests.digest().unwrap()),
        by: by.to_owned(),
        time: Timestamp::from_unix_ms(1),
    }
    .sign(&key(number))
    .unwrap()
}

#[test]
fn people_and_tests_are_held_to_what_the_file_says() {
    let governance = read(&file()).unwrap();
    let people = governance.people(Approvers::default());
    let admit = |signatures: &[SignedPolicyChange], tests: &[SignedTests]| {
        governance.admit(&change(), signatures, tests, &people)
    };
    let good = tests(0, 900, Some(800));
    let both = [signed(1, "ann", Some(&good)), signed(2, "bob", Some(&good))];
    assert_eq!(
        admit(&both, std::slice::from_ref(&good)).unwrap().by(),
        ["ann", "bob"]
    );
    assert!(matches!(
        admit(&both[..1], std::slice::from_ref(&good)),
        Err(GovernanceError::Change(_))
    ));
    assert!(matches!(admit(&both, &[]), Err(GovernanceError::Tests(_))));
    let unseen = [both[0].clone(), signed(2, "bob", None)];
    assert_eq!(
        admit(&unseen, std::slice::from_ref(&good)),
        Err(GovernanceError::Unseen("bob".into()))
    );
    for bad in [
        tests(1, 1000, Some(1000)),
        tests(0, 899, Some(800)),
        tests(0, 900, Some(799)),
        tests(0, 900, None),
    ] {
        let both = [signed(1, "ann", Some(&bad)), signed(2, "bob", Some(&bad))];
        assert!(matches!(
            admit(&both, &[bad]),
            Err(GovernanceError::Tests(_))
        ));
        // Good tests beside them are none that these two have seen.
        assert!(matches!(
            admit(&both, std::slice::from_ref(&good)),
            Err(GovernanceError::Unseen(_))
        ));
    }
}

#[test]
fn a_file_that_cannot_be_kept_to_is_not_read() {
    assert!(read(&file()).is_ok());
    for (at, wrong) in [
        ("/format", json!("other")),
        ("/quorum", json!([])),
        ("/quorum/0/count", json!(0)),
        ("/quorum/0/role", json!("")),
        ("/approvers/0/public_key", json!("x")),
        ("/approvers/1/name", json!("ann")),
        ("/approvers/0/roles", json!([])),
        ("/signers/0/public_key", json!("x")),
        ("/signers/0/kid", json!("")),
        ("/tests/min_coverage_percent", json!(101)),
        ("/tests/role", json!(" ")),
        ("/tests", json!([])),
    ] {
        let mut file = file();
        *file.pointer_mut(at).unwrap() = wrong;
        assert!(read(&file).is_err(), "{at}");
    }
    let mut more = file();
    more["quorums"] = json!([]);
    assert!(read(&more).is_err());
    let mut twice = file();
    let one = twice["signers"][0].clone();
    twice["signers"].as_array_mut().unwrap().push(one);
    assert!(read(&twice).is_err());
    assert!(Governance::read(b"").is_err() && Governance::read(b"[]").is_err());
}

#[test]
fn where_a_file_names_nobody_the_registered_approve() {
    let mut registered = Approvers::default();
    assert!(registered.add(key(1).approver("ann", &["owner"])));
    let one = Governance::of_one_owner();
    assert_eq!(one.people(registered.clone()), registered);
    assert!(
        one.admit(&change(), &[signed(1, "ann", None)], &[], &registered)
            .is_ok()
    );
    assert!(one.admit(&change(), &[], &[], &registered).is_err());
    assert!(
        one.admit(
            &change(),
            &[signed(1, "ann", None)],
            &[],
            &Approvers::default()
        )
        .is_err()
    );
    let named = read(&file()).unwrap();
    assert!(named.people(registered).by_name("bob").is_some());
}
