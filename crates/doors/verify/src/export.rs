//! An export against its proof.

use std::path::{Path, PathBuf};

use valetkey_audit::{ExportProof, Record};
use valetkey_trail::{CSV_HEADER, csv_row, harmless_json};

use crate::{Asked, Fail, files};

/// How the rows of an export are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Ndjson,
    Csv,
}

impl Form {
    fn row(self, record: &Record, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        match self {
            Self::Ndjson => harmless_json(&text),
            Self::Csv => csv_row(record, &text),
        }
    }

    /// The canonical JSON of the event in a row; empty where there is none.
    fn event(self, row: &str) -> Vec<u8> {
        let json = match self {
            Self::Ndjson => row.to_owned(),
            Self::Csv => {
                // The event is the last cell, in quotes since it holds commas.
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
}

/// Verifies that an export is unchanged, and complete where it says so.
pub(crate) fn verify(asked: &Asked) -> Result<String, Fail> {
    let file = PathBuf::from(asked.place()?);
    let key = files::key(asked)?;
    let beside = {
        let mut name = file.clone().into_os_string();
        name.push(".proof");
        PathBuf::from(name)
    };
    let proof = asked.proof.as_ref().map_or(beside, PathBuf::from);
    let proof = ExportProof::parse(&files::read(&proof)?).map_err(|error| fail(&error))?;
    let form = match proof.format.as_str() {
        "ndjson" => Form::Ndjson,
        "csv" => Form::Csv,
        _ => return Err(fail(&"the proof is of a form that is not known")),
    };
    let rows = rows(form, &file)?;
    let events: Vec<Vec<u8>> = rows.iter().map(|row| form.event(row)).collect();
    let spelled = |row: u64, record: &Record| {
        let at = usize::try_from(row.saturating_sub(1)).unwrap_or(usize::MAX);
        let (Some(row), Some(bytes)) = (rows.get(at), events.get(at)) else {
            return false;
        };
        *row == form.row(record, bytes)
    };
    let proved = proof
        .verify(events.iter().map(Vec::as_slice), spelled, &key)
        .map_err(|error| fail(&error))?;
    let last = proof.to.saturating_sub(1);
    if proved.left_out == 0 {
        return Ok(format!(
            "the export is complete and unchanged: every event from {} to {last}",
            proof.from
        ));
    }
    Ok(format!(
        "the export is unchanged: {} events from {} to {last}; {} others of that range are not in it",
        proof.events, proof.from, proved.left_out
    ))
}

fn rows(form: Form, file: &Path) -> Result<Vec<String>, Fail> {
    let text = String::from_utf8(files::read(file)?).map_err(|_| fail(&"the export is no text"))?;
    let mut rows: Vec<String> = text.split('\n').map(str::to_owned).collect();
    if rows.pop().is_none_or(|rest| !rest.is_empty()) {
        return Err(fail(&"row altered: the last row is not whole"));
    }
    if form == Form::Csv {
        if rows.first().map(String::as_str) != Some(CSV_HEADER) {
            return Err(fail(&"row altered: the header is another"));
        }
        rows.remove(0);
    }
    Ok(rows)
}

fn fail(why: &dyn std::fmt::Display) -> Fail {
    Fail::NotVerified(format!(
        "the export is not as it was signed: {}",
        files::safe(&why.to_string())
    ))
}
