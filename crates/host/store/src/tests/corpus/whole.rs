//! Attacks on whole segments, on the end of the log, and on its history.

use super::chain::after;
use super::segment::{Bench, batch, pieces};
use super::*;

pub(super) fn segments(bench: &mut Bench) {
    let names: Vec<String> = bench.whole.keys().cloned().collect();
    let drop_some = |links: &mut Vec<(Vec<u8>, _)>| drop(links.drain(10..20));
    let mut files = bench.whole.clone();
    files.remove(&names[0]);
    bench.add(
        "segment",
        "the first taken away",
        "segment missing",
        after(true, |links| drop(links.drain(..10))),
        &files,
        false,
    );
    let mut files = bench.whole.clone();
    files.remove(&names[1]);
    bench.add(
        "segment",
        "one in the middle taken away",
        "segment missing",
        after(true, drop_some),
        &files,
        false,
    );
    let mut files = bench.whole.clone();
    let bytes = files.remove(&names[1]).unwrap();
    let number: u64 = names[1].strip_prefix("segment-").unwrap().parse().unwrap();
    files.insert(format!("segment-{:020}", number + 1), bytes);
    bench.add(
        "segment",
        "one renamed",
        "segment header altered",
        Chain::Without,
        &files,
        false,
    );
    let mut files = bench.whole.clone();
    let (one, two) = (files[&names[1]].clone(), files[&names[2]].clone());
    files.insert(names[1].clone(), two);
    files.insert(names[2].clone(), one);
    bench.add(
        "segment",
        "two exchanged",
        "segment header altered",
        Chain::Without,
        &files,
        false,
    );
    let mut files = bench.whole.clone();
    files.insert(names[1].clone(), Vec::new());
    bench.add(
        "segment",
        "one emptied",
        "segment header altered",
        after(true, drop_some),
        &files,
        false,
    );
    let mut files = bench.whole.clone();
    let copy = files[&bench.last].clone();
    files.insert(format!("segment-{:020}", 900), copy);
    bench.add(
        "segment",
        "the last put in again under a later name",
        "segment header altered",
        Chain::Without,
        &files,
        false,
    );
    let mut files = bench.whole.clone();
    let middle = files.get_mut(&names[1]).unwrap();
    let keep = middle.len() / 2;
    middle.truncate(keep);
    bench.add(
        "segment",
        "one in the middle cut",
        "end of the log missing",
        after(true, drop_some),
        &files,
        false,
    );
    let mut files = bench.whole.clone();
    let middle = files.get_mut(&names[1]).unwrap();
    let (_, note) = batch(middle, 0);
    middle.truncate(note.end);
    bench.add(
        "segment",
        "one in the middle cut after a batch",
        "segment missing",
        after(true, drop_some),
        &files,
        false,
    );
}

pub(super) fn ends(bench: &mut Bench) {
    let cut = after(false, |links| links.truncate(30));
    let mut files = bench.whole.clone();
    files.remove(&bench.last);
    bench.add(
        "end",
        "the last segment taken away",
        "end of the log missing",
        cut,
        &files,
        true,
    );
    let mut files = bench.whole.clone();
    let last = files.get_mut(&bench.last).unwrap();
    let ends: Vec<usize> = pieces(last)
        .into_iter()
        .filter(|piece| !piece.0)
        .map(|piece| piece.1.end)
        .collect();
    let whole_batches = ends[ends.len() - 2];
    last.truncate(whole_batches);
    bench.add(
        "end",
        "whole batches cut off",
        "end of the log missing",
        cut,
        &files,
        true,
    );
    let mut files = bench.whole.clone();
    let last = files.get_mut(&bench.last).unwrap();
    let length = last.len();
    last.truncate(length - 5);
    bench.add(
        "end",
        "made to look torn by a crash",
        "end of the log missing",
        cut,
        &files,
        true,
    );
    let mut files = bench.whole.clone();
    let last = files.get_mut(&bench.last).unwrap();
    let start = ends[ends.len() - 2];
    last[start..].fill(0);
    bench.add(
        "end",
        "the last batch zeroed",
        "end of the log missing",
        cut,
        &files,
        true,
    );
    bench.add(
        "end",
        "every file taken away",
        "end of the log missing",
        after(false, Vec::clear),
        &Files::new(),
        true,
    );
    let mut files = bench.whole.clone();
    let last = files.get_mut(&bench.last).unwrap();
    last.extend_from_slice(b"E\x00\x00\x01");
    bench.add(
        "end",
        "a half event put after the end",
        "torn tail",
        Chain::Without,
        &files,
        false,
    );
}

/// What only a checkpoint kept elsewhere shows: the attacker has the key.
pub(super) fn histories(bench: &mut Bench) {
    let rewrite = |links: &mut Vec<(Vec<u8>, _)>| links[5].0[0] ^= 1;
    let start = 1_768_662_720_000;
    let other = files(written(key(), 80, start).path());
    bench.add(
        "history",
        "written anew with the stolen key",
        "history rewritten",
        after(true, rewrite),
        &other,
        true,
    );
    let late = files(written(key(), 80, start - 86_400_000).path());
    bench.add(
        "history",
        "written anew with the clock set back a day",
        "history rewritten",
        after(true, rewrite),
        &late,
        true,
    );
    let short = files(written(key(), 8, start).path());
    bench.add(
        "history",
        "a shorter one written with the stolen key",
        "end of the log missing",
        after(true, |links| links.truncate(4)),
        &short,
        true,
    );
    let home = tempfile::tempdir().unwrap();
    put(home.path(), &bench.whole);
    let last = home.path().join(&bench.last);
    std::fs::remove_file(last).unwrap();
    let (log, _) = Log::open(home.path(), key(), clock()).unwrap();
    for number in 0..60 {
        log.append(event(number)).unwrap();
    }
    drop(log);
    bench.add(
        "history",
        "forked: cut, and gone on with the stolen key",
        "history rewritten",
        after(true, rewrite),
        &files(home.path()),
        true,
    );
    let stranger = LogKey::new("valetkey.test/log", &[5; 32]).unwrap();
    let foreign = files(written(stranger, 80, start).path());
    bench.add(
        "history",
        "written anew with another key",
        "signed by another key",
        after(true, rewrite),
        &foreign,
        false,
    );
}
