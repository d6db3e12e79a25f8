//! Tests of the ledger: first use, revocation, crashes, clocks and many threads.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn capability(n: u8) -> CapabilityId {
    CapabilityId::new(at(1), [n; 10])
}

fn session(n: u8) -> SessionId {
    SessionId::new(at(1), [n; 10])
}

#[test]
fn the_first_use_is_the_only_one_also_after_reopening() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let ledger = Ledger::open(&path, at(100)).unwrap();
    assert!(ledger.consume(&capability(1), at(1000)).unwrap());
    assert!(!ledger.consume(&capability(1), at(1000)).unwrap());
    drop(ledger);
    let ledger = Ledger::open(&path, at(200)).unwrap();
    assert!(ledger.is_consumed(&capability(1)));
    assert!(!ledger.consume(&capability(1), at(1000)).unwrap());
    assert!(ledger.consume(&capability(2), at(1000)).unwrap());
}

#[test]
fn revocations_last_and_reach_the_session() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let ledger = Ledger::open(&path, at(100)).unwrap();
    ledger
        .revoke(&Revoked::Capability(capability(1)), at(1000))
        .unwrap();
    ledger
        .revoke(&Revoked::Session(session(2)), at(1000))
        .unwrap();
    ledger
        .revoke(&Revoked::Session(session(2)), at(500))
        .unwrap();
    for _ in 0..2 {
        drop(std::fs::read(&path).unwrap());
    }
    drop(ledger);
    let ledger = Ledger::open(&path, at(600)).unwrap();
    assert!(ledger.is_revoked(&capability(1), &session(1)));
    assert!(ledger.is_revoked(&capability(9), &session(2)));
    assert!(!ledger.is_revoked(&capability(9), &session(1)));
}

#[test]
fn a_clock_set_back_brings_nothing_back() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let ledger = Ledger::open(&path, at(100)).unwrap();
    assert!(ledger.consume(&capability(1), at(1000)).unwrap());
    drop(ledger);
    // The clock leaps ahead, the entry is dropped, and the clock comes back.
    drop(Ledger::open(&path, at(5000)).unwrap());
    let ledger = Ledger::open(&path, at(200)).unwrap();
    assert_eq!(ledger.time_floor(), at(5000));
    assert!(!ledger.consume(&capability(1), at(1000)).unwrap());
    assert!(ledger.consume(&capability(2), at(6000)).unwrap());
}

#[test]
fn expired_entries_go_when_it_is_opened() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let ledger = Ledger::open(&path, at(100)).unwrap();
    for n in 0..50 {
        assert!(
            ledger
                .consume(&capability(n), at(1000 + u64::from(n)))
                .unwrap()
        );
    }
    drop(ledger);
    drop(Ledger::open(&path, at(1039)).unwrap());
    let length = std::fs::metadata(&path).unwrap().len();
    assert_eq!(length, 11 * record::RECORD_BYTES as u64);
}

#[test]
fn a_record_torn_at_any_byte_is_cut_away() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let ledger = Ledger::open(&path, at(100)).unwrap();
    assert!(ledger.consume(&capability(1), at(1000)).unwrap());
    let sound = std::fs::read(&path).unwrap().len();
    assert!(ledger.consume(&capability(2), at(1000)).unwrap());
    drop(ledger);
    let whole = std::fs::read(&path).unwrap();
    for cut in sound..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let ledger = Ledger::open(&path, at(100)).unwrap();
        assert!(ledger.is_consumed(&capability(1)), "cut at {cut}");
        assert!(
            ledger.consume(&capability(2), at(1000)).unwrap(),
            "cut at {cut}"
        );
        drop(ledger);
        let ledger = Ledger::open(&path, at(100)).unwrap();
        assert!(ledger.is_consumed(&capability(2)), "cut at {cut}");
    }
}

#[test]
fn damage_before_the_end_makes_it_unusable() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let ledger = Ledger::open(&path, at(100)).unwrap();
    assert!(ledger.consume(&capability(1), at(1000)).unwrap());
    assert!(ledger.consume(&capability(2), at(1000)).unwrap());
    drop(ledger);
    let whole = std::fs::read(&path).unwrap();
    for at_byte in 0..2 * record::RECORD_BYTES {
        let mut damaged = whole.clone();
        damaged[at_byte] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let opened = Ledger::open(&path, at(100));
        assert!(
            matches!(opened, Err(StoreError::Unreadable { .. })),
            "byte {at_byte}"
        );
    }
    // Cut to nothing or less than its beginning, it is not taken for a new one.
    for length in 1..record::RECORD_BYTES {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(Ledger::open(&path, at(100)).is_err(), "cut to {length}");
    }
}

#[test]
fn of_many_threads_one_is_first() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let ledger = Ledger::open(&path, at(100)).unwrap();
    let first = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for n in 0..40 {
                    if ledger.consume(&capability(n), at(1000)).unwrap() {
                        first.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(first.load(Ordering::SeqCst), 40);
    drop(ledger);
    let ledger = Ledger::open(&path, at(100)).unwrap();
    assert!((0..40).all(|n| ledger.is_consumed(&capability(n))));
}

#[test]
fn a_second_process_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let ledger = Ledger::open(&path, at(100)).unwrap();
    assert!(matches!(
        Ledger::open(&path, at(100)),
        Err(StoreError::InUse(_))
    ));
    drop(ledger);
    assert!(Ledger::open(&path, at(100)).is_ok());
}
