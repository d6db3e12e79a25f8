//! `valetkey audit prove` and `check-proof`: that one event is in the log, for somebody who has no log.

use std::path::Path;

use serde_json::json;
use valetkey_audit::{Checkpoint, Inclusion, PROOF_MAX_BYTES, ProofFileError, Record, TlogProof};

use super::verify::key_of;
use super::{find, one_line, open, unreadable};
use crate::args::{CheckProofArgs, ProveArgs};
use crate::fail::{Fail, Status};
use crate::out::{self, Style, styled};

/// Writes a proof. It is checked before it is given out.
pub(super) fn prove(args: &ProveArgs) -> Result<(), Fail> {
    let (reader, dir) = open(&args.log)?;
    let key = key_of(args.key.key.as_deref())?;
    let entry = find(&reader, &args.event)?;
    let note = reader.checkpoint().map_err(unreadable)?.ok_or_else(|| {
        Fail::new(
            Status::Failed,
            format!("the log in {} has no checkpoint", dir.display()),
        )
    })?;
    let not_verified = |error: &dyn std::fmt::Display| {
        Fail::new(
            Status::NotVerified,
            format!("the event cannot be proved: {error}"),
        )
        .hinted("`valetkey audit verify` says what is wrong with the log")
    };
    let signed = Checkpoint::open(note.as_bytes(), &key).map_err(|error| not_verified(&error))?;
    let index = entry.record.seq;
    let wanted = Inclusion {
        index,
        size: signed.size,
    };
    let path = reader
        .prove(&wanted, signed.size)
        .map_err(|error| not_verified(&error))?;
    let proof = TlogProof {
        extra: Some(entry.bytes.clone()),
        index,
        path,
        checkpoint: note,
    };
    proof
        .verify(&entry.bytes, &key)
        .map_err(|error| not_verified(&error))?;
    let text = proof.text();
    let Some(file) = &args.out else {
        out::line(text.trim_end());
        return Ok(());
    };
    std::fs::write(file, text).map_err(|error| {
        Fail::new(
            Status::Failed,
            format!("cannot write {}: {error}", file.display()),
        )
    })?;
    out::line(&format!(
        "event {index} of {} events, proved in {}",
        signed.size,
        file.display()
    ));
    Ok(())
}

/// Checks a proof.
pub(super) fn check(args: &CheckProofArgs) -> Result<(), Fail> {
    let key = key_of(args.key.key.as_deref())?;
    let mut bytes = read(&args.proof)?;
    // A file ends with exactly one line break; a terminal that it was copied from adds or takes one.
    let end = bytes.trim_ascii_end().len();
    bytes.truncate(end);
    bytes.push(b'\n');
    let fail = |error: &ProofFileError| {
        Fail::new(
            Status::NotVerified,
            format!("the proof does not hold: {error}"),
        )
    };
    let proof = TlogProof::parse(&bytes).map_err(|error| fail(&error))?;
    let event = match &args.event {
        Some(file) => read(file)?.trim_ascii_end().to_vec(),
        None => proof.extra.clone().ok_or_else(|| {
            Fail::new(Status::Usage, "the proof does not hold its event")
                .hinted("give it with `--event FILE`")
        })?,
    };
    let signed = proof.verify(&event, &key).map_err(|error| fail(&error))?;
    let record = Record::parse(&event)
        .ok()
        .filter(|record| record.seq == proof.index)
        .ok_or_else(|| {
            Fail::new(
                Status::NotVerified,
                "what is proved is not an event of this place",
            )
        })?;
    if args.json {
        out::json(
            &json!({"verdict": "proved", "event": record, "log": signed.origin, "events": signed.size}),
        );
        return Ok(());
    }
    out::line(&styled(Style::Green, "the event is in the log"));
    out::line(&one_line(&record));
    out::line(&format!(
        "log {}, event {} of {}",
        signed.origin, proof.index, signed.size
    ));
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, Fail> {
    let fail = |error: &dyn std::fmt::Display| {
        Fail::new(
            Status::Failed,
            format!("cannot read {}: {error}", file.display()),
        )
    };
    let length = std::fs::metadata(file).map_err(|error| fail(&error))?.len();
    if usize::try_from(length).map_or(true, |length| length > PROOF_MAX_BYTES) {
        return Err(fail(&"it is too long for a proof or an event"));
    }
    std::fs::read(file).map_err(|error| fail(&error))
}
