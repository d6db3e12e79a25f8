//! The attack corpus: every way to change a log that we could think of, each found and named, beside what a plain hash chain finds.
//!
//! `cargo test -p valetkey-store corpus -- --nocapture` prints the table of `docs/audit-attacks.md`.

mod chain;
mod epoch;
mod export;
mod proof;
mod segment;
mod tile;
mod whole;

use std::collections::BTreeMap;
use std::path::Path;

use valetkey_audit::{Checkpoint, LogPublicKey};

use super::*;

/// What a plain hash chain does with the same attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    /// It finds it.
    Finds,
    /// It does not.
    Misses,
    /// It has no such part.
    Without,
}

/// One attack: where, what, how it must be named, and what was found.
struct Attack {
    layer: &'static str,
    what: &'static str,
    named: &'static str,
    found: String,
    chain: Chain,
}

impl Attack {
    fn holds(&self) -> bool {
        self.found.contains(self.named)
    }
}

/// Files by name.
type Files = BTreeMap<String, Vec<u8>>;

fn files(directory: &Path) -> Files {
    let mut files = Files::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_str().unwrap();
                files.insert(name.to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn put(directory: &Path, files: &Files) {
    for (name, bytes) in files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// A log of many batches in several segments, written with `key`. Its clock starts at `start_ms`.
fn written(key: LogKey, events: u64, start_ms: u64) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let ticks = AtomicU64::new(start_ms);
    let clock: Clock =
        Arc::new(move || Timestamp::from_unix_ms(ticks.fetch_add(1000, Ordering::SeqCst)));
    let (log, _) = Log::open_with_segments(home.path(), key, clock, 6000).unwrap();
    let log = Arc::new(log);
    let mut number = 0;
    while number < events {
        // Three streamed events and one that is waited for make a batch of four.
        for _ in 0..3 {
            log.append_streamed(event(number)).unwrap();
            number += 1;
        }
        log.append(event(number)).unwrap();
        number += 1;
    }
    drop(log);
    home
}

fn opened(note: &str) -> Checkpoint {
    Checkpoint::open(note.as_bytes(), key().public()).unwrap()
}

fn verdict(files: &Files, key: &LogPublicKey, trusted: Option<Checkpoint>) -> String {
    let home = tempfile::tempdir().unwrap();
    put(home.path(), files);
    match LogReader::open(home.path())
        .unwrap()
        .verify(key, trusted)
        .unwrap()
    {
        Verdict::Intact(intact) if intact.torn_tail.is_some() => "torn tail".to_owned(),
        Verdict::Intact(_) => "NOT FOUND".to_owned(),
        Verdict::Tampered(found) => found.to_string(),
    }
}

#[test]
fn every_attack_of_the_corpus_is_found_and_named() {
    let mut attacks = segment::attacks();
    attacks.extend(epoch::attacks());
    attacks.extend(tile::attacks());
    attacks.extend(proof::attacks());
    attacks.extend(export::attacks());
    println!("| Where | What is done | Named | A plain hash chain |");
    println!("|---|---|---|---|");
    for attack in &attacks {
        let chain = match attack.chain {
            Chain::Finds => "finds it",
            Chain::Misses => "**misses it**",
            Chain::Without => "has no such part",
        };
        println!(
            "| {} | {} | {} | {chain} |",
            attack.layer, attack.what, attack.named
        );
    }
    let wrong: Vec<String> = attacks
        .iter()
        .filter(|attack| !attack.holds())
        .map(|attack| {
            format!(
                "{}: {}: expected `{}`, found `{}`",
                attack.layer, attack.what, attack.named, attack.found
            )
        })
        .collect();
    let missed = attacks
        .iter()
        .filter(|attack| attack.chain == Chain::Misses)
        .count();
    println!(
        "{} kinds, {} found and named, {missed} that a plain hash chain misses",
        attacks.len(),
        attacks.len() - wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(attacks.len() >= 60, "{}", attacks.len());
    assert!(missed >= 5, "{missed}");
}
