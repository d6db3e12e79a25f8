//! Tests of changes of who may answer: what an owner can do, and every way in which nobody else can.

use super::*;

fn key(number: u8) -> ApproverKey {
    ApproverKey::from_seed(&[number; 32])
}

fn person(name: &str, number: u8, roles: &[&str]) -> Approver {
    key(number).approver(name, roles)
}

/// Ann owns; Bob is a clerk.
fn people() -> Approvers {
    let first = Approvers::found("registry".to_owned(), person("ann", 1, &[OWNER])).unwrap();
    let bob = add(&first, person("bob", 2, &["clerk"]), "ann", 1);
    first.changed(&bob).unwrap()
}

fn signed(to: &Approvers, change: Change, by: &str, with: u8) -> SignedChange {
    UnsignedChange::of(to, change, by, Timestamp::from_unix_ms(1_800_000_000_000))
        .unwrap()
        .sign(&key(with))
        .unwrap()
}

fn add(to: &Approvers, approver: Approver, by: &str, with: u8) -> SignedChange {
    signed(to, Change::Add(approver), by, with)
}

fn remove(from: &Approvers, name: &str, by: &str, with: u8) -> SignedChange {
    let there = from.by_name(name).unwrap().clone();
    signed(from, Change::Remove(there), by, with)
}

#[test]
fn an_owner_adds_and_removes() {
    let before = people();
    assert_eq!((before.sequence(), before.iter().count()), (2, 2));
    let more = before
        .changed(&add(&before, person("cat", 3, &[OWNER, "clerk"]), "ann", 1))
        .unwrap();
    assert!(more.by_name("cat").unwrap().has_role(OWNER));
    // The new owner may remove the first.
    let less = more.changed(&remove(&more, "ann", "cat", 3)).unwrap();
    assert_eq!((less.sequence(), less.by_name("ann")), (4, None));
}

#[test]
fn only_an_owners_own_key_changes_anything() {
    let now = people();
    let dan = || person("dan", 4, &[OWNER]);
    let check = |change: &SignedChange, expected: ChangeError| {
        assert_eq!(now.changed(change), Err(expected));
    };
    check(
        &add(&now, dan(), "bob", 2),
        ChangeError::NotOwner("bob".to_owned()),
    );
    check(&add(&now, dan(), "ann", 2), ChangeError::Signature);
    check(&add(&now, dan(), "ann", 4), ChangeError::Signature);
    check(
        &add(&now, dan(), "dan", 4),
        ChangeError::UnknownSigner("dan".to_owned()),
    );
    let mut unsigned = add(&now, dan(), "ann", 1);
    unsigned.signature.clear();
    check(&unsigned, ChangeError::Signature);
}

#[test]
fn what_was_signed_is_what_is_changed() {
    let now = people();
    let good = add(&now, person("dan", 4, &["clerk"]), "ann", 1);
    assert!(now.changed(&good).is_ok());
    let edits: [fn(&mut UnsignedChange); 6] = [
        |change| change.change = Change::Add(person("dan", 4, &["clerk", OWNER])),
        |change| change.change = Change::Add(person("dam", 4, &["clerk"])),
        |change| change.change = Change::Add(person("dan", 5, &["clerk"])),
        |change| change.change = Change::Remove(person("bob", 2, &["clerk"])),
        |change| change.sequence += 1,
        |change| change.time = Timestamp::from_unix_ms(1),
    ];
    for edit in edits {
        let mut edited = good.clone();
        edit(&mut edited.signed);
        assert_eq!(now.changed(&edited), Err(ChangeError::Signature));
    }
}

#[test]
fn a_change_is_good_once_and_for_one_registry() {
    let start = people();
    let dan = add(&start, person("dan", 4, &["clerk"]), "ann", 1);
    let with_dan = start.changed(&dan).unwrap();
    assert_eq!(with_dan.changed(&dan), Err(ChangeError::Stale));
    // Removed, and added again by a replay.
    let without = with_dan
        .changed(&remove(&with_dan, "dan", "ann", 1))
        .unwrap();
    assert_eq!(without.changed(&dan), Err(ChangeError::Stale));
    // The same people under another registry.
    let other = Approvers::found("other".to_owned(), person("ann", 1, &[OWNER])).unwrap();
    let other = other
        .changed(&add(&other, person("bob", 2, &["clerk"]), "ann", 1))
        .unwrap();
    assert_eq!(other.changed(&dan), Err(ChangeError::Stale));
}

#[test]
fn who_was_removed_changes_nothing() {
    let start = people();
    let two = start
        .changed(&add(&start, person("cat", 3, &[OWNER]), "ann", 1))
        .unwrap();
    let ready = add(&two, person("mal", 9, &[OWNER]), "cat", 3);
    let without = two.changed(&remove(&two, "cat", "ann", 1)).unwrap();
    let unknown = ChangeError::UnknownSigner("cat".to_owned());
    assert_eq!(without.changed(&ready), Err(unknown.clone()));
    let now = add(&without, person("mal", 9, &[OWNER]), "cat", 3);
    assert_eq!(without.changed(&now), Err(unknown));
}

#[test]
fn the_last_owner_stays() {
    let now = people();
    assert_eq!(
        now.changed(&remove(&now, "ann", "ann", 1)),
        Err(ChangeError::LastOwner)
    );
}

#[test]
fn names_and_keys_are_registered_once() {
    let now = people();
    for twice in [person("bob", 7, &["clerk"]), person("eve", 2, &["clerk"])] {
        assert_eq!(
            now.changed(&add(&now, twice, "ann", 1)),
            Err(ChangeError::Taken)
        );
    }
    let mut bad = person("eve", 7, &["clerk"]);
    bad.name = "eve\n".to_owned();
    assert_eq!(
        now.changed(&add(&now, bad, "ann", 1)),
        Err(ChangeError::Unusable)
    );
    // To be removed one must be named exactly.
    let other_roles = person("bob", 2, &["clerk", OWNER]);
    assert_eq!(
        now.changed(&signed(&now, Change::Remove(other_roles), "ann", 1)),
        Err(ChangeError::NotRegistered)
    );
}
