//! `valetkey audit verify`: the log against its signatures, from the files alone.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use valetkey_audit::{Checkpoint, Intact, LogPublicKey, Tampering, Verdict};
use valetkey_store::LogReader;

use super::witness::{age, read_policy};
use super::{open, tiles};
use crate::args::VerifyArgs;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out::{self, Style, styled};

/// Verifies the log.
pub(super) fn verify(args: &VerifyArgs) -> Result<(), Fail> {
    let json = args.json;
    // Whether there is a log that one may read comes first: without one there is no key either.
    let opened = match &args.tiles {
        None => Some(open(&args.log)?),
        Some(_) => None,
    };
    let key = key_of(args.key.as_deref())?;
    let policy = args
        .witness_policy
        .as_deref()
        .map(read_policy)
        .transpose()?;
    let mut kept: Vec<Checkpoint> = Vec::new();
    let mut witnessed = None;
    for file in &args.since {
        let (note, checkpoint) = read_note(file, &key)?;
        if let Some(policy) = &policy {
            let since = policy.witnessed(note.as_bytes(), &key).map_err(|error| {
                Fail::new(Status::NotVerified, format!("{}: {error}", file.display()))
                    .hinted("`valetkey audit witness` asks the witnesses")
            })?;
            witnessed = Some(witnessed.map_or(since, |before: u64| before.min(since)));
        }
        kept.push(checkpoint);
    }
    let (reader, dir) = match (opened, &args.tiles) {
        (Some(opened), _) => opened,
        (None, Some(dir)) => return tiles::verify(dir, &key, &kept, json),
        (None, None) => open(&args.log)?,
    };
    let bar = Bar::default();
    let mut kept = kept.into_iter();
    let mut verdict = verified(&reader, &key, kept.next(), &bar)?;
    for further in kept {
        if matches!(verdict, Verdict::Intact(_)) {
            verdict = verified(&reader, &key, Some(further), &bar)?;
        }
    }
    bar.clear();
    match verdict {
        Verdict::Intact(intact) => {
            tell_intact(&intact, &dir, witnessed, json);
            Ok(())
        }
        Verdict::Tampered(found) => Err(tampered(&found, json)),
    }
}

fn verified(
    reader: &LogReader,
    key: &LogPublicKey,
    trusted: Option<Checkpoint>,
    bar: &Bar,
) -> Result<Verdict, Fail> {
    reader
        .verify_telling(key, trusted, &|done, total| bar.show(done, total))
        .map_err(|error| Fail::new(Status::NotVerified, error))
}

/// What was found, for programs on standard output, and as the failure.
pub(super) fn tampered(found: &Tampering, json: bool) -> Fail {
    if json {
        out::json(&json!({
            "verdict": "tampered", "kind": found.kind.describe(), "seq": found.first_bad_seq,
            "event_id": found.event_id, "detail": found.detail,
        }));
    }
    Fail::new(
        Status::NotVerified,
        format!("the log is not as it was signed: {found}"),
    )
    .hinted("keep the files as they are and compare them with a copy")
}

/// How far it is, on standard error where that is a terminal.
#[derive(Debug, Default)]
struct Bar(AtomicU64);

impl Bar {
    fn show(&self, done: u64, total: u64) {
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        let before = self.0.swap(percent, Ordering::Relaxed);
        if before != percent && std::io::stderr().is_terminal() {
            // Nobody is left to tell if this fails.
            drop(write!(std::io::stderr(), "\rverifying {percent:>3} %"));
        }
    }

    fn clear(&self) {
        if self.0.load(Ordering::Relaxed) > 0 && std::io::stderr().is_terminal() {
            drop(write!(std::io::stderr(), "\r{:16}\r", ""));
        }
    }
}

fn tell_intact(intact: &Intact, dir: &Path, witnessed: Option<u64>, json: bool) {
    let torn = intact.torn_tail.map(|tail| tail.bytes);
    if json {
        out::json(&json!({
            "verdict": "intact", "events": intact.events, "root": intact.root.to_string(),
            "checkpoints": intact.checkpoints, "epochs": intact.epoch_keys.len(), "torn_tail_bytes": torn,
            "witnessed": witnessed,
        }));
        return;
    }
    out::line(&format!(
        "{}: {} events in {}, {} signed checkpoints",
        styled(Style::Green, "the log is whole"),
        intact.events,
        dir.display(),
        intact.checkpoints
    ));
    out::line(&format!("root {}", intact.root));
    if let Some(since) = witnessed {
        out::line(&age(since));
    }
    if intact.epoch_keys.is_empty() {
        out::line("note: it has no epochs: whoever took its key could have written it anew");
    }
    if let Some(bytes) = torn {
        out::line(&format!(
            "note: {bytes} bytes at the end were being written when the broker ended; they were never acknowledged"
        ));
    }
}

/// The key that is given, or this home's.
pub(super) fn key_of(given: Option<&str>) -> Result<LogPublicKey, Fail> {
    match given {
        Some(key) => read_key(key),
        None => read_key(&home::paths()?.log_public_key().display().to_string()),
    }
}

/// A public key from a file, or as text.
pub(crate) fn read_key(text: &str) -> Result<LogPublicKey, Fail> {
    let path = Path::new(text);
    let content = if path.is_absolute() || path.exists() {
        std::fs::read_to_string(path).map_err(|error| {
            Fail::new(
                Status::Failed,
                format!("cannot read the log's public key {text}: {error}"),
            )
        })?
    } else {
        text.to_owned()
    };
    content
        .trim()
        .parse()
        .map_err(|error| Fail::new(Status::Usage, format!("{text}: {error}")))
}

/// A checkpoint that was kept elsewhere, and its note. It must be signed by the log's own key: any other proves nothing about this log.
fn read_note(file: &Path, key: &LogPublicKey) -> Result<(String, Checkpoint), Fail> {
    let fail = |reason: &dyn std::fmt::Display| {
        Fail::new(
            Status::Usage,
            format!("cannot use the checkpoint {}: {reason}", file.display()),
        )
    };
    let mut note = std::fs::read_to_string(file).map_err(|error| fail(&error))?;
    // A note ends with exactly one line break; editors and shells add or take one.
    note.truncate(note.trim_end().len());
    note.push('\n');
    let checkpoint = Checkpoint::open(note.as_bytes(), key).map_err(|error| fail(&error))?;
    Ok((note, checkpoint))
}
