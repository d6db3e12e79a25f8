//! Attacks on epochs: whoever takes every file at some time, with the key of that time, and writes the past anew.

use valetkey_audit::segment::{Frame, SegmentHeader, write_checkpoint};
use valetkey_audit::{EpochEnd, Frontier, Record, epoch_began, epoch_ended, leaf_hash};
use valetkey_model::EventId;

use super::super::epochs::Home;
use super::chain::after;
use super::*;

const FILE: &str = "segment-00000000000000000000";

/// The events of one batch, as canonical JSON.
type Batch = Vec<Vec<u8>>;

/// A log of several epochs, taken apart, and every key that it ever had: no thief has them all.
struct Past {
    public: LogPublicKey,
    /// The log's own key, which every thief has.
    log_secret: [u8; 32],
    bytes: Vec<u8>,
    batches: Vec<Batch>,
    /// The number of the key that signed each batch.
    signed_by: Vec<usize>,
    secrets: Vec<[u8; 32]>,
    kept: Checkpoint,
}

impl Past {
    fn new() -> Self {
        let home = Home::new();
        let public = home.key();
        let log_secret = std::fs::read(home.keys_dir().join("log.key")).unwrap();
        let mut secrets = vec![home.secret()];
        let ticks = AtomicU64::new(1_768_662_720_000);
        let clock: Clock =
            Arc::new(move || Timestamp::from_unix_ms(ticks.fetch_add(1000, Ordering::SeqCst)));
        let limits = EpochLimits {
            events: u64::MAX,
            age: Duration::from_secs(100_000),
        };
        let (log, _) = home.open_with(limits, clock);
        for number in 0..16 {
            log.append(event(number)).unwrap();
            if number % 4 == 3 {
                home.turn(&log);
                secrets.push(home.secret());
            }
        }
        log.append(event(16)).unwrap();
        let kept = Checkpoint::read_unverified(log.checkpoint().as_bytes()).unwrap();
        // What lies on the disk of a running broker.
        let bytes = std::fs::read(home.log_dir().join(FILE)).unwrap();
        drop(log);
        let secrets = secrets
            .iter()
            .map(|bytes| *bytes.first_chunk().unwrap())
            .collect();
        let (batches, signed_by) = apart(&bytes);
        Self {
            public,
            log_secret: log_secret.try_into().unwrap(),
            bytes,
            batches,
            signed_by,
            secrets,
            kept,
        }
    }

    fn key(&self, number: usize) -> LogKey {
        self.named(&self.secrets[number])
    }

    fn named(&self, secret: &[u8; 32]) -> LogKey {
        LogKey::new(self.public.name(), secret).unwrap()
    }

    /// A key that the forger invents.
    fn stranger(&self) -> LogKey {
        self.named(&[99; 32])
    }

    fn today(&self) -> usize {
        self.secrets.len() - 1
    }

    /// The first and the last batch that key `number` signed.
    fn epoch(&self, number: usize) -> (usize, usize) {
        let first = self.signed_by.iter().position(|by| *by == number);
        let last = self.signed_by.iter().rposition(|by| *by == number);
        (first.unwrap(), last.unwrap())
    }

    /// The log written anew from batch `from` on, each batch signed with the log's key and this one; what comes before is as it was.
    fn forged(&self, from: usize, batches: &[Batch], by: impl Fn(usize) -> LogKey) -> Files {
        let header = SegmentHeader::read(&self.bytes).unwrap().1;
        let mut bytes = self.bytes[..header].to_vec();
        let mut rest = &self.bytes[header..];
        let (mut frontier, mut at) = (Frontier::new(), 0);
        while at < from {
            let (frame, length) = Frame::read(rest).unwrap();
            match frame {
                Frame::Event { leaf, .. } => frontier.push(leaf),
                Frame::Checkpoint { .. } => at += 1,
            }
            bytes.extend_from_slice(&rest[..length]);
            rest = &rest[length..];
        }
        for (number, batch) in batches.iter().enumerate().skip(from) {
            for payload in batch {
                // Renumbered, as a careful forger does.
                let mut value: serde_json::Value = serde_json::from_slice(payload).unwrap();
                value["seq"] = frontier.size().into();
                let payload = serde_json::to_vec(&value).unwrap();
                frontier.push(write_payload(&mut bytes, &payload));
            }
            let note = Checkpoint {
                origin: self.public.name().to_owned(),
                size: frontier.size(),
                root: frontier.root(),
                extensions: Vec::new(),
            }
            .sign_with([&self.named(&self.log_secret), &by(number)]);
            write_checkpoint(&mut bytes, &note);
        }
        Files::from([(FILE.to_owned(), bytes)])
    }

    /// The log written anew, signed with its own key alone.
    fn forged_by_log_key(&self, batches: &[Batch]) -> Files {
        let own = || self.named(&self.log_secret);
        let mut files = self.forged(0, batches, |_| own());
        // Its line stands twice; once is what an honest log of one key has.
        let bytes = files.remove(FILE).unwrap();
        let header = SegmentHeader::read(&bytes).unwrap().1;
        let mut out = bytes[..header].to_vec();
        for (is_event, range) in super::segment::pieces(&bytes) {
            match Frame::read(&bytes[range.clone()]).unwrap().0 {
                Frame::Checkpoint { note } if !is_event => {
                    let note = std::str::from_utf8(note).unwrap();
                    let line = note.trim_end().rfind('\n').unwrap();
                    write_checkpoint(&mut out, &note[..=line]);
                }
                _ => out.extend_from_slice(&bytes[range]),
            }
        }
        Files::from([(FILE.to_owned(), out)])
    }

    /// The batches with another word in one event of epoch 1.
    fn changed(&self) -> (usize, Vec<Batch>) {
        let at = self.epoch(1).0 + 1;
        let mut batches = self.batches.clone();
        let event = String::from_utf8(batches[at][0].clone()).unwrap();
        assert!(event.contains("q3.xlsx"));
        batches[at][0] = event.replace("q3.xlsx", "q4.xlsx").into_bytes();
        (at, batches)
    }

    /// An event as the forger would have it, in the form of the log.
    fn event(event: Event) -> Vec<u8> {
        let time = Timestamp::from_unix_ms(1_768_662_999_000);
        let sealed = event.seal(0, EventId::new(time, [9; 10]), time).unwrap();
        sealed.bytes().to_vec()
    }
}

/// An event's frame; gives its hash.
fn write_payload(out: &mut Vec<u8>, payload: &[u8]) -> valetkey_model::Digest {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let leaf = leaf_hash(payload);
    out.push(b'E');
    out.extend_from_slice(&length);
    out.extend_from_slice(leaf.as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&length);
    leaf
}

fn apart(bytes: &[u8]) -> (Vec<Batch>, Vec<usize>) {
    let (mut batches, mut signed_by) = (Vec::new(), Vec::new());
    let (mut batch, mut epoch) = (Batch::new(), 0);
    for (is_event, range) in super::segment::pieces(bytes) {
        if !is_event {
            let ends = batch.last().is_some_and(|event| {
                Record::parse(event).unwrap().kind == EventType::LogEpochEnded
            });
            batches.push(std::mem::take(&mut batch));
            signed_by.push(epoch);
            epoch += usize::from(ends);
            continue;
        }
        if let (Frame::Event { payload, .. }, _) = Frame::read(&bytes[range]).unwrap() {
            batch.push(payload.to_vec());
        }
    }
    (batches, signed_by)
}

pub(super) fn attacks() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let past = Past::new();
    let today = past.today();
    assert!(today >= 4, "{today}");
    let whole = Files::from([(FILE.to_owned(), past.bytes.clone())]);
    assert_eq!(
        verdict(&whole, &past.public, Some(past.kept.clone())),
        "NOT FOUND"
    );
    let rewrite = after(true, |links| links[5].0[0] ^= 1);
    let mut add = |what, named, chain, files: &Files, trusting: bool| {
        let trusted = trusting.then(|| past.kept.clone());
        let found = verdict(files, &past.public, trusted);
        attacks.push(Attack {
            layer: "epoch",
            what,
            named,
            found,
            chain,
        });
    };
    let later = "signed anew with the key of a later epoch";
    let missing = "not signed with the key of its epoch";
    let broken = "epochs do not follow each other";

    let (at, changed) = past.changed();
    let honest = |number: usize| past.key(past.signed_by[number]);
    let files = past.forged(at, &changed, |_| past.key(today));
    add(
        "yesterday changed, and all since signed with today's key",
        later,
        rewrite,
        &files,
        false,
    );
    let files = past.forged(0, &changed, |_| past.key(today));
    add(
        "the whole log signed anew with today's key",
        later,
        rewrite,
        &files,
        false,
    );
    let end = past.epoch(1).1;
    let files = past.forged(at, &changed[..=end], |_| past.key(today));
    add(
        "cut after yesterday, which is signed with today's key",
        missing,
        rewrite,
        &files,
        false,
    );
    let files = past.forged(at, &changed, |number| {
        if past.signed_by[number] == 1 {
            past.stranger()
        } else {
            honest(number)
        }
    });
    add(
        "yesterday changed, and signed with an invented key",
        missing,
        rewrite,
        &files,
        false,
    );
    let files = past.forged(at, &changed, |number| {
        if past.signed_by[number] == 1 {
            past.key(2)
        } else {
            honest(number)
        }
    });
    add(
        "one epoch sealed anew with the key of the next",
        later,
        rewrite,
        &files,
        false,
    );

    // The end of epoch 1, with a key that the forger has.
    let invented = Past::event(epoch_ended(1, past.stranger().public(), EpochEnd::Age));
    let mut batches = past.batches.clone();
    *batches[end].last_mut().unwrap() = invented;
    let by_stranger = |number: usize| {
        if past.signed_by[number] > 1 {
            past.stranger()
        } else {
            honest(number)
        }
    };
    let files = past.forged(end, &batches, |number| {
        if number == end {
            past.key(today)
        } else {
            by_stranger(number)
        }
    });
    add(
        "a forged next key, committed with today's key",
        later,
        rewrite,
        &files,
        false,
    );
    let committed = past.key(2).public().to_string();
    let mut text = past.bytes.clone();
    let place = text
        .windows(committed.len())
        .position(|window| window == committed.as_bytes())
        .unwrap();
    text[place..place + committed.len()]
        .copy_from_slice(past.stranger().public().to_string().as_bytes());
    let files = Files::from([(FILE.to_owned(), text)]);
    add(
        "the next key exchanged in its event",
        "event altered",
        after(false, |links| links[5].0[0] ^= 1),
        &files,
        false,
    );
    let mut files = past.forged(end, &batches, by_stranger);
    // The note of the batch that was changed is put back.
    let original = note_of(&past.bytes, end);
    let forged = files.get_mut(FILE).unwrap();
    let range = super::segment::pieces(forged)
        .into_iter()
        .filter(|piece| !piece.0)
        .nth(end)
        .unwrap()
        .1;
    forged.splice(range, original);
    add(
        "the next key exchanged with its hash",
        "events rewritten",
        rewrite,
        &files,
        false,
    );

    // From here on the forger once had the key of epoch 1, while it lasted, and comes back when it is over.
    let mut batches = past.batches.clone();
    batches.insert(end + 1, batches[at].clone());
    let files = past.forged(end + 1, &batches, |_| past.key(1));
    add(
        "gone on with the key of an epoch after its end",
        "signed with the key of an ended epoch",
        rewrite,
        &files,
        false,
    );
    let files = past.forged(end + 1, &past.batches, |number| {
        if past.signed_by[number] == 2 {
            past.key(1)
        } else {
            honest(number)
        }
    });
    add(
        "an epoch sealed with the key of the one before",
        "signed with the key of an ended epoch",
        rewrite,
        &files,
        false,
    );
    let (first, last) = past.epoch(2);
    let mut batches = past.batches.clone();
    batches.drain(first..=last);
    let signed: Vec<usize> = past
        .signed_by
        .iter()
        .copied()
        .filter(|by| *by != 2)
        .collect();
    let files = past.forged(first, &batches, |number| past.key(signed[number]));
    add("an epoch left out", missing, rewrite, &files, false);
    let mut both = past.batches.clone();
    let (third, fourth) = (past.epoch(2), past.epoch(3));
    let length = (third.1 - third.0).min(fourth.1 - fourth.0);
    for offset in 0..=length {
        both.swap(third.0 + offset, fourth.0 + offset);
    }
    let files = past.forged(third.0, &both, |number| {
        let by = past.signed_by[number];
        past.key(match by {
            2 => 3,
            3 => 2,
            other => other,
        })
    });
    add("two epochs exchanged", later, rewrite, &files, false);

    // Even with every key that there ever was, an epoch must follow from the one before.
    let mut batches = past.batches.clone();
    batches[first].remove(0);
    let files = past.forged(first, &batches, honest);
    add(
        "an epoch without its beginning",
        broken,
        rewrite,
        &files,
        false,
    );
    let mut batches = past.batches.clone();
    let skip = Past::event(epoch_ended(2, past.key(3).public(), EpochEnd::Age));
    batches.splice(first..=last, [vec![skip]]);
    let shorter = last - first;
    let files = past.forged(first, &batches, |number| {
        past.key(if number == first {
            2
        } else {
            past.signed_by[number.max(first) + shorter]
        })
    });
    add("an empty epoch", broken, rewrite, &files, false);
    let mut batches = past.batches.clone();
    *batches[end].last_mut().unwrap() =
        Past::event(epoch_ended(1, past.key(3).public(), EpochEnd::Age));
    batches.drain(first..=last);
    let files = past.forged(end, &batches, |number| past.key(signed[number]));
    add(
        "an epoch skipped, with every key",
        broken,
        rewrite,
        &files,
        false,
    );
    let mut batches = past.batches.clone();
    batches[at].insert(0, Past::event(epoch_began(1, past.key(1).public())));
    let files = past.forged(at, &batches, honest);
    add("an epoch that begins twice", broken, rewrite, &files, false);
    let mut batches = past.batches.clone();
    *batches[end].last_mut().unwrap() =
        Past::event(epoch_ended(1, past.key(0).public(), EpochEnd::Age));
    let files = past.forged(end, &batches, honest);
    add(
        "an earlier key committed again",
        broken,
        rewrite,
        &files,
        false,
    );

    // Without epochs: what the log's key alone signs.
    let files = past.forged_by_log_key(&past.batches);
    add(
        "every signature of an epoch's key taken away",
        missing,
        rewrite,
        &files,
        false,
    );
    let plain: Vec<Batch> = past.batches.iter().map(without_epochs).collect();
    let files = past.forged_by_log_key(&plain);
    add(
        "written anew without epochs, with the log's key",
        broken,
        rewrite,
        &files,
        false,
    );
    let files = other_chain(&past);
    add(
        "written anew with epochs of another first key",
        broken,
        rewrite,
        &files,
        false,
    );

    // What only a checkpoint kept elsewhere shows.
    let files = past.forged(0, &past.batches[..=end], |number| {
        past.key(past.signed_by[number])
    });
    let cut = after(false, |links| links.truncate(30));
    add(
        "cut off at the end of an epoch",
        "end of the log missing",
        cut,
        &files,
        true,
    );
    let mut batches = past.batches.clone();
    let now = past.epoch(today).0;
    let event = String::from_utf8(batches[now + 1][0].clone()).unwrap();
    batches[now + 1][0] = event.replace("q3.xlsx", "q4.xlsx").into_bytes();
    let files = past.forged(now + 1, &batches, honest);
    add(
        "the epoch of today written anew with its key",
        "history rewritten",
        rewrite,
        &files,
        true,
    );
    attacks
}

/// The checkpoint's frame of a batch.
fn note_of(bytes: &[u8], batch: usize) -> Vec<u8> {
    let notes = super::segment::pieces(bytes)
        .into_iter()
        .filter(|piece| !piece.0);
    let range = notes.map(|piece| piece.1).nth(batch).unwrap();
    bytes[range].to_vec()
}

/// A batch without what it says of epochs; never empty.
fn without_epochs(batch: &Batch) -> Batch {
    let kind = |event: &Vec<u8>| Record::parse(event).unwrap().kind;
    let of_epochs = [EventType::LogEpochBegan, EventType::LogEpochEnded];
    let mut kept = batch.clone();
    kept.retain(|event| !of_epochs.contains(&kind(event)));
    if kept.is_empty() {
        kept.push(Past::event(event(99)));
    }
    kept
}

/// The whole log with a chain of keys of the forger's own.
fn other_chain(past: &Past) -> Files {
    let mut batches = vec![past.batches[0].clone()];
    batches[0][0] = Past::event(epoch_began(0, past.stranger().public()));
    past.forged(0, &batches, |_| past.stranger())
}
