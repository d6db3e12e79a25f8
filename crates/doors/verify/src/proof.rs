//! The proof that one event is in a log.

use std::path::Path;

use valetkey_audit::{Record, TlogProof};

use crate::{Asked, Fail, files};

/// Verifies a C2SP `tlog-proof`.
pub(crate) fn verify(asked: &Asked) -> Result<String, Fail> {
    let file = asked.place()?;
    let key = files::key(asked)?;
    let fail = |why: &dyn std::fmt::Display| {
        Fail::NotVerified(format!(
            "the proof does not hold: {}",
            files::safe(&why.to_string())
        ))
    };
    let bytes = files::with_line_end(&files::read(Path::new(file))?);
    let proof = TlogProof::parse(&bytes).map_err(|error| fail(&error))?;
    let event = match &asked.event {
        Some(file) => files::read(Path::new(file))?.trim_ascii_end().to_vec(),
        None => proof.extra.clone().ok_or_else(|| {
            Fail::Usage("the proof does not hold its event: give it with `--event FILE`".to_owned())
        })?,
    };
    let signed = proof.verify(&event, &key).map_err(|error| fail(&error))?;
    let record = Record::parse(&event).map_err(|error| fail(&error))?;
    if record.seq != proof.index {
        return Err(fail(&"the event is of another place"));
    }
    Ok(format!(
        "the event is in the log: {} of {}, event {} of {}, at {}\n{}",
        record.kind,
        signed.origin,
        proof.index,
        signed.size,
        record.timestamp,
        valetkey_trail::harmless_json(&String::from_utf8_lossy(&event))
    ))
}
