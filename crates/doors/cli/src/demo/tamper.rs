//! The trail that the session left, the proof that it is whole, and what happens when one byte of it is changed.

use std::fs;
use std::path::Path;

use serde_json::Value;
use valetkey_model::{Action, ActionSet};
use valetkey_store::{Entry, LogReader};

use super::check::Checks;
use super::failed;
use super::house::House;
use crate::commands::one_line;
use crate::fail::Fail;
use crate::out::{self, Style, styled};

/// Event types that the session must have left.
const MUST_BE_THERE: [&str; 8] = [
    "session.opened",
    "request.decided",
    "approval.asked",
    "approval.given",
    "capability.minted",
    "capability.used",
    "operation.performed",
    "operation.refused",
];

/// Shows the trail, verifies it, and verifies a changed copy.
pub(crate) fn trail_and_proof(checks: &mut Checks, house: &House) -> Result<(), Fail> {
    let log = house.valetkey().join("state/log");
    out::line(&styled(Style::Bold, "The trail"));
    let reader = LogReader::open(&log).map_err(|error| failed("read the log", &error))?;
    let entries = reader
        .tail(usize::MAX)
        .map_err(|error| failed("read the log", &error))?;
    let looks: ActionSet = ActionSet::of(&[Action::Metadata]);
    let shown = |entry: &&Entry| {
        MUST_BE_THERE.contains(&entry.record.kind.name())
            && entry.record.action.is_none_or(|actions| actions != looks)
    };
    let home = format!("file:{}", house.home().display());
    for entry in entries.iter().filter(shown) {
        out::line(&format!(
            "  {}",
            one_line(&entry.record).replace(&home, "~")
        ));
    }
    let missing: Vec<&str> = MUST_BE_THERE
        .into_iter()
        .filter(|kind| {
            !entries
                .iter()
                .any(|entry| entry.record.kind.name() == *kind)
        })
        .collect();
    checks.check(
        "every step is in the log",
        missing.is_empty(),
        &missing.join(", "),
    );
    out::line("");
    out::line(&styled(Style::Bold, "The proof"));
    let whole = verify(house, &log)?;
    checks.check(
        "the log verifies",
        whole.0 == 0,
        &format!("{} events", entries.len()),
    );
    let victim = entries
        .iter()
        .find(|entry| entry.record.kind.name() == "approval.given")
        .ok_or_else(|| failed("find the approval", &"it is not in the log"))?;
    let copy = house.valetkey().join("tampered");
    flip_in_copy(&log, &copy, &victim.bytes)?;
    let (status, verdict) = verify(house, &copy)?;
    let text = |name: &str| verdict.get(name).and_then(Value::as_str);
    let named = text("event_id") == Some(victim.record.event_id.as_str());
    let words = format!(
        "{} at event {}",
        text("kind").unwrap_or("nothing found"),
        verdict.get("seq").unwrap_or(&Value::Null)
    );
    checks.check(
        "one byte of a copy is flipped, and the verifier names the event",
        status == 4 && named,
        &words,
    );
    Ok(())
}

fn verify(house: &House, log: &Path) -> Result<(i32, Value), Fail> {
    let dir = log.to_string_lossy();
    let output = house.valetkey_command(&["audit", "verify", "--json", "--log", &dir])?;
    let verdict = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Ok((output.status.code().unwrap_or(-1), verdict))
}

/// Copies the log and flips one bit in the middle of an event.
fn flip_in_copy(log: &Path, copy: &Path, event: &[u8]) -> Result<(), Fail> {
    let fail = |error: std::io::Error| failed("copy the log", &error);
    fs::create_dir_all(copy).map_err(fail)?;
    let mut flipped = false;
    for entry in fs::read_dir(log).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let (true, Some(name)) = (path.is_file(), path.file_name()) else {
            continue;
        };
        let mut bytes = fs::read(&path).map_err(fail)?;
        let at = bytes
            .windows(event.len())
            .position(|window| window == event);
        if let Some(byte) = at.and_then(|at| bytes.get_mut(at.saturating_add(event.len() / 2))) {
            *byte ^= 1;
            flipped = true;
        }
        fs::write(copy.join(name), bytes).map_err(fail)?;
    }
    if flipped {
        Ok(())
    } else {
        Err(failed("flip a byte", &"the event is not in the files"))
    }
}
