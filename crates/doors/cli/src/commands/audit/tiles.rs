//! `valetkey audit tiles`: the log as C2SP tlog-tiles, and `audit verify --tiles`.

use std::path::Path;

use serde_json::json;
use valetkey_audit::{Checkpoint, LogPublicKey};
use valetkey_store::TileLog;

use super::open;
use super::verify::key_of;
use crate::args::TilesArgs;
use crate::fail::{Fail, Status};
use crate::out::{self, Style, styled};

/// Writes the tiles that the log has and the directory has not.
pub(super) fn tiles(args: &TilesArgs) -> Result<(), Fail> {
    let (reader, _) = open(&args.log)?;
    let key = key_of(args.key.key.as_deref())?;
    std::fs::create_dir_all(&args.to).map_err(|error| {
        Fail::new(
            Status::Failed,
            format!("cannot create {}: {error}", args.to.display()),
        )
    })?;
    let written = TileLog::new(&args.to)
        .publish(&reader, &key)
        .map_err(|error| Fail::new(Status::NotVerified, error))?;
    if args.json {
        out::json(
            &json!({"events_before": written.before, "events": written.events, "files": written.files}),
        );
    } else {
        out::line(&format!(
            "{} events in {}, {} of them new",
            written.events,
            args.to.display(),
            written.events.saturating_sub(written.before)
        ));
    }
    Ok(())
}

/// Verifies tiles from their files alone.
pub(super) fn verify(
    dir: &Path,
    key: &LogPublicKey,
    kept: &[Checkpoint],
    json: bool,
) -> Result<(), Fail> {
    let tiles = TileLog::new(dir);
    let mut found = tiles.verify(key, kept.first());
    for further in kept.iter().skip(1) {
        if found.is_ok() {
            found = tiles.verify(key, Some(further));
        }
    }
    match found {
        Ok(checkpoint) if json => out::json(&json!({
            "verdict": "intact", "events": checkpoint.size, "root": checkpoint.root.to_string(),
        })),
        Ok(checkpoint) => {
            out::line(&format!(
                "{}: {} events in {}",
                styled(Style::Green, "the tiles are whole"),
                checkpoint.size,
                dir.display()
            ));
            out::line(&format!("root {}", checkpoint.root));
        }
        Err(found) => {
            if json {
                out::json(&json!({
                    "verdict": "tampered", "kind": found.kind.describe(), "seq": found.first_bad_seq,
                    "event_id": found.event_id, "place": found.place, "detail": found.detail,
                }));
            }
            return Err(Fail::new(
                Status::NotVerified,
                format!("the tiles are not as they were signed: {found}"),
            )
            .hinted("keep the files as they are and compare them with the log"));
        }
    }
    Ok(())
}
