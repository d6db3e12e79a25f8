//! Crashes: a torn last batch at every byte, and a writer killed again and again.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::*;

/// Set in the process that is going to be killed: the directory of its log.
const VICTIM: &str = "VALETKEY_TEST_VICTIM";

/// How often the victim is killed; more by hand with `VALETKEY_TEST_KILLS`.
const KILLS: u64 = 30;

#[test]
fn a_batch_torn_at_any_byte_is_cut_away_and_told() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = open(home.path());
    log.append(event(1)).unwrap();
    let path = segments::path_of(home.path(), 0);
    let acknowledged = std::fs::metadata(&path).unwrap().len();
    log.append(event(2)).unwrap();
    let whole = std::fs::read(&path).unwrap();
    drop(log);
    let start = usize::try_from(acknowledged).unwrap();
    for cut in start..whole.len() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(segments::path_of(home.path(), 0), &whole[..cut]).unwrap();
        let (log, recovery) = open(home.path());
        log.append(event(3)).unwrap();
        drop(log);
        assert_eq!(recovery.events, 2, "cut at {cut}");
        assert_eq!(recovery.torn_tail.is_some(), cut > start, "cut at {cut}");
        assert!(!recovery.was_closed);
        assert_eq!(numbers(home.path()), [1, 3], "cut at {cut}");
        let told = kinds(home.path()).contains(&EventType::LogRecovered);
        assert_eq!(told, cut > start, "cut at {cut}");
        assert!(kinds(home.path()).contains(&EventType::LogGap));
        assert_eq!(intact(home.path()).torn_tail, None);
    }
}

#[test]
fn a_crash_around_a_new_segment_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = Log::open_with_segments(home.path(), key(), clock(), 1500).unwrap();
    for number in 0..6 {
        log.append(event(number)).unwrap();
    }
    drop(log);
    let list = segments::list(home.path()).unwrap();
    let last = *list.last().unwrap();
    assert!(list.len() >= 2 && last > 0);
    // The header of the new segment is there, and nothing else yet.
    let path = segments::path_of(home.path(), last);
    let bytes = std::fs::read(&path).unwrap();
    let (_, header) = valetkey_audit::segment::SegmentHeader::read(&bytes).unwrap();
    for length in [header, header + 1, header + 100] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        std::fs::write(
            home.path().join(".segment-00000000000000000099.1.1.tmp"),
            b"half",
        )
        .unwrap();
        let (log, recovery) = open(home.path());
        drop(log);
        assert_eq!(recovery.events, last);
        assert_eq!(recovery.torn_tail.is_some(), length > header);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), list.len());
        assert!(intact(home.path()).events > last);
    }
    // A header that the segment before does not lead to is not believed.
    let mut forged = bytes[..header].to_vec();
    *forged.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &forged).unwrap();
    assert!(matches!(
        Log::open(home.path(), key(), clock()),
        Err(StoreError::Damaged(_))
    ));
}

/// Not a test of its own: the process that the next test kills.
#[test]
fn victim() {
    let Some(directory) = std::env::var_os(VICTIM) else {
        return;
    };
    let (log, _) = Log::open_with_segments(Path::new(&directory), key(), clock(), 20_000).unwrap();
    let first = numbers(Path::new(&directory))
        .iter()
        .max()
        .map_or(0, |number| number + 1);
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    log.append(event(number)).unwrap();
                    let line = format!("acknowledged {number}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn what_was_acknowledged_survives_kill_nine() {
    let home = tempfile::tempdir().unwrap();
    let kills = std::env::var("VALETKEY_TEST_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KILLS);
    let mut acknowledged = HashSet::new();
    let mut torn = 0;
    for trial in 0..kills {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "tests::crash::victim",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(VICTIM, home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let wanted = 20 + trial * 7 % 60;
        let mut seen = 0;
        for line in lines.map_while(Result::ok) {
            if let Some((_, number)) = line.split_once("acknowledged ") {
                acknowledged.insert(number.parse::<u64>().unwrap());
                seen += 1;
                if seen == wanted {
                    victim.kill().unwrap();
                }
            }
        }
        victim.wait().unwrap();
        assert!(seen >= wanted, "the victim ended by itself");
        torn += u64::from(intact(home.path()).torn_tail.is_some());
    }
    let (log, _) = open(home.path());
    drop(log);
    let found: HashSet<_> = numbers(home.path()).into_iter().collect();
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    println!(
        "{kills} kills, {} acknowledged, {} in the log, {torn} torn tails, 0 lost",
        acknowledged.len(),
        found.len()
    );
}

/// Where the signature lines of a segment's checkpoints stand: the last byte but two of each, which is base64.
fn signature_bytes(segment: &[u8]) -> Vec<usize> {
    let mark = "\u{2014} valetkey.test/log ".as_bytes();
    let starts = segment
        .windows(mark.len())
        .enumerate()
        .filter(|(_, window)| *window == mark)
        .map(|(at, _)| at + mark.len() + 20);
    starts.collect()
}

#[test]
fn a_start_checks_the_last_signature_and_an_audit_every_one() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("log");
    let (log, _) = open(&directory);
    for number in 0..4 {
        log.append(event(number)).unwrap();
    }
    drop(log);
    let segment = crate::segments::path_of(&directory, 0);
    let whole = std::fs::read(&segment).unwrap();
    let places = signature_bytes(&whole);
    assert!(places.len() >= 5, "{places:?}");
    let changed_at = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        std::fs::write(&segment, bytes).unwrap();
    };
    let (last, earlier) = places.split_last().unwrap();
    changed_at(*last);
    assert!(Log::open(&directory, key(), clock()).is_err());
    changed_at(earlier[1]);
    let reader = LogReader::open(&directory).unwrap();
    assert!(matches!(
        reader.verify(key().public(), None).unwrap(),
        Verdict::Tampered(tampering) if tampering.kind == TamperKind::CheckpointAltered
    ));
    // Every event is as it was, and the last signature says so: the log goes on, and what was changed stays to be found.
    let (log, recovery) = open(&directory);
    assert!(recovery.was_closed && recovery.torn_tail.is_none());
    drop(log);
}
