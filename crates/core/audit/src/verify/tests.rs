//! Tests of verification: every change to a small log is found and named, and every crash is told from a change.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a panic fails the test"
)]

use valetkey_model::{EventId, Timestamp};

use super::*;
use crate::segment::{write_checkpoint, write_event};
use crate::verdict::TamperKind as Kind;
use crate::{Actor, Event, EventType, LogKey, SealedEvent};

/// What stands at a place of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Header,
    Event(u64),
    /// A checkpoint, and the first event that it vouches for.
    Checkpoint(u64),
}

struct Segment {
    first: u64,
    bytes: Vec<u8>,
    /// Where each part ends.
    parts: Vec<(usize, Part)>,
}

fn key() -> LogKey {
    LogKey::new("valetkey.test/log", &[5; 32]).unwrap()
}

fn event_with(seq: u64, text: &str) -> SealedEvent {
    let time = Timestamp::from_unix_ms(1_768_662_720_000 + seq);
    Event::new(EventType::OperationPerformed, Actor::Agent)
        .justification(text)
        .seal(
            seq,
            EventId::new(time, [u8::try_from(seq).unwrap(); 10]),
            time,
        )
        .unwrap()
}

fn event(seq: u64) -> SealedEvent {
    event_with(seq, "because")
}

fn checkpoint(frontier: &Frontier, key: &LogKey) -> String {
    Checkpoint {
        origin: "valetkey.test/log".to_owned(),
        size: frontier.size(),
        root: frontier.root(),
        extensions: Vec::new(),
    }
    .sign(key)
}

/// A log of segments of batches of so many events.
fn log(segments: &[&[u64]]) -> Vec<Segment> {
    let key = key();
    let mut frontier = Frontier::new();
    let mut log = Vec::new();
    for batches in segments {
        let header = SegmentHeader {
            origin: "valetkey.test/log".to_owned(),
            before: frontier.clone(),
        };
        let mut bytes = header.to_bytes();
        let mut parts = vec![(bytes.len(), Part::Header)];
        for count in *batches {
            let first = frontier.size();
            for seq in first..first + count {
                let event = event(seq);
                write_event(&mut bytes, &event);
                frontier.push(*event.leaf());
                parts.push((bytes.len(), Part::Event(seq)));
            }
            write_checkpoint(&mut bytes, &checkpoint(&frontier, &key));
            parts.push((bytes.len(), Part::Checkpoint(first)));
        }
        log.push(Segment {
            first: header.before.size(),
            bytes,
            parts,
        });
    }
    log
}

fn verify(log: &[Segment]) -> Verdict {
    verify_with(log, None)
}

fn verify_with(log: &[Segment], trusted: Option<Checkpoint>) -> Verdict {
    let key = key();
    let mut verifier = Verifier::new(key.public());
    if let Some(trusted) = trusted {
        verifier = verifier.trusting(trusted);
    }
    for segment in log {
        verifier.segment(segment.first, &segment.bytes);
    }
    verifier.finish()
}

fn tampering(verdict: Verdict) -> Tampering {
    match verdict {
        Verdict::Tampered(tampering) => tampering,
        Verdict::Intact(intact) => panic!("not found: {intact:?}"),
    }
}

fn intact(verdict: Verdict) -> Intact {
    match verdict {
        Verdict::Intact(intact) => intact,
        Verdict::Tampered(tampering) => panic!("{tampering}"),
    }
}

/// The bytes of one frame of a segment.
fn frame(segment: &Segment, part: Part) -> std::ops::Range<usize> {
    let index = segment
        .parts
        .iter()
        .position(|(_, it)| *it == part)
        .unwrap();
    let start = if index == 0 {
        0
    } else {
        segment.parts[index - 1].0
    };
    start..segment.parts[index].0
}

#[test]
fn a_whole_log_is_intact() {
    let log = log(&[&[2, 1, 3], &[1, 1], &[]]);
    let found = intact(verify(&log));
    assert_eq!((found.events, found.checkpoints, found.segments), (8, 5, 3));
    assert_eq!(found.torn_tail, None);
    assert_eq!(intact(verify(&[])).events, 0);
}

#[test]
fn every_flipped_byte_is_found_and_named() {
    let shape: &[&[u64]] = &[&[2, 1, 3], &[1, 2]];
    let mut log = log(shape);
    let mut tried = 0;
    for index in 0..log.len() {
        let mut start = 0;
        for (end, part) in log[index].parts.clone() {
            for at in start..end {
                for flip in [0x01, 0x10, 0x20, 0x80, 0xff] {
                    log[index].bytes[at] ^= flip;
                    let found = tampering(verify(&log));
                    log[index].bytes[at] ^= flip;
                    check_named(&found, part, log[index].first, (at, flip));
                    tried += 1;
                }
            }
            start = end;
        }
    }
    println!("{tried} flips, all found and named");
    assert_eq!(intact(verify(&log)).events, 9);
}

fn check_named(found: &Tampering, part: Part, segment: u64, place: (usize, u8)) {
    assert_eq!(found.segment, segment, "{place:?} in {part:?}: {found}");
    let (seq, kinds): (u64, &[Kind]) = match part {
        Part::Header => (segment, &[Kind::HeaderAltered]),
        Part::Event(seq) => (
            seq,
            &[Kind::EventAltered, Kind::HashAltered, Kind::FrameAltered],
        ),
        Part::Checkpoint(seq) => (
            seq,
            &[Kind::CheckpointAltered, Kind::WrongKey, Kind::FrameAltered],
        ),
    };
    assert_eq!(
        found.first_bad_seq,
        Some(seq),
        "{place:?} in {part:?}: {found}"
    );
    assert!(
        kinds.contains(&found.kind),
        "{place:?} in {part:?}: {found}"
    );
}

#[test]
fn an_altered_event_is_named_with_its_id_and_kind() {
    let mut log = log(&[&[2, 3]]);
    let range = frame(&log[0], Part::Event(3));
    let payload = range.start + 37;
    let text = String::from_utf8_lossy(&log[0].bytes[range.clone()]).into_owned();
    let place = range.start + text.find("because").unwrap_or(400).min(range.len() - 10);
    log[0].bytes[place.max(payload)] ^= 1;
    let found = tampering(verify(&log));
    assert_eq!(
        (found.kind, found.first_bad_seq),
        (Kind::EventAltered, Some(3))
    );
    assert_eq!(found.event_id.as_ref(), Some(event(3).event_id()));
    log[0].bytes[place.max(payload)] ^= 1;
    log[0].bytes[range.start + 9] ^= 1;
    assert_eq!(tampering(verify(&log)).kind, Kind::HashAltered);
}

#[test]
fn a_crash_at_any_byte_of_the_last_batch_is_a_torn_tail() {
    let mut log = log(&[&[2], &[1, 3]]);
    let start = frame(&log[1], Part::Event(3)).start;
    let whole = log[1].bytes.clone();
    for cut in start..whole.len() {
        log[1].bytes = whole[..cut].to_vec();
        let found = intact(verify(&log));
        assert_eq!(found.events, 3, "cut at {cut}");
        let torn = found.torn_tail.map(|torn| (torn.offset, torn.bytes));
        let expected = (cut > start).then_some((start as u64, (cut - start) as u64));
        assert_eq!(torn, expected, "cut at {cut}");
    }
    // Sectors that a disk did not write, any subset of them, in a file of full length.
    let sectors: Vec<_> = (start / 512..whole.len().div_ceil(512)).collect();
    for lost in 1_u32..1 << sectors.len() {
        log[1].bytes = whole.clone();
        for (bit, sector) in sectors.iter().enumerate() {
            if lost & (1 << bit) != 0 {
                let range = (sector * 512).max(start)..((sector + 1) * 512).min(whole.len());
                log[1].bytes[range].fill(0);
            }
        }
        let found = intact(verify(&log));
        assert_eq!(found.events, 3, "lost {lost:b}");
        assert!(found.torn_tail.is_some(), "lost {lost:b}");
    }
}

#[test]
fn a_lost_sector_before_the_last_batch_is_not_a_crash() {
    let mut log = log(&[&[4, 4, 1]]);
    let start = frame(&log[0], Part::Event(5)).start.next_multiple_of(512);
    log[0].bytes[start..start + 512].fill(0);
    let found = tampering(verify(&log));
    assert!(matches!(found.first_bad_seq, Some(5 | 6)), "{found}");
}

#[test]
fn a_cut_that_no_crash_explains_needs_a_trusted_checkpoint() {
    let mut log = log(&[&[2, 1, 3]]);
    let trusted = intact(verify(&log)).last_checkpoint;
    let end = frame(&log[0], Part::Checkpoint(2)).end;
    log[0].bytes.truncate(end);
    assert_eq!(intact(verify(&log)).events, 3);
    let found = tampering(verify_with(&log, trusted.clone()));
    assert_eq!(
        (found.kind, found.first_bad_seq),
        (Kind::Truncated, Some(3))
    );
    assert_eq!(tampering(verify_with(&[], trusted)).kind, Kind::Truncated);
}

#[test]
fn a_cut_before_another_segment_is_found() {
    let mut log = log(&[&[2, 1], &[1]]);
    let end = frame(&log[0], Part::Event(2)).end;
    log[0].bytes.truncate(end);
    let found = tampering(verify(&log));
    assert_eq!(
        (found.kind, found.first_bad_seq),
        (Kind::Truncated, Some(2))
    );
    let end = frame(&log[0], Part::Checkpoint(0)).end;
    log[0].bytes.truncate(end);
    let found = tampering(verify(&log));
    assert_eq!(
        (found.kind, found.first_bad_seq),
        (Kind::SegmentMissing, Some(2))
    );
}

/// Takes frames out and puts frames in, and gives what was found.
fn edited(segments: &[&[u64]], edit: impl Fn(&mut Vec<Segment>)) -> (Kind, Option<u64>) {
    let mut log = log(segments);
    edit(&mut log);
    let found = tampering(verify(&log));
    (found.kind, found.first_bad_seq)
}

#[test]
fn a_missing_event_is_named() {
    let shape: &[&[u64]] = &[&[2, 4, 1]];
    for seq in 0..7 {
        let found = edited(shape, |log| {
            let range = frame(&log[0], Part::Event(seq));
            log[0].bytes.drain(range);
        });
        assert_eq!(found, (Kind::EventMissing, Some(seq)));
    }
    // With its whole batch.
    let found = edited(shape, |log| {
        let range = frame(&log[0], Part::Event(2)).start..frame(&log[0], Part::Checkpoint(2)).end;
        log[0].bytes.drain(range);
    });
    assert_eq!(found, (Kind::EventMissing, Some(2)));
    let found = edited(&[&[2], &[3], &[1]], |log| drop(log.remove(1)));
    assert_eq!(found, (Kind::SegmentMissing, Some(2)));
}

#[test]
fn reordered_events_and_batches_are_named() {
    let swap = |log: &mut Vec<Segment>, a: std::ops::Range<usize>, b: std::ops::Range<usize>| {
        let bytes = &log[0].bytes;
        let mut out = bytes[..a.start].to_vec();
        out.extend_from_slice(&bytes[b.clone()]);
        out.extend_from_slice(&bytes[a.end..b.start]);
        out.extend_from_slice(&bytes[a]);
        out.extend_from_slice(&bytes[b.end..]);
        log[0].bytes = out;
    };
    let found = edited(&[&[1, 4]], |log| {
        let (a, b) = (
            frame(&log[0], Part::Event(2)),
            frame(&log[0], Part::Event(4)),
        );
        swap(log, a, b);
    });
    assert_eq!(found, (Kind::EventReordered, Some(2)));
    let found = edited(&[&[1, 2, 2]], |log| {
        let a = frame(&log[0], Part::Event(1)).start..frame(&log[0], Part::Checkpoint(1)).end;
        let b = frame(&log[0], Part::Event(3)).start..frame(&log[0], Part::Checkpoint(3)).end;
        swap(log, a, b);
    });
    assert_eq!(found, (Kind::EventReordered, Some(1)));
}

#[test]
fn inserted_and_replayed_events_are_named() {
    let found = edited(&[&[2, 3]], |log| {
        let mut forged = Vec::new();
        write_event(&mut forged, &event_with(3, "forged"));
        let at = frame(&log[0], Part::Event(3)).start;
        log[0].bytes.splice(at..at, forged);
    });
    assert_eq!(found, (Kind::EventInserted, Some(4)));
    let found = edited(&[&[2, 3]], |log| {
        let old = log[0].bytes[frame(&log[0], Part::Event(0))].to_vec();
        let at = frame(&log[0], Part::Event(3));
        log[0].bytes.splice(at, old);
    });
    assert_eq!(found, (Kind::EventInserted, Some(3)));
    let found = edited(&[&[1], &[1]], |log| {
        let tail = b"something else".to_vec();
        log[1].bytes.extend_from_slice(&tail);
    });
    assert_eq!(found, (Kind::FrameAltered, Some(2)));
}

#[test]
fn an_event_rewritten_with_its_hash_is_found() {
    let found = edited(&[&[2, 1, 1]], |log| {
        let mut forged = Vec::new();
        write_event(&mut forged, &event_with(2, "forged"));
        let at = frame(&log[0], Part::Event(2));
        log[0].bytes.splice(at, forged);
    });
    assert_eq!(found, (Kind::EventsRewritten, Some(2)));
}

#[test]
fn a_log_of_another_key_is_told() {
    let log = log(&[&[2, 1]]);
    let other = LogKey::new("valetkey.test/log", &[6; 32]).unwrap();
    let mut verifier = Verifier::new(other.public());
    verifier.segment(0, &log[0].bytes);
    let found = tampering(verifier.finish());
    assert_eq!((found.kind, found.first_bad_seq), (Kind::WrongKey, Some(0)));
}

#[test]
fn a_history_rewritten_with_the_key_is_found_by_a_trusted_checkpoint() {
    let honest = log(&[&[2, 1, 3]]);
    for size in 1..=6 {
        let mut frontier = Frontier::new();
        (0..size).for_each(|seq| frontier.push(*event(seq).leaf()));
        let trusted = |root| Checkpoint {
            origin: "valetkey.test/log".to_owned(),
            size,
            root,
            extensions: Vec::new(),
        };
        assert_eq!(
            intact(verify_with(&honest, Some(trusted(frontier.root())))).events,
            6
        );
        let other = Some(trusted(Digest::of(b"another history")));
        assert_eq!(
            tampering(verify_with(&honest, other)).kind,
            Kind::HistoryRewritten
        );
    }
}

#[test]
fn a_checkpoint_replayed_from_before_is_found() {
    let found = edited(&[&[2, 1, 1]], |log| {
        let old = log[0].bytes[frame(&log[0], Part::Checkpoint(0))].to_vec();
        let at = frame(&log[0], Part::Checkpoint(2));
        log[0].bytes.splice(at, old);
    });
    assert_eq!(found, (Kind::CheckpointAltered, Some(2)));
}
