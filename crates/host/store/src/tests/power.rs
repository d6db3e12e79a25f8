//! Power cuts: what a disk keeps of a write that was not yet made durable is any part of its sectors, in any order.

use super::*;

/// Cuts tried; more by hand with `VALETKEY_TEST_CUTS`.
const CUTS: u64 = 200;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A small generator of numbers: a cut that fails is found again by its number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (below as u64)).unwrap()
    }
}

/// What is on the disk after the power was cut while bytes from `durable` on were being written: the file has grown to some length, and of each
/// sector the disk has either what was to be written or what was there before.
fn cut(whole: &[u8], durable: usize, end: usize, dice: &mut Dice) -> Vec<u8> {
    let length = durable + dice.roll(end - durable + 1);
    let mut disk = whole[..durable].to_vec();
    disk.resize(length, 0);
    for from in (durable / SECTOR * SECTOR..length).step_by(SECTOR) {
        let to = (from + SECTOR).min(length);
        if dice.roll(3) > 0 {
            disk[from.max(durable)..to].copy_from_slice(&whole[from.max(durable)..to]);
        }
    }
    disk
}

#[test]
fn after_a_power_cut_every_acknowledged_event_is_there_and_the_rest_is_explained() {
    let cuts = std::env::var("VALETKEY_TEST_CUTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(CUTS);
    let home = tempfile::tempdir().unwrap();
    let (log, _) = open(home.path());
    let path = segments::path_of(home.path(), 0);
    // Where the file ended each time that somebody was told, and how many events there were then.
    let mut told = Vec::new();
    for round in 0..30 {
        for number in 0..round % 7 {
            log.append_streamed(event(1000 + number)).unwrap();
        }
        let receipt = log.append(event(round)).unwrap();
        told.push((
            usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap(),
            receipt.tree_size,
        ));
    }
    drop(log);
    let whole = std::fs::read(&path).unwrap();
    let (mut torn, mut kept) = (0, 0);
    for number in 0..cuts {
        let mut dice = Dice(number);
        let at = dice.roll(told.len() - 1);
        let ((durable, events), (end, more)) = (told[at], told[at + 1]);
        let disk = cut(&whole, durable, end, &mut dice);
        let home = tempfile::tempdir().unwrap();
        let path = segments::path_of(home.path(), 0);
        std::fs::write(&path, &disk).unwrap();
        let before = intact(home.path());
        assert!(
            before.events >= events,
            "cut {number}: {} of {events}",
            before.events
        );
        let (log, recovery) = open(home.path());
        assert!(
            recovery.events == events || (recovery.events == more && disk == whole[..end]),
            "cut {number}"
        );
        assert!(!recovery.was_closed, "cut {number}");
        log.append(event(77)).unwrap();
        drop(log);
        let after = std::fs::read(&path).unwrap();
        assert_eq!(
            after.get(..durable),
            whole.get(..durable),
            "cut {number}: what was acknowledged is as it was"
        );
        assert_eq!(intact(home.path()).torn_tail, None, "cut {number}");
        assert!(
            kinds(home.path()).contains(&EventType::LogGap),
            "cut {number}"
        );
        torn += u64::from(recovery.torn_tail.is_some());
        kept += u64::from(recovery.events == more);
    }
    println!("{cuts} cuts: {torn} torn ends, {kept} whole, 0 acknowledged events lost");
    assert!(torn > cuts / 2);
}
