//! Trees that are served quietly: which may be, which are, and that the log says so before anything is opened in them.
//!
//! Whether a tree is quiet is known when policy has answered, and its mount is made before that: so every tree that might be has one, and
//! those that are not end with the order to build.

use std::path::{Path, PathBuf};

use valetkey_api::Granted;
use valetkey_model::{
    Action, ActionSet, CapabilityId, Constraints, Grant, PathPattern, Resource, ViewMode,
};
use valetkey_sandbox::{CellSpec, Launching, mount_points};
use valetkey_view::{Connection, View, ViewHandle};

use crate::desk::Desk;
use crate::error::RunError;
use crate::operation;

/// Trees that get a mount before anybody knows whether they are quiet: a session has one or two.
const TREES_MAX: usize = 4;
/// Threads that serve one quiet tree.
const SERVING_THREADS: usize = 2;
/// Where the cell has a file system of its own through which trees show.
const SHOWN_THROUGH: &str = "/tmp";
/// Without these a look at a name would ask the broker each time.
const NEEDED: ActionSet = ActionSet::of(&[Action::Read, Action::List, Action::Metadata]);

/// A tree that is quiet, and what it is given by.
#[derive(Debug)]
pub(crate) struct QuietTree {
    path: PathBuf,
    resource: Resource,
    capability: CapabilityId,
}

/// The trees among what is granted at the start that could be quiet: directories, by their real names, where the cell has nothing of its own.
pub(crate) fn candidates(
    cell: &CellSpec,
    workspace: Option<&Resource>,
    grants: &[Grant],
) -> Vec<PathBuf> {
    let own = mount_points(cell);
    let is_free = |path: &Path| {
        own.iter().all(|own| {
            let shows = own == Path::new(SHOWN_THROUGH) && own != path;
            !own.starts_with(path) && (shows || !path.starts_with(own))
        })
    };
    let is_itself = |path: &PathBuf| {
        path.is_dir() && std::fs::canonicalize(path).is_ok_and(|real| real == *path)
    };
    let granted = workspace
        .into_iter()
        .chain(grants.iter().map(|grant| &grant.resource));
    let mut trees: Vec<PathBuf> = granted
        .filter_map(tree_of)
        .filter(|path| is_free(path))
        .filter(is_itself)
        .collect();
    trees.sort();
    trees.dedup();
    trees.truncate(TREES_MAX);
    trees
}

/// Those that policy gave to be quiet, where `wanted` says whether the person wants it so. One below another is served with it.
pub(crate) fn chosen(candidates: &[PathBuf], granted: &[Granted], wanted: bool) -> Vec<QuietTree> {
    let mut trees: Vec<QuietTree> = Vec::new();
    for path in candidates {
        let given = granted.iter().find(|granted| {
            tree_of(&granted.capability.resource).as_ref() == Some(path) && suits(granted, wanted)
        });
        let is_below = |tree: &QuietTree| path.starts_with(&tree.path);
        if let Some(granted) = given.filter(|_| !trees.iter().any(is_below)) {
            trees.push(QuietTree {
                path: path.clone(),
                resource: granted.capability.resource.clone(),
                capability: granted.capability.capability_id.clone(),
            });
        }
    }
    trees
}

/// Has the log say which trees are quiet. Where it cannot, they are watched.
pub(crate) fn recorded(desk: &Desk, trees: Vec<QuietTree>) -> Vec<PathBuf> {
    let is_recorded = |tree: &QuietTree| {
        let now = desk.holdings.now();
        let (resource, capability) = (tree.resource.clone(), &tree.capability);
        let served = operation::done(now, resource, ActionSet::EMPTY, capability, "serve_quiet");
        desk.record(served).is_ok()
    };
    let kept = trees.into_iter().filter(is_recorded);
    kept.map(|tree| tree.path).collect()
}

/// Serves the quiet trees. The mounts of all other candidates stay where they are, and end.
pub(crate) fn serve(
    view: &View,
    candidates: &[PathBuf],
    launching: &mut Launching,
    quiet: &[PathBuf],
) -> Result<Vec<ViewHandle>, RunError> {
    if !quiet.is_empty() {
        // What is read or written there stands open for a while. The cell keeps the limit that it began with.
        valetkey_api::raise_descriptor_limit().map_err(|source| RunError::System {
            what: "raise the limit of open files",
            source,
        })?;
    }
    let mut served = Vec::with_capacity(quiet.len());
    for (path, device) in candidates.iter().zip(&mut launching.quiet_fuse) {
        if !quiet.contains(path) {
            continue;
        }
        let device = device
            .take()
            .ok_or_else(|| RunError::View("a quiet tree has no mount".to_owned()))?;
        let connection = Connection::Quiet { root: path.clone() };
        let handle = view
            .serve(device, Vec::new(), connection, SERVING_THREADS)
            .map_err(|error| RunError::View(error.to_string()))?;
        served.push(handle);
    }
    Ok(served)
}

/// Whether what was given can be kept to where opens are not seen.
fn suits(granted: &Granted, wanted: bool) -> bool {
    let capability = &granted.capability;
    let without_mask = Constraints {
        redact: None,
        ..capability.constraints.clone()
    };
    let is_quiet = match granted.view {
        ViewMode::Watched => false,
        ViewMode::QuietIfWanted => wanted,
        ViewMode::Quiet => true,
    };
    is_quiet
        && granted.streamed
        && capability.approvals.is_empty()
        && capability.actions.allows_all(NEEDED)
        && without_mask == Constraints::default()
}

/// The directory of which the resource is the whole tree.
fn tree_of(resource: &Resource) -> Option<PathBuf> {
    let pattern = resource.as_file()?;
    let top = pattern.literal_prefix();
    let is_tree = PathPattern::tree(&top).is_ok_and(|tree| tree == *pattern);
    is_tree.then_some(top)
}
