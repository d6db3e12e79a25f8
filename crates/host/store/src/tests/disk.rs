//! Disks that are full.

use std::process::Command;

use super::*;

/// A small file system of its own, taken away at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size},mode=0700"),
                "tmpfs",
            ])
            .arg(place.path())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            println!("SKIPPED: a small tmpfs cannot be mounted here (needs root)");
            return None;
        }
        Some(Self(place))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(status.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
}

fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..100 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it did not come about");
}

#[test]
fn a_full_disk_refuses_everything_and_recovers_by_itself() {
    let Some(disk) = SmallDisk::mount("256k") else {
        return;
    };
    let directory = disk.0.path().join("log");
    let (log, _) = open(&directory);
    log.append(event(0)).unwrap();
    let ballast = disk.0.path().join("ballast");
    fill(&ballast);
    let mut recorded = vec![0];
    let refused = (1..2000).find(|number| match log.append(event(*number)) {
        Ok(_) => {
            recorded.push(*number);
            false
        }
        Err(StoreError::Io { .. }) => true,
        Err(other) => panic!("{other}"),
    });
    assert!(refused.is_some(), "the disk did not fill");
    let state = log.append(event(5000));
    assert!(
        matches!(state, Err(StoreError::Failed(ref reason)) if reason.contains("No space")),
        "{state:?}"
    );
    assert!(matches!(
        log.append_streamed(event(5001)),
        Err(StoreError::Failed(_))
    ));
    assert!(matches!(log.flush(), Err(StoreError::Failed(_))));
    assert!(log.failure().is_some());
    // What is on the disk meanwhile is a whole log, perhaps with a torn tail.
    assert!(intact(&directory).events >= recorded.len() as u64);
    std::thread::sleep(Duration::from_millis(1200));
    assert!(log.failure().is_some(), "there is still no space");
    std::fs::remove_file(&ballast).unwrap();
    wait_until(|| log.failure().is_none());
    log.append(event(6000)).unwrap();
    recorded.push(6000);
    drop(log);
    assert_eq!(numbers(&directory), recorded);
    assert_eq!(intact(&directory).torn_tail, None);
    assert_eq!(
        kinds(&directory)
            .iter()
            .filter(|kind| **kind == EventType::LogGap)
            .count(),
        1
    );
}

#[test]
fn lost_streamed_events_are_counted() {
    let Some(disk) = SmallDisk::mount("256k") else {
        return;
    };
    let directory = disk.0.path().join("log");
    let (log, _) = open(&directory);
    let ballast = disk.0.path().join("ballast");
    fill(&ballast);
    let mut taken = 0_u64;
    while log.append_streamed(event(taken)).is_ok() {
        taken += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    std::fs::remove_file(&ballast).unwrap();
    wait_until(|| log.failure().is_none());
    drop(log);
    let kept = numbers(&directory).len() as u64;
    let reader = LogReader::open(&directory).unwrap();
    let lost: u64 = reader
        .entries(0)
        .unwrap()
        .filter_map(
            |entry| match entry.unwrap().record.attributes.get("streamed_events_lost") {
                Some(valetkey_audit::Attribute::Count(lost)) => Some(*lost),
                _ => None,
            },
        )
        .sum();
    assert!(lost > 0);
    assert_eq!(kept + lost, taken);
}

#[test]
fn a_log_closed_while_the_disk_was_full_tells_of_the_gap_when_it_is_opened() {
    let Some(disk) = SmallDisk::mount("256k") else {
        return;
    };
    let directory = disk.0.path().join("log");
    let (log, _) = open(&directory);
    let ballast = disk.0.path().join("ballast");
    fill(&ballast);
    while log.append(event(1)).is_ok() {}
    drop(log);
    assert!(
        Log::open(&directory, key(), clock()).is_err(),
        "there is no space to begin"
    );
    std::fs::remove_file(&ballast).unwrap();
    let (log, recovery) = open(&directory);
    drop(log);
    assert!(!recovery.was_closed);
    assert!(kinds(&directory).contains(&EventType::LogGap));
}

#[test]
fn the_ledger_on_a_full_disk_uses_up_and_does_not_confirm() {
    let Some(disk) = SmallDisk::mount("64k") else {
        return;
    };
    let path = disk.0.path().join("ledger");
    let now = Timestamp::from_unix_ms(1_000);
    let later = Timestamp::from_unix_ms(2_000_000);
    let capability = |n: u8| valetkey_model::CapabilityId::new(now, [n; 10]);
    let ledger = Ledger::open(&path, now).unwrap();
    let ballast = disk.0.path().join("ballast");
    fill(&ballast);
    let refused = (0..=255_u8).find(|n| ledger.consume(&capability(*n), later).is_err());
    let refused = refused.expect("the disk did not fill");
    // The one whose write failed counts as used up, and is so for good once there is space.
    assert!(!ledger.consume(&capability(refused), later).unwrap());
    std::fs::remove_file(&ballast).unwrap();
    assert!(ledger.consume(&capability(refused + 1), later).unwrap());
    drop(ledger);
    let ledger = Ledger::open(&path, now).unwrap();
    for n in 0..=refused + 1 {
        assert!(!ledger.consume(&capability(n), later).unwrap(), "{n}");
    }
}
