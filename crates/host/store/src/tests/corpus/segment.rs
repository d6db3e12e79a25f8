//! Attacks within a segment: events, their order, frames, checkpoints, headers.

use std::ops::Range;

use valetkey_audit::Record;
use valetkey_audit::segment::{Frame, SegmentHeader, write_checkpoint, write_event};
use valetkey_model::EventId;

use super::chain::after;
use super::whole;
use super::*;

/// A frame: whether it is an event's, and its bytes in the file.
pub(super) type Piece = (bool, Range<usize>);

pub(super) fn pieces(bytes: &[u8]) -> Vec<Piece> {
    let (_, mut at) = SegmentHeader::read(bytes).unwrap();
    let mut pieces = Vec::new();
    while let Ok((frame, length)) = Frame::read(&bytes[at..]) {
        pieces.push((matches!(frame, Frame::Event { .. }), at..at + length));
        at += length;
    }
    pieces
}

/// A batch that has at least three events: its events and its checkpoint.
pub(super) fn batch(bytes: &[u8], number: usize) -> (Vec<Range<usize>>, Range<usize>) {
    let mut events = Vec::new();
    let mut seen = 0;
    for (is_event, range) in pieces(bytes) {
        if is_event {
            events.push(range);
            continue;
        }
        if events.len() >= 3 {
            if seen == number {
                return (events, range);
            }
            seen += 1;
        }
        events.clear();
    }
    panic!("no such batch");
}

/// A frame of `event` in the place of the one in `bytes`.
fn forged(frame: &[u8], event: Event, seq: Option<u64>) -> Vec<u8> {
    let (Frame::Event { payload, .. }, _) = Frame::read(frame).unwrap() else {
        panic!("not an event");
    };
    let record = Record::parse(payload).unwrap();
    let id = EventId::new(record.timestamp, [7; 10]);
    let sealed = event
        .seal(seq.unwrap_or(record.seq), id, record.timestamp)
        .unwrap();
    let mut out = Vec::new();
    write_event(&mut out, &sealed);
    out
}

fn splice(bytes: &mut Vec<u8>, range: Range<usize>, with: &[u8]) {
    bytes.splice(range, with.iter().copied());
}

pub(super) struct Bench {
    pub(super) whole: Files,
    middle: String,
    pub(super) last: String,
    kept: Checkpoint,
    attacks: Vec<Attack>,
}

impl Bench {
    fn new() -> Self {
        let home = written(key(), 40, 1_768_662_720_000);
        let whole = files(home.path());
        let names: Vec<&String> = whole.keys().collect();
        assert!(names.len() >= 4, "{names:?}");
        let note = LogReader::open(home.path())
            .unwrap()
            .checkpoint()
            .unwrap()
            .unwrap();
        Self {
            middle: names[1].clone(),
            last: names[names.len() - 1].clone(),
            kept: opened(&note),
            attacks: Vec::new(),
            whole: whole.clone(),
        }
    }

    pub(super) fn add(
        &mut self,
        layer: &'static str,
        what: &'static str,
        named: &'static str,
        chain: Chain,
        files: &Files,
        trusting: bool,
    ) {
        let trusted = trusting.then(|| self.kept.clone());
        let found = verdict(files, key().public(), trusted);
        self.attacks.push(Attack {
            layer,
            what,
            named,
            found,
            chain,
        });
    }

    /// An attack on the bytes of the second segment.
    fn on_middle(
        &mut self,
        layer: &'static str,
        what: &'static str,
        named: &'static str,
        chain: Chain,
        attack: impl Fn(&mut Vec<u8>),
    ) {
        let mut files = self.whole.clone();
        attack(files.get_mut(&self.middle).unwrap());
        assert_ne!(files, self.whole, "{what}");
        self.add(layer, what, named, chain, &files, false);
    }
}

pub(super) fn attacks() -> Vec<Attack> {
    let mut bench = Bench::new();
    assert_eq!(
        verdict(&bench.whole, key().public(), Some(bench.kept.clone())),
        "NOT FOUND"
    );
    events(&mut bench);
    order(&mut bench);
    frames(&mut bench);
    checkpoints(&mut bench);
    headers(&mut bench);
    whole::segments(&mut bench);
    whole::ends(&mut bench);
    whole::histories(&mut bench);
    bench.attacks
}

fn events(bench: &mut Bench) {
    let flip = |links: &mut Vec<(Vec<u8>, _)>| links[20].0[0] ^= 1;
    bench.on_middle(
        "event",
        "one bit flipped",
        "event altered",
        after(false, flip),
        |bytes| {
            let (events, _) = batch(bytes, 0);
            bytes[events[1].start + 60] ^= 1;
        },
    );
    bench.on_middle(
        "event",
        "a word changed for one of the same length",
        "event altered",
        after(false, flip),
        |bytes| {
            let (events, _) = batch(bytes, 0);
            let text = &mut bytes[events[0].clone()];
            let at = text
                .windows(7)
                .position(|window| window == b"q3.xlsx")
                .unwrap();
            text[at + 1] = b'4';
        },
    );
    bench.on_middle(
        "event",
        "the time set back an hour",
        "event altered",
        after(false, flip),
        |bytes| {
            let (events, _) = batch(bytes, 0);
            let text = &mut bytes[events[0].clone()];
            let at = text
                .windows(13)
                .position(|window| window == b"\"timestamp\":\"")
                .unwrap();
            text[at + 24] ^= 1;
        },
    );
    bench.on_middle(
        "event",
        "overwritten with zeros",
        "event altered",
        after(false, flip),
        |bytes| {
            let (events, _) = batch(bytes, 0);
            bytes[events[1].start + 40..events[1].start + 100].fill(0);
        },
    );
    bench.on_middle(
        "event",
        "changed with the hash beside it",
        "events rewritten",
        after(true, flip),
        |bytes| {
            let (events, _) = batch(bytes, 0);
            let new = forged(&bytes[events[1].clone()], event(999), None);
            splice(bytes, events[1].clone(), &new);
        },
    );
    bench.on_middle(
        "event",
        "a whole batch changed with its hashes",
        "events rewritten",
        after(true, flip),
        |bytes| {
            let (events, _) = batch(bytes, 0);
            for range in events.iter().rev() {
                let new = forged(&bytes[range.clone()], event(999), None);
                splice(bytes, range.clone(), &new);
            }
        },
    );
    bench.on_middle(
        "event",
        "only the hash beside it changed",
        "stored hash altered",
        after(false, |links| links[20].1 = links[3].1),
        |bytes| {
            let (events, _) = batch(bytes, 0);
            bytes[events[1].start + 10] ^= 1;
        },
    );
    let mut files = bench.whole.clone();
    let first = files.values_mut().next().unwrap();
    let range = pieces(first)[0].1.clone();
    first[range.start + 60] ^= 1;
    bench.add(
        "event",
        "the very first changed",
        "event altered at event 0",
        after(false, |links| links[0].0[0] ^= 1),
        &files,
        false,
    );
    let mut files = bench.whole.clone();
    let last = files.get_mut(&bench.last).unwrap();
    let range = pieces(last)
        .into_iter()
        .rev()
        .find(|piece| piece.0)
        .unwrap()
        .1;
    last[range.start + 60] ^= 1;
    bench.add(
        "event",
        "the very last changed",
        "event altered",
        after(false, |links| links[39].0[0] ^= 1),
        &files,
        false,
    );
}

fn order(bench: &mut Bench) {
    let drop_one = |links: &mut Vec<(Vec<u8>, _)>| drop(links.remove(20));
    let swap = |links: &mut Vec<(Vec<u8>, _)>| links.swap(20, 21);
    let insert = |links: &mut Vec<(Vec<u8>, valetkey_model::Digest)>| {
        let copy = links[3].clone();
        links.insert(20, copy);
    };
    for (what, at) in [
        ("one taken out of a batch", 1),
        ("the first of a batch taken out", 0),
        ("the last of a batch taken out", 2),
    ] {
        bench.on_middle(
            "order",
            what,
            "event missing",
            after(false, drop_one),
            |bytes| {
                let (events, _) = batch(bytes, 0);
                let at = if at == 2 { events.len() - 1 } else { at };
                splice(bytes, events[at].clone(), b"");
            },
        );
    }
    bench.on_middle(
        "order",
        "a whole batch taken out, with its checkpoint",
        "event missing",
        after(true, drop_one),
        |bytes| {
            let (events, note) = batch(bytes, 1);
            splice(bytes, events[0].start..note.end, b"");
        },
    );
    bench.on_middle(
        "order",
        "an earlier event put in again",
        "event inserted",
        after(true, insert),
        |bytes| {
            let (events, _) = batch(bytes, 0);
            let copy = bytes[events[0].clone()].to_vec();
            splice(bytes, events[2].end..events[2].end, &copy);
        },
    );
    bench.on_middle(
        "order",
        "an event doubled on the spot",
        "event inserted",
        after(false, insert),
        |bytes| {
            let (events, _) = batch(bytes, 0);
            let copy = bytes[events[0].clone()].to_vec();
            splice(bytes, events[0].end..events[0].end, &copy);
        },
    );
    bench.on_middle(
        "order",
        "an invented event put in",
        "event inserted",
        after(true, insert),
        |bytes| {
            let (events, _) = batch(bytes, 0);
            let new = forged(&bytes[events[1].clone()], event(999), None);
            splice(bytes, events[1].start..events[1].start, &new);
        },
    );
    bench.on_middle(
        "order",
        "a batch replayed after itself",
        "event inserted",
        after(true, insert),
        |bytes| {
            let (events, note) = batch(bytes, 0);
            let copy = bytes[events[0].start..note.end].to_vec();
            splice(bytes, note.end..note.end, &copy);
        },
    );
    bench.on_middle(
        "order",
        "two events exchanged",
        "events reordered",
        after(true, swap),
        |bytes| {
            let (events, _) = batch(bytes, 0);
            let (one, two) = (
                bytes[events[0].clone()].to_vec(),
                bytes[events[1].clone()].to_vec(),
            );
            splice(bytes, events[0].start..events[1].end, &[two, one].concat());
        },
    );
    bench.on_middle(
        "order",
        "two batches exchanged",
        "events reordered",
        after(true, swap),
        |bytes| {
            let ((a, a_note), (b, b_note)) = (batch(bytes, 0), batch(bytes, 1));
            let one = bytes[a[0].start..a_note.end].to_vec();
            let two = bytes[b[0].start..b_note.end].to_vec();
            splice(bytes, a[0].start..b_note.end, &[two, one].concat());
        },
    );
    let mut files = bench.whole.clone();
    let (events, _) = batch(&files[&bench.middle], 0);
    let moved = files[&bench.middle][events[0].clone()].to_vec();
    splice(
        files.get_mut(&bench.middle).unwrap(),
        events[0].clone(),
        b"",
    );
    let target = files.get_mut(&bench.last).unwrap();
    let at = pieces(target)[0].1.start;
    splice(target, at..at, &moved);
    bench.add(
        "order",
        "an event moved to a later segment",
        "events reordered",
        after(true, swap),
        &files,
        false,
    );
}

fn frames(bench: &mut Bench) {
    bench.on_middle(
        "frame",
        "its type changed",
        "frame altered",
        Chain::Without,
        |bytes| {
            let (events, _) = batch(bytes, 0);
            bytes[events[1].start] = b'X';
        },
    );
    bench.on_middle(
        "frame",
        "the length before it changed",
        "frame altered",
        Chain::Without,
        |bytes| {
            let (events, _) = batch(bytes, 0);
            bytes[events[1].start + 4] ^= 1;
        },
    );
    bench.on_middle(
        "frame",
        "the length after it changed",
        "frame altered",
        Chain::Without,
        |bytes| {
            let (events, _) = batch(bytes, 0);
            bytes[events[1].end - 1] ^= 1;
        },
    );
    bench.on_middle(
        "frame",
        "bytes put between two",
        "frame altered",
        Chain::Without,
        |bytes| {
            let (events, _) = batch(bytes, 0);
            splice(bytes, events[1].start..events[1].start, b"garbage");
        },
    );
    bench.on_middle(
        "frame",
        "bytes put before the first",
        "frame altered",
        Chain::Without,
        |bytes| {
            let at = pieces(bytes)[0].1.start;
            splice(bytes, at..at, &[0xff; 16]);
        },
    );
}

fn checkpoints(bench: &mut Bench) {
    let mut on_note = |what, named, change: &dyn Fn(&str) -> String| {
        bench.on_middle("checkpoint", what, named, Chain::Without, |bytes| {
            let (_, range) = batch(bytes, 0);
            let (Frame::Checkpoint { note }, _) = Frame::read(&bytes[range.clone()]).unwrap()
            else {
                panic!("no checkpoint");
            };
            let mut out = Vec::new();
            write_checkpoint(&mut out, &change(std::str::from_utf8(note).unwrap()));
            splice(bytes, range, &out);
        });
    };
    let unsigned = |note: &str| Checkpoint::read_unverified(note.as_bytes()).unwrap();
    on_note("its signature changed", "checkpoint altered", &|note| {
        let at = note.len() - 10;
        let other = if note.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        format!("{}{other}{}", &note[..at], &note[at + 1..])
    });
    on_note("its root changed", "checkpoint altered", &|note| {
        let root = note.lines().nth(2).unwrap().to_owned();
        let other = if root.starts_with('A') { "B" } else { "A" };
        note.replace(&root, &format!("{other}{}", &root[1..]))
    });
    on_note("its size changed", "checkpoint altered", &|note| {
        let size = note.lines().nth(1).unwrap();
        note.replacen(&format!("\n{size}\n"), &format!("\n{size}0\n"), 1)
    });
    on_note("its log's name changed", "signed by another key", &|note| {
        note.replace("valetkey.test/log", "valetkey.test/lag")
    });
    on_note(
        "signed anew by another key of the same name",
        "signed by another key",
        &|note| unsigned(note).sign(&LogKey::new("valetkey.test/log", &[5; 32]).unwrap()),
    );
    on_note(
        "of another log, by its key",
        "signed by another key",
        &|note| {
            let mut other = unsigned(note);
            other.origin = "valetkey.test/other".to_owned();
            other.sign(&LogKey::new("valetkey.test/other", &[4; 32]).unwrap())
        },
    );
    on_note("its signature taken away", "checkpoint altered", &|note| {
        format!("{}\n\n", note.split("\n\n").next().unwrap())
    });
    on_note(
        "signed twice by the same key",
        "checkpoint altered",
        &|note| {
            let signature = note.lines().last().unwrap();
            format!("{note}{signature}\n")
        },
    );
    on_note("an empty line put in", "checkpoint altered", &|note| {
        note.replacen('\n', "\n\n", 1)
    });
    bench.on_middle(
        "checkpoint",
        "an earlier one replayed in its place",
        "checkpoint altered",
        Chain::Without,
        |bytes| {
            let ((_, first), (_, second)) = (batch(bytes, 0), batch(bytes, 1));
            let old = bytes[first].to_vec();
            splice(bytes, second, &old);
        },
    );
}

fn headers(bench: &mut Bench) {
    for (what, at) in [
        ("its version changed", 7),
        ("its size changed", 15),
        ("its log's name changed", 20),
        ("its tree changed", 40),
    ] {
        bench.on_middle(
            "header",
            what,
            "segment header altered",
            Chain::Without,
            |bytes| bytes[at] ^= 1,
        );
    }
}
