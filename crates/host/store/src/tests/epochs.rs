//! Tests of epochs: keys that move forward and are erased, whatever a crash leaves of the change.

use std::path::PathBuf;

use valetkey_audit::segment::{Frame, SegmentHeader};
use valetkey_audit::{LastBatch, LogPublicKey};

use super::*;

const PLACE: &str = "valetkey.test";

/// Limits that no test reaches.
fn never() -> EpochLimits {
    EpochLimits {
        events: u64::MAX,
        age: Duration::from_secs(100_000),
    }
}

/// A home with a log and its keys.
pub(super) struct Home(tempfile::TempDir);

impl Home {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn log_dir(&self) -> PathBuf {
        self.0.path().join("log")
    }

    pub(super) fn keys_dir(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    pub(super) fn secret(&self) -> Vec<u8> {
        std::fs::read(self.keys_dir().join("log.epoch.key")).unwrap()
    }

    pub(super) fn signer(&self, limits: EpochLimits) -> Signer {
        Signer::open(&self.keys_dir(), &self.log_dir(), PLACE, limits).unwrap()
    }

    /// The log's key, by which everything is verified.
    pub(super) fn key(&self) -> LogPublicKey {
        self.signer(never()).public().clone()
    }

    pub(super) fn open_with(&self, limits: EpochLimits, clock: Clock) -> (Log, Recovery) {
        Log::open(&self.log_dir(), self.signer(limits), clock).unwrap()
    }

    fn open(&self) -> Log {
        self.open_with(never(), clock()).0
    }

    fn intact(&self, key: &LogPublicKey) -> Intact {
        match self.verdict(key) {
            Verdict::Intact(intact) => intact,
            Verdict::Tampered(tampering) => panic!("{tampering}"),
        }
    }

    fn verdict(&self, key: &LogPublicKey) -> Verdict {
        let reader = LogReader::open(&self.log_dir()).unwrap();
        reader.verify(key, None).unwrap()
    }

    /// Ends the epoch, and waits until its key is gone.
    pub(super) fn turn(&self, log: &Log) {
        let before = self.secret();
        log.end_epoch();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while self.keys_dir().join("log.epoch.key.next").exists()
            || self.secret() == before
            || log.keys_failure().is_some()
        {
            assert!(
                std::time::Instant::now() < deadline,
                "{:?}",
                log.keys_failure()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether a secret is anywhere in the keys' files.
    fn holds(&self, secret: &[u8]) -> bool {
        let entries = std::fs::read_dir(self.keys_dir()).unwrap();
        entries
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .any(|bytes| bytes.starts_with(&secret[..32]))
    }
}

#[test]
fn every_epoch_has_its_key_and_the_old_one_is_gone() {
    let home = Home::new();
    let key = home.key();
    let mut secrets = vec![home.secret()];
    let log = home.open();
    for number in 0..4 {
        log.append(event(number)).unwrap();
        home.turn(&log);
        secrets.push(home.secret());
    }
    drop(log);
    // The key that lies on the disk now has signed no event of anyone.
    secrets.push(home.secret());
    let found = home.intact(&key);
    assert_eq!(found.epoch_keys.len(), 6);
    assert_eq!(found.last_batch, LastBatch::Begins);
    let (last, gone) = secrets.split_last().unwrap();
    assert!(home.holds(last));
    assert!(
        gone.iter()
            .all(|secret| secret.len() == 40 && !home.holds(secret))
    );
    // A start in good order goes on with the fresh key.
    drop(home.open());
    assert_eq!(home.intact(&key).epoch_keys.len(), 7);
    assert_eq!(numbers(&home.log_dir()), [0, 1, 2, 3]);
}

#[test]
fn epochs_end_by_count_and_by_age_and_an_idle_log_has_none() {
    let home = Home::new();
    let key = home.key();
    let limits = EpochLimits {
        events: 10,
        age: Duration::from_secs(100_000),
    };
    let (log, _) = home.open_with(limits, clock());
    for number in 0..40 {
        log.append(event(number)).unwrap();
    }
    drop(log);
    let by_count = home.intact(&key).epoch_keys.len();
    assert!((5..=7).contains(&by_count), "{by_count}");
    let limits = EpochLimits {
        events: u64::MAX,
        age: Duration::from_millis(80),
    };
    let (log, _) = home.open_with(limits, clock());
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while home.intact(&key).epoch_keys.len() == by_count {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
    let by_age = home.intact(&key).epoch_keys.len();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        home.intact(&key).epoch_keys.len(),
        by_age,
        "nothing was written"
    );
    drop(log);
}

#[test]
fn a_log_of_one_key_goes_on_in_epochs() {
    let home = Home::new();
    let directory = home.log_dir();
    let (log, _) = open(&directory);
    log.append(event(1)).unwrap();
    drop(log);
    std::fs::create_dir(home.keys_dir()).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        write_atomically(&home.keys_dir().join(name), bytes, 0o600).unwrap();
    };
    put("log.key", &[4; 32]);
    for number in 2..4 {
        let log = home.open();
        log.append(event(number)).unwrap();
        drop(log);
        // Which name it has, the log itself says, where there is no file of it.
        put("log.name", b"valetkey.test/log\n");
    }
    let found = home.intact(key().public());
    assert_eq!(found.epoch_keys.len(), 3);
    assert_eq!(numbers(&directory), [1, 2, 3]);
    // The one key cannot go on with it, nor can epochs begin a second time.
    assert!(Log::open(&directory, key(), clock()).is_err());
    std::fs::remove_file(home.keys_dir().join("log.epoch.key")).unwrap();
    assert!(Log::open(&directory, home.signer(never()), clock()).is_err());
}

#[test]
fn a_new_log_has_a_new_name_that_names_its_first_key() {
    let home = Home::new();
    let (one, again) = (home.key(), home.key());
    assert_eq!(
        one, again,
        "what was made before anything was written is kept"
    );
    drop(home.open());
    std::fs::remove_dir_all(home.log_dir()).unwrap();
    let two = home.key();
    assert_ne!(one.name(), two.name());
    assert!(two.name().starts_with("valetkey.test/epoch-"), "{two}");
    drop(home.open());
    assert_eq!(home.intact(&two).epoch_keys.len(), 2);
    assert!(matches!(home.verdict(&one), Verdict::Tampered(_)));
}

/// The ends of a segment's frames, and whether each is a checkpoint's.
fn ends(bytes: &[u8]) -> Vec<(usize, bool)> {
    let (_, mut at) = SegmentHeader::read(bytes).unwrap();
    let mut ends = Vec::new();
    while let Ok((frame, length)) = Frame::read(&bytes[at..]) {
        at += length;
        ends.push((at, matches!(frame, Frame::Checkpoint { .. })));
    }
    ends
}

#[test]
fn a_crash_at_any_step_of_a_change_of_keys_leaves_a_log_that_goes_on() {
    let home = Home::new();
    let key = home.key();
    let log = home.open();
    log.append(event(1)).unwrap();
    let old = home.secret();
    let path = segments::path_of(&home.log_dir(), 0);
    let before = std::fs::metadata(&path).unwrap().len() as usize;
    home.turn(&log);
    let (whole, new) = (std::fs::read(&path).unwrap(), home.secret());
    let notes: Vec<usize> = ends(&whole)
        .into_iter()
        .filter(|(end, note)| *note && *end > before)
        .map(|(end, _)| end)
        .collect();
    let [ended, began] = notes[..] else {
        panic!("{notes:?}");
    };
    // What is in the files of the two keys, while the log is so long.
    type Files<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);
    let both: Files<'_> = (Some(&old), Some(&new));
    let zeros = [0; 40];
    let mut states: Vec<(usize, Files<'_>)> = vec![
        (before, (Some(&old), None)),
        (began, (Some(&zeros), Some(&new))),
        (began, (None, Some(&new))),
        (began, (Some(&new), None)),
    ];
    for cut in [
        before,
        before + 3,
        ended - 70,
        ended - 1,
        ended,
        ended + 9,
        began - 1,
        began,
    ] {
        states.push((cut, both));
    }
    for (length, (current, next)) in states {
        let crashed = Home::new();
        std::fs::create_dir(crashed.log_dir()).unwrap();
        std::fs::create_dir(crashed.keys_dir()).unwrap();
        std::fs::write(segments::path_of(&crashed.log_dir(), 0), &whole[..length]).unwrap();
        for name in ["log.key", "log.name"] {
            std::fs::copy(home.keys_dir().join(name), crashed.keys_dir().join(name)).unwrap();
        }
        for (name, bytes) in [("log.epoch.key", current), ("log.epoch.key.next", next)] {
            if let Some(bytes) = bytes {
                write_atomically(&crashed.keys_dir().join(name), bytes, 0o600).unwrap();
            }
        }
        let (log, recovery) = crashed.open_with(never(), clock());
        let torn = recovery.torn_tail.is_some();
        assert_eq!(torn, ![before, ended, began].contains(&length), "{length}");
        log.append(event(2)).unwrap();
        drop(log);
        let found = crashed.intact(&key);
        assert_eq!(numbers(&crashed.log_dir()), [1, 2], "{length}");
        assert!(
            found.epoch_keys.len() >= 3,
            "{length}: {}",
            found.epoch_keys.len()
        );
        assert!(!crashed.holds(&old), "{length}");
        assert!(
            !crashed.keys_dir().join("log.epoch.key.next").exists(),
            "{length}"
        );
        drop(crashed.open());
    }
}

#[test]
fn keys_that_do_not_fit_the_log_are_refused_and_nothing_is_lost() {
    let home = Home::new();
    let key = home.key();
    let log = home.open();
    log.append(event(1)).unwrap();
    let stolen = home.secret();
    home.turn(&log);
    drop(log);
    let good = home.secret();
    let events = home.intact(&key).events;
    let path = home.keys_dir().join("log.epoch.key");
    let refused = || {
        let signer = Signer::open(&home.keys_dir(), &home.log_dir(), PLACE, never());
        signer.and_then(|signer| Log::open(&home.log_dir(), signer, clock()).map(drop))
    };
    // An earlier epoch's key put back, an erased one, half of one.
    for bytes in [&stolen[..], &[0; 40], &stolen[..20]] {
        write_atomically(&path, bytes, 0o600).unwrap();
        assert!(refused().is_err());
    }
    write_atomically(&path, &good, 0o600).unwrap();
    assert!(refused().is_ok());
    assert!(home.intact(&key).events > events);
}

#[test]
fn a_disk_that_takes_no_new_key_does_not_stop_the_log() {
    let home = Home::new();
    let key = home.key();
    let log = home.open();
    // A directory in the place of the next key: it can be neither written nor read.
    let blocked = home.keys_dir().join("log.epoch.key.next");
    std::fs::create_dir(&blocked).unwrap();
    log.end_epoch();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while log.keys_failure().is_none() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(2));
    }
    log.append(event(1)).unwrap();
    assert!(
        home.secret().iter().any(|byte| *byte != 0),
        "it still signs"
    );
    std::fs::remove_dir(&blocked).unwrap();
    home.turn(&log);
    assert_eq!(log.keys_failure(), None);
    log.append(event(2)).unwrap();
    drop(log);
    assert_eq!(home.intact(&key).epoch_keys.len(), 3);
    assert_eq!(numbers(&home.log_dir()), [1, 2]);
}

/// Set for the process that [`acknowledged_events_survive_kills_while_keys_change`] kills.
const VICTIM: &str = "VALETKEY_TEST_EPOCHS_VICTIM";

/// Not a test of its own: the process that the next test kills.
#[test]
fn victim() {
    let Some(directory) = std::env::var_os(VICTIM) else {
        return;
    };
    let directory = PathBuf::from(directory);
    let limits = EpochLimits {
        events: 3,
        age: Duration::from_secs(100_000),
    };
    let log = directory.join("log");
    let signer = Signer::open(&directory.join("keys"), &log, PLACE, limits).unwrap();
    let (log, _) = Log::open(&log, signer, clock()).unwrap();
    let first = numbers(&directory.join("log"))
        .iter()
        .max()
        .map_or(0, |number| number + 1);
    for number in first.. {
        log.append(event(number)).unwrap();
        println!("acknowledged {number}");
    }
}

#[test]
fn acknowledged_events_survive_kills_while_keys_change() {
    use std::io::BufRead as _;
    let home = Home::new();
    let key = home.key();
    let count = std::env::var("VALETKEY_TEST_KILLS").ok();
    let kills = count.and_then(|text| text.parse().ok()).unwrap_or(12_u64);
    let (mut acknowledged, mut between) = (0, 0);
    for trial in 0..kills {
        let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "tests::epochs::victim",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(VICTIM, home.0.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(victim.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines.map_while(Result::ok) {
            if let Some((_, number)) = line.split_once("acknowledged ") {
                acknowledged = number.parse::<u64>().unwrap();
                seen += 1;
                if seen == 3 + trial * 7 % 11 {
                    // Somewhere within the next change of keys.
                    std::thread::sleep(Duration::from_micros(trial * 977 % 9000));
                    victim.kill().unwrap();
                }
            }
        }
        victim.wait().unwrap();
        assert!(seen >= 3, "the victim ended by itself");
        let found = home.intact(&key);
        between += u64::from(home.keys_dir().join("log.epoch.key.next").exists());
        assert!(*numbers(&home.log_dir()).last().unwrap() >= acknowledged);
        assert!(
            found.epoch_keys.len() as u64 >= trial,
            "{}",
            found.epoch_keys.len()
        );
    }
    drop(home.open());
    let found = numbers(&home.log_dir());
    assert!(found.iter().copied().eq(0..found.len() as u64));
    let keys = home.intact(&key).epoch_keys.len();
    println!("{kills} kills, {between} in the midst of a change of keys, {keys} epochs, 0 lost");
}
