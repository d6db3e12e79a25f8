//! `valetkey audit export` and `verify-export`: events in a file, and the proof that they are what the log holds.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use valetkey_audit::{Checkpoint, ExportError, ExportProof, Proved, Record, Selection};
use valetkey_trail::{CSV_HEADER, Filter, csv_row, harmless_json};

use super::verify::key_of;
use super::{open, query, unreadable};
use crate::args::{ExportArgs, ExportFormat, FilterArgs, LogArgs, VerifyExportArgs};
use crate::fail::{Fail, Status};
use crate::out::{self, Style, styled};

/// Most bytes of an export that is checked: it is held in memory.
const EXPORT_MAX_BYTES: u64 = 8 << 30;

impl ExportFormat {
    fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// How an event stands in a row.
    fn row(self, record: &Record, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        match self {
            Self::Ndjson => harmless_json(&text),
            Self::Csv => csv_row(record, &text),
        }
    }
}

/// Writes events and their proof.
pub(super) fn export(args: &ExportArgs) -> Result<(), Fail> {
    let (reader, _) = open(&args.log)?;
    let key = key_of(args.key.key.as_deref())?;
    let filter = query::filter(&args.filter)?;
    let note = reader
        .checkpoint()
        .map_err(unreadable)?
        .ok_or_else(|| Fail::new(Status::Failed, "the log has no checkpoint"))?;
    let signed = Checkpoint::open(note.as_bytes(), &key)
        .map_err(|error| Fail::new(Status::NotVerified, error))?;
    let to = args.to.unwrap_or(signed.size).min(signed.size);
    let from = args.from.min(to);
    let failed = |error: std::io::Error| {
        Fail::new(
            Status::Failed,
            format!("cannot write {}: {error}", args.out.display()),
        )
    };
    let mut file = BufWriter::new(File::create(&args.out).map_err(failed)?);
    if args.format == ExportFormat::Csv {
        writeln!(file, "{CSV_HEADER}").map_err(failed)?;
    }
    let (mut places, mut written) = (Vec::new(), Ok(()));
    query::each(&reader, &filter, |entry| {
        if (from..to).contains(&entry.record.seq) && written.is_ok() {
            places.push(entry.record.seq);
            written = writeln!(file, "{}", args.format.row(&entry.record, &entry.bytes));
        }
    })?;
    written.and_then(|()| file.flush()).map_err(failed)?;
    let events = u64::try_from(places.len()).unwrap_or(u64::MAX);
    // Times alone ask for a stretch of the log, so the range is that stretch.
    let by_time = Filter {
        since: None,
        until: None,
        ..filter
    }
    .is_empty();
    let (from, to) = match (by_time, places.first(), places.last()) {
        (true, Some(first), Some(last)) => (*first, last.saturating_add(1)),
        _ => (from, to),
    };
    let selection = Selection::new(places, signed.size)
        .ok_or_else(|| Fail::new(Status::Failed, "there are no events to export"))?;
    let proof = ExportProof {
        format: args.format.name().to_owned(),
        from,
        to,
        events,
        asked: asked(&args.filter),
        hashes: reader.prove(&selection, signed.size).map_err(unreadable)?,
        checkpoint: note,
    };
    let beside = beside(&args.out);
    std::fs::write(&beside, proof.text()).map_err(failed)?;
    // What is given out holds: it is read back and checked.
    check(&proof, &args.out, args.key.key.as_deref())?;
    out::line(&format!(
        "{events} events of {} in {}, proof in {}",
        to.saturating_sub(from),
        args.out.display(),
        beside.display()
    ));
    Ok(())
}

/// What was asked for, in words that mean nothing to the check.
fn asked(filter: &FilterArgs) -> String {
    let words = harmless_json(&format!("{filter:?}"));
    words.replace('\n', " ")
}

fn beside(export: &Path) -> PathBuf {
    let mut name = export.as_os_str().to_owned();
    name.push(".proof");
    PathBuf::from(name)
}

/// Checks an export against its proof, and where the log is given against that.
pub(super) fn verify(args: &VerifyExportArgs) -> Result<(), Fail> {
    let path = args.proof.clone().unwrap_or_else(|| beside(&args.export));
    let bytes = std::fs::read(&path).map_err(|error| {
        Fail::new(
            Status::Failed,
            format!("cannot read the proof {}: {error}", path.display()),
        )
    })?;
    let proof = ExportProof::parse(&bytes).map_err(|error| not_verified(&error))?;
    let proved =
        check(&proof, &args.export, args.key.key.as_deref()).or_else(|error| {
            match args.log.as_ref() {
                Some(log) => Err(compare(&proof, &args.export, log)?.unwrap_or(error)),
                None => Err(error),
            }
        })?;
    let complete = proved.left_out == 0;
    if args.json {
        out::json(&json!({
            "verdict": if complete { "complete" } else { "unchanged" }, "events": proof.events, "from": proof.from, "to": proof.to,
            "left_out": proved.left_out, "log": proved.checkpoint.origin, "log_events": proved.checkpoint.size,
        }));
        return Ok(());
    }
    let last = proof.to.saturating_sub(1);
    if complete {
        let words = styled(Style::Green, "the export is complete and unchanged");
        out::line(&format!(
            "{words}: every event from {} to {last}",
            proof.from
        ));
    } else {
        let words = styled(Style::Green, "the export is unchanged");
        out::line(&format!(
            "{words}: {} events from {} to {last}; {} others of that range are not in it",
            proof.events, proof.from, proved.left_out
        ));
        out::line(
            "whether those are none that were asked for only the log can tell: export again and compare",
        );
    }
    Ok(())
}

fn not_verified(error: &dyn Display) -> Fail {
    Fail::new(
        Status::NotVerified,
        format!("the export is not as it was signed: {error}"),
    )
}

/// The rows of an export, without a header.
fn rows(format: &str, path: &Path) -> Result<Vec<String>, Fail> {
    let fail = |error: &dyn Display| {
        Fail::new(
            Status::Failed,
            format!("cannot read {}: {error}", path.display()),
        )
    };
    let length = std::fs::metadata(path).map_err(|error| fail(&error))?.len();
    if length > EXPORT_MAX_BYTES {
        return Err(fail(&"it is longer than 8 GiB"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fail(&error))?;
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    if lines.pop().is_none_or(|rest| !rest.is_empty()) {
        return Err(not_verified(&"row altered: the last row is not whole"));
    }
    if format == "csv" {
        if lines.first().map(String::as_str) != Some(CSV_HEADER) {
            return Err(not_verified(&"row altered: the header is another"));
        }
        lines.remove(0);
    }
    Ok(lines)
}

/// The canonical JSON of the event in a row; empty where there is none.
fn event_in(format: ExportFormat, row: &str) -> Vec<u8> {
    let json = match format {
        ExportFormat::Ndjson => row.to_owned(),
        // The event is the last cell, in quotes since it holds commas.
        ExportFormat::Csv => {
            let cell = row.rsplit_once(",\"{").map_or("", |(_, cell)| cell);
            let cell = cell.strip_suffix('"').unwrap_or_default();
            format!("{{{}", cell.replace("\"\"", "\""))
        }
    };
    let record: Option<Record> = serde_json::from_str(&json).ok();
    record
        .and_then(|record| serde_json::to_vec(&record).ok())
        .unwrap_or_default()
}

fn format_of(proof: &ExportProof) -> Result<ExportFormat, Fail> {
    match proof.format.as_str() {
        "ndjson" => Ok(ExportFormat::Ndjson),
        "csv" => Ok(ExportFormat::Csv),
        _ => Err(not_verified(&"the proof is of a form that is not known")),
    }
}

fn check(proof: &ExportProof, export: &Path, key: Option<&str>) -> Result<Proved, Fail> {
    let key = key_of(key)?;
    let format = format_of(proof)?;
    let rows = rows(&proof.format, export)?;
    let events: Vec<Vec<u8>> = rows.iter().map(|row| event_in(format, row)).collect();
    let spelled = |row: u64, record: &Record| {
        let at = usize::try_from(row.saturating_sub(1)).unwrap_or(usize::MAX);
        let (Some(row), Some(bytes)) = (rows.get(at), events.get(at)) else {
            return false;
        };
        *row == format.row(record, bytes)
    };
    proof
        .verify(events.iter().map(Vec::as_slice), spelled, &key)
        .map_err(|error: ExportError| not_verified(&error))
}

/// The first row that is not what the log holds.
fn compare(proof: &ExportProof, export: &Path, log: &Path) -> Result<Option<Fail>, Fail> {
    let (reader, _) = open(&LogArgs {
        log: Some(log.to_path_buf()),
    })?;
    let format = format_of(proof)?;
    let mut entries = reader.entries(proof.from).map_err(unreadable)?;
    for (number, row) in (1_u64..).zip(rows(&proof.format, export)?) {
        let told = Record::parse(&event_in(format, &row)).ok();
        let seq = told.as_ref().map_or(u64::MAX, |record| record.seq);
        let mut same = false;
        // Rows rise, so each is looked for after the one before.
        for entry in entries.by_ref() {
            let entry = entry.map_err(unreadable)?;
            if entry.record.seq >= seq {
                same = format.row(&entry.record, &entry.bytes) == row;
                break;
            }
        }
        if !same {
            let which = told.map_or(String::new(), |record| {
                format!(", which says it is event {}", record.seq)
            });
            let words = format!("row altered: row {number}{which} is not what the log holds");
            return Ok(Some(not_verified(&words)));
        }
    }
    Ok(None)
}
