//! Tests of the log on disk: many writers, crashes at every byte, full disks, other keys and other processes.

mod corpus;
mod crash;
mod disk;
mod epochs;
mod power;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use valetkey_audit::{Actor, Checkpoint, Event, EventType, Intact, TamperKind, Verdict};
use valetkey_model::Timestamp;

use super::*;

fn clock() -> Clock {
    Arc::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_unix_ms(u64::try_from(now.as_millis()).unwrap())
    })
}

fn key() -> LogKey {
    LogKey::new("valetkey.test/log", &[4; 32]).unwrap()
}

fn event(number: u64) -> Event {
    Event::new(EventType::OperationPerformed, Actor::Agent)
        .resource("file:/home/alice/Reports/q3.xlsx".parse().unwrap())
        .attribute("number", number)
}

fn open(directory: &Path) -> (Log, Recovery) {
    Log::open(directory, key(), clock()).unwrap()
}

fn intact(directory: &Path) -> Intact {
    let reader = LogReader::open(directory).unwrap();
    match reader.verify(key().public(), None).unwrap() {
        Verdict::Intact(intact) => intact,
        Verdict::Tampered(tampering) => panic!("{tampering}"),
    }
}

fn kinds(directory: &Path) -> Vec<EventType> {
    let entries = LogReader::open(directory).unwrap().entries(0).unwrap();
    entries.map(|entry| entry.unwrap().record.kind).collect()
}

/// The `number` attributes of all events that have one.
fn numbers(directory: &Path) -> Vec<u64> {
    let entries = LogReader::open(directory).unwrap().entries(0).unwrap();
    entries
        .filter_map(
            |entry| match entry.unwrap().record.attributes.get("number") {
                Some(valetkey_audit::Attribute::Count(number)) => Some(*number),
                _ => None,
            },
        )
        .collect()
}

#[test]
fn a_log_is_written_closed_and_continued() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("log");
    let (log, recovery) = open(&directory);
    assert!(recovery.created && recovery.was_closed && recovery.torn_tail.is_none());
    let receipt = log.append(event(1)).unwrap();
    assert_eq!((receipt.seq, receipt.tree_size), (1, 2));
    let note = log.checkpoint();
    assert_eq!(
        Checkpoint::open(note.as_bytes(), key().public())
            .unwrap()
            .size,
        2
    );
    assert_eq!(
        LogReader::open(&directory).unwrap().checkpoint().unwrap(),
        Some(note)
    );
    log.close();
    assert!(matches!(log.append(event(2)), Err(StoreError::Closed)));
    assert!(log.failure().is_some());
    drop(log);
    let (log, recovery) = open(&directory);
    assert!(!recovery.created && recovery.was_closed);
    assert_eq!(recovery.events, 3);
    drop(log);
    use EventType::{LogClosed, LogOpened, OperationPerformed};
    assert_eq!(
        kinds(&directory),
        [
            LogOpened,
            OperationPerformed,
            LogClosed,
            LogOpened,
            LogClosed
        ]
    );
    assert_eq!(intact(&directory).events, 5);
}

#[test]
fn the_key_is_in_the_tree() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    let first = LogReader::open(home.path())
        .unwrap()
        .get(0)
        .unwrap()
        .unwrap();
    let written = valetkey_audit::Attribute::from(key().public().to_string().as_str());
    assert_eq!(first.record.attributes.get("key"), Some(&written));
}

#[test]
fn files_are_private() {
    use std::os::unix::fs::MetadataExt as _;
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("log");
    drop(open(&directory));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&directory), 0o700);
    for entry in std::fs::read_dir(&directory).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn sixty_four_threads_get_distinct_places_in_few_batches() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = open(home.path());
    let seqs: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64_u64)
            .map(|thread| {
                let log = &log;
                scope.spawn(move || {
                    (0..20)
                        .map(|n| log.append(event(thread * 20 + n)).unwrap().seq)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    drop(log);
    let distinct: BTreeSet<_> = seqs.iter().copied().collect();
    assert_eq!(distinct, (1..=1280).collect());
    assert_eq!(
        numbers(home.path()).into_iter().collect::<BTreeSet<_>>(),
        (0..1280).collect()
    );
    let found = intact(home.path());
    assert_eq!(found.events, 1282);
    assert!(found.checkpoints < 640, "{} batches", found.checkpoints);
}

#[test]
fn callbacks_come_after_the_event_is_durable_and_a_panic_in_one_harms_no_one() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = open(home.path());
    let (send, receive) = mpsc::channel();
    log.append_with(event(0), |_| panic!("a caller's fault"));
    for number in 1..=100 {
        let (send, directory) = (send.clone(), home.path().to_path_buf());
        log.append_with(event(number), move |result| {
            let seq = result.unwrap().seq;
            let found = LogReader::open(&directory).unwrap().get(seq).unwrap();
            send.send(found.is_some()).unwrap();
        });
    }
    for _ in 0..100 {
        assert!(receive.recv_timeout(Duration::from_secs(10)).unwrap());
    }
    log.close();
    let refused = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&refused);
    log.append_with(event(0), move |result| {
        assert!(matches!(result, Err(StoreError::Closed)));
        count.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(refused.load(Ordering::SeqCst), 1);
}

#[test]
fn streamed_events_are_durable_within_a_second_and_on_flush() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = open(home.path());
    for number in 0..50 {
        log.append_streamed(event(number)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(numbers(home.path()), (0..50).collect::<Vec<_>>());
    log.append_streamed(event(50)).unwrap();
    log.flush().unwrap();
    assert_eq!(numbers(home.path()).len(), 51);
    log.flush().unwrap();
}

#[test]
fn segments_follow_each_other() {
    let home = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let (log, _) = Log::open_with_segments(home.path(), key(), clock(), 4096).unwrap();
        for number in 0..20 {
            log.append(event(round * 20 + number)).unwrap();
        }
    }
    assert_eq!(numbers(home.path()), (0..60).collect::<Vec<_>>());
    let found = intact(home.path());
    assert!(found.segments > 5, "{} segments", found.segments);
    let reader = LogReader::open(home.path()).unwrap();
    for seq in 0..found.events {
        let entry = reader.get(seq).unwrap().unwrap();
        assert_eq!(entry.record.seq, seq);
        assert_eq!(reader.find(&entry.record.event_id).unwrap(), Some(entry));
    }
    assert_eq!(reader.get(found.events).unwrap(), None);
    for count in [0, 1, 7, 60, 66, 100] {
        let tail: Vec<_> = reader
            .tail(count)
            .unwrap()
            .iter()
            .map(|entry| entry.record.seq)
            .collect();
        let first = found.events.saturating_sub(count as u64);
        assert_eq!(tail, (first..found.events).collect::<Vec<_>>());
    }
}

#[test]
fn a_reader_follows_the_writer() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = Log::open_with_segments(home.path(), key(), clock(), 2048).unwrap();
    let mut entries = LogReader::open(home.path()).unwrap().entries(1).unwrap();
    for number in 0..40 {
        log.append(event(number)).unwrap();
        let entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.record.seq, number + 1);
        assert!(entries.next().is_none());
    }
}

#[test]
fn a_second_writer_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = open(home.path());
    let second = Log::open(home.path(), key(), clock());
    assert!(matches!(second, Err(StoreError::InUse(_))));
    drop(log);
    open(home.path());
}

#[test]
fn another_key_is_refused_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    let other = LogKey::new("valetkey.test/log", &[5; 32]).unwrap();
    let refused = Log::open(home.path(), other, clock());
    assert!(matches!(refused, Err(StoreError::WrongKey(_))));
    assert_eq!(intact(home.path()).events, 2);
    let renamed = LogKey::new("valetkey.test/other", &[4; 32]).unwrap();
    assert!(Log::open(home.path(), renamed, clock()).is_err());
}

#[test]
fn a_damaged_log_is_not_written_on() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = open(home.path());
    log.append(event(1)).unwrap();
    log.append(event(2)).unwrap();
    drop(log);
    let path = segments::path_of(home.path(), 0);
    let mut bytes = std::fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // Lossy text has other lengths, so the place is looked for in the bytes.
    assert!(text.contains("q3.xlsx"));
    let at = bytes
        .windows(7)
        .position(|window| window == b"q3.xlsx")
        .unwrap();
    bytes[at + 1] = b'4';
    std::fs::write(&path, &bytes).unwrap();
    let Err(StoreError::Damaged(found)) = Log::open(home.path(), key(), clock()) else {
        panic!("opened");
    };
    assert_eq!(
        (found.kind, found.first_bad_seq),
        (TamperKind::EventAltered, Some(1))
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let reader = LogReader::open(home.path()).unwrap();
    assert!(reader.get(1).is_err());
}
