//! What this process may do: asked of the agent door of its cell.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use valetkey_client::{
    Action, ActionSet, Agent, Capability, ClientError, Denial, IN_CELL, Resource,
};

use crate::fail::Fail;

/// How far the clocks of the guard and of this process may differ: a refusal that is older than a call was not of that call.
const CLOCKS_DIFFER_MS: u64 = 2_000;

/// Whether the agent door of a cell is there. Nothing outside of one is decided by anybody.
pub(crate) fn is_in_cell() -> bool {
    Path::new(IN_CELL).exists()
}

/// A connection to the agent door.
///
/// # Errors
/// When nobody answers there.
pub(crate) fn door() -> Result<Agent, ClientError> {
    Agent::at(Path::new(IN_CELL))
}

/// Whether one capability gives all of `wanted` on a path.
pub(crate) fn gives(capability: &Capability, path: &Path, wanted: ActionSet) -> bool {
    let matches = |resource: &Resource| {
        resource
            .as_file()
            .is_some_and(|pattern| pattern.matches(path))
    };
    capability.actions.allows_all(wanted)
        && matches(&capability.resource)
        && !capability.except.iter().any(matches)
}

/// Whether something that is held gives all of `wanted` on a path. Without an answer of the door, nothing does.
pub(crate) fn is_given(path: &Path, wanted: ActionSet) -> bool {
    let held = door().and_then(|mut door| door.capabilities());
    held.is_ok_and(|held| {
        held.iter()
            .any(|capability| gives(capability, path, wanted))
    })
}

/// The directories and files that are granted by name or as trees, sorted; a directory within another is left out.
pub(crate) fn places() -> Result<Vec<PathBuf>, Fail> {
    let held = door()?.capabilities()?;
    let looks = [Action::Read, Action::List, Action::Write, Action::Append];
    let mut places: Vec<PathBuf> = held
        .iter()
        .filter(|capability| looks.iter().any(|look| capability.actions.allows(*look)))
        .filter_map(|capability| Some(capability.resource.as_file()?.literal_prefix()))
        .collect();
    places.sort();
    places.dedup_by(|below, above| below.starts_with(above.as_path()));
    Ok(places)
}

/// The last refusals of this session, newest last.
pub(crate) fn denials() -> Result<Vec<Denial>, Fail> {
    Ok(door()?.denials()?)
}

/// The refusal that ended a call on `path`, if there was one since the call began.
pub(crate) fn refusal_of(path: &Path, since: SystemTime) -> Option<Denial> {
    let since = since.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let since_ms = u64::try_from(since.as_millis()).ok()?;
    let of_path = |denial: &Denial| {
        let pattern = denial.resource.as_file();
        pattern.is_some_and(|pattern| pattern.matches(path))
            && denial.time.unix_ms().saturating_add(CLOCKS_DIFFER_MS) >= since_ms
    };
    denials().ok()?.into_iter().rev().find(of_path)
}
