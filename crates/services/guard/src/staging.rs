//! Holding back what a session changes until the person takes it: the trees that it may change are shown with a layer over them that takes
//! the changes, and the host stays as it is.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use valetkey_api::{Problem, ProblemKind, StartGrant};
use valetkey_model::{Action, ActionSet, Resource};
use valetkey_sandbox::{Layers, overlay};
use valetkey_snapshot::{Base, SnapshotError, Stage};
use valetkey_view::{
    Authority, Doomed, Graft, Identity, Keeper, Parent, Renaming, View, ViewConfig,
};

use crate::desk::Desk;
use crate::error::RunError;
use crate::keeping::{self, Beating, UndoSpec};

/// What changes a tree.
const CHANGES: [Action; 5] = [
    Action::Write,
    Action::Append,
    Action::Create,
    Action::Delete,
    Action::Metadata,
];

/// The keeper of a session whose changes are held back: what would change the host by another way is refused.
#[derive(Debug)]
pub(crate) struct Staging {
    stage: Stage,
    desk: Arc<Desk>,
}

/// What a staged session is served with.
pub(crate) type Started = (Arc<dyn Keeper>, Vec<Graft>);

/// Makes the stage below `directory`, and lays a layer over each tree that may be changed. The process must have one thread.
pub(crate) fn start(
    directory: &Path,
    workspace: Option<&Resource>,
    grants: &[StartGrant],
    desk: &Arc<Desk>,
) -> Result<Started, RunError> {
    let failed = |error: SnapshotError| RunError::Stage(error.to_string());
    let trees = trees(workspace, grants);
    let stage = Stage::begin(&directory.join(desk.session.as_str()), &trees).map_err(failed)?;
    let mut grafts = Vec::with_capacity(trees.len());
    for tree in stage.trees() {
        let layered = overlay(Layers {
            lower: &tree.path,
            upper: &tree.upper,
            work: &tree.work,
        });
        let root = layered.map_err(|error| {
            let path = tree.path.display();
            RunError::Stage(format!("no layer can be laid over {path}: {error}"))
        })?;
        grafts.push(Graft {
            path: tree.path.clone(),
            root: Arc::new(root),
        });
    }
    let desk = Arc::clone(desk);
    Ok((Arc::new(Staging { stage, desk }), grafts))
}

/// What the agent is shown, and what hears of its changes.
pub(crate) struct Shown {
    pub(crate) view: View,
    pub(crate) beating: Option<Beating>,
    /// Of operations on documents, which do not go through the view.
    pub(crate) documents_keeper: Option<Arc<dyn Keeper>>,
}

/// Makes the view: over the layers where changes are held back, and otherwise over the host, with a keeper where they are to be undone.
pub(crate) fn view(
    mut config: ViewConfig,
    undo: Option<&UndoSpec>,
    desk: &Arc<Desk>,
    authority: Arc<dyn Authority>,
    staged: Option<Started>,
) -> Result<Shown, RunError> {
    let (keeper, beating, documents_keeper) = if let Some((keeper, grafts)) = staged {
        config.grafts = grafts;
        let refusing: Arc<dyn Keeper> = Arc::new(Refusing);
        (Some(keeper), None, Some(refusing))
    } else {
        let (keeper, beating) = keeping::start(undo, desk)?;
        (keeper.clone(), beating, keeper)
    };
    let view = View::keeping(config, authority, keeper)
        .map_err(|error| RunError::View(error.to_string()))?;
    Ok(Shown {
        view,
        beating,
        documents_keeper,
    })
}

/// The trees that the session may change, none below another.
fn trees(workspace: Option<&Resource>, grants: &[StartGrant]) -> Vec<PathBuf> {
    let granted = grants
        .iter()
        .filter(|start| {
            CHANGES
                .iter()
                .any(|action| start.grant.actions.allows(*action))
        })
        .map(|start| &start.grant.resource);
    let mut trees: Vec<PathBuf> = workspace
        .into_iter()
        .chain(granted)
        .filter_map(Resource::as_file)
        .map(valetkey_model::PathPattern::literal_prefix)
        .filter(|path| path.is_dir() && path.parent().is_some())
        .collect();
    trees.sort();
    trees.dedup_by(|below, above| below.starts_with(above.as_path()));
    trees
}

impl Staging {
    /// Notes what is at `path` before it is changed there; refuses what is not held back.
    fn note(&self, path: &Path, base: Option<Base>) -> Result<u64, Errno> {
        if !self.stage.holds(path) {
            self.refuse(
                path,
                "this session's changes are held back, and only in the trees that it was started with",
            );
            return Err(Errno::OPNOTSUPP);
        }
        match self.stage.note(path, base) {
            Ok(()) => Ok(0),
            Err(error) => {
                self.refuse(path, &format!("it could not be held back: {error}"));
                Err(match error {
                    SnapshotError::Io { source, .. } => {
                        Errno::from_io_error(&source).unwrap_or(Errno::IO)
                    }
                    SnapshotError::Budget(_)
                    | SnapshotError::Full(_)
                    | SnapshotError::Damaged { .. }
                    | SnapshotError::InUse(_) => Errno::DQUOT,
                })
            }
        }
    }

    fn refuse(&self, path: &Path, why: &str) {
        if let Ok(resource) = Resource::file(path) {
            let hint =
                "the person can grant the directory at the start, or run without `--commit=ask`";
            let problem = Problem::new(ProblemKind::Unavailable, why.to_owned()).hinted(true, hint);
            self.desk
                .refuse(resource, ActionSet::of(&[Action::Write]), problem);
        }
    }
}

fn base(object: &Doomed<'_>) -> Base {
    Base {
        ino: object.object.ino,
        changed: object.changed,
    }
}

impl Keeper for Staging {
    fn takes_long(&self, _: Identity, _: u64) -> bool {
        false
    }

    fn before_opening(&self, object: &Doomed<'_>) {
        // What cannot be noted is refused when it is to be changed.
        if self.stage.holds(object.path) {
            drop(self.stage.note(object.path, Some(base(object))));
        }
    }

    fn before_change(&self, object: &Doomed<'_>) -> Result<u64, Errno> {
        self.note(object.path, Some(base(object)))
    }

    fn before_making(
        &self,
        _: &Parent<'_>,
        path: &Path,
        _: Option<Identity>,
    ) -> Result<u64, Errno> {
        self.note(path, None)
    }

    fn before_removing(&self, _: &Parent<'_>, object: &Doomed<'_>) -> Result<u64, Errno> {
        self.note(object.path, Some(base(object)))
    }

    fn before_renaming(&self, renaming: &Renaming<'_>) -> Result<u64, Errno> {
        self.note(renaming.moved.path, Some(base(&renaming.moved)))?;
        self.note(renaming.to, renaming.replaced.as_ref().map(base))
    }

    fn failed(&self, _: u64) {}

    fn done(&self, _: u64, _: &[(&Path, BorrowedFd<'_>)]) {}

    fn made(&self, _: &Path, _: Identity, _: (i64, u32)) {}

    fn opened(&self, _: Identity) {}

    fn closed(&self, _: &Path, _: BorrowedFd<'_>) {}
}

/// The keeper of document operations in such a session: they work on the host's own files, and so change nothing.
#[derive(Debug)]
pub(crate) struct Refusing;

impl Keeper for Refusing {
    fn takes_long(&self, _: Identity, _: u64) -> bool {
        false
    }

    fn before_change(&self, _: &Doomed<'_>) -> Result<u64, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn before_making(&self, _: &Parent<'_>, _: &Path, _: Option<Identity>) -> Result<u64, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn before_removing(&self, _: &Parent<'_>, _: &Doomed<'_>) -> Result<u64, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn before_renaming(&self, _: &Renaming<'_>) -> Result<u64, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn failed(&self, _: u64) {}

    fn done(&self, _: u64, _: &[(&Path, BorrowedFd<'_>)]) {}

    fn made(&self, _: &Path, _: Identity, _: (i64, u32)) {}

    fn opened(&self, _: Identity) {}

    fn closed(&self, _: &Path, _: BorrowedFd<'_>) {}
}
