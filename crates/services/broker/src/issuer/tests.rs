//! Rotation on a real directory, with times that are given.

use super::*;
use crate::keys::{Keys, seed};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds)
}

fn state() -> tempfile::TempDir {
    let state = tempfile::tempdir().expect("a directory");
    let dir = state.path().join("keys");
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
        .create(&dir)
        .expect("make");
    state
}

fn kids(issuers: &Issuers, now: Timestamp) -> Vec<String> {
    issuers
        .jwks(now)
        .keys
        .into_iter()
        .map(|key| key.kid)
        .collect()
}

fn next() -> NextKey {
    NextKey::make().expect("a key")
}

#[test]
fn an_earlier_key_verifies_for_as_long_as_what_it_signed_can_live_and_no_longer() {
    let state = state();
    let keys = Keys::load_or_create(state.path(), &state.path().join("log")).expect("keys");
    let first = keys.issuer.kid();
    let second = next();
    let kid = second.kid().to_owned();
    keys.issuer.switch_to(second, at(0)).expect("rotated");
    assert_eq!(keys.issuer.kid(), kid);
    assert_eq!(kids(&keys.issuer, at(0)), [kid.clone(), first.clone()]);
    assert_eq!(
        kids(&keys.issuer, at(MAX_TTL_SECONDS)),
        [kid.clone(), first.clone()]
    );
    let over = at(MAX_TTL_SECONDS + SWITCH_SECONDS);
    assert_eq!(kids(&keys.issuer, over), std::slice::from_ref(&kid));
    assert_eq!(keys.issuer.list(over).keys.len(), 1);
    // The next rotation drops it from the disk too.
    keys.issuer.switch_to(next(), over).expect("rotated");
    let kept = std::fs::read_to_string(state.path().join("keys").join(RETIRED)).expect("read");
    assert!(!kept.contains(&first) && kept.contains(&kid), "{kept}");
}

#[test]
fn after_a_restart_the_new_key_signs_and_the_old_one_verifies_and_the_log_keeps_its_name() {
    let state = state();
    let keys = Keys::load_or_create(state.path(), &state.path().join("log")).expect("keys");
    let (first, log) = (keys.issuer.kid(), keys.log.public().to_string());
    let second = next();
    let kid = second.kid().to_owned();
    keys.issuer.switch_to(second, at(0)).expect("rotated");
    let again = Keys::load_or_create(state.path(), &state.path().join("log")).expect("keys");
    assert_eq!(kids(&again.issuer, at(1)), [kid, first]);
    assert_eq!(again.log.public().to_string(), log);
}

#[test]
fn an_installation_from_before_rotation_goes_on() {
    let state = state();
    let dir = state.path().join("keys");
    valetkey_store::write_atomically(&dir.join(CURRENT), &[7; 32], 0o600).expect("write");
    let keys = Keys::load_or_create(state.path(), &state.path().join("log")).expect("keys");
    let own = IssuerKey::from_seed(&[7; 32]);
    assert_eq!(keys.issuer.kid(), own.public().kid());
}

#[test]
fn a_crash_at_any_step_leaves_a_key_that_signs_and_every_key_that_is_needed() {
    // After the first write: the list names the key that still signs.
    let state = state();
    let dir = state.path().join("keys");
    let keys = Keys::load_or_create(state.path(), &state.path().join("log")).expect("keys");
    let first = keys.issuer.kid();
    let before = std::fs::read(dir.join(CURRENT)).expect("read");
    keys.issuer.switch_to(next(), at(0)).expect("rotated");
    valetkey_store::write_atomically(&dir.join(CURRENT), &before, 0o600).expect("write");
    let crashed = Keys::load_or_create(state.path(), &state.path().join("log")).expect("keys");
    assert_eq!(kids(&crashed.issuer, at(1)), std::slice::from_ref(&first));
    // And it can be rotated from there.
    let third = next();
    let kid = third.kid().to_owned();
    crashed.issuer.switch_to(third, at(2)).expect("rotated");
    assert_eq!(kids(&crashed.issuer, at(3)), [kid, first]);
    // A temporary file that a crash left behind is no key.
    std::fs::write(dir.join(".issuer.key.1.0.tmp"), [9; 7]).expect("write");
    assert!(Keys::load_or_create(state.path(), &state.path().join("log")).is_ok());
}

#[test]
fn the_old_secret_is_gone_at_once() {
    let state = state();
    let keys = Keys::load_or_create(state.path(), &state.path().join("log")).expect("keys");
    let dir = state.path().join("keys");
    let old = seed(&dir, CURRENT).expect("read");
    // A descriptor that was open before sees the wiped bytes.
    let kept = std::fs::File::open(dir.join(CURRENT)).expect("open");
    keys.issuer.switch_to(next(), at(0)).expect("rotated");
    let mut bytes = [1; 32];
    std::os::unix::fs::FileExt::read_exact_at(&kept, &mut bytes, 0).expect("read");
    assert_eq!(bytes, [0; 32]);
    for entry in std::fs::read_dir(&dir).expect("list") {
        let bytes = std::fs::read(entry.expect("entry").path()).expect("read");
        assert!(!bytes.windows(32).any(|window| window == old.as_slice()));
    }
}

#[test]
fn a_list_of_earlier_keys_that_cannot_be_read_is_an_error() {
    let state = state();
    let dir = state.path().join("keys");
    drop(Keys::load_or_create(state.path(), &state.path().join("log")).expect("keys"));
    for bytes in [&b"nonsense"[..], b"[{}]", b"[{\"key\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\",\"kid\":\"k\",\"alg\":\"EdDSA\",\"use\":\"sig\"},\"until\":\"2030-01-01T00:00:00.000Z\"}]"] {
        valetkey_store::write_atomically(&dir.join(RETIRED), bytes, 0o600).expect("write");
        assert!(Keys::load_or_create(state.path(), &state.path().join("log")).is_err());
    }
}

#[test]
fn rotations_are_bounded_and_a_disk_that_fails_changes_nothing() {
    let state = state();
    let keys = Keys::load_or_create(state.path(), &state.path().join("log")).expect("keys");
    for _ in 0..MAX_RETIRED {
        keys.issuer.switch_to(next(), at(0)).expect("rotated");
    }
    let kid = keys.issuer.kid();
    assert!(keys.issuer.switch_to(next(), at(1)).is_err());
    assert_eq!(keys.issuer.kid(), kid);
    let late = at(MAX_TTL_SECONDS + SWITCH_SECONDS);
    std::fs::remove_dir_all(state.path().join("keys")).expect("remove");
    assert!(keys.issuer.switch_to(next(), late).is_err());
    assert_eq!(
        keys.issuer.kid(),
        kid,
        "the key that can be read again goes on"
    );
}
