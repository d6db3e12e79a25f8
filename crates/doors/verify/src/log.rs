//! A log, segment by segment.

use std::path::Path;

use valetkey_audit::{Verdict, Verifier};

use crate::{Asked, Fail, files};

const PREFIX: &str = "segment-";
/// Digits of a segment's name.
const DIGITS: usize = 20;

/// Verifies every event, hash and signature.
pub(crate) fn verify(asked: &Asked) -> Result<String, Fail> {
    let dir = Path::new(asked.place()?);
    let key = files::key(asked)?;
    let mut verifier = Verifier::new(&key);
    if let Some(file) = &asked.since {
        verifier = verifier.trusting(files::checkpoint(file, &key)?);
    }
    let segments = segments(dir)?;
    if segments.is_empty() {
        return Err(Fail::Failed(format!(
            "there is no log in {}",
            files::safe(&dir.display().to_string())
        )));
    }
    for first in segments {
        let path = dir.join(format!("{PREFIX}{first:0DIGITS$}"));
        verifier.segment(first, &files::read(&path)?);
    }
    match verifier.finish() {
        Verdict::Intact(intact) => {
            let torn = match &intact.torn_tail {
                Some(_) => "; the end was torn by a crash, and was acknowledged to no one",
                None => "",
            };
            Ok(format!(
                "the log is intact: {} events, {} checkpoints, {} segments{torn}",
                intact.events, intact.checkpoints, intact.segments
            ))
        }
        Verdict::Tampered(found) => Err(Fail::NotVerified(format!(
            "the log is not as it was signed: {}",
            files::safe(&found.to_string())
        ))),
    }
}

fn segments(dir: &Path) -> Result<Vec<u64>, Fail> {
    let fail = |error: std::io::Error| {
        Fail::Failed(format!(
            "cannot list {}: {error}",
            files::safe(&dir.display().to_string())
        ))
    };
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let plain = digits.filter(|digits| {
            digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        segments.extend(plain.and_then(|digits| digits.parse::<u64>().ok()));
    }
    segments.sort_unstable();
    Ok(segments)
}
