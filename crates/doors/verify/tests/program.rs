//! The verifier as a program, on a real log.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use valetkey_audit::{
    Actor, Checkpoint, Event, EventType, ExportProof, Inclusion, LogKey, Selection, TlogProof,
};
use valetkey_model::Timestamp;
use valetkey_store::{Log, LogReader};

struct Told {
    directory: tempfile::TempDir,
    key: String,
}

impl Told {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = LogKey::new("example.org/log", &[7; 32]).unwrap();
        let public = key.public().to_string();
        let clock = Arc::new(|| Timestamp::from_unix_ms(1_800_000_000_000));
        let (log, _) = Log::open(&directory.path().join("log"), key, clock).unwrap();
        for number in 0..20_u64 {
            let event = Event::new(EventType::OperationPerformed, Actor::Guard)
                .user(1000, "alice")
                .attribute("bytes_read", number);
            log.append(event).unwrap();
        }
        log.close();
        Self {
            directory,
            key: public,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn reader(&self) -> LogReader {
        LogReader::open(&self.path("log")).unwrap()
    }

    fn checkpoint(&self) -> (String, Checkpoint) {
        let note = self.reader().checkpoint().unwrap().unwrap();
        let signed = Checkpoint::open(note.as_bytes(), &self.key.parse().unwrap()).unwrap();
        (note, signed)
    }

    fn run(&self, words: &[&str]) -> (i32, String) {
        let done = Command::new(env!("CARGO_BIN_EXE_valetkey-verify"))
            .args(words)
            .args(["--key", &self.key])
            .output()
            .unwrap();
        let text = [done.stdout, done.stderr].concat();
        (
            done.status.code().unwrap(),
            String::from_utf8(text).unwrap(),
        )
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_log_is_verified_and_every_change_is_status_four() {
    let told = Told::new();
    let (log, kept) = (told.path("log"), told.path("kept"));
    std::fs::write(&kept, told.checkpoint().0.trim_end()).unwrap();
    let (status, said) = told.run(&["log", text(&log), "--since", text(&kept)]);
    assert!(
        status == 0 && said.contains("intact: 22 events"),
        "{status} {said}"
    );
    let segment = log.join(format!("segment-{:020}", 0));
    let length = std::fs::metadata(&segment).unwrap().len();
    let whole = std::fs::read(&segment).unwrap();
    flip(&segment, usize::try_from(length / 2).unwrap());
    assert_eq!(told.run(&["log", text(&log)]).0, 4);
    // A cut at a whole batch is found by the checkpoint that was kept.
    let end = whole
        .windows(6)
        .rposition(|window| window == b"{\"acti")
        .unwrap();
    std::fs::write(&segment, &whole[..end - 37]).unwrap();
    assert_eq!(told.run(&["log", text(&log), "--since", text(&kept)]).0, 4);
    assert_eq!(told.run(&["log", text(&told.path("nothing"))]).0, 1);
}

#[test]
fn a_proof_holds_and_another_event_does_not() {
    let told = Told::new();
    let (note, signed) = told.checkpoint();
    let entry = told.reader().get(5).unwrap().unwrap();
    let wanted = Inclusion {
        index: 5,
        size: signed.size,
    };
    let proof = TlogProof {
        extra: Some(entry.bytes.clone()),
        index: 5,
        path: told.reader().prove(&wanted, signed.size).unwrap(),
        checkpoint: note,
    };
    let file = told.path("proof");
    std::fs::write(&file, proof.text()).unwrap();
    let (status, said) = told.run(&["proof", text(&file)]);
    assert!(
        status == 0 && said.contains("event 5 of 22"),
        "{status} {said}"
    );
    let other = told.path("other");
    std::fs::write(&other, told.reader().get(6).unwrap().unwrap().bytes).unwrap();
    assert_eq!(
        told.run(&["proof", text(&file), "--event", text(&other)]).0,
        4
    );
}

#[test]
fn an_export_is_complete_or_is_not_verified() {
    let told = Told::new();
    let (note, signed) = told.checkpoint();
    let entries: Vec<_> = told
        .reader()
        .entries(0)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let selection = Selection::new((3..9).collect(), signed.size).unwrap();
    let proof = ExportProof {
        format: "ndjson".to_owned(),
        from: 3,
        to: 9,
        events: 6,
        asked: "all".to_owned(),
        hashes: told.reader().prove(&selection, signed.size).unwrap(),
        checkpoint: note,
    };
    let file = told.path("events.ndjson");
    let rows = entries[3..9].iter().map(|entry| {
        format!(
            "{}\n",
            valetkey_trail::harmless_json(&String::from_utf8_lossy(&entry.bytes))
        )
    });
    std::fs::write(&file, rows.collect::<String>()).unwrap();
    std::fs::write(told.path("events.ndjson.proof"), proof.text()).unwrap();
    let (status, said) = told.run(&["export", text(&file)]);
    assert!(status == 0 && said.contains("complete"), "{status} {said}");
    flip(&file, 60);
    assert_eq!(told.run(&["export", text(&file)]).0, 4);
}
