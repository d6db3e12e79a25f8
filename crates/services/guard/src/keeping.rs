//! Keeping what a session changes, so that the person can undo it: the view's keeper, over one directory a session.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::io::Errno;
use valetkey_api::{OperationReport, Problem, ProblemKind};
use valetkey_model::{Action, ActionSet, Resource};
use valetkey_snapshot::{Budget, Directory, Id, Keep, Object, SnapshotError, Ticket, prune};
use valetkey_view::{Doomed, Identity, Keeper, Parent, Renaming};

use crate::desk::Desk;
use crate::error::RunError;

/// How often what is not durable yet is made durable, and the session is shown to be alive.
const BEAT: Duration = Duration::from_secs(1);
const CHANGES: ActionSet = ActionSet::of(&[Action::Write]);

/// Where what is kept of sessions lies, and how much of it may be.
#[derive(Clone, Debug)]
pub struct UndoSpec {
    /// The directory of all sessions.
    pub directory: PathBuf,
    /// The budget.
    pub budget: Budget,
}

/// The keeper of one session.
#[derive(Debug)]
struct Keeping {
    keep: Arc<Keep>,
    desk: Arc<Desk>,
}

/// The thread that makes durable once a second.
#[derive(Debug)]
pub(crate) struct Beating {
    keep: Arc<Keep>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What the view asks before each change, and what makes durable; nothing where nothing is to be kept.
type Kept = (Option<Arc<dyn Keeper>>, Option<Beating>);

/// Begins to keep, where that is wanted.
pub(crate) fn start(spec: Option<&UndoSpec>, desk: &Arc<Desk>) -> Result<Kept, RunError> {
    let Some(spec) = spec else {
        return Ok((None, None));
    };
    let (keeping, beating) = Keeping::start(spec, desk)?;
    Ok((Some(Arc::new(keeping)), Some(beating)))
}

impl Keeping {
    /// Throws away what has expired, and begins to keep.
    fn start(spec: &UndoSpec, desk: &Arc<Desk>) -> Result<(Self, Beating), RunError> {
        let failed = |error: SnapshotError| RunError::Undo(error.to_string());
        prune(&spec.directory, &spec.budget).map_err(failed)?;
        let recorder = Arc::clone(desk);
        let declare = move |path: &Path, why: &str| declared(&recorder, path, why);
        let directory = spec.directory.join(desk.session.as_str());
        let keep = Arc::new(Keep::begin(&directory, spec.budget, declare).map_err(failed)?);
        let (stop, stopped) = channel::<()>();
        let beats = Arc::clone(&keep);
        let thread = std::thread::Builder::new()
            .name("keeping".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                    // What cannot be made durable is met by the next change, which is refused.
                    drop(beats.beat());
                }
            })
            .map_err(|source| RunError::System {
                what: "start a thread",
                source,
            })?;
        let beating = Beating {
            keep: Arc::clone(&keep),
            stop,
            thread,
        };
        let desk = Arc::clone(desk);
        Ok((Self { keep, desk }, beating))
    }

    /// What the agent is answered where something cannot be kept, and so is not changed.
    fn answer<T>(&self, path: &Path, kept: Result<T, SnapshotError>) -> Result<T, Errno> {
        kept.map_err(|error| {
            let errno = match &error {
                SnapshotError::Io { source, .. } => {
                    Errno::from_io_error(source).unwrap_or(Errno::IO)
                }
                SnapshotError::Budget(_) | SnapshotError::Full(_) => Errno::DQUOT,
                SnapshotError::Damaged { .. } | SnapshotError::InUse(_) => Errno::IO,
            };
            if let Ok(resource) = Resource::file(path) {
                let detail = format!("it could not be undone, so it was not done: {error}");
                let problem = Problem::new(ProblemKind::Unavailable, detail)
                    .hinted(true, "the person can make room, or run without `--undo`");
                self.desk.refuse(resource, CHANGES, problem);
            }
            errno
        })
    }
}

impl Beating {
    /// The session has ended.
    pub(crate) fn end(self) {
        drop(self.stop);
        // A thread that panicked has nothing more to do.
        drop(self.thread.join());
        // Without it undo takes the session for one that was cut off, and is told so.
        drop(self.keep.end());
    }
}

/// Records, before it happens, that a change cannot be undone.
fn declared(desk: &Desk, path: &Path, why: &str) -> bool {
    let Ok(resource) = Resource::file(path) else {
        return false;
    };
    let holder = desk
        .holdings
        .find_for(path, |held| held.permits_path(path, CHANGES));
    desk.record(OperationReport {
        time: desk.holdings.now(),
        resource,
        actions: CHANGES,
        done: true,
        capability_id: holder.map(|held| held.id()),
        operation: "change_not_kept".to_owned(),
        reason: Some(why.to_owned()),
        duration_us: 0,
        bytes_read: 0,
        bytes_written: 0,
        rows: 0,
        count: 1,
        file_hash: None,
        address: None,
        server_name: None,
    })
    .is_ok()
}

impl Keeper for Keeping {
    fn takes_long(&self, object: Identity, size: u64) -> bool {
        self.keep.takes_long(&id(object), size)
    }

    fn before_change(&self, object: &Doomed<'_>) -> Result<u64, Errno> {
        let kept = self.keep.before_change(&doomed(object));
        self.answer(object.path, kept).map(|Ticket(number)| number)
    }

    fn before_making(
        &self,
        parent: &Parent<'_>,
        path: &Path,
        second: Option<Identity>,
    ) -> Result<u64, Errno> {
        let kept = self
            .keep
            .before_making(&directory(parent), path, second.map(id));
        self.answer(path, kept).map(|Ticket(number)| number)
    }

    fn before_removing(&self, parent: &Parent<'_>, object: &Doomed<'_>) -> Result<u64, Errno> {
        let kept = self
            .keep
            .before_removing(&directory(parent), &doomed(object));
        self.answer(object.path, kept).map(|Ticket(number)| number)
    }

    fn before_renaming(&self, renaming: &Renaming<'_>) -> Result<u64, Errno> {
        let [from, to] = renaming.parents.each_ref().map(directory);
        let replaced = renaming.replaced.as_ref().map(doomed);
        let kept = self.keep.before_renaming(
            [&from, &to],
            &doomed(&renaming.moved),
            renaming.to,
            replaced.as_ref(),
            renaming.exchanged,
        );
        self.answer(renaming.to, kept).map(|Ticket(number)| number)
    }

    fn failed(&self, number: u64) {
        self.keep.failed(Ticket(number));
    }

    fn made(&self, path: &Path, object: Identity, changed: (i64, u32)) {
        self.keep.made(path, id(object), changed);
    }

    fn opened(&self, object: Identity) {
        self.keep.opened(id(object));
    }

    fn closed(&self, path: &Path, at: BorrowedFd<'_>) {
        self.keep.closed(path, at);
    }

    fn done(&self, number: u64, now: &[(&Path, BorrowedFd<'_>)]) {
        self.keep.done(Ticket(number), now);
    }
}

fn id(object: Identity) -> Id {
    Id {
        dev: object.dev,
        ino: object.ino,
        birth: object.birth,
    }
}

fn doomed<'a>(object: &Doomed<'a>) -> Object<'a> {
    Object {
        directory: object.directory,
        name: object.name,
        path: object.path,
        id: id(object.object),
        changed: object.changed,
        size: object.size,
    }
}

fn directory<'a>(parent: &Parent<'a>) -> Directory<'a> {
    Directory {
        at: parent.directory,
        path: parent.path,
    }
}
