//! `valetkey audit`: the log read, shown and verified, straight from its files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use valetkey_approval::{SafeText, visible};
use valetkey_audit::{AuditDecision, Checkpoint, Intact, LogPublicKey, Record, Verdict};
use valetkey_store::{Entry, LogReader, StoreError};

use crate::args::AuditCommand;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out::{self, Style, styled};

/// How often a followed log is looked at.
const FOLLOW_PAUSE: Duration = Duration::from_millis(200);

/// Runs an `audit` command.
pub(crate) fn command(command: AuditCommand) -> Result<(), Fail> {
    match command {
        AuditCommand::Tail {
            lines,
            follow,
            log,
            json,
        } => tail(lines, follow, log, json),
        AuditCommand::Show { event, log } => show(&event, log),
        AuditCommand::Verify {
            log,
            key,
            since,
            json,
        } => verify(log, key.as_deref(), since.as_deref(), json),
        AuditCommand::Checkpoint { log } => checkpoint(log),
    }
}

fn open(log: Option<PathBuf>) -> Result<(LogReader, PathBuf), Fail> {
    let dir = match log {
        Some(dir) => dir,
        None => {
            let paths = home::paths()?;
            home::may_read_log(&paths)?;
            paths.log()
        }
    };
    if !dir.is_dir() {
        return Err(Fail::new(
            Status::Failed,
            format!("there is no log in {}", dir.display()),
        )
        .hinted("`valetkey run` begins one; is VALETKEY_HOME the same as in the session?"));
    }
    Ok((LogReader::open(&dir).map_err(unreadable)?, dir))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what `map_err` hands over"
)]
fn unreadable(error: StoreError) -> Fail {
    Fail::new(Status::Failed, &error)
        .hinted("`valetkey audit verify` says what is wrong with the log")
}

fn tail(lines: usize, follow: bool, log: Option<PathBuf>, json: bool) -> Result<(), Fail> {
    let (reader, _) = open(log)?;
    let mut next = 0;
    for entry in reader.tail(lines).map_err(unreadable)? {
        next = entry.record.seq.saturating_add(1);
        print(&entry, json);
    }
    if !follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(FOLLOW_PAUSE);
        for entry in reader.entries(next).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            next = entry.record.seq.saturating_add(1);
            print(&entry, json);
        }
    }
}

fn print(entry: &Entry, json: bool) {
    if json {
        out::line(&out::json_text(&String::from_utf8_lossy(&entry.bytes)));
    } else {
        out::line(&one_line(&entry.record));
    }
}

/// An event in one line: when, what, how it was decided, and on what.
pub(crate) fn one_line(record: &Record) -> String {
    let decision = record.decision.map_or(String::new(), |decision| {
        let word = serde_json::to_value(decision)
            .ok()
            .and_then(|word| word.as_str().map(str::to_owned))
            .unwrap_or_default();
        let style = match decision {
            AuditDecision::Allowed | AuditDecision::Approved => Style::Green,
            AuditDecision::Denied | AuditDecision::Refused | AuditDecision::Expired => Style::Red,
            AuditDecision::Observed => Style::Dim,
        };
        styled(style, &format!(" {word}"))
    });
    let actions = record
        .action
        .map_or(String::new(), |actions| format!(" {actions}"));
    let resource = record.resource.as_ref().map_or(String::new(), |resource| {
        format!(" {}", visible(&resource.to_string()))
    });
    let reason = ["reason", "operation", "how", "why"]
        .iter()
        .find_map(|name| record.attributes.get(*name))
        .and_then(|value| serde_json::to_value(value).ok())
        .and_then(|value| {
            value
                .as_str()
                .map(|text| format!("  ({})", SafeText::prose(text)))
        })
        .unwrap_or_default();
    format!(
        "{} {} {}{decision}{actions}{resource}{reason}",
        styled(Style::Dim, &format!("{:>5}", record.seq)),
        record.timestamp,
        styled(Style::Bold, record.kind.name()),
    )
}

fn show(event: &str, log: Option<PathBuf>) -> Result<(), Fail> {
    let (reader, _) = open(log)?;
    let entry = if let Ok(seq) = event.parse() {
        reader.get(seq)
    } else {
        let id = event.parse().map_err(|error| {
            Fail::new(Status::Usage, error).hinted("`valetkey audit tail` shows numbers and ids")
        })?;
        reader.find(&id)
    };
    let entry = entry
        .map_err(unreadable)?
        .ok_or_else(|| Fail::new(Status::Failed, format!("the log has no event {event}")))?;
    let mut value =
        serde_json::to_value(&entry.record).map_err(|error| Fail::new(Status::Failed, error))?;
    if let Some(members) = value.as_object_mut() {
        members.insert("leaf_hash".to_owned(), json!(entry.leaf.to_string()));
    }
    out::json(&value);
    Ok(())
}

fn checkpoint(log: Option<PathBuf>) -> Result<(), Fail> {
    let (reader, dir) = open(log)?;
    let note = reader.checkpoint().map_err(unreadable)?.ok_or_else(|| {
        Fail::new(
            Status::Failed,
            format!("the log in {} has no checkpoint", dir.display()),
        )
    })?;
    out::line(note.trim_end());
    Ok(())
}

fn verify(
    log: Option<PathBuf>,
    key: Option<&str>,
    since: Option<&Path>,
    json: bool,
) -> Result<(), Fail> {
    let (reader, dir) = open(log)?;
    let key = match key {
        Some(key) => read_key(key)?,
        None => read_key(&home::paths()?.log_public_key().display().to_string())?,
    };
    let trusted = since.map(|file| read_checkpoint(file, &key)).transpose()?;
    let verdict = reader
        .verify(&key, trusted)
        .map_err(|error| Fail::new(Status::NotVerified, error))?;
    match verdict {
        Verdict::Intact(intact) => {
            tell_intact(&intact, &dir, json);
            Ok(())
        }
        Verdict::Tampered(found) => {
            if json {
                out::json(&json!({
                    "verdict": "tampered", "kind": found.kind.describe(), "seq": found.first_bad_seq,
                    "event_id": found.event_id, "detail": found.detail,
                }));
            }
            Err(Fail::new(
                Status::NotVerified,
                format!("the log is not as it was signed: {found}"),
            )
            .hinted("keep the files as they are and compare them with a copy"))
        }
    }
}

fn tell_intact(intact: &Intact, dir: &Path, json: bool) {
    let torn = intact.torn_tail.map(|tail| tail.bytes);
    if json {
        out::json(&json!({
            "verdict": "intact", "events": intact.events, "root": intact.root.to_string(),
            "checkpoints": intact.checkpoints, "torn_tail_bytes": torn,
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
    if let Some(bytes) = torn {
        out::line(&format!(
            "note: {bytes} bytes at the end were being written when the broker ended; they were never acknowledged"
        ));
    }
}

/// A public key from a file, or as text.
fn read_key(text: &str) -> Result<LogPublicKey, Fail> {
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

/// A checkpoint that was kept elsewhere. It must be signed by the log's own key: any other proves nothing about this log.
fn read_checkpoint(file: &Path, key: &LogPublicKey) -> Result<Checkpoint, Fail> {
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
    Checkpoint::open(note.as_bytes(), key).map_err(|error| fail(&error))
}
