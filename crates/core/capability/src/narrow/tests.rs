//! Tests of narrowing: each refusal, and that no narrowed capability is wider than its parent, by an oracle of its own.
//!
//! The long run, 10⁶ parents with child and grandchild:
//! `cargo test --release -p valetkey-capability -- --ignored a_million`

use std::cell::Cell;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use valetkey_model::{AgentId, Digest, Resource, SessionId};

use super::*;
use crate::{AUDIENCE_GUARD, Confirmation, IssuerKey, Verifier};

mod cases;
mod oracle;

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn id(number: u8) -> CapabilityId {
    CapabilityId::new(NOW, [number; 10])
}

fn grant(resource: &str, actions: &str) -> Grant {
    Grant {
        resource: resource.parse().unwrap(),
        actions: actions.parse().unwrap(),
        constraints: Constraints::default(),
        except: Vec::new(),
    }
}

fn claims(grant: Grant) -> Claims {
    Claims {
        iss: "local-broker".to_owned(),
        sub: AgentId::sanitised("agent"),
        aud: AUDIENCE_GUARD.to_owned(),
        jti: id(1),
        iat: NOW.unix_seconds(),
        nbf: NOW.unix_seconds(),
        exp: NOW.unix_seconds() + 300,
        cnf: Confirmation {
            valetkey_session: SessionId::new(NOW, [1; 10]),
        },
        authorization_details: [AuthorizationDetail::of(grant)],
        parent: None,
        approvals: vec![],
        policy_id: "p".to_owned(),
        policy_digest: Digest::of(b"policy"),
    }
}

#[test]
fn a_child_has_what_was_asked_and_the_rest_of_its_parent() {
    let mut given = grant("file:/w/**", "read,write");
    given.constraints.max_bytes = Some(100);
    given.constraints.max_rows = Some(5);
    given.except = vec!["file:/**/.env".parse().unwrap()];
    let parent = claims(given);

    let mut asked = grant("file:/w/a/**", "append");
    asked.constraints.max_bytes = Some(200);
    asked.constraints.max_files = Some(2);
    asked.except = vec![
        "file:/w/a/b".parse().unwrap(),
        "file:/**/.env".parse().unwrap(),
    ];
    let later = NOW.plus_seconds(250);
    let child = parent.narrow(&asked, 100, id(2), later).unwrap();

    let got = child.grant();
    assert_eq!(got.resource, asked.resource);
    assert_eq!(got.actions, asked.actions);
    assert_eq!(
        got.constraints,
        Constraints {
            max_bytes: Some(100),
            max_rows: Some(5),
            max_files: Some(2),
            ..Constraints::default()
        }
    );
    let out: Vec<String> = got.except.iter().map(Resource::to_string).collect();
    assert_eq!(out, ["file:/**/.env", "file:/w/a/b"]);
    assert_eq!(child.parent, Some(parent.jti.clone()));
    assert_eq!(child.jti, id(2));
    assert_eq!(child.iat, later.unix_seconds());
    assert_eq!(child.exp, parent.exp, "it dies with its parent");
    assert!(child.is_within(&parent) && !parent.is_within(&child) && !parent.is_within(&parent));
}

#[test]
fn what_is_wider_is_refused() {
    let parent = claims(grant("file:/w/**", "read,write"));
    let refused = |resource: &str, actions: &str| {
        parent
            .narrow(&grant(resource, actions), 60, id(2), NOW)
            .unwrap_err()
    };
    assert_eq!(refused("file:/**", "read"), NarrowError::Resource);
    assert_eq!(refused("file:/x", "read"), NarrowError::Resource);
    assert_eq!(refused("exec:/w/a", "read"), NarrowError::Resource);
    assert_eq!(refused("file:/w/a", "read,delete"), NarrowError::Actions);
    let mut nothing = grant("file:/w/a", "read");
    nothing.actions = valetkey_model::ActionSet::EMPTY;
    assert_eq!(
        parent.narrow(&nothing, 60, id(2), NOW),
        Err(NarrowError::Actions)
    );
}

#[test]
fn a_single_use_is_not_made_two() {
    let mut given = grant("file:/w/**", "read");
    let asked = given.clone();
    given.constraints.single_use = Some(true);
    let parent = claims(given);
    for asked_single in [None, Some(false), Some(true)] {
        let mut asked = asked.clone();
        asked.constraints.single_use = asked_single;
        let child = parent.narrow(&asked, 10, id(2), NOW).expect("narrower");
        // The one use is the family's: whoever counts finds it at the topmost ancestor that has it.
        assert!(child.grant().constraints.is_single_use());
        assert!(child.exp <= parent.exp && child.exp - child.iat <= MAX_SINGLE_USE_TTL_SECONDS);
    }
}

#[test]
fn macros_are_not_asked_for_into_being() {
    let mut asked = grant("file:/w/a", "read");
    asked.constraints.allow_macros = Some(true);
    for (own, got) in [
        (None, None),
        (Some(false), Some(false)),
        (Some(true), Some(true)),
    ] {
        let mut given = grant("file:/w/**", "read");
        given.constraints.allow_macros = own;
        let parent = claims(given);
        let mut child = parent.narrow(&asked, 10, id(2), NOW).expect("narrower");
        assert_eq!(child.grant().constraints.allow_macros, got);
        child.authorization_details[0].constraints.allow_macros = Some(true);
        assert_eq!(child.is_within(&parent), own == Some(true));
    }
}

#[test]
fn an_id_is_not_used_twice() {
    let mut parent = claims(grant("file:/w/**", "read"));
    parent.parent = Some(id(0));
    for taken in [id(0), id(1)] {
        let asked = grant("file:/w/a", "read");
        assert_eq!(parent.narrow(&asked, 10, taken, NOW), Err(NarrowError::Id));
    }
}

#[test]
fn life_has_edges() {
    let parent = claims(grant("file:/w/**", "read"));
    let asked = grant("file:/w/a", "read");
    let at = |after: u64, ttl: u64| {
        parent
            .narrow(&asked, ttl, id(2), NOW.plus_seconds(after))
            .map(|child| {
                (
                    child.nbf - NOW.unix_seconds(),
                    child.exp - NOW.unix_seconds(),
                )
            })
    };
    assert_eq!(at(0, 0), Err(NarrowError::NeverAlive));
    assert_eq!(at(0, 1), Ok((0, 1)));
    assert_eq!(at(299, u64::MAX), Ok((299, 300)));
    assert_eq!(at(300, 60), Err(NarrowError::NeverAlive));
    assert_eq!(at(u64::MAX, 60), Err(NarrowError::NeverAlive));

    // A clock set back does not let the child live before its parent.
    let before = Timestamp::from_unix_seconds(NOW.unix_seconds() - 10);
    let child = parent.narrow(&asked, 20, id(2), before).unwrap();
    assert_eq!(child.nbf, parent.nbf);

    let mut once = asked.clone();
    once.constraints.single_use = Some(true);
    let child = parent.narrow(&once, 300, id(2), NOW).unwrap();
    assert_eq!(child.exp - child.iat, MAX_SINGLE_USE_TTL_SECONDS);

    let mut delayed = asked;
    delayed.constraints.not_before = Some(Timestamp::from_unix_ms(NOW.unix_ms() + 1_001));
    let child = parent.narrow(&delayed, 60, id(2), NOW).unwrap();
    assert_eq!(child.nbf, NOW.unix_seconds() + 2);
}

#[test]
fn a_child_of_another_is_not_within() {
    let parent = claims(grant("file:/w/**", "read"));
    let child = parent
        .narrow(&grant("file:/w/a", "read"), 60, id(2), NOW)
        .unwrap();
    let changes: [(&str, fn(&mut Claims)); 12] = [
        ("no parent", |c| c.parent = None),
        ("another parent", |c| c.parent = Some(id(9))),
        ("the parent's id", |c| c.jti = id(1)),
        ("issuer", |c| c.iss.push('x')),
        ("agent", |c| c.sub = AgentId::sanitised("other")),
        ("audience", |c| c.aud.push('x')),
        ("session", |c| {
            c.cnf.valetkey_session = SessionId::new(NOW, [9; 10])
        }),
        ("earlier", |c| c.nbf -= 1),
        ("later", |c| c.exp += 300),
        ("policy", |c| c.policy_id.push('x')),
        ("policy digest", |c| c.policy_digest = Digest::of(b"other")),
        ("wider", |c| {
            c.authorization_details[0].resource = "file:/**".parse().unwrap()
        }),
    ];
    for (name, change) in changes {
        let mut changed = child.clone();
        change(&mut changed);
        assert!(!changed.is_within(&parent), "{name}");
    }
}

/// Narrows random parents twice and puts every result before the oracle.
fn narrowing_is_never_wider(cases: u32) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let (children, grandchildren) = (Cell::new(0_u32), Cell::new(0_u32));
    let result = TestRunner::new(config).run(&cases::family(), |family| {
        let Ok(child) = family.child() else {
            return Ok(());
        };
        children.set(children.get() + 1);
        oracle::check(&child, &family.parent).map_err(TestCaseError::fail)?;
        if let Ok(grandchild) = family.grandchild(&child) {
            grandchildren.set(grandchildren.get() + 1);
            oracle::check(&grandchild, &child).map_err(TestCaseError::fail)?;
            oracle::no_more_allowed(&grandchild, &family.parent).map_err(TestCaseError::fail)?;
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    println!(
        "{cases} parents, {} children, {} grandchildren",
        children.get(),
        grandchildren.get()
    );
    // If nearly everything were refused, nothing would have been shown.
    assert!(children.get() > cases / 4 && grandchildren.get() > cases / 10);
}

#[test]
fn some_thousand_narrowings_are_never_wider() {
    narrowing_is_never_wider(4_000);
}

#[test]
#[ignore = "minutes: cargo test --release -p valetkey-capability -- --ignored a_million"]
fn a_million_narrowings_are_never_wider() {
    narrowing_is_never_wider(1_000_000);
}

/// The check is itself checked: a narrowing with any of these faults must be found out.
#[test]
fn the_oracle_finds_planted_faults() {
    let faults: [(&str, fn(&mut Claims, &Claims)); 9] = [
        ("exceptions lost", |c, _| {
            c.authorization_details[0].except.clear()
        }),
        ("limits lost", |c, _| {
            c.authorization_details[0].constraints = Constraints::default()
        }),
        ("every path", |c, _| {
            c.authorization_details[0].resource = "file:/**".parse().unwrap()
        }),
        ("write for append", |c, _| {
            let detail = &mut c.authorization_details[0];
            detail.actions = detail.actions.union("write".parse().unwrap());
        }),
        ("one byte more", |c, p| {
            let most = p.authorization_details[0].constraints.max_bytes;
            c.authorization_details[0].constraints.max_bytes = most.map(|bytes| bytes + 1);
        }),
        ("another type", |c, _| {
            if let Some(types) = &mut c.authorization_details[0].constraints.media_types {
                types.push("text/html".to_owned());
            }
        }),
        ("one second more", |c, p| c.exp = p.exp + 1),
        ("one second earlier", |c, p| c.nbf = p.nbf - 1),
        ("another session", |c, _| {
            c.cnf.valetkey_session = SessionId::new(NOW, [9; 10])
        }),
    ];
    let mut runner = TestRunner::deterministic();
    let mut found = [0_u32; 9];
    for _ in 0..2_000 {
        let family = cases::family().new_tree(&mut runner).unwrap().current();
        let Ok(child) = family.child() else { continue };
        for ((_, plant), count) in faults.iter().zip(&mut found) {
            let mut faulty = child.clone();
            plant(&mut faulty, &family.parent);
            *count += u32::from(oracle::check(&faulty, &family.parent).is_err());
        }
    }
    for ((name, _), count) in faults.iter().zip(found) {
        assert!(count > 10, "{name}: found {count} times");
    }
}

#[test]
fn a_narrowed_capability_can_be_signed_and_verifies() {
    let key = IssuerKey::from_seed(&[9; 32]);
    let mut runner = TestRunner::deterministic();
    let mut signed = 0;
    for _ in 0..300 {
        let family = cases::family().new_tree(&mut runner).unwrap().current();
        let Ok(child) = family.child() else { continue };
        let token = key.sign_claims(&child).unwrap();
        let verifier = Verifier::new([key.public().clone()], child.cnf.valetkey_session.clone());
        let alive = Timestamp::from_unix_seconds(child.nbf);
        assert_eq!(verifier.verify(&token, alive).unwrap().claims(), &child);
        assert!(
            verifier
                .verify(&token, Timestamp::from_unix_seconds(family.parent.exp))
                .is_err()
        );
        signed += 1;
    }
    assert!(signed > 50);
}
