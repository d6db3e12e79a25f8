//! What of the host is in a cell beside what was granted: the program itself, and places that must show through the cell's own file systems.

use std::path::{Path, PathBuf};

use valetkey_model::{Grant, Resource};
use valetkey_sandbox::{CellSpec, default_system_dirs};

/// Whether a path of the host lies in a directory that every cell has, read-only.
#[must_use]
pub fn is_in_every_cell(path: &Path) -> bool {
    default_system_dirs()
        .iter()
        .any(|dir| path.starts_with(dir))
}

/// Puts the program that the person named into the cell, read-only, where neither the system directories nor a grant hold it.
pub(crate) fn bring_program(
    cell: &mut CellSpec,
    program: &Path,
    workspace: Option<&Resource>,
    grants: &[Grant],
) {
    let granted = |resource: &Resource| {
        resource
            .as_path()
            .is_some_and(|pattern| pattern.matches(program))
    };
    let in_system = cell.system_dirs.iter().any(|dir| program.starts_with(dir));
    if in_system
        || workspace.is_some_and(granted)
        || grants.iter().any(|grant| granted(&grant.resource))
    {
        return;
    }
    cell.extra_ro_binds.push(program.to_path_buf());
    if let Some(first) = cell.command.first_mut() {
        // Where it was found may be a link that is not in the cell.
        *first = program.into();
    }
}

/// Places of the view that lie where the cell has a file system of its own, such as below `/tmp`, and must show through it.
pub(crate) fn shown_through(
    cwd: &Path,
    workspace: Option<&Resource>,
    grants: &[Grant],
) -> Vec<PathBuf> {
    const OWN: [&str; 1] = ["/tmp"];
    let granted = workspace
        .into_iter()
        .chain(grants.iter().map(|grant| &grant.resource));
    let mut places: Vec<PathBuf> = granted
        .filter_map(Resource::as_path)
        .map(valetkey_model::PathPattern::literal_prefix)
        .chain([cwd.to_path_buf()])
        .filter(|path| {
            OWN.iter()
                .any(|own| path.starts_with(own) && path != Path::new(own))
        })
        .filter(|path| path.exists())
        .collect();
    places.sort();
    // A place below another one shows through with it.
    places.dedup_by(|below, above| below.starts_with(above.as_path()));
    places
}
