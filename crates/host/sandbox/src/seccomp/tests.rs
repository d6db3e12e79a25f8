//! What the tables promise by themselves; that the kernel keeps it is shown by the cell's own tests.

use std::collections::BTreeSet;

use super::*;

fn names(profile: &Profile) -> Vec<&'static str> {
    profile
        .allowed
        .iter()
        .flat_map(|group| group.calls)
        .map(Call::name)
        .collect()
}

#[test]
fn every_profile_compiles() {
    for profile in [&AGENT, &ATTESTOR, &ATTESTOR_KEEPER, &INIT, &WORKER] {
        profile.compile().expect(profile.name);
    }
}

#[test]
fn no_call_is_listed_twice() {
    for profile in [&AGENT, &ATTESTOR, &ATTESTOR_KEEPER, &INIT, &WORKER] {
        let names = names(profile);
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{}", profile.name);
    }
}

#[test]
fn what_is_always_refused_is_never_allowed_to_an_agent() {
    let allowed: BTreeSet<_> = names(&AGENT).into_iter().collect();
    for refusal in AGENT.refused {
        for call in refusal.calls {
            assert_eq!(
                allowed.contains(call.name()),
                !refusal.when.is_empty(),
                "{}: {}",
                call.name(),
                refusal.why
            );
        }
    }
}

#[test]
fn a_worker_can_neither_open_nor_connect_nor_start_anything() {
    let allowed: BTreeSet<_> = names(&WORKER).into_iter().collect();
    for call in [
        "openat", "open", "socket", "connect", "clone", "execve", "kill", "ioctl",
    ] {
        assert!(!allowed.contains(call), "{call}");
    }
}

#[test]
fn an_attestor_writes_connects_starts_and_signals_nothing() {
    let allowed: BTreeSet<_> = names(&ATTESTOR).into_iter().collect();
    for call in [
        "write",
        "socket",
        "connect",
        "clone",
        "clone3",
        "execve",
        "kill",
        "ptrace",
        "process_vm_readv",
        "pidfd_getfd",
        "ioctl",
        "unlinkat",
        "prctl",
    ] {
        assert!(!allowed.contains(call), "{call}");
    }
    let keeper: BTreeSet<_> = names(&ATTESTOR_KEEPER).into_iter().collect();
    assert!(
        allowed.is_subset(&keeper),
        "the keeper's filter holds for its attestors too"
    );
    for call in [
        "write",
        "socket",
        "connect",
        "execve",
        "kill",
        "ptrace",
        "process_vm_readv",
    ] {
        assert!(!keeper.contains(call), "{call}");
    }
}
