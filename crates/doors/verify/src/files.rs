//! Files, read whole and within bounds, and the key.

use std::path::Path;

use valetkey_audit::{Checkpoint, LogPublicKey};

use crate::{Asked, Fail};

/// Most bytes of a segment, a proof or an export: larger than any that is written.
const FILE_MAX_BYTES: u64 = 8 << 30;

/// A file's bytes.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Fail> {
    let fail = |why: &dyn std::fmt::Display| {
        Fail::Failed(format!(
            "cannot read {}: {why}",
            safe(&path.display().to_string())
        ))
    };
    let length = std::fs::metadata(path).map_err(|error| fail(&error))?.len();
    if length > FILE_MAX_BYTES {
        return Err(fail(&"it is longer than 8 GiB"));
    }
    std::fs::read(path).map_err(|error| fail(&error))
}

/// The public key: in a file, or as it is given.
pub(crate) fn key(asked: &Asked) -> Result<LogPublicKey, Fail> {
    let given = asked
        .key
        .as_deref()
        .ok_or_else(|| Fail::Usage("say the log's public key: `--key log.vkey`".to_owned()))?;
    let text = if Path::new(given).is_file() {
        String::from_utf8_lossy(&read(Path::new(given))?).into_owned()
    } else {
        given.to_owned()
    };
    text.trim()
        .parse()
        .map_err(|error| Fail::Usage(format!("the key: {error}")))
}

/// A checkpoint that was kept elsewhere.
pub(crate) fn checkpoint(file: &str, key: &LogPublicKey) -> Result<Checkpoint, Fail> {
    let bytes = with_line_end(&read(Path::new(file))?);
    Checkpoint::open(&bytes, key)
        .map_err(|error| Fail::Usage(format!("cannot use the checkpoint: {error}")))
}

/// A file ends with exactly one line break; whatever it was copied through adds or takes one.
pub(crate) fn with_line_end(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.trim_ascii_end().to_vec();
    bytes.push(b'\n');
    bytes
}

/// Text from outside, without what a terminal acts on.
pub(crate) fn safe(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
